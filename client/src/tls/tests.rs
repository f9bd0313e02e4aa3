//! Real QUIC connections over loopback: what is accepted, and every way to be refused (T4, T5).

mod honest;
mod hostile;

use super::*;
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, Signer, SingleCertAndKey};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureAlgorithm, SignatureScheme};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> PublicKey {
    PublicKey::from(&key(seed))
}

/// What a meeting came to: each side's connection, or what that side was told.
struct Meeting {
    server: Result<quinn::Connection, String>,
    client: Result<quinn::Connection, String>,
    /// Kept, since dropping an endpoint ends its connections.
    _endpoints: [quinn::Endpoint; 2],
}

async fn meet(server: quinn::ServerConfig, client: quinn::ClientConfig) -> Meeting {
    let server = quinn::Endpoint::server(server, LOOPBACK).unwrap();
    let mut caller = quinn::Endpoint::client(LOOPBACK).unwrap();
    caller.set_default_client_config(client);
    let (there, here) = call(&server, &caller).await;
    Meeting {
        server: there,
        client: here,
        _endpoints: [server, caller],
    }
}

async fn call(
    server: &quinn::Endpoint,
    client: &quinn::Endpoint,
) -> (
    Result<quinn::Connection, String>,
    Result<quinn::Connection, String>,
) {
    let connecting = client
        .connect(server.local_addr().unwrap(), SERVER_NAME)
        .unwrap();
    let accept = async {
        server
            .accept()
            .await
            .unwrap()
            .await
            .map_err(|error| told(&error))
    };
    let connect = async { connecting.await.map_err(|error| told(&error)) };
    timeout(PATIENCE, async { tokio::join!(accept, connect) })
        .await
        .unwrap()
}

fn told(error: &quinn::ConnectionError) -> String {
    format!("{error:?}")
}

impl Meeting {
    fn both(&self) -> (&quinn::Connection, &quinn::Connection) {
        (self.server.as_ref().unwrap(), self.client.as_ref().unwrap())
    }

    /// The server's reason; the client, which may have thought itself connected, hears of it at
    /// its first read (FIELD).
    async fn refused_by_server(&self) -> String {
        let reason = self
            .server
            .as_ref()
            .expect_err("the server accepted")
            .clone();
        if let Ok(connection) = &self.client {
            timeout(PATIENCE, connection.closed())
                .await
                .expect("the client never heard");
            assert!(connection.open_bi().await.is_err());
        }
        reason
    }

    fn refused_by_client(&self) -> String {
        assert!(
            self.server.is_err(),
            "the server holds a connection that the client refused"
        );
        self.client
            .as_ref()
            .expect_err("the client accepted")
            .clone()
    }
}

/// A peer that presents what it likes and signs as it likes.
#[derive(Clone, Debug)]
struct Rogue {
    public: Vec<u8>,
    certificate: &'static rcgen::SignatureAlgorithm,
    scheme: SignatureScheme,
    sign: fn(&[u8]) -> Vec<u8>,
    copies: usize,
}

impl Rogue {
    /// Honest in all but what a test changes.
    fn new() -> Rogue {
        let public = key(7).verifying_key().to_bytes().to_vec();
        let sign = |message: &[u8]| ed25519_dalek::Signer::sign(&key(7), message).to_vec();
        let scheme = SignatureScheme::ED25519;
        Rogue {
            public,
            certificate: &PKCS_ED25519,
            scheme,
            sign,
            copies: 1,
        }
    }

    /// The neutral element as a key: with R = B and S = 1 any message is "signed", for S·B = R + h·A.
    fn small_order() -> Rogue {
        let mut identity = vec![0; 32];
        identity[0] = 1;
        let sign = |_: &[u8]| {
            let mut signature = vec![0x66; 64];
            signature[0] = 0x58;
            signature[32..].fill(0);
            signature[32] = 1;
            signature
        };
        Rogue {
            public: identity,
            sign,
            ..Rogue::new()
        }
    }

    fn resolver(self) -> Arc<SingleCertAndKey> {
        let der = rcgen::CertificateParams::default()
            .self_signed(&self)
            .unwrap()
            .der()
            .clone();
        let chain = vec![der; self.copies];
        Arc::new(SingleCertAndKey::from(CertifiedKey::new(
            chain,
            Arc::new(self),
        )))
    }

    fn client(self) -> quinn::ClientConfig {
        let mut config = super::client_tls(&key(7), ExpectedServer::Any).unwrap();
        config.client_auth_cert_resolver = self.resolver();
        quic_client(config)
    }

    fn server(self) -> quinn::ServerConfig {
        let mut config = super::server_tls(&key(7)).unwrap();
        config.cert_resolver = self.resolver();
        quic_server(config)
    }
}

fn quic_client(config: rustls::ClientConfig) -> quinn::ClientConfig {
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
}

fn quic_server(config: rustls::ServerConfig) -> quinn::ServerConfig {
    quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(config).unwrap()))
}

impl rcgen::PublicKeyData for Rogue {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.certificate
    }
}

impl rcgen::SigningKey for Rogue {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok((self.sign)(message))
    }
}

impl rustls::sign::SigningKey for Rogue {
    fn choose_scheme(&self, _offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(self.clone()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for Rogue {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok((self.sign)(message))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

/// Accepts any certificate, checks signatures as rustls does, and remembers what it was asked; with
/// `also`, it puts each handshake's signature to that verifier's TLS 1.2 callback as well.
#[derive(Debug, Default)]
struct Lenient {
    asked: Mutex<usize>,
    also_client: Option<ServerVerifier>,
    also_server: Option<AnyClient>,
    tls12: Mutex<Vec<Result<(), rustls::Error>>>,
}

impl Lenient {
    fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }

    fn check(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if let Some(also) = &self.also_client {
            let verdict = also.verify_tls12_signature(message, certificate, signature);
            self.tls12.lock().unwrap().push(verdict.map(|_| ()));
        }
        if let Some(also) = &self.also_server {
            let verdict = also.verify_tls12_signature(message, certificate, signature);
            self.tls12.lock().unwrap().push(verdict.map(|_| ()));
        }
        let algorithms = super::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.asked.lock().unwrap() += 1;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("TLS 1.2 is not linked in")
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl ClientCertVerifier for Lenient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        *self.asked.lock().unwrap() += 1;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("TLS 1.2 is not linked in")
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// A server that judges clients by `verifier` and is ours in all else.
fn server_judging(verifier: Arc<Lenient>) -> rustls::ServerConfig {
    let mut config = rustls::ServerConfig::builder_with_provider(super::provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Identity::new(&key(1)).unwrap().resolver());
    config.alpn_protocols = vec![ALPN.to_vec()];
    config
}

/// A client that judges servers by `verifier` and is ours in all else.
fn client_judging(verifier: Arc<Lenient>) -> rustls::ClientConfig {
    let mut config = rustls::ClientConfig::builder_with_provider(super::provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Identity::new(&key(2)).unwrap().resolver());
    config.alpn_protocols = vec![ALPN.to_vec()];
    config
}
