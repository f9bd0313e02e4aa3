//! No changed byte is ever accepted, and no bytes at all make a decoder panic (T1, T7, S5).

use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use usher_protocol::{
    codec,
    documents::{
        certificate::{Certificate, VerifiedCertificate},
        endorsement::{Endorsement, SignedEndorsement, VerifiedEndorsement},
        lease::{Lease, VerifiedLease},
        lease_file::LeaseFile,
        license::{License, VerifiedLicense},
        revocation::{RevocationList, VerifiedRevocationList},
        site_request::VerifiedSiteRequest,
        vendor::VendorKey,
    },
    envelope::Signed,
    wire::{ClientFrame, ServerFrame},
};

use crate::samples::{
    certificate, client, encoded, endorsement, lease, lease_file, license_file, public,
    revocations, root, signed_lease, site, site_request,
};

/// Every byte changed in several ways, left out, doubled, or followed by something: one at a time.
fn mutations(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..bytes.len()).flat_map(move |at| {
        let changed = [
            bytes[at] ^ 0x01,
            bytes[at] ^ 0x20,
            bytes[at] ^ 0x80,
            b' ',
            b'\n',
            b'\r',
            b'#',
            b'=',
            0,
            0xff,
        ];
        let replaced = changed
            .into_iter()
            .filter(move |byte| *byte != bytes[at])
            .map(move |byte| splice(bytes, at, 1, &[byte]));
        let shifted = [
            splice(bytes, at, 1, &[]),
            splice(bytes, at, 0, &[bytes[at]]),
            splice(bytes, at, 0, b" "),
            splice(bytes, at, 0, b"\n"),
            bytes[..at].to_vec(),
        ];
        replaced.chain(shifted)
    })
}

fn splice(bytes: &[u8], at: usize, remove: usize, insert: &[u8]) -> Vec<u8> {
    [&bytes[..at], insert, &bytes[at + remove..]].concat()
}

#[test]
fn no_changed_byte_of_a_license_file_is_accepted() {
    let file = license_file();
    assert!(VerifiedLicense::verify(file.as_bytes()).is_ok());
    for changed in mutations(file.as_bytes()) {
        assert!(
            VerifiedLicense::verify(&changed).is_err(),
            "{}",
            String::from_utf8_lossy(&changed)
        );
    }
}

#[test]
fn nothing_may_follow_or_precede_a_license() {
    let file = license_file();
    for extra in ["\n", " ", "#", "x = 1\n", "[more]\n", "[signature]\n"] {
        assert!(VerifiedLicense::verify(format!("{file}{extra}").as_bytes()).is_err());
        assert!(VerifiedLicense::verify(format!("{extra}{file}").as_bytes()).is_err());
    }
}

#[test]
fn no_changed_byte_of_a_site_request_is_accepted() {
    let file = site_request().sign(&site()).unwrap();
    assert!(VerifiedSiteRequest::verify(file.as_bytes()).is_ok());
    for changed in mutations(file.as_bytes()) {
        assert!(VerifiedSiteRequest::verify(&changed).is_err());
    }
}

/// Changes each byte of a signed document's encoding; what still decodes must not verify.
fn never<T: Serialize + DeserializeOwned + PartialEq>(original: &T, accepts: impl Fn(&T) -> bool) {
    assert!(accepts(original));
    for changed in mutations(&encoded(original)) {
        if let Ok(value) = codec::decode::<T>(&changed) {
            assert!(!accepts(&value));
        }
    }
}

#[test]
fn no_changed_byte_of_a_signed_document_is_accepted() {
    never(&certificate().sign(&root()).unwrap(), |it: &Signed| {
        VerifiedCertificate::verify(it).is_ok()
    });
    never(&revocations().sign(&root()).unwrap(), |it: &Signed| {
        VerifiedRevocationList::verify(it, &public(&root())).is_ok()
    });
    never(&endorsement(), |it: &SignedEndorsement| {
        VerifiedEndorsement::verify(it, &public(&root())).is_ok()
    });
    never(&signed_lease(), |it: &Signed| {
        VerifiedLease::verify(it, &public(&site())).is_ok()
    });
}

#[test]
fn a_changed_lease_file_grants_nothing_else() {
    // Its comment and its spelling are not signed; what it says is.
    let text = lease_file().to_text().unwrap();
    let mut held = 0;
    for changed in mutations(text.as_bytes()) {
        let Ok(changed) = String::from_utf8(changed) else {
            continue;
        };
        if let Ok(file) = changed.parse::<LeaseFile>() {
            match file.verify(&public(&root()), &public(&client())) {
                Ok(proven) => {
                    assert_eq!(*proven.lease, lease());
                    assert!(proven.is_ours);
                    held += 1;
                }
                Err(error) => drop(error),
            }
        }
    }
    assert!(held > 0, "no comment was changed");
}

fn decode_everything(bytes: &[u8]) {
    drop(ClientFrame::decode(bytes));
    drop(ServerFrame::decode(bytes));
    drop(codec::decode::<Certificate>(bytes));
    drop(codec::decode::<Endorsement>(bytes));
    drop(codec::decode::<SignedEndorsement>(bytes));
    drop(codec::decode::<Lease>(bytes));
    drop(codec::decode::<RevocationList>(bytes));
    drop(VerifiedLicense::verify(bytes));
    drop(VerifiedSiteRequest::verify(bytes));
    let text = String::from_utf8_lossy(bytes);
    drop(License::parse(&text));
    drop(text.parse::<LeaseFile>());
    drop(text.parse::<VendorKey>());
}

proptest! {
    #[test]
    fn arbitrary_bytes_panic_nobody(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        decode_everything(&bytes);
        for kind in [0x01, 0x02, 0x81, 0x82, 0x83] {
            let frame = [&[1, kind], bytes.as_slice()].concat();
            drop(ClientFrame::decode(&frame));
            drop(ServerFrame::decode(&frame));
        }
    }

    #[test]
    fn text_cut_and_pasted_panics_nobody(
        at in any::<prop::sample::Index>(),
        removed in 0_usize..40,
        inserted in "[ -~\u{80}-\u{2ff}\r\n\"\\[\\]=#]{0,40}",
    ) {
        for file in [license_file(), lease_file().to_text().unwrap()] {
            let at = at.index(file.len());
            let removed = removed.min(file.len() - at);
            let changed = splice(file.as_bytes(), at, removed, inserted.as_bytes());
            decode_everything(&changed);
            let (text, _) = file.split_once("[signature]").unwrap_or((&file, ""));
            let at = at.min(text.len());
            let removed = removed.min(text.len() - at);
            let changed = splice(text.as_bytes(), at, removed, inserted.as_bytes());
            drop(License::parse(&String::from_utf8_lossy(&changed)));
        }
    }

    #[test]
    fn several_changes_at_once_are_not_accepted_either(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let file = license_file();
        let mut changed = file.clone().into_bytes();
        for (at, byte) in changes {
            let at = at.index(changed.len());
            changed[at] = byte;
        }
        prop_assume!(changed != file.as_bytes());
        prop_assert!(VerifiedLicense::verify(&changed).is_err());
    }
}
