//! How fast reads from the disk may go while something is written: so many bytes a second, and faster than what producers
//! append, or else whoever is behind would stay behind. Where nothing is written there is no limit.

use std::time::Duration;

use crate::rt::Instant;

/// Whoever wrote this lately is at it still.
pub(super) const WRITE_LINGER: Duration = Duration::from_millis(50);
/// No read makes the next one wait for longer.
const DEBT_MAX: Duration = Duration::from_secs(1);
/// Over which the speed of the appends is measured.
const SPEED_WINDOW: Duration = Duration::from_secs(1);
const NS_PER_SECOND: u128 = 1_000_000_000;

/// Of one class of readers. A read is paid for once it has begun, so that one of any size may.
pub(super) struct Pace {
    /// 0: any number.
    bytes_per_second: u64,
    /// When the reads so far are paid for.
    paid: Instant,
}

impl Pace {
    pub(super) fn new(bytes_per_second: u64) -> Pace {
        Pace {
            bytes_per_second,
            paid: Instant(0),
        }
    }

    /// When the next read may begin, if not now.
    pub(super) fn wait_until(&self, produced: &Produced, now: Instant) -> Option<Instant> {
        (self.is_kept(produced, now) && self.paid > now).then_some(self.paid)
    }

    /// `sharing`: readers, each of which is to be faster than the producers.
    pub(super) fn on_read(&mut self, bytes: usize, produced: &Produced, sharing: u64, now: Instant) {
        let nearer = produced.per_second(now).saturating_mul(1 + sharing);
        let speed = self.bytes_per_second.max(nearer).max(1);
        let price = bytes as u128 * NS_PER_SECOND / u128::from(speed);
        let from = match self.is_kept(produced, now) {
            true => self.paid.max(now),
            false => now,
        };
        let paid = from.after(Duration::from_nanos(u64::try_from(price).unwrap_or(u64::MAX)));
        self.paid = paid.min(now.after(DEBT_MAX));
    }

    fn is_kept(&self, produced: &Produced, now: Instant) -> bool {
        self.bytes_per_second > 0 && produced.last.is_some_and(|at| now.since(at) < WRITE_LINGER)
    }
}

/// What is written, and how much of it producers append.
#[derive(Default)]
pub(super) struct Produced {
    last: Option<Instant>,
    /// In the window that was full last.
    per_second: u64,
    /// Of the one that is not full yet.
    since: Option<Instant>,
    bytes: u64,
}

impl Produced {
    pub(super) fn on_write(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// As long as they go on.
    fn per_second(&self, now: Instant) -> u64 {
        let goes_on = self.since.is_some_and(|since| now.since(since) < 2 * SPEED_WINDOW);
        if goes_on { self.per_second } else { 0 }
    }

    pub(super) fn on_append(&mut self, bytes: usize, now: Instant) {
        let past = now.since(*self.since.get_or_insert(now));
        if past >= SPEED_WINDOW {
            let per_second = u128::from(self.bytes) * NS_PER_SECOND / past.as_nanos();
            self.per_second = u64::try_from(per_second).unwrap_or(u64::MAX);
            (self.since, self.bytes) = (Some(now), 0);
        }
        self.bytes += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const READ_BYTES: usize = 8_000;

    /// Reads that a pace lets begin within `ms` milliseconds, while a thousand bytes are appended in each.
    fn reads(pace: &mut Pace, produced: &mut Produced, sharing: u64, ms: std::ops::Range<u64>) -> usize {
        let instants = ms.map(|ms| Instant((1_000 + ms) * MS));
        let begin = |now| {
            produced.on_write(now);
            produced.on_append(1_000, now);
            let begins = pace.wait_until(produced, now).is_none();
            if begins {
                pace.on_read(READ_BYTES, produced, sharing, now);
            }
            begins
        };
        instants.map(begin).filter(|begins| *begins).count()
    }

    /// Of a megabyte a second: at first nothing is known of the producers, who append as much; then a reader, and each of
    /// two that share the pace, is as much faster than they are.
    #[test]
    fn whoever_is_behind_comes_nearer() {
        for (sharing, expected) in [(1, 5), (3, 10)] {
            let (mut pace, mut produced) = (Pace::new(1_000_000), Produced::default());
            assert_eq!(reads(&mut pace, &mut produced, sharing, 0..20), 3);
            reads(&mut pace, &mut produced, sharing, 20..1_020);
            assert_eq!(reads(&mut pace, &mut produced, sharing, 1_020..1_040), expected);
        }
    }

    /// Producers who append little leave the pace as it is; without one there is no limit.
    #[test]
    fn the_pace_is_the_least_speed() {
        for (bytes_per_second, expected) in [(2_666_667, 7), (0, 20)] {
            let (mut pace, mut produced) = (Pace::new(bytes_per_second), Produced::default());
            reads(&mut pace, &mut produced, 1, 0..1_020);
            let seen = reads(&mut pace, &mut produced, 1, 1_020..1_040);
            assert!(seen.abs_diff(expected) <= 1, "{bytes_per_second}: {seen}");
        }
    }

    /// A read before the producers' speed was known does not hold up those after it.
    #[test]
    fn a_slow_pace_makes_no_long_debt() {
        let (mut pace, mut produced) = (Pace::new(1), Produced::default());
        let now = Instant(0);
        produced.on_write(now);
        pace.on_read(READ_BYTES, &produced, 1, now);
        assert_eq!(pace.wait_until(&produced, now), Some(now.after(DEBT_MAX)));
    }
}
