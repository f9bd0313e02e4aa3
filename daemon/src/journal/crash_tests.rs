//! Real processes killed, real disks full, real bits flipped: nothing acknowledged is ever lost silently.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::contract::{event, set, sets};
use super::*;
use crate::usage::{Reader, verify};

/// Set for a child: the state directory it writes to.
const WRITER_STATE: &str = "USHER_TEST_WRITER_STATE";
const OPTIONS: fn() -> SledOptions = || SledOptions {
    segment_bytes_max: 20_000,
    steps_bytes: 100_000,
    ..SledOptions::default()
};

/// Not a test of its own: the child that the tests below kill. It prints each number it has committed.
#[test]
fn writer_child() {
    let Some(state) = std::env::var_os(WRITER_STATE) else {
        return;
    };
    let mut journal = SledJournal::open(Path::new(&state), &OPTIONS()).unwrap();
    let epoch = journal.acquire(0).unwrap();
    let loaded = journal.load(epoch).unwrap();
    let mut out = std::io::stdout().lock();
    for number in loaded.head + 1.. {
        let batch = Batch {
            wait_for_log: std::env::var_os(WRITER_WAITS).is_some(),
            ..numbered_batch(number)
        };
        if let Err(error) = journal.commit(epoch, number, &batch) {
            writeln!(out, "error {error}").unwrap();
            assert!(
                journal.commit(epoch, number, &Batch::default()).is_err(),
                "S4"
            );
            assert!(journal.resign().is_err(), "S4");
            return;
        }
        writeln!(out, "committed {number}").unwrap();
    }
}

/// Set for a child beside it: every commit waits for the usage log.
const WRITER_WAITS: &str = "USHER_TEST_WRITER_WAITS";

/// Three writes that belong together, a removal, and two events.
fn numbered_batch(number: u64) -> Batch {
    let text = number.to_string();
    let mut batch = sets(&[
        ("left", &text),
        ("right", &text),
        (&format!("n/{number:08}"), &text),
    ]);
    batch.writes.push(set("long", &text.repeat(2000)));
    if number > 50 {
        let key = format!("n/{:08}", number - 50).into_bytes();
        batch.writes.push(Write { key, value: None });
    }
    batch.events = vec![event(&format!("{number}/a")), event(&format!("{number}/b"))];
    batch
}

