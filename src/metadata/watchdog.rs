//! The watch over the shards: each bumps a counter from a timer, and one that stands still is a shard that hangs. A hung
//! shard would keep its leaderships for ever, so after a while the process ends instead.
//!
//! It has a thread of its own: a disk that hangs may hold up the control thread in a sync, and would hold up the watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::rt::{self, Instant};

/// A shard's counter before its timer runs: not watched yet.
pub const BEAT_NOT_BEGUN: u64 = 0;
/// What a shard stores when it ends on purpose: not watched any more.
pub const BEAT_ENDED: u64 = u64::MAX;

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A longer gap between two looks means that the whole process stood still (a suspended machine, a stopped process),
/// and says nothing about the shards.
const LOOK_GAP_MAX: Duration = Duration::from_millis(2_000);
const WARN_AFTER: Duration = Duration::from_secs(3);

pub(super) struct Watchdog {
    shards: Vec<Watched>,
    abort_after: Option<Duration>,
    looked: Option<Instant>,
}

struct Watched {
    beats: Arc<AtomicU64>,
    last: u64,
    moved: Instant,
    warned: bool,
}

#[derive(Debug, PartialEq)]
enum Finding {
    Stands { shard: usize, for_at_least: Duration },
    MovesAgain { shard: usize },
    Abort { shard: usize },
}

impl Watchdog {
    /// `abort_ms` of 0 or less: never.
    pub fn new(beats: Vec<Arc<AtomicU64>>, abort_ms: i64) -> Watchdog {
        let watched = |beats| Watched {
            beats,
            last: BEAT_NOT_BEGUN,
            moved: Instant(0),
            warned: false,
        };
        let abort_after = u64::try_from(abort_ms)
            .ok()
            .filter(|ms| *ms > 0)
            .map(Duration::from_millis);
        Watchdog {
            shards: beats.into_iter().map(watched).collect(),
            abort_after,
            looked: None,
        }
    }

    pub fn has_shards(&self) -> bool {
        !self.shards.is_empty()
    }

    pub async fn run(mut self, stopping: Arc<AtomicBool>) {
        while !stopping.load(Ordering::Acquire) {
            for finding in self.look(rt::now()) {
                report(finding);
            }
            rt::sleep(LOOK_EVERY).await;
        }
    }

    fn look(&mut self, now: Instant) -> Vec<Finding> {
        let stood_still = self.looked.is_none_or(|looked| now.since(looked) > LOOK_GAP_MAX);
        self.looked = Some(now);
        let abort_after = self.abort_after;
        let look_at = |(shard, watched): (usize, &mut Watched)| watched.look(shard, now, stood_still, abort_after);
        self.shards.iter_mut().enumerate().filter_map(look_at).collect()
    }
}

impl Watched {
    fn look(&mut self, shard: usize, now: Instant, reset: bool, abort_after: Option<Duration>) -> Option<Finding> {
        let beats = self.beats.load(Ordering::Relaxed);
        let moved = beats != self.last;
        self.last = beats;
        if moved || reset || beats == BEAT_NOT_BEGUN || beats == BEAT_ENDED {
            self.moved = now;
            let again = moved && std::mem::take(&mut self.warned);
            return again.then_some(Finding::MovesAgain { shard });
        }
        let for_at_least = now.since(self.moved);
        if abort_after.is_some_and(|limit| for_at_least >= limit) {
            return Some(Finding::Abort { shard });
        }
        if for_at_least >= WARN_AFTER && !self.warned {
            self.warned = true;
            return Some(Finding::Stands { shard, for_at_least });
        }
        None
    }
}

fn report(finding: Finding) {
    match finding {
        Finding::Stands { shard, for_at_least } => {
            tracing::error!(
                shard,
                for_at_least_ms = for_at_least.as_millis() as u64,
                "a shard stands still"
            );
        }
        Finding::MovesAgain { shard } => tracing::warn!(shard, "the shard moves again"),
        Finding::Abort { shard } => {
            tracing::error!(
                shard,
                "the shard hangs (shard.hang.abort.ms): ending the process, so that it restarts"
            );
            rt::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    /// Looks every 500 ms from `from_ms` to `to_ms`; all findings.
    fn look_through(watchdog: &mut Watchdog, from_ms: u64, to_ms: u64) -> Vec<Finding> {
        (from_ms..=to_ms)
            .step_by(500)
            .flat_map(|ms| watchdog.look(at(ms)))
            .collect()
    }

    /// A shard that stops beating is reported once after three seconds, then ends the process.
    #[test]
    fn a_shard_that_stands_still_is_reported_once_then_aborts() {
        let beats = Arc::new(AtomicU64::new(1));
        let mut watchdog = Watchdog::new(vec![beats], 10_000);
        let found = look_through(&mut watchdog, 0, 9_500);
        assert_eq!(
            found,
            [Finding::Stands {
                shard: 0,
                for_at_least: Duration::from_secs(3)
            }]
        );
        assert_eq!(
            look_through(&mut watchdog, 10_000, 10_000),
            [Finding::Abort { shard: 0 }]
        );
    }

    /// A shard that beats is never reported, and one that recovers says so.
    #[test]
    fn a_shard_that_moves_again_is_watched_anew() {
        let beats = Arc::new(AtomicU64::new(1));
        let mut watchdog = Watchdog::new(vec![beats.clone()], 10_000);
        assert_eq!(look_through(&mut watchdog, 0, 4_000).len(), 1);
        beats.store(2, Ordering::Relaxed);
        assert_eq!(
            look_through(&mut watchdog, 4_500, 7_000),
            [Finding::MovesAgain { shard: 0 }]
        );
        assert_eq!(look_through(&mut watchdog, 7_500, 7_500).len(), 1);
    }

    /// Shards that have not begun or have ended are left alone.
    #[test]
    fn shards_before_and_after_their_life_are_not_watched() {
        let beats = [BEAT_NOT_BEGUN, BEAT_ENDED].map(|value| Arc::new(AtomicU64::new(value)));
        let mut watchdog = Watchdog::new(beats.to_vec(), 1_000);
        assert_eq!(look_through(&mut watchdog, 0, 60_000), []);
    }

    /// After the whole process stood still (suspend, SIGSTOP) the shards get their full time again.
    #[test]
    fn a_pause_of_the_whole_process_is_not_held_against_the_shards() {
        let beats = Arc::new(AtomicU64::new(1));
        let mut watchdog = Watchdog::new(vec![beats], 10_000);
        assert_eq!(look_through(&mut watchdog, 0, 1_000), []);
        assert_eq!(look_through(&mut watchdog, 60_000, 62_500), []);
    }

    /// 0 switches the abort off.
    #[test]
    fn without_a_limit_a_shard_is_only_reported() {
        let mut watchdog = Watchdog::new(vec![Arc::new(AtomicU64::new(1))], 0);
        assert_eq!(look_through(&mut watchdog, 0, 600_000).len(), 1);
    }
}
