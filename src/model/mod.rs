//! Nouns without behaviour: ids, epochs and error codes that every other module speaks of.

mod coordination;
mod error_code;
mod ids;

pub use coordination::{Effects, Entry, MarkerOrder, NamedPartitions, ProducerIdentity, Ticket};
pub use error_code::ErrorCode;
pub use ids::{
    BrokerId, DirId, Incarnation, LeaderEpoch, PartitionId, SHARD_NODES_BROKER_END, SHARD_NODES_MAX, ShardId,
    ShardPlace, TopicId,
};

/// The producer id, epoch and sequence of a batch that carries none.
pub const NO_PRODUCER_ID: i64 = -1;
/// An epoch that a client did not state: not checked.
pub const NO_EPOCH: i32 = -1;

/// The topic that keeps committed offsets and the groups; each of its partitions is one group coordinator's log.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// The topic that keeps the transactions; each of its partitions is one transaction coordinator's log.
pub const TRANSACTIONS_TOPIC: &str = "__transaction_state";
/// The topic that keeps what share groups have acknowledged.
pub const SHARE_STATE_TOPIC: &str = "__share_group_state";
