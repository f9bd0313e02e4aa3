//! The lease verbs: what `usher` says over QUIC, said in JSON by a tool that holds a token of the scope `lease`.
//!
//! It decides whose leases these are (the token's key, which nobody has the secret half of: T6) and what the token may
//! have out. It must not weaken a rule: nonce and chain are the tool's own, as a client's are (L5, T6), the questions
//! go through the same queue, and the answers come after the commit (A2).

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use usher_client::clock::{Clock, utc_rfc3339};
use usher_engine::api::{AdminAsk, Answer, Caller, ClientAsk, LeaseView, Promise};
use usher_protocol::{
    documents::{
        lease::VerifiedLease,
        license::{Feature, Grouping},
    },
    envelope::{Signature, Signed},
    ids::{Fingerprint, LeaseId, PublicKey},
    names::{FeaturePath, Version},
    refusal::Refusal,
    time::DurationMs,
    wire::{Checkout, Environment, Holder, Link, Release, Renew, Request},
};

use super::{
    api::{Received, actor, lease_id, parse},
    connection::Peer,
    failure::{self, Failure},
    ledger::{self, SharedBook},
    numbers,
    server::Shared,
};
use crate::tokens::{Scope, SeatBound, Token};

/// `POST /api/v1/leases`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Obtain {
    /// `vendor/feature`.
    feature: String,
    /// A fresh secret of 128 bits: the same one is the same lease (L5).
    nonce: String,
    /// The first link of the renewal chain (T6).
    link: String,
    #[serde(default = "one", deserialize_with = "numbers::count")]
    seats: u32,
    version: Option<String>,
    #[serde(default, deserialize_with = "numbers::length")]
    length_ms: Option<DurationMs>,
    #[serde(default = "live")]
    environment: Environment,
    /// Who and where, in the tool's own words; the token's name and the address unless it says so.
    user: Option<String>,
    host: Option<String>,
    #[serde(default, deserialize_with = "numbers::count")]
    process: u32,
}

/// `POST /api/v1/leases/{lease}/renew`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Step {
    /// The secret of its checkout.
    nonce: String,
    /// The link of the last step that was answered.
    previous: String,
    /// A fresh link, kept the same across retries.
    next: String,
    #[serde(default, deserialize_with = "numbers::length")]
    length_ms: Option<DurationMs>,
    /// The signed lease, where usherd asks for it: it may know more than the store (L12).
    document: Option<Document>,
}

/// `POST /api/v1/leases/{lease}/release`: as in [`Step`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Back {
    nonce: String,
    previous: String,
    next: String,
}

/// The signed lease; [`VerifiedLease`] reads it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// The signed bytes, Base64.
    body: String,
    /// 64 bytes, Base64.
    signature: String,
}

/// A lease, granted or extended.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Granted {
    lease: String,
    feature: String,
    seats: u32,
    environment: Environment,
    license: String,
    /// The right's length, from the moment before the request was sent (L1).
    length_ms: DurationMs,
    renew_after_ms: DurationMs,
    not_after: String,
    seats_out: u32,
    seats_total: Option<u32>,
    document: Document,
}

/// `GET /api/v1/leases/{lease}`
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Standing {
    lease: String,
    feature: String,
    seats: u32,
    environment: Environment,
    user: String,
    host: String,
    since: String,
    free_in_ms: DurationMs,
    note: Option<String>,
}

/// `GET /api/v1/key`
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct KeyInformation {
    id: String,
    name: String,
    scope: Scope,
    created: String,
    expires: String,
    client: Option<String>,
    seats: Vec<KeySeats>,
}

/// What a token may have out of a feature, and has.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct KeySeats {
    feature: String,
    seats: u32,
    out: u32,
}

/// A token that may have leases, in the middle of a request.
struct Tool {
    shared: Arc<Shared>,
    token: Token,
    client: PublicKey,
    address: IpAddr,
}

/// `POST /api/v1/leases`
pub(super) async fn obtain(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
    Extension(Peer(address)): Extension<Peer>,
    body: Received,
) -> Result<Response, Failure> {
    let tool = Tool::new(shared, token, address)?;
    let wish: Obtain = parse(body)?;
    let granted = tool.whole(|tool| async move { tool.obtain(wish).await });
    Ok((StatusCode::CREATED, Json(granted.await?)).into_response())
}

/// `POST /api/v1/leases/{lease}/renew`
pub(super) async fn renew(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
    Extension(Peer(address)): Extension<Peer>,
    Path(lease): Path<String>,
    body: Received,
) -> Result<Json<Granted>, Failure> {
    let tool = Tool::new(shared, token, address)?;
    let (lease, step) = (lease_id(&lease)?, parse(body)?);
    let granted = tool.whole(move |tool| async move { tool.renew(lease, step).await });
    Ok(Json(granted.await?))
}

