//! The load generator, the same for both servers. Decides what is asked in which order and what is timed; must not
//! know how either server is asked.
//!
//! In a closed loop each connection's next request leaves when its last one was answered. In an open loop checkouts are
//! due at fixed moments, whether or not the server keeps up, and each is timed from the moment it was due: a server
//! that stalls pays for all who would have come meanwhile.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Barrier, mpsc};

use crate::figures::Latencies;
use crate::floor::Sizes;
use crate::process::busy_ns;
use crate::stopwatch::{now_ns, us_since};

/// How much of what.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Load {
    #[arg(long)]
    pub(crate) connections: usize,
    /// Length in milliseconds
    #[arg(long)]
    pub(crate) ms: u64,
    #[arg(long, value_enum)]
    pub(crate) work: Work,
    /// An open loop of so many checkouts a second over all connections, each followed by its release
    #[arg(long)]
    pub(crate) rate: Option<u32>,
    /// Tell apart stretches of so many milliseconds
    #[arg(long)]
    pub(crate) window_ms: Option<u64>,
}

impl Load {
    /// A closed loop.
    pub(crate) fn closed(connections: usize, work: Work, ms: u64) -> Self {
        Self {
            connections,
            ms,
            work,
            rate: None,
            window_ms: None,
        }
    }

    /// An open loop of checkouts, so many a second.
    pub(crate) fn open(connections: usize, rate: u32, ms: u64) -> Self {
        let rate = Some(rate);
        Self {
            rate,
            ..Self::closed(connections, Work::Pairs, ms)
        }
    }

    /// As arguments of another process of this program.
    pub(crate) fn arguments(self) -> Vec<String> {
        let work = match self.work {
            Work::Pairs => "pairs",
            Work::Renewals => "renewals",
        };
        let mut arguments = vec![
            format!("--connections={}", self.connections),
            format!("--ms={}", self.ms),
            format!("--work={work}"),
        ];
        arguments.extend(self.rate.map(|it| format!("--rate={it}")));
        arguments.extend(self.window_ms.map(|it| format!("--window-ms={it}")));
        arguments
    }
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
    /// Returns how many seats are out then, where the server says so.
    fn checkout(&mut self) -> impl Future<Output = u32> + Send;
    fn renew(&mut self) -> impl Future<Output = ()> + Send;
    fn release(&mut self) -> impl Future<Output = ()> + Send;
}

/// Drives all connections at once and prints one line of JSON.
pub(crate) async fn drive<T: Talker>(talkers: Vec<T>, load: Load, sizes: Sizes) {
    let over = Arc::new(AtomicBool::new(false));
    let start = Arc::new(Barrier::new(talkers.len() + 1));
    let mut due = Vec::new();
    let mut tasks = Vec::new();
    for talker in talkers {
        let (start, over) = (Arc::clone(&start), Arc::clone(&over));
        tasks.push(if load.rate.is_some() {
            let (sender, moments) = mpsc::unbounded_channel();
            due.push(sender);
            tokio::spawn(at_moments(talker, start, moments))
        } else {
            tokio::spawn(again_and_again(talker, load.work, start, over))
        });
    }
    start.wait().await;
    let began = now_ns();
    if let Some(rate) = load.rate {
        let pacer = tokio::task::spawn_blocking(move || pace(&due, rate, load.ms));
        pacer.await.unwrap();
    } else {
        tokio::time::sleep(Duration::from_millis(load.ms)).await;
        over.store(true, Ordering::Relaxed);
    }
    let mut done = Done::default();
    for task in tasks {
        done.add(task.await.unwrap());
    }
    println!("{}", done.report(began, load.window_ms, sizes));
}

/// Tells the connections in turn when each checkout is due; one that is late does not delay the next.
fn pace(connections: &[mpsc::UnboundedSender<u64>], rate: u32, ms: u64) {
    let began = now_ns();
    let checkouts = u64::from(rate) * ms / 1000;
    for (number, connection) in (0..checkouts).zip(connections.iter().cycle()) {
        let due = began + number * 1_000_000_000 / u64::from(rate);
        thread::sleep(Duration::from_nanos(due.saturating_sub(now_ns())));
        connection.send(due).unwrap();
    }
}

/// What one connection got done.
#[derive(Default)]
struct Done {
    requests: u64,
    /// Checkouts, or renewals.
    first: Vec<Timed>,
    releases: Vec<Timed>,
}

/// One answer.
struct Timed {
    at_ns: u64,
    took_us: f64,
    seats_out: u32,
}

impl Timed {
    fn since(began: u64, seats_out: u32) -> Self {
        Self {
            at_ns: now_ns(),
            took_us: us_since(began),
            seats_out,
        }
    }
}

impl Done {
    fn add(&mut self, mut other: Self) {
        self.requests += other.requests;
        self.first.append(&mut other.first);
        self.releases.append(&mut other.releases);
    }

