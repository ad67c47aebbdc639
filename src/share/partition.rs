//! One group's share of one partition: what it offers, to whom, how often, and what was said of it.

use std::sync::Arc;
use std::time::Duration;

use super::record::{Saved, SavedBatch, SavedDelivery};
use super::window::{Delivery, Run, Window};
use crate::rt::{Instant, Now};

/// What the group's configs allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Times that a record is offered.
    pub deliveries_max: i16,
    /// For how long a record belongs to the member that acquired it.
    pub lock: Duration,
    /// Offsets of the partition that may be in flight.
    pub in_flight_max: i64,
    /// Whether members may ask for more time.
    pub renewals: bool,
}

/// What a member that has read some batches would have of them.
#[derive(Clone, Debug)]
pub struct Acquire {
    /// The offset that was read from: between it and the first batch there is no record.
    pub from: i64,
    /// First and last offsets, in order.
    pub batches: Vec<(i64, i64)>,
    /// Those of these that hold nothing for a member, in order: control records, and records of aborted transactions.
    pub void: Vec<(i64, i64)>,
    pub records_max: i64,
    /// Whether `records_max` is exact. Else the batch that reaches it is taken whole.
    pub is_exact: bool,
    /// Records after which a new range begins in the answer.
    pub range_records: i64,
}

/// A range of records that now belongs to the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquired {
    pub first: i64,
    pub last: i64,
    /// How often it has been offered, this time included.
    pub count: i16,
}

