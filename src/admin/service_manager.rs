//! The talk with systemd: readiness, progress while logs recover, the end, and the watchdog.
//!
//! Without `NOTIFY_SOCKET` in the environment every word goes nowhere.

use std::time::Duration;

use sd_notify::NotifyState;

use super::{Phase, Sources};
use crate::rt::{self, Instant};

/// How much more time each sign of progress asks for.
const EXTENSION: Duration = Duration::from_secs(30);

pub struct ServiceManager {
    /// A quarter of the time after which systemd takes us for dead.
    feed_every: Option<Duration>,
    fed: Option<Instant>,
    said_ready: bool,
    said: String,
}

impl ServiceManager {
    pub fn new() -> ServiceManager {
        ServiceManager {
            feed_every: sd_notify::watchdog_enabled().map(|limit| limit / 4),
            fed: None,
            said_ready: false,
            said: String::new(),
        }
    }

    /// To be called about twice a second.
    pub fn tell(&mut self, sources: &Sources) {
        if self.is_to_feed(sources.pulse.standing().is_empty(), rt::now()) {
            notify(&[NotifyState::Watchdog]);
        }
        let reason = sources.not_ready_because();
        if sources.phase() == Phase::Stopping {
            notify(&[extension()]);
        } else if self.said_ready {
            self.say(reason.as_deref().unwrap_or("serving"));
        } else if let Some(reason) = reason {
            notify(&[extension()]);
            self.say(&reason);
        } else {
            self.said_ready = true;
            notify(&[NotifyState::Ready]);
            self.say("serving");
        }
    }

    /// The watchdog is fed only while every shard's pump turns.
    fn is_to_feed(&mut self, all_turn: bool, now: Instant) -> bool {
        let Some(every) = self.feed_every else { return false };
        let due = all_turn && self.fed.is_none_or(|fed| now.since(fed) >= every);
        if due {
            self.fed = Some(now);
        }
        due
    }

    fn say(&mut self, status: &str) {
        if self.said != status {
            status.clone_into(&mut self.said);
            notify(&[NotifyState::Status(status)]);
        }
    }
}

/// From now on nobody is to be sent here.
pub fn stopping(sources: &Sources) {
    sources.set_phase(Phase::Stopping);
    notify(&[extension(), NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// The configuration is read again: systemd waits for the readiness that follows. Before there is any it is told nothing: it would
/// take the end of the reload for the first readiness.
pub async fn reloading(sources: &Sources, reload: impl Future<Output = ()>) {
    if !sources.is_ready() {
        return reload.await;
    }
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the clock cannot be read"),
    }
    reload.await;
    notify(&[NotifyState::Ready]);
}

fn extension() -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(EXTENSION.as_micros() as u32)
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager does not listen");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    /// Fed several times within systemd's limit, and not at all while a shard stands.
    #[test]
    fn the_watchdog_starves_with_a_shard() {
        let mut manager = ServiceManager {
            feed_every: Some(Duration::from_secs(1)),
            ..ServiceManager::new()
        };
        assert!(manager.is_to_feed(true, at(0)));
        assert!(!manager.is_to_feed(true, at(500)) && manager.is_to_feed(true, at(1_000)));
        assert!((2..60).all(|second| !manager.is_to_feed(false, at(second * 1_000))));
        assert!(manager.is_to_feed(true, at(60_000)));
        manager.feed_every = None;
        assert!(!manager.is_to_feed(true, at(90_000)));
    }
}
