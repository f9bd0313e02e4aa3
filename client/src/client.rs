//! The library's front door: connect with a vendor key, check seats out (DESIGN 1).
//!
//! Must not decide whether a lease stands: that is the session's, read through [`crate::Seat`].

mod asking;
mod checkout;
mod checkout_all;
mod holder;

pub use checkout::CheckoutBuilder;
pub use checkout_all::CheckoutAllBuilder;
pub use holder::local_holder;

use crate::{
    borrow::{self, BorrowBuilder, Borrowed, Use},
    config::Config,
    connection::{Connection, Server, kind},
    discover::Budget,
    driver::{self, Handle, Setup},
    error::Error,
    keyfile::ClientIdentity,
    lease_file::LeaseFile,
    paths::Paths,
};
use ed25519_dalek::SigningKey;
use std::time::Duration;
use usher_protocol::{
    documents::vendor::{VendorKey, VendorKeyError},
    ids::PublicKey,
    names::FeatureName,
    refusal::HolderView,
    time::DurationMs,
    wire::{Environment, FeatureView, Holder, Reply, Request},
};

/// The environment variable that names a server, or several with commas.
pub const SERVER_VARIABLE: &str = "USHER_SERVER";

/// The environment variable that names the domain under which the DNS is asked.
pub const DOMAIN_VARIABLE: &str = "USHER_DOMAIN";

/// A client of one vendor's servers. Cheap to clone; its seats live on without it.
///
/// It runs on a thread of its own, so that it needs no particular runtime of the caller, finds its
/// server again by itself when the connection is lost, and re-attaches its seats (L6).
#[derive(Debug, Clone)]
pub struct Client {
    handle: Handle,
    environment: Environment,
    holder: Holder,
    paths: Paths,
}

impl Client {
    /// Finds a server of the vendor whose key this is, and has it prove itself (T4).
    ///
    /// `vendor_key` is the content of the vendor's key file, as in `include_str!("acme.pub")`.
    ///
    /// # Errors
    /// [`Error::NotFound`] says of every server tried why it is not ours; the others are about this
    /// machine's files and settings.
    pub async fn connect(vendor_key: impl AsRef<[u8]>) -> Result<Self, Error> {
        Self::builder(vendor_key)?.connect().await
    }

    /// Starts with the content of a vendor key file and leaves the rest to be chosen.
    ///
    /// # Errors
    /// [`Error::VendorKey`].
    pub fn builder(vendor_key: impl AsRef<[u8]>) -> Result<Builder, Error> {
        let text = std::str::from_utf8(vendor_key.as_ref());
        let text = text.map_err(|_| VendorKeyError::NotText)?;
        Ok(Builder::new(text.parse::<VendorKey>()?.root))
    }

    /// Seats of a feature: `client.checkout("solver").await?`, or with choices in between.
    ///
    /// `feature` is the name within the vendor; `acme/solver` is understood too.
    pub fn checkout(&self, feature: &str) -> CheckoutBuilder {
        CheckoutBuilder::new(self, feature)
    }

    /// Seats of several features at once, all or nothing:
    /// `client.checkout_all(["solver", "mesher"]).await?` gives one guard for each. At most
    /// [`usher_protocol::limits::FEATURES_PER_CHECKOUT_MAX`] features, each of them once.
    pub fn checkout_all<'a>(
        &self,
        features: impl IntoIterator<Item = &'a str>,
    ) -> CheckoutAllBuilder {
        CheckoutAllBuilder::new(self, features)
    }

    /// Waits until the server has acknowledged everything this client gave up or gave back: after a
    /// dropped checkout, its place in the queue is left then. Bound it by a time-out, for a server
    /// that is gone acknowledges nothing.
    pub async fn settled(&self) {
        self.handle.settled().await;
    }

    /// Seats of a feature for off-line use, kept in a file of this user's: awaited, they are on disk.
    /// `length` is bounded by license and policy (L10).
    pub fn borrow(&self, feature: &str, length: Duration) -> BorrowBuilder {
        let length = milliseconds(length);
        BorrowBuilder::new(self, &self.paths, &self.holder, feature, length)
    }

    /// What an earlier process borrowed of this server and never heard of, because the answer was lost:
    /// in a file now (L5).
    ///
    /// # Errors
    /// As awaiting [`Client::borrow`].
    pub async fn unanswered_borrow(
        &self,
        feature: &FeatureName,
    ) -> Result<Option<LeaseFile>, Error> {
        borrow::unanswered(self, &self.paths, feature).await
    }

    /// What the server serves of this vendor, and how much of it is free.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::NotFound`] or [`Error::NoAnswer`].
    pub async fn features(&self) -> Result<Vec<FeatureView>, Error> {
        match self.handle.ask(Request::Features).await? {
            Reply::Features(features) => Ok(features),
            other => Err(wrong(&other)),
        }
    }

    /// Who holds a feature's seats, and how many leases more there are than listed.
    ///
    /// # Errors
    /// As [`Client::features`].
    pub async fn holders(&self, feature: &FeatureName) -> Result<(Vec<HolderView>, u32), Error> {
        match self.handle.ask(Request::Holders(feature.clone())).await? {
            Reply::Holders(holders, more) => Ok((holders, more)),
            other => Err(wrong(&other)),
        }
    }

    /// The server that answered last.
    pub fn server(&self) -> Option<Server> {
        self.handle.server()
    }

    /// The proved connection, to ask on directly. None while it is being looked for.
    ///
    /// # Errors
    /// [`Error::Local`] if the client's thread is gone.
    pub async fn connection(&self) -> Result<Option<Connection>, Error> {
        self.handle.connection().await
    }

    /// Live, or test because the code opted in (T8).
    pub fn environment(&self) -> Environment {
        self.environment
    }
}

