//! What a person sees while waiting: a spinner on standard error, if that is a terminal, and only
//! after a moment, so that what is quick stays quiet; the place in the queue also in a log.

use super::context::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{io::IsTerminal, pin::pin, time::Duration};
use tokio::sync::mpsc;
use usher_client::protocol::{time::DurationMs, wire::Place};

/// The outcome of `work`, with a spinner beside it when that takes long.
pub(crate) async fn waiting<T>(
    context: &Context,
    words: &'static str,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    if !is_watched(context) {
        return work.await;
    }
    tokio::select! {
        outcome = &mut work => return outcome,
        () = tokio::time::sleep(QUIET) => {}
    }
    let _spinner = Spinner::turning(words.to_owned());
    work.await
}

/// The outcome of a checkout of `features`, and meanwhile its place in the queue as it changes: on
/// a terminal in one line, elsewhere in a line for each new position.
pub(crate) async fn queueing<T>(
    context: &Context,
    features: &str,
    mut places: mpsc::UnboundedReceiver<Place>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    let mut board = Board::new(context);
    let mut asking = pin!(tokio::time::sleep(QUIET));
    loop {
        tokio::select! {
            biased;
            outcome = &mut work => return outcome,
            Some(place) = places.recv() => board.show(place, features),
            () = &mut asking, if board.is_blank() => board.turn("asking for a seat".to_owned()),
        }
    }
}

/// Where places are shown.
enum Board {
    Nowhere,
    Terminal(Option<Spinner>),
    Lines(Option<u32>),
}

impl Board {
    fn new(context: &Context) -> Self {
        if context.global.quiet {
            Self::Nowhere
        } else if std::io::stderr().is_terminal() {
            Self::Terminal(None)
        } else {
            Self::Lines(None)
        }
    }

    fn is_blank(&self) -> bool {
        matches!(self, Self::Terminal(None))
    }

    fn show(&mut self, place: Place, features: &str) {
        let words = format!("waiting for {features}: {}", in_words(place));
        match self {
            Self::Nowhere => {}
            Self::Terminal(_) => self.turn(words),
            Self::Lines(last) => {
                if last.replace(place.position) != Some(place.position) {
                    eprintln!("usher: {words}");
                }
            }
        }
    }

    fn turn(&mut self, words: String) {
        match self {
            Self::Terminal(Some(spinner)) => spinner.0.set_message(words),
            Self::Terminal(none) => *none = Some(Spinner::turning(words)),
            Self::Nowhere | Self::Lines(_) => {}
        }
    }
}

/// `3rd of 7, about 4 min`
fn in_words(place: Place) -> String {
    let Place {
        position, waiting, ..
    } = place;
    // A push may be older than another: never "3rd of 2".
    let waiting = waiting.max(position);
    let place_in_words = format!("{position}{} of {waiting}", ending_of(position));
    match place.expected_ms {
        Some(wait) => format!("{place_in_words}, {}", roughly(wait)),
        None => place_in_words,
    }
}

fn ending_of(number: u32) -> &'static str {
    match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    }
}

/// A guess is not told as if it were known to the second.
fn roughly(wait: DurationMs) -> String {
    let minutes = wait.0.div_ceil(60_000);
    match minutes {
        0 | 1 => "less than a minute".to_owned(),
        2..=90 => format!("about {minutes} min"),
        91..=2_880 => format!("about {} h", minutes.div_ceil(60)),
        _ => format!("about {} days", minutes.div_ceil(24 * 60)),
    }
}

fn is_watched(context: &Context) -> bool {
    !context.global.quiet && std::io::stderr().is_terminal()
}

/// Leaves no trace, also when the wait is given up.
struct Spinner(ProgressBar);

impl Spinner {
    fn turning(words: String) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::default_spinner());
        bar.set_message(words);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

const QUIET: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    fn words(position: u32, waiting: u32, expected: Option<u64>) -> String {
        in_words(Place {
            position,
            waiting,
            expected_ms: expected.map(DurationMs::seconds),
        })
    }

    #[test]
    fn a_place_is_told_as_people_say_it() {
        assert_eq!(words(3, 7, Some(240)), "3rd of 7, about 4 min");
        assert_eq!(words(1, 1, Some(20)), "1st of 1, less than a minute");
        assert_eq!(words(22, 22, None), "22nd of 22");
        assert_eq!(words(112, 200, Some(7_200)), "112th of 200, about 2 h");
        assert_eq!(words(11, 12, Some(864_000)), "11th of 12, about 10 days");
        assert_eq!(words(3, 2, None), "3rd of 3");
    }
}
