//! What the server proves itself by: the administrator's certificate, or one that it made and keeps.
//!
//! Its key is not the site key: browsers do not take Ed25519, and what signs leases signs nothing else here (T1, T4).
//! TLS 1.3 alone, without tickets, as for seats (T5); clients are known by their tokens.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    sync::Arc,
};

use data_encoding::BASE64;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use usher_client::paths::files;

use crate::config::{self, CertificateFiles, HttpConfig, HttpListen};

/// A certificate in use.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) config: Arc<ServerConfig>,
    /// For those that are to believe it.
    pub(super) pem: String,
}

/// Why there is no certificate. Each message names the next step.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or not what it should be.
    #[error("{}: {problem}; see `certificate` and `key` in [http] (docs/http.md)", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// None could be made.
    #[error(
        "cannot make a certificate for HTTPS: {0}; name one with `certificate` and `key` in [http]"
    )]
    Make(#[from] rcgen::Error),
    /// It was made and cannot be kept.
    #[error("cannot write {}: {source}; let the user that runs usherd write there", path.display())]
    Keep {
        /// Which file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// The certificate that the configuration names, or the one of our own making.
pub(super) fn certificate(config: &HttpConfig, state_dir: &Path) -> Result<Certificate, TlsError> {
    if let Some(files) = &config.certificate {
        return read(files);
    }
    let files = CertificateFiles {
        chain: state_dir.join(CERTIFICATE_FILE),
        key: state_dir.join(KEY_FILE),
    };
    if !files.key.exists() || !files.chain.exists() {
        make(&files, &config.listen)?;
    }
    read(&files)
}

fn read(files: &CertificateFiles) -> Result<Certificate, TlsError> {
    let wrong = |path: &Path, problem: String| TlsError::File {
        path: path.to_owned(),
        problem,
    };
    let pem = fs::read_to_string(&files.chain);
    let pem = pem.map_err(|error| wrong(&files.chain, error.to_string()))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let chain = chain.map_err(|error| wrong(&files.chain, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key);
    let key = key.map_err(|error| wrong(&files.key, error.to_string()))?;
    let config = server_config(chain, key);
    let config = config.map_err(|error| wrong(&files.chain, error.to_string()))?;
    Ok(Certificate {
        config: Arc::new(config),
        pem,
    })
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The key is kept before the certificate: a crash in between leaves a pair that is made anew.
fn make(files: &CertificateFiles, listen: &HttpListen) -> Result<(), TlsError> {
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(names(listen))?.self_signed(&key)?;
    for (path, text) in [
        (&files.key, pem("PRIVATE KEY", key.serialized_der())),
        (&files.chain, pem("CERTIFICATE", certificate.der())),
    ] {
        files::replace_private(path, text.as_bytes()).map_err(|source| TlsError::Keep {
            path: path.clone(),
            source,
        })?;
    }
    Ok(())
}

/// Every name and address by which it may be called.
fn names(listen: &HttpListen) -> Vec<String> {
    let mut names = config::host_names();
    names.push("localhost".to_owned());
    let addresses: Vec<IpAddr> = match listen {
        HttpListen::Chosen(chosen) => chosen.iter().map(std::net::SocketAddr::ip).collect(),
        HttpListen::WhenWanted(address) => vec![address.ip()],
    };
    let own = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let specified = addresses.into_iter().filter(|it| !it.is_unspecified());
    names.extend(own.into_iter().chain(specified).map(|it| it.to_string()));
    names.sort();
    names.dedup();
    names
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.extend([line, "\n"]);
        rest = more;
    }
    pem + &format!("-----END {label}-----\n")
}

const CERTIFICATE_FILE: &str = "http/certificate.pem";
const KEY_FILE: &str = "http/certificate.key";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_its_key_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let config = HttpConfig::default();
        let made = certificate(&config, dir.path()).unwrap();
        assert_eq!(certificate(&config, dir.path()).unwrap().pem, made.pem);
        assert!(!made.pem.contains("PRIVATE"));
        let key = dir.path().join(KEY_FILE);
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_named_certificate_that_is_none_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let chain = dir.path().join("a.pem");
        fs::write(&chain, "hello").unwrap();
        let config = HttpConfig {
            certificate: Some(CertificateFiles {
                chain,
                key: dir.path().join("a.key"),
            }),
            ..HttpConfig::default()
        };
        let error = certificate(&config, dir.path()).unwrap_err().to_string();
        assert!(error.contains("a.key"), "{error}");
        assert!(!dir.path().join(KEY_FILE).exists(), "none is made instead");
    }
}
