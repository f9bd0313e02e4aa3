//! The core without its thread: takes office, hands inputs to the engine, commits what comes of them.
//!
//! The thread and the simulator drive the same works, so that what one proves holds for the other. It
//! must not read a clock (`now` is handed in), wait, or let an answer go: its owner does, after the
//! commit (A2).

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use usher_engine::{
    Engine,
    api::{AdminAsk, Caller, ClientAsk, ConnectionId, Input, Life, Output, ReplyTo, Settings},
    policy::Policy,
};
use usher_protocol::{
    codec::CodecError,
    ids::{Commit, Epoch, LifeId, PublicKey},
    time::{BootMs, Now},
    wire::Push,
};

use super::{
    CoreError, StartError,
    batch::{Pending, Waiting},
    reading,
};
use crate::{
    journal::{Journal, JournalError, Loaded, SnapshotInfo, Wake},
    limits::{DRAIN_RECONNECT_MS, TICK_REST_MS, TICKS_PUT_OFF_MAX},
};

/// Engine and journal of one daemon life.
pub struct Works {
    engine: Engine,
    journal: Box<dyn Journal>,
    life: Life,
    /// When the engine wants a tick.
    wake: Option<BootMs>,
    /// No tick before it.
    rests_until: BootMs,
    /// How often in turn a tick that was due waited for those who wait for an answer.
    put_off: u32,
    replies: u64,
}

/// What a life begins with.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// The daemon's public site key.
    pub site: PublicKey,
    /// The site key was there before this start, so that a fresh store means a lost one (L12).
    pub site_is_older: bool,
    /// The life's random name.
    pub life: LifeId,
    /// What the configuration says.
    pub settings: Settings,
    /// What the policy file says.
    pub policy: Arc<Policy>,
}

/// One thing for the engine, and who waits for the answer.
#[derive(Debug)]
pub enum Question<W> {
    /// A client asks.
    Client(Caller, ClientAsk, W),
    /// An administrator asks, by name.
    Admin(String, AdminAsk, W),
    /// Another daemon proved to run with our site key, and where (L12).
    CloneFound(LifeId, String),
    /// A client's connection is gone; true when the client closed it itself.
    Disconnected(ConnectionId, bool),
    /// Nobody asks: a look at what is due by time ([`Works::tick_when_due`]), and a sign of life.
    Ring,
}

impl Works {
    /// Takes office on `journal`, loads, and makes the life's first step durable. `now` is read anew
    /// wherever it counts.
    ///
    /// # Errors
    /// [`StartError`]; the journal is then left as it was found, but for a counted life.
    pub fn begin(
        mut journal: Box<dyn Journal>,
        beginning: Beginning,
        now: &mut dyn FnMut() -> Now,
    ) -> Result<Self, StartError> {
        let epoch = journal.acquire(now().wall.unix_seconds())?;
        let loaded = journal.load(epoch)?;
        let life = Life {
            epoch: Epoch(epoch),
            life: beginning.life,
            site: beginning.site,
            hold_all: must_hold(&loaded, beginning.site_is_older),
            head: Commit(loaded.head),
        };
        let restored = loaded.restored.is_some();
        let (engine, output) = replay(&mut *journal, beginning, life, loaded.records, now)?;
        let mut works = Self {
            engine,
            journal,
            life,
            wake: output.wake,
            rests_until: BootMs(0),
            put_off: 0,
            replies: 0,
        };
        works.commit_first(output, restored)?;
        Ok(works)
    }

    /// This daemon life.
    pub fn life(&self) -> Life {
        self.life
    }

    /// When to look at what is due by time.
    pub fn wake(&self) -> Option<BootMs> {
        self.wake.map(|wake| wake.max(self.rests_until))
    }

    /// Hands one question to the engine. `now` is read after it was taken from the queue (L2).
    ///
    /// # Errors
    /// [`CodecError`] if a record cannot be encoded; nothing of the batch may then be committed.
    pub fn take<W: Waiting>(
        &mut self,
        now: Now,
        question: Question<W>,
        pending: &mut Pending<W>,
    ) -> Result<(), CodecError> {
        pending.inputs += 1;
        let input = match question {
            Question::Client(caller, ask, waiting) => {
                let reply_to = self.next_reply();
                pending.wait(reply_to, waiting);
                Input::Client {
                    reply_to,
                    caller,
                    ask,
                }
            }
            Question::Admin(actor, ask, waiting) => {
                let reply_to = self.next_reply();
                pending.wait(reply_to, waiting);
                if matches!(ask, AdminAsk::Drain) {
                    pending.spread(Push::Draining(DRAIN_RECONNECT_MS));
                }
                Input::Admin {
                    reply_to,
                    actor,
                    ask,
                }
            }
            Question::CloneFound(life, address) => Input::CloneFound { life, address },
            Question::Disconnected(connection, orderly) => Input::Disconnected {
                connection,
                orderly,
            },
            Question::Ring => return Ok(()),
        };
        self.handle(now, input, pending)
    }

