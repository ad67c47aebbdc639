//! The file work around the writes: what is due, and what its outcome changes.

use crate::rt::{ALIGN, File};
use crate::storage::prepare::{Prepared, Seal, Tail, Work};
use crate::storage::segment::{Head, write_end};
use crate::storage::{PrepareDone, PrepareJob, StorageError};

use super::{Log, SPACE_STEP_FACTOR, SPACE_STEP_MAX};

/// More space is asked for when less than this share of the file is left…
const SPACE_LEFT_SHARE: u64 = 8;
/// …or than this.
const SPACE_LEFT_MAX: u64 = 8 << 20;
/// How long a job waits that the disk had no space for.
const RETRY_MS: i64 = 1000;
/// Producer snapshots that are kept: the newest may be ahead of what was written when the process was killed.
const SNAPSHOTS_KEPT: usize = 2;

impl Log {
    /// File work that is due before (or ahead of) the next write: create, preallocate, seal and roll, background sync. At most one in flight.
    ///
    /// Strictly: one ahead of the writes and one behind them, so that a roll's sync does not hold up the next segment.
    pub fn take_prepare(&mut self, now_wall_ms: i64) -> Option<PrepareJob> {
        self.now_wall_ms = now_wall_ms;
        self.place_if_old();
        if self.is_offline() || self.is_truncating() || self.waits_for_space() {
            return None;
        }
        self.retire_full_heads();
        let work = self.take_work_ahead().or_else(|| self.take_work_behind())?;
        Some(PrepareJob {
            work,
            in_flight: self.in_flight.clone(),
        })
    }

    pub fn on_prepared(&mut self, done: PrepareDone) -> Result<(), StorageError> {
        match done.prepared {
            Prepared::Opened {
                base_offset,
                dirs_synced,
                result,
            } => self.on_opened(base_offset, dirs_synced, result),
            Prepared::Extended { base_offset, result } => self.on_extended(base_offset, result),
            Prepared::Sealed {
                base_offset,
                upto,
                result,
            } => self.on_sealed(base_offset, upto, result),
            Prepared::Synced {
                base_offset,
                upto,
                result,
            } => self.on_synced(base_offset, upto, result),
            Prepared::Snapshot { offset, result } => self.on_snapshot(offset, result),
            Prepared::Unlinked { result } => {
                self.is_finishing = false;
                self.unless_full(result).map(drop)
            }
        }
    }

    fn on_opened(
        &mut self,
        base_offset: i64,
        dirs_synced: bool,
        result: Result<(File, u64), StorageError>,
    ) -> Result<(), StorageError> {
        self.preparing = None;
        let Some((file, len)) = self.unless_full(result)? else {
            return Ok(());
        };
        if let Some(head) = self.head_at(base_offset) {
            let _ = head.handle.file.set(file.clone());
            head.file = Some(file);
            head.exists = true;
            head.preallocated = len;
            head.dirs_synced |= dirs_synced;
        }
        self.on_space_given();
        Ok(())
    }

    fn on_extended(&mut self, base_offset: i64, result: Result<u64, StorageError>) -> Result<(), StorageError> {
        self.preparing = None;
        let Some(len) = self.unless_full(result)? else {
            return Ok(());
        };
        if let Some(head) = self.head_at(base_offset) {
            head.preallocated = len;
        }
        self.on_space_given();
        Ok(())
    }

    fn on_sealed(&mut self, base_offset: i64, upto: i64, result: Result<(), StorageError>) -> Result<(), StorageError> {
        self.is_finishing = false;
        if self.unless_full(result)?.is_none() {
            return Ok(());
        }
        let mut sealed = self.sealed.iter_mut();
        if let Some(segment) = sealed.find(|segment| segment.base_offset() == base_offset) {
            segment.unsealed = None;
        }
        self.advance_synced(upto);
        Ok(())
    }

    fn on_synced(&mut self, base_offset: i64, upto: i64, result: Result<(), StorageError>) -> Result<(), StorageError> {
        self.is_finishing = false;
        if self.unless_full(result)?.is_none() {
            return Ok(());
        }
        if let Some(head) = self.head_at(base_offset) {
            head.dirs_synced = true;
        }
        // What was written meanwhile is newer than the sync.
        self.dirty_since_ms = None;
        self.advance_synced(upto);
        Ok(())
    }

    /// A snapshot that found no space is not written: the next start looks at more batches instead.
    fn on_snapshot(&mut self, offset: i64, result: Result<(), StorageError>) -> Result<(), StorageError> {
        self.is_finishing = false;
        if self.unless_full(result)?.is_some() {
            self.snapshots.push(offset);
        }
        Ok(())
    }