/// `POST /api/v1/leases/{lease}/release`
pub(super) async fn release(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
    Extension(Peer(address)): Extension<Peer>,
    Path(lease): Path<String>,
    body: Received,
) -> Result<Json<super::api::Done>, Failure> {
    let tool = Tool::new(shared, token, address)?;
    let (lease, back) = (lease_id(&lease)?, parse(body)?);
    let released = tool.whole(move |tool| async move { tool.release(lease, back).await });
    released.await?;
    Ok(Json(super::api::Done { done: true }))
}

/// `GET /api/v1/leases/{lease}`: a token of the scope `lease` sees its own, one that reads sees any.
pub(super) async fn validate(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
    Path(lease): Path<String>,
) -> Result<Json<Standing>, Failure> {
    let id = lease_id(&lease)?;
    let found = ledger::lease(&shared.admin.core, id).await?;
    let own = token.client.map(|client| client.fingerprint());
    match found.filter(|view| token.scope != Scope::Lease || Some(view.client) == own) {
        Some(view) => Ok(Json(standing(view))),
        None => Err(over(&shared, &token, id).await),
    }
}

/// `GET /api/v1/key`
pub(super) async fn key(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Token>,
) -> Result<Json<KeyInformation>, Failure> {
    let mut out = Vec::new();
    if let Some(client) = token.client {
        let (core, now) = (&shared.admin.core, Clock::new().boot());
        let book = shared.ledger.book(client);
        let mut book = book.lock().await;
        book.fill(core, client, now).await?;
        for bound in &token.seats {
            out.push(book.seats_out(core, &bound.feature, now).await?);
        }
    }
    let seats = token
        .seats
        .into_iter()
        .zip(out)
        .map(|(bound, out)| KeySeats {
            feature: bound.feature,
            seats: bound.seats,
            out,
        });
    Ok(Json(KeyInformation {
        id: token.id,
        name: token.name,
        scope: token.scope,
        created: utc_rfc3339(token.created),
        expires: utc_rfc3339(token.expires),
        client: token.client.map(|client| client.to_string()),
        seats: seats.collect(),
    }))
}

impl Tool {
    fn new(shared: Arc<Shared>, token: Token, address: IpAddr) -> Result<Self, Failure> {
        let client = token.client.ok_or_else(|| {
            let detail = "this token has no leases";
            Failure::new(StatusCode::FORBIDDEN, failure::SCOPE_TOO_SMALL, detail)
        })?;
        Ok(Self {
            shared,
            token,
            client,
            address,
        })
    }

    /// Whoever hangs up in the middle does not take what the engine did out of the book.
    async fn whole<T, F>(self, what: impl FnOnce(Arc<Self>) -> F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let done = tokio::spawn(what(Arc::new(self))).await;
        done.unwrap_or_else(|_| {
            let detail = "usherd is stopping; try again when it is back";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Err(Failure::new(status, failure::UNAVAILABLE, detail))
        })
    }

    async fn obtain(&self, wish: Obtain) -> Result<Granted, Failure> {
        let bound = self.bound(&wish.feature)?.seats;
        let path: FeaturePath = wish.feature.parse().map_err(bad("feature"))?;
        let root = self.root(&path).await?;
        let checkout = self.checkout(&wish, path)?;
        let book = self.shared.ledger.book(self.client);
        // Held until the answer is there: two at once must not both find the last seat free.
        let mut book = book.lock().await;
        let (core, now) = (&self.shared.admin.core, Clock::new().boot());
        book.fill(core, self.client, now).await?;
        // The same nonce is the same lease, whatever the bound says (L5).
        if !book.has(checkout.nonce) {
            let out = book.seats_out(core, &wish.feature, now).await?;
            if checkout.seats > bound.saturating_sub(out) {
                let detail = format!(
                    "this token may have {bound} seats of {} out and has {out}",
                    wish.feature
                );
                return Err(Failure::limit(detail));
            }
        }
        let (seats, nonce) = (checkout.seats, checkout.nonce);
        let promise = self.promise(root, ClientAsk::Checkout(checkout)).await?;
        let until = now.plus(promise.lease.length_ms);
        book.put(promise.lease.id, wish.feature.clone(), seats, nonce, until);
        self.granted(&promise, wish.feature)
    }

