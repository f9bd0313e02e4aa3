//! The throw-away vendor: a root, an issuing key, a license for the throw-away site (T8).
//!
//! The keys live in this process only and are gone with it; custody is the issuer's business (T9).

use ed25519_dalek::SigningKey;
use usher_client::{clock::Clock, keyfile};
use usher_protocol::{
    documents::{
        certificate::Certificate,
        license::{self, Feature, Grouping, License},
        vendor::VendorKey,
    },
    ids::PublicKey,
    limits::{LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN_TEST},
    names::NameError,
    time::{DurationMs, WallMs},
    wire::Environment,
};

use super::{DemoError, Place, write};
use crate::site::SiteKey;

/// What the show plays with.
pub(super) struct Stage {
    /// The vendor key file's text: what an application ships.
    pub(super) vendor_key: String,
    /// The vendor's root.
    pub(super) root: PublicKey,
    /// The license file's text.
    pub(super) license: String,
    /// The license's name and terms, for people.
    pub(super) about: String,
}

/// Makes the vendor and the license, and lays vendor key and license where they can be looked at.
pub(super) fn prepare(place: &Place, seats: u32) -> Result<Stage, DemoError> {
    let site = SiteKey::load_or_create(&place.path.join("state"))
        .map_err(|error| DemoError::Site(error.to_string()))?;
    let root = new_key()?;
    let issuing = new_key()?;
    let now = Clock::new().now().wall;
    let expires = now.plus(DurationMs::days(1));
    let certificate = Certificate {
        root: PublicKey::from(&root),
        vendor: named("demo")?,
        issuing: PublicKey::from(&issuing),
        serial: 1,
        starts: now,
        expires,
    };
    let signed = certificate.sign(&root).map_err(failed)?;
    let license = terms(site.public, seats, now, expires)?;
    let about = format!(
        "{} for demo/solver, {seats} seats, one day, test",
        license.id
    );
    let text = license::issue(&license, &issuing, &signed, None).map_err(failed)?;
    let vendor_key = VendorKey {
        vendor: Some(named("demo")?),
        root: PublicKey::from(&root),
    };
    let vendor_text = vendor_key.to_string();
    write(&place.path.join("trust/demo.pub"), &vendor_text)?;
    write(&place.path.join("demo.lic"), &text)?;
    Ok(Stage {
        vendor_key: vendor_text,
        root: vendor_key.root,
        license: text,
        about,
    })
}

fn terms(
    site: PublicKey,
    seats: u32,
    issued: WallMs,
    expires: WallMs,
) -> Result<License, DemoError> {
    let solver = Feature {
        claimed_user: false,
        early_return: false,
        write_off: 0,
        feature: named("solver")?,
        version: None,
        seats: Some(seats),
        starts: issued,
        expires: Some(expires),
        lease_ms_min: LEASE_MS_MIN_TEST,
        lease_ms_default: LEASE_MS_DEFAULT,
        lease_ms_max: LEASE_MS_MAX,
        borrow_ms_max: DurationMs::ZERO,
        overdraft: 0,
        grouping: Grouping::Process,
    };
    Ok(License {
        id: named("demo-0001")?,
        serial: 1,
        vendor: named("demo")?,
        customer: "You".to_owned(),
        customer_id: named("you")?,
        environment: Environment::Test,
        site,
        hosts: Vec::new(),
        issued,
        replaces: Vec::new(),
        support: Some(
            "This is a demonstration: end one of the programs that hold a seat.".to_owned(),
        ),
        features: vec![solver],
    })
}

fn new_key() -> Result<SigningKey, DemoError> {
    keyfile::new_key().map_err(failed)
}

fn named<T: std::str::FromStr<Err = NameError>>(name: &str) -> Result<T, DemoError> {
    name.parse().map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> DemoError {
    DemoError::Site(error.to_string())
}
