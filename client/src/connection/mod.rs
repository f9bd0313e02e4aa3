//! Decides who the server is and pairs answers with questions: one QUIC connection, proved down
//! from the vendor root before anything else is said (T4).
//!
//! "Connected" means `Welcome` verified, nothing earlier. Must not decide what to ask, nor whether a
//! lease still stands: that is the session's.

mod dial;
mod error;
mod exchange;
mod grant;
mod welcome;

pub use dial::Dialer;
pub use error::{CallError, ConnectError, GrantError};
pub use grant::Expected;
pub use welcome::{Endorsed, Wanted};

use crate::{
    clock::Clock,
    marks::Marks,
    session::{Answer, Ask},
};
use exchange::Exchange;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::mpsc;
use usher_protocol::{
    ids::{Epoch, Fingerprint, LifeId, PublicKey},
    limits::HANDSHAKE_MS_MAX,
    names::LicenseId,
    time::DurationMs,
    wire::{Checkout, Environment, Push, Reply, Request},
};

/// A connection whose server has proved its authority; cheap to clone, closed with its last clone.
#[derive(Debug, Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    exchange: Exchange,
    wanted: Wanted,
    marks: Marks,
    client: PublicKey,
    server: Server,
    endorsed: Mutex<BTreeMap<LicenseId, Arc<Endorsed>>>,
}

/// What is known of the server at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name for people, in its own words.
    pub name: String,
    /// Where it answered.
    pub address: SocketAddr,
    /// Its site key, proved by TLS and endorsed by the vendor (T4).
    pub site: PublicKey,
    /// The life it is in (L12).
    pub epoch: Epoch,
    /// The life it is in, by its random name (L12).
    pub life: LifeId,
    /// Every license of this vendor it serves, the endorsed one first.
    pub licenses: Vec<LicenseId>,
}

impl Connection {
    /// Dials `address` and returns once the server has proved that it serves what is wanted.
    ///
    /// # Errors
    /// [`ConnectError`]; until `Welcome` is verified nothing but our key, our versions and the
    /// wanted root's fingerprint was said (T4).
    pub async fn open(
        dialer: &Dialer,
        address: SocketAddr,
        wanted: &Wanted,
        marks: &Marks,
    ) -> Result<(Self, mpsc::Receiver<Push>), ConnectError> {
        let opening = Self::open_unbounded(dialer, address, wanted, marks);
        let silent = || ConnectError::Unreachable(format!("no answer within {HANDSHAKE_MS_MAX}"));
        within(HANDSHAKE_MS_MAX, opening)
            .await
            .unwrap_or_else(|| Err(silent()))
    }

    async fn open_unbounded(
        dialer: &Dialer,
        address: SocketAddr,
        wanted: &Wanted,
        marks: &Marks,
    ) -> Result<(Self, mpsc::Receiver<Push>), ConnectError> {
        let quic = dialer.dial(address, wanted.site).await?;
        let site = crate::tls::peer_key(&quic)
            .map_err(|error| ConnectError::Protocol(error.to_string()))?;
        let (mut send, mut receive) =
            (quic.open_bi().await).map_err(|error| ConnectError::Unreachable(error.to_string()))?;
        let welcome = welcome::exchange(&mut send, &mut receive, wanted).await?;
        let endorsed = Endorsed::verify(welcome.endorsement, wanted, &site)?;
        wanted.check_environment(&endorsed)?;
        marks.check(&endorsed.verified, (welcome.epoch, welcome.life))?;
        marks.hear_wall(&site, welcome.wall, Clock::new().now().wall);
        let license = endorsed.verified.license.clone();
        let mut licenses = vec![license.clone()];
        licenses.extend(welcome.licenses_more);
        let (exchange, pushes) = Exchange::start(quic, send, receive);
        let inner = Inner {
            exchange,
            wanted: wanted.clone(),
            marks: marks.clone(),
            client: dialer.public_key(),
            server: Server {
                name: welcome::bounded_name(&welcome.server),
                address,
                site,
                epoch: welcome.epoch,
                life: welcome.life,
                licenses,
            },
            endorsed: Mutex::new(BTreeMap::from([(license, Arc::new(endorsed))])),
        };
        let inner = Arc::new(inner);
        Ok((Self { inner }, pushes))
    }