    async fn renew(&self, id: LeaseId, step: Step) -> Result<Granted, Failure> {
        let book = self.book().await?;
        let mut book = book.lock().await;
        if book.was_released(id) {
            return Err(Failure::lease_released());
        }
        let now = Clock::new().boot();
        let (nonce, link) = (
            step.nonce.parse().map_err(bad("nonce"))?,
            link(&step.previous, &step.next)?,
        );
        let renew = Renew {
            lease: id,
            nonce,
            link,
            length_ms: step.length_ms,
            idle_ms: None,
        };
        check(&Request::Renew(renew.clone()))?;
        let ask = match &step.document {
            None => ClientAsk::Renew(renew),
            Some(document) => self.attach(document, &renew)?,
        };
        let promise = self.promise(NO_ROOT, ask).await?;
        let feature = match book.feature(id) {
            Some(feature) => feature.to_owned(),
            None => self.feature_of(&promise).await?,
        };
        let until = now.plus(promise.lease.length_ms);
        book.put(id, feature.clone(), promise.lease.seats, nonce, until);
        self.granted(&promise, feature)
    }

    async fn release(&self, id: LeaseId, back: Back) -> Result<(), Failure> {
        let book = self.book().await?;
        let mut book = book.lock().await;
        if book.was_released(id) {
            // Repeating it is harmless.
            return Ok(());
        }
        let release = Release {
            lease: id,
            nonce: back.nonce.parse().map_err(bad("nonce"))?,
            link: link(&back.previous, &back.next)?,
        };
        match self.ask(NO_ROOT, ClientAsk::Release(release)).await {
            Answer::Released => {
                if book.knows(id) {
                    book.release(id);
                }
                Ok(())
            }
            Answer::Refused(refusal) => Err(Failure::refused(*refusal)),
            other => Err(out_of_turn(&other)),
        }
    }

    async fn book(&self) -> Result<SharedBook, Failure> {
        let book = self.shared.ledger.book(self.client);
        let now = Clock::new().boot();
        let core = &self.shared.admin.core;
        book.lock().await.fill(core, self.client, now).await?;
        Ok(book)
    }

    fn bound(&self, feature: &str) -> Result<&SeatBound, Failure> {
        let found = self.token.seats.iter().find(|it| it.feature == feature);
        found.ok_or_else(|| {
            let detail = format!("this token may not check out `{}`", feature.escape_debug());
            Failure::new(StatusCode::FORBIDDEN, failure::SCOPE_TOO_SMALL, detail)
        })
    }

    /// The vendor, where every license of the feature lets it be lent here.
    async fn root(&self, path: &FeaturePath) -> Result<Fingerprint, Failure> {
        let licenses = self.licenses().await?;
        let of_vendor = licenses
            .iter()
            .filter(|it| it.license.vendor == path.vendor);
        let mut root = None;
        for view in of_vendor {
            let features = view.license.features.iter();
            for feature in features.filter(|it| it.feature == path.feature) {
                may_be_lent(feature)?;
                root = Some(view.root);
            }
        }
        root.ok_or_else(|| Failure::not_found(format!("no license here has {path}")))
    }

    async fn licenses(&self) -> Result<Vec<usher_engine::api::LicenseView>, Failure> {
        let core = &self.shared.admin.core;
        match core.ask_admin(actor(&self.token), AdminAsk::Licenses).await {
            Answer::Licenses(licenses) => Ok(licenses),
            Answer::Refused(refusal) => Err(Failure::refused(*refusal)),
            other => Err(out_of_turn(&other)),
        }
    }

    fn checkout(&self, wish: &Obtain, path: FeaturePath) -> Result<Checkout, Failure> {
        let version = wish.version.as_deref().map(str::parse::<Version>);
        let checkout = Checkout {
            nonce: wish.nonce.parse().map_err(bad("nonce"))?,
            token: wish.link.parse().map_err(bad("link"))?,
            feature: path.feature,
            environment: wish.environment,
            seats: wish.seats,
            version: version.transpose().map_err(bad("version"))?,
            length_ms: wish.length_ms,
            holder: Holder {
                user: wish.user.clone().unwrap_or_else(|| self.token.name.clone()),
                host: wish
                    .host
                    .clone()
                    .unwrap_or_else(|| self.address.to_string()),
                display: None,
                process: wish.process,
            },
            wait: false,
        };
        check(&Request::Checkout(checkout.clone()))?;
        Ok(checkout)
    }

    /// L12: a lease that this site signed and the store may not know.
    fn attach(&self, document: &Document, renew: &Renew) -> Result<ClientAsk, Failure> {
        let decode = |text: &str| BASE64.decode(text.as_bytes()).map_err(bad("document"));
        let signature = decode(&document.signature)?;
        let signature: &[u8; 64] = signature.as_slice().try_into().map_err(bad("signature"))?;
        let signed = Signed {
            body: decode(&document.body)?,
            signature: Signature::from_bytes(signature),
        };
        let lease = VerifiedLease::verify(&signed, &self.shared.admin.site.public);
        let lease = lease.map_err(|error| Failure::lease_invalid(error.to_string()))?;
        if lease.id != renew.lease {
            return Err(Failure::lease_invalid("the document is another lease's"));
        }
        Ok(ClientAsk::Attach {
            lease: Box::new(lease),
            nonce: renew.nonce,
            link: renew.link,
            length_ms: renew.length_ms,
        })
    }

