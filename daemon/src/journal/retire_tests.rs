//! A log whose oldest part was retired: restore and repair lose nothing by it, and say what is missing (S2, S6).

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use usher_engine::record::{Event as Told, Retirement, What};
use usher_protocol::{ids::Epoch, time::WallMs};

use super::crash_tests::{copy_tree, load_all};
use super::*;
use crate::records;
use crate::usage::{Entry, LogHead, is_joint, relocate, verify};

/// A state with 30 leases in three segments, of which the first, with entries 1 to 10, was retired to `parts` when there
/// were 20. Lease 3 was granted in it and given back since.
struct Site {
    state: TempDir,
    parts: TempDir,
    /// Made before the retirement, and before the cut.
    old_backup: PathBuf,
    /// Made after it.
    new_backup: PathBuf,
    live: Live,
}

fn site() -> Site {
    let (state, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let usage = StorePaths::new(state.path()).usage;
    let old_backup = parts.path().join("old");
    let new_backup = parts.path().join("new");
    let mut life = Life::begin(state.path());
    life.grants(1..=5);
    life.journal.snapshot(&old_backup).unwrap();
    life.grants(6..=10);
    life.journal.log_watch().end_segment();
    life.grants(11..=20);
    let cut = end_of_first(&usage);
    let copy = life.journal.snapshot(&usage.join("copy.snapshot")).unwrap();
    let base_digest = keep_base(&usage, &copy).unwrap();
    life.tell(What::LogRetired(Retirement {
        through: cut.number,
        hash: cut.hash,
        base: copy.header.log.number,
        base_digest,
    }));
    let first = usage.join("usage-00000000000000000001.log");
    relocate(&first, parts.path()).unwrap();
    life.gives_back(3);
    life.journal.snapshot(&new_backup).unwrap();
    life.grants(21..=30);
    life.journal.resign().unwrap();
    drop(life);
    let live = load_all(state.path()).unwrap();
    assert_eq!(live.len(), 29);
    Site {
        state,
        parts,
        old_backup,
        new_backup,
        live,
    }
}

struct Life {
    journal: SledJournal,
    epoch: u64,
    head: u64,
}

impl Life {
    fn begin(state: &Path) -> Self {
        let mut journal = SledJournal::open(state, &SledOptions::default()).unwrap();
        let epoch = journal.acquire(0).unwrap();
        let head = journal.load(epoch).unwrap().head;
        Self {
            journal,
            epoch,
            head,
        }
    }

    fn grants(&mut self, leases: std::ops::RangeInclusive<u32>) {
        for lease in leases {
            let key = format!("+{lease:04}").into_bytes();
            self.commit(Some((key.clone(), Some(Vec::new()))), key);
        }
    }

    fn gives_back(&mut self, lease: u32) {
        let key = format!("+{lease:04}").into_bytes();
        self.commit(Some((key, None)), format!("-{lease:04}").into_bytes());
    }

    fn tell(&mut self, what: What) {
        let event = Told {
            at: WallMs(1_795_348_800_000),
            license_time: WallMs(1_795_348_800_000),
            epoch: Epoch(self.epoch),
            actor: "root(0)".to_owned(),
            what,
        };
        self.commit(None, records::event_body(&event).unwrap().body);
    }

    fn commit(&mut self, write: Option<(Vec<u8>, Option<Vec<u8>>)>, body: Vec<u8>) {
        self.head += 1;
        let batch = Batch {
            writes: write
                .into_iter()
                .map(|(key, value)| Write { key, value })
                .collect(),
            events: vec![Event { body }],
            wait_for_log: true,
            ..Batch::default()
        };
        self.journal.commit(self.epoch, self.head, &batch).unwrap();
    }
}

fn end_of_first(usage: &Path) -> LogHead {
    let mut reader = crate::usage::Reader::open(usage, None).unwrap();
    let end = reader.by_ref().take(10).last().unwrap().unwrap().number;
    let cut = reader.verified().head;
    assert_eq!((cut.number, end), (10, 10));
    assert!(is_joint(usage, cut).unwrap());
    cut
}

#[expect(clippy::unnecessary_wraps, reason = "what a replay gives")]
fn played(entry: &Entry, _: &Live) -> Result<Vec<Write>, String> {
    let mut key = entry.body.clone();
    let value = match key.first() {
        Some(b'+') => Some(Vec::new()),
        Some(b'-') => None,
        _ => return Ok(Vec::new()),
    };
    key[0] = b'+';
    Ok(vec![Write { key, value }])
}

fn repaired(site: &Site, backup: Option<&Path>) -> Result<Rebuilt, JournalError> {
    let options = SledOptions::default();
    repair(site.state.path(), backup, 0, Some(&mut played), &options)
}

fn restored(site: &Site, backup: &Path) -> Result<Rebuilt, JournalError> {
    let options = SledOptions::default();
    restore(site.state.path(), backup, 0, Some(&mut played), &options)
}

fn break_store(site: &Site) {
    fs::write(site.state.path().join("store/db"), b"garbage").unwrap();
}

fn give_back_what_was_retired(site: &Site) {
    let name = "usage-00000000000000000001.log";
    let usage = StorePaths::new(site.state.path()).usage;
    fs::copy(site.parts.path().join(name), usage.join(name)).unwrap();
}

fn the_base(site: &Site) -> PathBuf {
    let usage = StorePaths::new(site.state.path()).usage;
    let mut bases = older_bases(&usage, u64::MAX).unwrap();
    assert_eq!(bases.len(), 1);
    bases.remove(0)
}

fn verified(site: &Site) -> u64 {
    let proof = log_head(site.state.path(), &Format::current()).unwrap();
    let usage = StorePaths::new(site.state.path()).usage;
    verify(&usage, Some(proof)).unwrap().first_number
}

#[test]
fn s6_a_repair_after_a_retirement_loses_no_lease() {
    let site = site();
    break_store(&site);
    let rebuilt = repaired(&site, None).unwrap();
    assert_eq!(rebuilt.restored.source, RestoreSource::Snapshot);
    assert_eq!((rebuilt.restored.copy_head, rebuilt.head), (20, 32));
    assert_eq!(rebuilt.replaced_log, None);
    assert!(!rebuilt.restored.complete, "nobody can say that it is all");
    assert_eq!(load_all(site.state.path()).unwrap(), site.live);
    assert_eq!(verified(&site), 11);
    // And once more, from what that left.
    break_store(&site);
    repaired(&site, None).unwrap();
    assert_eq!(load_all(site.state.path()).unwrap(), site.live);
}

#[test]
fn s6_a_sound_store_is_repaired_from_itself_as_ever() {
    let site = site();
    let rebuilt = repaired(&site, None).unwrap();
    assert_eq!(
        (rebuilt.restored.copy_head, rebuilt.replaced_log),
        (32, None)
    );
    assert_eq!(load_all(site.state.path()).unwrap(), site.live);
    assert_eq!(verified(&site), 11);
}

#[test]
fn s6_a_base_that_was_edited_or_lost_is_not_gone_on_from() {
    let site = site();
    break_store(&site);
    let base = the_base(&site);
    let good = fs::read(&base).unwrap();
    let mut bad = good.clone();
    bad[80] ^= 1;
    // One bit changed; another whole snapshot in its place; none at all.
    let other = fs::read(&site.new_backup).unwrap();
    for bytes in [Some(&bad), Some(&other), None] {
        match bytes {
            Some(bytes) => fs::write(&base, bytes).unwrap(),
            None => fs::remove_file(&base).unwrap(),
        }
        let error = repaired(&site, None).unwrap_err();
        assert!(
            error.to_string().contains("base of the usage log"),
            "{error}"
        );
        assert!(error.next_step().contains("put the retired files back"));
        // Nothing was touched.
        assert!(!site.state.path().join("store.new").exists());
    }
    // A backup that reaches the cut will do, and so do the retired files.
    let rebuilt = repaired(&site, Some(&site.new_backup)).unwrap();
    assert!(rebuilt.findings.iter().any(|it| it.contains("it is gone")));
    assert_eq!(load_all(site.state.path()).unwrap(), site.live);
    break_store(&site);
    give_back_what_was_retired(&site);
    let rebuilt = repaired(&site, None).unwrap();
    assert_eq!(rebuilt.restored.source, RestoreSource::UsageLog);
    assert_eq!(load_all(site.state.path()).unwrap(), site.live);
}

#[test]
fn s6_a_backup_older_than_what_was_retired_is_refused_with_the_next_step() {
    let site = site();
    let error = restored(&site, &site.old_backup).unwrap_err();
    assert!(
        error.to_string().contains("up to 10 were retired"),
        "{error}"
    );
    assert!(error.next_step().contains("base-*.snapshot"));
    assert_eq!(load_all(site.state.path()).unwrap(), site.live, "untouched");
    // Each of the ways that the message names.
    let base = the_base(&site);
    let rebuilt = restored(&site, &base).unwrap();
    assert!(rebuilt.restored.complete);
    assert_eq!(load_all(site.state.path()).unwrap(), site.live);
    give_back_what_was_retired(&site);
    assert!(restored(&site, &site.old_backup).unwrap().restored.complete);
    assert_eq!(load_all(site.state.path()).unwrap(), site.live);
    assert_eq!(verified(&site), 1);
}

#[test]
fn s6_a_repair_goes_on_from_the_base_rather_than_from_an_older_backup() {
    let site = site();
    break_store(&site);
    let rebuilt = repaired(&site, Some(&site.old_backup)).unwrap();
    assert!(
        rebuilt
            .findings
            .iter()
            .any(|it| it.contains("up to 10 were retired"))
    );
    assert_eq!(rebuilt.restored.copy_head, 20);
    assert_eq!(load_all(site.state.path()).unwrap(), site.live);
}

/// A disk image of long ago was put back, the log apart.
#[test]
fn s6_a_store_older_than_what_was_retired_gives_way_to_the_base() {
    let ancient = tempfile::tempdir().unwrap();
    let mut life = Life::begin(ancient.path());
    life.grants(1..=5);
    life.journal.resign().unwrap();
    drop(life);
    let site = site();
    let store = site.state.path().join("store");
    fs::remove_dir_all(&store).unwrap();
    copy_tree(&ancient.path().join("store"), &store);
    let rebuilt = repaired(&site, None).unwrap();
    assert_eq!(rebuilt.restored.copy_head, 20);
    assert_eq!(load_all(site.state.path()).unwrap(), site.live);
}

/// Without an entry that vouches for it, a log that begins late is as broken as ever, and is set aside.
#[test]
fn s6_a_log_that_lost_more_than_was_retired_is_set_aside() {
    let site = site();
    let usage = StorePaths::new(site.state.path()).usage;
    let second = usage.join("usage-00000000000000000011.log");
    assert!(second.exists());
    let mut life = Life::begin(site.state.path());
    life.journal.log_watch().end_segment();
    life.grants(31..=31);
    life.journal.resign().unwrap();
    drop(life);
    fs::remove_file(second).unwrap();
    let rebuilt = repaired(&site, None).unwrap();
    assert!(rebuilt.replaced_log.is_some());
    assert!(
        rebuilt
            .findings
            .iter()
            .any(|it| it.contains("no entry tells"))
    );
}

/// After a crash the store still keeps for the log what is in the log already.
#[test]
fn s6_entries_that_are_in_the_log_already_do_not_join_the_new_one_again() {
    let (alive, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut life = Life::begin(alive.path());
    life.grants(1..=5);
    copy_tree(alive.path(), state.path());
    drop(life);
    let paths = StorePaths::new(state.path());
    let log = paths.usage.join("usage-00000000000000000001.log");
    let mut bytes = fs::read(&log).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&log, bytes).unwrap();

    let options = SledOptions::default();
    let rebuilt = repair(state.path(), None, 0, Some(&mut played), &options).unwrap();
    assert!(rebuilt.replaced_log.is_some(), "{rebuilt:?}");
    let proof = log_head(state.path(), &Format::current()).unwrap();
    let found = verify(&paths.usage, Some(proof)).unwrap();
    assert_eq!((found.first_number, found.head.number), (5, 5));
    let mut life = Life::begin(state.path());
    life.grants(6..=6);
    life.journal.resign().unwrap();
    drop(life);
    assert_eq!(load_all(state.path()).unwrap().len(), 6);
}
