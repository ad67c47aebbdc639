//! One member of a consumer group.

use std::time::Duration;

use crate::group::record::{Assignment, ConsumerMemberValue, CurrentValue, DatedAssignment, MemberState};
use crate::model::TopicId;
use crate::rt::Instant;

/// The epoch of a static member that is away and means to come back.
pub(super) const AWAY: i32 = -2;

#[derive(Clone, Debug, Default)]
pub(super) struct Member {
    /// What it said of itself.
    pub(super) about: ConsumerMemberValue,
    pub(super) current: CurrentValue,
    pub(super) times: Times,
}

/// Until when a member must do what is expected of it, or is fenced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    /// Be heard of.
    pub(super) session: Option<Instant>,
    /// Give up what it was told to.
    pub(super) revoke: Option<Instant>,
    /// Join again, and then sync: what members of the classic protocol do.
    pub(super) join: Option<Instant>,
    pub(super) sync: Option<Instant>,
    /// When the earliest is looked at next.
    pub(super) reminder: Option<Instant>,
}

impl Times {
    pub(super) fn earliest(&self) -> Option<Instant> {
        let times = [self.session, self.revoke, self.join, self.sync];
        times.into_iter().flatten().min()
    }
}

impl Member {
    pub(super) fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.current.state == MemberState::Stable && self.current.epoch == epoch
    }

    /// Its id is that of its last start, and it has not come back since.
    pub(super) fn is_away(&self) -> bool {
        self.current.epoch == AWAY
    }

    pub(super) fn rebalance_timeout(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.about.rebalance_timeout_ms).unwrap_or(0))
    }

    /// The partitions that nobody else may have: those that it has and those that it has yet to give up.
    pub(super) fn partitions(&self) -> Vec<(TopicId, i32)> {
        let topics = [&self.current.assigned, &self.current.revoking].into_iter().flatten();
        topics
            .flat_map(|(topic, partitions)| partitions.keys().map(|index| (*topic, *index)))
            .collect()
    }

    pub(super) fn assigned(&self) -> Assignment {
        undated(&self.current.assigned)
    }
}

pub(super) fn undated(dated: &DatedAssignment) -> Assignment {
    let topics = dated.iter();
    topics
        .map(|(topic, partitions)| (*topic, partitions.keys().copied().collect()))
        .collect()
}
