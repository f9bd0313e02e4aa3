//! Leases that live in files between commands: which of them a word names, and the server that can
//! be asked about one. Must not judge them: that is [`LeaseFile`]'s.

use super::{context::Context, failure::Failure};
use std::path::{Path, PathBuf};
use usher_client::{
    Client, Error, LeaseFile, borrow,
    clock::{Clock, DurationMs, local_rfc3339},
    error::exit,
    keyfile::ClientIdentity,
    marks::Marks,
    protocol::{documents::lease_file::Proven, ids::PublicKey},
    trust::TrustedRoot,
};

/// A lease file, and what can be said of it off line.
pub(crate) struct Judged {
    pub(crate) file: LeaseFile,
    /// Who is believed to have vouched for it.
    pub(crate) trusted: Option<TrustedRoot>,
    /// The chain's proof, or what is wrong.
    pub(crate) proof: Result<Proven, String>,
    /// What is left of the right on this machine.
    pub(crate) left: DurationMs,
    /// Why this machine's clock is not believed about what was borrowed, if so (L10).
    clock: Option<String>,
}

impl Judged {
    /// Why it is worth nothing here, if so.
    pub(crate) fn fault(&self) -> Option<(u8, String)> {
        if let Some(fault) = self.not_ours() {
            return Some(fault);
        }
        if self.left == DurationMs::ZERO {
            return Some((exit::LOST, "the lease is over".to_owned()));
        }
        let clock = self.clock.clone();
        clock.map(|reason| (exit::REFUSED, reason))
    }

    /// Why it is not genuine, or of another machine or user, if so.
    pub(crate) fn not_ours(&self) -> Option<(u8, String)> {
        match &self.proof {
            Err(reason) => Some((exit::REFUSED, reason.clone())),
            Ok(proven) if !proven.is_ours => Some((
                exit::REFUSED,
                "wrong-device: the lease belongs to another machine or user (T6)".to_owned(),
            )),
            Ok(_) => None,
        }
    }
}

/// Reads a lease file and checks it down from the trusted roots to this user's key (T3, T6).
pub(crate) fn judge(context: &Context, path: &Path) -> Result<Judged, Failure> {
    let file = LeaseFile::load(path)?;
    let root = file.root().fingerprint();
    let trusted = context.trust()?.by_fingerprint(&root).cloned();
    let proof = match &trusted {
        Some(trusted) => {
            let ours = own_key(context)?;
            let proof = file.verify(&trusted.root, &ours);
            proof.map_err(|error| error.to_string())
        }
        None => Err(format!(
            "no vendor trusted here has the root {root}; `usher trust add` its key file"
        )),
    };
    let now = Clock::new().now();
    // The signed end bounds what the file says of itself.
    let left = file.left(now).min(file.lease().left(now.wall));
    let clock = match &proof {
        Ok(proven) if proven.lease.borrowed => {
            let site = &proven.endorsement.site;
            let marks = Marks::new(context.paths.clone());
            marks.check_wall(site, proven.lease.issued, now.wall).err()
        }
        _ => None,
    };
    Ok(Judged {
        file,
        trusted,
        proof,
        left,
        clock: clock.map(|error| error.to_string()),
    })
}

/// Removes the file of a borrow of ours that is over, and says so. A lease that was checked out stays
/// until it is released.
pub(crate) fn removed_if_over(context: &Context, judged: &Judged) -> bool {
    let Ok(proven) = &judged.proof else {
        return false;
    };
    let is_over = judged.left == DurationMs::ZERO;
    if !is_over || !proven.lease.borrowed || !proven.is_ours {
        return false;
    }
    let marks = Marks::new(context.paths.clone());
    borrow::discard(judged.file.clone(), &proven.endorsement.site, &marks);
    context.say(&format!(
        "the borrow of {} ended {}; its file is removed",
        proven.lease.feature,
        local_rfc3339(proven.lease.not_after)
    ));
    true
}

/// The file that a lease id or a path means.
pub(crate) fn find(context: &Context, lease: &str) -> Result<PathBuf, Failure> {
    if lease.contains('/') || Path::new(lease).is_file() {
        return Ok(PathBuf::from(lease));
    }
    let named = |path: &PathBuf| {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        stem.and_then(|stem| stem.split_once('-'))
            .is_some_and(|(_, id)| id == lease)
    };
    let mut found: Vec<PathBuf> = all(context)?.into_iter().filter(named).collect();
    match (found.pop(), found.is_empty()) {
        (Some(path), true) => Ok(path),
        (Some(_), false) => Err(Failure::new(
            format!(
                "several vendors have a lease `{lease}`\nnext: name its file, see `usher status`"
            ),
            exit::USAGE,
        )),
        (None, _) => Err(Failure::new(
            format!("no lease `{lease}` is kept here\nnext: see `usher status` for those that are"),
            exit::USAGE,
        )),
    }
}

/// Every lease file of this user on this machine.
pub(crate) fn all(context: &Context) -> Result<Vec<PathBuf>, Failure> {
    let directory = context.paths.lease_directory();
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(Failure::local(format!(
                "cannot read {}: {error}",
                directory.display()
            )));
        }
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|it| it == "lease"))
        .collect();
    paths.sort();
    Ok(paths)
}

/// A client of the very site that signed the lease: another of the same vendor knows nothing of it,
/// and its "unknown" must not be taken for an end.
pub(crate) async fn client_of(context: &Context, judged: &Judged) -> Result<Client, Failure> {
    let (Some(trusted), Ok(proven)) = (&judged.trusted, &judged.proof) else {
        let reason = judged.proof.as_ref().err().cloned().unwrap_or_default();
        return Err(Failure::new(
            format!("{}: {reason}", judged.file.path().display()),
            exit::REFUSED,
        ));
    };
    let builder = context.builder(trusted.root, proven.lease.environment);
    let site = proven.endorsement.site;
    if context.global.server.is_empty() {
        // Where it answered last comes first; it may have moved since.
        let there = builder.clone().server(judged.file.server());
        if let Ok(client) = there.connect().await
            && is_site(&client, &site)
        {
            return Ok(client);
        }
    }
    let client = builder.connect().await?;
    if is_site(&client, &site) {
        return Ok(client);
    }
    Err(Failure::new(
        "the server that was found is not the one that lent this lease\n\
         next: name that one with --server HOST",
        exit::UNREACHABLE,
    ))
}

fn is_site(client: &Client, site: &PublicKey) -> bool {
    client.server().is_some_and(|server| server.site == *site)
}

fn own_key(context: &Context) -> Result<PublicKey, Failure> {
    let key = ClientIdentity::load_or_create(&context.paths).map_err(Error::from)?;
    Ok(PublicKey::from(&key))
}
