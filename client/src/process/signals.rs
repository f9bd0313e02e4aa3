//! Decides which signals a wrapper passes on. Must not decide what they do to the child.

use rustix::process::Signal;
use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Signals sent to this process, from [`Signals::listen`] on: none of them ends it any more.
#[derive(Debug)]
pub struct Signals {
    received: mpsc::Receiver<Signal>,
    _listeners: JoinSet<()>,
}

impl Signals {
    /// Starts to listen; call it before anything that a signal should be able to interrupt, the
    /// wait in a queue included.
    ///
    /// # Errors
    /// The kernel refused a handler.
    pub fn listen() -> io::Result<Signals> {
        let (sender, received) = mpsc::channel(QUEUE_LENGTH);
        let mut listeners = JoinSet::new();
        for passed in PASSED_ON {
            let mut stream = signal(SignalKind::from_raw(passed.as_raw()))?;
            let sender = sender.clone();
            listeners.spawn(async move {
                while stream.recv().await.is_some() && sender.send(passed).await.is_ok() {}
            });
        }
        Ok(Signals {
            received,
            _listeners: listeners,
        })
    }

    /// The next signal. Cancelling loses none.
    pub async fn next(&mut self) -> Signal {
        match self.received.recv().await {
            Some(signal) => signal,
            // The listeners live as long as this does.
            None => std::future::pending().await,
        }
    }
}

const PASSED_ON: [Signal; 9] = [
    Signal::INT,
    Signal::TERM,
    Signal::HUP,
    Signal::QUIT,
    Signal::TSTP,
    Signal::CONT,
    Signal::WINCH,
    Signal::USR1,
    Signal::USR2,
];

const QUEUE_LENGTH: usize = 32;