#[test]
fn twenty_kills_lose_no_acknowledged_batch_and_double_no_event() {
    let state = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for kill in 0..20_u64 {
        let mut child = writer(state.path(), "");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Every life gets a little further before it is killed, in the middle of its next batch.
        let goal = acknowledged + 3 + kill * 7 % 40;
        while acknowledged < goal {
            acknowledged = committed(&lines.next().unwrap().unwrap()).unwrap_or(acknowledged);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it printed before it died counts as well.
        let rest = lines
            .map_while(Result::ok)
            .filter_map(|line| committed(&line));
        acknowledged = rest.max().unwrap_or(acknowledged);
        check(state.path(), acknowledged);
        acknowledged = acknowledged.max(head_of(state.path()));
    }
    assert!(acknowledged > 20 * 3);
}

/// S2: what was waited for is in the log itself, before any later life could bring it there.
#[test]
fn s2_a_kill_finds_every_acknowledged_batch_that_waited_in_the_log() {
    let state = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for kill in 0..6_u64 {
        let mut child = writer(state.path(), &format!("export {WRITER_WAITS}=1;"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let goal = acknowledged + 3 + kill * 5;
        while acknowledged < goal {
            acknowledged = committed(&lines.next().unwrap().unwrap()).unwrap_or(acknowledged);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let rest = lines
            .map_while(Result::ok)
            .filter_map(|line| committed(&line));
        acknowledged = rest.max().unwrap_or(acknowledged);
        // The store is not opened before: its outbox would complete the log.
        let logged = log_of(state.path()).map_while(Result::ok).count() as u64;
        assert!(
            logged >= acknowledged * 2,
            "{logged} entries after {acknowledged} batches of two"
        );
        check(state.path(), acknowledged);
        acknowledged = acknowledged.max(head_of(state.path()));
    }
}

#[test]
fn an_error_of_the_log_is_an_error_of_the_commit_that_waits_for_it() {
    let state = tempfile::tempdir().unwrap();
    let options = SledOptions {
        segment_bytes_max: 200,
        ..OPTIONS()
    };
    let mut journal = SledJournal::open(state.path(), &options).unwrap();
    let epoch = journal.acquire(0).unwrap();
    let waiting = |number| Batch {
        wait_for_log: true,
        ..numbered_batch(number)
    };
    journal.commit(epoch, 1, &waiting(1)).unwrap();
    for number in 2..40 {
        fs::create_dir(state.path().join(format!("usage/usage-{number:020}.log"))).unwrap_or(());
    }
    // A segment holds a few entries: one of these commits needs the next one.
    let (acknowledged, error) = (2..6)
        .find_map(|head| Some((head - 1, journal.commit(epoch, head, &waiting(head)).err()?)))
        .unwrap();
    let message = error.to_string();
    assert!(message.contains("begin the segment"), "{message}");
    let logged = log_of(state.path()).map_while(Result::ok).count() as u64;
    assert!(
        logged >= acknowledged * 2,
        "{acknowledged} batches acknowledged, {logged} entries logged"
    );
    assert!(
        journal.commit(epoch, 7, &Batch::default()).is_err(),
        "S4, L13"
    );
}

#[test]
fn a_full_disk_stops_the_journal_and_loses_nothing() {
    let state = tempfile::tempdir().unwrap();
    // A file-size limit is a disk that fills up, without needing a mount: 1.5 MiB for any file.
    let child = writer(state.path(), "trap '' XFSZ; ulimit -f 3072;");
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let acknowledged = text.lines().filter_map(committed).max().unwrap();
    let said = text
        .lines()
        .find(|line| line.starts_with("error "))
        .unwrap();
    // Either of them grows until it meets the limit: sled's file, or a steps' file while sled is behind.
    let names_file = ["cannot use the store", "cannot write a step to"]
        .iter()
        .any(|it| said.contains(it));
    assert!(names_file && said.contains("free disk space"), "{said}");
    assert!(
        output.status.success(),
        "after the error every call fails: {text}"
    );
    check(state.path(), acknowledged);
}

#[test]
fn an_error_of_the_log_is_an_error_of_the_journal() {
    let state = tempfile::tempdir().unwrap();
    let options = SledOptions {
        segment_bytes_max: 200,
        waiting_events_max: 0,
        ..OPTIONS()
    };
    let mut journal = SledJournal::open(state.path(), &options).unwrap();
    let epoch = journal.acquire(0).unwrap();
    journal.commit(epoch, 1, &numbered_batch(1)).unwrap();
    // The next segments' names are taken: the log cannot go on.
    for number in 2..20 {
        fs::create_dir(state.path().join(format!("usage/usage-{number:020}.log"))).unwrap_or(());
    }
    let outcome = (2..5).try_for_each(|head| journal.commit(epoch, head, &numbered_batch(head)));
    let message = outcome.unwrap_err().to_string();
    assert!(message.contains("begin the segment"), "{message}");
    assert!(journal.resign().is_err(), "S4, L13");
}

#[test]
fn flipped_bits_in_the_store_are_never_a_silent_change() {
    let good = tempfile::tempdir().unwrap();
    let expected = filled(good.path(), 60);
    let db = fs::read(good.path().join("store/db")).unwrap();
    let used = db.iter().rposition(|byte| *byte != 0).unwrap();
    let (mut refused, mut harmless) = (0, 0);
    for step in 0..60 {
        let state = tempfile::tempdir().unwrap();
        copy_tree(good.path(), state.path());
        let mut bad = db.clone();
        bad[used * step / 60] ^= 1 << (step % 8);
        fs::write(state.path().join("store/db"), bad).unwrap();
        match load_all(state.path()) {
            Ok(found) => {
                assert_eq!(
                    found,
                    expected,
                    "byte {} changed the state",
                    used * step / 60
                );
                harmless += 1;
            }
            Err(error) => {
                let message = error.to_string();
                assert!(message.contains("`usherd repair`"), "{message}");
                refused += 1;
            }
        }
    }
    assert!(
        refused > 0,
        "{harmless} flips were harmless: nothing that is read was hit"
    );
}

#[test]
fn a_record_that_vanished_or_went_back_is_noticed() {
    let key = b"eleft".as_slice();
    for go_back in [false, true] {
        let state = tempfile::tempdir().unwrap();
        filled(state.path(), 3);
        let store = state.path().join("store");
        let raw = |value: Option<&[u8]>| {
            let config = ::sled::Config::new().path(&store);
            let db = std::iter::repeat_with(|| config.open())
                .find_map(Result::ok)
                .unwrap();
            let before = db.get(key).unwrap().unwrap();
            match value {
                Some(value) => db.insert(key, value).unwrap(),
                None => db.remove(key).unwrap(),
            };
            db.flush().unwrap();
            before
        };
        if go_back {
            // A whole, well-framed record, only older than it should be.
            let old = raw(Some(b"any"));
            raw(Some(&old));
            filled(state.path(), 1);
            raw(Some(&old));
        } else {
            raw(None);
        }
        let error = load_all(state.path()).unwrap_err().to_string();
        assert!(
            error.contains("vanished, came back or went back"),
            "{error}"
        );
    }
}

#[test]
fn cut_files_are_refused_and_repaired() {
    for (file, percent) in [("db", 0), ("db", 40), ("db", 90), ("conf", 50)] {
        let state = tempfile::tempdir().unwrap();
        let expected = filled(state.path(), 30);
        let path = state.path().join("store").join(file);
        let length = fs::metadata(&path).unwrap().len();
        let handle = fs::File::options().write(true).open(&path).unwrap();
        handle.set_len(length * percent / 100).unwrap();
        match load_all(state.path()) {
            // sled fills its file up in advance: the end may hold nothing.
            Ok(found) => assert_eq!(found, expected, "{file} cut to {percent} %"),
            Err(error) => assert!(error.to_string().contains("usherd repair"), "{error}"),
        }
        repair(state.path(), None, 1000, None, &OPTIONS()).unwrap();
        let mut journal = SledJournal::open(state.path(), &OPTIONS()).unwrap();
        let epoch = journal.acquire(0).unwrap();
        assert!(epoch > 1000);
        assert!(
            journal
                .load(epoch)
                .unwrap()
                .restored
                .is_some_and(|mark| !mark.complete)
        );
    }
}

#[test]
fn a_lost_store_is_never_taken_for_a_new_one() {
    for lose in ["store", "store/db"] {
        let state = tempfile::tempdir().unwrap();
        filled(state.path(), 3);
        let path = state.path().join(lose);
        if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        }
        .unwrap();
        let error = load_all(state.path()).unwrap_err();
        assert!(
            error.to_string().contains("though one was made here"),
            "{error}"
        );
    }
    let state = tempfile::tempdir().unwrap();
    filled(state.path(), 3);
    let db = state.path().join("store");
    fs::remove_dir_all(&db).unwrap();
    drop(::sled::open(&db).unwrap());
    let error = load_all(state.path()).unwrap_err();
    assert!(
        error.to_string().contains("though one was made here"),
        "{error}"
    );
}

#[test]
fn a_store_behind_its_log_or_its_witness_is_refused() {
    let state = tempfile::tempdir().unwrap();
    filled(state.path(), 10);
    let aside = tempfile::tempdir().unwrap();
    copy_tree(&state.path().join("store"), &aside.path().join("store"));
    filled(state.path(), 10);
    fs::remove_dir_all(state.path().join("store")).unwrap();
    copy_tree(&aside.path().join("store"), &state.path().join("store"));
    let error = load_all(state.path()).unwrap_err();
    assert!(error.to_string().contains("the store went back"), "{error}");
    fs::remove_file(state.path().join("store.witness")).unwrap();
    let error = load_all(state.path()).unwrap_err();
    assert!(
        error.to_string().contains("it is older than its log"),
        "{error}"
    );
}

#[test]
fn leftovers_of_a_crash_do_not_stop_the_start() {
    let state = tempfile::tempdir().unwrap();
    let expected = filled(state.path(), 20);
    fs::write(
        state.path().join("store/snap.00000000000000FF.generating"),
        b"half",
    )
    .unwrap();
    fs::write(
        state.path().join("store/snap.0000000000000FFF"),
        b"not a snapshot",
    )
    .unwrap();
    fs::remove_file(state.path().join("store.initialized")).unwrap();
    assert_eq!(load_all(state.path()).unwrap(), expected);
    assert!(state.path().join("store.initialized").exists());
}

/// S3: a full disk or a crash in the very first start leaves nothing that an administrator has to see to.
#[test]
fn a_first_start_that_was_cut_short_is_made_anew_and_no_other() {
    for torn in [&b"half a confi"[..], b""] {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir(state.path().join("store")).unwrap();
        fs::write(state.path().join("store/conf"), torn).unwrap();
        fs::write(state.path().join("store/db"), b"").unwrap();
        assert_eq!(load_all(state.path()).unwrap(), BTreeMap::new());
        filled(state.path(), 3);
        // With a log it has a past, marker or not.
        fs::write(state.path().join("store/conf"), b"half a confi").unwrap();
        fs::remove_file(state.path().join("store.initialized")).unwrap();
        let error = load_all(state.path()).unwrap_err().to_string();
        assert!(error.contains("`usherd repair`"), "{error}");
    }
}

fn writer(state: &Path, before: &str) -> Child {
    let script =
        format!("{before} exec \"$0\" --exact journal::crash_tests::writer_child --nocapture");
    Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(WRITER_STATE, state)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn committed(line: &str) -> Option<u64> {
    line.split("committed ").nth(1)?.trim().parse().ok()
}

/// Opens as a new life and compares everything with what `acknowledged` batches must have left.
fn check(state: &Path, acknowledged: u64) {
    let head = head_of(state);
    assert!(
        head == acknowledged || head == acknowledged + 1,
        "{head} after {acknowledged}"
    );
    let found = load_all(state).unwrap();
    let mut expected = BTreeMap::new();
    for number in 1..=head {
        for Write { key, value } in numbered_batch(number).writes {
            match value {
                Some(value) => expected.insert(key, value),
                None => expected.remove(&key),
            };
        }
    }
    assert!(found == expected, "a batch is there in part");
    let bodies: Vec<_> = log_of(state)
        .map(|entry| String::from_utf8(entry.unwrap().body).unwrap())
        .collect();
    let due: Vec<_> = (1..=head)
        .flat_map(|n| [format!("{n}/a"), format!("{n}/b")])
        .collect();
    assert!(bodies == due, "{} entries, {} due", bodies.len(), due.len());
    let proof = log_head(state, &Format::current()).unwrap();
    verify(&StorePaths::new(state).usage, Some(proof)).unwrap();
}

fn head_of(state: &Path) -> u64 {
    let mut journal = SledJournal::open(state, &OPTIONS()).unwrap();
    let epoch = journal.acquire(0).unwrap();
    journal.load(epoch).unwrap().head
}

fn log_of(state: &Path) -> Reader {
    Reader::open(&StorePaths::new(state).usage, None).unwrap()
}

/// Commits `count` more batches and gives what is stored then.
pub(super) fn filled(state: &Path, count: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut journal = SledJournal::open(state, &OPTIONS()).unwrap();
    let epoch = journal.acquire(0).unwrap();
    let head = journal.load(epoch).unwrap().head;
    for number in head + 1..=head + count {
        journal
            .commit(epoch, number, &numbered_batch(number))
            .unwrap();
    }
    journal.resign().unwrap();
    drop(journal);
    load_all(state).unwrap()
}

pub(super) fn load_all(state: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, JournalError> {
    let mut journal = SledJournal::open(state, &OPTIONS())?;
    let epoch = journal.acquire(0)?;
    Ok(journal.all_records(epoch)?.into_iter().collect())
}

pub(super) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}
