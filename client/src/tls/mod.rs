//! Decides who is calling (T4, T5): QUIC configurations in which both sides prove an Ed25519 key.
//! Must not decide what a key may do: that is the first exchange's, `Hello` and `Welcome`.
//!
//! The rustls configurations are built by hand because the convenient ones turn on 0-RTT and
//! resumption, and a resumed handshake never asks the verifiers.

mod certificate;
mod reset;
mod transport;
mod verify;

#[cfg(test)]
mod tests;

pub use reset::endpoint_config;
pub use transport::{client_transport, server_transport};
pub use verify::{ExpectedServer, PeerError};

use certificate::Identity;
use ed25519_dalek::SigningKey;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use std::sync::Arc;
use usher_protocol::ids::PublicKey;
use usher_protocol::limits;
use usher_protocol::wire::ALPN;
use verify::{AnyClient, ServerVerifier};

/// The name to give `quinn::Endpoint::connect`, which insists on one. It is never sent (SNI is
/// off) and never compared (T5).
pub const SERVER_NAME: &str = "usher";

/// Why a configuration could not be built. None of them depends on a peer.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate of our own key could not be written.
    #[error("cannot make the certificate of this key: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library refused the configuration.
    #[error("cannot set up TLS 1.3: {0}")]
    Configuration(#[from] rustls::Error),
    /// The TLS library lacks the cipher that QUIC's first packets use.
    #[error("cannot set up QUIC: {0}")]
    InitialCipher(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// What a client connects with: presents `key`, accepts the server that `server` says (T5).
///
/// # Errors
/// See [`TlsError`]; never for a valid key.
pub fn client_config(
    key: &SigningKey,
    server: ExpectedServer,
) -> Result<quinn::ClientConfig, TlsError> {
    let tls = client_tls(key, server)?;
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(Arc::new(client_transport()));
    // A validation token kept from one connection to the next would let networks link them.
    config.token_store(Arc::new(quinn::NoneTokenStore));
    Ok(config)
}

/// What a daemon listens with: presents `key`, accepts any client that proves an Ed25519 key (T5).
///
/// # Errors
/// See [`TlsError`]; never for a valid key.
pub fn server_config(key: &SigningKey) -> Result<quinn::ServerConfig, TlsError> {
    let tls = server_tls(key)?;
    let crypto = Arc::new(QuicServerConfig::try_from(tls)?);
    let mut config = quinn::ServerConfig::with_crypto(crypto);
    config.transport_config(Arc::new(server_transport()));
    config.max_incoming(limits::INCOMING_MAX);
    config.incoming_buffer_size(limits::INCOMING_BYTES_MAX);
    config.incoming_buffer_size_total(limits::INCOMING_BYTES_TOTAL_MAX);
    // A moved address would escape the caps per address (DESIGN 7); a client whose address
    // changed connects anew, which costs a millisecond and no seat (L6).
    config.migration(false);
    Ok(config)
}

/// The key that the peer of `connection` has proved to hold.
///
/// # Errors
/// [`PeerError`]; on a connection made with this module's configurations the handshake has
/// already refused everything that could be an error here.
pub fn peer_key(connection: &quinn::Connection) -> Result<PublicKey, PeerError> {
    let identity = connection.peer_identity().ok_or(PeerError::Chain(0))?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>();
    match chain.as_deref().map(Vec::as_slice) {
        Ok([certificate]) => verify::key_of(certificate),
        Ok(chain) => Err(PeerError::Chain(chain.len())),
        Err(_) => Err(PeerError::Chain(0)),
    }
}

fn client_tls(key: &SigningKey, server: ExpectedServer) -> Result<rustls::ClientConfig, TlsError> {
    let provider = provider();
    let verifier = ServerVerifier::new(server, &provider);
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Identity::new(key)?.resolver());
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_sni = false;
    config.enable_early_data = false;
    config.resumption = Resumption::disabled();
    config.key_log = Arc::new(rustls::NoKeyLog);
    Ok(config)
}

fn server_tls(key: &SigningKey) -> Result<rustls::ServerConfig, TlsError> {
    let provider = provider();
    let verifier = AnyClient::new(&provider);
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Identity::new(key)?.resolver());
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.max_early_data_size = 0;
    config.send_half_rtt_data = false;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.key_log = Arc::new(rustls::NoKeyLog);
    Ok(config)
}

/// Named here so that no process-wide default can take its place.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
