//! A partition's log, as its shard sees it: a synchronous state machine that hands out owned I/O jobs.
//!
//! staged >= written >= synced, always. Jobs own a file handle and frozen buffers, run as tasks and come back as values.
//! At most one write is in flight per log, because two neighbours share a block; beside it at most one job ahead of the
//! writes (opening and preallocating segments) and one behind them (sealing, syncing, snapshots).

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::epochs::LeaderEpochs;
use super::layout::delete_dir_name;
use super::plan::{InFlight, Source};
use super::prepare::{Prepared, Seal, Work, write_snapshot};
use super::read::{Ask, DiskRead, Extent};
use super::recovery::recover;
use super::retention::{Removal, SEGMENTS_PER_CALL_MAX, Standing};
use super::segment::{Handle, Head, Sealed, write_end};
use super::stage::{Place, STAGED_BYTES_MAX, Staging};
use super::time::{TimeSearch, Wanted};
use super::*;
use crate::config::TopicConfig;
use crate::model::{LeaderEpoch, TopicId};
use crate::record::BatchHeader;
use crate::rt::{Dir, Sync, random_u64, sleep};

/// The first space that a log gets, with its first batch, and the most it gets at once. Each time it is four times as
/// much as before: a log of a few batches costs next to nothing, a busy one asks seldom.
const SPACE_STEP_MIN: u64 = 64 << 10;
const SPACE_STEP_MAX: u64 = 32 << 20;
const SPACE_STEP_FACTOR: u64 = 4;
/// More space is asked for when less than this share of the file is left…
const SPACE_LEFT_SHARE: u64 = 8;
/// …or than this.
const SPACE_LEFT_MAX: u64 = 8 << 20;
/// Slices of cached batches in one read: what one vectored send takes, with room for the headers.
const SLICES_MAX: usize = 512;
/// How long a job waits that the disk had no space for.
const RETRY_MS: i64 = 1000;
/// How often a log that goes away looks whether its last jobs have ended.
const IN_FLIGHT_POLL: Duration = Duration::from_millis(1);
/// Producer snapshots that are kept: the newest may be ahead of what was written when the process was killed.
const SNAPSHOTS_KEPT: usize = 2;

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

    fn is_disk_full(&self) -> bool {
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
    written: i64,
    synced: i64,
    /// From here to `written` every write was synced as it was made.
    synced_writes_from: i64,
    sealed: VecDeque<Sealed>,
    /// The segment that is written, and those that staged batches have rolled to already. Never empty.
    heads: VecDeque<Head>,
    staging: Staging,
    epochs: LeaderEpochs,
    /// Clones of it are held by the jobs that have not run to their end.
    in_flight: InFlight,
    is_writing: bool,
    /// The segment that the job ahead of the writes works on.
    preparing: Option<i64>,
    is_finishing: bool,
    space_step: u64,
    /// The disk refused a step: ask for no more than is needed.
    is_frugal: bool,
    now_wall_ms: i64,
    retry_at_ms: i64,
    snapshot_due: Option<i64>,
    snapshot: Option<(i64, Vec<u8>)>,
    snapshots: Vec<i64>,
}

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
        let recovered = match recover(&options, observe).await {
            Ok(recovered) => recovered,
            Err(error) => {
                if matches!(error, StorageError::Io { .. }) {
                    options.log_dir.set_offline(&error.to_string());
                }
                return Err(error);
            }
        };
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let log = Log {
            options,
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            log_start: recovered.log_start,
            staged: recovered.end,
            written: recovered.end,
            synced: recovered.end,
            synced_writes_from: recovered.end,
            sealed: recovered.sealed.into(),
            heads: VecDeque::from([recovered.head]),
            staging: Staging::new(recovered.tail),
            epochs: recovered.epochs,
            in_flight: InFlight::default(),
            is_writing: false,
            preparing: None,
            is_finishing: false,
            space_step: SPACE_STEP_MIN,
            is_frugal: false,
            now_wall_ms: 0,
            retry_at_ms: 0,
            snapshot_due: None,
            snapshot: None,
            snapshots: recovered.snapshots,
        };
        Ok(Opened {
            log,
            producer_snapshot: recovered.producer_snapshot,
            cut_bytes: recovered.cut_bytes,
        })
    }

    /// Where the next batch goes (LEO counting staged batches).
    pub fn staged(&self) -> i64 {
        self.staged
    }

    /// Everything below is on the device and survives a killed process: the LEO that readers and acks see.
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

    pub fn set_config(&mut self, config: Arc<TopicConfig>) {
        self.options.config = config;
    }

    pub fn size_bytes(&self) -> u64 {
        let sealed: u64 = self.sealed.iter().map(|segment| segment.size).sum();
        let heads: u64 = self.heads.iter().map(|head| head.written).sum();
        sealed + heads
    }

    /// Copies the batch behind what is staged, patched with its offset and epoch. Returns the base offset.
    pub fn stage(
        &mut self,
        batch: &[u8],
        header: &BatchHeader,
        epoch: LeaderEpoch,
        now_wall_ms: i64,
    ) -> Result<i64, StageError> {
        assert_eq!(batch.len(), header.total_len(), "not exactly one batch");
        self.check_stage(batch.len())?;
        let base_offset = self.staged;
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
            epoch: epoch.0,
            max_timestamp: header.max_timestamp,
        };
        head.on_staged(header, now_wall_ms);
        self.staging.push(batch, place);
        self.epochs.note(epoch.0, base_offset);
        self.staged = last_offset + 1;
        self.assert_cursors();
        Ok(base_offset)
    }

    /// The next write, if anything is staged, none is in flight and the segment is prepared. Everything staged up to a bound goes into it.
    pub fn take_write(&mut self) -> Option<WriteJob> {
        if self.is_writing || self.is_offline() {
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
        if next.write_end() > head.preallocated {
            return None;
        }
        let synced = self.options.config.flush_messages == 1;
        let chunk = self.staging.freeze_front()?;
        self.is_writing = true;
        Some(WriteJob {
            handle,
            file,
            chunk,
            sync: if synced { Sync::Data } else { Sync::No },
            in_flight: self.in_flight.clone(),
        })
    }

    /// File work that is due before (or ahead of) the next write: create, preallocate, seal and roll, background sync. At most one in flight.
    ///
    /// Strictly: one ahead of the writes and one behind them, so that a roll's sync does not hold up the next segment.
    pub fn take_prepare(&mut self, now_wall_ms: i64) -> Option<PrepareJob> {
        self.now_wall_ms = now_wall_ms;
        // The clock may have been set back meanwhile.
        let waits = (1..=RETRY_MS).contains(&(self.retry_at_ms - now_wall_ms));
        if self.is_offline() || waits {
            return None;
        }
        self.retire_full_heads();
        let work = self.take_work_ahead().or_else(|| self.take_work_behind())?;
        Some(PrepareJob {
            work,
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
        self.written = chunk.next_offset();
        if sync == Sync::No || !head.dirs_synced {
            self.synced_writes_from = self.written;
        }
        self.staging.written(&chunk);
        let (run, held) = chunk.into_run();
        cache.admit_written(self.id, run, held);
        self.advance_synced(self.synced);
        self.retire_full_heads();
        Ok(())
    }

    pub fn on_prepared(&mut self, done: PrepareDone) -> Result<(), StorageError> {
        match done.prepared {
            Prepared::Opened {
                base_offset,
                dirs_synced,
                result,
            } => {
                self.preparing = None;
                let Some((file, len)) = self.unless_full(result)? else {
                    return Ok(());
                };
                if let Some(head) = self.heads.iter_mut().find(|head| head.base_offset() == base_offset) {
                    let _ = head.handle.file.set(file.clone());
                    head.file = Some(file);
                    head.exists = true;
                    head.preallocated = len;
                    head.dirs_synced |= dirs_synced;
                }
                self.on_space_given();
            }
            Prepared::Extended { base_offset, result } => {
                self.preparing = None;
                let Some(len) = self.unless_full(result)? else {
                    return Ok(());
                };
                if let Some(head) = self.heads.iter_mut().find(|head| head.base_offset() == base_offset) {
                    head.preallocated = len;
                }
                self.on_space_given();
            }
            Prepared::Sealed {
                base_offset,
                upto,
                result,
            } => {
                self.is_finishing = false;
                if self.unless_full(result)?.is_some() {
                    let sealed = self
                        .sealed
                        .iter_mut()
                        .find(|segment| segment.base_offset() == base_offset);
                    if let Some(segment) = sealed {
                        segment.unsealed = None;
                    }
                    self.advance_synced(upto);
                }
            }
            Prepared::Synced {
                base_offset,
                upto,
                result,
            } => {
                self.is_finishing = false;
                if self.unless_full(result)?.is_some() {
                    if let Some(head) = self.heads.iter_mut().find(|head| head.base_offset() == base_offset) {
                        head.dirs_synced = true;
                    }
                    self.advance_synced(upto);
                }
            }
            Prepared::Snapshot { offset, result } => {
                self.is_finishing = false;
                if self.unless_full(result)?.is_some() {
                    self.snapshots.push(offset);
                }
            }
        }
        Ok(())
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
        if self.is_offline() {
            return Err(ReadError::Offline);
        }
        if offset < self.log_start || offset > self.written {
            return Err(ReadError::OutOfRange);
        }
        let ask = Ask {
            offset,
            max_bytes,
            limit: limit.min(self.written),
            at_least_one,
        };
        let source = match self.cached(ask, cache) {
            Some(batches) => Source::Memory(batches),
            None => Source::Disk(DiskRead {
                log: self.id,
                ask,
                segments: self.extents_from(offset),
            }),
        };
        Ok(ReadPlan { source })
    }

    /// First offset whose timestamp >= `timestamp` below `limit`.
    pub fn plan_offset_for_time(&mut self, timestamp: i64, limit: i64) -> TimePlan {
        self.plan_time(Wanted::At(timestamp), limit)
    }

    /// The offset with the largest timestamp (ListOffsets -3).
    pub fn plan_max_timestamp(&mut self, limit: i64) -> TimePlan {
        self.plan_time(Wanted::Largest, limit)
    }

    /// Largest epoch <= `epoch` and its end offset; None when unknown.
    pub fn end_offset_for_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        self.epochs.end_offset(epoch, self.written)
    }

    pub fn latest_epoch(&self) -> Option<i32> {
        self.epochs.latest()
    }

    /// Whole sealed segments that retention (time, size, log start) frees, at most a few per call. Moves log_start.
    pub fn take_retention(&mut self, now_wall_ms: i64, high_watermark: i64) -> Option<DeleteJob> {
        if self.is_offline() {
            return None;
        }
        self.sealed.iter_mut().for_each(Sealed::rest);
        let mut handles = Vec::new();
        while handles.len() < SEGMENTS_PER_CALL_MAX {
            let Some(handle) = self.take_freed(now_wall_ms, high_watermark) else {
                break;
            };
            handles.push(handle);
        }
        self.roll_if_expired(now_wall_ms, high_watermark);
        (!handles.is_empty()).then_some(DeleteJob {
            removal: Removal { handles },
            in_flight: self.in_flight.clone(),
        })
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
            recovery_point: self.synced,
            log_start: self.log_start,
        }
    }

    /// Waits for jobs in flight, whose outcome does not count any more. Writes snapshot + index, cuts the active segment to its size, syncs. The log is gone after.
    ///
    /// Batches that are staged only are dropped: nobody was told that they are there.
    pub async fn close(mut self, producer_snapshot: Vec<u8>) -> Result<PartitionCheckpoint, StorageError> {
        self.jobs_ended().await;
        if self.is_offline() {
            return Err(StorageError::Offline { path: self.options.dir });
        }
        let closed = self.close_files(producer_snapshot).await;
        self.offline_on_error(closed)?;
        Ok(self.checkpoint())
    }

    /// Removes the directory (renamed first to `<name>.<uuid>-delete`, as Kafka does), once no job is in flight.
    pub async fn delete(self) -> Result<(), StorageError> {
        self.sealed.iter().for_each(|segment| segment.handle.retired.set(true));
        self.heads.iter().for_each(|head| head.handle.retired.set(true));
        self.jobs_ended().await;
        let dir = &self.options.dir;
        let unique = u128::from(random_u64()) << 64 | u128::from(random_u64());
        let away = dir.with_file_name(delete_dir_name(&self.options.topic, self.options.index, unique));
        let renamed = Dir::rename(dir, &away).await;
        renamed.map_err(|source| StorageError::io("rename", dir, source))?;
        if let Some(parent) = dir.parent() {
            let synced = Dir::sync(parent).await;
            synced.map_err(|source| StorageError::io("sync directory", parent, source))?;
        }
        let removed = Dir::remove_all(&away).await;
        removed.map_err(|source| StorageError::io("remove", &away, source))
    }

    async fn jobs_ended(&self) {
        while Rc::strong_count(&self.in_flight) > 1 {
            sleep(IN_FLIGHT_POLL).await;
        }
    }

    fn is_offline(&self) -> bool {
        self.options.log_dir.is_offline()
    }

    fn check_stage(&self, len: usize) -> Result<(), StageError> {
        let waiting = self.staging.bytes();
        if self.is_offline() {
            Err(StageError::Offline)
        } else if self.options.log_dir.is_full() {
            Err(StageError::DiskFull)
        } else if waiting > 0 && waiting + len > STAGED_BYTES_MAX {
            Err(StageError::Backlog(waiting))
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

    fn take_work_ahead(&mut self) -> Option<Work> {
        if self.preparing.is_some() {
            return None;
        }
        let head = self.heads.iter().find(|head| self.wants_work(head))?;
        let len = self.wanted_len(head);
        let handle = head.handle.clone();
        self.preparing = Some(head.base_offset());
        Some(match head.file.clone() {
            Some(file) => Work::Extend { handle, file, len },
            None => Work::Open {
                handle,
                len,
                sync_dirs: self.options.config.flush_messages == 1 && !head.dirs_synced,
            },
        })
    }

    fn wants_work(&self, head: &Head) -> bool {
        if head.staged == 0 {
            return !head.exists && head.base_offset() > 0;
        }
        if head.file.is_none() {
            return head.staged > head.written;
        }
        let low = (head.preallocated / SPACE_LEFT_SHARE).min(SPACE_LEFT_MAX);
        let is_low = head.preallocated < self.space_max() && head.preallocated < head.bytes_needed() + low;
        head.bytes_needed() > head.preallocated || (is_low && !self.is_frugal)
    }

    /// The length that the head's file gets next; none before there is a batch.
    fn wanted_len(&self, head: &Head) -> u64 {
        if head.staged == 0 {
            return 0;
        }
        let step = if self.is_frugal { 0 } else { self.space_step };
        let more = (head.preallocated + step).min(self.space_max());
        more.max(head.bytes_needed()).max(head.preallocated)
    }

    fn space_max(&self) -> u64 {
        write_end(u64::try_from(self.options.config.segment_bytes).unwrap_or(0))
    }

    fn on_space_given(&mut self) {
        self.is_frugal = false;
        self.space_step = (self.space_step * SPACE_STEP_FACTOR).min(SPACE_STEP_MAX);
    }

    fn take_work_behind(&mut self) -> Option<Work> {
        if self.is_finishing {
            return None;
        }
        let work = self
            .seal_work()
            .or_else(|| self.snapshot_work())
            .or_else(|| self.sync_work())?;
        self.is_finishing = true;
        Some(work)
    }

    fn seal_work(&self) -> Option<Work> {
        let at = self.sealed.iter().position(|segment| segment.unsealed.is_some())?;
        let upto = self.sealed.get(at + 1).map_or_else(
            || self.heads.front().map(Head::base_offset),
            |next| Some(next.base_offset()),
        )?;
        let segment = self.sealed.get(at)?;
        let unsealed = segment.unsealed.as_ref()?;
        Some(Work::Seal(Seal {
            handle: segment.handle.clone(),
            file: unsealed.file.clone(),
            size: segment.size,
            indexes: unsealed.indexes.clone(),
            epochs: self.epochs.to_text(),
            upto,
        }))
    }

    fn snapshot_work(&mut self) -> Option<Work> {
        let (offset, content) = self.snapshot.take()?;
        Some(Work::Snapshot {
            dir: self.options.dir.clone(),
            offset,
            content,
            outdated: self.take_outdated_snapshots(offset),
        })
    }

    fn take_outdated_snapshots(&mut self, newest: i64) -> Vec<i64> {
        self.snapshots.retain(|at| *at != newest);
        let outdated = (self.snapshots.len() + 1).saturating_sub(SNAPSHOTS_KEPT);
        self.snapshots.drain(..outdated).collect()
    }

    /// flush.messages above 1, or writes from before it became 1. Sealing syncs the segments behind the head.
    fn sync_work(&self) -> Option<Work> {
        let head = self.heads.front()?;
        let unsynced = self.written - self.synced;
        if unsynced == 0 || unsynced < self.options.config.flush_messages || self.synced < head.base_offset() {
            return None;
        }
        Some(Work::Sync {
            handle: head.handle.clone(),
            file: head.file.clone()?,
            upto: self.written,
        })
    }

    /// A full disk is no failure: the log asks for less next time, then waits for space. Anything else takes the
    /// directory offline.
    fn unless_full<T>(&mut self, result: Result<T, StorageError>) -> Result<Option<T>, StorageError> {
        match result {
            Err(error) if error.is_disk_full() => {
                if self.is_frugal {
                    self.options.log_dir.set_full(true);
                    self.retry_at_ms = self.now_wall_ms + RETRY_MS;
                }
                self.is_frugal = true;
                Ok(None)
            }
            result => self.offline_on_error(result).map(Some),
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
        self.assert_cursors();
    }

    fn assert_cursors(&self) {
        assert!(self.staged >= self.written, "written past what was staged");
        assert!(self.written >= self.synced, "synced past what was written");
    }

    /// What the cache can answer; `None` if it does not hold the first batch.
    fn cached(&self, ask: Ask, cache: &Cache) -> Option<Vec<Bytes>> {
        let mut slices = Vec::new();
        let (mut offset, mut left) = (ask.offset, ask.max_bytes);
        while offset < ask.limit && slices.len() < SLICES_MAX {
            let Some(run) = cache.find(self.id, offset) else {
                return (!slices.is_empty()).then_some(slices);
            };
            let is_first = ask.at_least_one && slices.is_empty();
            let Some(selected) = run.select(offset, left, ask.limit, is_first) else {
                break;
            };
            offset = selected.next_offset;
            left = left.saturating_sub(selected.bytes.len());
            slices.push(selected.bytes);
        }
        Some(slices)
    }

    /// The segments that hold batches at or behind `offset`.
    fn extents_from(&self, offset: i64) -> Vec<Extent> {
        let first = self
            .sealed
            .partition_point(|segment| segment.base_offset() <= offset)
            .saturating_sub(1);
        let head = self.heads.front();
        let head_only = head.is_some_and(|head| head.base_offset() <= offset);
        let first = if head_only { self.sealed.len() } else { first };
        let sealed = self.sealed.iter().skip(first).map(Extent::of_sealed);
        let head = head.map(|head| Extent::of_head(head, head.indexes.position(offset)));
        sealed.chain(head).collect()
    }

    fn plan_time(&self, wanted: Wanted, limit: i64) -> TimePlan {
        let limit = limit.min(self.written);
        let sealed = self.sealed.iter().map(Extent::of_sealed);
        let head = self.heads.front().map(|head| {
            let timestamp = match wanted {
                Wanted::At(timestamp) => timestamp,
                Wanted::Largest => head.indexes.max_timestamp().unwrap_or(-1),
            };
            let mut extent = Extent::of_head(head, head.indexes.position_for_time(timestamp));
            extent.largest_from = head.indexes.position_of_largest_below(limit);
            extent
        });
        TimePlan {
            search: TimeSearch {
                wanted,
                start: self.log_start,
                limit,
                segments: sealed
                    .chain(head)
                    .filter(|extent| extent.handle.base_offset < limit)
                    .collect(),
            },
        }
    }

    /// Takes the oldest segment out of the log if retention frees it.
    fn take_freed(&mut self, now_wall_ms: i64, high_watermark: i64) -> Option<Rc<Handle>> {
        let next_base = match self.sealed.get(1) {
            Some(next) => next.base_offset(),
            None => self.heads.front()?.base_offset(),
        };
        if !self
            .standing(now_wall_ms, high_watermark)
            .frees(self.sealed.front()?, next_base)
        {
            return None;
        }
        self.log_start = self.log_start.max(next_base);
        let handle = self.sealed.pop_front()?.handle;
        handle.retired.set(true);
        Some(handle)
    }

    /// A log whose newest batches have expired too starts a new segment, so that the old one can go.
    fn roll_if_expired(&mut self, now_wall_ms: i64, high_watermark: i64) {
        let [head] = self.heads.make_contiguous() else { return };
        let max_timestamp = head.indexes.max_timestamp();
        let is_settled = head.staged > 0 && head.written == head.staged && self.sealed.is_empty();
        let standing = self.standing(now_wall_ms, high_watermark);
        let expires = self.options.config.cleanup_policy.delete && standing.is_expired(max_timestamp);
        if is_settled && (expires || self.log_start >= self.written) && high_watermark >= self.written {
            self.roll();
        }
    }

    fn standing(&self, now_wall_ms: i64, high_watermark: i64) -> Standing<'_> {
        Standing {
            config: &self.options.config,
            now_wall_ms,
            log_start: self.log_start,
            high_watermark,
            size_bytes: self.size_bytes(),
        }
    }

    async fn close_files(&mut self, producer_snapshot: Vec<u8>) -> Result<(), StorageError> {
        self.retire_full_heads();
        while let Some(Work::Seal(seal)) = self.seal_work() {
            let base_offset = seal.handle.base_offset;
            seal.run().await?;
            if let Some(segment) = self
                .sealed
                .iter_mut()
                .find(|segment| segment.base_offset() == base_offset)
            {
                segment.unsealed = None;
            }
        }
        // Segments made ahead for batches that are dropped now.
        let handles = self.heads.iter().skip(1).map(|head| head.handle.clone()).collect();
        Removal { handles }.run().await?;
        self.heads.truncate(1);
        self.staged = self.written;
        self.epochs.truncate(self.written);
        if let Some(head) = self.heads.pop_front() {
            self.close_head(head).await?;
        }
        self.advance_synced(self.written);
        let is_new = self.written > 0 && !self.snapshots.contains(&self.written);
        if is_new {
            let outdated = self.take_outdated_snapshots(self.written);
            write_snapshot(&self.options.dir, self.written, producer_snapshot, outdated).await?;
        }
        Ok(())
    }

    /// A head that was not opened is as recovery left it.
    async fn close_head(&self, head: Head) -> Result<(), StorageError> {
        let Some(file) = head.file else { return Ok(()) };
        let seal = Seal {
            handle: head.handle,
            file,
            size: head.written,
            indexes: Rc::new(head.indexes),
            epochs: self.epochs.to_text(),
            upto: self.written,
        };
        seal.run().await
    }
}

impl Extent {
    fn of_sealed(segment: &Sealed) -> Extent {
        Extent {
            handle: segment.handle.clone(),
            start: None,
            largest_from: 0,
            end: segment.size,
            max_timestamp: segment.max_timestamp,
        }
    }

    fn of_head(head: &Head, start: u64) -> Extent {
        Extent {
            handle: head.handle.clone(),
            start: Some(start),
            largest_from: 0,
            end: head.written,
            max_timestamp: head.indexes.max_timestamp(),
        }
    }
}
