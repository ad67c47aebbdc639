//! What comes and goes at run time and has numbers of its own: partitions, topics, connections.
//!
//! Each has cells that its shard alone writes. The lock of a directory is taken when something comes or goes and when all
//! of it is read, never in between.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::model::{PartitionId, ShardId, TopicId};

/// Topics that one shard counts bytes of; what is in those beyond is in the totals alone.
pub const TOPICS_MAX: usize = 10_000;

/// Things of one kind, by key.
#[derive(Debug)]
pub struct Directory<K, C>(Arc<Mutex<BTreeMap<K, Arc<C>>>>);

pub type Partitions = Directory<PartitionId, PartitionCells>;
pub type Topics = Directory<(TopicId, ShardId), TopicCells>;
/// Keyed by their number on their shard.
pub type Connections = Directory<(ShardId, u64), ConnectionCells>;

impl<K, C> Clone for Directory<K, C> {
    fn clone(&self) -> Self {
        Directory(self.0.clone())
    }
}

impl<K, C> Default for Directory<K, C> {
    fn default() -> Self {
        Directory(Arc::default())
    }
}

impl<K: Ord + Clone, C> Directory<K, C> {
    /// The cells stay until the entry goes. An entry of the same key is replaced.
    pub fn enter(&self, key: K, cells: C) -> Entry<K, C> {
        let cells = Arc::new(cells);
        self.lock().insert(key.clone(), cells.clone());
        Entry {
            directory: self.clone(),
            key,
            cells,
        }
    }

    /// What is there now, in the order of the keys.
    pub fn list(&self) -> Vec<(K, Arc<C>)> {
        self.lock()
            .iter()
            .map(|(key, cells)| (key.clone(), cells.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, Arc<C>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a directory; given up when dropped.
#[derive(Debug)]
pub struct Entry<K: Ord + Clone, C> {
    directory: Directory<K, C>,
    key: K,
    cells: Arc<C>,
}

impl<K: Ord + Clone, C> Deref for Entry<K, C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.cells
    }
}

impl<K: Ord + Clone, C> Drop for Entry<K, C> {
    fn drop(&mut self) {
        let mut held = self.directory.lock();
        // A later life of the same key may have taken the place.
        if held.get(&self.key).is_some_and(|cells| Arc::ptr_eq(cells, &self.cells)) {
            held.remove(&self.key);
        }
    }
}

/// A partition that is served, as its shard saw it within the last second or so.
#[derive(Debug)]
pub struct PartitionCells {
    pub shard: ShardId,
    pub dir: Arc<str>,
    log_start: AtomicI64,
    high_watermark: AtomicI64,
    log_end: AtomicI64,
    size_bytes: AtomicU64,
    lag: AtomicI64,
}

/// A partition's offsets and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPosition {
    pub log_start: i64,
    pub high_watermark: i64,
    pub log_end: i64,
    pub size_bytes: u64,
    /// Of a follower: records that consumers may see at the leader and that are not here yet.
    pub lag: i64,
}

impl PartitionCells {
    pub fn new(shard: ShardId, dir: Arc<str>, position: LogPosition) -> PartitionCells {
        let cells = PartitionCells {
            shard,
            dir,
            log_start: AtomicI64::new(0),
            high_watermark: AtomicI64::new(0),
            log_end: AtomicI64::new(0),
            size_bytes: AtomicU64::new(0),
            lag: AtomicI64::new(0),
        };
        cells.set(position);
        cells
    }

    pub fn set(&self, position: LogPosition) {
        self.log_start.store(position.log_start, Ordering::Relaxed);
        self.high_watermark.store(position.high_watermark, Ordering::Relaxed);
        self.log_end.store(position.log_end, Ordering::Relaxed);
        self.size_bytes.store(position.size_bytes, Ordering::Relaxed);
        self.lag.store(position.lag, Ordering::Relaxed);
    }

    pub fn get(&self) -> LogPosition {
        LogPosition {
            log_start: self.log_start.load(Ordering::Relaxed),
            high_watermark: self.high_watermark.load(Ordering::Relaxed),
            log_end: self.log_end.load(Ordering::Relaxed),
            size_bytes: self.size_bytes.load(Ordering::Relaxed),
            lag: self.lag.load(Ordering::Relaxed),
        }
    }
}

/// What went through one shard for one topic.
#[derive(Debug, Default)]
pub struct TopicCells {
    bytes_in: AtomicU64,
    messages_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// What went through for a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub bytes_in: u64,
    pub messages_in: u64,
    pub bytes_out: u64,
}

impl TopicCells {
    pub fn on_produced(&self, bytes: u64, messages: u64) {
        bump(&self.bytes_in, bytes);
        bump(&self.messages_in, messages);
    }

    pub fn on_fetched(&self, bytes: u64) {
        bump(&self.bytes_out, bytes);
    }

    pub fn get(&self) -> Traffic {
        Traffic {
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            messages_in: self.messages_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
        }
    }
}

/// A client's connection.
#[derive(Debug)]
pub struct ConnectionCells {
    pub listener: Arc<str>,
    pub peer: Arc<str>,
    /// On the wall clock.
    pub since_ms: i64,
    client_id: OnceLock<String>,
    requests: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// Characters of a client id that are kept.
const CLIENT_ID_MAX: usize = 128;

impl ConnectionCells {
    pub fn new(listener: Arc<str>, peer: Arc<str>, since_ms: i64) -> ConnectionCells {
        ConnectionCells {
            listener,
            peer,
            since_ms,
            client_id: OnceLock::new(),
            requests: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
        }
    }

    /// A request has come. The client id is kept from the first one that has any.
    pub fn on_request(&self, client_id: Option<&[u8]>, bytes: u64) {
        if let (Some(id), None) = (client_id, self.client_id.get()) {
            let id = String::from_utf8_lossy(id).chars().take(CLIENT_ID_MAX).collect();
            let _ = self.client_id.set(id);
        }
        bump(&self.requests, 1);
        bump(&self.bytes_in, bytes);
    }

    pub fn on_sent(&self, bytes: u64) {
        bump(&self.bytes_out, bytes);
    }

    pub fn client_id(&self) -> &str {
        self.client_id.get().map_or("", String::as_str)
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }
}

/// For the one thread that writes the cell.
fn bump(cell: &AtomicU64, by: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry leaves with its owner, and does not take a later one of the same key with it.
    #[test]
    fn entries_come_and_go() {
        let directory = Directory::<u64, i32>::default();
        let first = directory.enter(7, 1);
        let second = directory.enter(7, 2);
        drop(first);
        assert_eq!(directory.list().len(), 1);
        assert_eq!(*directory.list()[0].1, 2);
        drop(second);
        assert!(directory.list().is_empty());
    }

    #[test]
    fn a_connection_is_known_by_its_first_client_id() {
        let cells = ConnectionCells::new("PLAINTEXT".into(), "127.0.0.1:1".into(), 0);
        cells.on_request(None, 10);
        assert_eq!(cells.client_id(), "");
        cells.on_request(Some(&[b'x'; 1_000]), 10);
        cells.on_request(Some(b"other"), 10);
        assert_eq!(cells.client_id().len(), CLIENT_ID_MAX);
        assert_eq!((cells.requests(), cells.bytes_in()), (3, 30));
    }
}