/// Everything about a client that can be chosen; what is not chosen comes from this machine's
/// configuration and environment.
#[derive(Debug, Clone)]
pub struct Builder {
    root: PublicKey,
    environment: Environment,
    servers: Vec<String>,
    domain: Option<String>,
    discovery: Option<bool>,
    surroundings: bool,
    paths: Option<Paths>,
    key: Option<SigningKey>,
    holder: Option<Holder>,
    budget: Budget,
}

impl Builder {
    /// For the vendor whose root this is.
    pub fn new(root: PublicKey) -> Self {
        Self {
            root,
            environment: Environment::Live,
            servers: Vec::new(),
            domain: None,
            discovery: None,
            surroundings: true,
            paths: None,
            key: None,
            holder: None,
            budget: Budget::default(),
        }
    }

    /// A server to ask, `host` or `host:port`; several calls name several. Then nobody else is asked.
    #[must_use]
    pub fn server(mut self, address: impl Into<String>) -> Self {
        self.servers.push(address.into());
        self
    }

    /// The domain under which the DNS is asked for servers (`_usher._udp.DOMAIN`), where none is named and the last
    /// good one does not answer; without this call `USHER_DOMAIN` and the configuration file decide.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Opts in to test licenses: seats come from those, and from no live one (T8).
    #[must_use]
    pub fn test_licenses(mut self) -> Self {
        self.environment = Environment::Test;
        self
    }

    /// Whether the local network may be asked; without this call the configuration file decides.
    #[must_use]
    pub fn discovery(mut self, may: bool) -> Self {
        self.discovery = Some(may);
        self
    }

    /// Ignores `USHER_SERVER`, `USHER_DOMAIN` and the configuration files.
    #[must_use]
    pub fn ignore_surroundings(mut self) -> Self {
        self.surroundings = false;
        self
    }

    /// Where the client keeps its key and its marks, instead of the XDG directories.
    #[must_use]
    pub fn paths(mut self, paths: Paths) -> Self {
        self.paths = Some(paths);
        self
    }

    /// The client key, instead of this user's on this machine.
    #[must_use]
    pub fn key(mut self, key: SigningKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Who is said to hold the seats, instead of this login on this host (T6).
    #[must_use]
    pub fn holder(mut self, holder: Holder) -> Self {
        self.holder = Some(holder);
        self
    }

    /// How long the search for a server may take in all; 5 s without this call.
    #[must_use]
    pub fn patience(mut self, wait: Duration) -> Self {
        self.budget.wait = wait;
        self
    }

    /// Finds a server and has it prove itself.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect(self) -> Result<Client, Error> {
        let environment = self.environment;
        let holder = self.holder.clone().unwrap_or_else(local_holder);
        let setup = self.setup()?;
        let paths = setup.paths.clone();
        let (handle, connected) = driver::start(setup)?;
        connected.await.map_err(|_| driver::ended())??;
        Ok(Client {
            handle,
            environment,
            holder,
            paths,
        })
    }

    /// A borrowed seat that stands and that no other process uses (L10). Asks no server.
    ///
    /// # Errors
    /// As [`crate::borrow::borrowed`].
    pub fn borrowed(&self, wanted: &Use) -> Result<Borrowed, Error> {
        let (paths, key) = self.identity()?;
        let holder = self.holder.clone().unwrap_or_else(local_holder);
        let place = borrow::Place {
            root: self.root,
            ours: PublicKey::from(&key),
            environment: self.environment,
            paths: &paths,
            display: holder.display.as_deref(),
        };
        Ok(place.open(wanted)?)
    }

    fn identity(&self) -> Result<(Paths, SigningKey), Error> {
        let paths = match &self.paths {
            Some(paths) => paths.clone(),
            None => Paths::from_environment()?,
        };
        let key = match &self.key {
            Some(key) => key.clone(),
            None => ClientIdentity::load_or_create(&paths)?,
        };
        Ok((paths, key))
    }

    fn setup(self) -> Result<Setup, Error> {
        let (paths, key) = self.identity()?;
        let config = if self.surroundings {
            Config::load(&paths)?
        } else {
            Config::default()
        };
        // What is not Unicode is no address, and the message will say so.
        let variable = |name: &str| {
            let text = std::env::var_os(name).filter(|_| self.surroundings);
            text.map(|text| text.to_string_lossy().into_owned())
        };
        Ok(Setup {
            root: self.root,
            environment: self.environment,
            key,
            paths,
            variable: variable(SERVER_VARIABLE),
            domain_variable: variable(DOMAIN_VARIABLE),
            explicit: self.servers,
            domain: self.domain,
            configuration: config.server,
            domain_configuration: config.domain,
            mdns: self.discovery.or(config.mdns).unwrap_or(true),
            budget: self.budget,
        })
    }
}

fn wrong(reply: &Reply) -> Error {
    Error::Untrusted(format!("an answer to another question: {}", kind(reply)))
}

fn milliseconds(length: Duration) -> DurationMs {
    DurationMs(u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
}
