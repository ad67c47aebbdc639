//! Identifiers as newtypes, so that a shard is never taken for a broker.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rkyv::{Archive, Deserialize, Serialize};

/// `broker.id` / `node.id`: one process of the cluster.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BrokerId(pub i32);

/// Shards of one broker that can be nodes of their own (`shard.nodes.listeners`).
pub const SHARD_NODES_MAX: u16 = 1 << 10;
/// Brokers from this number on can have none for their shards.
pub const SHARD_NODES_BROKER_END: i32 = 1 << 19;
/// The shards' numbers begin here, far from any that an operator gives a broker. They end below those that Java's client makes
/// up for coordinators, which it counts down from the largest.
const SHARD_NODES_BEGIN: i32 = 1 << 30;

impl BrokerId {
    /// The number of one of its shards, where that is a node of its own.
    pub fn of_shard(self, shard: u16) -> BrokerId {
        BrokerId(SHARD_NODES_BEGIN + self.0 % SHARD_NODES_BROKER_END * i32::from(SHARD_NODES_MAX) + i32::from(shard))
    }

    pub fn is_shard(self) -> bool {
        self.0 >= SHARD_NODES_BEGIN
    }
}

/// One core's worth of broker, numbered from 0. Never stored on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

/// A shard, and how many its broker has. Brokers that have as many agree on which of theirs has a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardPlace {
    pub index: u16,
    pub count: u16,
}

/// The term of a partition's leadership; it fences old leaders and dates batches.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaderEpoch(pub i32);

/// A count of lives of one partition on one shard: a message for an earlier life is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(pub u64);

/// A topic's identity: 16 random bytes, never reused after the topic is created again (KIP-516).
#[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub [u8; 16]);

/// A log directory's identity, as `directory.id` in its `meta.properties` (KIP-858).
#[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirId(pub [u8; 16]);

/// One partition of one topic.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId {
    pub topic: TopicId,
    pub index: i32,
}

impl TopicId {
    /// "No topic id": what requests below the id-carrying versions hold.
    pub const ZERO: TopicId = TopicId([0; 16]);
}

macro_rules! print_as_uuid {
    ($name:ident) => {
        /// As Kafka prints ids: 22 characters of URL-safe base64 without padding.
        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&URL_SAFE_NO_PAD.encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, out)
            }
        }

        impl std::str::FromStr for $name {
            type Err = base64::DecodeSliceError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0; 16];
                match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes)? {
                    16 => Ok($name(bytes)),
                    _ => Err(base64::DecodeSliceError::OutputSliceTooSmall),
                }
            }
        }
    };
}

impl DirId {
    /// "No directory yet": its broker still has to choose one (KIP-858).
    pub const UNASSIGNED: DirId = DirId([0; 16]);
}

print_as_uuid!(TopicId);
print_as_uuid!(DirId);
