//! Decides what the daemon's settings are: flag over environment over file over default.
//!
//! A setting is checked where it enters; past [`Config`] nothing is checked again. Must not touch
//! anything but the file: directories and sockets are judged when they are used.

mod alerts;
mod error;
mod file;
mod http;
mod overrides;

use std::{
    net::{Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

pub use alerts::{AlertConfig, AlertConfigs, AlertUrl};
pub use error::ConfigError;
pub use file::{ConfigFile, ServerName};
pub use http::{CertificateFiles, HTTP_PORT_DEFAULT, HttpConfig, HttpListen};
pub use overrides::{Overrides, Places, unknown_variables};
use usher_engine::{api::Settings, policy::Policy};
use usher_protocol::limits::PORT_DEFAULT;

use crate::{
    limits,
    policy::{self, PolicyError},
};

/// Where the configuration is unless told otherwise; it need not exist.
pub const CONFIG_PATH: &str = "/etc/usher/usherd.toml";

/// The policy's name beside the configuration file; it need not exist.
pub const POLICY_NAME: &str = "policy.toml";

/// Where state is kept unless told otherwise.
pub const STATE_DIR: &str = "/var/lib/usherd";

/// Where administrators are heard unless told otherwise.
pub const ADMIN_SOCKET: &str = "/run/usherd/admin.sock";

/// Every setting, checked and complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file it was read from, when there was one.
    pub file: Option<PathBuf>,
    /// Addresses to serve on.
    pub listen: Vec<SocketAddr>,
    /// Nobody chose the addresses: IPv4 alone will do where IPv6 is off (DESIGN 7).
    pub listen_is_default: bool,
    /// Site key, journal and usage log.
    pub state_dir: PathBuf,
    /// The server's name for people.
    pub name: ServerName,
    /// Serve test licenses (T8).
    pub serve_test: bool,
    /// Advertise over mDNS.
    pub advertise: bool,
    /// The Unix socket of the admin verbs.
    pub admin_socket: PathBuf,
    /// The administrator's policy.
    pub policy: PathBuf,
    /// Whether it must be there.
    pub policy_choice: Choice,
    /// Leases one client key may hold.
    pub leases_per_client_max: usize,
    /// Leases in all.
    pub leases_max: usize,
    /// Connections from one address.
    pub connections_per_address_max: usize,
    /// The HTTPS server for administrators' tools.
    pub http: HttpConfig,
    /// Who is told of what goes wrong.
    pub alerts: Vec<AlertConfig>,
}

/// How it came about where a file is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Somebody said so: it must be there.
    Chosen,
    /// Nobody did: it need not be there.
    Usual,
}

impl Config {
    /// Reads the file named in `overrides`, or the usual one if it exists, and lays the overrides
    /// over it.
    ///
    /// # Errors
    /// [`ConfigError`], which names file, line and what was expected.
    pub fn load(overrides: &Overrides) -> Result<Self, ConfigError> {
        let (path, file) = match &overrides.places.config {
            Some(path) => (Some(path.clone()), ConfigFile::read(path)?),
            None => Self::usual_file()?,
        };
        Ok(Self::merged(path, file, overrides))
    }

    /// The policy as it is now. One that nobody chose need not be there.
    ///
    /// # Errors
    /// [`PolicyError`], which says everything that is wrong with it.
    pub fn load_policy(&self) -> Result<Policy, PolicyError> {
        match self.policy_choice {
            Choice::Chosen => policy::load_existing(&self.policy),
            Choice::Usual => policy::load(&self.policy),
        }
    }

    /// What the engine must know of it.
    pub fn settings(&self) -> Settings {
        Settings {
            serve_test: self.serve_test,
            leases_per_client_max: self.leases_per_client_max,
            leases_max: self.leases_max,
            host_names: host_names(),
        }
    }

