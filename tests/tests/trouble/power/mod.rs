//! Is anything that the daemon acknowledged ever lost when the power fails?
//!
//! The daemon writes under load to a disk of its own. A cut copies what reached that disk, and nothing that the kernel
//! only meant to write; the copy is mounted, a daemon starts on it, and is held to what had been acknowledged.

mod site;

use usher_tests::daemon::Vendor;
use usher_tests::disk::{self, FileSystem};
use usher_tests::proof::{self, Dice};
use usher_tests::station::Station;

use site::{Site, Total};

/// A round is a site of its own, on ext4 and on xfs by turns, cut thirteen times: while it first starts, right after
/// the first acknowledgements, under load, and at last amid whatever it writes.
#[test]
fn power_cuts_lose_nothing_acknowledged_and_lend_nothing_twice() {
    if let Some(reason) = disk::why_not() {
        println!("SKIPPED: {reason}");
        return;
    }
    let seeds = proof::seeds(4);
    let station = Station::here();
    let vendor = Vendor::new(&station, "acme");
    let mut total = Total::default();
    for seed in seeds.clone() {
        let mut site = Site::new(&vendor, seed, of_seed(seed), &[]);
        site.first_start();
        site.first_acknowledgements();
        for _ in 0..CUTS_UNDER_LOAD {
            site.cut_under_load();
        }
        total.add(site.end());
    }
    proof::tell("power cuts", &total.figures(seeds.end - seeds.start));
    assert!(total.bad.is_empty(), "{:#?}", total.bad);
    assert_eq!(total.failures, 0);
}

/// The proof above can fail: without our own syncs (S1) the same cuts find what is lost, on either file system.
#[test]
fn power_cuts_find_a_missing_sync() {
    if let Some(reason) = disk::why_not() {
        println!("SKIPPED: {reason}");
        return;
    }
    let station = Station::here();
    let vendor = Vendor::new(&station, "acme");
    for kind in [FileSystem::Ext4, FileSystem::Xfs] {
        let mut site = Site::new(&vendor, Dice::new(1).roll() >> 40, kind, &["fdatasync"]);
        site.start();
        site.license();
        let cuts = (1..=CUTS_MAX).find(|_| {
            site.cut_under_load();
            site.has_found()
        });
        let cuts = cuts.unwrap_or_else(|| panic!("{kind:?}: not found in {CUTS_MAX} cuts"));
        println!(
            "{kind:?}: a missing fdatasync is found by cut {cuts}: {}",
            site.found()[0]
        );
    }
}

fn of_seed(seed: u64) -> FileSystem {
    if seed % 2 == 1 {
        FileSystem::Ext4
    } else {
        FileSystem::Xfs
    }
}

const CUTS_UNDER_LOAD: u32 = 7;
const CUTS_MAX: u32 = 40;
