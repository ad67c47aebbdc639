//! What a group coordinator is asked, and what it answers.

use std::sync::Arc;

use crate::model::{ErrorCode, TopicId};

#[derive(Debug)]
pub enum GroupRequest {
    CommitOffsets(CommitOffsets),
    FetchOffsets(FetchOffsets),
}

#[derive(Debug, PartialEq)]
pub enum GroupReply {
    /// One code per item.
    Committed(Result<Vec<ErrorCode>, ErrorCode>),
    Fetched(Result<Vec<FetchedOffset>, ErrorCode>),
}

/// Who a request says that it comes from.
#[derive(Clone, Debug, Default)]
pub struct Sender {
    pub member_id: String,
    pub instance_id: Option<String>,
    /// The generation of a classic group or the member's epoch of a consumer group; below 0: none.
    pub epoch: i32,
}

#[derive(Debug)]
pub struct CommitOffsets {
    pub group: String,
    pub sender: Sender,
    /// The version of the request: errors have changed.
    pub version: i16,
    /// Versions 2 to 4 may say how long the offsets are to be kept.
    pub retention_ms: Option<i64>,
    pub items: Vec<CommitItem>,
}

#[derive(Debug)]
pub struct CommitItem {
    pub topic: Arc<str>,
    pub topic_id: TopicId,
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
}

#[derive(Debug)]
pub struct FetchOffsets {
    pub group: String,
    /// None: all that the group has committed.
    pub partitions: Option<Vec<(Arc<str>, i32)>>,
    /// A partition with an offset in an open transaction is refused rather than answered with the one before.
    pub require_stable: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FetchedOffset {
    pub topic: Arc<str>,
    pub partition: i32,
    pub error: ErrorCode,
    /// -1: none
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
}
