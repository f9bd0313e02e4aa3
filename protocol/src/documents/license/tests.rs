//! Licenses issued, read, and refused.

use ed25519_dalek::SigningKey;

use super::*;
use crate::{
    calendar::{DAY, day_start},
    documents::{
        certificate::{Certificate, CertificateError},
        endorsement::EndorsementError,
        revocation::{RevocationError, RevocationList, VerifiedRevocationList},
        signed_text,
    },
    envelope::{self, DocumentType, Signed},
    limits::{LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN},
};

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32])
}

fn root() -> SigningKey {
    key(1)
}

fn issuing() -> SigningKey {
    key(2)
}

fn moment(year: i16, month: i8, day: i8) -> WallMs {
    day_start(year, month, day).unwrap()
}

fn certificate_body() -> Certificate {
    Certificate {
        root: PublicKey::from(&root()),
        vendor: "acme".parse().unwrap(),
        issuing: PublicKey::from(&issuing()),
        serial: 1,
        starts: moment(2026, 1, 1),
        expires: moment(2028, 1, 1),
    }
}

fn certificate() -> Signed {
    certificate_body().sign(&root()).unwrap()
}

fn feature(name: &str, seats: Option<u32>) -> Feature {
    Feature {
        claimed_user: false,
        early_return: false,
        write_off: 0,
        feature: name.parse().unwrap(),
        version: None,
        seats,
        starts: moment(2026, 11, 1),
        expires: Some(moment(2027, 12, 31).plus(DAY)),
        lease_ms_min: LEASE_MS_MIN,
        lease_ms_default: LEASE_MS_DEFAULT,
        lease_ms_max: LEASE_MS_MAX,
        borrow_ms_max: DurationMs::ZERO,
        overdraft: 0,
        grouping: Grouping::Process,
    }
}

fn license() -> License {
    License {
        id: "acme-0042".parse().unwrap(),
        serial: 3,
        vendor: "acme".parse().unwrap(),
        customer: "Example \"Works\" GmbH".to_owned(),
        customer_id: "example-works".parse().unwrap(),
        environment: Environment::Live,
        site: PublicKey::from(&key(3)),
        hosts: vec!["lic01".to_owned()],
        issued: moment(2026, 11, 1),
        replaces: vec!["acme-0041".parse().unwrap()],
        support: Some("Write to support@acme.example.".to_owned()),
        features: vec![
            feature("solver", Some(10)),
            Feature {
                version: Some("2027.1".parse().unwrap()),
                borrow_ms_max: DurationMs::days(7),
                overdraft: 2,
                grouping: Grouping::UserHost,
                lease_ms_max: DurationMs::hours(1),
                starts: WallMs(moment(2026, 11, 2).0 + 1500),
                expires: Some(WallMs(moment(2027, 6, 1).0 + 43_200_000)),
                ..feature("mesher", None)
            },
        ],
    }
}

fn revocations(issuing_keys: Vec<Fingerprint>, licenses: &[&str]) -> RevocationList {
    RevocationList {
        root: PublicKey::from(&root()),
        number: 7,
        issued: moment(2026, 10, 1),
        issuing_keys,
        licenses: licenses.iter().map(|id| id.parse().unwrap()).collect(),
    }
}

fn issue_text(license: &License) -> Result<String, IssueError> {
    issue(license, &issuing(), &certificate(), None)
}

/// A file that this build would not issue: any text, any endorsement, genuine signatures.
fn forge(text: &str, certificate: &Signed, endorsement: &Signed) -> String {
    let signature = envelope::sign(DocumentType::LICENSE, text.as_bytes(), &issuing());
    signed_text::join(
        text,
        &[
            ("certificate", crate::codec::encode(certificate).unwrap()),
            ("license", crate::codec::encode(&signature).unwrap()),
            ("endorsement", crate::codec::encode(endorsement).unwrap()),
        ],
    )
}

#[test]
fn a_license_reads_back_as_it_was_issued() {
    let list = revocations(vec![], &["acme-0001"]).sign(&root()).unwrap();
    let file = issue(&license(), &issuing(), &certificate(), Some(&list)).unwrap();
    let verified = VerifiedLicense::verify(file.as_bytes()).unwrap();
    assert_eq!(*verified, license());
    assert_eq!(verified.root(), PublicKey::from(&root()));
    assert_eq!(verified.revocations().unwrap().signed(), &list);
    assert_eq!(verified.text(), file);
    let signed = file.split("[signature]").next().unwrap();
    assert_eq!(verified.hash(), Fingerprint::of(signed.as_bytes()));
    assert_eq!(License::parse(signed).unwrap(), license());
}

