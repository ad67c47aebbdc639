//! The offsets in flight, as runs that share one state. Runs follow each other without holes, from the first offset that
//! is not settled yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::rt::Instant;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Available,
    Acquired {
        member: Arc<str>,
        until: Instant,
    },
    Acknowledged,
    /// Given up: rejected, offered too often, or no record at all.
    Archived,
}

impl Delivery {
    pub(super) fn is_settled(&self) -> bool {
        matches!(self, Delivery::Acknowledged | Delivery::Archived)
    }

    pub(super) fn is_held_by(&self, wanted: &str) -> bool {
        matches!(self, Delivery::Acquired { member, .. } if **member == *wanted)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) delivery: Delivery,
    /// How often its records were acquired.
    pub(super) count: i16,
}

#[derive(Clone, Debug)]
pub(super) struct Window {
    start: i64,
    /// By their first offsets.
    runs: BTreeMap<i64, Run>,
}

impl Window {
    pub(super) fn new(start: i64) -> Window {
        Window {
            start,
            runs: BTreeMap::new(),
        }
    }

    /// Below it everything is settled.
    pub(super) fn start(&self) -> i64 {
        self.start
    }

    /// Behind the last offset that is known of.
    pub(super) fn end(&self) -> i64 {
        self.runs.last_key_value().map_or(self.start, |(_, run)| run.last + 1)
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    /// The runs that overlap with `first..=last`, as they are.
    pub(super) fn overlapping(&self, first: i64, last: i64) -> impl Iterator<Item = &Run> {
        let from = self.runs.range(..=first).next_back().map_or(first, |(first, _)| *first);
        let runs = self.runs.range(from..=last.max(from)).map(|(_, run)| run);
        runs.filter(move |run| run.last >= first && run.first <= last)
    }

    /// Makes the offsets up to `last` known, as available.
    pub(super) fn extend_to(&mut self, last: i64) {
        let first = self.end();
        if last < first {
            return;
        }
        let run = Run {
            first,
            last,
            delivery: Delivery::Available,
            count: 0,
        };
        self.runs.insert(first, run);
    }

    /// Changes every run, or part of one, within `first..=last`. True: some did change.
    pub(super) fn change(&mut self, first: i64, last: i64, mut change: impl FnMut(&mut Run)) -> bool {
        let first = first.max(self.start);
        if first > last {
            return false;
        }
        self.cut(first);
        self.cut(last + 1);
        let mut changed = false;
        for (_, run) in self.runs.range_mut(first..=last) {
            let before = (run.delivery.clone(), run.count);
            change(run);
            changed |= before != (run.delivery.clone(), run.count);
        }
        self.join(first, last);
        changed
    }

    /// Drops what is settled at the front. True: the start moved.
    pub(super) fn trim(&mut self) -> bool {
        let before = self.start;
        while let Some(entry) = self
            .runs
            .first_entry()
            .filter(|entry| entry.get().delivery.is_settled())
        {
            self.start = entry.get().last + 1;
            entry.remove();
        }
        before < self.start
    }

    /// Nothing below `start` is there any more. True: something was in flight there, or the start moved.
    pub(super) fn forget_below(&mut self, start: i64) -> bool {
        if start <= self.start {
            return false;
        }
        self.cut(start);
        self.runs = self.runs.split_off(&start);
        self.start = start;
        true
    }

    /// Makes `at` the first offset of a run, if it lies within one.
    fn cut(&mut self, at: i64) {
        let Some((_, run)) = self.runs.range_mut(..at).next_back() else {
            return;
        };
        if run.last < at {
            return;
        }
        let mut rest = run.clone();
        run.last = at - 1;
        rest.first = at;
        self.runs.insert(at, rest);
    }

    /// Joins neighbours of the same state in `first..=last`, and those around it.
    fn join(&mut self, first: i64, last: i64) {
        let from = self.runs.range(..first).next_back().map_or(first, |(first, _)| *first);
        let until = last.saturating_add(1);
        let mut at = from;
        while let Some(run) = self.runs.get(&at) {
            let next_at = run.last + 1;
            let Some(next) = self.runs.get(&next_at).filter(|_| next_at <= until) else {
                return;
            };
            if (&run.delivery, run.count) != (&next.delivery, next.count) {
                at = next_at;
                continue;
            }
            let last = next.last;
            self.runs.remove(&next_at);
            if let Some(run) = self.runs.get_mut(&at) {
                run.last = last;
            }
        }
    }
}
