//! What a read of the log takes, from memory and from the disk.

use bytes::Bytes;

use super::Log;
use crate::storage::plan::Source;
use crate::storage::read::{Ask, DiskRead, Extent, READ_BYTES_MAX};
use crate::storage::segment::{Head, Sealed};
use crate::storage::time::{TimeSearch, Wanted};
use crate::storage::{AbortedPlan, Cache, ReadError, ReadPlan, TimePlan};

/// Slices of cached batches in one read: what one vectored send takes, with room for the headers.
const SLICES_MAX: usize = 512;

impl Log {
    /// What to read from `offset`: whole batches, at most `max_bytes` (but at least one batch if `at_least_one`), only batches
    /// that end at or below `limit`.
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
        if offset < self.log_start || offset > self.submitted {
            return Err(ReadError::OutOfRange);
        }
        let ask = Ask {
            offset,
            max_bytes,
            limit: limit.min(self.submitted),
            at_least_one,
        };
        let source = match self.cached(ask, cache) {
            Some((batches, next_offset)) => Source::Memory(batches, next_offset),
            None if max_bytes == 0 && !at_least_one => Source::Memory(Vec::new(), offset),
            None => {
                let read = DiskRead {
                    log: self.id,
                    ask,
                    segments: self.extents_from(offset),
                    piece_bytes: READ_BYTES_MAX,
                };
                cache.on_missed(self.id, offset, read.bytes());
                Source::Disk(read)
            }
        };
        Ok(ReadPlan::new(source))
    }

    /// What a read of committed data from `offset` on has to know besides.
    pub fn plan_aborted(&self, offset: i64) -> AbortedPlan {
        let first = self.first_at(offset);
        let segments = self.sealed.iter().skip(first).filter(|segment| segment.has_aborted);
        AbortedPlan {
            offset,
            segments: segments.map(|segment| segment.handle.clone()).collect(),
            head: self.heads.front().map(|head| head.aborted.clone()).unwrap_or_default(),
        }
    }

    /// First offset whose timestamp >= `timestamp` below `limit`.
    pub fn plan_offset_for_time(&mut self, timestamp: i64, limit: i64) -> TimePlan {
        self.plan_time(Wanted::At(timestamp), limit)
    }

    /// The offset with the largest timestamp (ListOffsets -3).
    pub fn plan_max_timestamp(&mut self, limit: i64) -> TimePlan {
        self.plan_time(Wanted::Largest, limit)
    }

    /// What memory can answer (the cache, and what is not in a segment yet), and the offset behind it; `None` if it does not
    /// hold the first batch.
    fn cached(&self, ask: Ask, cache: &Cache) -> Option<(Vec<Bytes>, i64)> {
        let mut slices = Vec::new();
        let (mut offset, mut left) = (ask.offset, ask.max_bytes);
        while offset < ask.limit && slices.len() < SLICES_MAX {
            let is_first = ask.at_least_one && slices.is_empty();
            let cached = || {
                cache
                    .find(self.id, offset)
                    .map(|run| run.select(offset, left, ask.limit, is_first))
            };
            let Some(held) = self.select_unplaced(offset, left, ask.limit, is_first).or_else(cached) else {
                return (!slices.is_empty()).then_some((slices, offset));
            };
            let Some(selected) = held else { break };
            offset = selected.next_offset;
            left = left.saturating_sub(selected.bytes.len());
            slices.push(selected.bytes);
        }
        Some((slices, offset))
    }

    /// The segments that hold batches at or behind `offset`.
    fn extents_from(&self, offset: i64) -> Vec<Extent> {
        let sealed = self.sealed.iter().skip(self.first_at(offset)).map(Extent::of_sealed);
        let head = self
            .heads
            .front()
            .map(|head| Extent::of_head(head, head.indexes.position(offset)));
        sealed.chain(head).collect()
    }

    /// The place among the sealed segments of the first that may hold `offset`.
    fn first_at(&self, offset: i64) -> usize {
        let head = self.heads.front();
        if head.is_some_and(|head| head.base_offset() <= offset) {
            return self.sealed.len();
        }
        self.sealed
            .partition_point(|segment| segment.base_offset() <= offset)
            .saturating_sub(1)
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
                unplaced: self.unplaced_run(),
                dir: self.options.dir.clone(),
            },
        }
    }
}

impl Extent {
    pub(in crate::storage) fn of_sealed(segment: &Sealed) -> Extent {
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
