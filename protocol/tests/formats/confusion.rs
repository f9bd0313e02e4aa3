//! A document of one kind or role never passes for another (T1).

use ed25519_dalek::SigningKey;
use usher_protocol::{
    codec,
    documents::{
        certificate::VerifiedCertificate,
        endorsement::{SignedEndorsement, VerifiedEndorsement},
        lease::VerifiedLease,
        license::VerifiedLicense,
        revocation::VerifiedRevocationList,
        site_request::VerifiedSiteRequest,
    },
    envelope::{self, DocumentType, Signed},
    ids::PublicKey,
};

use crate::samples::{
    certificate, client, encoded, endorsement, issuing, lease, license_file, public, revocations,
    root, site, site_request,
};

const TYPES: &[DocumentType] = &[
    DocumentType::CERTIFICATE,
    DocumentType::LICENSE,
    DocumentType::ENDORSEMENT,
    DocumentType::LEASE,
    DocumentType::REVOCATION,
    DocumentType::SITE_REQUEST,
    DocumentType::ISSUER_LOG,
];

/// Signs `body` with every role's key as every type: exactly one combination may be accepted.
fn only(kind: DocumentType, key: &SigningKey, body: &[u8], accepts: impl Fn(&Signed) -> bool) {
    for signer in [root(), issuing(), site(), client()] {
        for signed_as in TYPES {
            let right = public(&signer) == public(key) && *signed_as == kind;
            let signed = Signed::new(*signed_as, body.to_vec(), &signer);
            assert_eq!(accepts(&signed), right, "{kind:?} signed as {signed_as:?}");
        }
    }
}

#[test]
fn every_role_signs_its_own_kind_only() {
    only(
        DocumentType::CERTIFICATE,
        &root(),
        &encoded(&certificate()),
        |it| VerifiedCertificate::verify(it).is_ok(),
    );
    only(
        DocumentType::REVOCATION,
        &root(),
        &encoded(&revocations()),
        |it| VerifiedRevocationList::verify(it, &public(&root())).is_ok(),
    );
    let chain = endorsement();
    only(
        DocumentType::ENDORSEMENT,
        &issuing(),
        &chain.endorsement.body,
        |it| {
            let signed = SignedEndorsement {
                endorsement: it.clone(),
                ..chain.clone()
            };
            VerifiedEndorsement::verify(&signed, &public(&root())).is_ok()
        },
    );
    only(DocumentType::LEASE, &site(), &encoded(&lease()), |it| {
        VerifiedLease::verify(it, &public(&site())).is_ok()
    });
}

#[test]
fn readable_documents_as_well() {
    let file = license_file();
    let (text, _) = file.split_once("[signature]\n").unwrap();
    only(DocumentType::LICENSE, &issuing(), text.as_bytes(), |it| {
        let forged = with_value(&file, "license", &it.signature);
        VerifiedLicense::verify(forged.as_bytes()).is_ok()
    });
    let file = site_request().sign(&site()).unwrap();
    let (text, _) = file.split_once("[signature]\n").unwrap();
    only(DocumentType::SITE_REQUEST, &site(), text.as_bytes(), |it| {
        let forged = with_value(&file, "request", &it.signature);
        VerifiedSiteRequest::verify(forged.as_bytes()).is_ok()
    });
}

#[test]
fn signatures_are_checked_strictly() {
    // A small-order key signs anything with s = 0; such a key cannot even be made.
    let mut identity = [0; 32];
    identity[0] = 1;
    assert!(PublicKey::new(identity).is_err());
    assert!(codec::decode::<PublicKey>(&identity).is_err());
    // s and s + L sign the same bytes for lenient verifiers: only the smaller one is accepted.
    let signed = lease().sign(&site()).unwrap();
    let mut bytes = signed.signature.to_bytes();
    add_group_order(&mut bytes[32..]);
    let malleable = envelope::Signature::from_bytes(&bytes);
    assert!(
        envelope::verify(
            DocumentType::LEASE,
            &signed.body,
            &malleable,
            &public(&site())
        )
        .is_err()
    );
}

fn with_value<T: serde::Serialize>(file: &str, key: &str, value: &T) -> String {
    let encoded = data_encoding::BASE64.encode(&encoded(value));
    let start = file.rfind(&format!("\n{key} = \"")).unwrap() + key.len() + 5;
    let end = start + file[start..].find('"').unwrap();
    format!("{}{encoded}{}", &file[..start], &file[end..])
}

/// Adds the order of the curve's group, little-endian (RFC 8032, section 5.1).
fn add_group_order(scalar: &mut [u8]) {
    let mut order = [0_u8; 32];
    order[..16].copy_from_slice(&[
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14,
    ]);
    order[31] = 0x10;
    let mut carry = 0_u16;
    for (byte, add) in scalar.iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
}
