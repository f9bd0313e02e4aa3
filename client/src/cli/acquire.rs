//! From names of features to seats, interruptible at any moment: a signal ends the wait at once,
//! the queue is left, and a seat that comes meanwhile is given back. Must not decide what the seats
//! are used for.

use super::{context::Context, failure::Failure, progress};
use std::time::Duration;
use tokio::sync::mpsc;
use usher_client::{
    Client, Seat,
    error::exit,
    process::{Signal, Signals},
    protocol::{ids::Fingerprint, names::FeaturePath, time::DurationMs},
    trust::TrustedRoot,
};

/// How seats are asked for; flags shared by the verbs that check out.
#[derive(Debug, clap::Args)]
pub(crate) struct Terms {
    /// How many seats of each feature
    #[arg(short = 'n', long = "seats", value_name = "N", default_value_t = 1)]
    pub(crate) seats: u32,
    /// The version of the program: the license must cover it
    #[arg(long, value_name = "V")]
    pub(crate) version: Option<String>,
    /// How long to wait in the queue when no seat is free, such as 10m; 0 is not at all
    #[arg(long, value_name = "D", value_parser = wait, default_value = "0")]
    pub(crate) wait: DurationMs,
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
    /// One for each feature, in the order asked for.
    Seats(Vec<Acquired>),
    /// A signal ended it; this is the exit code.
    Interrupted(u8),
}

/// Connects and checks out all of `features`, or none.
pub(crate) async fn acquire(
    context: &Context,
    signals: &mut Signals,
    features: &[String],
    terms: &Terms,
    length: Option<DurationMs>,
) -> Result<Outcome, Failure> {
    let connecting = connect(context, features);
    let connecting = progress::waiting(context, "looking for a license server", connecting);
    let (client, root, paths) = tokio::select! {
        connected = connecting => connected?,
        signal = ending(signals) => return Ok(Outcome::Interrupted(code(signal))),
    };
    let (tell, places) = mpsc::unbounded_channel();
    let mut checkout = client
        .checkout_all(paths.iter().map(|path| path.feature.as_str()))
        .seats(terms.seats)
        .wait(terms.wait.to_std())
        .on_wait(move |place| {
            let _ = tell.send(place);
        });
    if let Some(version) = &terms.version {
        checkout = checkout.version(version);
    }
    if let Some(length) = length {
        checkout = checkout.length(length.to_std());
    }
    let names = listed(&paths);
    let checkout = progress::queueing(context, &names, places, checkout.into_future());
    let seats = tokio::select! {
        seats = checkout => seats?,
        signal = ending(signals) => return Ok(give_up(&client, signal).await),
    };
    let acquired = seats.into_iter().zip(paths);
    let acquired = acquired.map(|(seat, path)| Acquired { seat, path, root });
    Ok(Outcome::Seats(acquired.collect()))
}

/// The names, as a person writes them in a sentence.
pub(crate) fn listed(paths: &[FeaturePath]) -> String {
    let names: Vec<String> = paths.iter().map(ToString::to_string).collect();
    names.join(", ")
}

async fn connect(
    context: &Context,
    features: &[String],
) -> Result<(Client, Fingerprint, Vec<FeaturePath>), Failure> {
    let mut vendor: Option<TrustedRoot> = None;
    let mut paths = Vec::new();
    for name in features {
        let (trusted, feature) = context.choose(name).await?;
        if let Some(first) = vendor.as_ref().filter(|it| it.root != trusted.root) {
            return Err(two_vendors(first, &trusted));
        }
        let named = trusted.vendor.clone();
        paths.push(FeaturePath {
            vendor: named,
            feature,
        });
        vendor = Some(trusted);
    }
    let vendor = vendor.ok_or_else(|| Failure::new("no feature is named", exit::USAGE))?;
    let builder = context.builder(vendor.root, context.environment());
    let client = builder.connect().await.map_err(Failure::from)?;
    Ok((client, vendor.root.fingerprint(), paths))
}

/// Each vendor has servers of its own, which cannot promise all or nothing together.
fn two_vendors(one: &TrustedRoot, other: &TrustedRoot) -> Failure {
    Failure::new(
        format!(
            "`{}` and `{}` at once: features of one vendor can be had together, not of two\n\
             next: run one inside the other, as in `usher run {}/… -- usher run {}/… -- CMD`",
            one.vendor, other.vendor, one.vendor, other.vendor
        ),
        exit::USAGE,
    )
}

/// The checkout is dropped: out of the queue, and a grant on its way goes back. A moment of patience
/// saves others from waiting for it.
async fn give_up(client: &Client, signal: Signal) -> Outcome {
    let _ = tokio::time::timeout(LEAVE_WAIT, client.settled()).await;
    Outcome::Interrupted(code(signal))
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

fn wait(text: &str) -> Result<DurationMs, String> {
    if text == "0" {
        return Ok(DurationMs::ZERO);
    }
    let wait: DurationMs = text.parse().map_err(|error| format!("{error}"))?;
    if wait > WAIT_MS_MAX {
        return Err(format!("expected at most {WAIT_MS_MAX}"));
    }
    Ok(wait)
}

/// Who waits longer has forgotten that it does.
const WAIT_MS_MAX: DurationMs = DurationMs::days(366);

/// How long a signal waits for the server's word that the queue is left.
const LEAVE_WAIT: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_lengths_of_time_or_none_at_all() {
        assert_eq!(wait("0"), Ok(DurationMs::ZERO));
        assert_eq!(wait("10m"), Ok(DurationMs::minutes(10)));
        assert!(wait("10").is_err() && wait("-1s").is_err() && wait("400d").is_err());
    }
}
