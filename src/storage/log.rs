//! A partition's log, as its shard sees it: a synchronous state machine that hands out owned I/O jobs.
//!
//! staged >= submitted >= written >= synced, always, and written >= placed: what is in between is in the journal. Jobs own
//! a file handle and frozen buffers, run as tasks and come back as values.
//! At most one write is in flight per log, to the segment or to the journal, because two neighbours share a block; beside it at most one job ahead of the
//! writes (opening and preallocating segments) and one behind them (sealing, syncing, snapshots).
//!
//! This file has the way of a batch; `log/` has the rest of the log's life: `journaling`, `work` around the writes,
//! `reading`, `aging` (retention), `compacting`, `truncating` and `leaving` (close, delete).

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::epochs::LeaderEpochs;
use super::plan::InFlight;
use super::recovery::{Replay, recover};
use super::retention::Departed;
use super::segment::{Handle, Head, Sealed};
use super::stage::{Place, STAGED_BYTES_MAX, Staging};
use super::txn_index::AbortedTxn;
use super::{Cache, LogDir, PartitionCheckpoint, WriteDone, WriteJob};
use crate::config::TopicConfig;
use crate::model::{LeaderEpoch, PartitionId, TopicId};
use crate::record::BatchHeader;
use crate::rt::{Sync, random_u64};

mod aging;
mod compacting;
mod journaling;
mod leaving;
mod reading;
mod truncating;
mod work;

pub use compacting::Compacted;
use compacting::Compaction;
use journaling::Unplaced;
use truncating::Truncation;
pub use truncating::{TruncateDone, TruncateJob, Truncated};

/// The next log's number in the cache.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// The first space that a log gets, with its first batch, and the most it gets at once. Each time it is four times as
/// much as before: a log of a few batches costs next to nothing, a busy one asks seldom.
const SPACE_STEP_MIN: u64 = 64 << 10;
const SPACE_STEP_MAX: u64 = 32 << 20;
const SPACE_STEP_FACTOR: u64 = 4;

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("{what} {path}: {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{path}: {problem}")]
    Corrupt { path: PathBuf, problem: String },
    #[error("{path}: log directory is offline")]
    Offline { path: PathBuf },
}

impl StorageError {
    pub(super) fn io(what: &'static str, path: &Path, source: io::Error) -> StorageError {
        StorageError::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }

    pub fn is_disk_full(&self) -> bool {
        let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, StorageError::Io { source, .. } if kinds.contains(&source.kind()))
    }
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
    #[error("log is being truncated")]
    Truncating,
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

/// One partition's log.
pub struct Log {
    options: LogOptions,
    /// This log among all of the process, in the cache: never used again.
    id: u64,
    log_start: i64,
    staged: i64,
    submitted: i64,
    placed: i64,
    written: i64,
    synced: i64,
    /// From here to `written` every write was synced as it was made.
    synced_writes_from: i64,
    sealed: VecDeque<Sealed>,
    /// The segment that is written, and those that staged batches have rolled to already. Never empty.
    heads: VecDeque<Head>,
    staging: Staging,
    unplaced: Unplaced,
    /// Which of the log's lives the journal's entries belong to.
    life: u32,
    epochs: LeaderEpochs,
    /// Clones of it are held by the jobs that have not run to their end.
    in_flight: InFlight,
    /// A clone of it is held by the removal that is under way: segments go strictly from the front, so that a crash
    /// between two of them leaves no hole.
    removing: InFlight,
    departed: VecDeque<Departed>,
    is_writing: bool,
    /// The segment that the job ahead of the writes works on.
    preparing: Option<i64>,
    is_finishing: bool,
    space_step: u64,
    /// The disk refused a step: ask for no more than is needed.
    is_frugal: bool,
    now_wall_ms: i64,
    /// When the oldest write that is not synced was made.
    dirty_since_ms: Option<i64>,
    retry_at_ms: i64,
    snapshot_due: Option<i64>,
    snapshot: Option<(i64, Vec<u8>)>,
    snapshots: Vec<i64>,
    compaction: Compaction,
    truncation: Truncation,
    /// For the checkpoint: the log itself knows of none.
    high_watermark: Option<i64>,
}

/// What opening a log found.
pub struct Opened {
    pub log: Log,
    /// Bytes and offset cut from the tail, for the log line; 0 when clean.
    pub cut_bytes: u64,
}

