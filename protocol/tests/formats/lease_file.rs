//! The off-line judgement of a lease, down the whole chain (T3, T6, L8).

use ed25519_dalek::SigningKey;
use usher_protocol::{
    codec,
    documents::{
        endorsement::{
            EndorsedFeature, Endorsement, EndorsementError, SignedEndorsement, VerifiedEndorsement,
        },
        lease::{Lease, LeaseError, VerifiedLease},
        lease_file::{LeaseFile, LeaseFileError, VerifyError},
    },
    envelope::{DocumentType, Signature, Signed},
    limits::{ENDORSEMENT_BYTES_MAX, NAME_BYTES_MAX},
    time::{DurationMs, WallMs},
    wire::Environment,
};

use crate::samples::{
    borrowed_lease, certificate, client, day, endorsement, issuing, lease, lease_file, public,
    root, shown_lease_file, signed_lease, site,
};

fn judged(lease: &Lease) -> LeaseError {
    verdict(lease).unwrap_err()
}

fn verdict(lease: &Lease) -> Result<(), LeaseError> {
    let endorsement = VerifiedEndorsement::verify(&endorsement(), &public(&root())).unwrap();
    let signed = lease.sign(&site()).unwrap();
    let lease = VerifiedLease::verify(&signed, &endorsement.site).unwrap();
    lease.check_endorsed(&endorsement, &public(&client()))
}

#[test]
fn a_lease_file_reads_back_and_holds() {
    for written in [lease_file(), shown_lease_file()] {
        let file: LeaseFile = written.to_text().unwrap().parse().unwrap();
        assert_eq!(file, written);
        let proven = file.verify(&public(&root()), &public(&client())).unwrap();
        assert_eq!(*proven.lease, lease());
        assert!(proven.is_ours);
        assert_eq!(proven.endorsement.site, public(&site()));
    }
}

#[test]
fn a_copy_that_only_shows_the_lease_has_no_secrets() {
    let shown = shown_lease_file().to_text().unwrap();
    let secret = lease_file().secret.unwrap();
    for hidden in [
        "secret".to_owned(),
        secret.nonce.to_hex(),
        secret.acknowledged.to_hex(),
        secret.under_way.unwrap().to_hex(),
    ] {
        assert!(lease_file().to_text().unwrap().contains(&hidden));
        assert!(!shown.contains(&hidden), "{shown}");
    }
}

#[test]
fn another_format_or_an_unknown_field_is_refused() {
    let text = lease_file().to_text().unwrap();
    let newer = text.replace("format = 1\n", "format = 2\n");
    assert_eq!(
        newer.parse::<LeaseFile>(),
        Err(LeaseFileError::OtherFormat { found: 2 })
    );
    for unknown in [
        text.replace("format = 1\n", "format = 1\nmore = 1\n"),
        format!("{text}more = 1\n"),
        text.replace("[secret]\n", "[secret]\nmore = 1\n"),
    ] {
        assert!(matches!(
            unknown.parse::<LeaseFile>(),
            Err(LeaseFileError::Malformed(reason)) if reason.contains("unknown field")
        ));
    }
}

#[test]
fn it_ends_when_it_says() {
    let proven = lease_file().verify(&public(&root()), &public(&client()));
    let lease = proven.unwrap().lease;
    let not_after = lease.not_after.0;
    assert_eq!(lease.left(WallMs(not_after - 1)), DurationMs(1));
    assert_eq!(lease.left(WallMs(not_after)), DurationMs::ZERO);
    assert_eq!(lease.left(WallMs(not_after + 1)), DurationMs::ZERO);
}

#[test]
fn a_stranger_is_named() {
    let verify = |file: LeaseFile, root: &SigningKey| {
        file.verify(&public(root), &public(&client())).unwrap_err()
    };
    let found = public(&root()).fingerprint();
    assert_eq!(
        verify(lease_file(), &site()),
        VerifyError::Endorsement(EndorsementError::OtherRoot { found })
    );
    // T6: genuine, and worth nothing there.
    let elsewhere = lease_file().verify(&public(&root()), &public(&site()));
    let proven = elsewhere.unwrap();
    assert!(!proven.is_ours);
    assert_eq!(
        proven
            .lease
            .check_endorsed(&proven.endorsement, &public(&site())),
        Err(LeaseError::WrongDevice)
    );
    let copied = LeaseFile {
        lease: lease().sign(&issuing()).unwrap(),
        ..lease_file()
    };
    assert!(matches!(
        verify(copied, &root()),
        VerifyError::Lease(LeaseError::BadSignature(_))
    ));
}

