//! The partition: the log with its producers, its high watermark, and those who wait for it.

use std::sync::Arc;
use std::time::Duration;

use super::leading::Role;
use super::pending::Pending;
use super::producers::{RecentBatch, Verdict};
use super::{Ack, AckToken, Leadership, ProducerError, Producers, Warrant};
use crate::config::TopicConfig;
use crate::model::{Incarnation, PartitionId, ShardId};
use crate::record::{BatchHeader, ValidBatch};
use crate::rt::Instant;
use crate::storage::{
    Cache, CompactDone, CompactJob, Compacted, CompactionAsk, Frame, FrameBuilder, Log, PartitionCheckpoint,
    PrepareDone, PrepareJob, StageError, StorageError, WriteDone, WriteJob,
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

/// A batch that is in the log, or on its way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: i64,
    /// -1 for CreateTime.
    pub log_append_time_ms: i64,
    pub duplicate: bool,
    /// What was to be waited for has come already (a duplicate of a written batch).
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
    #[error("replica does not lead its partition")]
    NotLeader,
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
    pub(super) identity: Identity,
    pub(super) leadership: Leadership,
    pub(super) role: Role,
    pub(super) config: Arc<TopicConfig>,
    pub(super) log: Log,
    pub(super) producers: Producers,
    pub(super) high_watermark: i64,
    pub(super) pending: Pending,
    /// replica.lag.time.max.ms
    pub(super) lag_max: Duration,
    /// Bytes that readers have got to see since the log was opened.
    visible_bytes: u64,
    /// Bytes below the high watermark that an open transaction keeps from read_committed.
    pub(super) held_back_bytes: u64,
    waiters: Vec<WaitToken>,
}

impl Partition {
    /// With one replica everything that recovery found is visible: there is nobody who could know better. With others it is
    /// what the last checkpoint says, and the leader's followers, or the leader, tell the rest.
    pub fn new(
        identity: Identity,
        leadership: Leadership,
        config: Arc<TopicConfig>,
        log: Log,
        mut producers: Producers,
        lag_max: Duration,
        now: Instant,
    ) -> Partition {
        let (start, end) = (log.log_start(), log.written());
        let high_watermark = match leadership.is_alone() {
            true => end,
            false => log.high_watermark().unwrap_or(start).clamp(start, end),
        };
        producers.on_high_watermark(high_watermark);
        producers.start_guards_at(identity.incarnation.0 << GUARD_BITS);
        let mut partition = Partition {
            identity,
            leadership: leadership.clone(),
            role: Role::Alone,
            config,
            log,
            producers,
            high_watermark,
            pending: Pending::default(),
            lag_max,
            visible_bytes: 0,
            held_back_bytes: 0,
            waiters: Vec::new(),
        };
        partition.role = partition.role_in(&leadership, true, now);
        if high_watermark < end {
            // How many bytes they are nobody knows; readers are woken for as many as there are records.
            partition.pending.push(end, (end - high_watermark) as usize, None);
        }
        // A leader that is the whole ISR has nobody to wait for.
        partition.advance(&mut Vec::new());
        partition
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

    pub fn visible_bytes(&self) -> u64 {
        self.visible_bytes
    }

    pub fn set_config(&mut self, config: Arc<TopicConfig>) {
        self.log.set_config(config.clone());
        if !config.cleanup_policy.compact {
            self.log.stop_compaction();
        }
        self.config = config;
    }

    /// acks=all is refused before the append where too few replicas are in sync (behaviour 24).
    pub fn check_in_sync(&self) -> Result<(), AppendError> {
        let (in_sync, required) = (self.in_sync_count(), self.required_in_sync());
        if in_sync < required {
            return Err(AppendError::NotEnoughReplicas { in_sync, required });
        }
        Ok(())
    }

    /// Stages a batch unless it is a duplicate. `ack` comes back from [`Partition::on_written`], or from whatever else moves
    /// the log's cursors, when that has come which it waits for, unless the answer says that it has already.
    pub fn append(
        &mut self,
        batch: &ValidBatch,
        warrant: Warrant,
        ack: Ack,
        now_wall_ms: i64,
    ) -> Result<Appended, AppendError> {
        if !self.leadership.is_leader {
            return Err(AppendError::NotLeader);
        }
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

    fn repeat(&mut self, batch: &ValidBatch, original: RecentBatch, ack: Ack) -> Appended {
        let next_offset = original.last_offset + 1;
        let ack = self.settled(ack);
        let acked = match ack {
            Ack::Written(_) => next_offset <= self.promised(),
            Ack::None | Ack::Replicated(_) => next_offset <= self.high_watermark,
        };
        match ack {
            Ack::Replicated(token) if !acked => self.pending.push_duplicate(next_offset, token),
            Ack::Written(token) if !acked => self.pending.push_written(next_offset, token),
            _ => {}
        }
        let stamped = batch.log_append_time_ms >= 0;
        Appended {
            base_offset: original.base_offset(),
            log_append_time_ms: if stamped { original.timestamp_ms } else { -1 },
            duplicate: true,
            acked,
        }
    }

    /// With one replica a batch is replicated once it is written.
    fn settled(&self, ack: Ack) -> Ack {
        match (ack, &self.role) {
            (Ack::Written(token), Role::Alone) => Ack::Replicated(token),
            (ack, _) => ack,
        }
    }

    fn stage(
        &mut self,
        batch: &ValidBatch,
        warrant: Warrant,
        ack: Ack,
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
        let bytes = batch.bytes.len();
        match self.settled(ack) {
            Ack::Replicated(token) => self.pending.push(next_offset, bytes, Some(token)),
            Ack::None => self.pending.push(next_offset, bytes, None),
            Ack::Written(token) => {
                self.pending.push(next_offset, bytes, None);
                self.pending.push_written(next_offset, token);
            }
        }
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
    pub(super) fn put_snapshot_if_due(&mut self, upto: i64) {
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

    /// The end of what this replica vouches for: what is written, or synced where the topic promises that
    /// (flush.messages=1).
    pub fn promised(&self) -> i64 {
        match self.config.flush_messages {
            1 => self.log.synced(),
            _ => self.log.written(),
        }
    }

    /// The high watermark goes where it may. It never goes back: not when the topic's promise grows, nor when a follower
    /// comes back with less.
    pub(super) fn advance(&mut self, acked: &mut Vec<AckToken>) -> u64 {
        let promised = self.promised();
        self.pending.advance_written(promised, acked);
        let bound = self.high_watermark_bound(promised);
        let stable = self.last_stable_offset();
        self.high_watermark = self.high_watermark.max(bound);
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

    pub(super) fn check_cursors(&self) {
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

    /// Takes out everyone who waits for other replicas.
    pub fn disown_acks(&mut self, disowned: &mut Vec<AckToken>) {
        if !self.leadership.is_alone() {
            self.pending.disown(disowned);
        }
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

    /// The row for the checkpoint files of its log directory.
    pub fn checkpoint(&self) -> PartitionCheckpoint {
        PartitionCheckpoint {
            high_watermark: self.noted_high_watermark(),
            ..self.log.checkpoint()
        }
    }

    /// Without other replicas a start knows it from the log's end.
    fn noted_high_watermark(&self) -> Option<i64> {
        (!self.leadership.is_alone()).then_some(self.high_watermark)
    }

    /// The log, and the producers' state to close it with.
    pub fn into_log(mut self) -> (Log, Vec<u8>) {
        self.log.note_high_watermark(self.noted_high_watermark());
        let snapshot = self.producers.to_snapshot();
        (self.log, snapshot)
    }
}
