//! The table `[http]`: where the HTTPS server listens and what it shows. Decides its fields and their bounds.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::Deserialize;

use crate::limits;

/// The HTTPS server's settings, checked and complete.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "HttpTable")]
pub struct HttpConfig {
    /// Where to listen.
    pub listen: HttpListen,
    /// Certificate chain and private key, PEM; none is a certificate of our own making.
    pub certificate: Option<CertificateFiles>,
    /// Metrics need no token where the asker is on this machine.
    pub metrics_open_on_localhost: bool,
    /// Metrics carry the names of `flexlm_exporter` as well.
    pub flexlm_metrics: bool,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpListen {
    /// Nobody chose: on this machine alone, and only once there is a token.
    WhenWanted(SocketAddr),
    /// From the start on; empty is never.
    Chosen(Vec<SocketAddr>),
}

/// A certificate that the administrator brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the server's own first.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The table as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct HttpTable {
    listen: Option<Vec<SocketAddr>>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    metrics_open_on_localhost: Option<bool>,
    flexlm_metrics: Option<bool>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: HttpListen::WhenWanted((Ipv4Addr::LOCALHOST, HTTP_PORT_DEFAULT).into()),
            certificate: None,
            metrics_open_on_localhost: false,
            flexlm_metrics: false,
        }
    }
}

impl HttpConfig {
    /// The same, listening where a flag or variable says.
    #[must_use]
    pub fn overridden(mut self, listen: Option<Vec<SocketAddr>>) -> Self {
        if let Some(listen) = listen {
            self.listen = HttpListen::Chosen(listen);
        }
        self
    }
}

impl TryFrom<HttpTable> for HttpConfig {
    type Error = String;

    fn try_from(table: HttpTable) -> Result<Self, String> {
        let usual = Self::default();
        let listen = match table.listen {
            None => usual.listen,
            Some(addresses) if addresses.len() > limits::LISTEN_ADDRESSES_MAX => {
                let max = limits::LISTEN_ADDRESSES_MAX;
                return Err(format!("`listen`: expected at most {max} addresses"));
            }
            Some(addresses) => HttpListen::Chosen(addresses),
        };
        let certificate = match (table.certificate, table.key) {
            (None, None) => None,
            (Some(chain), Some(key)) => Some(CertificateFiles { chain, key }),
            _ => return Err("`certificate` and `key` go together".to_owned()),
        };
        Ok(Self {
            listen,
            certificate,
            metrics_open_on_localhost: table
                .metrics_open_on_localhost
                .unwrap_or(usual.metrics_open_on_localhost),
            flexlm_metrics: table.flexlm_metrics.unwrap_or(usual.flexlm_metrics),
        })
    }
}

/// The port beside the one for seats.
pub const HTTP_PORT_DEFAULT: u16 = 27480;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<HttpConfig, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn nobody_outside_this_machine_is_heard_unless_somebody_says_so() {
        let HttpListen::WhenWanted(address) = HttpConfig::default().listen else {
            panic!("it listens unasked");
        };
        assert!(address.ip().is_loopback());
        assert_eq!(read("").unwrap(), HttpConfig::default());
        let off = read("listen = []").unwrap();
        assert_eq!(off.listen, HttpListen::Chosen(Vec::new()));
    }

    #[test]
    fn a_certificate_comes_with_its_key_and_unknown_words_are_refused() {
        assert!(read("certificate = \"a.pem\"").is_err());
        assert!(read("certificate = \"a.pem\"\nkey = \"a.key\"").is_ok());
        assert!(read("lisen = []").is_err());
        assert!(read("listen = [\"0.0.0.0\"]").is_err());
    }
}
