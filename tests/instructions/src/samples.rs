//! Fixed keys, one license and dice that fall the same in every run.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use usher_protocol::{
    documents::{
        certificate::Certificate,
        license::{Feature, Grouping, License, VerifiedLicense, issue},
    },
    ids::{Fingerprint, PublicKey},
    limits::{LEASE_MS_DEFAULT, LEASE_MS_MIN},
    time::{DurationMs, WallMs},
    wire::{Environment, Holder},
};

/// 2026-11-01, when the license was issued.
pub const ISSUED: WallMs = WallMs(1_793_491_200_000);

/// The daemon's key.
pub fn site_key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

/// The key of one workstation.
pub fn client_key(number: u32) -> PublicKey {
    let mut seed = [4; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    PublicKey::from(&SigningKey::from_bytes(&seed))
}

/// The vendor.
pub fn root() -> Fingerprint {
    PublicKey::from(&root_key()).fingerprint()
}

/// `acme-0042` with so many seats of `solver`, and a few of `full`, `shared` and `wanted`.
///
/// # Panics
/// With more than 2³² seats.
pub fn license(seats: usize) -> Arc<VerifiedLicense> {
    let issuing = SigningKey::from_bytes(&[2; 32]);
    let certificate = Certificate {
        root: PublicKey::from(&root_key()),
        vendor: "acme".parse().unwrap(),
        issuing: PublicKey::from(&issuing),
        serial: 1,
        starts: WallMs(0),
        expires: WallMs::NEVER,
    };
    let license = License {
        id: "acme-0042".parse().unwrap(),
        serial: 1,
        vendor: "acme".parse().unwrap(),
        customer: "Example Works".to_owned(),
        customer_id: "example-works".parse().unwrap(),
        environment: Environment::Live,
        site: PublicKey::from(&site_key()),
        hosts: vec!["lic01".to_owned()],
        issued: ISSUED,
        replaces: Vec::new(),
        support: Some("Write to support@acme.example.".to_owned()),
        features: vec![
            feature("solver", u32::try_from(seats).unwrap(), Grouping::Process),
            feature("full", FULL_SEATS, Grouping::Process),
            feature("shared", 1000, Grouping::UserHost),
            feature("wanted", 4, Grouping::Process),
        ],
    };
    let certificate = certificate.sign(&root_key()).unwrap();
    let text = issue(&license, &issuing, &certificate, None).unwrap();
    Arc::new(VerifiedLicense::verify(text.as_bytes()).unwrap())
}

fn feature(name: &str, seats: u32, grouping: Grouping) -> Feature {
    Feature {
        feature: name.parse().unwrap(),
        version: Some("2027.1".parse().unwrap()),
        seats: Some(seats),
        starts: ISSUED,
        expires: Some(WallMs(ISSUED.0 + 400 * 86_400_000)),
        lease_ms_min: LEASE_MS_MIN,
        lease_ms_default: LEASE_MS_DEFAULT,
        lease_ms_max: DurationMs::hours(1),
        borrow_ms_max: DurationMs::days(7),
        overdraft: 0,
        grouping,
        claimed_user: false,
        early_return: false,
        write_off: 0,
    }
}

fn root_key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

/// A workstation's user in its own words.
pub fn holder(client: usize) -> Holder {
    Holder {
        user: format!("user{client:04}"),
        host: format!("ws{client:04}.example.com"),
        display: Some(":0".to_owned()),
        process: 4711,
    }
}

/// Seats of `full`.
pub const FULL_SEATS: u32 = 10;

/// SplitMix64.
pub struct Dice(u64);

impl Dice {
    /// The same seed, the same throws.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Less than `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Sixteen bytes, as of a nonce or a token.
    pub fn bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next().to_le_bytes());
        bytes[8..].copy_from_slice(&self.next().to_le_bytes());
        bytes
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
