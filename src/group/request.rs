//! What a group coordinator is asked, and what it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::record::Assignment;
use crate::model::{ErrorCode, TopicId};

#[derive(Debug)]
pub enum GroupRequest {
    Join(Join),
    Sync(Sync),
    Heartbeat(Heartbeat),
    Leave(Leave),
    ConsumerHeartbeat(Box<ConsumerHeartbeat>),
    CommitOffsets(CommitOffsets),
    FetchOffsets(FetchOffsets),
    DeleteOffsets(DeleteOffsets),
    /// A classic group.
    Describe(String),
    DescribeConsumer(String),
    List(ListFilter),
    Delete(String),
    ShareBeat(ShareBeat),
    DescribeShare(String),
    /// Makes a share group without members, if there is no group yet.
    PrepareShare(String),
}

#[derive(Debug, PartialEq)]
pub enum GroupReply {
    Joined(JoinReply),
    Synced(SyncReply),
    Heard(ErrorCode),
    Left(Result<Vec<Left>, ErrorCode>),
    ConsumerHeard(Result<ConsumerHeard, Refused>),
    /// One code per item.
    Committed(Result<Vec<ErrorCode>, ErrorCode>),
    Fetched(Result<Vec<FetchedOffset>, ErrorCode>),
    /// One code per partition.
    OffsetsDeleted(Result<Vec<ErrorCode>, ErrorCode>),
    /// None: there is no such group.
    Described(Option<DescribedGroup>),
    /// None: there is no such group of consumers.
    DescribedConsumer(Option<DescribedConsumer>),
    Listed(Vec<ListedGroup>),
    Deleted(ErrorCode),
    ShareHeard(Result<ShareHeard, ErrorCode>),
    /// None: there is no such share group.
    DescribedShare(Option<DescribedShareGroup>),
    SharePrepared(ErrorCode),
}

/// Who a request says that it comes from.
#[derive(Clone, Debug, Default)]
pub struct Sender {
    pub member_id: String,
    pub instance_id: Option<String>,
    /// The generation of a classic group or the member's epoch of a consumer group; below 0: none.
    pub epoch: i32,
}

/// A way of assigning partitions that a member supports, and what it says for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub name: String,
    pub metadata: Bytes,
}

#[derive(Debug)]
pub struct Join {
    pub group: String,
    /// Without an epoch.
    pub sender: Sender,
    pub version: i16,
    pub client_id: String,
    pub client_host: String,
    /// The id that the member gets if it has none.
    pub fresh_member_id: String,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    pub protocol_type: String,
    pub protocols: Vec<Protocol>,
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct JoinReply {
    pub error: ErrorCode,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub leader: String,
    pub skip_assignment: bool,
    pub member_id: String,
    pub members: Vec<JoinedMember>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct JoinedMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub metadata: Bytes,
}

#[derive(Debug)]
pub struct Sync {
    pub group: String,
    pub sender: Sender,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    /// Of the leader: by member id.
    pub assignments: BTreeMap<String, Bytes>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SyncReply {
    pub error: ErrorCode,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub assignment: Bytes,
}

#[derive(Debug)]
pub struct Heartbeat {
    pub group: String,
    pub sender: Sender,
}

#[derive(Debug)]
pub struct Leave {
    pub group: String,
    pub leavers: Vec<Leaver>,
}

#[derive(Clone, Debug, Default)]
pub struct Leaver {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub error: ErrorCode,
}

/// A heartbeat of a consumer group's member. What is None is as it was.
#[derive(Clone, Debug, Default)]
pub struct ConsumerHeartbeat {
    pub group: String,
    /// Epoch 0: it joins. -1: it leaves. -2: a static member leaves for a while.
    pub sender: Sender,
    /// The id that a member gets if it has none.
    pub fresh_member_id: String,
    pub client_id: String,
    pub client_host: String,
    pub rack_id: Option<String>,
    pub rebalance_timeout_ms: Option<i32>,
    pub topics: Option<BTreeSet<String>>,
    /// Empty: none any more.
    pub regex: Option<String>,
    pub assignor: Option<String>,
    /// What the member has.
    pub owned: Option<Assignment>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerHeard {
    pub member_id: Option<String>,
    pub epoch: i32,
    pub heartbeat_interval: Duration,
    /// None: as before.
    pub assignment: Option<Assignment>,
}

/// An error that the client is told in words too.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    pub error: ErrorCode,
    pub message: String,
}

/// What a search for the topics of a group's expressions has found, and the version of the catalog that it was made in.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub group: Arc<str>,
    pub version: u64,
    /// By expression.
    pub topics: BTreeMap<String, BTreeSet<String>>,
}

/// What of a commit may be stored.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Allowed {
    All,
    /// The others are refused with the error.
    These(BTreeSet<(TopicId, i32)>, ErrorCode),
}

