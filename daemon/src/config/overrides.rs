//! What flags and environment lay over the file. Decides their names; the file's fields decide meaning.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf};

use super::ServerName;

/// Where things are: what every verb may need.
#[derive(Debug, Default, Clone, PartialEq, Eq, clap::Args)]
pub struct Places {
    /// Configuration file [default: /etc/usher/usherd.toml, if it exists]
    #[arg(
        long,
        value_name = "FILE",
        env = "USHERD_CONFIG",
        global = true,
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// Directory of site key, journal and usage log
    #[arg(
        long,
        value_name = "DIR",
        env = "USHERD_STATE_DIR",
        global = true,
        hide_env_values = true
    )]
    pub state_dir: Option<PathBuf>,
    /// Unix socket of the admin verbs
    #[arg(
        long,
        value_name = "PATH",
        env = "USHERD_ADMIN_SOCKET",
        global = true,
        hide_env_values = true
    )]
    pub admin_socket: Option<PathBuf>,
    /// The administrator's policy [default: policy.toml beside the configuration file]
    #[arg(
        long,
        value_name = "FILE",
        env = "USHERD_POLICY",
        global = true,
        hide_env_values = true
    )]
    pub policy: Option<PathBuf>,
}

/// Every setting that flag or environment may bring.
#[derive(Debug, Default, Clone, PartialEq, Eq, clap::Args)]
pub struct Overrides {
    /// Where things are; given before the verb, so not parsed again here.
    #[arg(skip)]
    pub places: Places,
    /// Addresses to serve on, with port; several with commas
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "USHERD_LISTEN",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub listen: Option<Vec<SocketAddr>>,
    /// The server's name for people [default: the host's name]
    #[arg(long, value_name = "NAME", env = "USHERD_NAME", hide_env_values = true)]
    pub name: Option<ServerName>,
    /// Serve test licenses (T8)
    #[arg(long, value_name = "BOOL", env = "USHERD_SERVE_TEST", num_args = 0..=1,
        require_equals = true, default_missing_value = "true", hide_env_values = true)]
    pub serve_test: Option<bool>,
    /// Advertise over mDNS
    #[arg(long, value_name = "BOOL", env = "USHERD_ADVERTISE", num_args = 0..=1,
        require_equals = true, default_missing_value = "true", hide_env_values = true)]
    pub advertise: Option<bool>,
    /// Leases one client key may hold
    #[arg(
        long,
        value_name = "COUNT",
        env = "USHERD_LEASES_PER_CLIENT_MAX",
        hide_env_values = true
    )]
    pub leases_per_client_max: Option<NonZeroUsize>,
    /// Leases in all
    #[arg(
        long,
        value_name = "COUNT",
        env = "USHERD_LEASES_MAX",
        hide_env_values = true
    )]
    pub leases_max: Option<NonZeroUsize>,
    /// Connections from one address
    #[arg(
        long,
        value_name = "COUNT",
        env = "USHERD_CONNECTIONS_PER_ADDRESS_MAX",
        hide_env_values = true
    )]
    pub connections_per_address_max: Option<NonZeroUsize>,
    /// Addresses of the HTTPS server, with port; several with commas
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "USHERD_HTTP_LISTEN",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub http_listen: Option<Vec<SocketAddr>>,
}

impl Overrides {
    /// No override but where things are.
    pub fn of_places(places: &Places) -> Self {
        Self {
            places: places.clone(),
            ..Self::default()
        }
    }
}

/// Variables of our prefix that mean nothing: a typing error would otherwise be silent.
pub fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    names
        .filter(|name| name.starts_with("USHERD_") && !KNOWN.contains(&name.as_str()))
        .collect()
}

const KNOWN: [&str; 13] = [
    "USHERD_CONFIG",
    "USHERD_STATE_DIR",
    "USHERD_ADMIN_SOCKET",
    "USHERD_POLICY",
    "USHERD_LISTEN",
    "USHERD_NAME",
    "USHERD_SERVE_TEST",
    "USHERD_ADVERTISE",
    "USHERD_LEASES_PER_CLIENT_MAX",
    "USHERD_LEASES_MAX",
    "USHERD_CONNECTIONS_PER_ADDRESS_MAX",
    "USHERD_HTTP_LISTEN",
    "USHERD_LOG",
];
