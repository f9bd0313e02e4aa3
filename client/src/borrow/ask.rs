//! Decides how a seat is borrowed: what is asked is on disk before it is sent, and the lease before
//! success is said (L5, L10). Must not decide what may be borrowed: that is the server's.

use super::asked::Asked;
use crate::{
    client::Client,
    clock::Clock,
    connection::{CALL_MS_MAX, Connection},
    driver::fresh,
    error::Error,
    lease_file::LeaseFile,
    marks::Marks,
    paths::Paths,
    session::{Answer, Ask, Granted},
};
use std::{future::IntoFuture, io, pin::Pin};
use usher_protocol::{
    documents::lease_file::StoredSecret,
    ids::LeaseId,
    limits::{BORROW_MS_MAX, LEASE_MS_MIN_TEST, SEATS_PER_CHECKOUT_MAX},
    names::{FeatureName, Version},
    refusal::RefusalCode,
    time::{DurationMs, Now},
    wire::{Borrow, Checkout, Environment, Holder, Link, Release, Reply, Request},
};

/// A borrow that is not sent yet: await it.
#[derive(Debug, Clone)]
#[must_use = "a borrow does nothing until it is awaited"]
pub struct BorrowBuilder {
    client: Client,
    paths: Paths,
    holder: Holder,
    feature: String,
    length: DurationMs,
    seats: u32,
    version: Option<String>,
}

/// What was borrowed.
#[derive(Debug)]
pub struct Lent {
    /// Its file, durable on this machine's disk; [`super::borrowed`] finds it there.
    pub file: LeaseFile,
    /// It answers a question of an earlier process whose answer was lost: its length is that one's.
    pub was_asked_before: bool,
}

impl BorrowBuilder {
    pub(crate) fn new(
        client: &Client,
        paths: &Paths,
        holder: &Holder,
        feature: &str,
        length: DurationMs,
    ) -> Self {
        Self {
            client: client.clone(),
            paths: paths.clone(),
            holder: holder.clone(),
            feature: feature.to_owned(),
            length,
            seats: 1,
            version: None,
        }
    }

    /// How many seats; 1 without this call. Each is for one process at a time.
    pub fn seats(mut self, count: u32) -> Self {
        self.seats = count;
        self
    }

    /// The version of the product that will run: the license must cover it.
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    async fn send(self) -> Result<Lent, Error> {
        let checkout = self.checkout()?;
        let connection = self.client.connection().await?;
        let connection =
            connection.ok_or_else(|| Error::NoAnswer("the connection ended".into()))?;
        let place = Lender {
            connection,
            paths: &self.paths,
        };
        // L5: an answer that was lost is asked for first, or its seat would be out for nobody.
        if let Some(file) = place
            .unsettled(&checkout.feature, checkout.environment)
            .await?
        {
            return Ok(Lent {
                file,
                was_asked_before: true,
            });
        }
        let asked = place.note(checkout)?;
        let file = place.ask(asked).await?;
        Ok(Lent {
            file,
            was_asked_before: false,
        })
    }

    fn checkout(&self) -> Result<Checkout, Error> {
        let out = |what: String, min: String, max: String| {
            Err(Error::OutOfBounds(format!(
                "{what}: expected {min} to {max}"
            )))
        };
        if !(1..=SEATS_PER_CHECKOUT_MAX).contains(&self.seats) {
            let seats = format!("{} seats", self.seats);
            return out(seats, "1".to_owned(), SEATS_PER_CHECKOUT_MAX.to_string());
        }
        if !(LEASE_MS_MIN_TEST..=BORROW_MS_MAX).contains(&self.length) {
            let length = format!("a borrow of {}", self.length);
            let (min, max) = (LEASE_MS_MIN_TEST.to_string(), BORROW_MS_MAX.to_string());
            return out(length, min, max);
        }
        let version = self.version.as_deref().map(str::parse::<Version>);
        let fresh = fresh()?;
        Ok(Checkout {
            nonce: fresh.nonce,
            token: fresh.token,
            feature: super::Use::of(&self.feature)?.feature,
            environment: self.client.environment(),
            seats: self.seats,
            version: version.transpose()?,
            length_ms: Some(self.length),
            holder: self.holder.clone(),
            wait: false,
        })
    }
}

