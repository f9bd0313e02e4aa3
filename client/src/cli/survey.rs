//! Decides how all servers are asked at once, for the verbs that list: every source, every trusted
//! root, each server once. Must not print.

use super::{context::Context, failure::Failure};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use usher_client::{
    Error,
    client::{DOMAIN_VARIABLE, SERVER_VARIABLE},
    config::Config,
    connection::{ConnectError, Connection, Dialer, Wanted},
    discover::{
        self, Attempt, Budget, Candidate, DomainWishes, NotFound, Origin, Source, Wishes, last_good,
    },
    keyfile::ClientIdentity,
    marks::Marks,
    protocol::{
        ids::PublicKey,
        wire::{Environment, FeatureView, Push, Reply, Request},
    },
    trust::TrustedRoot,
};

/// A place where something answered, or that was advertised.
pub(crate) struct Sighting {
    pub(crate) address: SocketAddr,
    pub(crate) candidate: Arc<Candidate>,
    /// The vendors it proved to serve.
    pub(crate) proven: Vec<Proven>,
    /// The trusted vendors it did not prove to serve, and why.
    pub(crate) denied: Vec<(TrustedRoot, ConnectError)>,
}

/// A server's proof for one vendor.
pub(crate) struct Proven {
    pub(crate) trusted: TrustedRoot,
    pub(crate) connection: Connection,
    /// Kept so that the connection finds a listener.
    _pushes: mpsc::Receiver<Push>,
}

/// What a survey came to.
pub(crate) struct Seen {
    pub(crate) sightings: Vec<Sighting>,
    pub(crate) missed: NotFound<ConnectError>,
}

/// One feature that one server lends.
pub(crate) struct Offer {
    pub(crate) trusted: TrustedRoot,
    pub(crate) server: String,
    pub(crate) address: SocketAddr,
    pub(crate) view: FeatureView,
}

/// What all servers lend.
pub(crate) struct Offers {
    pub(crate) list: Vec<Offer>,
    /// Whether any server proved itself.
    pub(crate) proven: bool,
    pub(crate) missed: NotFound<ConnectError>,
    /// Servers that proved themselves and then did not answer.
    pub(crate) silent: Vec<String>,
}

/// Asks every server that proves itself for `roots` what it lends in our environment.
pub(crate) async fn offers(context: &Context, roots: &[TrustedRoot]) -> Result<Offers, Failure> {
    let seen = survey(context, roots).await?;
    let mut offers = Offers {
        list: Vec::new(),
        proven: false,
        missed: seen.missed,
        silent: Vec::new(),
    };
    for proven in seen.sightings.iter().flat_map(|it| &it.proven) {
        offers.proven = true;
        offers.take(context, proven).await;
    }
    (offers.list).sort_by_key(|it| (it.trusted.vendor.clone(), it.view.feature.clone()));
    for sighting in seen.sightings {
        offers.missed.failures.extend(refusals(sighting));
    }
    Ok(offers)
}

impl Offers {
    async fn take(&mut self, context: &Context, proven: &Proven) {
        let server = proven.connection.server();
        let views = match ask(&proven.connection).await {
            Ok(views) => views,
            Err(reason) => return self.silent.push(format!("{}: {reason}", server.name)),
        };
        let ours = |view: &FeatureView| view.environment == context.environment();
        self.list
            .extend(views.into_iter().filter(ours).map(|view| Offer {
                trusted: proven.trusted.clone(),
                server: server.name.clone(),
                address: server.address,
                view,
            }));
    }
}

