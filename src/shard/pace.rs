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
/// How much faster than producers append: of what a read takes, the last batch may be of no use.
const NEARER: u64 = 2;
const NS_PER_SECOND: u128 = 1_000_000_000;

/// Of readers that share it. A read is paid for once it has begun, so that one of any size may.
pub(super) struct Pace {
    /// What may be read at once, by the time that it is paid for in, and how late a reader may come without loss.
    at_once: Duration,
    /// When the reads so far are paid for.
    paid: Instant,
    /// So much was read at once: nothing before all of it is paid for.
    is_spent: bool,
}

impl Pace {
    pub(super) fn new(at_once: Duration) -> Pace {
        Pace {
            at_once,
            paid: Instant(0),
            is_spent: false,
        }
    }

    /// When the next read may begin, if not now.
    pub(super) fn wait_until(&self, produced: &Produced, now: Instant) -> Option<Instant> {
        (produced.goes_on(now) && self.is_spent && self.paid > now).then_some(self.paid)
    }

    /// `least`: bytes a second, however little is appended; `appends`: those that the reader is to come nearer to.
    pub(super) fn on_read(&mut self, bytes: usize, least: u64, appends: Appends, produced: &Produced, now: Instant) {
        let price = price(bytes, produced.pace(least, appends, now));
        let is_owed = produced.goes_on(now) && self.paid > now;
        let from = if is_owed { self.paid } else { self.paid.min(now) };
        let paid = from.max(now.before(self.at_once)).after(price);
        self.paid = paid.min(now.after(DEBT_MAX));
        self.is_spent = (self.is_spent && is_owed) || self.paid > now.after(self.at_once);
    }

    /// So much was paid for, and not read.
    pub(super) fn give_back(&mut self, bytes: usize, least: u64, appends: Appends, produced: &Produced, now: Instant) {
        self.paid = self.paid.before(price(bytes, produced.pace(least, appends, now)));
    }
}

