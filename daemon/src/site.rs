//! The site key: where it comes from, and whether the store beside it may be a lost one (L12).
//!
//! A systemd credential `site.key` wins over the file in the state directory. Must not decide what a
//! lost store means: the core's start does.

use std::{
    env, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use ed25519_dalek::SigningKey;
use usher_client::{
    clock::Clock,
    keyfile::{self, KeyFileError},
    paths::files,
};
use usher_protocol::{
    documents::site_request::{SiteRequest, SiteRequestError},
    ids::{LifeId, PublicKey},
};

use crate::config;

/// The daemon's key.
#[derive(Debug)]
pub struct SiteKey {
    /// Signs leases; also the TLS key.
    pub key: SigningKey,
    /// Its public half, which licenses name.
    pub public: PublicKey,
    /// A daemon may have served with it before: an empty store is then a lost one (L12).
    pub is_older: bool,
    note: PathBuf,
}

/// Why there is no site key.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The file or the credential gives no key.
    #[error("{0}")]
    Key(#[from] KeyFileError),
    /// The note beside it cannot be written.
    #[error("cannot write {}: {source}; let the user that runs usherd write there", path.display())]
    Note {
        /// The note.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl SiteKey {
    /// The key of this state directory, made if there is none.
    ///
    /// # Errors
    /// [`SiteError`].
    pub fn load_or_create(state_dir: &Path) -> Result<Self, SiteError> {
        Self::from_sources(env::var_os(CREDENTIALS).map(PathBuf::from), state_dir)
    }

    fn from_sources(credentials: Option<PathBuf>, state_dir: &Path) -> Result<Self, SiteError> {
        let note = state_dir.join(NOTE_FILE);
        if let Some(key) = credential(credentials)? {
            // Whoever placed it may have used it elsewhere.
            return Ok(Self::new(key, true, note));
        }
        let path = state_dir.join(KEY_FILE);
        match keyfile::load(&path) {
            Ok(key) => {
                let public = PublicKey::from(&key);
                let is_new = fs::read_to_string(&note).is_ok_and(|it| it == note_text(&public));
                Ok(Self::new(key, !is_new, note))
            }
            Err(KeyFileError::Missing(_)) => Self::create(&path, note),
            Err(error) => Err(error.into()),
        }
    }

    /// A daemon has made its first durable step with this key: from now on an empty store is a lost one.
    pub fn mark_used(&self) {
        match fs::remove_file(&self.note) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let note = self.note.display();
                tracing::warn!(
                    "cannot remove {note}: {error}; remove it by hand, or a lost store may go unnoticed"
                );
            }
            _ => {}
        }
    }

    /// The request that the administrator mails to a vendor.
    ///
    /// # Errors
    /// [`SiteRequestError`], for a host name that no request may hold.
    pub fn request(&self) -> Result<String, SiteRequestError> {
        let request = SiteRequest {
            site: self.public,
            host: config::host_names()
                .into_iter()
                .next()
                .unwrap_or_else(|| "localhost".to_owned()),
            usherd: env!("CARGO_PKG_VERSION").to_owned(),
            requested: Clock::new().now().wall,
        };
        request.sign(&self.key)
    }

    /// The note is durable before the key is: a crash in between leaves a note about no key, and the next start
    /// makes another. The other way round it would leave a key that looks used, and hold all seats for nothing.
    fn create(path: &Path, note: PathBuf) -> Result<Self, SiteError> {
        let made = keyfile::new_key()?;
        let public = PublicKey::from(&made);
        files::replace_private(&note, note_text(&public).as_bytes()).map_err(|source| {
            SiteError::Note {
                path: note.clone(),
                source,
            }
        })?;
        let key = keyfile::keep(path, made)?;
        give_to_owner(&[path, &note]);
        // Of two that make one at once, the second has hidden the first's note: safe, and rare.
        let is_older = PublicKey::from(&key) != public;
        Ok(Self::new(key, is_older, note))
    }

    fn new(key: SigningKey, is_older: bool, note: PathBuf) -> Self {
        Self {
            public: PublicKey::from(&key),
            key,
            is_older,
            note,
        }
    }
}

