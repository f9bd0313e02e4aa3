//! The off-line judgement of a lease, down the whole chain (T3, T6, L8).

use ed25519_dalek::SigningKey;
use usher_protocol::{
    documents::{
        endorsement::{EndorsementError, VerifiedEndorsement},
        lease::{Lease, LeaseError, VerifiedLease},
        lease_file::{LeaseFile, LeaseFileError},
    },
    time::{DurationMs, WallMs},
    wire::Environment,
};

use crate::samples::{
    client, day, endorsement, issuing, lease, lease_file, public, root, signed_lease, site,
};

fn judged(lease: &Lease) -> LeaseError {
    let endorsement = VerifiedEndorsement::verify(&endorsement(), &public(&root())).unwrap();
    let signed = lease.sign(&site()).unwrap();
    VerifiedLease::judge(&signed, &endorsement, &public(&client())).unwrap_err()
}

#[test]
fn a_lease_file_reads_back_and_holds() {
    let file: LeaseFile = lease_file().to_text().unwrap().parse().unwrap();
    assert_eq!(file, lease_file());
    let now = lease().issued;
    let held = file.verify(&public(&root()), &public(&client()), now);
    assert_eq!(*held.unwrap(), lease());
}

#[test]
fn it_ends_when_it_says() {
    let verify = |now| lease_file().verify(&public(&root()), &public(&client()), now);
    let not_after = lease().not_after;
    assert!(verify(WallMs(not_after.0 - 1)).is_ok());
    assert_eq!(
        verify(not_after),
        Err(LeaseFileError::Expired { not_after })
    );
}

#[test]
fn a_stranger_is_named() {
    let now = lease().issued;
    let verify = |file: LeaseFile, root: &SigningKey, client: &SigningKey| {
        file.verify(&public(root), &public(client), now)
            .unwrap_err()
    };
    let found = public(&root()).fingerprint();
    assert_eq!(
        verify(lease_file(), &site(), &client()),
        LeaseFileError::Endorsement(EndorsementError::OtherRoot { found })
    );
    assert_eq!(
        verify(lease_file(), &root(), &site()),
        LeaseFileError::Lease(LeaseError::WrongDevice)
    );
    let copied = LeaseFile {
        lease: lease().sign(&issuing()).unwrap(),
        ..lease_file()
    };
    assert!(matches!(
        verify(copied, &root(), &client()),
        LeaseFileError::Lease(LeaseError::BadSignature(_))
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
