//! The loop over real threads: nothing leaves before its commit, and a failing journal ends everything.

use std::{
    path::Path,
    pin::Pin,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_shim::poll_once;
use usher_engine::{
    api::{AdminAsk, Answer, ClientAsk},
    record::What,
};
use usher_protocol::{refusal::RefusalCode, time::DurationMs, wire::Push};

use super::*;
use crate::{
    journal::{
        Batch, Journal, JournalError, Loaded, MemoryJournal, MemoryStore, SledJournal, SledOptions,
        SnapshotInfo, Wake,
    },
    limits, records, testing,
};

/// A real journal in memory whose commits can be held up, counted and made to fail.
struct Gated {
    inner: MemoryJournal,
    gate: Arc<Gate>,
}

#[derive(Default)]
pub(crate) struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
    entered: AtomicUsize,
    commits: AtomicUsize,
    broken: AtomicBool,
    resigned: AtomicBool,
}

impl Gate {
    pub(crate) fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    pub(crate) fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.opened.notify_all();
    }

    /// A commit has begun and is not done.
    pub(crate) fn is_held_up(&self) -> bool {
        self.entered.load(Ordering::SeqCst) > self.commits()
    }

    fn commits(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }
}

impl Journal for Gated {
    fn acquire(&mut self, epoch_floor: u64) -> Result<u64, JournalError> {
        self.inner.acquire(epoch_floor)
    }

    fn load(&mut self, epoch: u64) -> Result<Loaded, JournalError> {
        self.inner.load(epoch)
    }

    fn records(
        &mut self,
        epoch: u64,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), JournalError> {
        self.inner.records(epoch, each)
    }

