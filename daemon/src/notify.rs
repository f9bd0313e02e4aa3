//! What the service manager is told (`sd_notify`). Without one, all of it is silently nothing.
//!
//! Must not decide when the daemon is ready or alive: `serve` and the core thread do.

use sd_notify::NotifyState;
use usher_protocol::time::DurationMs;

/// Ready: replayed, bound, advert tried.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// One line for `systemctl status`.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The configuration is being read anew; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The end has begun.
pub fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// The core thread is alive.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] is due: half of what the manager waits; none when it does not watch.
pub fn watchdog_interval() -> Option<DurationMs> {
    let patience = sd_notify::watchdog_enabled()?;
    let half = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX) / 2;
    Some(DurationMs(half.max(1)))
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the service manager does not listen: {error}");
    }
}
