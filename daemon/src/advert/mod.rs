//! Advertises this daemon on the local network, and tells when another advertises the same site
//! (L12). Decides whether the advert is up; never whether seats are granted: whatever fails here is
//! a status, tried again, and nothing else (DESIGN 7).

mod clones;
mod content;
mod life;

pub use clones::CloneSighting;
pub use content::{Content, host_label};

use life::{Ended, Life};
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use usher_client::clock::Clock;
use usher_protocol::time::WallMs;

/// What does not change while the daemon runs.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The instance name to ask for, like [`host_label`] gives: one label, at most 63 bytes. On a
    /// conflict the advert goes by `name (2)` and so on.
    pub instance: String,
    /// The UDP port served.
    pub port: u16,
    /// The addresses served; empty: all of this machine's, as they come and go.
    pub addresses: Vec<IpAddr>,
}

/// How the advert is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdvertState {
    /// Switched off by the configuration.
    Off,
    /// Being set up, for the first time or with a new content; takes about a second.
    Starting,
    /// Up.
    Advertising {
        /// Instance names in use; several when interfaces differ in what they conflict with.
        names: BTreeSet<String>,
        /// Where clients are sent.
        addrs: BTreeSet<SocketAddr>,
    },
    /// Not up, and tried again. Seats are granted all the same.
    Failing {
        /// What is wrong, in words.
        reason: String,
        /// Since when.
        since: WallMs,
    },
}

impl fmt::Display for AdvertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Starting => f.write_str("starting"),
            Self::Advertising { names, .. } => {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                write!(f, "advertised as {}", names.join(", "))
            }
            Self::Failing { reason, .. } => f.write_str(reason),
        }
    }
}

/// The running advert. Dropping it ends it without a goodbye; [`stop`](Self::stop) says one.
#[derive(Debug)]
pub struct Advert {
    state: watch::Receiver<AdvertState>,
    tried: watch::Receiver<bool>,
    /// `None` asks it to stop.
    wanted: watch::Sender<Option<Content>>,
    task: Option<JoinHandle<()>>,
}

impl Advert {
    /// Starts advertising `content`. Never fails: see [`state`](Self::state). Possible clones go to
    /// `clones`, a few a minute at most; they are dropped while it is full.
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub fn start(setup: Setup, content: Content, clones: mpsc::Sender<CloneSighting>) -> Self {
        let (state_in, state) = watch::channel(AdvertState::Starting);
        let (tried_in, tried) = watch::channel(false);
        let (wanted, wanted_out) = watch::channel(Some(content));
        let supervisor = Supervisor {
            setup,
            state: Board(state_in),
            tried: tried_in,
            wanted: wanted_out,
            clones,
        };
        Self {
            state,
            tried,
            wanted,
            task: Some(tokio::spawn(supervisor.run())),
        }
    }

    /// An advert that is switched off.
    pub fn off() -> Self {
        Self {
            state: watch::channel(AdvertState::Off).1,
            tried: watch::channel(true).1,
            wanted: watch::channel(None).0,
            task: None,
        }
    }

    /// How it is now.
    pub fn state(&self) -> AdvertState {
        self.state.borrow().clone()
    }

    /// How it is, with each change.
    pub fn states(&self) -> watch::Receiver<AdvertState> {
        self.state.clone()
    }

    /// Waits until the first attempt is under way, or has failed.
    pub async fn tried(&self) {
        // An error means that the task is gone, so it has tried.
        let _ = self.tried.clone().wait_for(|tried| *tried).await;
    }

    /// Changes what is advertised; nothing happens if it is the same.
    pub fn update(&self, content: Content) {
        self.wanted.send_if_modified(|wanted| {
            let changed = wanted.as_ref().is_some_and(|old| *old != content);
            if changed {
                *wanted = Some(content);
            }
            changed
        });
    }

    /// Says goodbye, so that nobody looks for this daemon here; takes a second at most.
    pub async fn stop(mut self) {
        self.wanted.send_replace(None);
        if let Some(task) = self.task.take() {
            let abort = task.abort_handle();
            if tokio::time::timeout(STOP_MAX, task).await.is_err() {
                abort.abort();
            }
        }
    }
}

impl Drop for Advert {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Where the state is posted; keeps the time of the first of a row of failures.
#[derive(Debug)]
struct Board(watch::Sender<AdvertState>);

impl Board {
    fn post(&self, state: AdvertState) {
        self.0.send_if_modified(|old| {
            let changed = *old != state;
            *old = state;
            changed
        });
    }

    fn fail(&self, reason: String) {
        let since = match &*self.0.borrow() {
            AdvertState::Failing { reason: old, .. } if *old == reason => return,
            AdvertState::Failing { since, .. } => *since,
            _ => Clock::new().now().wall,
        };
        tracing::warn!(
            reason,
            "not advertised on the local network; seats are granted all the same"
        );
        self.post(AdvertState::Failing { reason, since });
    }

    fn is_up(&self) -> bool {
        matches!(&*self.0.borrow(), AdvertState::Advertising { .. })
    }
}

/// Starts mdns-sd anew whenever a life of it ends, a little later each time.
struct Supervisor {
    setup: Setup,
    state: Board,
    tried: watch::Sender<bool>,
    wanted: watch::Receiver<Option<Content>>,
    clones: mpsc::Sender<CloneSighting>,
}

impl Supervisor {
    async fn run(mut self) {
        let mut pause = PAUSE_MIN;
        loop {
            let reason = match self.live().await {
                Ended::Stopped => return self.state.post(AdvertState::Off),
                Ended::Failed(reason) => reason,
            };
            if self.state.is_up() {
                pause = PAUSE_MIN;
            }
            self.state.fail(reason);
            self.tried.send_replace(true);
            let stopped = self.wanted.wait_for(Option::is_none);
            if tokio::time::timeout(pause, stopped).await.is_ok() {
                return self.state.post(AdvertState::Off);
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// One life of mdns-sd, in a task of its own so that not even a panic gets further.
    async fn live(&mut self) -> Ended {
        let Some(content) = self.wanted.borrow_and_update().clone() else {
            return Ended::Stopped;
        };
        let life = Life::new(
            &self.setup,
            content,
            self.state.0.clone(),
            self.clones.clone(),
        );
        let mut task = JoinSet::new();
        task.spawn(life.run(self.wanted.clone(), self.tried.clone()));
        match task.join_next().await {
            Some(Ok(ended)) => ended,
            _ => Ended::Failed("the advert failed inside usherd; please report this".to_owned()),
        }
    }
}

const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);
const STOP_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_advert_that_is_off_says_so_and_holds_nobody_up() {
        let advert = Advert::off();
        advert.tried().await;
        assert_eq!(advert.state().to_string(), "off");
        advert.stop().await;
    }

    #[test]
    fn a_row_of_failures_keeps_the_time_of_the_first() {
        let since = WallMs(7);
        let reason = "old".to_owned();
        let board = Board(watch::channel(AdvertState::Failing { reason, since }).0);
        board.fail("new".to_owned());
        let reason = "new".to_owned();
        assert_eq!(*board.0.borrow(), AdvertState::Failing { reason, since });
    }
}
