//! From a feature's name to a seat, interruptible at any moment: a signal ends the wait at once,
//! and a seat that comes meanwhile is given back. Must not decide what the seat is used for.

use super::{context::Context, failure::Failure, progress};
use std::{pin::pin, time::Duration};
use usher_client::{
    Seat,
    process::{Signal, Signals},
    protocol::{ids::Fingerprint, names::FeaturePath, time::DurationMs},
};

/// What is asked for; flags shared by the verbs that check out.
#[derive(Debug, clap::Args)]
pub(crate) struct Wish {
    /// The feature, such as acme/solver, or solver where one trusted vendor serves it
    #[arg(value_name = "FEATURE")]
    pub(crate) feature: String,
    /// How many seats
    #[arg(short = 'n', long = "seats", value_name = "N", default_value_t = 1)]
    pub(crate) seats: u32,
    /// The version of the program: the license must cover it
    #[arg(long, value_name = "V")]
    pub(crate) version: Option<String>,
}

/// A seat, and what it is of.
pub(crate) struct Acquired {
    pub(crate) seat: Seat,
    pub(crate) path: FeaturePath,
    /// The vendor's root.
    pub(crate) root: Fingerprint,
}

/// How the wait ended.
pub(crate) enum Outcome {
    Seat(Box<Acquired>),
    /// A signal ended it; this is the exit code.
    Interrupted(u8),
}

/// Connects and checks out.
pub(crate) async fn acquire(
    context: &Context,
    signals: &mut Signals,
    wish: &Wish,
    length: Option<DurationMs>,
) -> Result<Outcome, Failure> {
    let connecting = async {
        let (trusted, feature) = context.choose(&wish.feature).await?;
        let builder = context.builder(trusted.root, context.environment());
        let client = builder.connect().await?;
        let (root, vendor) = (trusted.root.fingerprint(), trusted.vendor);
        Ok::<_, Failure>((client, FeaturePath { vendor, feature }, root))
    };
    let connecting = progress::waiting(context, "looking for a license server", connecting);
    let (client, path, root) = tokio::select! {
        connected = connecting => connected?,
        signal = ending(signals) => return Ok(Outcome::Interrupted(code(signal))),
    };
    let mut checkout = client.checkout(path.feature.as_str()).seats(wish.seats);
    if let Some(version) = &wish.version {
        checkout = checkout.version(version);
    }
    if let Some(length) = length {
        checkout = checkout.length(length.to_std());
    }
    let mut checkout = pin!(checkout.into_future());
    let seat = tokio::select! {
        seat = progress::waiting(context, "asking for a seat", &mut checkout) => seat?,
        signal = ending(signals) => {
            // The grant may be on its way: a moment saves the seat from waiting for its lease's end.
            if let Ok(Ok(seat)) = tokio::time::timeout(LATE_GRANT, checkout).await {
                drop(seat);
            }
            return Ok(Outcome::Interrupted(code(signal)));
        }
    };
    Ok(Outcome::Seat(Box::new(Acquired { seat, path, root })))
}

/// The next signal that means "end"; the others make no sense without a child, but for Ctrl-Z.
async fn ending(signals: &mut Signals) -> Signal {
    loop {
        match signals.next().await {
            signal @ (Signal::INT | Signal::TERM | Signal::HUP | Signal::QUIT) => return signal,
            Signal::TSTP => {
                let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
            }
            _ => {}
        }
    }
}

fn code(signal: Signal) -> u8 {
    u8::try_from(signal.as_raw()).map_or(u8::MAX, |number| number.saturating_add(128))
}

const LATE_GRANT: Duration = Duration::from_millis(250);
