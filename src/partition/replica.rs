//! The partition: the log with its producers, its high watermark, and those who wait for it.

use std::sync::Arc;

use super::pending::Pending;
use super::producers::{RecentBatch, Verdict};
use super::{AckToken, ProducerError, Producers, Warrant};
use crate::config::TopicConfig;
use crate::model::{Incarnation, LeaderEpoch, NO_EPOCH, PartitionId, ShardId};
use crate::record::{BatchHeader, ValidBatch};
use crate::storage::{
    Cache, CompactDone, CompactJob, Compacted, CompactionAsk, Frame, FrameBuilder, Log, PrepareDone, PrepareJob,
    ReadError, ReadPlan, StageError, StorageError, TimePlan, WriteDone, WriteJob,
};

/// A partition's guards are numbered within each of its lives.
const GUARD_BITS: u32 = 32;

/// Which partition this is, and which of its lives on this shard.
#[derive(Clone, Debug)]
pub struct Identity {
    pub id: PartitionId,
    pub topic: Arc<str>,
    pub incarnation: Incarnation,
}

/// What the cluster's metadata says about this replica's leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    pub epoch: LeaderEpoch,
    pub is_leader: bool,
    pub replica_count: usize,
    pub isr_count: usize,
}

/// A batch that is in the log, or on its way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: i64,
    /// -1 for CreateTime.
    pub log_append_time_ms: i64,
    pub duplicate: bool,
    /// Covered by the high watermark already (a duplicate of a written batch): nothing to wait for.
    pub acked: bool,
}

/// Why a batch was not appended; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error(transparent)]
    Producer(#[from] ProducerError),
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error("{in_sync} of {required} required replicas are in sync")]
    NotEnoughReplicas { in_sync: usize, required: usize },
}

/// A client's idea of the leader epoch does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    #[error("leader epoch of the request is older than the partition's")]
    Fenced,
    #[error("leader epoch of the request is newer than the partition's")]
    Unknown,
}

/// Up to where a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    HighWatermark,
    LastStable,
    LogEnd,
}

/// One partition of a fetch request.
#[derive(Clone, Copy, Debug)]
pub struct ReadAsk {
    pub offset: i64,
    pub max_bytes: usize,
    pub at_least_one: bool,
    /// The epoch of the last batch that the reader has; -1: unchecked.
    pub last_fetched_epoch: i32,
    pub bound: Bound,
}

