//! Decides how a lease outlives the process that checked it out: one private file with the lease,
//! the chain of signatures above it, and the secrets that renew and release it (T6).
//!
//! A copy of the file is worth nothing under another client key. Must not renew by itself: that is
//! what [`crate::Seat`] is for.

mod format;
mod verify;

pub use verify::{Proven, VerifyError};

use crate::{
    client::Client,
    clock::Clock,
    connection::{Connection, Endorsed},
    driver::fresh,
    error::Error,
    paths::files::{self, FileLock, lock_beside},
    session::{Answer, Ask, Detached, Granted, Held, Right, Standing},
};
use format::Format;
use std::{
    io,
    path::{Path, PathBuf},
};
use usher_protocol::{
    documents::{endorsement::SignedEndorsement, lease::Lease},
    envelope::Signed,
    ids::{Nonce, PublicKey, Token},
    limits::{LEASE_MS_MAX, LEASE_MS_MIN_TEST},
    refusal::{Refusal, RefusalCode},
    time::{DurationMs, Now},
    wire::{Attach, Link, Release, Request},
};

/// A lease on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseFile {
    path: PathBuf,
    /// The vendor's root: which vendor it is, not that it is believed (T3).
    root: PublicKey,
    /// Where the server answered last.
    server: String,
    endorsement: SignedEndorsement,
    signed: Signed,
    /// Read from `signed`; genuine only once verified.
    lease: Lease,
    /// None in a copy that only shows the lease.
    secret: Option<StoredSecret>,
    right: StoredRight,
    length_ms: Option<DurationMs>,
}

/// What renews and releases the lease (T6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StoredSecret {
    nonce: Nonce,
    link: StoredLink,
}

/// The chain's last acknowledged step, and the one sent since, if one was (T6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StoredLink {
    acknowledged: Token,
    under_way: Option<Token>,
}