impl Log {
    /// Opens or creates the log. `replay` sees the newest producer snapshot and every batch behind it, in order. Where there
    /// is no space for it, it may be tried again.
    pub async fn open(options: LogOptions, replay: &mut dyn Replay) -> Result<Opened, StorageError> {
        if options.log_dir.is_offline() {
            // Its journals may not have been read: nothing may be taken for the log's end.
            return Err(StorageError::Offline { path: options.dir });
        }
        let recovered = match recover(&options, replay).await {
            Ok(recovered) => recovered,
            Err(error) => {
                match &error {
                    full if full.is_disk_full() => options.log_dir.note_refusal(),
                    StorageError::Io { .. } => options.log_dir.set_offline(&error.to_string()),
                    StorageError::Corrupt { .. } | StorageError::Offline { .. } => {}
                }
                return Err(error);
            }
        };
        let id = PartitionId {
            topic: options.topic_id,
            index: options.index,
        };
        settle_journals(&options.log_dir, id).await?;
        let found = recovered.checkpoint;
        let mut log = Log {
            options,
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            log_start: recovered.log_start,
            staged: recovered.end,
            submitted: recovered.end,
            placed: recovered.end,
            written: recovered.end,
            synced: recovered.end,
            synced_writes_from: recovered.end,
            sealed: recovered.sealed.into(),
            heads: VecDeque::from([recovered.head]),
            staging: Staging::new(recovered.tail),
            unplaced: Unplaced::default(),
            life: recovered.life,
            epochs: recovered.epochs,
            in_flight: InFlight::default(),
            removing: InFlight::default(),
            departed: VecDeque::new(),
            is_writing: false,
            preparing: None,
            is_finishing: false,
            space_step: SPACE_STEP_MIN,
            is_frugal: false,
            now_wall_ms: 0,
            dirty_since_ms: None,
            retry_at_ms: 0,
            snapshot_due: None,
            snapshot: None,
            snapshots: recovered.snapshots,
            compaction: Compaction::default(),
            truncation: Truncation::default(),
            high_watermark: found.and_then(|at| at.high_watermark),
        };
        log.resume_compaction(found.and_then(|at| at.clean_upto));
        Ok(Opened {
            log,
            cut_bytes: recovered.cut_bytes,
        })
    }

    /// Where the next batch goes (LEO counting staged batches).
    pub fn staged(&self) -> i64 {
        self.staged
    }

    /// Everything below is written, or in the write in flight. Should that write fail the log is offline, so no other batch
    /// ever gets these offsets in this leader's epoch: what followers may copy.
    pub fn submitted(&self) -> i64 {
        self.submitted
    }

    /// Everything below is on the device, in a segment or in the journal, and survives a killed process: the LEO that readers and acks see.
    pub fn written(&self) -> i64 {
        self.written
    }

    /// Everything below survives a power cut too.
    pub fn synced(&self) -> i64 {
        self.synced
    }

    pub fn log_start(&self) -> i64 {
        self.log_start
    }

    /// DeleteRecords: moves the log start forward (never back). Persisted by the next checkpoint.
    pub fn set_log_start(&mut self, offset: i64) {
        self.log_start = self.log_start.max(offset.min(self.written));
    }

    /// As the last checkpoint had it, until the log's owner says otherwise.
    pub fn high_watermark(&self) -> Option<i64> {
        self.high_watermark
    }

    /// What the next checkpoint is to say; `None` where nobody needs it.
    pub fn note_high_watermark(&mut self, high_watermark: Option<i64>) {
        self.high_watermark = high_watermark;
    }

    pub fn set_config(&mut self, config: Arc<TopicConfig>) {
        self.options.config = config;
    }

    pub fn size_bytes(&self) -> u64 {
        let sealed: u64 = self.sealed.iter().map(|segment| segment.size).sum();
        let heads: u64 = self.heads.iter().map(|head| head.written).sum();
        sealed + heads + self.unplaced_bytes()
    }

    /// Copies the batch behind what is staged, patched with its offset and epoch. Returns the base offset.
    pub fn stage(
        &mut self,
        batch: &[u8],
        header: &BatchHeader,
        epoch: LeaderEpoch,
        now_wall_ms: i64,
    ) -> Result<i64, StageError> {
        let base_offset = self.staged;
        self.stage_at(base_offset, epoch.0, batch, header, now_wall_ms)?;
        Ok(base_offset)
    }

    /// Copies a batch of the leader's log behind what is staged, as it is. Offsets may be missing before it: compaction
    /// leaves gaps.
    pub fn stage_fetched(&mut self, batch: &[u8], header: &BatchHeader, now_wall_ms: i64) -> Result<(), StageError> {
        let is_behind_gap = header.base_offset > self.staged;
        if is_behind_gap {
            self.check_stage(batch.len())?;
            self.span_gap(header);
        }
        self.stage_at(header.base_offset, header.leader_epoch, batch, header, now_wall_ms)?;
        if is_behind_gap {
            self.place_directly();
        }
        Ok(())
    }

