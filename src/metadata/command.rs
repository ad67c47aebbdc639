//! What may be asked of the controller, and its answers.
use crate::model::{BrokerId, ErrorCode, TopicId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The Kafka error and its message, as the client sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandError {
    pub code: ErrorCode,
    pub message: String,
}
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug, PartialEq)]
pub struct CreatedTopic {
    pub id: TopicId,
    pub partitions: i32,
    pub replication_factor: i16,
    pub configs: Arc<BTreeMap<String, String>>,
}
#[derive(Clone, Debug)]
pub enum DeleteTopic {
    Name(String),
    Id(TopicId),
}
#[derive(Clone, Debug)]
pub struct NewPartitions {
    pub topic: String,
    pub count: i32,
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConfigResource {
    Topic(String),
    /// None: the cluster-wide default
    Broker(Option<BrokerId>),
    /// Be there such a group or not.
    Group(String),
}
#[derive(Clone, Debug)]
pub enum ConfigOp {
    Set(String),
    Delete,
    Append(String),
    Subtract(String),
}
#[derive(Clone, Debug)]
pub struct ConfigChange {
    pub resource: ConfigResource,
    pub ops: Vec<(String, ConfigOp)>,
    /// AlterConfigs: everything not named is removed
    pub replace: bool,
}
/// Each is answered by the Reply of the same name, one result per item, in order.
#[derive(Clone, Debug)]
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
    /// A block of producer ids for this broker: (first, count).
    AllocateProducerIds,
}
#[derive(Clone, Debug)]
pub enum Reply {
    CreateTopics(Vec<Result<CreatedTopic, CommandError>>),
    DeleteTopics(Vec<Result<(String, TopicId), CommandError>>),
    CreatePartitions(Vec<Result<(), CommandError>>),
    AlterConfigs(Vec<Result<(), CommandError>>),
    ProducerIds { first: i64, count: i32 },
}