impl IntoFuture for BorrowBuilder {
    type Output = Result<Lent, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// Asks once more what an earlier process asked and never heard of, if there is such a thing (L5).
pub(crate) async fn unanswered(
    client: &Client,
    paths: &Paths,
    feature: &FeatureName,
) -> Result<Option<LeaseFile>, Error> {
    let connection = client.connection().await?;
    let connection = connection.ok_or_else(|| Error::NoAnswer("the connection ended".into()))?;
    let lender = Lender { connection, paths };
    lender.unsettled(feature, client.environment()).await
}

/// Whom to ask, and where to keep what comes of it.
struct Lender<'a> {
    connection: Connection,
    paths: &'a Paths,
}

impl Lender<'_> {
    fn note(&self, checkout: Checkout) -> Result<Asked, Error> {
        let (site, now) = (self.connection.server().site, Clock::new().now());
        Asked::store(self.paths, &site, checkout, now.wall).map_err(|error| not_kept(&error))
    }

    /// What an earlier process asked for of the same feature and never heard of.
    async fn unsettled(
        &self,
        feature: &FeatureName,
        environment: Environment,
    ) -> Result<Option<LeaseFile>, Error> {
        let (site, now) = (self.connection.server().site, Clock::new().now());
        for asked in Asked::unsettled(self.paths, &site, now.wall) {
            let it = &asked.checkout;
            if (&it.feature, it.environment) != (feature, environment) {
                continue;
            }
            match self.ask(asked).await {
                Ok(file) => return Ok(Some(file)),
                // It came to nothing then, and does not now: there is no such lease.
                Err(Error::Refused(refusal)) if settles(refusal.code) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn ask(&self, asked: Asked) -> Result<LeaseFile, Error> {
        let ask = Ask::of(&asked.checkout);
        let c0 = Clock::new().now();
        let request = Request::Borrow(Borrow {
            checkout: asked.checkout.clone(),
            wall: c0.wall,
        });
        match self.connection.ask_within(&ask, request).await? {
            Answer::Granted(granted) => self.keep(asked, c0, *granted).await,
            Answer::Refused(refusal) => {
                if settles(refusal.code) {
                    asked.settle();
                }
                Err(Error::Refused(refusal))
            }
            Answer::Unusable(reason, lease) => {
                if let Some(lease) = lease {
                    self.give_back(asked, lease).await;
                }
                Err(Error::Untrusted(reason))
            }
            other => Err(Error::Untrusted(format!(
                "no answer to a borrow: {other:?}"
            ))),
        }
    }

    /// Durable before success is said. Where that fails the seat is given back, for nobody could do so
    /// later.
    async fn keep(&self, asked: Asked, c0: Now, granted: Granted) -> Result<LeaseFile, Error> {
        let id = granted.id;
        let secret = StoredSecret {
            nonce: asked.checkout.nonce,
            acknowledged: asked.checkout.token,
            under_way: None,
        };
        let kept = self.store(secret, c0, granted).await;
        match &kept {
            Ok(_) => asked.settle(),
            Err(_) => self.give_back(asked, id).await,
        }
        kept
    }

    async fn store(
        &self,
        secret: StoredSecret,
        c0: Now,
        granted: Granted,
    ) -> Result<LeaseFile, Error> {
        let root = self.connection.root().fingerprint();
        let path = self.paths.lease_file(&root, &granted.id);
        let site = granted.site;
        let file = LeaseFile::of_borrow(&path, &self.connection, secret, c0, granted).await?;
        let seen = c0.wall.max(file.lease().issued);
        let marks = Marks::new(self.paths.clone());
        // Before the lease: without its mark it could not be used.
        (marks.begin_wall(&site, seen)).map_err(|error| not_kept(&error))?;
        file.store()?;
        Ok(file)
    }

    async fn give_back(&self, asked: Asked, lease: LeaseId) {
        let Ok(fresh) = fresh() else { return };
        let release = Request::Release(Release {
            lease,
            nonce: asked.checkout.nonce,
            link: Link {
                previous: asked.checkout.token,
                next: fresh.token,
            },
        });
        if let Ok(Reply::Released | Reply::Returned(_)) =
            self.connection.call_within(release, CALL_MS_MAX).await
        {
            asked.settle();
        }
    }
}

fn not_kept(error: &io::Error) -> Error {
    Error::LeaseFile(format!("a borrowed lease cannot be kept here: {error}"))
}

/// Whether such a "no" means that this question never brought a lease, and will not. A server in
/// trouble (300 to 399) may not have looked.
fn settles(code: RefusalCode) -> bool {
    !(300..400).contains(&u16::from(code))
}