#[test]
fn mail_may_change_line_ends_and_nothing_else() {
    let file = issue_text(&license()).unwrap();
    let windows = format!("\u{feff}{}", file.replace('\n', "\r\n"));
    let verified = VerifiedLicense::verify(windows.as_bytes()).unwrap();
    assert_eq!(verified.text(), file);
    assert!(VerifiedLicense::verify(format!("\u{feff}{windows}").as_bytes()).is_err());
    assert!(VerifiedLicense::verify(file.replace('\n', "\n\r\n").as_bytes()).is_err());
    assert!(VerifiedLicense::verify(file.replace('=', "=\r").as_bytes()).is_err());
}

#[test]
fn each_fault_has_its_own_name() {
    let refused = |file: &str| VerifiedLicense::verify(file.as_bytes()).unwrap_err();
    let file = issue_text(&license()).unwrap();
    let endorsement = VerifiedLicense::verify(file.as_bytes())
        .unwrap()
        .signed_endorsement()
        .endorsement
        .clone();
    let text = file.split("[signature]").next().unwrap();

    let edited = file.replace("seats = 10", "seats = 90");
    assert_eq!(refused(&edited), LicenseError::BadSignature);
    let stranger = certificate_body().sign(&key(9)).unwrap();
    assert_eq!(
        refused(&forge(text, &stranger, &endorsement)),
        LicenseError::Certificate(CertificateError::BadSignature(envelope::BadSignature))
    );
    let newer = forge(
        &text.replace("seats = 10", "seats = 10\ncolour = 1"),
        &certificate(),
        &endorsement,
    );
    assert!(matches!(refused(&newer), LicenseError::NeedsNewer(_)));
    let newer = forge(
        &text.replace("format = 1", "format = 2\nserial-numbers = []"),
        &certificate(),
        &endorsement,
    );
    assert!(matches!(refused(&newer), LicenseError::NeedsNewer(_)));
    let broken = forge(
        &text.replace("seats = 10", "seats = 0"),
        &certificate(),
        &endorsement,
    );
    assert!(matches!(refused(&broken), LicenseError::Text(_)));
    let other = forge(
        &text.replace("seats = 10", "seats = 11"),
        &certificate(),
        &endorsement,
    );
    assert_eq!(refused(&other), LicenseError::EndorsementDiffers);
    let stranger = Signed::new(DocumentType::ENDORSEMENT, endorsement.body.clone(), &key(9));
    assert_eq!(
        refused(&forge(text, &certificate(), &stranger)),
        LicenseError::Endorsement(EndorsementError::BadSignature)
    );
}

#[test]
fn the_certificate_bounds_what_it_covers() {
    let refused = |license: &License| match issue_text(license).unwrap_err() {
        IssueError::WouldBeRefused(error) => *error,
        other => panic!("{other:?}"),
    };
    let mut late = license();
    late.features[0].expires = Some(moment(2028, 1, 2));
    assert!(matches!(
        refused(&late),
        LicenseError::OutlivesCertificate { feature, .. } if feature.as_str() == "solver"
    ));
    late.features[0].expires = None;
    assert!(matches!(
        refused(&late),
        LicenseError::OutlivesCertificate { expires: None, .. }
    ));
    let mut early = license();
    early.issued = moment(2025, 12, 31);
    assert!(matches!(
        refused(&early),
        LicenseError::IssuedOutsideCertificate { .. }
    ));
    let mut other = license();
    other.vendor = "other".parse().unwrap();
    assert!(matches!(refused(&other), LicenseError::OtherVendor { .. }));

    let endless = Certificate {
        expires: WallMs::NEVER,
        ..certificate_body()
    };
    let mut endless_license = license();
    endless_license.features[0].expires = None;
    let signed = endless.sign(&root()).unwrap();
    assert!(issue(&endless_license, &issuing(), &signed, None).is_ok());
}

