//! What one request took, stage by stage: into the histograms, and into the log where it was slow.

use bytes::Bytes;

use super::Context;
use crate::metrics::{Metric, Spent};
use crate::rt::{self, Instant};
use crate::shard::Router;
use crate::wire::ApiKey;

/// A request's clock. Begins when its frame is whole, ends when its answer is ready to be sent.
pub struct Timing {
    key: ApiKey,
    /// `None`: times are not recorded.
    began: Option<Instant>,
    spent: Spent,
    client_id: Option<Bytes>,
}

impl Timing {
    pub fn begin(cx: &Context, key: ApiKey, client_id: Option<Bytes>) -> Timing {
        Timing {
            key,
            began: cx.metrics().is_timed().then(rt::now),
            spent: Spent::default(),
            client_id,
        }
    }

    /// Runs a piece of the request; the questions that it asks add to its stages.
    pub fn poll<T>(&mut self, router: &Router, piece: impl FnOnce() -> T) -> T {
        router.timed(&mut self.spent, piece)
    }

    pub fn finish(&mut self, cx: &Context) {
        let Some(began) = self.began else { return };
        if WAITING.contains(&self.key) {
            self.spent.wait += std::mem::take(&mut self.spent.local);
        }
        let total = rt::now().since(began).as_nanos() as u64;
        cx.metrics().record_request(self.key.0, total, &self.spent);
        let own = total.saturating_sub(self.spent.wait);
        let limit = cx.config().request_slow_log_ms;
        if limit > 0 && own >= limit as u64 * NANOS_PER_MS {
            self.report(cx, total, own);
        }
    }

    #[cold]
    fn report(&self, cx: &Context, total: u64, own: u64) {
        cx.metrics().add(Metric::SlowRequests, 1);
        if !cx.services.slow_log.admits(rt::now()) {
            return;
        }
        let client_id = self.client_id.as_deref().map(String::from_utf8_lossy);
        let micros = |nanos: u64| nanos / 1_000;
        tracing::warn!(
            api = super::name_of(self.key),
            peer = %cx.peer,
            client_id = client_id.as_deref(),
            took_us = micros(own),
            queue_us = micros(self.spent.queue),
            remote_us = micros(self.spent.remote),
            local_us = micros(self.spent.local),
            api_us = micros(self.spent.api(total)),
            wait_us = micros(self.spent.wait),
            "slow request"
        );
    }
}

/// JoinGroup and SyncGroup: a member waits at the coordinator for the others, as long as they please.
const WAITING: &[ApiKey] = &[ApiKey(11), ApiKey(14)];
const NANOS_PER_MS: u64 = 1_000_000;

/// Keeps the log readable when every request is slow: so many lines a second per shard, the rest is only counted.
#[derive(Debug, Default)]
pub struct SlowLog {
    second: std::cell::Cell<u64>,
    lines: std::cell::Cell<u32>,
}

const LINES_PER_SECOND_MAX: u32 = 10;

impl SlowLog {
    fn admits(&self, now: Instant) -> bool {
        let second = now.0 / 1_000_000_000;
        if self.second.replace(second) != second {
            self.lines.set(0);
        }
        self.lines.set(self.lines.get() + 1);
        self.lines.get() <= LINES_PER_SECOND_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slow_log_is_bounded_per_second() {
        let log = SlowLog::default();
        let at = |ms: u64| Instant(ms * NANOS_PER_MS);
        assert_eq!((0..100).filter(|_| log.admits(at(1_500))).count(), 10);
        assert!(log.admits(at(2_000)));
    }
}
