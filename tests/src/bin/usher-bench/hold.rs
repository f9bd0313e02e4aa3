//! Keeps workstations connected that do nothing but what each of them must: keep-alives, and renewals at their time.
//! Decides how many connect at once and which of them hold a seat; must not measure.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use tokio::task::JoinSet;
use usher_protocol::wire::Environment;

use crate::drive::Talker;
use crate::floor::{self, Sizes};
use crate::lender;

/// Who is connected.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Held {
    pub(crate) address: SocketAddr,
    #[arg(long)]
    pub(crate) connections: usize,
    /// The number of the first of them, so that others keep their keys
    #[arg(long, default_value_t = 0)]
    pub(crate) first: usize,
    /// Each holds a seat, and renews it
    #[arg(long)]
    pub(crate) seats: bool,
    /// The vendor's public key file; without it the server is the floor's
    #[arg(long)]
    pub(crate) vendor: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sizes: Sizes,
}

/// Connects them, prints a line once all are, and keeps them until standard input closes.
pub(crate) fn hold(held: &Held) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let seats = held.seats;
        if let Some(vendor) = &held.vendor {
            let door = lender::Door::new(held.address, vendor, Environment::Live);
            // One workstation's key may hold so many leases and no more.
            let keys = held.connections.div_ceil(CONNECTIONS_PER_KEY);
            let doors: Vec<_> = (0..keys)
                .map(|number| door.of_another(key(held.first + number)))
                .collect();
            let open = |number: usize| {
                let door = doors[number / CONNECTIONS_PER_KEY].clone();
                async move { door.open().await }
            };
            all(held.connections, open, seats).await;
        } else {
            let door = floor::Door::new(held.address, held.sizes);
            let open = |_| {
                let door = door.clone();
                async move {
                    let mut talker = door.open().await;
                    // The stream must be open at the server too, as after Hello and Welcome.
                    talker.release().await;
                    talker
                }
            };
            all(held.connections, open, seats).await;
        }
    });
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
    std::process::exit(0);
}

async fn all<T: Talker, F>(count: usize, open: impl Fn(usize) -> F, seats: bool)
where
    F: Future<Output = T> + Send + 'static,
{
    let mut opening = JoinSet::new();
    for number in 0..count {
        // Their renewals are spread over time, as those of people are who came one after the other.
        let first = RENEW_AFTER.mul_f64(share(number, count));
        let open = open(number);
        opening.spawn(async move { (open.await, first) });
        if opening.len() >= AT_ONCE {
            attend(opening.join_next().await.unwrap().unwrap(), seats).await;
        }
    }
    while let Some(opened) = opening.join_next().await {
        attend(opened.unwrap(), seats).await;
    }
}

async fn attend<T: Talker>((mut talker, first): (T, Duration), seats: bool) {
    if seats {
        talker.checkout().await;
    }
    tokio::spawn(async move {
        tokio::time::sleep(first).await;
        loop {
            if seats {
                talker.renew().await;
            }
            tokio::time::sleep(RENEW_AFTER).await;
        }
    });
}

#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn share(number: usize, count: usize) -> f64 {
    number as f64 / count as f64
}

/// The key of a workstation, by its number.
pub(crate) fn key(number: usize) -> SigningKey {
    let mut seed = [9; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SigningKey::from_bytes(&seed)
}

/// Fewer than the leases that one key may hold by default.
const CONNECTIONS_PER_KEY: usize = 100;
/// Handshakes under way at once.
const AT_ONCE: usize = 32;
/// A third of the usual lease length (L2).
const RENEW_AFTER: Duration = Duration::from_secs(200);
