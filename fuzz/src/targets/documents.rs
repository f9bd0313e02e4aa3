//! `documents`: the encoded documents below the readable ones: certificate, endorsement, lease, revocation list.

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};
use usher_protocol::{
    codec,
    documents::{
        certificate::Certificate,
        endorsement::{Endorsement, SignedEndorsement},
        lease::Lease,
        revocation::RevocationList,
    },
    envelope::Signed,
};

/// Decodes one of them, chosen by the first byte; what is taken reads back.
pub fn run(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else {
        return;
    };
    match kind % 6 {
        0 => reads_back::<Certificate>(body),
        1 => reads_back::<Endorsement>(body),
        2 => reads_back::<SignedEndorsement>(body),
        3 => reads_back::<Lease>(body),
        4 => reads_back::<RevocationList>(body),
        _ => reads_back::<Signed>(body),
    }
}

fn reads_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(body: &[u8]) {
    match codec::decode::<T>(body) {
        Ok(value) => {
            let again = codec::encode(&value).unwrap();
            assert_eq!(codec::decode(&again), Ok(value));
        }
        Err(error) => super::shown(&error.to_string()),
    }
}