#[test]
fn an_endorsement_is_for_one_site() {
    let endorsement = VerifiedEndorsement::verify(&endorsement(), &public(&root())).unwrap();
    assert!(endorsement.clone().for_site(&public(&site())).is_ok());
    assert_eq!(
        endorsement.for_site(&public(&client())),
        Err(EndorsementError::OtherSite)
    );
}

#[test]
fn a_lease_keeps_to_its_license() {
    assert_eq!(
        judged(&Lease {
            environment: Environment::Test,
            ..lease()
        }),
        LeaseError::OtherEnvironment
    );
    assert!(matches!(
        judged(&Lease {
            license: "acme-0043".parse().unwrap(),
            ..lease()
        }),
        LeaseError::OtherLicense { .. }
    ));
    assert!(matches!(
        judged(&Lease {
            license_hash: lease().root,
            ..lease()
        }),
        LeaseError::OtherLicense { .. }
    ));
    assert!(matches!(
        judged(&Lease {
            feature: "viewer".parse().unwrap(),
            ..lease()
        }),
        LeaseError::NotEndorsed { .. }
    ));
    assert!(signed_lease().body.len() < 1024);
}

#[test]
fn a_lease_is_no_longer_than_its_license_allows() {
    let day = DurationMs::hours(24);
    assert!(matches!(
        judged(&Lease {
            length_ms: day.plus(DurationMs(1)),
            ..lease()
        }),
        LeaseError::TooLong { max, .. } if max == day
    ));
    assert!(matches!(
        judged(&Lease {
            not_after: lease().issued.plus(day).plus(DurationMs(1)),
            ..lease()
        }),
        LeaseError::TooLong { .. }
    ));
    // L8: the license ends at 24:00 UTC of 2027-12-31.
    let expires = self::day(2028, 1, 1);
    let to_the_end = Lease {
        issued: WallMs(expires.0 - 1000),
        not_after: expires,
        ..lease()
    };
    assert_eq!(verdict(&to_the_end), Ok(()));
    assert_eq!(
        judged(&Lease {
            issued: WallMs(expires.0 - 1000),
            not_after: WallMs(expires.0 + 1),
            ..lease()
        }),
        LeaseError::OutlivesLicense {
            not_after: WallMs(expires.0 + 1),
            expires
        }
    );
}

#[test]
fn l10_a_borrowed_lease_is_bound_by_the_longest_borrow_and_no_other() {
    // The mesher's leases last an hour at most, its borrows a week.
    let week = DurationMs::days(7);
    assert_eq!(verdict(&borrowed_lease()), Ok(()));
    let longer = week.plus(DurationMs(1));
    assert_eq!(
        judged(&Lease {
            length_ms: longer,
            ..borrowed_lease()
        }),
        LeaseError::TooLong {
            found: longer,
            max: week
        }
    );
    assert!(matches!(
        judged(&Lease {
            not_after: borrowed_lease().issued.plus(longer),
            ..borrowed_lease()
        }),
        LeaseError::TooLong { max, .. } if max == week
    ));
    // The solver is not for borrowing at all.
    assert!(matches!(
        judged(&Lease {
            borrowed: true,
            ..lease()
        }),
        LeaseError::TooLong {
            max: DurationMs::ZERO,
            ..
        }
    ));
    // L8
    let expires = self::day(2028, 1, 1);
    assert!(matches!(
        judged(&Lease {
            issued: WallMs(expires.0 - 1000),
            not_after: WallMs(expires.0 + 1),
            length_ms: DurationMs(1001),
            ..borrowed_lease()
        }),
        LeaseError::OutlivesLicense { .. }
    ));
}