    #[expect(clippy::cast_precision_loss, reason = "a few million requests at most")]
    fn report(mut self, began: u64, window_ms: Option<u64>, sizes: Sizes) -> Value {
        let us = us_since(began);
        self.first.sort_by_key(|it| it.at_ns);
        let first = latencies(&self.first);
        let releases = latencies(&self.releases);
        let windows = window_ms.map(|ms| windows(&self.first, began, ms * 1_000_000));
        json!({
            "requests": self.requests,
            "per_second": self.requests as f64 / us * 1e6,
            "own_us_per_request": busy_ns(std::process::id()) as f64 / 1000.0 / self.requests as f64,
            "p50_us": first.us_at(0.5),
            "p99_us": first.us_at(0.99),
            "p999_us": first.us_at(0.999),
            "max_us": first.us_at(1.0),
            "release_p50_us": releases.us_at(0.5),
            "release_p99_us": releases.us_at(0.99),
            "windows": windows,
            "sizes": sizes.arguments(),
        })
    }
}

fn latencies(timed: &[Timed]) -> Latencies {
    Latencies::of(timed.iter().map(|it| it.took_us))
}

/// The stretches of time in which something was answered.
fn windows(sorted: &[Timed], began: u64, length_ns: u64) -> Vec<Value> {
    let index = |it: &Timed| it.at_ns.saturating_sub(began) / length_ns;
    let same = sorted.chunk_by(|a, b| index(a) == index(b));
    same.map(|timed| {
        let took = latencies(timed);
        json!({
            "at_ms": index(&timed[0]) * length_ns / 1_000_000,
            "count": timed.len(),
            "p50_us": took.us_at(0.5),
            "p99_us": took.us_at(0.99),
            "max_us": took.us_at(1.0),
            "seats_out": timed[timed.len() - 1].seats_out,
            "took_us": timed.iter().map(|it| it.took_us).collect::<Vec<_>>(),
        })
    })
    .collect()
}

/// Open loop.
async fn at_moments<T: Talker>(
    mut talker: T,
    start: Arc<Barrier>,
    mut moments: mpsc::UnboundedReceiver<u64>,
) -> Done {
    let mut done = Done::default();
    warm(&mut talker, Work::Pairs).await;
    start.wait().await;
    while let Some(due) = moments.recv().await {
        pair(&mut talker, &mut done, due).await;
    }
    done
}

/// Closed loop.
async fn again_and_again<T: Talker>(
    mut talker: T,
    work: Work,
    start: Arc<Barrier>,
    over: Arc<AtomicBool>,
) -> Done {
    let mut done = Done::default();
    warm(&mut talker, work).await;
    start.wait().await;
    while !over.load(Ordering::Relaxed) {
        let began = now_ns();
        if work == Work::Pairs {
            pair(&mut talker, &mut done, began).await;
        } else {
            talker.renew().await;
            done.first.push(Timed::since(began, 0));
            done.requests += 1;
        }
    }
    if work == Work::Renewals {
        let began = now_ns();
        talker.release().await;
        done.releases.push(Timed::since(began, 0));
    }
    done
}

/// Renewals need a lease.
async fn warm<T: Talker>(talker: &mut T, work: Work) {
    talker.checkout().await;
    if work == Work::Pairs {
        talker.release().await;
    }
}

async fn pair<T: Talker>(talker: &mut T, done: &mut Done, due: u64) {
    let seats_out = talker.checkout().await;
    done.first.push(Timed::since(due, seats_out));
    let between = now_ns();
    talker.release().await;
    done.releases.push(Timed::since(between, seats_out));
    done.requests += 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_split_by_the_time_of_the_answer() {
        let timed = [(5, 10.0, 9), (9, 30.0, 8), (31, 20.0, 1)];
        let timed = timed.map(|(at_ns, took_us, seats_out)| Timed {
            at_ns: 100 + at_ns,
            took_us,
            seats_out,
        });
        let windows = windows(&timed, 100, 10);
        assert_eq!(windows.len(), 2);
        assert_eq!([&windows[0]["count"], &windows[0]["seats_out"]], [2, 8]);
        assert_eq!([&windows[1]["count"], &windows[1]["seats_out"]], [1, 1]);
        assert!((windows[1]["max_us"].as_f64().unwrap() - 20.0).abs() < 0.1);
    }

    #[test]
    fn arguments_are_read_back() {
        use clap::Parser;
        #[derive(Parser)]
        struct Cli {
            #[command(flatten)]
            load: Load,
        }
        let load = Load {
            window_ms: Some(5),
            ..Load::open(3, 7, 9)
        };
        let mut words = vec!["x".to_owned()];
        words.extend(load.arguments());
        let read = Cli::parse_from(words).load;
        assert_eq!(format!("{read:?}"), format!("{load:?}"));
    }
}