#[derive(Debug)]
pub struct CommitOffsets {
    pub group: String,
    pub sender: Sender,
    /// The version of the request: errors have changed.
    pub version: i16,
    /// Versions 2 to 4 may say how long the offsets are to be kept.
    pub retention_ms: Option<i64>,
    /// Of the producer in whose transaction they are committed: they count once that is.
    pub producer: Option<i64>,
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
    /// Epoch below 0 and no member id: not said.
    pub sender: Sender,
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

#[derive(Debug)]
pub struct DeleteOffsets {
    pub group: String,
    pub partitions: Vec<(Arc<str>, i32)>,
}

#[derive(Debug, Default)]
pub struct ListFilter {
    /// Names of states, in any case; none: all.
    pub states: Vec<String>,
    /// Names of kinds, in any case; none: all.
    pub kinds: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ListedGroup {
    pub id: Arc<str>,
    pub protocol_type: String,
    pub state: &'static str,
    pub kind: &'static str,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribedGroup {
    pub state: &'static str,
    pub protocol_type: String,
    pub protocol: String,
    pub members: Vec<DescribedMember>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribedMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub metadata: Bytes,
    pub assignment: Bytes,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribedConsumer {
    pub state: &'static str,
    pub epoch: i32,
    pub assignment_epoch: i32,
    pub assignor: &'static str,
    pub members: Vec<DescribedConsumerMember>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribedConsumerMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub epoch: i32,
    pub client_id: String,
    pub client_host: String,
    pub topics: BTreeSet<String>,
    pub regex: Option<String>,
    pub assigned: Assignment,
    pub target: Assignment,
    /// It speaks the classic protocol.
    pub is_classic: bool,
}

impl Sender {
    /// Of a request that does not say who sends it.
    pub fn nobody() -> Sender {
        Sender {
            epoch: -1,
            ..Sender::default()
        }
    }
}

impl ConsumerHeartbeat {
    pub(super) fn member_id(&self) -> &str {
        match self.sender.member_id.as_str() {
            "" => &self.fresh_member_id,
            id => id,
        }
    }

    /// Bytes of the longest name that would become a part of a record's key, or is copied into many.
    pub(super) fn longest_name(&self) -> usize {
        let optional = [&self.sender.instance_id, &self.rack_id, &self.regex, &self.assignor];
        let optional = optional.into_iter().flatten();
        let names = [&self.group, &self.sender.member_id, &self.client_id]
            .into_iter()
            .chain(optional);
        names.map(String::len).max().unwrap_or(0)
    }

    /// It says all of itself, as a member does that joins or has lost an answer.
    pub(super) fn is_full(&self) -> bool {
        self.rebalance_timeout_ms.is_some() && (self.topics.is_some() || self.regex.is_some()) && self.owned.is_some()
    }
}

impl Refused {
    pub fn new(error: ErrorCode, message: impl Into<String>) -> Refused {
        Refused {
            error,
            message: message.into(),
        }
    }
}

impl From<ErrorCode> for Refused {
    fn from(error: ErrorCode) -> Refused {
        Refused::new(error, String::new())
    }
}

impl Join {
    /// Bytes of the longest name that would become a part of the group's record.
    pub(super) fn longest_name(&self) -> usize {
        let instance_id = self.sender.instance_id.as_deref().unwrap_or_default();
        let own = [
            instance_id,
            &self.client_id,
            &self.sender.member_id,
            &self.protocol_type,
        ];
        let protocols = self.protocols.iter().map(|protocol| protocol.name.as_str());
        own.into_iter().chain(protocols).map(str::len).max().unwrap_or(0)
    }

    /// Bytes of the longest thing that it says for a protocol.
    pub(super) fn largest_metadata(&self) -> usize {
        let protocols = self.protocols.iter();
        protocols.map(|protocol| protocol.metadata.len()).max().unwrap_or(0)
    }
}

impl JoinReply {
    pub fn refused(error: ErrorCode, member_id: String) -> JoinReply {
        JoinReply {
            error,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            skip_assignment: false,
            member_id,
            members: Vec::new(),
        }
    }
}

impl SyncReply {
    pub fn refused(error: ErrorCode) -> SyncReply {
        SyncReply {
            error,
            protocol_type: None,
            protocol: None,
            assignment: Bytes::new(),
        }
    }
}

/// The heartbeat of a share group's member.
#[derive(Clone, Debug)]
pub struct ShareBeat {
    pub group: String,
    pub member_id: String,
    /// 0: it joins; -1: it leaves.
    pub epoch: i32,
    pub rack: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// None: as before.
    pub topics: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ShareHeard {
    pub member_id: String,
    pub epoch: i32,
    /// None: as it was told before.
    pub assigned: Option<BTreeMap<TopicId, BTreeSet<i32>>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribedShareGroup {
    pub state: &'static str,
    pub epoch: i32,
    pub assignment_epoch: i32,
    pub members: Vec<DescribedShareMember>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribedShareMember {
    pub member_id: String,
    pub rack: Option<String>,
    pub epoch: i32,
    pub client_id: String,
    pub client_host: String,
    pub topics: Vec<String>,
    pub assigned: BTreeMap<TopicId, BTreeSet<i32>>,
}

impl ShareBeat {
    pub(super) fn longest_name(&self) -> usize {
        let topics = self.topics.iter().flatten().map(String::len);
        let names = [self.group.len(), self.member_id.len(), self.client_id.len()];
        topics.chain(names).max().unwrap_or(0)
    }
}
