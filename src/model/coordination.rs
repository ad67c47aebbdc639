//! What a coordinator (of groups, of transactions) and the shard that hosts it say to each other.

use bytes::Bytes;

use super::ShardId;

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

/// What a coordinator wants done, in this order: the entries are written, and then the replies are given. Its own state
/// shows the change already.
#[derive(Debug, PartialEq, Eq)]
pub struct Effects<R> {
    /// Written together.
    pub entries: Vec<Entry>,
    pub replies: Vec<(Ticket, R)>,
}

impl<R> Default for Effects<R> {
    fn default() -> Effects<R> {
        Effects {
            entries: Vec::new(),
            replies: Vec::new(),
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
        }
    }
}