/// A random name for one daemon life (L12).
///
/// # Errors
/// [`KeyFileError::Randomness`].
pub fn random_life() -> Result<LifeId, KeyFileError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(KeyFileError::Randomness)?;
    Ok(LifeId(bytes))
}

fn credential(directory: Option<PathBuf>) -> Result<Option<SigningKey>, KeyFileError> {
    let Some(directory) = directory else {
        return Ok(None);
    };
    match keyfile::load_credential(&directory.join(KEY_FILE)) {
        Ok(key) => Ok(Some(key)),
        Err(KeyFileError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// S7: an off-line verb run as root leaves nothing that the daemon's user cannot read.
fn give_to_owner(paths: &[&Path]) {
    for path in paths {
        let owner = path.parent().and_then(|parent| parent.metadata().ok());
        if let Some(owner) = owner
            && owner.uid() != rustix::process::geteuid().as_raw()
        {
            let given = std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()));
            if let Err(error) = given {
                tracing::warn!(
                    "cannot give {} to its directory's owner: {error}",
                    path.display()
                );
            }
        }
    }
}

fn note_text(public: &PublicKey) -> String {
    format!("No daemon has served with this key yet:\n{public}\n")
}

const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
const KEY_FILE: &str = "site.key";
const NOTE_FILE: &str = "site.key.unused";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_made_for_a_request_is_not_older_than_its_store() {
        let dir = tempfile::tempdir().unwrap();
        let made = SiteKey::from_sources(None, dir.path()).unwrap();
        assert!(!made.is_older);
        let again = SiteKey::from_sources(None, dir.path()).unwrap();
        assert_eq!(made.public, again.public);
        assert!(!again.is_older);
        again.mark_used();
        assert!(SiteKey::from_sources(None, dir.path()).unwrap().is_older);
    }

    #[test]
    fn a_crash_while_the_key_is_made_leaves_no_key_that_looks_used() {
        let dir = tempfile::tempdir().unwrap();
        // The note cannot be written: as if the crash came there.
        fs::create_dir(dir.path().join(NOTE_FILE)).unwrap();
        assert!(SiteKey::from_sources(None, dir.path()).is_err());
        assert!(!dir.path().join(KEY_FILE).exists());
        fs::remove_dir(dir.path().join(NOTE_FILE)).unwrap();
        // A note about a key that never was says nothing about the next one.
        fs::write(dir.path().join(NOTE_FILE), "No daemon").unwrap();
        assert!(!SiteKey::from_sources(None, dir.path()).unwrap().is_older);
    }

    #[test]
    fn a_key_copied_without_its_store_is_older() {
        let dir = tempfile::tempdir().unwrap();
        let copy = tempfile::tempdir().unwrap();
        SiteKey::from_sources(None, dir.path()).unwrap();
        fs::copy(dir.path().join(KEY_FILE), copy.path().join(KEY_FILE)).unwrap();
        assert!(SiteKey::from_sources(None, copy.path()).unwrap().is_older);
        // A note about another key says nothing of this one.
        let other = tempfile::tempdir().unwrap();
        SiteKey::from_sources(None, other.path()).unwrap();
        fs::copy(other.path().join(NOTE_FILE), copy.path().join(NOTE_FILE)).unwrap();
        assert!(SiteKey::from_sources(None, copy.path()).unwrap().is_older);
    }

    #[test]
    fn a_credential_wins_and_an_absent_one_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let credentials = tempfile::tempdir().unwrap();
        let file = SiteKey::from_sources(None, dir.path()).unwrap();
        let directory = Some(credentials.path().to_owned());
        let still = SiteKey::from_sources(directory.clone(), dir.path()).unwrap();
        assert_eq!(still.public, file.public);
        let other = keyfile::load_or_create(&credentials.path().join(KEY_FILE)).unwrap();
        let wins = SiteKey::from_sources(directory, dir.path()).unwrap();
        assert_eq!(wins.public, PublicKey::from(&other));
        assert!(wins.is_older);
    }

    #[test]
    fn a_request_verifies() {
        let dir = tempfile::tempdir().unwrap();
        let site = SiteKey::from_sources(None, dir.path()).unwrap();
        let text = site.request().unwrap();
        let request =
            usher_protocol::documents::site_request::VerifiedSiteRequest::verify(text.as_bytes());
        assert_eq!(request.unwrap().site, site.public);
    }
}