#[test]
fn what_the_vendor_revoked_is_refused() {
    let refused = |list: &Signed| match issue(&license(), &issuing(), &certificate(), Some(list))
        .unwrap_err()
    {
        IssueError::WouldBeRefused(error) => *error,
        other => panic!("{other:?}"),
    };
    let mine = PublicKey::from(&issuing()).fingerprint();
    let keys = revocations(vec![mine], &[]);
    let signed = keys.sign(&root()).unwrap();
    assert_eq!(
        refused(&signed),
        LicenseError::IssuingKeyRevoked { number: 7 }
    );
    let ids = revocations(vec![], &["acme-0042"]);
    assert!(matches!(
        refused(&ids.sign(&root()).unwrap()),
        LicenseError::Revoked { .. }
    ));
    assert!(matches!(
        refused(&ids.sign(&key(9)).unwrap()),
        LicenseError::Revocations(RevocationError::BadSignature(_))
    ));

    // A list that came with another license counts as well, if it is of the same root.
    let verified = VerifiedLicense::verify(issue_text(&license()).unwrap().as_bytes()).unwrap();
    assert_eq!(
        verified.verify_against(&keys),
        Err(LicenseError::IssuingKeyRevoked { number: 7 })
    );
    let foreign = RevocationList {
        root: PublicKey::from(&key(9)),
        ..keys
    };
    assert_eq!(verified.verify_against(&foreign), Ok(()));
}

#[test]
fn the_largest_license_still_fits_one_frame() {
    let mut large = license();
    large.id = "l".repeat(crate::limits::ID_BYTES_MAX).parse().unwrap();
    large.customer_id = "c".repeat(crate::limits::ID_BYTES_MAX).parse().unwrap();
    large.serial = i64::MAX.unsigned_abs();
    large.features = (0..crate::limits::FEATURES_PER_LICENSE_MAX)
        .map(|number| Feature {
            version: Some(
                "4000000000.4000000000.4000000000.4000000000"
                    .parse()
                    .unwrap(),
            ),
            borrow_ms_max: crate::limits::BORROW_MS_MAX,
            ..feature(&format!("{number:048}"), Some(1))
        })
        .collect();
    let verified = VerifiedLicense::verify(issue_text(&large).unwrap().as_bytes()).unwrap();
    let welcome = crate::wire::ServerFrame::Welcome(crate::wire::Welcome {
        version: 1,
        endorsement: verified.signed_endorsement().clone(),
        licenses_more: vec![large.id; 16],
        epoch: crate::ids::Epoch(u64::MAX),
        life: crate::ids::LifeId([1; 16]),
        server: "s".repeat(255),
        wall: WallMs(u64::MAX),
    });
    assert!(welcome.encode().is_ok());
}

#[test]
fn every_refusal_has_a_next_step() {
    let file = issue_text(&license()).unwrap();
    for broken in [
        "",
        "x = 1\n",
        &file[..file.len() - 1],
        &file.replace("solver", "solvex"),
    ] {
        let error = VerifiedLicense::verify(broken.as_bytes()).unwrap_err();
        assert!(error.next_step().len() > 20);
    }
}

#[test]
fn t7_a_revocation_list_is_of_its_root_and_no_longer_than_a_license_may_carry() {
    let root_key = PublicKey::from(&root());
    let keys = |count: usize| vec![Fingerprint([5; 32]); count];
    let most = crate::limits::REVOCATIONS_MAX;
    let fits = revocations(keys(most - 1), &["acme-0001"]);
    let signed = fits.sign(&root()).unwrap();
    assert_eq!(
        *VerifiedRevocationList::verify(&signed, &root_key).unwrap(),
        fits
    );
    let longer = revocations(keys(most), &["acme-0001"]);
    let found = most + 1;
    assert_eq!(
        longer.sign(&root()),
        Err(RevocationError::TooLong { found })
    );
    let body = crate::codec::encode(&longer).unwrap();
    let signed = Signed::new(DocumentType::REVOCATION, body, &root());
    assert_eq!(
        VerifiedRevocationList::verify(&signed, &root_key),
        Err(RevocationError::TooLong { found })
    );
    // Another root's list, well signed by that root.
    let stranger = RevocationList {
        root: PublicKey::from(&key(9)),
        ..fits
    };
    let signed = stranger.sign(&key(9)).unwrap();
    assert_eq!(
        VerifiedRevocationList::verify(&signed, &root_key),
        Err(RevocationError::OtherRoot)
    );
}

#[test]
fn t7_a_list_revokes_what_it_names_and_nothing_else() {
    let mine = PublicKey::from(&issuing());
    let list = revocations(vec![mine.fingerprint()], &["acme-0042"]);
    assert!(list.revokes_issuing(&mine) && list.revokes_license(&license().id));
    assert!(!list.revokes_issuing(&PublicKey::from(&key(3))));
    assert!(!list.revokes_license(&"acme-0043".parse().unwrap()));
}