    fn stage_at(
        &mut self,
        base_offset: i64,
        epoch: i32,
        batch: &[u8],
        header: &BatchHeader,
        now_wall_ms: i64,
    ) -> Result<(), StageError> {
        assert_eq!(batch.len(), header.total_len(), "not exactly one batch");
        assert!(base_offset >= self.staged, "an offset that is given out already");
        self.check_stage(batch.len())?;
        let last_offset = base_offset + i64::from(header.last_offset_delta);
        if self
            .newest_head()
            .must_roll(header, last_offset, &self.options.config, now_wall_ms)
        {
            self.roll();
        }
        let head = self.newest_head_mut();
        let place = Place {
            segment: head.base_offset(),
            position: head.staged,
            offset: base_offset,
            next_offset: last_offset + 1,
            epoch,
            max_timestamp: header.max_timestamp,
            space: head.preallocated,
        };
        head.on_staged(header, now_wall_ms);
        self.staging.push(batch, place);
        self.epochs.note(epoch, base_offset);
        self.staged = last_offset + 1;
        self.assert_cursors();
        Ok(())
    }

    /// The batch that was staged last is a marker that aborts this transaction.
    pub fn note_aborted(&mut self, aborted: AbortedTxn) {
        Rc::make_mut(&mut self.newest_head_mut().aborted).push(aborted);
    }

    /// The next write, if anything is staged, none is in flight and the segment is prepared. Everything staged up to a bound goes into it.
    pub fn take_write(&mut self) -> Option<WriteJob> {
        if self.is_writing || self.is_offline() || self.holds_writes() {
            return None;
        }
        self.retire_full_heads();
        let head = self.heads.front()?;
        let file = head.file.clone()?;
        let handle = head.handle.clone();
        let next = self
            .staging
            .front()
            .filter(|chunk| chunk.segment == head.base_offset())?;
        let is_due = !next.fresh().is_empty() || self.is_placing_due() || self.staging.only().is_none();
        if !is_due || next.write_end() > head.preallocated {
            return None;
        }
        // What the journal keeps through a power cut the segment must keep too.
        let synced = self.options.config.flush_messages == 1 || self.synced > self.placed;
        let chunk = self.staging.freeze_front()?;
        self.on_placing(chunk.view());
        self.submitted = chunk.next_offset();
        self.is_writing = true;
        Some(WriteJob {
            handle,
            file,
            chunk,
            sync: if synced { Sync::Data } else { Sync::No },
            in_flight: self.in_flight.clone(),
        })
    }

    /// Advances the cursors, feeds the cache and the index. Err: the log (and its directory) is offline from here on.
    pub fn on_written(&mut self, done: WriteDone, cache: &mut Cache) -> Result<(), StorageError> {
        let WriteDone { chunk, sync, result } = done;
        assert!(self.is_writing, "no write is in flight");
        self.is_writing = false;
        self.offline_on_error(result)?;
        let Some(head) = self.heads.front_mut() else {
            return Ok(());
        };
        head.on_written(&chunk, &self.options.config);
        let is_synced = sync == Sync::Data && head.dirs_synced;
        self.written = chunk.next_offset();
        self.on_placed(self.written);
        if !is_synced {
            self.synced_writes_from = self.written;
        }
        self.staging.written(&chunk);
        let (run, held) = chunk.into_run();
        cache.admit_written(self.id, run, held);
        self.advance_synced(self.synced);
        self.retire_full_heads();
        Ok(())
    }