#[test]
fn l2_a_lease_that_is_not_borrowed_gains_nothing_from_the_longest_borrow() {
    let (hour, longer) = (DurationMs::hours(1), DurationMs(3_600_001));
    let lease = |length: DurationMs| Lease {
        borrowed: false,
        length_ms: length,
        not_after: borrowed_lease().issued.plus(length),
        ..borrowed_lease()
    };
    assert_eq!(verdict(&lease(hour)), Ok(()));
    assert_eq!(
        judged(&lease(longer)),
        LeaseError::TooLong {
            found: longer,
            max: hour
        }
    );
}

#[test]
fn t4_an_endorsement_hangs_on_its_root_and_no_other() {
    let body = Endorsement {
        root: public(&site()).fingerprint(),
        ..plain_endorsement()
    };
    let found = body.root;
    assert_eq!(endorsed(&body), Err(EndorsementError::OtherRoot { found }));
    assert_eq!(endorsed(&plain_endorsement()), Ok(()));
}

#[test]
fn t7_an_endorsement_is_covered_by_its_certificate_at_both_ends() {
    let certificate = certificate();
    let changed = |issued: WallMs, expires: Option<WallMs>| {
        let mut body = plain_endorsement();
        body.issued = issued;
        body.features[0].expires = expires;
        endorsed(&body)
    };
    let end = Some(certificate.expires);
    assert_eq!(changed(certificate.starts, end), Ok(()));
    assert_eq!(changed(certificate.expires, end), Ok(()));
    let refused = Err(EndorsementError::NotCovered);
    assert_eq!(changed(WallMs(certificate.starts.0 - 1), end), refused);
    assert_eq!(changed(WallMs(certificate.expires.0 + 1), end), refused);
    let later = Some(certificate.expires.plus(DurationMs(1)));
    assert_eq!(changed(certificate.starts, later), refused);
    assert_eq!(changed(certificate.starts, None), refused);
}

#[test]
fn t4_an_endorsement_fits_one_frame_to_the_byte() {
    let mut body = plain_endorsement();
    let longest = "f".repeat(NAME_BYTES_MAX);
    let one = EndorsedFeature {
        feature: longest.parse().unwrap(),
        ..body.features[0].clone()
    };
    while sized(&body) <= ENDORSEMENT_BYTES_MAX {
        body.features.push(one.clone());
    }
    // The last names take what is over.
    let mut over = sized(&body) - ENDORSEMENT_BYTES_MAX;
    for feature in body.features[2..].iter_mut().rev() {
        let shorter = over.min(NAME_BYTES_MAX - 1);
        over -= shorter;
        feature.feature = longest[shorter..].parse().unwrap();
    }
    assert_eq!(sized(&body), ENDORSEMENT_BYTES_MAX);
    assert_eq!(endorsed(&body), Ok(()));
    let last = body.features.last_mut().unwrap();
    last.feature = format!("{}f", last.feature).parse().unwrap();
    let found = ENDORSEMENT_BYTES_MAX + 1;
    assert_eq!(sized(&body), found);
    assert_eq!(endorsed(&body), Err(EndorsementError::TooLarge { found }));
}

#[test]
fn t3_a_lease_of_another_vendors_license_of_that_name_is_refused() {
    let other = Lease {
        root: public(&site()).fingerprint(),
        ..lease()
    };
    assert!(matches!(judged(&other), LeaseError::OtherLicense { .. }));
}

fn plain_endorsement() -> Endorsement {
    (*VerifiedEndorsement::verify(&endorsement(), &public(&root())).unwrap()).clone()
}

/// As the vendor's issuing key would have it.
fn sign_endorsement(body: &Endorsement) -> SignedEndorsement {
    let body = codec::encode(body).unwrap();
    SignedEndorsement {
        certificate: endorsement().certificate,
        endorsement: Signed::new(DocumentType::ENDORSEMENT, body, &issuing()),
    }
}

fn endorsed(body: &Endorsement) -> Result<(), EndorsementError> {
    VerifiedEndorsement::verify(&sign_endorsement(body), &public(&root())).map(|_| ())
}

/// With any signature: they are all of one size, and making them is not.
fn sized(body: &Endorsement) -> usize {
    let signed = SignedEndorsement {
        certificate: endorsement().certificate,
        endorsement: Signed {
            body: codec::encode(body).unwrap(),
            signature: Signature::from_bytes(&[1; 64]),
        },
    };
    codec::encode(&signed).unwrap().len()
}