    fn commit(&mut self, epoch: u64, head: u64, batch: &Batch) -> Result<(), JournalError> {
        self.gate.entered.fetch_add(1, Ordering::SeqCst);
        let closed = self.gate.closed.lock().unwrap();
        drop(
            self.gate
                .opened
                .wait_while(closed, |closed| *closed)
                .unwrap(),
        );
        if self.gate.broken.load(Ordering::SeqCst) {
            let full = std::io::ErrorKind::StorageFull.into();
            return Err(JournalError::io("write", Path::new("/s/db"))(full));
        }
        self.inner.commit(epoch, head, batch)?;
        self.gate.commits.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn check(&mut self) -> Result<(), JournalError> {
        self.inner.check()
    }

    fn wake_on_failure(&mut self, wake: Wake) {
        self.inner.wake_on_failure(wake);
    }

    fn snapshot(&mut self, target: &Path) -> Result<SnapshotInfo, JournalError> {
        self.inner.snapshot(target)
    }

    fn resign(&mut self) -> Result<(), JournalError> {
        self.gate.resigned.store(true, Ordering::SeqCst);
        self.inner.resign()
    }
}

pub(crate) async fn started(seats: u32, lease_ms: DurationMs) -> (Started, Arc<Gate>, MemoryStore) {
    let store = MemoryStore::default();
    let gate = Arc::new(Gate::default());
    let started = testing::start(Gated {
        inner: MemoryJournal::open(&store),
        gate: Arc::clone(&gate),
    });
    testing::install(&started.handle, &testing::license(seats, lease_ms)).await;
    (started, gate, store)
}

/// A checkout that stands in the core's queue; what it gives is the answer.
async fn queued(core: &Started, nonce: u8) -> Pin<Box<impl Future<Output = Answer> + use<>>> {
    let handle = core.handle.clone();
    let mut asking = Box::pin(async move {
        handle
            .ask(testing::caller(), testing::ask_seat(nonce))
            .await
    });
    assert!(poll_once(&mut asking).await.is_none(), "answered already");
    asking
}

fn was_reclaimed(store: &MemoryStore) -> bool {
    let events = store.events();
    let mut events = events.iter().map(|body| records::read_event(body).unwrap());
    events.any(|event| matches!(event.what, What::Reclaimed(_)))
}

const LONG: DurationMs = DurationMs::minutes(10);
const SHORT_WHILE: Duration = Duration::from_millis(150);

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_leaves_before_its_commit() {
    let (core, gate, _) = started(10, LONG).await;
    gate.close();
    let seat = tokio::spawn({
        let handle = core.handle.clone();
        async move { handle.ask(testing::caller(), testing::ask_seat(1)).await }
    });
    testing::until("the commit begins", || gate.is_held_up()).await;
    // Not even a question that needs no disk overtakes it: it would show what is not durable.
    let features = tokio::spawn({
        let handle = core.handle.clone();
        async move { handle.ask(testing::caller(), ClientAsk::Features).await }
    });
    tokio::time::sleep(SHORT_WHILE).await;
    assert!(!seat.is_finished() && !features.is_finished());
    gate.open();
    assert!(matches!(seat.await.unwrap(), Answer::Promised(_)));
    match features.await.unwrap() {
        Answer::Features(views) => assert_eq!(views[0].out, 1),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_shares_one_commit_and_reading_needs_none() {
    let (core, gate, store) = started(100, LONG).await;
    let before = gate.commits();
    gate.close();
    let mut seats = Vec::new();
    for nonce in 0..50 {
        seats.push(queued(&core, nonce).await);
    }
    gate.open();
    for seat in seats {
        assert!(matches!(seat.await, Answer::Promised(_)));
    }
    // The first may have gone alone; the others waited behind it.
    assert!(
        gate.commits() - before <= 2,
        "{} commits",
        gate.commits() - before
    );
    assert!(store.events().len() >= 50, "grants are history");
    let before = gate.commits();
    core.handle
        .ask(testing::caller(), ClientAsk::Features)
        .await;
    assert_eq!(gate.commits(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_journal_refuses_all_that_waits_and_ends_the_core() {
    let (core, gate, _) = started(100, LONG).await;
    gate.close();
    let mut seats = Vec::new();
    for nonce in 0..20 {
        seats.push(queued(&core, nonce).await);
    }
    gate.broken.store(true, Ordering::SeqCst);
    gate.open();
    for seat in seats {
        match seat.await {
            Answer::Refused(refusal) => {
                assert_eq!(refusal.code, RefusalCode::StorageTrouble);
                // A4: not a word of the storage's own.
                assert!(!refusal.detail.contains("/s/db"), "{}", refusal.detail);
            }
            other => panic!("{other:?}"),
        }
    }
    let error = core.ended.await.unwrap().unwrap_err();
    insta::assert_snapshot!(error, @"cannot write /s/db: no storage space; free disk space, then start usherd again");
    assert!(
        !gate.resigned.load(Ordering::SeqCst),
        "nothing is written after an error (S4)"
    );
    let late = core
        .handle
        .ask(testing::caller(), ClientAsk::Features)
        .await;
    match late {
        // Not "come back soon": that would be another word for the same end.
        Answer::Refused(refusal) => assert_eq!(refusal.code, RefusalCode::StorageTrouble),
        other => panic!("{other:?}"),
    }
}

/// L13: the log is written beside the commits, and this core has nothing more to commit.
#[tokio::test(flavor = "multi_thread")]
async fn l13_a_usage_log_that_fails_ends_an_idle_core_at_once() {
    let state = tempfile::tempdir().unwrap();
    let options = SledOptions {
        segment_bytes_max: 200,
        ..SledOptions::default()
    };
    let journal = SledJournal::open(state.path(), &options).unwrap();
    let log = journal.log_watch();
    let core = testing::start(journal);
    testing::install(&core.handle, &testing::license(1, LONG)).await;
    // As many as the same license brings on a core in memory; until then the log is still written.
    let (_, _, store) = started(1, LONG).await;
    let installed = store.events().len() as u64;
    testing::until("the log has it all", || log.head().number == installed).await;
    // The next segments' names are taken: the log cannot go on.
    for number in 1..50 {
        let segment = state.path().join(format!("usage/usage-{number:020}.log"));
        std::fs::create_dir(segment).unwrap_or(());
    }
    let seat = core.handle.ask(testing::caller(), testing::ask_seat(1));
    assert!(matches!(seat.await, Answer::Promised(_)), "it was durable");
    let ended = tokio::time::timeout(Duration::from_mins(1), core.ended).await;
    let error = ended.expect("nobody told the core").unwrap().unwrap_err();
    assert!(error.to_string().contains("begin the segment"), "{error}");
    let late = core.handle.ask(testing::caller(), ClientAsk::Features);
    assert!(matches!(late.await, Answer::Refused(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_answers_busy_at_once() {
    let (core, gate, _) = started(10, LONG).await;
    gate.close();
    let first = poll_once(core.handle.ask(testing::caller(), testing::ask_seat(1)));
    assert!(first.await.is_none());
    testing::until("the core is held up", || gate.is_held_up()).await;
    let (sink, _answers) = tokio::sync::mpsc::channel(1);
    let mut posted = 0;
    let refusal = loop {
        let caller = testing::caller();
        match core
            .handle
            .post(caller, ClientAsk::Features, 1, &sink, None)
        {
            Ok(()) => posted += 1,
            Err(refusal) => break refusal,
        }
        assert!(posted <= limits::QUEUE_LENGTH_MAX + limits::BATCH_INPUTS_MAX);
    };
    assert_eq!(refusal.code, RefusalCode::Busy);
    assert_eq!(refusal.retry_after_ms, Some(limits::BUSY_RETRY_MS));
    gate.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_nobody_renews_comes_back_by_the_alarm_alone() {
    let (core, _, store) = started(1, DurationMs::seconds(2)).await;
    let seat = core
        .handle
        .ask(testing::caller(), testing::ask_seat(1))
        .await;
    assert!(matches!(seat, Answer::Promised(_)));
    // No input but the alarm's: R = 2 s and G = 1 s.
    testing::until("the reclaim", || was_reclaimed(&store)).await;
    let seat = core
        .handle
        .ask(testing::caller(), testing::ask_seat(2))
        .await;
    assert!(matches!(seat, Answer::Promised(_)), "{seat:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_answers_what_is_queued_then_resigns() {
    let (core, gate, _) = started(10, LONG).await;
    let mut news = core.handle.news();
    gate.close();
    let seat = tokio::spawn({
        let handle = core.handle.clone();
        async move { handle.ask(testing::caller(), testing::ask_seat(1)).await }
    });
    testing::until("the commit begins", || gate.is_held_up()).await;
    let drained = tokio::spawn({
        let handle = core.handle.clone();
        async move {
            let done = handle.ask_admin("daemon".to_owned(), AdminAsk::Drain).await;
            handle.stop().await;
            done
        }
    });
    gate.open();
    assert!(matches!(seat.await.unwrap(), Answer::Promised(_)));
    assert!(matches!(drained.await.unwrap(), Answer::Done));
    assert!(core.ended.await.unwrap().is_ok());
    assert!(gate.resigned.load(Ordering::SeqCst));
    // The installation's own news may come after its answer.
    let mut told = news.recv().await;
    while told == Ok(Push::FeaturesChanged) {
        told = news.recv().await;
    }
    assert_eq!(told, Ok(Push::Draining(limits::DRAIN_RECONNECT_MS)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_survives_to_the_next_life() {
    let (core, _, store) = started(1, LONG).await;
    let seat = core
        .handle
        .ask(testing::caller(), testing::ask_seat(1))
        .await;
    let Answer::Promised(first) = seat else {
        panic!("{seat:?}");
    };
    core.handle.stop().await;
    core.ended.await.unwrap().unwrap();
    let next = testing::start(MemoryJournal::open(&store));
    assert!(next.life.epoch > core.life.epoch);
    // Licensed and lent out as before: another is refused, the same nonce is the same lease (L5).
    let other = next
        .handle
        .ask(testing::caller(), testing::ask_seat(2))
        .await;
    assert!(matches!(other, Answer::Refused(refusal) if refusal.code == RefusalCode::NoSeat));
    match next
        .handle
        .ask(testing::caller(), testing::ask_seat(1))
        .await
    {
        Answer::Promised(again) => assert_eq!(again.lease.id, first.lease.id),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_store_under_an_older_site_key_holds_all_seats() {
    let site = usher_protocol::ids::PublicKey::from(&testing::site_key());
    let start = |older| {
        let journal = Box::new(MemoryJournal::open(&MemoryStore::default()));
        let life = usher_protocol::ids::LifeId([1; 16]);
        super::start(
            journal,
            site,
            older,
            life,
            testing::settings(),
            Arc::default(),
        )
        .unwrap()
    };
    assert!(!start(false).life.hold_all);
    let held = start(true);
    assert!(held.life.hold_all);
    testing::install(&held.handle, &testing::license(5, LONG)).await;
    let seat = held
        .handle
        .ask(testing::caller(), testing::ask_seat(1))
        .await;
    assert!(matches!(seat, Answer::Refused(refusal) if refusal.code == RefusalCode::Holding));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_taken_between_batches() {
    let dir = tempfile::tempdir().unwrap();
    let (core, _, _) = started(3, LONG).await;
    core.handle
        .ask(testing::caller(), testing::ask_seat(1))
        .await;
    let info = core.handle.snapshot(dir.path().join("copy")).await.unwrap();
    assert!(info.records >= 3, "license, root, lease: {info:?}");
    let seat = core
        .handle
        .ask(testing::caller(), testing::ask_seat(2))
        .await;
    assert!(matches!(seat, Answer::Promised(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_in_the_same_batch_as_a_grant_costs_the_core_no_wake_up() {
    let dir = tempfile::tempdir().unwrap();
    let (core, gate, store) = started(1, DurationMs::seconds(2)).await;
    gate.close();
    // Something to commit that sets no deadline; what follows waits in the queue together.
    let first = core
        .handle
        .ask_admin("root(0)".to_owned(), AdminAsk::ConfirmClock);
    let seat = async {
        testing::until("the core is held up", || gate.is_held_up()).await;
        core.handle
            .ask(testing::caller(), testing::ask_seat(1))
            .await
    };
    let copy = async {
        tokio::time::sleep(SHORT_WHILE).await;
        let copy = core.handle.snapshot(dir.path().join("copy"));
        let opened = async { gate.open() };
        tokio::join!(copy, opened).0
    };
    let (first, seat, copy) = tokio::join!(first, seat, copy);
    assert!(matches!((first, seat), (Answer::Done, Answer::Promised(_))));
    copy.unwrap();
    testing::until("the reclaim", || was_reclaimed(&store)).await;
}

mod futures_shim {
    use std::{future::Future, pin::pin, task::Poll};

    /// Polls a future once and drops it.
    pub(super) async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        std::future::poll_fn(|context| {
            Poll::Ready(match future.as_mut().poll(context) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            })
        })
        .await
    }
}
