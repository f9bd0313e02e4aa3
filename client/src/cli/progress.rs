//! A spinner where a person waits: on standard error, if that is a terminal, and only after a
//! moment, so that what is quick stays quiet.

use super::context::Context;
use indicatif::{ProgressBar, ProgressDrawTarget};
use std::{io::IsTerminal, pin::pin, time::Duration};

/// The outcome of `work`, with a spinner beside it when that takes long.
pub(crate) async fn waiting<T>(
    context: &Context,
    words: &'static str,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    if context.global.quiet || !std::io::stderr().is_terminal() {
        return work.await;
    }
    tokio::select! {
        outcome = &mut work => return outcome,
        () = tokio::time::sleep(QUIET) => {}
    }
    let spinner = Spinner(ProgressBar::with_draw_target(
        None,
        ProgressDrawTarget::stderr(),
    ));
    spinner.0.set_message(words);
    spinner.0.enable_steady_tick(Duration::from_millis(100));
    work.await
}

/// Leaves no trace, also when the wait is given up.
struct Spinner(ProgressBar);

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

const QUIET: Duration = Duration::from_millis(200);
