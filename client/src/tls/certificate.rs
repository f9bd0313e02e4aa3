//! Decides what our own certificate looks like: our key, a fixed subject, and nothing that tells
//! who or where we are (T4). Must not judge anybody else's.

use super::TlsError;
use ed25519_dalek::{Signer as _, SigningKey};
use rcgen::{CertificateParams, DistinguishedName, DnType, PKCS_ED25519, SerialNumber};
use rustls::sign::{CertifiedKey, Signer, SingleCertAndKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use std::fmt;
use std::sync::Arc;

/// A key with its certificate, which is the same bytes whenever and wherever it is made.
pub(super) struct Identity(Arc<CertifiedKey>);

impl Identity {
    pub(super) fn new(key: &SigningKey) -> Result<Identity, TlsError> {
        let key = OwnKey::new(key);
        let certificate = params().self_signed(&key)?.der().clone();
        Ok(Identity(Arc::new(CertifiedKey::new(
            vec![certificate],
            Arc::new(key),
        ))))
    }

    /// Presents this certificate whatever the peer hints at.
    pub(super) fn resolver(self) -> Arc<SingleCertAndKey> {
        Arc::new(SingleCertAndKey::from(self.0))
    }
}

/// Names, dates and serial are the same for everybody, since nobody reads them (T5).
fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, SUBJECT);
    params.distinguished_name = subject;
    params.serial_number = Some(SerialNumber::from_slice(&[1]));
    params
}

/// One copy of the secret, wiped with the configuration: both libraries sign through it, so that
/// it is never handed out in an encoding that they would keep.
#[derive(Clone)]
struct OwnKey {
    key: Arc<SigningKey>,
    public: [u8; 32],
}

impl OwnKey {
    fn new(key: &SigningKey) -> OwnKey {
        OwnKey {
            key: Arc::new(key.clone()),
            public: key.verifying_key().to_bytes(),
        }
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message).to_vec()
    }
}

impl rcgen::PublicKeyData for OwnKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl rcgen::SigningKey for OwnKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.signature(message))
    }
}

impl rustls::sign::SigningKey for OwnKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let ed25519 = offered.contains(&SignatureScheme::ED25519);
        ed25519.then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for OwnKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(self.signature(message))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnKey(secret)")
    }
}

const SUBJECT: &str = "usher";

#[cfg(test)]
mod tests {
    use super::*;

    fn der(seed: u8) -> Vec<u8> {
        Identity::new(&SigningKey::from_bytes(&[seed; 32]))
            .unwrap()
            .0
            .cert[0]
            .to_vec()
    }

    #[test]
    fn a_certificate_says_nothing_but_its_key() {
        assert_eq!(der(1), der(1), "one key, one certificate");
        let key = SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes();
        let other = SigningKey::from_bytes(&[2; 32]).verifying_key().to_bytes();
        let (ours, theirs) = (blank(der(1), &key), blank(der(2), &other));
        assert_eq!(
            ours, theirs,
            "two certificates differ in key and signature alone"
        );
    }

    /// The certificate without its key, and without the 64 bytes of signature at its end.
    fn blank(mut der: Vec<u8>, key: &[u8; 32]) -> Vec<u8> {
        let at = der.windows(32).position(|window| window == key).unwrap();
        der[at..at + 32].fill(0);
        der.truncate(der.len() - 64);
        der
    }

    #[test]
    fn the_secret_does_not_print_itself() {
        let key = OwnKey::new(&SigningKey::from_bytes(&[1; 32]));
        assert_eq!(format!("{key:?}"), "OwnKey(secret)");
    }
}
