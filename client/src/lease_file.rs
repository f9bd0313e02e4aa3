//! Decides how a lease outlives the process that checked it out: one private file with the lease,
//! the chain of signatures above it, and the secrets that renew and release it (T6).
//!
//! A copy of the file is worth nothing under another client key. Must not renew by itself: that is
//! what [`crate::Seat`] is for.

pub use usher_protocol::documents::lease_file::{Proven, VerifyError};

use crate::{
    borrow::{BorrowError, Gate},
    client::Client,
    clock::Clock,
    connection::{CALL_MS_MAX, Connection, Endorsed, kind},
    driver::fresh,
    error::Error,
    paths::files::{self, FileLock, lock_beside},
    session::{Answer, Ask, Detached, Granted, Held, Right, Standing},
};
use std::{
    io,
    path::{Path, PathBuf},
};
use usher_protocol::{
    documents::{
        lease::Lease,
        lease_file::{self as document, StoredRight, StoredSecret},
    },
    envelope::Signed,
    ids::{Nonce, PublicKey, Token},
    limits::{LEASE_MS_MAX, LEASE_MS_MIN_TEST},
    refusal::{Refusal, RefusalCode},
    time::{DurationMs, Now},
    wire::{Attach, Link, Release, Reply, Request},
};

/// What became of seats that were given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenBack {
    /// They are free.
    Free,
    /// They were borrowed, and the license does not lend such seats anew at once: they come back after
    /// this long (L10).
    Later(DurationMs),
    /// The lease was over already.
    Over,
}

/// A lease on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseFile {
    path: PathBuf,
    /// What stands there.
    written: document::LeaseFile,
    /// Read from `written`; genuine only once verified.
    lease: Lease,
}

impl LeaseFile {
    /// Writes a seat's lease to `path`; from then on the file holds the seat. Where that fails the
    /// seat is given back, for nobody could do so later.
    pub(crate) async fn keep(
        path: &Path,
        connection: &Connection,
        ask: &Ask,
        detached: Detached,
    ) -> Result<Self, Error> {
        let kept = Self::store_new(path, connection, &detached).await;
        if kept.is_err() {
            let release = Request::Release(detached.release(fresh()?.token));
            let _ = connection.ask_within(ask, release).await;
        }
        kept
    }

    async fn store_new(
        path: &Path,
        connection: &Connection,
        detached: &Detached,
    ) -> Result<Self, Error> {
        let mut file = Self::of(path, connection, detached.held.clone()).await?;
        file.written.secret = Some(StoredSecret {
            nonce: detached.nonce,
            acknowledged: detached.acknowledged,
            under_way: detached.under_way,
        });
        file.written.length_ms = detached.length_ms;
        file.store()?;
        Ok(file)
    }

    /// Writes a seat's lease to `path` without its secrets: it can be verified, and nothing else.
    pub(crate) async fn show(
        path: &Path,
        connection: &Connection,
        held: Held,
    ) -> Result<Self, Error> {
        let file = Self::of(path, connection, held).await?;
        file.store()?;
        Ok(file)
    }

    async fn of(path: &Path, connection: &Connection, held: Held) -> Result<Self, Error> {
        let lease = read_lease(path, &held.granted.signed)?;
        // Known already: the grant was verified with it.
        let endorsed = connection
            .endorsed(&lease.license, Some(lease.license_hash))
            .await;
        let endorsed = endorsed.map_err(|error| Error::Untrusted(error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            written: document::LeaseFile {
                root: connection.root(),
                server: connection.server().address.to_string(),
                endorsement: endorsed.signed.clone(),
                lease: held.granted.signed,
                length_ms: None,
                secret: None,
                right: of_this_boot(held.right),
            },
            lease,
        })
    }

    /// What a borrow brought, not stored yet (L10).
    pub(crate) async fn of_borrow(
        path: &Path,
        connection: &Connection,
        secret: StoredSecret,
        c0: Now,
        granted: Granted,
    ) -> Result<Self, Error> {
        let right = Right {
            since: c0,
            length: granted.length,
        };
        let mut file = Self::of(path, connection, Held { right, granted }).await?;
        file.written.secret = Some(secret);
        Ok(file)
    }

