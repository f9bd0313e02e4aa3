//! Decides whether a peer has proved an Ed25519 key (T1, T5): one certificate, its key a sound one,
//! the handshake signed with it. Must not look at names, dates or issuers: nobody vouches for them.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    PeerIncompatible, PeerMisbehaved, SignatureScheme,
};
use std::sync::Arc;
use usher_protocol::ids::{KeyError, PublicKey};

/// Which servers a client lets finish the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedServer {
    /// Any that proves a key: who it is, [`super::peer_key`] and then its `Welcome` say (T4).
    Any,
    /// Only the holder of this key, known from an earlier `Welcome`; anybody else is refused
    /// before our own key is shown.
    Key(PublicKey),
}

/// Why a peer's certificate was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Not exactly one certificate.
    #[error("the peer presented {0} certificates, expected exactly one")]
    Chain(usize),
    /// Not an X.509 certificate.
    #[error("the peer's certificate cannot be read")]
    Unreadable,
    /// An RSA, ECDSA or other key.
    #[error("the peer's certificate is not of an Ed25519 key")]
    NotEd25519,
    /// The key is no sound Ed25519 key (T1).
    #[error("the peer's certificate holds {0}")]
    Key(#[from] KeyError),
    /// Another server than the one asked for.
    #[error("the server proved the key {found}, expected {expected}")]
    OtherServer {
        /// The key it proved.
        found: PublicKey,
        /// The key it should have proved.
        expected: PublicKey,
    },
}

impl From<PeerError> for Error {
    fn from(error: PeerError) -> Error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
    }
}

/// The key in one certificate, checked as every key is where it enters (T1).
pub(super) fn key_of(certificate: &CertificateDer<'_>) -> Result<PublicKey, PeerError> {
    let parsed = ParsedCertificate::try_from(certificate).map_err(|_| PeerError::Unreadable)?;
    let info = parsed.subject_public_key_info();
    let key = info
        .strip_prefix(&ED25519_KEY_INFO)
        .ok_or(PeerError::NotEd25519)?;
    let key: [u8; 32] = key.try_into().map_err(|_| PeerError::NotEd25519)?;
    Ok(PublicKey::new(key)?)
}

fn key_of_chain(
    certificate: &CertificateDer<'_>,
    more: &[CertificateDer<'_>],
) -> Result<PublicKey, PeerError> {
    if more.is_empty() {
        key_of(certificate)
    } else {
        Err(PeerError::Chain(1 + more.len()))
    }
}

/// The client's judge of servers.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    expected: ExpectedServer,
    proof: Proof,
}

impl ServerVerifier {
    pub(super) fn new(expected: ExpectedServer, provider: &CryptoProvider) -> ServerVerifier {
        ServerVerifier {
            expected,
            proof: Proof::new(provider),
        }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = key_of_chain(end_entity, intermediates)?;
        match self.expected {
            ExpectedServer::Key(expected) if expected != found => {
                Err(PeerError::OtherServer { found, expected }.into())
            }
            ExpectedServer::Key(_) | ExpectedServer::Any => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(TLS12_REFUSED)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.proof.verify(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

/// The daemon's judge of clients: any key, but a proved one.
#[derive(Debug)]
pub(super) struct AnyClient {
    proof: Proof,
}

impl AnyClient {
    pub(super) fn new(provider: &CryptoProvider) -> AnyClient {
        AnyClient {
            proof: Proof::new(provider),
        }
    }
}

impl ClientCertVerifier for AnyClient {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        key_of_chain(end_entity, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(TLS12_REFUSED)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.proof.verify(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

/// Checks the handshake's signature through the provider, as rustls leaves to custom verifiers.
#[derive(Debug)]
struct Proof {
    algorithms: WebPkiSupportedAlgorithms,
}

impl Proof {
    fn new(provider: &CryptoProvider) -> Proof {
        Proof {
            algorithms: provider.signature_verification_algorithms,
        }
    }

    fn verify(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if !SCHEMES.contains(&signature.scheme) {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }
}

const SCHEMES: [SignatureScheme; 1] = [SignatureScheme::ED25519];

/// Nothing of TLS 1.2 is linked in; should that change, it still does not pass (T5).
const TLS12_REFUSED: Error = Error::PeerIncompatible(PeerIncompatible::Tls13RequiredForQuic);

/// DER of `SubjectPublicKeyInfo` with OID 1.3.101.112, up to the key's 32 bytes (RFC 8410).
const ED25519_KEY_INFO: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
