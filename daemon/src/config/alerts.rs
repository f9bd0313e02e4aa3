//! The tables `[[alerts]]`: who is told of what goes wrong, and how they know that it was us. Decides their fields and
//! their bounds; the files that they name are judged when they are used.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
};

use hyper::Uri;
use serde::Deserialize;

use crate::{alerts::Kind, limits};

/// One to whom events are sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "AlertTable")]
pub struct AlertConfig {
    /// Where to.
    pub url: AlertUrl,
    /// What it is signed with; see [`AlertConfig::secret_path`].
    pub secret_file: PathBuf,
    /// Which events; all unless the table says which.
    pub events: Vec<Kind>,
    /// The roots that may vouch for an `https` server, PEM; the system's unless the table says so.
    pub ca_file: Option<PathBuf>,
}

/// An `https` URL, or an `http` one of this very machine.
#[derive(Clone, PartialEq, Eq)]
pub struct AlertUrl(Uri);

/// The table as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct AlertTable {
    url: String,
    secret_file: PathBuf,
    events: Option<Vec<Kind>>,
    ca_file: Option<PathBuf>,
}

/// The tables together: few enough, no URL twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<AlertConfig>")]
pub struct AlertConfigs(pub Vec<AlertConfig>);

impl TryFrom<Vec<AlertConfig>> for AlertConfigs {
    type Error = String;

    fn try_from(tables: Vec<AlertConfig>) -> Result<Self, String> {
        if tables.len() > limits::ALERT_ENDPOINTS_MAX {
            let max = limits::ALERT_ENDPOINTS_MAX;
            return Err(format!("expected at most {max} tables [[alerts]]"));
        }
        for (index, table) in tables.iter().enumerate() {
            if tables[..index].iter().any(|it| it.url == table.url) {
                return Err(format!("{} has two tables [[alerts]]", table.url));
            }
        }
        Ok(Self(tables))
    }
}

impl TryFrom<AlertTable> for AlertConfig {
    type Error = String;

    fn try_from(table: AlertTable) -> Result<Self, String> {
        let events = table.events.unwrap_or_else(|| Kind::ALL.to_vec());
        if events.is_empty() {
            return Err("`events`: expected at least one; without the word it is all".to_owned());
        }
        Ok(Self {
            url: table.url.parse()?,
            secret_file: table.secret_file,
            events,
            ca_file: table.ca_file,
        })
    }
}

impl AlertConfig {
    /// Where the secret is: a file named without a directory is a systemd credential of that name where there is one,
    /// and else beside the configuration file.
    pub fn secret_path(&self, credentials: Option<&Path>, config: Option<&Path>) -> PathBuf {
        let name = &self.secret_file;
        let credential = credentials
            .filter(|_| name.components().count() == 1)
            .map(|directory| directory.join(name))
            .filter(|path| path.exists());
        credential
            .unwrap_or_else(|| config.map_or_else(|| name.clone(), |it| it.with_file_name(name)))
    }
}

impl AlertUrl {
    /// It is not in the clear.
    pub fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// The host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        bare_host(&self.0)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0
            .port_u16()
            .unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// What goes into the request's `host` field.
    pub fn authority(&self) -> &str {
        self.0.authority().map_or("", |it| it.as_str())
    }

    /// Path and query. They may be a secret: many services know their users by them.
    pub fn path(&self) -> &str {
        self.0.path_and_query().map_or("/", |it| it.as_str())
    }

    /// All of it, to tell one endpoint from another in a private file.
    pub fn in_full(&self) -> String {
        self.0.to_string()
    }
}

/// Without path and query, which may be a secret.
impl fmt::Display for AlertUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https() { "https" } else { "http" };
        write!(f, "{scheme}://{}/…", self.authority())
    }
}

impl fmt::Debug for AlertUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for AlertUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "expected one like https://alerts.example.com/usher";
        // What is wrong with it is told without it.
        let url: Uri = text.parse().map_err(|_| format!("`url`: {example}"))?;
        let authority = url.authority().map_or("", |it| it.as_str());
        if authority.contains('@') {
            return Err("`url`: a user or password in it would be sent in vain; the signature says who we are".to_owned());
        }
        if bare_host(&url).is_empty() {
            return Err(format!("`url`: {example}"));
        }
        match url.scheme_str() {
            Some("https") => Ok(Self(url)),
            Some("http") if is_this_machine(bare_host(&url)) => Ok(Self(url)),
            Some("http") => Err(
                "`url`: http:// is for this machine alone (localhost); expected https://"
                    .to_owned(),
            ),
            _ => Err(format!("`url`: {example}")),
        }
    }
}

fn bare_host(url: &Uri) -> &str {
    let host = url.host().unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']')
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AlertConfig, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_table_says_where_and_with_what_and_may_say_which() {
        let table = read("url = \"https://a.example/x?k=1\"\nsecret-file = \"s\"").unwrap();
        assert_eq!(table.events, Kind::ALL);
        assert_eq!((table.url.host(), table.url.port()), ("a.example", 443));
        assert_eq!(table.url.path(), "/x?k=1");
        assert_eq!(table.url.to_string(), "https://a.example/…");
        let table =
            read("url = \"http://[::1]:9\"\nsecret-file = \"s\"\nevents = [\"clone\"]").unwrap();
        assert_eq!((table.url.host(), table.url.port()), ("::1", 9));
        assert_eq!(table.events, [Kind::Clone]);
    }

    #[test]
    fn what_is_wrong_is_told_without_the_url() {
        for (text, told) in [
            (
                "url = \"http://a.example/secret\"",
                "http:// is for this machine alone",
            ),
            (
                "url = \"https://u:secret@a.example/\"",
                "a user or password in it",
            ),
            ("url = \"/secret\"", "expected one like"),
            ("url = \"ftp://a.example/secret\"", "expected one like"),
            (
                "url = \"https://a.example/\"\nevents = []",
                "expected at least one",
            ),
            (
                "url = \"https://a.example/\"\nevents = [\"clones\"]",
                "unknown variant `clones`",
            ),
            (
                "url = \"https://a.example/\"\nsecret = \"secret\"",
                "unknown field `secret`",
            ),
        ] {
            let error = read(&format!("{text}\nsecret-file = \"s\"")).unwrap_err();
            assert!(error.contains(told), "{error}");
            assert!(!error.contains("/secret"), "{error}");
        }
    }

    #[test]
    fn a_bare_name_is_a_credential_first() {
        let directory = tempfile::tempdir().unwrap();
        let table = read("url = \"https://a.example/\"\nsecret-file = \"s\"").unwrap();
        let config = Some(Path::new("/etc/usher/usherd.toml"));
        let path = || table.secret_path(Some(directory.path()), config);
        assert_eq!(path(), Path::new("/etc/usher/s"));
        std::fs::write(directory.path().join("s"), "x").unwrap();
        assert_eq!(path(), directory.path().join("s"));
        let absolute = read("url = \"https://a.example/\"\nsecret-file = \"/s\"").unwrap();
        assert_eq!(
            absolute.secret_path(Some(directory.path()), config),
            Path::new("/s")
        );
    }
}