    /// Every lease file of a directory; what is none is passed over.
    pub(crate) fn all(directory: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|it| it == "lease"))
            .collect();
        paths.sort();
        let load = |path: &PathBuf| {
            Self::load(path)
                .inspect_err(|error| tracing::warn!(%error, "passed over"))
                .ok()
        };
        paths.iter().filter_map(load).collect()
    }

    /// Reads a lease file; nothing in it is believed yet.
    ///
    /// # Errors
    /// [`Error::LeaseFile`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| failed(path, &error))?;
        let written: document::LeaseFile = text
            .parse()
            .map_err(|problem| Error::LeaseFile(format!("{}: {problem}", path.display())))?;
        Ok(Self {
            path: path.to_owned(),
            lease: read_lease(path, &written.lease)?,
            written,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The vendor root it names; whether that is believed is the caller's question (T3).
    pub fn root(&self) -> PublicKey {
        self.written.root
    }

    /// The server that answered last, `host:port`.
    pub fn server(&self) -> &str {
        &self.written.server
    }

    /// What the lease says; see [`LeaseFile::verify`] for whether it is so.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Verifies down from `root`, which the caller believes, to the lease, and compares its client
    /// key with `ours`.
    ///
    /// # Errors
    /// [`VerifyError`]; a lease of another client key is genuine, and not ours.
    pub fn verify(&self, root: &PublicKey, ours: &PublicKey) -> Result<Proven, VerifyError> {
        self.written.verify(root, ours)
    }

    /// Whether it was borrowed for off-line use (L10).
    pub fn is_borrowed(&self) -> bool {
        self.lease.borrowed
    }

    /// Whether its return was begun: nobody may use it any more, whether or not the server heard of it.
    pub(crate) fn is_returning(&self) -> bool {
        let under_way = |secret: StoredSecret| secret.under_way.is_some();
        self.lease.borrowed && self.written.secret.is_some_and(under_way)
    }

    /// Writes the lease to `path` without its secrets.
    pub(crate) fn show_at(&self, path: &Path) -> Result<(), Error> {
        let mut shown = self.clone();
        path.clone_into(&mut shown.path);
        shown.written.secret = None;
        shown.store()
    }

    /// What is left of the right at `now`: nothing once a clock says that it is over, or after a
    /// reboot (L1). What is borrowed runs by the wall clock alone (L10); whether that clock is believed
    /// is [`crate::marks`]' question.
    pub fn left(&self, now: Now) -> DurationMs {
        if self.lease.borrowed {
            return self.lease.left(now.wall);
        }
        let StoredRight {
            since,
            length,
            boot,
        } = self.written.right;
        let right = Right { since, length };
        let same_boot = boot.is_some() && boot == Clock::new().boot_id();
        match right.standing(now) {
            Standing::Over => DurationMs::ZERO,
            _ if !same_boot => DurationMs::ZERO,
            _ => right.left(now),
        }
    }

    /// Asks for another length from the next renewal on; the license bounds it (L2).
    ///
    /// # Errors
    /// [`Error::OutOfBounds`].
    pub fn wish(&mut self, length: DurationMs) -> Result<(), Error> {
        let bounds = LEASE_MS_MIN_TEST..=LEASE_MS_MAX;
        if !bounds.contains(&length) {
            let (min, max) = bounds.into_inner();
            return Err(Error::OutOfBounds(format!(
                "a lease of {length}: expected {min} to {max}"
            )));
        }
        self.written.length_ms = Some(length);
        Ok(())
    }

    /// Extends the lease and writes the file anew. A borrowed one is not extended (L10).
    ///
    /// # Errors
    /// [`Error::Refused`] with the server's reason; [`Error::NoAnswer`] or [`Error::Untrusted`] when
    /// its answer does not come or cannot be believed; [`Error::LeaseFile`].
    pub async fn renew(&mut self, client: &Client) -> Result<(), Error> {
        if self.lease.borrowed {
            return Err(Error::Refused(Box::new(Refusal::new(
                RefusalCode::LeaseBorrowed,
                "a borrowed lease runs to its end; `usher return` it and borrow anew",
            ))));
        }
        let _turn = self.take_turn().await?;
        let (nonce, link) = self.begin_step()?;
        let ask = self.ask();
        let request = Request::Attach(Attach {
            lease: self.written.lease.clone(),
            nonce,
            link,
            length_ms: self.written.length_ms,
        });
        let connection = connection(client).await?;
        // L1: before the send.
        let c0 = Clock::new().now();
        match connection.ask_within(&ask, request).await? {
            Answer::Granted(granted) => self.extended(c0, *granted, &connection).await,
            Answer::Refused(refusal) => Err(Error::Refused(refusal)),
            Answer::Unusable(reason, _) => Err(Error::Untrusted(reason)),
            _ => Err(Error::Untrusted("no lease".to_owned())),
        }
    }

    /// Gives the seats back and removes the file. A lease that is over already is no error.
    ///
    /// # Errors
    /// As [`LeaseFile::renew`], and [`Error::Borrow`] while a process uses what was borrowed.
    pub async fn release(mut self, client: &Client) -> Result<GivenBack, Error> {
        let connection = connection(client).await?;
        let _turn = self.take_turn().await?;
        // Nobody may begin to use it meanwhile.
        let gate = self.gate()?;
        let (nonce, link) = self.begin_step()?;
        let request = Request::Release(Release {
            lease: self.lease.id,
            nonce,
            link,
        });
        let given_back = match connection.call_within(request, CALL_MS_MAX).await? {
            Reply::Released => GivenBack::Free,
            Reply::Returned(later) => GivenBack::Later(later),
            Reply::Refused(refusal) if is_over(&refusal) => GivenBack::Over,
            Reply::Refused(refusal) => return Err(Error::Refused(Box::new(refusal))),
            other => {
                let what = kind(&other);
                return Err(Error::Untrusted(format!("{what} instead of a release")));
            }
        };
        self.forget()?;
        if let Some(gate) = gate {
            gate.remove();
        }
        Ok(given_back)
    }

    fn gate(&self) -> Result<Option<Gate>, Error> {
        if !self.lease.borrowed {
            return Ok(None);
        }
        let gate = Gate::enter(&self.path).map_err(|error| failed(&self.path, &error))?;
        match gate.is_idle() {
            Ok(true) => Ok(Some(gate)),
            Ok(false) => Err(Error::Borrow(BorrowError::InUse {
                feature: self.lease.feature.clone(),
                until: self.lease.not_after,
            })),
            Err(error) => Err(failed(&self.path, &error)),
        }
    }

    /// Removes the file, whatever became of the lease.
    ///
    /// # Errors
    /// [`Error::LeaseFile`].
    pub fn forget(self) -> Result<(), Error> {
        std::fs::remove_file(&self.path).map_err(|error| failed(&self.path, &error))
    }

    async fn extended(
        &mut self,
        c0: Now,
        granted: Granted,
        connection: &Connection,
    ) -> Result<(), Error> {
        let lease = read_lease(&self.path, &granted.signed)?;
        let endorsed: std::sync::Arc<Endorsed> = connection
            .endorsed(&lease.license, Some(lease.license_hash))
            .await
            .map_err(|error| Error::Untrusted(error.to_string()))?;
        self.lease = lease;
        let written = &mut self.written;
        written.endorsement = endorsed.signed.clone();
        written.server = connection.server().address.to_string();
        written.lease = granted.signed;
        written.right = of_this_boot(Right {
            since: c0,
            length: granted.length,
        });
        if let Some(secret) = &mut written.secret
            && let Some(acknowledged) = secret.under_way.take()
        {
            secret.acknowledged = acknowledged;
        }
        self.store()
    }

    /// Of several processes that use one file, one at a time takes a step, and each from where the one
    /// before it left the chain: otherwise they would fork it (T6).
    async fn take_turn(&mut self) -> Result<FileLock, Error> {
        let turn = lock_beside(&self.path).await;
        let turn = turn.map_err(|error| failed(&self.path, &error))?;
        let mut now = Self::load(&self.path)?;
        if now.lease.id != self.lease.id {
            let path = self.path.display();
            return Err(Error::LeaseFile(format!(
                "{path}: it holds another lease by now; read it again"
            )));
        }
        now.written.length_ms = self.written.length_ms;
        *self = now;
        Ok(turn)
    }

    /// The step is on disk before it is sent, so that a crash in between repeats it instead of
    /// forking the chain (T6).
    fn begin_step(&mut self) -> Result<(Nonce, Link), Error> {
        let Some(secret) = &mut self.written.secret else {
            return Err(Error::LeaseFile(format!(
                "{}: it only shows the lease, which the process that holds it renews and releases",
                self.path.display()
            )));
        };
        let is_new = secret.under_way.is_none();
        let link = step(secret, fresh()?.token);
        secret.under_way = Some(link.next);
        let nonce = secret.nonce;
        if is_new {
            self.store()?;
        }
        Ok((nonce, link))
    }

    fn ask(&self) -> Ask {
        Ask {
            feature: self.lease.feature.clone(),
            environment: self.lease.environment,
            seats: self.lease.seats,
            version: None,
            length_ms: self.written.length_ms,
            holder: self.lease.holder.clone(),
        }
    }

    pub(crate) fn store(&self) -> Result<(), Error> {
        let text = self
            .written
            .to_text()
            .map_err(|problem| Error::LeaseFile(format!("{}: {problem}", self.path.display())))?;
        // Without its secrets it only shows a lease to a running process, which no power cut survives.
        let write = match self.written.secret {
            Some(_) => files::replace_private,
            None => files::show_private,
        };
        write(&self.path, text.as_bytes()).map_err(|error| failed(&self.path, &error))
    }
}

/// The step under way again, or `fresh` as a new one (T6).
fn step(secret: &StoredSecret, fresh: Token) -> Link {
    Link {
        previous: secret.acknowledged,
        next: secret.under_way.unwrap_or(fresh),
    }
}

fn of_this_boot(Right { since, length }: Right) -> StoredRight {
    StoredRight {
        since,
        length,
        boot: Clock::new().boot_id(),
    }
}

async fn connection(client: &Client) -> Result<Connection, Error> {
    let none = || Error::NoAnswer("the connection ended".to_owned());
    client.connection().await?.ok_or_else(none)
}

fn read_lease(path: &Path, signed: &Signed) -> Result<Lease, Error> {
    usher_protocol::codec::decode(&signed.body)
        .map_err(|error| Error::LeaseFile(format!("{}: {error}", path.display())))
}

fn is_over(refusal: &Refusal) -> bool {
    matches!(
        refusal.code,
        RefusalCode::LeaseEnded | RefusalCode::LeaseUnknown
    )
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::LeaseFile(format!("{}: {error}", path.display()))
}
