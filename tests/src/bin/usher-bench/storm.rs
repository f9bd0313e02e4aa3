//! A boot storm: so many workstations connect and check out at the same moment. Decides what each does and what is
//! timed; must not judge it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Barrier;
use usher_protocol::wire::Environment;

use crate::drive::Talker as _;
use crate::figures::Latencies;
use crate::hold;
use crate::lender::{Door, Lender};
use crate::stopwatch::{now_ns, us_since};

/// Who storms what.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Storm {
    address: SocketAddr,
    #[arg(long)]
    vendor: PathBuf,
    #[arg(long)]
    clients: usize,
    /// A seat is kept for so long once it was granted, then given back; without it, it is kept
    #[arg(long)]
    keep_ms: Option<u64>,
}

/// What one workstation went through, in microseconds after the first of them began.
struct Outcome {
    connected_us: f64,
    /// When the first answer to its checkout was there: a seat, or a place in the queue.
    answered_us: f64,
    granted_us: f64,
    retries: u32,
}

/// Storms, and prints one line of JSON.
pub(crate) fn storm(storm: &Storm) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outcomes = runtime.block_on(async {
        let door = Door::new(storm.address, &storm.vendor, Environment::Live);
        let start = Arc::new(Barrier::new(storm.clients + 1));
        let mut tasks = Vec::new();
        for number in 0..storm.clients {
            let door = door.of_another(hold::key(number));
            let (start, keep_ms) = (Arc::clone(&start), storm.keep_ms);
            tasks.push(tokio::spawn(async move {
                start.wait().await;
                boot(&door, now_ns(), keep_ms).await
            }));
        }
        start.wait().await;
        let mut outcomes = Vec::new();
        let mut held = Vec::new();
        for task in tasks {
            let (outcome, lender) = task.await.unwrap();
            outcomes.push(outcome);
            held.push(lender);
        }
        outcomes
    });
    println!("{}", report(&outcomes));
    // At once: it would otherwise say farewell a thousand times.
    std::process::exit(0);
}

async fn boot(door: &Door, began: u64, keep_ms: Option<u64>) -> (Outcome, Lender) {
    let mut retries = 0;
    let mut lender = loop {
        match door.try_open().await {
            Ok(lender) => break lender,
            Err(error) => {
                assert!(retries < RETRIES_MAX, "{error}");
                retries += 1;
                tokio::time::sleep(RETRY_AFTER * retries).await;
            }
        }
    };
    let connected_us = us_since(began);
    let mut answered_us = None;
    lender
        .checkout_waiting(|| {
            answered_us.get_or_insert_with(|| us_since(began));
        })
        .await;
    let granted_us = us_since(began);
    if let Some(keep_ms) = keep_ms {
        tokio::time::sleep(Duration::from_millis(keep_ms)).await;
        lender.release().await;
    }
    let outcome = Outcome {
        connected_us,
        answered_us: answered_us.unwrap_or(granted_us),
        granted_us,
        retries,
    };
    (outcome, lender)
}

fn report(outcomes: &[Outcome]) -> Value {
    let of = |field: fn(&Outcome) -> f64| Latencies::of(outcomes.iter().map(field));
    let ms = |latencies: &Latencies, share| latencies.us_at(share) / 1000.0;
    let connected = of(|it| it.connected_us);
    let answered = of(|it| it.answered_us);
    let granted = of(|it| it.granted_us);
    let mut in_order: Vec<f64> = outcomes.iter().map(|it| it.granted_us / 1000.0).collect();
    in_order.sort_by(f64::total_cmp);
    json!({
        "connected_p50_ms": ms(&connected, 0.5),
        "connected_all_ms": ms(&connected, 1.0),
        "answered_p50_ms": ms(&answered, 0.5),
        "answered_all_ms": ms(&answered, 1.0),
        "granted_p50_ms": ms(&granted, 0.5),
        "granted_all_ms": ms(&granted, 1.0),
        "retries": outcomes.iter().map(|it| it.retries).sum::<u32>(),
        "overtaken_max": overtaken_max(outcomes),
        "granted_ms": in_order,
    })
}

/// How many workstations at most got their seat before one that had been answered before them.
fn overtaken_max(outcomes: &[Outcome]) -> usize {
    let mut by_answer: Vec<_> = outcomes.iter().collect();
    by_answer.sort_by(|a, b| a.answered_us.total_cmp(&b.answered_us));
    let overtakers = by_answer.iter().enumerate().map(|(place, one)| {
        let later = by_answer[place + 1..].iter();
        later.filter(|it| it.granted_us < one.granted_us).count()
    });
    overtakers.max().unwrap_or(0)
}

/// Longer than any client is told to wait.
const RETRIES_MAX: u32 = 20;
const RETRY_AFTER: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overtaking_is_counted_for_the_one_that_suffered_most() {
        let outcomes = [(1.0, 9.0), (2.0, 3.0), (3.0, 4.0), (4.0, 10.0)];
        let outcomes = outcomes.map(|(answered_us, granted_us)| Outcome {
            connected_us: 0.0,
            answered_us,
            granted_us,
            retries: 0,
        });
        assert_eq!(overtaken_max(&outcomes), 2);
    }
}
