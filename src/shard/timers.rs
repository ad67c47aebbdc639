//! Deadlines of a shard, and when to wake up for the next one.

use std::collections::BTreeSet;

use crate::model::PartitionId;
use crate::rt::Instant;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// A produce part whose writes are awaited.
    Ack(u64),
    /// A long poll of a connection of this shard.
    Fetch(u64),
    /// The owners that put a long poll of this shard off may be asked again.
    PutOff(u64),
    /// What the coordinator of this partition wants to be reminded of.
    Coordinator(PartitionId),
    /// Locks of share groups on this partition's records.
    Share(PartitionId),
    /// A DeleteRecords part whose followers are awaited.
    Deletion(u64),
    /// Questions that wait for a log to open.
    Opening(PartitionId),
    /// The next read from the disk may begin.
    Read,
}

/// One entry per waiting request, or two. Alarms cannot be cancelled, so there is one for the earliest deadline only, and the
/// next is set when it has gone off.
#[derive(Debug, Default)]
pub(super) struct Timers {
    deadlines: BTreeSet<(u64, Due)>,
    alarm: Option<u64>,
}

impl Timers {
    pub(super) fn add(&mut self, at: Instant, due: Due) {
        self.deadlines.insert((at.0, due));
    }

    pub(super) fn remove(&mut self, at: Instant, due: Due) {
        self.deadlines.remove(&(at.0, due));
    }

    /// The next deadline that has passed.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Due> {
        let (at, due) = *self.deadlines.first()?;
        if at > now.0 {
            return None;
        }
        self.deadlines.pop_first();
        Some(due)
    }

    /// The alarm set for `at` has gone off.
    pub(super) fn on_alarm(&mut self, at: Instant) {
        if self.alarm == Some(at.0) {
            self.alarm = None;
        }
    }

    /// When to be woken, if no alarm is set that early.
    pub(super) fn take_alarm(&mut self) -> Option<Instant> {
        let (at, _) = *self.deadlines.first()?;
        if self.alarm.is_some_and(|alarm| alarm <= at) {
            return None;
        }
        self.alarm = Some(at);
        Some(Instant(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One alarm for many deadlines, and a new one only for an earlier deadline.
    #[test]
    fn one_alarm_for_the_earliest_deadline() {
        let mut timers = Timers::default();
        timers.add(Instant(50), Due::Fetch(1));
        assert_eq!(timers.take_alarm(), Some(Instant(50)));
        timers.add(Instant(60), Due::Ack(1));
        assert_eq!(timers.take_alarm(), None);
        timers.add(Instant(40), Due::Fetch(2));
        assert_eq!(timers.take_alarm(), Some(Instant(40)));
        timers.on_alarm(Instant(40));
        assert_eq!(timers.pop(Instant(40)), Some(Due::Fetch(2)));
        assert_eq!(timers.pop(Instant(40)), None);
        timers.remove(Instant(50), Due::Fetch(1));
        assert_eq!(timers.take_alarm(), Some(Instant(60)));
    }
}
