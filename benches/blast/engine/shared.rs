//! What the threads of a run share: the clock's marks, the budget, and the counts that the progress bar shows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// Phases of a run on the monotonic clock: warm-up until `from_ns`, measurement until `until_ns`, then the drain.
pub struct Shared {
    pub begin_ns: u64,
    pub from_ns: u64,
    until_ns: AtomicU64,
    pub give_up_ns: u64,
    /// Requests that may still be begun in the measurement.
    budget: AtomicI64,
    /// Every producer has its last answer, or has given up.
    produced: AtomicBool,
    /// The end of what was acknowledged, per partition.
    acked_ends: BTreeMap<i32, AtomicI64>,
    pub acked_records: AtomicU64,
    pub acked_bytes: AtomicU64,
    pub read_records: AtomicU64,
    pub read_bytes: AtomicU64,
}

/// When the phases begin and end.
pub struct Marks {
    pub begin_ns: u64,
    pub from_ns: u64,
    pub until_ns: u64,
    pub give_up_ns: u64,
}

impl Shared {
    pub fn new(marks: &Marks, count: Option<u64>, partitions: impl Iterator<Item = i32>) -> Shared {
        Shared {
            begin_ns: marks.begin_ns,
            from_ns: marks.from_ns,
            until_ns: AtomicU64::new(marks.until_ns),
            give_up_ns: marks.give_up_ns,
            budget: AtomicI64::new(count.map_or(i64::MAX, |count| i64::try_from(count).unwrap_or(i64::MAX))),
            produced: AtomicBool::new(false),
            acked_ends: partitions.map(|partition| (partition, AtomicI64::new(0))).collect(),
            acked_records: AtomicU64::new(0),
            acked_bytes: AtomicU64::new(0),
            read_records: AtomicU64::new(0),
            read_bytes: AtomicU64::new(0),
        }
    }

    pub fn until_ns(&self) -> u64 {
        self.until_ns.load(Ordering::Relaxed)
    }

    /// Whether a moment lies in the measurement.
    pub fn measures(&self, at_ns: u64) -> bool {
        self.from_ns <= at_ns && at_ns < self.until_ns()
    }

    /// Ends the measurement now, if it has not ended.
    pub fn end_at(&self, now_ns: u64) {
        self.until_ns.fetch_min(now_ns, Ordering::Relaxed);
    }

    /// Takes one from the budget; ends the measurement when there is none left. The warm-up is free.
    pub fn take_budget(&self, now_ns: u64) -> bool {
        if now_ns < self.from_ns || self.budget.fetch_sub(1, Ordering::Relaxed) > 0 {
            return true;
        }
        self.end_at(now_ns);
        false
    }

    pub fn set_produced(&self) {
        self.produced.store(true, Ordering::Release);
    }

    pub fn is_produced(&self) -> bool {
        self.produced.load(Ordering::Acquire)
    }

    pub fn acked_until(&self, partition: i32, end: i64) {
        if let Some(known) = self.acked_ends.get(&partition) {
            known.fetch_max(end, Ordering::Relaxed);
        }
    }

    pub fn acked_end(&self, partition: i32) -> i64 {
        self.acked_ends
            .get(&partition)
            .map_or(0, |end| end.load(Ordering::Relaxed))
    }
}