    fn head_at(&mut self, base_offset: i64) -> Option<&mut Head> {
        self.heads.iter_mut().find(|head| head.base_offset() == base_offset)
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
                tail: self.tail_of(head),
            },
        })
    }

    /// Of a head that recovery left.
    fn tail_of(&self, head: &Head) -> Option<Tail> {
        let bytes = (head.written % ALIGN as u64) as usize;
        (bytes > 0).then(|| Tail {
            position: head.written - bytes as u64,
            bytes: self.staging.tail().to_vec(),
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
        let is_newest = head.base_offset() == self.newest_head().base_offset();
        let is_low = head.preallocated < self.space_max() && head.preallocated < head.bytes_needed() + low;
        head.bytes_needed() > head.preallocated || (is_newest && is_low && !self.is_frugal)
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
        let seal = self.next_seal().map(Work::Seal);
        let work = seal.or_else(|| self.snapshot_work()).or_else(|| self.sync_work());
        let work = work.or_else(|| self.take_unlinks().map(Work::Unlink))?;
        self.is_finishing = true;
        Some(work)
    }

    /// Below this offset every segment is sealed: recovery may trust its size, its index files and the epochs' file.
    /// Synced bytes alone are not enough. A head that was not opened is as recovery left it.
    pub(super) fn first_unsealed(&self) -> i64 {
        let rolled = self.sealed.iter().find(|segment| segment.unsealed.is_some());
        let head = self.heads.iter().find(|head| head.file.is_some());
        let rolled = rolled.map(|segment| segment.base_offset());
        rolled.or(head.map(|head| head.base_offset())).unwrap_or(i64::MAX)
    }

    /// The oldest segment that was rolled and is not sealed yet.
    pub(super) fn next_seal(&self) -> Option<Seal> {
        let at = self.sealed.iter().position(|segment| segment.unsealed.is_some())?;
        let upto = match self.sealed.get(at + 1) {
            Some(next) => next.base_offset(),
            None => self.heads.front()?.base_offset(),
        };
        let segment = self.sealed.get(at)?;
        let unsealed = segment.unsealed.as_ref()?;
        Some(Seal {
            handle: segment.handle.clone(),
            file: unsealed.file.clone(),
            size: segment.size,
            indexes: unsealed.indexes.clone(),
            aborted: unsealed.aborted.clone(),
            epochs: self.epochs.to_text(),
            upto,
        })
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

    /// The snapshots that `newest` makes superfluous; it counts as written.
    pub(super) fn take_outdated_snapshots(&mut self, newest: i64) -> Vec<i64> {
        self.snapshots.retain(|at| *at != newest);
        let outdated = (self.snapshots.len() + 1).saturating_sub(SNAPSHOTS_KEPT);
        self.snapshots.drain(..outdated).collect()
    }

    /// flush.messages above 1, writes from before it became 1, or flush.ms. Sealing syncs the segments behind the head.
    fn sync_work(&mut self) -> Option<Work> {
        let unsynced = self.written - self.synced;
        let is_due = unsynced >= self.options.config.flush_messages || self.is_dirty_too_long();
        if unsynced > 0 && is_due {
            // Of a topic that was configured otherwise before.
            self.place_soon();
        }
        let head = self.heads.front()?;
        if unsynced == 0 || !is_due || self.placed < self.written || self.synced < head.base_offset() {
            return None;
        }
        Some(Work::Sync {
            handle: head.handle.clone(),
            file: head.file.clone()?,
            upto: self.written,
        })
    }

    fn is_dirty_too_long(&self) -> bool {
        let age_ms = self
            .dirty_since_ms
            .map(|since_ms| self.now_wall_ms.saturating_sub(since_ms));
        // A negative age: the clock was set back.
        age_ms.is_some_and(|age_ms| !(0..self.options.config.flush_ms).contains(&age_ms))
    }

    /// Since a job found none. The clock may have been set back meanwhile.
    pub(super) fn waits_for_space(&self) -> bool {
        (1..=RETRY_MS).contains(&(self.retry_at_ms - self.now_wall_ms))
    }

    /// Not at once: another job may have freed some by then.
    pub(super) fn retry_later(&mut self) {
        self.options.log_dir.note_refusal();
        self.retry_at_ms = self.now_wall_ms + RETRY_MS;
    }

    /// A full disk is no failure: the log asks for less next time, then waits for space. Anything else takes the
    /// directory offline.
    fn unless_full<T>(&mut self, result: Result<T, StorageError>) -> Result<Option<T>, StorageError> {
        match result {
            Err(error) if error.is_disk_full() => {
                if self.is_frugal {
                    self.retry_later();
                }
                self.is_frugal = true;
                Ok(None)
            }
            result => self.offline_on_error(result).map(Some),
        }
    }
}
