//! How fast throttled replicas are copied: bytes per second of the whole broker, whichever of its shards copies.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::rt::Instant;

/// How much faster than its rate it may be for a moment: what so long a time allows.
const BURST: Duration = Duration::from_secs(1);
const NS_PER_SECOND: u128 = 1_000_000_000;

/// Longer it does not rest for what was copied once, however low the rate: it may be raised meanwhile.
const REST_MAX: Duration = Duration::from_secs(10);

/// The throttles of both sides, which all shards of a broker share.
#[derive(Debug, Default)]
pub struct Throttles {
    /// Of what throttled replicas that lead here are read by followers.
    pub leader: Throttle,
    /// Of what throttled replicas that follow here copy.
    pub follower: Throttle,
}

/// When all that was copied so far would be done at the allowed rate, in nanoseconds of the clock.
#[derive(Debug, Default)]
pub struct Throttle(AtomicU64);

impl Throttle {
    /// So much was copied.
    pub fn on_copied(&self, bytes: usize, rate: u64, now: Instant) {
        let time = (bytes as u128 * NS_PER_SECOND).div_ceil(u128::from(rate.max(1)));
        let time = u64::try_from(time).unwrap_or(u64::MAX);
        let earliest = now.0.saturating_sub(BURST.as_nanos() as u64);
        let latest = now.after(REST_MAX).0;
        let later = |due: u64| Some(due.max(earliest).saturating_add(time).min(latest));
        // Always an update: the closure never declines.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    /// Until when nothing more is to be copied, if that is not over.
    pub fn rests_until(&self, now: Instant) -> Option<Instant> {
        let due = Instant(self.0.load(Ordering::Relaxed));
        (due > now).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// A second's worth at once, then no more than the rate, whatever the size of the pieces.
    #[test]
    fn bytes_are_spread_over_time() {
        for piece in [10, 100, 1_000] {
            let throttle = Throttle::default();
            let (mut now, mut copied) = (100 * SECOND, 0);
            while now < 110 * SECOND {
                match throttle.rests_until(Instant(now)) {
                    Some(until) => now = until.0,
                    None => {
                        throttle.on_copied(piece, 100, Instant(now));
                        copied += piece;
                    }
                }
            }
            assert!(
                (1_000..=1_100 + piece).contains(&copied),
                "{copied} in pieces of {piece}"
            );
        }
    }

    /// Time in which nothing was copied is not saved up.
    #[test]
    fn a_pause_allows_no_more_than_the_burst() {
        let throttle = Throttle::default();
        throttle.on_copied(100, 100, Instant(100 * SECOND));
        let later = Instant(500 * SECOND);
        throttle.on_copied(200, 100, later);
        assert_eq!(throttle.rests_until(later), Some(Instant(501 * SECOND)));
    }

    /// A rate that was far too low does not stop the copying for long once it is raised.
    #[test]
    fn a_rest_has_an_end() {
        let throttle = Throttle::default();
        throttle.on_copied(1 << 20, 0, Instant(SECOND));
        assert_eq!(throttle.rests_until(Instant(SECOND)), Some(Instant(11 * SECOND)));
        assert_eq!(throttle.rests_until(Instant(11 * SECOND)), None);
    }
}
