//! A partition's log, as its shard sees it: a synchronous state machine that hands out owned I/O jobs.
//!
//! staged >= written >= synced, always. Jobs own a file handle and frozen buffers, run as tasks and come back as values.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::config::TopicConfig;
use crate::model::{LeaderEpoch, TopicId};
use crate::record::BatchHeader;

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("{what} {path}: {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: {problem}")]
    Corrupt { path: PathBuf, problem: String },
}
/// Why a batch was not staged; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    #[error("log is offline")]
    Offline,
    #[error("disk is nearly full")]
    DiskFull,
    #[error("{0} bytes wait for the disk")]
    Backlog(usize),
}

#[derive(Clone)]
pub struct LogOptions {
    /// `<log.dir>/<topic>-<index>`.
    pub dir: PathBuf,
    pub topic: Arc<str>,
    pub index: i32,
    pub topic_id: TopicId,
    pub config: Arc<TopicConfig>,
    /// From the last checkpoint of the log directory: offsets below need no scan; and the log start offset. None: new.
    pub checkpoint: Option<PartitionCheckpoint>,
    /// The log directory's state (full, offline), shared by all its logs of all shards.
    pub log_dir: Arc<LogDir>,
}
pub struct Log {}
/// What opening a log found.
pub struct Opened {
    pub log: Log,
    /// The newest producer snapshot at or below the end: (offset, content of the file).
    pub producer_snapshot: Option<(i64, Vec<u8>)>,
    /// Bytes and offset cut from the tail, for the log line; 0 when clean.
    pub cut_bytes: u64,
}

impl Log {
    /// Opens or creates the log. `observe` sees the header of every batch after the producer snapshot, in order.
    pub async fn open(options: LogOptions, observe: &mut dyn FnMut(&BatchHeader)) -> Result<Opened, StorageError> {
        let _ = (options, observe);
        todo!()
    }
    /// Where the next batch goes (LEO counting staged batches).
    pub fn staged(&self) -> i64 {
        todo!()
    }
    /// Everything below is on the device and survives a killed process: the LEO that readers and acks see.
    pub fn written(&self) -> i64 {
        todo!()
    }
    /// Everything below survives a power cut too.
    pub fn synced(&self) -> i64 {
        todo!()
    }
    pub fn log_start(&self) -> i64 {
        todo!()
    }
    /// DeleteRecords: moves the log start forward (never back). Persisted by the next checkpoint.
    pub fn set_log_start(&mut self, offset: i64) {
        let _ = offset;
        todo!()
    }
    pub fn set_config(&mut self, config: Arc<TopicConfig>) {
        let _ = config;
        todo!()
    }
    pub fn size_bytes(&self) -> u64 {
        todo!()
    }
    /// Copies the batch behind what is staged, patched with its offset and epoch. Returns the base offset.
    pub fn stage(
        &mut self,
        batch: &[u8],
        header: &BatchHeader,
        epoch: LeaderEpoch,
        now_wall_ms: i64,
    ) -> Result<i64, StageError> {
        let _ = (batch, header, epoch, now_wall_ms);
        todo!()
    }
    /// The next write, if anything is staged, none is in flight and the segment is prepared. Everything staged up to a bound goes into it.
    pub fn take_write(&mut self) -> Option<WriteJob> {
        todo!()
    }
    /// File work that is due before (or ahead of) the next write: create, preallocate, seal and roll, background sync. At most one in flight.
    pub fn take_prepare(&mut self, now_wall_ms: i64) -> Option<PrepareJob> {
        todo!()
    }
    /// Advances the cursors, feeds the cache and the index. Err: the log (and its directory) is offline from here on.
    pub fn on_written(&mut self, done: WriteDone, cache: &mut Cache) -> Result<(), StorageError> {
        let _ = (done, cache);
        todo!()
    }
    pub fn on_prepared(&mut self, done: PrepareDone) -> Result<(), StorageError> {
        let _ = done;
        todo!()
    }
    /// What to read from `offset`: whole batches, at most `max_bytes` (but at least one batch if `at_least_one`), only batches that end at or below `limit`.
    pub fn plan_read(
        &mut self,
        offset: i64,
        max_bytes: usize,
        limit: i64,
        at_least_one: bool,
        cache: &mut Cache,
    ) -> Result<ReadPlan, ReadError> {
        let _ = (offset, max_bytes, limit, at_least_one, cache);
        todo!()
    }
    /// First offset whose timestamp >= `timestamp` below `limit`.
    pub fn plan_offset_for_time(&mut self, timestamp: i64, limit: i64) -> TimePlan {
        let _ = (timestamp, limit);
        todo!()
    }
    /// The offset with the largest timestamp (ListOffsets -3).
    pub fn plan_max_timestamp(&mut self, limit: i64) -> TimePlan {
        let _ = limit;
        todo!()
    }
    /// Largest epoch <= `epoch` and its end offset; None when unknown.
    pub fn end_offset_for_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        let _ = epoch;
        todo!()
    }
    pub fn latest_epoch(&self) -> Option<i32> {
        todo!()
    }
    /// Whole sealed segments that retention (time, size, log start) frees, at most a few per call. Moves log_start.
    pub fn take_retention(&mut self, now_wall_ms: i64, high_watermark: i64) -> Option<DeleteJob> {
        let _ = (now_wall_ms, high_watermark);
        todo!()
    }
    /// Asks that `content` be written as `<offset>.snapshot` (and old ones be removed) by the next prepare job.
    pub fn put_producer_snapshot(&mut self, offset: i64, content: Vec<u8>) {
        let _ = (offset, content);
        todo!()
    }
    /// True once per roll: the partition then calls put_producer_snapshot(base offset of the new segment, ..).
    pub fn take_snapshot_due(&mut self) -> Option<i64> {
        todo!()
    }
    pub fn checkpoint(&self) -> PartitionCheckpoint {
        todo!()
    }
    /// After the last write: writes snapshot + index, cuts the active segment to its size, syncs. The log is gone after.
    pub async fn close(self, producer_snapshot: Vec<u8>) -> Result<PartitionCheckpoint, StorageError> {
        let _ = producer_snapshot;
        todo!()
    }
    /// Removes the directory (renamed first to `<name>.<uuid>-delete`, as Kafka does).
    pub async fn delete(self) -> Result<(), StorageError> {
        todo!()
    }
}
pub type Shared<T> = Rc<T>;
pub type Slices = Vec<Bytes>;
