//! Decides how a borrow that was asked for survives its process: what was asked, with its secret
//! nonce, is on disk before it is sent, so that a reply that was lost costs no seat (L5): the same
//! question later brings the same lease. Must not ask by itself.

use crate::paths::{
    Paths,
    files::{self, Created},
};
use data_encoding::BASE64;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use usher_protocol::{codec, ids::PublicKey, time::WallMs, wire::Checkout};

/// A borrow that was asked for and not settled yet; other processes leave it alone while this lives.
#[derive(Debug)]
pub(crate) struct Asked {
    path: PathBuf,
    pub(crate) checkout: Checkout,
    _turn: File,
}

impl Asked {
    /// Durable when this returns: nothing is asked before.
    pub(crate) fn store(
        paths: &Paths,
        site: &PublicKey,
        checkout: Checkout,
        now: WallMs,
    ) -> io::Result<Self> {
        let mut name = [0; 8];
        getrandom::fill(&mut name).map_err(io::Error::other)?;
        let name = format!("{}.asked", data_encoding::HEXLOWER.encode(&name));
        let path = paths.borrow_directory().join(name);
        let format = Format::of(site, &checkout, now)?;
        let text = toml::to_string(&format).map_err(io::Error::other)?;
        if files::create_private(&path, text.as_bytes())? == Created::Before {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let turn = File::open(&path)?;
        flock(&turn, FlockOperation::LockExclusive)?;
        Ok(Self {
            path,
            checkout,
            _turn: turn,
        })
    }

    /// What was asked of this site before, and never settled. What could not be read is left alone, and
    /// what would be over by now is removed.
    pub(crate) fn unsettled(paths: &Paths, site: &PublicKey, now: WallMs) -> Vec<Self> {
        let asked = files(paths).into_iter();
        asked
            .filter_map(|path| Self::load(path, site, now))
            .collect()
    }

    /// It is settled: what came of it is kept elsewhere, or nothing came.
    pub(crate) fn settle(self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "what was asked cannot be removed");
        }
    }

    fn load(path: PathBuf, site: &PublicKey, now: WallMs) -> Option<Self> {
        let turn = File::open(&path).ok()?;
        flock(&turn, FlockOperation::NonBlockingLockExclusive).ok()?;
        if turn.metadata().ok()?.nlink() == 0 {
            return None;
        }
        let format = read(&path)?;
        if format.site != site.to_string() {
            return None;
        }
        let asked = Self {
            checkout: format.checkout()?,
            path,
            _turn: turn,
        };
        let end = WallMs(format.asked_ms).plus(asked.checkout.length_ms.unwrap_or_default());
        if now > end {
            asked.settle();
            return None;
        }
        Some(asked)
    }
}

/// Of all sites.
pub(super) fn files(paths: &Paths) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(paths.borrow_directory());
    let paths = entries.into_iter().flatten().flatten().map(|it| it.path());
    paths
        .filter(|path| path.extension().is_some_and(|it| it == "asked"))
        .collect()
}

fn read(path: &Path) -> Option<Format> {
    let text = std::fs::read_to_string(path).ok()?;
    toml::from_str(&text)
        .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "unreadable"))
        .ok()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Format {
    /// The one server that was asked.
    site: String,
    /// By this machine's wall clock.
    asked_ms: u64,
    /// As it was sent, base64.
    checkout: String,
}

impl Format {
    fn of(site: &PublicKey, checkout: &Checkout, now: WallMs) -> io::Result<Self> {
        let bytes = codec::encode(checkout).map_err(io::Error::other)?;
        Ok(Self {
            site: site.to_string(),
            asked_ms: now.0,
            checkout: BASE64.encode(&bytes),
        })
    }

    fn checkout(&self) -> Option<Checkout> {
        codec::decode(&BASE64.decode(self.checkout.as_bytes()).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::MachineId;
    use usher_protocol::{
        ids::{Nonce, Token},
        time::DurationMs,
        wire::{Environment, Holder},
    };

    const NOW: WallMs = WallMs(1_795_348_800_000);
    const WEEK: DurationMs = DurationMs::days(7);

    fn site(seed: u8) -> PublicKey {
        PublicKey::from(&ed25519_dalek::SigningKey::from_bytes(&[seed; 32]))
    }

    fn checkout() -> Checkout {
        Checkout {
            nonce: Nonce([5; 16]),
            token: Token([6; 16]),
            feature: "solver".parse().unwrap(),
            environment: Environment::Test,
            seats: 2,
            version: Some("2027.1".parse().unwrap()),
            length_ms: Some(WEEK),
            holder: Holder {
                user: "ada".to_owned(),
                host: "ws01".to_owned(),
                display: None,
                process: 7,
            },
            wait: false,
        }
    }

    fn paths(home: &Path) -> Paths {
        let variable = |_: &str| Some(home.as_os_str().to_owned());
        Paths::from_variables(variable, MachineId::of_this_machine()).unwrap()
    }

    fn unsettled(paths: &Paths, seed: u8, now: WallMs) -> Vec<Checkout> {
        let asked = Asked::unsettled(paths, &site(seed), now);
        asked.into_iter().map(|it| it.checkout.clone()).collect()
    }

    #[test]
    fn l5_what_was_asked_and_not_answered_is_asked_again_word_for_word() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        let asked = Asked::store(&paths, &site(1), checkout(), NOW).unwrap();
        assert_eq!(unsettled(&paths, 1, NOW), [], "its process still waits");
        drop(asked);
        assert_eq!(unsettled(&paths, 1, NOW), [checkout()]);
        assert_eq!(unsettled(&paths, 2, NOW), [], "another site was not asked");
        assert_eq!(unsettled(&paths, 1, NOW.plus(WEEK)), [checkout()]);
        assert_eq!(unsettled(&paths, 1, NOW.plus(WEEK).plus(DurationMs(1))), []);
        assert_eq!(
            unsettled(&paths, 1, NOW),
            [],
            "what would be over is removed"
        );
    }

    #[test]
    fn what_is_settled_is_gone() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        Asked::store(&paths, &site(1), checkout(), NOW)
            .unwrap()
            .settle();
        assert_eq!(unsettled(&paths, 1, NOW), []);
    }
}
