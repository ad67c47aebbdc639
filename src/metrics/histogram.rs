//! Latency histograms: counts in HdrHistogram's log-linear layout, recorded by one shard and read by anyone.
//!
//! A value falls into one of 32 equal parts of its power of two, so that what is read lies within 3 % of what was recorded.
//! Recording is two loads and two stores, without an atomic read-modify-write, a branch on the value or an allocation:
//! only the shard that owns a histogram may record into it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Nanoseconds are counted in units of 128.
const UNIT_BITS: u32 = 7;
/// Parts of each power of two, as bits.
const PART_BITS: u32 = 5;
const PARTS: usize = 1 << PART_BITS;
/// Values from here (about 69 s) on count as this.
const VALUE_BITS_MAX: u32 = 36;
const BUCKETS: usize = PARTS * (VALUE_BITS_MAX - UNIT_BITS - PART_BITS + 1) as usize;

/// One distribution of times.
#[derive(Debug)]
pub struct Histogram {
    counts: Box<[AtomicU64]>,
    sum_nanos: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            counts: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            sum_nanos: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// For the shard that owns this histogram alone: another thread's counts would be lost.
    pub fn record(&self, nanos: u64) {
        let bump =
            |cell: &AtomicU64, by: u64| cell.store(cell.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
        bump(&self.counts[bucket(nanos)], 1);
        bump(&self.sum_nanos, nanos);
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum_nanos: self.sum_nanos.load(Ordering::Relaxed),
        }
    }
}

/// The bucket of a value: linear below [`PARTS`] units, then by the leading bit and the five bits behind it.
fn bucket(nanos: u64) -> usize {
    let value = nanos.min((1 << VALUE_BITS_MAX) - 1) >> UNIT_BITS;
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(PART_BITS + 1);
    (shift as usize) * PARTS + (value >> shift) as usize
}

/// The first value, in nanoseconds, that is too large for a bucket.
fn bound(bucket: usize) -> u64 {
    let shift = (bucket / PARTS).saturating_sub(1);
    let part = bucket - shift * PARTS;
    ((part as u64 + 1) << shift) << UNIT_BITS
}

/// What one or several histograms held when they were read.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    counts: Vec<u64>,
    pub sum_nanos: u64,
}

impl Default for Snapshot {
    fn default() -> Snapshot {
        Snapshot {
            counts: vec![0; BUCKETS],
            sum_nanos: 0,
        }
    }
}

impl Snapshot {
    pub fn add(&mut self, other: &Snapshot) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum_nanos = self.sum_nanos.wrapping_add(other.sum_nanos);
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many values lay below `nanos`, as far as the buckets tell.
    pub fn count_below(&self, nanos: u64) -> u64 {
        let inside = self.counts.iter().enumerate().take_while(|(at, _)| bound(*at) <= nanos);
        inside.map(|(_, count)| count).sum()
    }

    /// The time that this share of the values did not exceed; zero where there are none.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (self.count() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(bound(at));
            }
        }
        Duration::ZERO
    }

    /// The buckets that hold something, as (nanoseconds that its values lie below, count): enough to tell from two
    /// snapshots what came between them.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let held = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        held.map(|(at, count)| (bound(at), *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64]) -> Snapshot {
        let histogram = Histogram::default();
        values.iter().for_each(|value| histogram.record(*value));
        histogram.snapshot()
    }

    /// Buckets follow each other without a hole, and every value lies below its bucket's bound and not below the last one's.
    #[test]
    fn every_value_has_its_bucket() {
        assert!((1..BUCKETS).all(|at| bound(at) > bound(at - 1)));
        for value in (0..VALUE_BITS_MAX).flat_map(|bit| [1 << bit, (1 << bit) + 1, (2 << bit) - 1]) {
            let at = bucket(value);
            assert!(value < bound(at) && (at == 0 || value >= bound(at - 1)), "{value}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    /// The same percentiles as HdrHistogram's, within the width of a bucket.
    #[test]
    fn percentiles_agree_with_hdrhistogram() {
        let mut state = 1_u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            1_000 << ((state >> 60) as u32) | (state >> 50)
        };
        let values: Vec<u64> = (0..20_000).map(|_| draw()).collect();
        let mut oracle = hdrhistogram::Histogram::<u64>::new(3).expect("three digits");
        values.iter().for_each(|value| oracle.record(*value).expect("in range"));
        let ours = of(&values);
        assert_eq!(ours.count(), 20_000);
        assert_eq!(ours.sum_nanos, values.iter().sum::<u64>());
        for share in [0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let (ours, theirs) = (
                ours.quantile(share).as_nanos() as f64,
                oracle.value_at_quantile(share) as f64,
            );
            assert!(
                (ours - theirs).abs() <= theirs * 0.035 + 128.0,
                "{share}: {ours} and {theirs}"
            );
        }
    }

    #[test]
    fn merged_snapshots_hold_both() {
        let mut both = of(&[1_000, 2_000_000]);
        both.add(&of(&[3_000_000_000]));
        assert_eq!((both.count(), both.sum_nanos), (3, 3_002_001_000));
        assert_eq!([both.count_below(1_500), both.count_below(10_000_000_000)], [1, 3]);
        assert_eq!(both.buckets().map(|(_, count)| count).sum::<u64>(), 3);
        assert_eq!(Snapshot::default().quantile(0.99), Duration::ZERO);
    }
}