    /// Hands the engine a tick if one is due, at the end of a batch: a ring may be lost on a full queue, so a busy core
    /// looks for itself. Whoever waits for this batch goes first (a question takes back some of what is due as well), and
    /// a tick leaves the core to others for a while: a hundred thousand leases that end at once are nobody's delay.
    ///
    /// # Errors
    /// As for [`Works::take`].
    pub fn tick_when_due<W: Waiting>(
        &mut self,
        now: Now,
        pending: &mut Pending<W>,
    ) -> Result<(), CodecError> {
        if self.wake().is_none_or(|wake| wake > now.boot) {
            return Ok(());
        }
        if pending.is_awaited() && self.put_off < TICKS_PUT_OFF_MAX {
            self.put_off += 1;
            return Ok(());
        }
        self.put_off = 0;
        self.rests_until = now.boot.plus(TICK_REST_MS);
        self.handle(now, Input::Tick, pending)
    }

    /// Makes durable what the answers of this batch depend on. Only after this may they go (A2).
    ///
    /// # Errors
    /// [`JournalError`]: nothing of the batch may be told, and the life is over (L13).
    pub fn commit<W: Waiting>(&mut self, pending: &Pending<W>) -> Result<(), JournalError> {
        match pending.durable() {
            Some(batch) => self
                .journal
                .commit(self.life.epoch.0, self.engine.head().0, batch),
            // The log may have failed since, and a renewal is a promise too (L13).
            None => self.journal.check(),
        }
    }

    /// Copies the live state between two batches (S6).
    ///
    /// # Errors
    /// [`JournalError`]: the life is over (L13, S4).
    pub fn snapshot(&mut self, target: &Path) -> Result<SnapshotInfo, JournalError> {
        self.journal.snapshot(target)
    }

    /// Has `wake` called when the journal fails beside the calls.
    pub fn wake_on_failure(&mut self, wake: Wake) {
        self.journal.wake_on_failure(wake);
    }

    /// Ends the life cleanly.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn resign(&mut self) -> Result<(), JournalError> {
        self.journal.resign()
    }

    fn commit_first(&mut self, output: Output, restored: bool) -> Result<(), StartError> {
        let mut first = Pending::<Nobody>::default();
        first.add(output).map_err(CoreError::from)?;
        if restored {
            first.settle_restored();
        }
        if let Some(batch) = first.durable() {
            let head = self.engine.head().0;
            self.journal.commit(self.life.epoch.0, head, batch)?;
        }
        Ok(())
    }

    fn handle<W: Waiting>(
        &mut self,
        now: Now,
        input: Input,
        pending: &mut Pending<W>,
    ) -> Result<(), CodecError> {
        let output = self.engine.handle(now, input);
        self.wake = output.wake;
        pending.add(output)
    }

    fn next_reply(&mut self) -> ReplyTo {
        self.replies += 1;
        ReplyTo(self.replies)
    }
}

/// Who waits for the answers of a life's first step: there are none.
struct Nobody;

impl Waiting for Nobody {
    fn release(self, _: usher_engine::api::Answer) {}
}

/// The engine, from what the store holds. It stops at records that contradict each other: it must not lend on a wrong
/// count.
fn replay(
    journal: &mut dyn Journal,
    beginning: Beginning,
    life: Life,
    count: u64,
    now: &mut dyn FnMut() -> Now,
) -> Result<(Engine, Output), StartError> {
    let Beginning {
        settings, policy, ..
    } = beginning;
    let started = reading::read(journal, life.epoch.0, count, |records| {
        let start = AssertUnwindSafe(|| Engine::start(settings, policy, life, records, now()));
        catch_unwind(start)
    })?;
    started.map_err(|_| StartError::State)
}

/// L12: after a restore that is not proven complete, or when the store is younger than its site key.
fn must_hold(loaded: &Loaded, site_is_older: bool) -> bool {
    let incomplete = loaded.restored.as_ref().is_some_and(|it| !it.complete);
    incomplete || (loaded.fresh && site_is_older)
}