    async fn promise(&self, root: Fingerprint, ask: ClientAsk) -> Result<Promise, Failure> {
        match self.ask(root, ask).await {
            Answer::Promised(promise) => Ok(*promise),
            Answer::Refused(refusal) => Err(Failure::refused(*refusal)),
            other => Err(out_of_turn(&other)),
        }
    }

    async fn ask(&self, root: Fingerprint, ask: ClientAsk) -> Answer {
        let core = &self.shared.admin.core;
        let caller = Caller {
            client: self.client,
            root,
            address: self.address,
            // Nobody waits over HTTP, so nothing is pushed to it.
            connection: core.name_connection(),
        };
        core.ask(caller, ask).await
    }

    async fn feature_of(&self, promise: &Promise) -> Result<String, Failure> {
        let licenses = self.licenses().await?;
        let found = licenses.iter().find(|it| it.root == promise.lease.root);
        let vendor = found.map_or_else(
            || promise.lease.root.short(),
            |it| it.license.vendor.to_string(),
        );
        Ok(format!("{vendor}/{}", promise.lease.feature))
    }

    fn granted(&self, promise: &Promise, feature: String) -> Result<Granted, Failure> {
        let lease = &promise.lease;
        let signed = lease.sign(&self.shared.admin.site.key).map_err(|error| {
            tracing::error!("a lease cannot be signed: {error}");
            Failure::bad_request("this lease cannot be written down")
        })?;
        Ok(Granted {
            lease: lease.id.to_string(),
            feature,
            seats: lease.seats,
            environment: lease.environment,
            license: lease.license.to_string(),
            length_ms: lease.length_ms,
            renew_after_ms: promise.renew_after_ms,
            not_after: utc_rfc3339(lease.not_after),
            seats_out: promise.seats_out,
            seats_total: promise.seats_total,
            document: Document {
                body: BASE64.encode(&signed.body),
                signature: BASE64.encode(&signed.signature.to_bytes()),
            },
        })
    }
}

fn link(previous: &str, next: &str) -> Result<Link, Failure> {
    Ok(Link {
        previous: previous.parse().map_err(bad("previous"))?,
        next: next.parse().map_err(bad("next"))?,
    })
}

/// A license that counts by host knows hosts by their keys, and a token is shown from anywhere: all its hosts would
/// count as one (T6).
fn may_be_lent(feature: &Feature) -> Result<(), Failure> {
    match feature.grouping {
        Grouping::Process | Grouping::User => Ok(()),
        Grouping::UserHost | Grouping::Host | Grouping::Display => {
            let detail = "the license counts this feature by host, which a token cannot prove; check it out with `usher`";
            let status = StatusCode::FORBIDDEN;
            Err(Failure::new(status, failure::SCOPE_TOO_SMALL, detail))
        }
    }
}

/// Why there is no such lease, as far as is known.
async fn over(shared: &Shared, token: &Token, id: LeaseId) -> Failure {
    if let Some(client) = token.client {
        let book = shared.ledger.book(client);
        let book = book.lock().await;
        if book.was_released(id) {
            return Failure::lease_released();
        }
        if book.knows(id) {
            let detail = "this lease is over; its seats may be with others";
            return Failure::lease_expired(detail);
        }
    }
    Failure::lease_invalid("no such lease, or not this token's, or it is over")
}

fn standing(view: LeaseView) -> Standing {
    Standing {
        lease: view.id.to_string(),
        feature: view.feature,
        seats: view.seats,
        environment: view.environment,
        user: view.user,
        host: view.host,
        since: utc_rfc3339(view.since),
        free_in_ms: view.free_in_ms,
        note: view.note,
    }
}

/// Bounds of what is asked, as at the edge of QUIC (A3).
fn check(request: &Request) -> Result<(), Failure> {
    request
        .check()
        .map_err(|error| Failure::refused(Refusal::from(error)))
}

fn bad<E>(field: &'static str) -> impl Fn(E) -> Failure
where
    E: std::fmt::Display,
{
    move |error| Failure::bad_request(format!("`{field}`: {error}"))
}

fn out_of_turn(answer: &Answer) -> Failure {
    tracing::error!("the engine answered a lease verb with {answer:?}");
    Failure::bad_request("usherd answered out of turn; please report it")
}

const fn one() -> u32 {
    1
}

const fn live() -> Environment {
    Environment::Live
}

/// A lease names its own vendor.
const NO_ROOT: Fingerprint = Fingerprint([0; 32]);