    /// The names of settings that differ in `new` and take effect at the next start only.
    pub fn restart_needed_by(&self, new: &Self) -> Vec<&'static str> {
        let differs = [
            ("listen", self.listen != new.listen),
            ("state-dir", self.state_dir != new.state_dir),
            ("name", self.name != new.name),
            ("advertise", self.advertise != new.advertise),
            ("admin-socket", self.admin_socket != new.admin_socket),
            (
                "connections-per-address-max",
                self.connections_per_address_max != new.connections_per_address_max,
            ),
            ("http", self.http != new.http),
        ];
        differs
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(name, _)| name)
            .collect()
    }

    fn usual_file() -> Result<(Option<PathBuf>, ConfigFile), ConfigError> {
        let path = Path::new(CONFIG_PATH);
        match ConfigFile::read(path) {
            Ok(file) => Ok((Some(path.to_owned()), file)),
            Err(error) if error.is_absent() => Ok((None, ConfigFile::default())),
            Err(error) => Err(error),
        }
    }

    fn merged(path: Option<PathBuf>, file: ConfigFile, over: &Overrides) -> Self {
        let listen = over.listen.clone().or(file.listen.map(|list| list.0));
        let chosen = over.places.policy.clone().or_else(|| {
            let beside = |policy| match &path {
                Some(path) => path.with_file_name(policy),
                None => policy,
            };
            file.policy.map(beside)
        });
        let state_dir = over.places.state_dir.clone().or(file.state_dir);
        Self {
            policy_choice: match chosen {
                Some(_) => Choice::Chosen,
                None => Choice::Usual,
            },
            policy: chosen.unwrap_or_else(|| usual_policy(path.as_deref(), state_dir.as_deref())),
            file: path,
            listen_is_default: listen.is_none(),
            listen: listen.unwrap_or_else(|| vec![(Ipv6Addr::UNSPECIFIED, PORT_DEFAULT).into()]),
            state_dir: state_dir.unwrap_or_else(|| STATE_DIR.into()),
            name: over
                .name
                .clone()
                .or(file.name)
                .unwrap_or_else(ServerName::of_host),
            serve_test: over.serve_test.or(file.serve_test).unwrap_or(false),
            advertise: over.advertise.or(file.advertise).unwrap_or(true),
            admin_socket: over
                .places
                .admin_socket
                .clone()
                .or(file.admin_socket)
                .unwrap_or_else(|| ADMIN_SOCKET.into()),
            leases_per_client_max: over
                .leases_per_client_max
                .or(file.leases_per_client_max)
                .map_or(limits::LEASES_PER_CLIENT_MAX_DEFAULT, usize::from),
            leases_max: over
                .leases_max
                .or(file.leases_max)
                .map_or(limits::LEASES_MAX_DEFAULT, usize::from),
            connections_per_address_max: over
                .connections_per_address_max
                .or(file.connections_per_address_max)
                .map_or(limits::CONNECTIONS_PER_ADDRESS_MAX_DEFAULT, usize::from),
            http: file
                .http
                .unwrap_or_default()
                .overridden(over.http_listen.clone()),
            alerts: file.alerts.unwrap_or_default().0,
        }
    }
}

/// Beside the configuration file. A daemon that has none but a state directory of its own is not the
/// machine's one, and the machine's policy is none of its business.
fn usual_policy(config: Option<&Path>, state_dir: Option<&Path>) -> PathBuf {
    match (config, state_dir) {
        (Some(config), _) => config.with_file_name(POLICY_NAME),
        (None, Some(state_dir)) => state_dir.join(POLICY_NAME),
        (None, None) => Path::new(CONFIG_PATH).with_file_name(POLICY_NAME),
    }
}

/// This machine's names, as host bindings in a license may write them (T7).
pub fn host_names() -> Vec<String> {
    let node = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .to_lowercase();
    let short = node.split('.').next().unwrap_or_default().to_owned();
    let mut names = vec![node];
    if names[0] != short {
        names.push(short);
    }
    names.retain(|name| !name.is_empty());
    names
}

#[cfg(test)]
mod tests;
