//! A shard's memory for the answers to fetches: bytes are taken before they are read from the disk, and come back when
//! the response is written, on whatever shard that is.
//!
//! Beyond its first read an answer takes only what leaves a part of the budget free. So readers that do not take their
//! answers hold less and less each, and those who come later still get one read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;

use super::mesh::ShardHandle;
use super::message::Message;
use super::types::FetchedPartition;

/// This part of the budget is for first reads alone.
const FIRST_READS_SHARE: usize = 2;

/// shard.fetch.memory.bytes
#[derive(Clone)]
pub(super) struct FetchMemory(Arc<Account>);

struct Account {
    limit: usize,
    used: AtomicUsize,
    /// A read waits for memory: the next bytes that come back ring.
    wanted: AtomicBool,
    shard: ShardHandle,
}

/// Bytes of the budget; given back on drop, on any thread.
pub(super) struct Held {
    memory: FetchMemory,
    bytes: usize,
}

impl FetchMemory {
    /// The budget of `shard`.
    pub(super) fn new(limit: usize, shard: ShardHandle) -> FetchMemory {
        FetchMemory(Arc::new(Account {
            limit,
            used: AtomicUsize::new(0),
            wanted: AtomicBool::new(false),
            shard,
        }))
    }

    pub(super) fn used(&self) -> usize {
        self.0.used.load(Ordering::SeqCst)
    }

    /// For an answer that has nothing yet. A read that is larger than the whole budget is admitted when it is alone.
    /// Refused, it is to be tried again when the shard's doorbell rings.
    pub(super) fn admit_first(&self, bytes: usize) -> Option<Held> {
        let fits = |used: usize| used == 0 || used.saturating_add(bytes) <= self.0.limit;
        if fits(self.used()) {
            return Some(self.take(bytes));
        }
        self.0.wanted.store(true, Ordering::SeqCst);
        // Bytes that came back in between have rung for nobody.
        fits(self.used()).then(|| self.take(bytes))
    }

    /// For an answer that has something already.
    pub(super) fn admit_more(&self, bytes: usize) -> Option<Held> {
        (bytes <= self.spare()).then(|| self.take(bytes))
    }

    /// What an answer may take without waiting.
    pub(super) fn spare(&self) -> usize {
        (self.0.limit / FIRST_READS_SHARE).saturating_sub(self.used())
    }

    /// Takes the bytes whatever is used: they are in memory already.
    pub(super) fn take(&self, bytes: usize) -> Held {
        self.0.used.fetch_add(bytes, Ordering::SeqCst);
        Held {
            memory: self.clone(),
            bytes,
        }
    }
}

impl Held {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The read took another number of bytes than was thought.
    pub(super) fn set(&mut self, bytes: usize) {
        let used = &self.memory.0.used;
        used.fetch_add(bytes, Ordering::SeqCst);
        used.fetch_sub(self.bytes, Ordering::SeqCst);
        self.bytes = bytes;
    }

    /// Goes with the records, until the last of them is dropped.
    pub(super) fn hold_for(self, fetched: &mut FetchedPartition) {
        if let Some(first) = fetched.records.first_mut() {
            let bytes = std::mem::take(first);
            *first = Bytes::from_owner(HeldBytes { bytes, _held: self });
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let account = &self.memory.0;
        account.used.fetch_sub(self.bytes, Ordering::SeqCst);
        if account.wanted.swap(false, Ordering::SeqCst) {
            // A full inbox needs no doorbell: the pump looks when it has handled what fills it.
            let _ = account.shard.tx.try_send(Message::Doorbell);
        }
    }
}

struct HeldBytes {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
pub(super) mod testing {
    use std::sync::Arc;

    use super::FetchMemory;
    use crate::config::BrokerConfig;
    use crate::metadata::Image;
    use crate::model::ShardId;
    use crate::shard::mesh::mesh;

    /// A budget whose doorbell nobody hears.
    pub fn memory(limit: usize) -> FetchMemory {
        let config = Arc::new(BrokerConfig::embedded(std::path::Path::new("/nowhere")));
        let image = Arc::new(Image::empty("c", config));
        FetchMemory::new(limit, mesh(1, &image).0.remove(usize::from(ShardId(0).0)))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::memory;
    use super::*;
    use crate::model::ErrorCode;

    /// First reads share all of the budget, others a part of it; one that is larger than all of it is admitted alone.
    #[test]
    fn later_reads_leave_room_for_first_ones() {
        let memory = memory(1000);
        let large = memory.admit_first(5000).expect("alone");
        assert!(memory.admit_first(1).is_none() && memory.admit_more(1).is_none());
        drop(large);
        let first = memory.admit_first(400).expect("room");
        let more = memory.admit_more(100).expect("room");
        assert!(memory.admit_more(1).is_none());
        assert!(memory.admit_first(501).is_none());
        drop((memory.admit_first(500).expect("room"), first, more));
        assert_eq!(memory.used(), 0);
    }

    /// The bytes come back when the last slice of the answer is dropped.
    #[test]
    fn bytes_are_held_as_long_as_the_records() {
        let memory = memory(1000);
        let mut fetched = FetchedPartition {
            records: vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")],
            ..FetchedPartition::refused(ErrorCode::None)
        };
        let mut held = memory.take(100);
        held.set(3);
        held.hold_for(&mut fetched);
        let sent = fetched.records.clone();
        drop(fetched);
        assert_eq!((memory.used(), sent.concat().as_slice()), (3, &b"abc"[..]));
        drop(sent);
        assert_eq!(memory.used(), 0);
        memory.take(7).hold_for(&mut FetchedPartition::refused(ErrorCode::None));
        assert_eq!(memory.used(), 0);
    }
}