    /// Largest epoch <= `epoch` and its end offset; None when unknown.
    pub fn end_offset_for_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        self.epochs.end_offset(epoch, self.submitted)
    }

    pub fn latest_epoch(&self) -> Option<i32> {
        self.epochs.latest()
    }

    /// Asks that `content` be written as `<offset>.snapshot` (and old ones be removed) by the next prepare job.
    pub fn put_producer_snapshot(&mut self, offset: i64, content: Vec<u8>) {
        self.snapshot = Some((offset, content));
    }

    /// True once per roll: the partition then calls put_producer_snapshot(base offset of the new segment, ..).
    ///
    /// To be asked right after `stage`, before the staged batch's producer is noted: the producers' state then is the one
    /// at that offset.
    pub fn take_snapshot_due(&mut self) -> Option<i64> {
        self.snapshot_due.take()
    }

    pub fn checkpoint(&self) -> PartitionCheckpoint {
        PartitionCheckpoint {
            recovery_point: self.synced.min(self.placed).min(self.first_unsealed()),
            log_start: self.log_start,
            clean_upto: self.clean_upto(),
            high_watermark: self.high_watermark,
            life: self.life,
        }
    }

    fn is_offline(&self) -> bool {
        self.options.log_dir.is_offline()
    }

    /// Whether a batch of this size would be refused for now, for want of space on the disk or before it.
    pub fn is_crowded(&self, len: usize) -> bool {
        matches!(
            self.check_stage(len),
            Err(StageError::DiskFull | StageError::Backlog(_))
        )
    }

    fn check_stage(&self, len: usize) -> Result<(), StageError> {
        let waiting = self.staging.bytes();
        if self.is_offline() {
            Err(StageError::Offline)
        } else if self.options.log_dir.is_full() {
            Err(StageError::DiskFull)
        } else if waiting > 0 && waiting + len > STAGED_BYTES_MAX {
            Err(StageError::Backlog(waiting))
        } else if self.is_truncating() {
            Err(StageError::Truncating)
        } else {
            Ok(())
        }
    }

    fn newest_head(&self) -> &Head {
        self.heads.back().expect("there is always a head")
    }

    fn newest_head_mut(&mut self) -> &mut Head {
        self.heads.back_mut().expect("there is always a head")
    }

    /// A segment's offsets are 32 bits wide: behind a gap that none spans the batch gets one that begins with it. Should a
    /// crash come before the segment in front of the gap is sealed, the log ends there, and the rest is fetched again.
    fn span_gap(&mut self, header: &BatchHeader) {
        let is_far = |head: &Head| header.last_offset() - head.base_offset() > i64::from(i32::MAX);
        if !is_far(self.newest_head()) {
            return;
        }
        if self.newest_head().staged > 0 {
            self.roll();
        }
        let handle = Handle::new(&self.options.dir, header.base_offset);
        let preparing = self.preparing;
        let head = self.newest_head_mut();
        if is_far(head) && !head.exists && preparing != Some(head.base_offset()) {
            *head = Head::new(handle, head.jitter_ms);
        }
    }

    /// From here on batches are staged to a new segment.
    fn roll(&mut self) {
        let last_size = self.newest_head().staged;
        self.space_step = (last_size / SPACE_STEP_FACTOR).clamp(SPACE_STEP_MIN, SPACE_STEP_MAX);
        let jitter_ms = match u64::try_from(self.options.config.segment_jitter_ms) {
            Ok(max) if max > 0 => (random_u64() % max) as i64,
            _ => 0,
        };
        let handle = Handle::new(&self.options.dir, self.staged);
        self.heads.push_back(Head::new(handle, jitter_ms));
        self.snapshot_due = Some(self.staged);
    }

    /// A head that is full and written makes place for the next one, once that one's file is there: the name of the
    /// newest file is where an empty log ends.
    fn retire_full_heads(&mut self) {
        while let [full, next, ..] = self.heads.make_contiguous() {
            let is_done = full.written == full.staged && self.preparing != Some(full.base_offset());
            if !is_done || !next.exists {
                return;
            }
            if let Some(full) = self.heads.pop_front() {
                self.sealed.push_back(full.into_sealed());
            }
        }
    }

    fn offline_on_error<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if let Err(error) = &result {
            self.options.log_dir.set_offline(&error.to_string());
        }
        result
    }

    fn advance_synced(&mut self, upto: i64) {
        self.synced = self.synced.max(upto);
        if self.synced >= self.synced_writes_from {
            self.synced = self.written;
        }
        match self.synced < self.written {
            true => _ = self.dirty_since_ms.get_or_insert(self.now_wall_ms),
            false => self.dirty_since_ms = None,
        }
        self.assert_cursors();
    }

    fn assert_cursors(&self) {
        assert!(self.staged >= self.submitted, "submitted past what was staged");
        assert!(self.submitted >= self.written, "written past what was submitted");
        assert!(self.written >= self.placed, "placed past what was written");
        assert!(self.written >= self.synced, "synced past what was written");
    }
}

/// The log is durable with all that journals held of it, or gone; the last log removes them.
async fn settle_journals(log_dir: &LogDir, partition: PartitionId) -> Result<(), StorageError> {
    let files = log_dir.settle_journaled(partition);
    let removed = super::journal::remove(&files).await;
    if let Err(error) = &removed {
        log_dir.set_offline(&error.to_string());
    }
    removed
}