fn price(bytes: usize, per_second: u64) -> Duration {
    let nanos = bytes as u128 * NS_PER_SECOND / u128::from(per_second);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Of which partitions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Appends {
    All,
    /// With replicas that are behind.
    Lagging,
}

/// What is written, and how much of it producers append.
#[derive(Default)]
pub(super) struct Produced {
    /// The last write, of producers or of what is copied.
    last: Option<Instant>,
    /// By [`Appends`].
    speeds: [Speed; 2],
}

#[derive(Default)]
struct Speed {
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

    pub(super) fn on_append(&mut self, bytes: usize, lags: bool, now: Instant) {
        self.speeds[Appends::All as usize].on_append(bytes, now);
        if lags {
            self.speeds[Appends::Lagging as usize].on_append(bytes, now);
        }
    }

    /// Something is being written.
    pub(super) fn goes_on(&self, now: Instant) -> bool {
        self.last.is_some_and(|at| now.since(at) < WRITE_LINGER)
    }

    /// Bytes a second.
    fn pace(&self, least: u64, appends: Appends, now: Instant) -> u64 {
        least.max(self.per_second(appends, now).saturating_mul(NEARER)).max(1)
    }

    fn per_second(&self, appends: Appends, now: Instant) -> u64 {
        self.speeds[appends as usize].at(now)
    }
}

impl Speed {
    fn on_append(&mut self, bytes: usize, now: Instant) {
        let past = now.since(*self.since.get_or_insert(now));
        if past >= SPEED_WINDOW {
            let per_second = u128::from(self.bytes) * NS_PER_SECOND / past.as_nanos();
            self.per_second = u64::try_from(per_second).unwrap_or(u64::MAX);
            (self.since, self.bytes) = (Some(now), 0);
        }
        self.bytes += bytes as u64;
    }

    /// As long as producers append.
    fn at(&self, now: Instant) -> u64 {
        let goes_on = self.since.is_some_and(|since| now.since(since) < 2 * SPEED_WINDOW);
        if goes_on { self.per_second } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const READ_BYTES: usize = 8_000;

    /// Reads that a pace lets begin within `ms` milliseconds, while a thousand bytes are appended in each.
    fn reads(pace: &mut Pace, produced: &mut Produced, least: u64, ms: std::ops::Range<u64>) -> usize {
        let instants = ms.map(|ms| Instant((1_000 + ms) * MS));
        let begin = |now| {
            produced.on_write(now);
            produced.on_append(1_000, true, now);
            let begins = pace.wait_until(produced, now).is_none();
            if begins {
                pace.on_read(READ_BYTES, least, Appends::Lagging, produced, now);
            }
            begins
        };
        instants.map(begin).filter(|begins| *begins).count()
    }

    /// Of a megabyte a second: at first nothing is known of the producers, who append as much; then the reader is twice as
    /// fast as they are.
    #[test]
    fn whoever_is_behind_comes_nearer() {
        let (mut pace, mut produced) = (Pace::new(Duration::ZERO), Produced::default());
        assert_eq!(reads(&mut pace, &mut produced, 1_000_000, 0..20), 3);
        reads(&mut pace, &mut produced, 1_000_000, 20..1_020);
        assert_eq!(reads(&mut pace, &mut produced, 1_000_000, 1_020..1_040), 5);
    }

    /// Producers who append little leave the pace as it is.
    #[test]
    fn the_pace_is_the_least_speed() {
        let (mut pace, mut produced) = (Pace::new(Duration::ZERO), Produced::default());
        reads(&mut pace, &mut produced, 2_666_667, 0..1_020);
        let seen = reads(&mut pace, &mut produced, 2_666_667, 1_020..1_040);
        assert!(seen.abs_diff(7) <= 1, "{seen}");
    }

    /// Nor do those who append to partitions without replicas that are behind.
    #[test]
    fn others_do_not_hasten_whoever_is_behind() {
        let mut produced = Produced::default();
        let appends = |produced: &mut Produced, lags| {
            (0..1_020).for_each(|ms| produced.on_append(1_000, lags, Instant(ms * MS)));
        };
        appends(&mut produced, false);
        let now = Instant(1_020 * MS);
        let seen =
            |produced: &Produced| [Appends::All, Appends::Lagging].map(|appends| produced.per_second(appends, now));
        assert_eq!(seen(&produced), [1_000_000, 0]);
        appends(&mut produced, true);
        assert_eq!(seen(&produced)[1], 1_000_000);
    }

    /// What may be read at once is, and then nothing before it is paid for; in the end it comes to the same.
    #[test]
    fn some_may_be_read_at_once() {
        let (mut pace, mut produced) = (Pace::new(Duration::from_millis(20)), Produced::default());
        let now = Instant(1_000 * MS);
        produced.on_write(now);
        let mut at_once = 0;
        while pace.wait_until(&produced, now).is_none() {
            pace.on_read(READ_BYTES, 1_000_000, Appends::All, &produced, now);
            at_once += 1;
        }
        let paid = now.after(Duration::from_millis(28));
        assert_eq!((at_once, pace.wait_until(&produced, now)), (6, Some(paid)));
        let before = now.after(Duration::from_millis(27));
        assert_eq!(pace.wait_until(&produced, before), Some(paid));
        assert_eq!(pace.wait_until(&produced, paid), None);
    }

    /// A read before the producers' speed was known does not hold up those after it.
    #[test]
    fn a_slow_pace_makes_no_long_debt() {
        let (mut pace, mut produced) = (Pace::new(Duration::ZERO), Produced::default());
        let now = Instant(0);
        produced.on_write(now);
        pace.on_read(READ_BYTES, 1, Appends::All, &produced, now);
        assert_eq!(pace.wait_until(&produced, now), Some(now.after(DEBT_MAX)));
    }
}