    /// The server that proved itself.
    pub fn server(&self) -> &Server {
        &self.inner.server
    }

    /// Sends one request and waits for its answer, however long that takes; dropping the future
    /// gives the wait up.
    ///
    /// # Errors
    /// [`CallError`]; a refusal is a [`Reply`], not an error.
    pub async fn call(&self, request: Request) -> Result<Reply, CallError> {
        self.inner.exchange.call(request).await
    }

    /// As [`Connection::call`], but waits at most `wait`.
    ///
    /// # Errors
    /// [`CallError::NoAnswer`] after that; otherwise as `call`.
    pub async fn call_within(
        &self,
        request: Request,
        wait: DurationMs,
    ) -> Result<Reply, CallError> {
        let reply = within(wait, self.call(request)).await;
        reply.unwrap_or(Err(CallError::NoAnswer(wait)))
    }

    /// Asks for a lease, or for more of one, and judges the answer (T2).
    ///
    /// # Errors
    /// [`CallError`] when no answer came.
    pub async fn ask(&self, ask: &Ask, request: Request) -> Result<Answer, CallError> {
        if let Request::CheckoutAll(checkouts) = request {
            return self.ask_all(checkouts).await;
        }
        let expected = Expected::of(ask, &request);
        let reply = self.call(request).await?;
        Ok(match (reply, expected) {
            (Reply::Granted(grant), Some(expected)) => {
                match self.verify_grant(&grant, &expected).await {
                    Ok(lease) => Answer::Granted(Box::new(self.granted(grant, &lease))),
                    Err(GrantError::Call(error)) => return Err(error),
                    Err(error) => {
                        Answer::Unusable(error.to_string(), grant::shown(&grant.lease.body))
                    }
                }
            }
            (Reply::Queued(place), Some(_)) => Answer::Queued(place),
            (Reply::Left, None) => Answer::Left,
            (Reply::Released, _) => Answer::Released,
            (Reply::Refused(refusal), _) => Answer::Refused(Box::new(refusal)),
            (other, _) => {
                let why = format!("an answer to another question: {}", kind(&other));
                Answer::Unusable(why, None)
            }
        })
    }

    /// All leases of a set, or none: one that is not believed condemns the others.
    async fn ask_all(&self, checkouts: Vec<Checkout>) -> Result<Answer, CallError> {
        let expected: Vec<Expected> = checkouts.iter().map(Expected::of_checkout).collect();
        let grants = match self.call(Request::CheckoutAll(checkouts)).await? {
            Reply::GrantedAll(grants) => grants,
            Reply::Queued(place) => return Ok(Answer::Queued(place)),
            Reply::Refused(refusal) => return Ok(Answer::Refused(Box::new(refusal))),
            other => {
                let why = format!("an answer to another question: {}", kind(&other));
                return Ok(Answer::Unusable(why, None));
            }
        };
        let unusable = |why| {
            let named = grants.iter().map(|it| grant::shown(&it.lease.body));
            Ok(Answer::UnusableAll(why, named.collect()))
        };
        if grants.len() != expected.len() {
            let why = format!("{} leases instead of {}", grants.len(), expected.len());
            return unusable(why);
        }
        let mut leases = Vec::new();
        for (grant, expected) in grants.iter().zip(&expected) {
            match self.verify_grant(grant, expected).await {
                Ok(lease) => leases.push(lease),
                Err(GrantError::Call(error)) => return Err(error),
                Err(error) => return unusable(error.to_string()),
            }
        }
        let granted = grants.into_iter().zip(leases);
        let granted = granted.map(|(grant, lease)| self.granted(grant, &lease));
        Ok(Answer::GrantedAll(granted.collect()))
    }

    /// As [`Connection::ask`], but waits only as long as a person would.
    ///
    /// # Errors
    /// [`CallError::NoAnswer`] after that; otherwise as `ask`.
    pub async fn ask_within(&self, ask: &Ask, request: Request) -> Result<Answer, CallError> {
        let answer = within(CALL_MS_MAX, self.ask(ask, request)).await;
        answer.unwrap_or(Err(CallError::NoAnswer(CALL_MS_MAX)))
    }

