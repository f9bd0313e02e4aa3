//! The configuration file: TOML, kebab-case, nothing unknown. Decides its fields and their bounds.

use std::{fs::File, io::Read as _, net::SocketAddr, num::NonZeroUsize, path::Path, path::PathBuf};

use serde::Deserialize;

use super::{AlertConfigs, ConfigError, HttpConfig, error::Place, host_names};
use crate::limits;

/// The file as written: what is left out is none.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConfigFile {
    /// Addresses with port: `["[::]:27443"]`.
    pub listen: Option<ListenAddresses>,
    /// Site key, journal and usage log.
    pub state_dir: Option<PathBuf>,
    /// The server's name for people.
    pub name: Option<ServerName>,
    /// Serve test licenses (T8).
    pub serve_test: Option<bool>,
    /// Advertise over mDNS.
    pub advertise: Option<bool>,
    /// The Unix socket of the admin verbs.
    pub admin_socket: Option<PathBuf>,
    /// The administrator's policy; beside this file when it is not absolute.
    pub policy: Option<PathBuf>,
    /// Leases one client key may hold.
    pub leases_per_client_max: Option<NonZeroUsize>,
    /// Leases in all.
    pub leases_max: Option<NonZeroUsize>,
    /// Connections from one address.
    pub connections_per_address_max: Option<NonZeroUsize>,
    /// The HTTPS server for administrators' tools.
    pub http: Option<HttpConfig>,
    /// Who is told of what goes wrong.
    pub alerts: Option<AlertConfigs>,
}

impl ConfigFile {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| {
                file.take(limits::CONFIG_BYTES_MAX + 1)
                    .read_to_end(&mut bytes)
            })
            .map_err(unreadable)?;
        if bytes.len() as u64 > limits::CONFIG_BYTES_MAX {
            return Err(ConfigError::TooLong {
                path: path.to_owned(),
            });
        }
        let text = String::from_utf8(bytes).map_err(|error| ConfigError::NotText {
            path: path.to_owned(),
            at: error.utf8_error().valid_up_to(),
        })?;
        Self::parse(path, &text)
    }

    /// Checks `text`; `path` is for the message alone.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Wrong {
            path: path.to_owned(),
            place: Place::of(text, error.span()),
            message: error.message().trim_end().to_owned(),
        })
    }
}

/// One to [`limits::LISTEN_ADDRESSES_MAX`] addresses, none of them twice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<SocketAddr>")]
pub struct ListenAddresses(pub Vec<SocketAddr>);

impl TryFrom<Vec<SocketAddr>> for ListenAddresses {
    type Error = String;

    fn try_from(addresses: Vec<SocketAddr>) -> Result<Self, String> {
        if addresses.is_empty() || addresses.len() > limits::LISTEN_ADDRESSES_MAX {
            let max = limits::LISTEN_ADDRESSES_MAX;
            return Err(format!("expected one to {max} addresses"));
        }
        for (index, address) in addresses.iter().enumerate() {
            if addresses[..index].contains(address) {
                return Err(format!("{address} is listed twice"));
            }
        }
        Ok(Self(addresses))
    }
}

/// The server's name for people: printable, short, not empty.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ServerName(String);

impl ServerName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This host's short name.
    pub fn of_host() -> Self {
        host_names()
            .pop()
            .and_then(|name| Self::try_from(name).ok())
            .unwrap_or_else(|| Self("usherd".to_owned()))
    }
}

impl TryFrom<String> for ServerName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let max = limits::SERVER_NAME_BYTES_MAX;
        if text.is_empty() || text.len() > max || text.chars().any(char::is_control) {
            return Err(format!(
                "a server name has 1 to {max} bytes without control characters"
            ));
        }
        Ok(Self(text))
    }
}

impl std::str::FromStr for ServerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::try_from(text.to_owned())
    }
}