async fn ask(connection: &Connection) -> Result<Vec<FeatureView>, String> {
    let wait = usher_client::connection::CALL_MS_MAX;
    match connection.call_within(Request::Features, wait).await {
        Ok(Reply::Features(views)) => Ok(views),
        Ok(Reply::Refused(refusal)) => Err(refusal.detail),
        Ok(_) => Err("an answer to another question".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A server that serves no vendor of ours counts as missed.
fn refusals(sighting: Sighting) -> Vec<discover::Failure<ConnectError>> {
    if !sighting.proven.is_empty() {
        return Vec::new();
    }
    let failure = |(_, error)| discover::Failure {
        origin: sighting.candidate.origin,
        name: sighting.candidate.name.clone(),
        addr: Some(sighting.address),
        reason: discover::Reason::Refused(error),
    };
    sighting.denied.into_iter().map(failure).collect()
}

/// Finds every server by every source and has each prove itself for each root it may serve.
pub(crate) async fn survey(context: &Context, roots: &[TrustedRoot]) -> Result<Seen, Failure> {
    let prober = Arc::new(Prober::new(context, roots)?);
    let sources = sources(context, roots)?;
    let mut budget = Budget::default();
    if sources.contains(&Source::Mdns) {
        // The network never says that all have answered.
        budget.wait = NETWORK_WAIT;
    }
    let probe = |attempt: Attempt| {
        let prober = Arc::clone(&prober);
        async move { prober.probe(&attempt).await }
    };
    let survey = discover::survey(sources, budget, probe).await;
    let mut sightings: Vec<Sighting> = Vec::new();
    for found in survey.found {
        let mut sighting = Sighting {
            address: found.addr,
            candidate: found.candidate,
            proven: found.value.proven,
            denied: found.value.denied,
        };
        let had_some = !sighting.proven.is_empty();
        // One server has many addresses, and several sources name it.
        sighting.proven.retain(|new| {
            let known = |old: &Proven| {
                old.trusted.root == new.trusted.root
                    && old.connection.server().site == new.connection.server().site
            };
            !sightings.iter().flat_map(|it| &it.proven).any(known)
        });
        if !had_some || !sighting.proven.is_empty() {
            sightings.push(sighting);
        }
    }
    Ok(Seen {
        sightings,
        missed: survey.missed,
    })
}

struct Probed {
    proven: Vec<Proven>,
    denied: Vec<(TrustedRoot, ConnectError)>,
}

struct Prober {
    dialer: Dialer,
    marks: Marks,
    environment: Environment,
    roots: Vec<TrustedRoot>,
}

impl Prober {
    fn new(context: &Context, roots: &[TrustedRoot]) -> Result<Self, Failure> {
        let key = ClientIdentity::load_or_create(&context.paths).map_err(Error::from)?;
        let dialer = Dialer::new(key).map_err(|error| Error::Local(error.to_string()))?;
        Ok(Self {
            dialer,
            marks: Marks::new(context.paths.clone()),
            environment: context.environment(),
            roots: roots.to_vec(),
        })
    }

    /// An address where nobody answers is an error; one that is not ours is a sighting.
    async fn probe(&self, attempt: &Attempt) -> Result<Probed, ConnectError> {
        let mut probed = Probed {
            proven: Vec::new(),
            denied: Vec::new(),
        };
        let mut asked = false;
        for trusted in &self.roots {
            let short = trusted.root.fingerprint().short();
            // An advert that does not name a root costs no handshake for it (T4).
            if attempt.candidate.hints.claims_root(&short) == Some(false) {
                continue;
            }
            asked = true;
            match self.open(attempt.addr, trusted.root).await {
                Ok((connection, pushes)) => probed.proven.push(Proven {
                    trusted: trusted.clone(),
                    connection,
                    _pushes: pushes,
                }),
                Err(error @ (ConnectError::Unreachable(_) | ConnectError::Local(_))) => {
                    return Err(error);
                }
                Err(error) => probed.denied.push((trusted.clone(), error)),
            }
        }
        // An advert shows that somebody is there; of an address that a person named nothing is
        // known. A root that nobody has draws an answer, and tells no more than our bare key does.
        if !asked && attempt.candidate.origin != Origin::Mdns {
            let answer = self.open(attempt.addr, self.dialer.public_key()).await;
            if let Err(error @ (ConnectError::Unreachable(_) | ConnectError::Local(_))) = answer {
                return Err(error);
            }
        }
        Ok(probed)
    }

    async fn open(
        &self,
        address: SocketAddr,
        root: PublicKey,
    ) -> Result<(Connection, mpsc::Receiver<Push>), ConnectError> {
        let wanted = Wanted {
            root,
            environment: self.environment,
            site: None,
        };
        Connection::open(&self.dialer, address, &wanted, &self.marks).await
    }
}

fn sources(context: &Context, roots: &[TrustedRoot]) -> Result<Vec<Source>, Failure> {
    let config = Config::load(&context.paths).map_err(Error::from)?;
    let variable = |name: &str| {
        let text = std::env::var_os(name);
        text.map(|text| text.to_string_lossy().into_owned())
    };
    let (server, domain) = (variable(SERVER_VARIABLE), variable(DOMAIN_VARIABLE));
    let mut remembered = Vec::new();
    for trusted in roots {
        let root = trusted.root.fingerprint();
        let path = context.paths.last_good_server(&root);
        for address in last_good::recall(&path, &root.to_string()) {
            if !remembered.contains(&address) {
                remembered.push(address);
            }
        }
    }
    let wishes = Wishes {
        explicit: &context.global.server,
        environment: server.as_deref(),
        configuration: &config.server,
        last_good: remembered,
        domain: DomainWishes {
            explicit: context.global.domain.as_deref(),
            environment: domain.as_deref(),
            configuration: config.domain.as_deref(),
        },
        mdns: config.mdns.unwrap_or(true),
    };
    Ok(wishes.into_sources().map_err(Error::from)?)
}

/// A browse answers within 1.05 s even when someone else has just asked (FIELD).
const NETWORK_WAIT: Duration = Duration::from_millis(1300);
