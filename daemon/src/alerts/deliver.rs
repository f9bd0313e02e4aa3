//! Delivers to one endpoint: the oldest first, again and again until it is taken, ever less often. Decides when; how a
//! payload travels is `send`'s.

use std::{path::PathBuf, time::Duration};

use usher_client::clock::Clock;

use super::{
    outbox::SharedOutbox,
    send::{self, Message},
    sign::Secret,
};
use crate::{config::AlertConfig, limits};

pub(super) struct Delivery {
    /// Its place in the outbox.
    pub(super) place: usize,
    pub(super) endpoint: AlertConfig,
    pub(super) secret: PathBuf,
    pub(super) outbox: SharedOutbox,
}

impl Delivery {
    /// Until dropped.
    pub(super) async fn run(self) {
        let mut vain = 0_u32;
        loop {
            let event = self.outbox.next(self.place).await;
            match self.send(&event.body).await {
                Ok(()) => {
                    vain = 0;
                    self.outbox.delivered(self.place, &event).await;
                }
                Err(problem) => {
                    if vain == 0 {
                        tracing::warn!(
                            event = "alert-waits",
                            "an alert waits for {}: {problem}",
                            self.endpoint.url
                        );
                    }
                    self.outbox.failed(self.place, problem);
                    vain = vain.saturating_add(1);
                    tokio::time::sleep(pause(vain, dice())).await;
                }
            }
        }
    }

    async fn send(&self, body: &str) -> Result<(), String> {
        // Anew each time, so that a receiver can refuse what is old.
        let seconds = Clock::new().now().wall.0 / 1000;
        let message = Message {
            signature: Secret::read(&self.secret)?.signature(seconds, body),
            body,
        };
        let sending = send::post(&self.endpoint, &message);
        match tokio::time::timeout(limits::ALERT_SEND_MS_MAX.to_std(), sending).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no answer within {}", limits::ALERT_SEND_MS_MAX)),
        }
    }
}

/// Doubled each time and bounded; between half of it and all, so that many daemons do not come back as one.
fn pause(vain: u32, dice: u16) -> Duration {
    let doubled = limits::ALERT_RETRY_MS_FIRST
        .0
        .saturating_mul(1 << vain.saturating_sub(1).min(20));
    let whole = doubled.min(limits::ALERT_RETRY_MS_LAST.0);
    let half = whole / 2;
    Duration::from_millis(half + half * u64::from(dice) / u64::from(u16::MAX))
}

fn dice() -> u16 {
    let mut bytes = [0; 2];
    // Without randomness it comes at half the pause.
    let _ = getrandom::fill(&mut bytes);
    u16::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_are_bounded_and_differ() {
        let ms = |vain, dice| pause(vain, dice).as_millis();
        assert_eq!(
            [ms(1, u16::MAX), ms(2, u16::MAX), ms(3, u16::MAX)],
            [1000, 2000, 4000]
        );
        assert_eq!(ms(1, 0), 500);
        assert_eq!(
            ms(u32::MAX, u16::MAX),
            u128::from(limits::ALERT_RETRY_MS_LAST.0)
        );
    }
}
