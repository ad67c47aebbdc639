//! What connections ask of share partitions, and what they are answered.

use std::sync::Arc;

use crate::model::ErrorCode;
use crate::rt::Instant;
use crate::share::{AckBatch, AckRefusal, Acquire, Acquired, Limits};

#[derive(Clone, Debug)]
pub struct ShareAsk {
    pub group: Arc<str>,
    pub member: Arc<str>,
    pub limits: Limits,
    /// Where the group begins, if it has not begun.
    pub begin: ShareBegin,
    pub action: ShareAction,
}

/// Where a group begins to read a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareBegin {
    Earliest,
    Latest,
    /// At the first record that is as young as this.
    AtTime(i64),
}

#[derive(Clone, Debug)]
pub enum ShareAction {
    /// A member begins to read. While nobody holds records the group may have been moved: what is known is looked up anew.
    Begin,
    /// Where is the next record for a member?
    Next,
    Acquire(Acquire),
    Acknowledge(Vec<AckBatch>),
    /// The member is gone: what it holds is for others.
    Release,
    /// Answer when more can be acquired than now, or at this time.
    Watch(Instant),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShareReply {
    /// `None`: as much is in flight as may be.
    Next(Option<i64>),
    Acquired(Vec<Acquired>),
    Done,
}

impl ShareAction {
    /// Whether it means anything only where the state is loaded already.
    pub(super) fn is_idle_without_state(&self) -> bool {
        matches!(self, ShareAction::Begin | ShareAction::Release | ShareAction::Watch(_))
    }
}

/// A state that could not be loaded or saved. Who is fenced is no leader any more, or knows a state that is no more: clients
/// look for the leader, and there the state is loaded.
pub(super) fn keeping_refusal(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::FencedLeaderEpoch | ErrorCode::FencedStateEpoch | ErrorCode::InvalidRequest => {
            ErrorCode::NotLeaderOrFollower
        }
        ErrorCode::UnknownTopicOrPartition | ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => error,
        _ => ErrorCode::CoordinatorNotAvailable,
    }
}

//= KIP-932: INVALID_RECORD_STATE where a record is not held, INVALID_REQUEST where the ranges make no sense
pub(super) fn refusal(refusal: AckRefusal) -> ErrorCode {
    match refusal {
        AckRefusal::Malformed => ErrorCode::InvalidRequest,
        AckRefusal::NotHeld | AckRefusal::NoRenewals => ErrorCode::InvalidRecordState,
    }
}
