//! What a coordinator (of groups, of transactions) and the shard that hosts it say to each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::ShardId;

/// A producer id and the epoch that makes it one producer's alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdentity {
    pub producer_id: i64,
    pub epoch: i16,
}

/// Partitions by the names that a log carries.
pub type NamedPartitions = BTreeMap<Arc<str>, BTreeSet<i32>>;

/// The end of a transaction, to be written to these partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkerOrder {
    pub transactional_id: Arc<str>,
    pub producer: ProducerIdentity,
    pub commit: bool,
    pub partitions: NamedPartitions,
    /// From 2 on every transaction has an epoch of its own. //= KIP-890
    pub transaction_version: i8,
}

/// A request that waits for its reply: the shard of its connection, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    pub shard: ShardId,
    pub request: u64,
}

/// A record of a coordinator's partition. Without a value it is a tombstone: the key means nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// What a coordinator wants done, in this order: the entries are written, and then the replies are given and the markers
/// sent out. Its own state shows the change already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effects<R> {
    /// Written together.
    pub entries: Vec<Entry>,
    pub replies: Vec<(Ticket, R)>,
    pub markers: Vec<MarkerOrder>,
}

impl<R> Default for Effects<R> {
    fn default() -> Effects<R> {
        Effects {
            entries: Vec::new(),
            replies: Vec::new(),
            markers: Vec::new(),
        }
    }
}

impl<R> Effects<R> {
    pub fn reply(&mut self, ticket: Ticket, reply: R) {
        self.replies.push((ticket, reply));
    }

    pub fn write(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// The same with replies of a wider type.
    pub fn map<S>(self, wider: impl Fn(R) -> S) -> Effects<S> {
        let replies = self.replies.into_iter();
        Effects {
            entries: self.entries,
            replies: replies.map(|(ticket, reply)| (ticket, wider(reply))).collect(),
            markers: self.markers,
        }
    }
}