/// The right, and the boot whose clock it counts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StoredRight {
    right: Right,
    boot: Option<crate::clock::BootId>,
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
        file.secret = Some(StoredSecret {
            nonce: detached.nonce,
            link: StoredLink {
                acknowledged: detached.acknowledged,
                under_way: detached.under_way,
            },
        });
        file.length_ms = detached.length_ms;
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
            root: connection.root(),
            server: connection.server().address.to_string(),
            endorsement: endorsed.signed.clone(),
            signed: held.granted.signed,
            lease,
            secret: None,
            right: StoredRight {
                right: held.right,
                boot: Clock::new().boot_id(),
            },
            length_ms: None,
        })
    }

    /// Reads a lease file; nothing in it is believed yet.
    ///
    /// # Errors
    /// [`Error::LeaseFile`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| failed(path, &error))?;
        Format::parse(&text)
            .and_then(|format| format.into_file(path))
            .map_err(|problem| Error::LeaseFile(format!("{}: {problem}", path.display())))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The vendor root it names; whether that is believed is the caller's question (T3).
    pub fn root(&self) -> PublicKey {
        self.root
    }

    /// The server that answered last, `host:port`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// What the lease says; see [`LeaseFile::verify`] for whether it is so.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// What is left of the right at `now`: nothing once a clock says that it is over, or after a
    /// reboot (L1).
    pub fn left(&self, now: Now) -> DurationMs {
        let same_boot = self.right.boot.is_some() && self.right.boot == Clock::new().boot_id();
        match self.right.right.standing(now) {
            Standing::Over => DurationMs::ZERO,
            _ if !same_boot => DurationMs::ZERO,
            _ => self.right.right.left(now),
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
        self.length_ms = Some(length);
        Ok(())
    }

    /// Extends the lease and writes the file anew.
    ///
    /// # Errors
    /// [`Error::Refused`] with the server's reason; [`Error::NoAnswer`] or [`Error::Untrusted`] when
    /// its answer does not come or cannot be believed; [`Error::LeaseFile`].
    pub async fn renew(&mut self, client: &Client) -> Result<(), Error> {
        let _turn = self.take_turn().await?;
        let (nonce, link) = self.begin_step()?;
        let ask = self.ask();
        let request = Request::Attach(Attach {
            lease: self.signed.clone(),
            nonce,
            link,
            length_ms: self.length_ms,
        });
        let connection = connection(client).await?;
        // L1: before the send.
        let c0 = Clock::new().now();
        match connection.ask_within(&ask, request).await? {
            Answer::Granted(granted) => self.extended(c0, *granted, &connection).await,
            Answer::Refused(refusal) => Err(Error::Refused(refusal)),
            Answer::Released => Err(Error::Untrusted("a release instead of a lease".to_owned())),
            Answer::Unusable(reason, _) => Err(Error::Untrusted(reason)),
        }
    }

    /// Gives the seats back and removes the file. A lease that is over already is no error.
    ///
    /// # Errors
    /// As [`LeaseFile::renew`].
    pub async fn release(mut self, client: &Client) -> Result<(), Error> {
        let _turn = self.take_turn().await?;
        let (nonce, link) = self.begin_step()?;
        let request = Request::Release(Release {
            lease: self.lease.id,
            nonce,
            link,
        });
        let connection = connection(client).await?;
        match connection.ask_within(&self.ask(), request).await? {
            Answer::Released => {}
            Answer::Refused(refusal) if is_over(&refusal) => {}
            Answer::Refused(refusal) => return Err(Error::Refused(refusal)),
            Answer::Granted(_) => {
                return Err(Error::Untrusted("a lease instead of a release".to_owned()));
            }
            Answer::Unusable(reason, _) => return Err(Error::Untrusted(reason)),
        }
        self.forget()
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
        self.endorsement = endorsed.signed.clone();
        self.server = connection.server().address.to_string();
        self.lease = lease;
        self.signed = granted.signed;
        self.right = StoredRight {
            right: Right {
                since: c0,
                length: granted.length,
            },
            boot: Clock::new().boot_id(),
        };
        if let Some(secret) = &mut self.secret
            && let Some(acknowledged) = secret.link.under_way.take()
        {
            secret.link.acknowledged = acknowledged;
        }
        self.store()
    }

    /// Of several processes that use one file, one at a time takes a step, and each from where the one
    /// before it left the chain: otherwise they would fork it (T6).
    async fn take_turn(&mut self) -> Result<FileLock, Error> {
        let turn = lock_beside(&self.path).await;
        let turn = turn.map_err(|error| failed(&self.path, &error))?;
        let now = Self::load(&self.path)?;
        if now.lease.id != self.lease.id {
            let path = self.path.display();
            return Err(Error::LeaseFile(format!(
                "{path}: it holds another lease by now; read it again"
            )));
        }
        *self = Self {
            length_ms: self.length_ms,
            ..now
        };
        Ok(turn)
    }

    /// The step is on disk before it is sent, so that a crash in between repeats it instead of
    /// forking the chain (T6).
    fn begin_step(&mut self) -> Result<(Nonce, Link), Error> {
        let Some(secret) = &mut self.secret else {
            return Err(Error::LeaseFile(format!(
                "{}: it only shows the lease, which the process that holds it renews and releases",
                self.path.display()
            )));
        };
        let is_new = secret.link.under_way.is_none();
        let link = secret.link.step(fresh()?.token);
        secret.link.under_way = Some(link.next);
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
            length_ms: self.length_ms,
            holder: self.lease.holder.clone(),
        }
    }

    fn store(&self) -> Result<(), Error> {
        let text = Format::of(self)
            .and_then(|format| format.text())
            .map_err(|problem| Error::LeaseFile(format!("{}: {problem}", self.path.display())))?;
        // Without its secrets it only shows a lease to a running process, which no power cut survives.
        let write = match self.secret {
            Some(_) => files::replace_private,
            None => files::show_private,
        };
        write(&self.path, text.as_bytes()).map_err(|error| failed(&self.path, &error))
    }
}

impl StoredLink {
    /// The step under way again, or `fresh` as a new one.
    fn step(self, fresh: Token) -> Link {
        Link {
            previous: self.acknowledged,
            next: self.under_way.unwrap_or(fresh),
        }
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
