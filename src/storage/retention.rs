//! Which sealed segments retention frees, and their removal.

use std::rc::Rc;

use super::StorageError;
use super::layout::{DELETED, INDEX, LOG, TIME_INDEX, TXN_INDEX, segment_path, with_suffix};
use super::prepare::remove_if_there;
use super::segment::{Handle, Sealed};
use crate::config::TopicConfig;
use crate::rt::Dir;
use std::io;
use std::path::PathBuf;

/// Segments that one call takes, so that no turn of the pump is long.
pub(super) const SEGMENTS_PER_CALL_MAX: usize = 8;

/// What decides about the oldest segment.
pub(super) struct Standing<'a> {
    pub config: &'a TopicConfig,
    pub now_wall_ms: i64,
    pub log_start: i64,
    pub high_watermark: i64,
    /// Of the whole log.
    pub size_bytes: u64,
}

impl Standing<'_> {
    /// Whether the oldest segment, which ends at `next_base`, goes. Only complete ones below the high watermark do.
    pub fn frees(&self, oldest: &Sealed, next_base: i64) -> bool {
        if oldest.unsealed.is_some() || oldest.swapping || next_base > self.high_watermark {
            return false;
        }
        next_base <= self.log_start
            || (self.config.cleanup_policy.delete
                && (self.is_expired(oldest.max_timestamp) || self.is_beyond_size(oldest.size)))
    }

    /// By the largest timestamp of a segment; one without timestamps never expires.
    pub fn is_expired(&self, max_timestamp: Option<i64>) -> bool {
        let age_ms = max_timestamp
            .filter(|at| *at >= 0)
            .map(|at| self.now_wall_ms.saturating_sub(at));
        self.config.retention_ms >= 0 && age_ms.is_some_and(|age_ms| age_ms > self.config.retention_ms)
    }

    /// Only a segment without which the log still holds retention.bytes goes, as in Kafka.
    fn is_beyond_size(&self, segment_bytes: u64) -> bool {
        let kept = u64::try_from(self.config.retention_bytes);
        kept.is_ok_and(|kept| self.size_bytes >= kept.saturating_add(segment_bytes))
    }
}

/// Segments on their way out: nothing plans reads of them any more.
pub(super) struct Removal {
    pub handles: Vec<Rc<Handle>>,
}

/// Segments that are renamed already, or about to be, and whose files stay until then (file.delete.delay.ms).
pub(super) struct Departed {
    pub unlink_at_ms: i64,
    pub handles: Vec<Rc<Handle>>,
}

impl Removal {
    /// Renames first, so that a crash half-way leaves nothing that looks like a part of the log.
    pub async fn run(self) -> Result<(), StorageError> {
        self.rename().await?;
        self.unlink().await
    }

    /// Segment by segment, from the front of the log.
    pub async fn rename(&self) -> Result<(), StorageError> {
        for path in self.paths() {
            match Dir::rename(&path, &with_suffix(&path, DELETED)).await {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(StorageError::io("rename", &path, source));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads that have a file open finish: the space is free once they have.
    pub async fn unlink(&self) -> Result<(), StorageError> {
        for path in self.paths() {
            remove_if_there(&with_suffix(&path, DELETED)).await?;
        }
        Ok(())
    }

    fn paths(&self) -> impl Iterator<Item = PathBuf> {
        let paths = |handle: &Rc<Handle>| {
            [LOG, INDEX, TIME_INDEX, TXN_INDEX].map(|suffix| segment_path(&handle.dir, handle.base_offset, suffix))
        };
        self.handles.iter().flat_map(paths)
    }
}