    /// The vendor root this connection was proved down from.
    pub fn root(&self) -> PublicKey {
        self.inner.wanted.root
    }

    /// The endorsement of one license, from this connection's memory or from the server. With
    /// `hash`, it must endorse that very text: a license may have been replaced meanwhile.
    ///
    /// # Errors
    /// [`GrantError`] when it cannot be had or believed.
    pub async fn endorsed(
        &self,
        license: &LicenseId,
        hash: Option<Fingerprint>,
    ) -> Result<Arc<Endorsed>, GrantError> {
        let known = self.known(license);
        let fits = |it: &Arc<Endorsed>| hash.is_none_or(|hash| it.verified.license_hash == hash);
        if let Some(known) = known.filter(fits) {
            return Ok(known);
        }
        let request = Request::Endorsement(license.clone());
        let signed = match self.call_within(request, CALL_MS_MAX).await? {
            Reply::Endorsement(signed) => signed,
            Reply::Refused(refusal) => return Err(GrantError::NotEndorsed(refusal.detail)),
            other => return Err(GrantError::NotEndorsed(kind(&other).to_owned())),
        };
        let endorsed = Endorsed::verify(signed, &self.inner.wanted, &self.inner.server.site)?;
        let names = [
            (
                endorsed.verified.license != *license,
                "the server names another license",
            ),
            (
                hash.is_some_and(|hash| endorsed.verified.license_hash != hash),
                "the server names another issue of it",
            ),
        ];
        if let Some((_, what)) = names.into_iter().find(|(other, _)| *other) {
            return Err(GrantError::NotEndorsed(what.to_owned()));
        }
        let Server { epoch, life, .. } = self.inner.server;
        self.inner.marks.check(&endorsed.verified, (epoch, life))?;
        let endorsed = Arc::new(endorsed);
        self.remember(license.clone(), Arc::clone(&endorsed));
        Ok(endorsed)
    }

    /// The environment this connection is for (T8).
    pub fn environment(&self) -> Environment {
        self.inner.wanted.environment
    }

    /// Closes the connection; calls that wait fail.
    pub fn close(&self) {
        self.inner.exchange.close();
    }

    /// Closes the connection for another one that is to take its place: the server keeps what this
    /// client waits for, for a while (L9).
    pub fn abandon(&self) {
        self.inner.exchange.abandon();
    }

    fn known(&self, license: &LicenseId) -> Option<Arc<Endorsed>> {
        let endorsed = self
            .inner
            .endorsed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        endorsed.get(license).cloned()
    }

    fn remember(&self, license: LicenseId, it: Arc<Endorsed>) {
        let mut endorsed = self
            .inner
            .endorsed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if endorsed.len() < ENDORSED_MAX || endorsed.contains_key(&license) {
            endorsed.insert(license, it);
        }
    }
}

/// The outcome, unless it takes longer than `wait` of boot time (L3).
async fn within<T>(wait: DurationMs, outcome: impl Future<Output = T>) -> Option<T> {
    let clock = Clock::new();
    tokio::select! {
        outcome = outcome => Some(outcome),
        // Without an alarm there is no time-out, but there may still be an outcome.
        Ok(()) = clock.sleep(wait) => None,
    }
}

/// What kind of answer it is, for a message about a wrong one.
pub(crate) fn kind(reply: &Reply) -> &'static str {
    match reply {
        Reply::Granted(_) => "a lease",
        Reply::Released => "a release",
        Reply::Features(_) => "a list of features",
        Reply::Holders(..) => "a list of holders",
        Reply::Endorsement(_) => "an endorsement",
        Reply::Refused(_) => "a refusal",
        Reply::Queued(_) => "a place in the queue",
        Reply::GrantedAll(_) => "several leases",
        Reply::Left => "a farewell from the queue",
        Reply::Returned(_) => "a return",
    }
}

/// Longest wait for an answer that no lease hangs on.
pub const CALL_MS_MAX: DurationMs = DurationMs::seconds(10);

/// Endorsements remembered on one connection.
const ENDORSED_MAX: usize = 256;
