//! What may be asked of the state of single partitions.

use rkyv::{Archive, Deserialize, Serialize};

use crate::model::{BrokerId, DirId, LeaderEpoch, PartitionId};

/// A leader's ISRs have grown or shrunk. As a whole refused if the broker's epoch is not that of its registration.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct AlterPartition {
    pub broker: BrokerId,
    pub broker_epoch: i64,
    pub partitions: Vec<IsrChange>,
}

/// | answer | means |
/// |---|---|
/// | a state | done: the ISR is the one in it |
/// | NEW_LEADER_ELECTED | done, and with it a reassignment that gave the partition another leader: wait for the image |
/// | FENCED_LEADER_EPOCH, INVALID_UPDATE_VERSION | decided on an old state: wait for the image |
/// | INELIGIBLE_REPLICA | a member is fenced, shuts down, or has been started again |
/// | UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION | deleted |
/// | NOT_CONTROLLER | the state here is older than the asker's: ask again |
/// | INVALID_REQUEST | can never be right |
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct IsrChange {
    pub partition: PartitionId,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    /// Each with the broker epoch that it fetched with; -1: unknown, not checked.
    pub isr: Vec<(BrokerId, i64)>,
    /// After an unclean election the leader has not yet recovered.
    pub recovering: bool,
}

/// Where a broker holds its replicas. As a whole refused if its epoch is not that of its registration.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct AssignDirectories {
    pub broker: BrokerId,
    pub broker_epoch: i64,
    pub partitions: Vec<(PartitionId, DirId)>,
}

#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The first replica of the assignment, if it is in sync.
    Preferred,
    /// Any replica that is alive, if there is no leader. Records may be lost.
    Unclean,
}

/// Where a partition is to be. //= KIP-455
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct NewReplicas {
    pub topic: String,
    pub index: i32,
    /// `None`: the reassignment that is under way is undone.
    pub replicas: Option<Vec<BrokerId>>,
}
