//! What retention takes out of the log.

use std::rc::Rc;

use super::Log;
use crate::storage::DeleteJob;
use crate::storage::retention::{Departed, Removal, SEGMENTS_PER_CALL_MAX, Standing};
use crate::storage::segment::{Handle, Sealed};

impl Log {
    /// Whole sealed segments that retention (time, size, log start) frees, at most a few per call, and none while others
    /// are being removed. Moves log_start.
    pub fn take_retention(&mut self, now_wall_ms: i64, high_watermark: i64) -> Option<DeleteJob> {
        if self.is_offline() || self.is_removing() || self.is_truncating() {
            return None;
        }
        // A round finds its sources by their handles.
        if !self.is_compacting() {
            self.sealed.iter_mut().for_each(Sealed::rest);
        }
        let mut handles = Vec::new();
        while handles.len() < SEGMENTS_PER_CALL_MAX {
            let Some(handle) = self.take_freed(now_wall_ms, high_watermark) else {
                break;
            };
            handles.push(handle);
        }
        self.roll_if_expired(now_wall_ms, high_watermark);
        if handles.is_empty() {
            return None;
        }
        let delay_ms = self.options.config.file_delete_delay_ms;
        if delay_ms > 0 {
            handles.iter().for_each(|handle| handle.lingers.set(true));
            self.departed.push_back(Departed {
                unlink_at_ms: now_wall_ms.saturating_add(delay_ms),
                handles: handles.clone(),
            });
        }
        Some(DeleteJob {
            removal: Removal { handles },
            delayed: delay_ms > 0,
            in_flight: self.in_flight.clone(),
            removing: self.removing.clone(),
        })
    }

    /// A removal is under way.
    pub fn is_removing(&self) -> bool {
        Rc::strong_count(&self.removing) > 1
    }

    /// Renamed segments whose time is over; a full disk has no time for them.
    pub(super) fn take_unlinks(&mut self) -> Option<Removal> {
        let is_due = |departed: &Departed| self.options.log_dir.is_full() || departed.unlink_at_ms <= self.now_wall_ms;
        if self.is_removing() || !self.departed.front().is_some_and(is_due) {
            return None;
        }
        let handles = self.departed.pop_front()?.handles;
        handles.iter().for_each(|handle| handle.lingers.set(false));
        Some(Removal { handles })
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
}
