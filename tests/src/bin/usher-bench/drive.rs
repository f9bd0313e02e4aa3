//! The load generator: a closed loop on each of several connections, the same for both servers. Decides what is asked
//! in which order and what is timed; must not know how either server is asked.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Barrier;

use crate::figures::Figures;
use crate::floor::Sizes;
use crate::stopwatch::{now_ns, us_since};

/// How much of what.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Load {
    #[arg(long)]
    pub(crate) connections: usize,
    #[arg(long)]
    pub(crate) seconds: u64,
    #[arg(long, value_enum)]
    pub(crate) work: Work,
}

/// What each connection does again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Work {
    /// A checkout and its release
    Pairs,
    /// The renewal of one lease
    Renewals,
}

/// One connection; each call returns once its answer is here and verified.
pub(crate) trait Talker: Send + 'static {
    fn checkout(&mut self) -> impl Future<Output = ()> + Send;
    fn renew(&mut self) -> impl Future<Output = ()> + Send;
    fn release(&mut self) -> impl Future<Output = ()> + Send;
}

/// Drives all connections at once and prints one line of JSON.
pub(crate) async fn drive<T: Talker>(talkers: Vec<T>, load: Load, sizes: Sizes) {
    let over = Arc::new(AtomicBool::new(false));
    let start = Arc::new(Barrier::new(talkers.len() + 1));
    let tasks: Vec<_> = (talkers.into_iter())
        .map(|talker| {
            let (start, over) = (Arc::clone(&start), Arc::clone(&over));
            tokio::spawn(work(talker, load.work, start, over))
        })
        .collect();
    start.wait().await;
    let began = now_ns();
    tokio::time::sleep(Duration::from_secs(load.seconds)).await;
    over.store(true, Ordering::Relaxed);
    let mut done = Done::default();
    for task in tasks {
        done.add(task.await.unwrap());
    }
    println!("{}", done.report(us_since(began), sizes));
}

/// What one connection got done.
#[derive(Default)]
struct Done {
    requests: u64,
    /// Checkouts, or renewals, in microseconds.
    first: Vec<f64>,
    releases: Vec<f64>,
}

impl Done {
    fn add(&mut self, mut other: Self) {
        self.requests += other.requests;
        self.first.append(&mut other.first);
        self.releases.append(&mut other.releases);
    }

    #[expect(clippy::cast_precision_loss, reason = "a few million requests at most")]
    fn report(self, us: f64, sizes: Sizes) -> serde_json::Value {
        let first = Figures::of(self.first);
        let releases = Figures::of(self.releases);
        json!({
            "per_second": self.requests as f64 / us * 1e6,
            "p50_us": first.at(0.5),
            "p99_us": first.at(0.99),
            "release_p50_us": releases.at(0.5),
            "release_p99_us": releases.at(0.99),
            "sizes": sizes.arguments(),
        })
    }
}

async fn work<T: Talker>(
    mut talker: T,
    work: Work,
    start: Arc<Barrier>,
    over: Arc<AtomicBool>,
) -> Done {
    let mut done = Done::default();
    // Warm, and for renewals the lease.
    talker.checkout().await;
    if work == Work::Pairs {
        talker.release().await;
    }
    start.wait().await;
    while !over.load(Ordering::Relaxed) {
        let began = now_ns();
        if work == Work::Renewals {
            talker.renew().await;
            done.first.push(us_since(began));
            done.requests += 1;
            continue;
        }
        talker.checkout().await;
        done.first.push(us_since(began));
        let between = now_ns();
        talker.release().await;
        done.releases.push(us_since(between));
        done.requests += 2;
    }
    if work == Work::Renewals {
        let began = now_ns();
        talker.release().await;
        done.releases.push(us_since(began));
    }
    done
}
