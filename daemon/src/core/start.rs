//! Starts the core: begins its works on a journal, and starts the thread that drives them.

use std::{
    sync::{Arc, atomic::AtomicBool},
    thread,
};

use tokio::sync::{broadcast, mpsc, oneshot};
use usher_client::clock::{Alarm, AlarmError, Clock};
use usher_engine::{
    api::{Life, Settings},
    policy::Policy,
};
use usher_protocol::ids::{LifeId, PublicKey};

use super::{
    CoreError, CoreHandle,
    connections::Connections,
    item::Item,
    meter::Meter,
    thread::{Core, Watchdog},
    works::{Beginning, Works},
};
use crate::{
    journal::{Journal, JournalError},
    limits, notify,
    records::RecordError,
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
    journal: Box<dyn Journal>,
    site: PublicKey,
    site_is_older: bool,
    life: LifeId,
    settings: Settings,
    policy: Arc<Policy>,
) -> Result<Started, StartError> {
    let clock = Clock::new();
    let beginning = Beginning {
        site,
        site_is_older,
        life,
        settings,
        policy,
    };
    let works = Works::begin(journal, beginning, &mut || clock.now())?;
    let life = works.life();
    spawn(works).map(|(handle, ended)| Started {
        handle,
        ended,
        life,
    })
}

fn spawn(mut works: Works) -> Result<(CoreHandle, Ended), StartError> {
    let (queue, items) = mpsc::channel(limits::QUEUE_LENGTH_MAX);
    let (news, _) = broadcast::channel(limits::PUSHES_WAITING_MAX);
    let connections = Connections::default();
    let (end, ended) = oneshot::channel();
    let failed = Arc::new(AtomicBool::new(false));
    let alarm = Alarm::with_callback(ring(&queue))?;
    // L13: who only renews commits nothing, and would not notice for long.
    works.wake_on_failure(Box::new(ring(&queue)));
    let meter = Meter::default();
    let clock = Clock::new();
    let watchdog = notify::watchdog_interval().map(|interval_ms| Watchdog {
        interval_ms,
        due: clock.boot(),
    });
    let core = Core {
        works,
        queue: items,
        news: news.clone(),
        connections: connections.clone(),
        clock,
        alarm,
        watchdog,
        failed: Arc::clone(&failed),
        meter: meter.clone(),
        inputs_before: 0,
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
            meter,
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
