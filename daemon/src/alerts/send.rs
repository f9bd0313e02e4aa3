//! How one payload travels: a POST over HTTP/1.1 on a connection of its own, over TLS unless it stays on this machine.
//! Follows no redirect: what is signed is for the one that the configuration names.

use std::{fs, path::Path, sync::Arc};

use axum::body::Body;
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::TlsConnector;

use crate::config::AlertConfig;

/// What is sent.
pub(super) struct Message<'a> {
    pub(super) signature: String,
    pub(super) body: &'a str,
}

/// Sends it once; done where the answer is one of success. The caller bounds the time.
///
/// # Errors
/// Why it was not taken, for people, without the URL's path.
pub(super) async fn post(endpoint: &AlertConfig, message: &Message<'_>) -> Result<(), String> {
    let url = &endpoint.url;
    let stream = TcpStream::connect((url.host(), url.port())).await;
    let stream = stream.map_err(|error| format!("no connection: {error}"))?;
    if !url.is_https() {
        return exchange(stream, endpoint, message).await;
    }
    let config = tls(endpoint.ca_file.as_deref())?;
    let name = ServerName::try_from(url.host().to_owned());
    let name = name.map_err(|_| "the URL's host is no name of a server".to_owned())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = stream.await.map_err(|error| format!("no TLS: {error}"))?;
    exchange(stream, endpoint, message).await
}

async fn exchange<S>(stream: S, endpoint: &AlertConfig, message: &Message<'_>) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = request(endpoint, message)?;
    let opened = http1::Builder::new()
        .max_buf_size(ANSWER_HEAD_BYTES_MAX)
        .handshake::<_, Body>(TokioIo::new(stream))
        .await;
    let (mut sender, connection) = opened.map_err(|error| format!("no HTTP: {error}"))?;
    // Ends with this function, whatever is still under way; the body of the answer interests nobody.
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let answer = sender.send_request(request).await;
    let status = answer
        .map_err(|error| format!("no answer: {error}"))?
        .status();
    if status.is_success() {
        return Ok(());
    }
    Err(format!("it answered {status}"))
}

fn request(endpoint: &AlertConfig, message: &Message<'_>) -> Result<Request<Body>, String> {
    Request::post(endpoint.url.path())
        .header("host", endpoint.url.authority())
        .header("content-type", "application/json")
        .header("user-agent", concat!("usherd/", env!("CARGO_PKG_VERSION")))
        .header("usher-signature", &message.signature)
        .body(Body::from(message.body.to_owned()))
        .map_err(|error| format!("no request can be made of it: {error}"))
}

/// TLS 1.3 alone, as everywhere here (T5).
fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| format!("no TLS: {error}"))?;
    let config = config.with_root_certificates(roots(ca_file)?);
    Ok(config.with_no_client_auth())
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let usual = || SYSTEM_ROOTS.iter().map(Path::new).find(|it| it.exists());
    let path = ca_file.or_else(usual);
    let path = path.ok_or("this system has no list of roots; name one with `ca-file`")?;
    let wrong = |problem: String| format!("the roots in {}: {problem}", path.display());
    let pem = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        // A system's list may hold one that is of no use to us.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        return Err(wrong("it has no certificate that can be used".to_owned()));
    }
    Ok(roots)
}

const ANSWER_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Where Debian, Red Hat and SUSE keep theirs.
const SYSTEM_ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];
