//! Whatever is written reads back as the same value, and its bytes as the same bytes.

use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use usher_protocol::{
    codec::{self, FRAME_PREFIX_BYTES},
    documents::license::{VerifiedLicense, issue},
    limits::FRAME_BYTES_MAX,
    printable::printable,
    refusal::{Refusal, RefusalCode},
    wire::{ClientFrame, Reply, ServerFrame},
};

use crate::{
    samples::{certificate, encoded, issuing, root},
    strategies,
};

fn reads_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let bytes = encoded(value);
    assert_eq!(codec::decode::<T>(&bytes).as_ref(), Ok(value));
    let trailing = [bytes.as_slice(), &[0]].concat();
    assert!(codec::decode::<T>(&trailing).is_err());
}

/// The frame without its length prefix, which must be right.
fn unprefixed(frame: &[u8]) -> &[u8] {
    let (prefix, body) = frame.split_at(FRAME_PREFIX_BYTES);
    assert_eq!(prefix, u32::try_from(body.len()).unwrap().to_be_bytes());
    assert!(body.len() <= FRAME_BYTES_MAX);
    body
}

proptest! {
    #[test]
    fn client_frames(frame in strategies::client_frame()) {
        let bytes = frame.encode().unwrap();
        prop_assert_eq!(ClientFrame::decode(unprefixed(&bytes)), Ok(frame));
        prop_assert!(ServerFrame::decode(unprefixed(&bytes)).is_err());
    }

    #[test]
    fn server_frames(frame in strategies::server_frame()) {
        let bytes = frame.encode().unwrap();
        prop_assert_eq!(ServerFrame::decode(unprefixed(&bytes)), Ok(frame));
        prop_assert!(ClientFrame::decode(unprefixed(&bytes)).is_err());
    }

    /// `\PC*` alone would hold few of the characters that reorder what stands around them.
    #[test]
    fn words_that_steer_a_terminal_read_back_with_marks(text in "[\\PC\\x00-\\x1f\u{200b}-\u{202e}\u{feff}]{0,12}") {
        let refusal = Refusal::new(RefusalCode::NoSeat, text.clone());
        let bytes = ServerFrame::Reply(1, Reply::Refused(refusal)).encode().unwrap();
        let marked = Refusal::new(RefusalCode::NoSeat, printable(&text));
        prop_assert_eq!(
            ServerFrame::decode(unprefixed(&bytes)),
            Ok(ServerFrame::Reply(1, Reply::Refused(marked)))
        );
    }

    #[test]
    fn frames_end_where_they_say(frame in strategies::client_frame(), cut in any::<prop::sample::Index>()) {
        let bytes = frame.encode().unwrap();
        let body = unprefixed(&bytes);
        prop_assert!(ClientFrame::decode(&body[..cut.index(body.len())]).is_err());
        prop_assert!(ClientFrame::decode(&[body, &[0]].concat()).is_err());
        prop_assert!(ClientFrame::decode(&[&[2], &body[1..]].concat()).is_err());
    }

    #[test]
    fn documents(
        certificate in strategies::any_certificate(),
        list in strategies::revocation_list(),
        endorsement in strategies::endorsement(),
        lease in strategies::lease(),
        signed in strategies::signed(),
    ) {
        reads_back(&certificate);
        reads_back(&list);
        reads_back(&endorsement);
        reads_back(&lease);
        reads_back(&signed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn licenses(license in strategies::license()) {
        let certificate = certificate().sign(&root()).unwrap();
        let file = issue(&license, &issuing(), &certificate, None).unwrap();
        let verified = VerifiedLicense::verify(file.as_bytes()).unwrap();
        prop_assert_eq!(&*verified, &license);
        let again = issue(&license, &issuing(), &certificate, None).unwrap();
        prop_assert_eq!(file, again);
    }
}
