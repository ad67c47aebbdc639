//! What the clock is to bring about, in order of time.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::classic::MemberId;
use crate::rt::Instant;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Look for offsets that have passed their retention.
    Retention,
    /// A group's phase may be over.
    Phase(Arc<str>),
    /// A member, or one that was given an id, may be out of time.
    Member(Arc<str>, MemberId),
}

/// An entry is a reminder to look, not a promise that something is due: a member that was heard of meanwhile just gets
/// its next one. So a heartbeat moves no entry.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    entries: BTreeSet<(Instant, Timer)>,
}

impl Deadlines {
    pub(super) fn add(&mut self, at: Instant, timer: Timer) {
        self.entries.insert((at, timer));
    }

    pub(super) fn remove(&mut self, at: Instant, timer: Timer) {
        self.entries.remove(&(at, timer));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.entries.first().map(|(at, _)| *at)
    }

    /// The next one that has passed, and when it was set for.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Instant, Timer)> {
        if self.next()? > now {
            return None;
        }
        self.entries.pop_first()
    }
}