/// What a reader gets.
pub enum Reading {
    Plan(ReadPlan),
    /// The reader's log leaves ours at this epoch and end offset: no data before it has truncated.
    Diverging(i32, i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadRefusal {
    #[error("offset is outside the log")]
    OutOfRange,
    #[error("log is offline")]
    Offline,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteError {
    #[error("offset is outside the log")]
    OutOfRange,
    #[error("records of a compacted topic cannot be deleted by offset")]
    NotDeletable,
}

/// A long poll that waits for this partition: the shard and the request that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WaitToken {
    pub shard: ShardId,
    pub request: u64,
}

/// One replica. See the module's page for its invariant.
pub struct Partition {
    identity: Identity,
    leadership: Leadership,
    config: Arc<TopicConfig>,
    log: Log,
    producers: Producers,
    high_watermark: i64,
    pending: Pending,
    /// Bytes that readers have got to see since the log was opened.
    visible_bytes: u64,
    /// Bytes below the high watermark that an open transaction keeps from read_committed.
    held_back_bytes: u64,
    waiters: Vec<WaitToken>,
}

impl Partition {
    /// Everything that recovery found is visible: with one replica there is nobody who could know better.
    pub fn new(
        identity: Identity,
        leadership: Leadership,
        config: Arc<TopicConfig>,
        log: Log,
        mut producers: Producers,
    ) -> Partition {
        let high_watermark = log.written();
        producers.on_high_watermark(high_watermark);
        producers.start_guards_at(identity.incarnation.0 << GUARD_BITS);
        Partition {
            identity,
            leadership,
            config,
            log,
            producers,
            high_watermark,
            pending: Pending::default(),
            visible_bytes: 0,
            held_back_bytes: 0,
            waiters: Vec::new(),
        }
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    pub fn config(&self) -> &Arc<TopicConfig> {
        &self.config
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// The first offset of an open transaction, or of one whose marker the high watermark does not cover; without any,
    /// the high watermark.
    pub fn last_stable_offset(&self) -> i64 {
        let first_unstable = self.producers.first_unstable().unwrap_or(i64::MAX);
        first_unstable.min(self.high_watermark).max(self.log.log_start())
    }

    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    pub fn bound(&self, bound: Bound) -> i64 {
        match bound {
            Bound::HighWatermark => self.high_watermark,
            Bound::LastStable => self.last_stable_offset(),
            Bound::LogEnd => self.log.written(),
        }
    }

    pub fn visible_bytes(&self) -> u64 {
        self.visible_bytes
    }

    pub fn set_leadership(&mut self, leadership: Leadership) {
        self.leadership = leadership;
    }

    pub fn set_config(&mut self, config: Arc<TopicConfig>) {
        self.log.set_config(config.clone());
        if !config.cleanup_policy.compact {
            self.log.stop_compaction();
        }
        self.config = config;
    }

    /// Whether a client that believes in `epoch` talks to the leader that it means; -1: it does not say.
    pub fn check_epoch(&self, epoch: i32) -> Result<(), EpochError> {
        let current = self.leadership.epoch.0;
        match epoch {
            NO_EPOCH => Ok(()),
            _ if epoch < current => Err(EpochError::Fenced),
            _ if epoch > current => Err(EpochError::Unknown),
            _ => Ok(()),
        }
    }

    /// acks=all is refused before the append where too few replicas are in sync (behaviour 24).
    pub fn check_in_sync(&self) -> Result<(), AppendError> {
        let required = usize::try_from(self.config.min_insync_replicas).unwrap_or(1);
        let required = required.min(self.leadership.replica_count);
        let in_sync = self.leadership.isr_count;
        if in_sync < required {
            return Err(AppendError::NotEnoughReplicas { in_sync, required });
        }
        Ok(())
    }

    /// Stages a batch unless it is a duplicate. `ack` comes back from [`Partition::on_written`] when the high watermark
    /// covers the batch, unless the answer says that it does already.
    pub fn append(
        &mut self,
        batch: &ValidBatch,
        warrant: Warrant,
        ack: Option<AckToken>,
        now_wall_ms: i64,
    ) -> Result<Appended, AppendError> {
        let header = &batch.header;
        let verdict = match warrant {
            Warrant::Marker {
                marker,
                transaction_version,
            } => {
                self.producers.check_marker(header, marker, transaction_version)?;
                Verdict::New
            }
            Warrant::None | Warrant::Verified(_) => self.producers.check(header, warrant, now_wall_ms)?,
        };
        match verdict {
            Verdict::Duplicate(original) => Ok(self.repeat(batch, original, ack)),
            Verdict::New => self.stage(batch, warrant, ack, now_wall_ms),
        }
    }

    /// Whether a batch with this header would be appended. Its producer's transaction may have to be verified first.
    pub fn check_batch(&mut self, header: &BatchHeader, warrant: Warrant, now_ms: i64) -> Result<(), ProducerError> {
        self.producers.check(header, warrant, now_ms).map(drop)
    }

    fn repeat(&mut self, batch: &ValidBatch, original: RecentBatch, ack: Option<AckToken>) -> Appended {
        let next_offset = original.last_offset + 1;
        let acked = next_offset <= self.high_watermark;
        if let (Some(ack), false) = (ack, acked) {
            self.pending.push_duplicate(next_offset, ack);
        }
        let stamped = batch.log_append_time_ms >= 0;
        Appended {
            base_offset: original.base_offset(),
            log_append_time_ms: if stamped { original.timestamp_ms } else { -1 },
            duplicate: true,
            acked,
        }
    }

    fn stage(
        &mut self,
        batch: &ValidBatch,
        warrant: Warrant,
        ack: Option<AckToken>,
        now_wall_ms: i64,
    ) -> Result<Appended, AppendError> {
        let base_offset = self
            .log
            .stage(&batch.bytes, &batch.header, self.leadership.epoch, now_wall_ms)?;
        // If this batch opened a new segment, the snapshot of its base offset holds everything below this batch.
        self.put_snapshot_if_due(base_offset);
        self.note_producer(batch, warrant, base_offset, now_wall_ms);
        let next_offset = base_offset + i64::from(batch.header.last_offset_delta) + 1;
        assert_eq!(
            next_offset,
            self.log.staged(),
            "the log stages exactly the offsets of the batch"
        );
        self.pending.push(next_offset, batch.bytes.len(), ack);
        Ok(Appended {
            base_offset,
            log_append_time_ms: batch.log_append_time_ms,
            duplicate: false,
            acked: false,
        })
    }

    fn note_producer(&mut self, batch: &ValidBatch, warrant: Warrant, base_offset: i64, now_wall_ms: i64) {
        let Warrant::Marker { marker, .. } = warrant else {
            return self.producers.record(&batch.header, base_offset, now_wall_ms);
        };
        let aborted = self
            .producers
            .record_marker(&batch.header, marker, base_offset, now_wall_ms);
        if let Some(aborted) = aborted {
            self.log.note_aborted(aborted);
        }
    }

    /// The producers' state reflects everything below `upto`; a snapshot may be newer than the segment that asked for it.
    fn put_snapshot_if_due(&mut self, upto: i64) {
        if self.log.take_snapshot_due().is_some() {
            self.log.put_producer_snapshot(upto, self.producers.to_snapshot());
        }
    }

    pub fn take_write(&mut self) -> Option<WriteJob> {
        self.log.take_write()
    }

    pub fn take_prepare(&mut self, now_wall_ms: i64) -> Option<PrepareJob> {
        self.log.take_prepare(now_wall_ms)
    }

    /// As [`Partition::on_written`]: a background sync advances a topic that acknowledges what is synced.
    pub fn on_prepared(&mut self, done: PrepareDone, acked: &mut Vec<AckToken>) -> Result<u64, StorageError> {
        self.log.on_prepared(done)?;
        Ok(self.advance(acked))
    }

    /// Moves the high watermark; the acks that it covers go into `acked`. Returns the bytes that became visible.
    pub fn on_written(
        &mut self,
        done: WriteDone,
        cache: &mut Cache,
        acked: &mut Vec<AckToken>,
    ) -> Result<u64, StorageError> {
        self.log.on_written(done, cache)?;
        Ok(self.advance(acked))
    }

    /// How many bytes the partition has for the next frame of the journal, if its batches are to go there.
    pub fn journal_bytes(&self) -> Option<usize> {
        self.log.journal_bytes()
    }

    pub fn take_entry(&mut self, frame: &mut FrameBuilder) {
        self.log.take_entry(frame);
    }

    /// As [`Partition::on_written`], for a frame; `None`: it could not be written.
    pub fn on_journaled(&mut self, frame: Option<&Frame>, acked: &mut Vec<AckToken>) -> Result<u64, StorageError> {
        self.log.on_journaled(frame)?;
        Ok(self.advance(acked))
    }

    /// What is in the journal only goes to its segment with the next write.
    pub fn place_soon(&mut self) {
        self.log.place_soon();
    }

    /// With one replica the high watermark is what is written, or synced where the topic promises that (flush.messages=1).
    /// It never goes back: not when the topic's promise grows either.
    fn advance(&mut self, acked: &mut Vec<AckToken>) -> u64 {
        let promised = if self.config.flush_messages == 1 {
            self.log.synced()
        } else {
            self.log.written()
        };
        let stable = self.last_stable_offset();
        self.high_watermark = self.high_watermark.max(promised);
        self.producers.on_high_watermark(self.high_watermark);
        self.check_cursors();
        let mut bytes = self.pending.advance(self.high_watermark, acked);
        // What a transaction held back counts when it may be read by all: once more for those who could read it before,
        // who at worst look in vain.
        if self.last_stable_offset() > stable {
            bytes += std::mem::take(&mut self.held_back_bytes);
        }
        if self.last_stable_offset() < self.high_watermark {
            self.held_back_bytes += bytes;
        }
        self.visible_bytes += bytes;
        bytes
    }

    fn check_cursors(&self) {
        let (staged, written) = (self.log.staged(), self.log.written());
        assert!(self.log.synced() <= written, "synced is at most written");
        assert!(written <= staged, "written is at most staged");
        assert!(self.high_watermark <= written, "the high watermark is at most written");
        assert!(
            self.log.log_start() <= self.high_watermark,
            "the log starts at most at the high watermark"
        );
    }

    /// Takes out everyone who waits for a write that will not happen.
    pub fn abandon(&mut self, abandoned: &mut Vec<AckToken>) {
        self.pending.abandon(abandoned);
    }

    /// Plans a read. The caller has checked the leader epoch.
    pub fn plan_read(&mut self, ask: &ReadAsk, cache: &mut Cache) -> Result<Reading, ReadRefusal> {
        if let Some((epoch, end_offset)) = self.divergence(ask) {
            return Ok(Reading::Diverging(epoch, end_offset));
        }
        let limit = self.bound(ask.bound);
        if ask.offset < self.log.log_start() || ask.offset > self.log.written() {
            return Err(ReadRefusal::OutOfRange);
        }
        let plan = self
            .log
            .plan_read(ask.offset, ask.max_bytes, limit, ask.at_least_one, cache)
            .map_err(|error| match error {
                ReadError::OutOfRange => ReadRefusal::OutOfRange,
                ReadError::Offline => ReadRefusal::Offline,
            })?;
        Ok(Reading::Plan(match ask.bound {
            Bound::LastStable => plan.with_aborted(self.log.plan_aborted(ask.offset)),
            Bound::HighWatermark | Bound::LogEnd => plan,
        }))
    }

    /// Where a reader whose last batch has `last_fetched_epoch` must cut its log, if it holds what this log does not.
    //= KIP-320, KIP-595
    fn divergence(&self, ask: &ReadAsk) -> Option<(i32, i64)> {
        if ask.last_fetched_epoch == NO_EPOCH {
            return None;
        }
        let (epoch, end_offset) = self.end_of_epoch(ask.last_fetched_epoch)?;
        (epoch < ask.last_fetched_epoch || end_offset < ask.offset).then_some((epoch, end_offset))
    }

    /// The largest epoch up to `epoch` and the offset behind its last record (behaviour 44). The current epoch counts
    /// from the log's end on even before it has a batch, as in Kafka, where a new leader notes where it begins.
    pub fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        let current = self.leadership.epoch.0;
        let written = self.log.written();
        match self.log.latest_epoch() {
            _ if epoch > current => None,
            _ if epoch == current => Some((epoch, written)),
            Some(latest) if epoch > latest => Some((latest, written)),
            _ => self.log.end_offset_for_epoch(epoch),
        }
    }

    /// The epoch of the batch at `offset`; the newest for the log's end.
    pub fn epoch_at(&self, offset: i64) -> Option<i32> {
        let mut epoch = self.log.latest_epoch()?;
        // Each step goes to an older epoch, so the number of steps is that of leader changes within the log.
        while let Some((older, end_offset)) = self.log.end_offset_for_epoch(epoch - 1) {
            if end_offset <= offset || older >= epoch {
                break;
            }
            epoch = older;
        }
        Some(epoch)
    }

    pub fn plan_offset_for_time(&mut self, timestamp_ms: i64, bound: Bound) -> TimePlan {
        let limit = self.bound(bound);
        self.log.plan_offset_for_time(timestamp_ms, limit)
    }

    pub fn plan_max_timestamp(&mut self, bound: Bound) -> TimePlan {
        let limit = self.bound(bound);
        self.log.plan_max_timestamp(limit)
    }

    /// DeleteRecords: moves the log start up to `offset` (-1: the high watermark); returns the low watermark.
    pub fn delete_records(&mut self, offset: i64) -> Result<i64, DeleteError> {
        if self.config.cleanup_policy.compact && !self.config.cleanup_policy.delete {
            return Err(DeleteError::NotDeletable);
        }
        let offset = if offset == -1 { self.high_watermark } else { offset };
        if offset < 0 || offset > self.high_watermark {
            return Err(DeleteError::OutOfRange);
        }
        if offset > self.log.log_start() {
            self.log.set_log_start(offset);
        }
        Ok(self.log.log_start())
    }

    /// Segments that retention frees, as a job; at most a few at a time.
    pub fn take_retention(&mut self, now_wall_ms: i64) -> Option<crate::storage::DeleteJob> {
        let job = self.log.take_retention(now_wall_ms, self.high_watermark);
        // It also rolls a segment that only waits for its time.
        self.put_snapshot_if_due(self.log.staged());
        job
    }

    pub fn wants_compaction(&self, now_wall_ms: i64) -> bool {
        self.log.wants_compaction(now_wall_ms, self.last_stable_offset())
    }

    pub fn take_compaction(&mut self, ask: CompactionAsk) -> Option<CompactJob> {
        self.log.take_compaction(ask)
    }

    pub fn on_compacted(
        &mut self,
        done: CompactDone,
        cache: &mut Cache,
        now_wall_ms: i64,
    ) -> Result<Compacted, StorageError> {
        self.log.on_compacted(done, cache, now_wall_ms)
    }

    /// The round that runs is to end soon.
    pub fn stop_compaction(&self) {
        self.log.stop_compaction();
    }

    pub fn expire_producers(&mut self, now_wall_ms: i64, expiration_ms: i64) {
        self.producers.expire(now_wall_ms, expiration_ms);
    }

    pub fn add_waiter(&mut self, waiter: WaitToken) {
        self.waiters.push(waiter);
    }

    pub fn remove_waiter(&mut self, waiter: WaitToken) {
        if let Some(at) = self.waiters.iter().position(|known| *known == waiter) {
            self.waiters.swap_remove(at);
        }
    }

    pub fn waiters(&self) -> &[WaitToken] {
        &self.waiters
    }

    /// The log, and the producers' state to close it with.
    pub fn into_log(self) -> (Log, Vec<u8>) {
        let snapshot = self.producers.to_snapshot();
        (self.log, snapshot)
    }
}
