//! What of the log is in the journal and not in its segment yet: placed <= written.
//!
//! Those bytes stay in the staging buffer, and are read from there. The log's next write to the segment takes them along;
//! it comes when as many bytes wait as make a good write, when the journal needs the space, or after a while.

use std::collections::VecDeque;

use super::Log;
use crate::model::PartitionId;
use crate::rt::Sync;
use crate::storage::StorageError;
use crate::storage::journal::{ENTRY_HEADER_BYTES, Frame, FrameBuilder, Hold};
use crate::storage::run::{Run, Selected};

/// Batches of more than this cost less written to the segment at once than written twice.
const JOURNALED_BYTES_MAX: usize = 8 << 10;
/// As many bytes make a good write to the segment: they do not wait for more.
const PLACED_BYTES_MIN: usize = 32 << 10;
/// A log that gets no more batches has its segment complete after this long.
const UNPLACED_MS_MAX: i64 = 10_000;

#[derive(Default)]
pub(super) struct Unplaced {
    /// Bytes of batches in [placed, written).
    bytes: u64,
    since_ms: Option<i64>,
    /// The next write does not wait for more.
    is_due: bool,
    /// Behind the last batch that follows a gap: a start takes nothing from the journal that does not follow the log's
    /// end offset by offset, so what is below goes to the segment.
    direct_upto: i64,
    /// Behind what the frame in flight holds: the offset, and the bytes.
    journaling: Option<(i64, u64)>,
    /// The space that is held in the journal, and up to where it is needed.
    holds: VecDeque<(i64, Hold)>,
    /// The write to the segment that is in flight.
    placing: Option<Run>,
}

impl Log {
    /// Everything below is in the segments.
    pub fn placed(&self) -> i64 {
        self.placed
    }

    /// The bytes of the entry that the log has for the next frame. `None`: there is nothing new, a write is in flight, or it
    /// should be written to the segment at once. A log may only be journaled what could be written there.
    pub fn journal_bytes(&self) -> Option<usize> {
        let head = self.heads.front()?;
        let chunk = self.staging.only()?;
        let fresh = chunk.fresh().len();
        let can_place = chunk.segment == head.base_offset() && chunk.write_end() <= head.preallocated;
        let is_small = (1..=JOURNALED_BYTES_MAX).contains(&fresh) && self.staging.bytes() < PLACED_BYTES_MIN;
        let is_dense = self.unplaced.direct_upto <= self.placed;
        let is_free = !self.is_writing && !self.unplaced.is_due && !self.is_offline() && !self.is_truncating();
        let has_file = head.file.is_some() && self.keeps_promise(head.dirs_synced);
        (is_free && is_dense && is_small && can_place && has_file).then_some(ENTRY_HEADER_BYTES + fresh)
    }

    /// Puts the log's entry into a frame, which from now on is in flight.
    pub fn take_entry(&mut self, frame: &mut FrameBuilder) {
        let chunk = self.staging.front_mut().expect("asked for its bytes");
        let partition = PartitionId {
            topic: self.options.topic_id,
            index: self.options.index,
        };
        frame.push(partition, self.life, chunk.segment, chunk.fresh());
        self.unplaced.journaling = Some((self.staged, chunk.fresh().len() as u64));
        chunk.note_journaled();
        self.submitted = self.staged;
        self.is_writing = true;
        if self.options.config.flush_messages == 1 {
            frame.require_sync();
        }
    }

    /// The frame is written; `None`: it is not, and the log directory offline.
    pub fn on_journaled(&mut self, frame: Option<&Frame>) -> Result<(), StorageError> {
        self.is_writing = false;
        let (upto, bytes) = self.unplaced.journaling.take().expect("an entry is in flight");
        let Some(frame) = frame else {
            let path = self.options.dir.clone();
            return Err(StorageError::Offline { path });
        };
        self.written = upto;
        // Others' need for a sync is no promise of this log's: its segment would have to keep it.
        if frame.sync == Sync::No || self.options.config.flush_messages != 1 {
            self.synced_writes_from = self.written;
        }
        self.unplaced.bytes += bytes;
        self.unplaced.since_ms.get_or_insert(self.now_wall_ms);
        self.unplaced.holds.push_back((upto, frame.hold.clone()));
        self.advance_synced(self.synced);
        Ok(())
    }

    /// The journal needs the space, or the log is to be closed: what is not in the segment goes there next.
    pub fn place_soon(&mut self) {
        self.unplaced.is_due = self.placed < self.written || self.unplaced.journaling.is_some();
    }

    /// The batch that was staged last is not for the journal.
    pub(super) fn place_directly(&mut self) {
        self.unplaced.direct_upto = self.staged;
    }

    pub(super) fn place_if_old(&mut self) {
        let age_ms = self.unplaced.since_ms.map(|since_ms| self.now_wall_ms - since_ms);
        // A negative age: the clock was set back.
        if age_ms.is_some_and(|age_ms| !(0..UNPLACED_MS_MAX).contains(&age_ms)) {
            self.place_soon();
        }
    }

    pub(super) fn is_placing_due(&self) -> bool {
        self.unplaced.is_due
    }

    pub(super) fn unplaced_bytes(&self) -> u64 {
        self.unplaced.bytes
    }

    pub(super) fn on_placing(&mut self, run: Run) {
        self.unplaced.placing = Some(run);
    }

    /// Everything up to `placed` is in the segments now.
    pub(super) fn on_placed(&mut self, placed: i64) {
        self.placed = placed;
        self.unplaced.placing = None;
        // The write took all that was in the journal.
        self.unplaced.bytes = 0;
        self.unplaced.since_ms = None;
        self.unplaced.is_due = false;
        let is_kept = |(upto, _): &(i64, Hold)| *upto > placed;
        self.unplaced.holds.retain(is_kept);
        assert!(
            self.unplaced.holds.is_empty(),
            "a write to the segment leaves nothing behind"
        );
    }

    /// What is not in the segment yet, be it not in the journal either, from the batch that holds `offset` on. The outer `None`: it is there.
    pub(super) fn select_unplaced(
        &self,
        offset: i64,
        max_bytes: usize,
        limit: i64,
        first: bool,
    ) -> Option<Option<Selected>> {
        if offset < self.placed {
            return None;
        }
        Some(match (&self.unplaced.placing, self.staging.front()) {
            (Some(run), _) => run.select(offset, max_bytes, limit, first),
            (None, Some(chunk)) => chunk.select(offset, max_bytes, limit, first),
            (None, None) => None,
        })
    }

    /// The same as one piece; what follows it is not written.
    pub(super) fn unplaced_run(&self) -> Option<Run> {
        if self.placed == self.written {
            return None;
        }
        let staged = || self.staging.front().map(|chunk| chunk.to_run());
        self.unplaced.placing.clone().or_else(staged)
    }

    /// Whether a frame is as good as the write to the segment that it stands for. What is to be synced some time after it
    /// was written (flush.messages above 1, flush.ms) is written at once.
    fn keeps_promise(&self, dirs_synced: bool) -> bool {
        let config = &self.options.config;
        let is_plain = config.flush_messages == i64::MAX || (config.flush_messages == 1 && dirs_synced);
        is_plain && config.flush_ms == i64::MAX
    }
}
