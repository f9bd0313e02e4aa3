//! Starts the core: takes office, loads, makes the first step durable, starts the thread.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::AtomicBool},
    thread,
};

use tokio::sync::{broadcast, mpsc, oneshot};
use usher_client::clock::{Alarm, AlarmError, Clock};
use usher_engine::{
    Engine,
    api::{Life, Output, Settings},
    policy::Policy,
    record::Record,
};
use usher_protocol::{
    ids::{Commit, Epoch, LifeId, PublicKey},
    time::BootMs,
};

use super::{
    CoreError, CoreHandle,
    batch::Pending,
    connections::Connections,
    item::Item,
    thread::{Core, Watchdog},
};
use crate::{
    journal::{Journal, JournalError, Loaded},
    limits, notify,
    records::{self, RecordError},
};

/// A running core.
#[derive(Debug)]
pub struct Started {
    /// Where questions are put.
    pub handle: CoreHandle,
    /// How and when it ends.
    pub ended: Ended,
    /// This daemon life.
    pub life: Life,
}

/// Resolves when the core thread has ended; an error of receiving means that it panicked.
pub type Ended = oneshot::Receiver<Result<(), CoreError>>;

/// Why the core does not start. Each message names the next step.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal gives no office or no state.
    #[error("{0}")]
    Journal(#[from] JournalError),
    /// A record is damaged (S3).
    #[error("{0}; run `usherd repair`, or `usherd restore` with a backup")]
    Record(#[from] RecordError),
    /// The engine refuses the state.
    #[error(
        "the stored state contradicts itself (see above); run `usherd repair`, or `usherd restore` with a backup"
    )]
    State,
    /// The first step was not made durable.
    #[error("{0}")]
    First(#[from] CoreError),
    /// No clock to wake by.
    #[error("{0}")]
    Alarm(#[from] AlarmError),
    /// No thread.
    #[error("cannot start the core thread: {0}; raise the limit of processes (ulimit -u)")]
    Thread(std::io::Error),
}

/// Starts the core on `journal`, for the site key `site`.
///
/// `site_is_older`: the site key was there before this start, so that a fresh store means a lost one (L12).
///
/// # Errors
/// [`StartError`]; the journal is then left as it was found, but for a counted life.
pub fn start(
    mut journal: Box<dyn Journal>,
    site: PublicKey,
    site_is_older: bool,
    life: LifeId,
    settings: Settings,
    policy: Arc<Policy>,
) -> Result<Started, StartError> {
    let clock = Clock::new();
    let epoch = journal.acquire(clock.now().wall.unix_seconds())?;
    let loaded = journal.load(epoch)?;
    let life = Life {
        epoch: Epoch(epoch),
        life,
        site,
        hold_all: must_hold(&loaded, site_is_older),
        head: Commit(loaded.head),
    };
    let restored = loaded.restored.is_some();
    let records = loaded
        .writes
        .iter()
        .map(|(key, value)| records::read(key, value))
        .collect::<Result<Vec<_>, _>>()?;
    drop(loaded);
    let (engine, output) = replay(settings, policy, life, records, clock)?;
    let wake = output.wake;
    let mut first = Pending::default();
    first.add(output).map_err(CoreError::from)?;
    if restored {
        first.settle_restored();
    }
    if let Some(batch) = first.durable() {
        journal.commit(epoch, engine.head().0, batch)?;
    }
    spawn(journal, engine, epoch, wake).map(|(handle, ended)| Started {
        handle,
        ended,
        life,
    })
}

/// The engine stops at records that contradict each other: it must not lend on a wrong count.
fn replay(
    settings: Settings,
    policy: Arc<Policy>,
    life: Life,
    records: Vec<Record>,
    clock: Clock,
) -> Result<(Engine, Output), StartError> {
    let start = AssertUnwindSafe(|| Engine::start(settings, policy, life, records, clock.now()));
    catch_unwind(start).map_err(|_| StartError::State)
}

/// L12: after a restore that is not proven complete, or when the store is younger than its site key.
fn must_hold(loaded: &Loaded, site_is_older: bool) -> bool {
    let incomplete = loaded.restored.as_ref().is_some_and(|it| !it.complete);
    incomplete || (loaded.fresh && site_is_older)
}

fn spawn(
    mut journal: Box<dyn Journal>,
    engine: Engine,
    epoch: u64,
    wake: Option<BootMs>,
) -> Result<(CoreHandle, Ended), StartError> {
    let (queue, items) = mpsc::channel(limits::QUEUE_LENGTH_MAX);
    let (news, _) = broadcast::channel(limits::PUSHES_WAITING_MAX);
    let connections = Connections::default();
    let (end, ended) = oneshot::channel();
    let failed = Arc::new(AtomicBool::new(false));
    let alarm = Alarm::with_callback(ring(&queue))?;
    // L13: who only renews commits nothing, and would not notice for long.
    journal.wake_on_failure(Box::new(ring(&queue)));
    let clock = Clock::new();
    let watchdog = notify::watchdog_interval().map(|interval_ms| Watchdog {
        interval_ms,
        due: clock.boot(),
    });
    let core = Core {
        engine,
        journal,
        epoch,
        queue: items,
        news: news.clone(),
        connections: connections.clone(),
        clock,
        alarm,
        wake,
        watchdog,
        replies: 0,
        failed: Arc::clone(&failed),
    };
    thread::Builder::new()
        .name("usherd-core".to_owned())
        .spawn(move || drop(end.send(core.run())))
        .map_err(StartError::Thread)?;
    Ok((
        CoreHandle {
            queue,
            news,
            connections,
            failed,
        },
        ended,
    ))
}

/// Wakes the core by an input of its own. A full queue loses it; the core then looks for itself after
/// its batch.
fn ring(queue: &mpsc::Sender<Item>) -> impl Fn() + Send + 'static {
    let queue = queue.downgrade();
    move || {
        if let Some(queue) = queue.upgrade() {
            drop(queue.try_send(Item::Ring));
        }
    }
}
