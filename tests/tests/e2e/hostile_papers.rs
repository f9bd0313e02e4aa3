//! Is a paper that is not what it was when it was signed, or not here what it is elsewhere, refused with its reason?

use std::fs;

use usher_client::tls;
use usher_protocol::documents::license::VerifiedLicense;
use usher_protocol::refusal::RefusalCode;
use usher_protocol::wire::{Reply, Request};
use usher_tests::daemon::{Daemon, Vendor};
use usher_tests::station::Station;
use usherd::admin::client::AdminClient;
use usherd::admin::protocol::{Answer, Ask};

use super::usher_site::{Site, stderr};
use usher_tests::peer::{Held, Peer, key, root_of, runtime};

/// T6: a lease names one client key; its copy, secrets and all, is worth nothing under another.
#[test]
fn a_copied_lease_is_refused_under_another_key() {
    let site = Site::new(TERMS);
    let (address, root) = (site.daemon.address(), root_of(&site.vendor));
    runtime().block_on(async {
        let mut owner = Peer::welcomed(address, &key(1), root).await;
        let mut held = Held::checkout(&mut owner).await;
        let mut thief = Peer::welcomed(address, &key(2), root).await;
        for stolen in [held.attach().0, held.renewal(), held.release()] {
            let refusal = thief.refused(stolen).await;
            assert_eq!(refusal.code, RefusalCode::WrongDevice, "{}", refusal.detail);
            println!("{}: {}", refusal.code.name(), refusal.detail);
        }
        held.renew(&mut owner).await;
        held.reattach(&mut owner).await;
        assert_eq!(owner.ask(held.release()).await, Reply::Released);
        let server = tls::peer_key(&owner.connection).unwrap();
        assert!(site.daemon.ask(&["request"]).contains(&server.to_string()));
    });
}

/// T4: who trusts another vendor is told so, and gets no seat.
#[test]
fn a_wrong_vendor_key_is_refused() {
    let site = Site::new(TERMS);
    let other = Vendor::new(&site.station, "bolt");
    let trusted = site.station.home().join(".config/usher/trust.d");
    fs::remove_file(trusted.join("acme.pub")).unwrap();
    fs::copy(other.directory().join("bolt.pub"), trusted.join("bolt.pub")).unwrap();
    let output = site.run(&["--test", "bolt/solver", "--", "true"]);
    let said = stderr(&output);
    println!("{said}");
    assert_eq!(output.status.code(), Some(77), "{said}");
    assert!(said.contains("refused: unknown-vendor: "), "{said}");
    // A key file of the right name and another key.
    let forged = fs::read_to_string(other.directory().join("bolt.pub")).unwrap();
    fs::write(trusted.join("bolt.pub"), forged.replace("bolt", "acme")).unwrap();
    let output = site.run(&["--test", "acme/solver", "--", "true"]);
    assert_eq!(output.status.code(), Some(77), "{}", stderr(&output));
}

/// T7: a license names one site key.
#[test]
fn a_copied_license_is_refused_without_its_site_key() {
    let site = Site::new(TERMS);
    let other = Daemon::start(&Station::here());
    let license = site
        .vendor
        .license(&site.daemon, &[TERMS, &["--license-id", "copied"]].concat());
    let output = other
        .admin(&["license", "add", "--yes", license.to_str().unwrap()])
        .output()
        .unwrap();
    let said = stderr(&output);
    println!("{said}");
    assert!(!output.status.success());
    assert!(said.contains("site"), "{said}");
    assert!(other.ask(&["license", "list"]).contains("no license"));
}

/// T7: every byte counts; meanwhile the license that is installed serves.
#[test]
fn each_edited_byte_of_a_license_is_refused_and_the_old_one_serves() {
    let site = Site::new(TERMS);
    let newer = site.vendor.license(
        &site.daemon,
        &[TERMS, &["--license-id", "acme-1", "--serial", "9"]].concat(),
    );
    let text = fs::read_to_string(newer).unwrap();
    let table = text.find("\n[signature]\n").unwrap();
    assert_no_edit_verifies(&text);
    let mut admin = AdminClient::connect(&site.daemon.admin_socket()).unwrap();
    let runtime = runtime();
    let root = root_of(&site.vendor);
    let mut peer = runtime.block_on(Peer::welcomed(site.daemon.address(), &key(1), root));
    let mut held = runtime.block_on(Held::checkout(&mut peer));
    let step = text.len().div_ceil(SAMPLES_MAX);
    let mut reasons = std::collections::BTreeMap::<&str, usize>::new();
    for (count, at) in (0..text.len()).step_by(step).enumerate() {
        let mut edited = text.clone().into_bytes();
        edited[at] ^= 0x01;
        let text = String::from_utf8(edited).unwrap();
        let Answer::Failed { message } = admin
            .ask(Ask::LicenseAdd {
                text,
                root: Some(root),
            })
            .unwrap()
        else {
            panic!("byte {at} was taken");
        };
        let reason = REASONS.iter().find(|reason| message.contains(**reason));
        let reason = reason.unwrap_or_else(|| panic!("byte {at}: {message}"));
        assert!(
            at >= table || *reason == REASONS[0],
            "byte {at} of the text: {message}"
        );
        *reasons.entry(reason).or_default() += 1;
        if count % 100 == 0 {
            runtime.block_on(held.renew(&mut peer));
        }
    }
    println!(
        "{} bytes, every {step}th edited over the socket: {reasons:?}",
        text.len()
    );
    let serial =
        serde_json::from_str::<serde_json::Value>(&site.daemon.ask(&["license", "list", "--json"]))
            .unwrap();
    assert_eq!(serial[0]["serial"], 1, "{serial}");
    runtime.block_on(async {
        held.renew(&mut peer).await;
        assert!(
            matches!(peer.ask(Request::Features).await, Reply::Features(views) if views[0].out == 1)
        );
    });
    // The same by hand: the reason and the next step.
    let edited = site.station.home().join("edited.lic");
    fs::write(&edited, text.replace("seats = 10", "seats = 99")).unwrap();
    let output = site
        .daemon
        .admin(&["license", "add", edited.to_str().unwrap()])
        .output()
        .unwrap();
    let said = stderr(&output);
    assert!(!output.status.success());
    assert!(
        said.contains("the text was changed") && said.contains("do not edit a license"),
        "{said}"
    );
}

fn assert_no_edit_verifies(text: &str) {
    for at in 0..text.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut edited = text.as_bytes().to_vec();
            edited[at] ^= bit;
            assert!(
                VerifiedLicense::verify(&edited).is_err(),
                "byte {at} ^ {bit}"
            );
        }
    }
}

const TERMS: &[&str] = &["--environment", "test", "--feature", "solver:10"];
const SAMPLES_MAX: usize = 1500;
/// What an edit may be refused for; the first is that of every edit above the signature.
const REASONS: &[&str] = &[
    "signature does not fit its text",
    "not a license file: ",
    "certificate",
    "endorsement",
];
