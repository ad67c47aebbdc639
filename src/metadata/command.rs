//! What may be asked of the controller, and its answers.

mod brokers;
mod bytes;
mod partitions;
mod quorum;

use std::collections::BTreeMap;
use std::sync::Arc;

use rkyv::{Archive, Deserialize, Serialize};

use super::image::PartitionState;
use crate::model::{BrokerId, DirId, ErrorCode, TopicId};

pub use brokers::{Heartbeat, NO_CLEAN_EPOCH, Registration};
pub use bytes::{answer_from_bytes, answer_to_bytes};
pub use partitions::{AlterPartition, AssignDirectories, Election, IsrChange, NewReplicas};
pub use quorum::{NewVoter, QuorumMember, QuorumState};

/// The Kafka error and its message, as the client sees it.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct CommandError {
    pub code: ErrorCode,
    pub message: String,
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub struct CreateTopic {
    pub name: String,
    /// -1: num.partitions
    pub partitions: i32,
    /// -1: default.replication.factor
    pub replication_factor: i16,
    /// partition to replicas; excludes the two above
    pub assignments: BTreeMap<i32, Vec<BrokerId>>,
    pub configs: BTreeMap<String, Option<String>>,
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct CreatedTopic {
    pub id: TopicId,
    pub partitions: i32,
    pub replication_factor: i16,
    pub configs: Arc<BTreeMap<String, String>>,
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub enum DeleteTopic {
    Name(String),
    Id(TopicId),
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub struct NewPartitions {
    pub topic: String,
    pub count: i32,
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConfigResource {
    Topic(String),
    /// None: the cluster-wide default
    Broker(Option<BrokerId>),
    /// Be there such a group or not.
    Group(String),
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub enum ConfigOp {
    Set(String),
    Delete,
    Append(String),
    Subtract(String),
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub struct ConfigChange {
    pub resource: ConfigResource,
    pub ops: Vec<(String, ConfigOp)>,
    /// AlterConfigs: everything not named is removed
    pub replace: bool,
}

/// Each is answered by the Reply of the same name, one result per item, in order.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub enum Command {
    CreateTopics {
        topics: Vec<CreateTopic>,
        validate_only: bool,
    },
    DeleteTopics {
        topics: Vec<DeleteTopic>,
    },
    CreatePartitions {
        topics: Vec<NewPartitions>,
        validate_only: bool,
    },
    AlterConfigs {
        changes: Vec<ConfigChange>,
        validate_only: bool,
    },
    /// A block of producer ids for this broker, in this life of it.
    AllocateProducerIds {
        broker: BrokerId,
        epoch: i64,
    },
    RegisterBroker(Registration),
    Heartbeat(Heartbeat),
    /// The session of this broker's life seems to be over: of the control thread itself, from `silent_brokers`.
    FenceSilent {
        broker: BrokerId,
        epoch: i64,
    },
    /// For good: the id is free again.
    UnregisterBroker {
        broker: BrokerId,
    },
    AlterPartition(AlterPartition),
    AssignDirectories(AssignDirectories),
    /// By partitions' names; `None`: of all partitions that need it.
    ElectLeaders {
        election: Election,
        partitions: Option<Vec<(String, i32)>>,
    },
    /// Of the control thread's timer: leaderships go back to the preferred replicas.
    BalanceLeaders,
    /// Of the control thread's timer: partitions without a leader get one where their topic allows an unclean one.
    ElectOffline,
    AlterReassignments {
        partitions: Vec<NewReplicas>,
        /// Whether a partition may get another number of replicas than it has (KIP-860).
        allow_factor_change: bool,
    },
    /// Of the controller itself rather than of the metadata: who keeps them, and how far each has come.
    DescribeQuorum,
    /// The same: one that is gone does not count any more.
    RemoveVoter {
        node: BrokerId,
        directory: DirId,
    },
    /// The same: one that runs votes from now on.
    AddVoter(NewVoter),
}

impl Command {
    /// A question: it is decided, and nothing changes.
    pub fn validate_only(&self) -> bool {
        match self {
            Command::CreateTopics { validate_only, .. }
            | Command::CreatePartitions { validate_only, .. }
            | Command::AlterConfigs { validate_only, .. } => *validate_only,
            _ => false,
        }
    }
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub enum Reply {
    CreateTopics(Vec<Result<CreatedTopic, CommandError>>),
    DeleteTopics(Vec<Result<(String, TopicId), CommandError>>),
    CreatePartitions(Vec<Result<(), CommandError>>),
    AlterConfigs(Vec<Result<(), CommandError>>),
    ProducerIds {
        first: i64,
        count: i32,
    },
    RegisterBroker {
        epoch: i64,
    },
    Heartbeat {
        /// The broker's image holds its registration.
        is_caught_up: bool,
        is_fenced: bool,
        /// It leads nothing any more, and everybody knows, or it is fenced: it may go.
        should_shut_down: bool,
    },
    /// Whether it was fenced: false if it has been heard meanwhile, or is fenced or gone already.
    FenceSilent {
        was_fenced: bool,
    },
    UnregisterBroker,
    /// The states after the change.
    AlterPartition(Vec<Result<PartitionState, ErrorCode>>),
    AssignDirectories(Vec<Result<(), ErrorCode>>),
    /// Of each partition that was asked for; if all were, of those that needed an election.
    ElectLeaders(Vec<(String, i32, Result<(), CommandError>)>),
    /// `more`: the limit of one command was reached, so ask again at once.
    BalanceLeaders {
        moved: usize,
        more: bool,
    },
    ElectOffline {
        elected: usize,
        more: bool,
    },
    AlterReassignments(Vec<Result<(), CommandError>>),
    DescribeQuorum(QuorumState),
    RemoveVoter,
    AddVoter,
}