/// What a member says of a range: one kind for all of it, or one for each offset.
#[derive(Clone, Debug)]
pub struct AckBatch {
    pub first: i64,
    pub last: i64,
    pub kinds: Vec<AckKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckKind {
    /// There is no record at this offset.
    Gap,
    Accept,
    Release,
    Reject,
    /// The member wants more time.
    Renew,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckRefusal {
    /// The ranges make no sense, or lie beyond what was offered.
    Malformed,
    /// Not acquired, or not by this member.
    NotHeld,
    /// The group does not allow renewals.
    NoRenewals,
}

#[derive(Clone, Debug)]
pub struct SharePartition {
    window: Window,
    /// What is kept of it does not show the latest change yet.
    is_unsaved: bool,
}

impl SharePartition {
    /// One that nothing has been offered of. It is to be saved before the first record is: where it begins would else be
    /// decided again after a restart.
    pub fn new(start: i64) -> SharePartition {
        SharePartition {
            window: Window::new(start),
            is_unsaved: false,
        }
    }

    pub fn restore(saved: &Saved) -> SharePartition {
        let mut window = Window::new(saved.start);
        for batch in &saved.batches {
            window.extend_to(batch.last);
            window.change(batch.first, batch.last, |run| {
                run.count = batch.count;
                run.delivery = match batch.delivery {
                    SavedDelivery::Available => Delivery::Available,
                    SavedDelivery::Acknowledged => Delivery::Acknowledged,
                    SavedDelivery::Archived => Delivery::Archived,
                };
            });
        }
        window.trim();
        SharePartition {
            window,
            is_unsaved: false,
        }
    }

    /// What a later life of it must know: what is acquired now is available then, as if this delivery had not been.
    pub fn save(&mut self) -> Saved {
        self.is_unsaved = false;
        let mut batches: Vec<SavedBatch> = Vec::new();
        for run in self.window.runs() {
            let (delivery, count) = match run.delivery {
                Delivery::Available => (SavedDelivery::Available, run.count),
                Delivery::Acquired { .. } => (SavedDelivery::Available, run.count - 1),
                Delivery::Acknowledged => (SavedDelivery::Acknowledged, run.count),
                Delivery::Archived => (SavedDelivery::Archived, run.count),
            };
            match batches.last_mut() {
                Some(last) if last.delivery == delivery && last.count == count => last.last = run.last,
                _ => batches.push(SavedBatch {
                    first: run.first,
                    last: run.last,
                    delivery,
                    count,
                }),
            }
        }
        // What was never offered need not be known.
        if batches.last().is_some_and(SavedBatch::is_untouched) {
            batches.pop();
        }
        Saved {
            start: self.window.start(),
            settled: self.settled(),
            batches,
        }
    }

    pub fn is_unsaved(&self) -> bool {
        self.is_unsaved
    }

    pub fn start(&self) -> i64 {
        self.window.start()
    }

    /// Where the next records for a member may be; `None` while as many are in flight as may be.
    pub fn next_offset(&self, limits: &Limits) -> Option<i64> {
        let is_available = |run: &&Run| run.delivery == Delivery::Available;
        let available = self.window.runs().find(is_available).map(|run| run.first);
        available.or_else(|| (self.in_flight() < limits.in_flight_max).then(|| self.window.end()))
    }

    /// Gives what is still available of the batches to the member.
    pub fn acquire(&mut self, member: &Arc<str>, ask: &Acquire, limits: &Limits, now: Now) -> Vec<Acquired> {
        let until = now.instant.after(limits.lock);
        let mut acquired = Vec::new();
        let mut wanted = ask.records_max;
        let mut behind = ask.from;
        for (first, last) in &ask.batches {
            if wanted <= 0 {
                break;
            }
            self.pass_over(behind, first - 1);
            behind = behind.max(last + 1);
            if ask.void.binary_search(&(*first, *last)).is_ok() {
                self.pass_over(*first, *last);
                continue;
            }
            let batch_wanted = if ask.is_exact { wanted } else { i64::MAX };
            let last = (*last).min(self.last_allowed(limits));
            self.window.extend_to(last);
            for run in self.available(*first, last, batch_wanted) {
                wanted -= run.last - run.first + 1;
                self.window.change(run.first, run.last, |run| {
                    run.count = run.count.saturating_add(1);
                    let member = member.clone();
                    run.delivery = Delivery::Acquired { member, until };
                });
                add_range(&mut acquired, &run, ask.range_records);
            }
        }
        self.trim();
        acquired
    }

    /// All of it is done or nothing.
    pub fn acknowledge(
        &mut self,
        member: &str,
        batches: &[AckBatch],
        limits: &Limits,
        now: Now,
    ) -> Result<(), AckRefusal> {
        self.check(member, batches, limits)?;
        let until = now.instant.after(limits.lock);
        for batch in batches {
            for (first, last, kind) in batch.ranges() {
                let changed = self.window.change(first, last, |run| settle(run, kind, until, limits));
                self.is_unsaved |= changed && kind != AckKind::Renew;
            }
        }
        self.trim();
        Ok(())
    }

    /// The member is gone: what it held is offered to others.
    pub fn release(&mut self, member: &str, limits: &Limits) -> bool {
        self.release_if(limits, |run| run.delivery.is_held_by(member))
    }

    /// Takes back what was held for too long.
    pub fn on_time(&mut self, limits: &Limits, now: Instant) -> bool {
        let is_over = |run: &Run| matches!(&run.delivery, Delivery::Acquired { until, .. } if *until <= now);
        self.release_if(limits, is_over)
    }

    /// When the first of what is held has been held for too long.
    pub fn next_time(&self) -> Option<Instant> {
        let until = self.window.runs().filter_map(|run| match &run.delivery {
            Delivery::Acquired { until, .. } => Some(*until),
            _ => None,
        });
        until.min()
    }

    /// The log begins here by now. True: records that were in flight are gone.
    pub fn on_log_start(&mut self, log_start: i64) -> bool {
        let moved = self.window.forget_below(log_start);
        self.is_unsaved |= moved;
        self.trim();
        moved
    }

    /// The last offset that may be in flight now. What is in the window stays there if the limit has become lower.
    fn last_allowed(&self, limits: &Limits) -> i64 {
        let allowed = self.window.start().saturating_add(limits.in_flight_max - 1);
        allowed.max(self.window.end() - 1)
    }

    fn in_flight(&self) -> i64 {
        self.window.end() - self.window.start()
    }

    /// Offsets in the window that need no delivery any more.
    fn settled(&self) -> i64 {
        let settled = self.window.runs().filter(|run| run.delivery.is_settled());
        settled.map(|run| run.last - run.first + 1).sum()
    }

    /// What the log has no records for, or none for members, need not be offered. Where the window has not come so far it
    /// is met again.
    fn pass_over(&mut self, first: i64, last: i64) {
        if first > last || first > self.window.end() {
            return;
        }
        self.window.extend_to(last);
        self.is_unsaved |= self.window.change(first, last, |run| {
            if run.delivery == Delivery::Available {
                run.delivery = Delivery::Archived;
            }
        });
    }

    /// Copies of what is available in `first..=last`, up to `records_max` records.
    fn available(&self, first: i64, last: i64, records_max: i64) -> Vec<Run> {
        let mut left = records_max;
        let mut found = Vec::new();
        for run in self.window.overlapping(first, last) {
            if left <= 0 {
                break;
            }
            if run.delivery == Delivery::Available {
                let first = run.first.max(first);
                let last = run.last.min(last).min(first.saturating_add(left - 1));
                left -= last - first + 1;
                found.push(Run {
                    first,
                    last,
                    ..run.clone()
                });
            }
        }
        found
    }

    fn check(&self, member: &str, batches: &[AckBatch], limits: &Limits) -> Result<(), AckRefusal> {
        let mut behind = i64::MIN;
        for batch in batches {
            let count = batch.last.checked_sub(batch.first).and_then(|span| span.checked_add(1));
            let is_whole = batch.kinds.len() == 1 || count == Some(batch.kinds.len() as i64);
            if batch.first < behind || batch.first > batch.last || batch.kinds.is_empty() || !is_whole {
                return Err(AckRefusal::Malformed);
            }
            if !limits.renewals && batch.kinds.contains(&AckKind::Renew) {
                return Err(AckRefusal::NoRenewals);
            }
            behind = batch.last.saturating_add(1);
            if batch.last < self.window.start() {
                continue;
            }
            if batch.last >= self.window.end() {
                return Err(AckRefusal::Malformed);
            }
            let mut runs = self.window.overlapping(batch.first, batch.last);
            if !runs.all(|run| run.delivery.is_held_by(member)) {
                return Err(AckRefusal::NotHeld);
            }
        }
        Ok(())
    }

    fn release_if(&mut self, limits: &Limits, is_over: impl Fn(&Run) -> bool) -> bool {
        let (first, last) = (self.window.start(), self.window.end() - 1);
        let released = self.window.change(first, last, |run| {
            if is_over(run) {
                offer_again(run, limits);
            }
        });
        self.is_unsaved |= released;
        self.trim();
        released
    }

    fn trim(&mut self) {
        self.is_unsaved |= self.window.trim();
    }
}

impl AckBatch {
    /// Neighbours of the same kind together.
    fn ranges(&self) -> Vec<(i64, i64, AckKind)> {
        if let [kind] = self.kinds[..] {
            return vec![(self.first, self.last, kind)];
        }
        let mut ranges: Vec<(i64, i64, AckKind)> = Vec::new();
        for (offset, kind) in (self.first..=self.last).zip(&self.kinds) {
            match ranges.last_mut() {
                Some((_, last, known)) if known == kind => *last = offset,
                _ => ranges.push((offset, offset, *kind)),
            }
        }
        ranges
    }
}

fn settle(run: &mut Run, kind: AckKind, until: Instant, limits: &Limits) {
    match kind {
        AckKind::Accept => run.delivery = Delivery::Acknowledged,
        AckKind::Gap | AckKind::Reject => run.delivery = Delivery::Archived,
        AckKind::Release => offer_again(run, limits),
        AckKind::Renew => {
            if let Delivery::Acquired { until: before, .. } = &mut run.delivery {
                *before = until;
            }
        }
    }
}

/// Unless it was offered as often as it may be.
fn offer_again(run: &mut Run, limits: &Limits) {
    run.delivery = match run.count >= limits.deliveries_max {
        true => Delivery::Archived,
        false => Delivery::Available,
    };
}

fn add_range(acquired: &mut Vec<Acquired>, run: &Run, range_records: i64) {
    let count = run.count.saturating_add(1);
    match acquired.last_mut() {
        Some(range)
            if range.last + 1 == run.first && range.count == count && range.last - range.first + 1 < range_records =>
        {
            range.last = run.last;
        }
        _ => acquired.push(Acquired {
            first: run.first,
            last: run.last,
            count,
        }),
    }
}
