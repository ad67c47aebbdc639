//! What of the log is due to be compacted, and how a compacted segment comes into it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use super::{Log, NEXT_ID};
use crate::rt::now;
use crate::storage::compaction::{
    Cleaned, CompactDone, CompactJob, CompactionAsk, CompactionStats, Pace, Round, Source, State, Step, Swap, Task,
};
use crate::storage::read::Extent;
use crate::storage::segment::{Handle, Sealed};
use crate::storage::{Cache, StorageError};

/// Between two attempts at a log that could not be compacted.
const RETRY_MS: i64 = 15 * 60 * 1000;

/// A log's compaction, between rounds and in one.
#[derive(Default)]
pub(super) struct Compaction {
    /// Everything below was compacted once.
    clean_upto: i64,
    /// Set to end the round that runs.
    round: Option<Rc<Cell<bool>>>,
    /// The last round failed; not again before this time.
    failed_until_ms: Option<i64>,
}

/// How a round went on.
pub enum Compacted {
    Next(CompactJob),
    Finished(CompactionStats),
    Stopped,
    /// The log is as it was, and serves as before.
    Failed(StorageError),
}

/// What may be compacted.
struct Cleanable {
    /// Of the sealed segments, from the first on.
    count: usize,
    first_dirty: i64,
    clean_bytes: u64,
    dirty_bytes: u64,
    /// A record has waited for max.compaction.lag.ms.
    is_overdue: bool,
}

impl Log {
    /// Everything below was compacted once; `None` for a log that has no part in it.
    pub(super) fn clean_upto(&self) -> Option<i64> {
        (self.compaction.clean_upto > 0).then_some(self.compaction.clean_upto)
    }

    /// What is behind `offset` is not there any more.
    pub(super) fn truncate_clean(&mut self, offset: i64) {
        self.compaction.clean_upto = self.compaction.clean_upto.min(offset);
    }

    pub(super) fn resume_compaction(&mut self, clean_upto: Option<i64>) {
        // One ahead of the log's end belongs to what was cut: Kafka starts over too.
        self.compaction.clean_upto = clean_upto.filter(|upto| *upto <= self.written).unwrap_or(0);
    }

    /// Whether a round is due. `stable_offset`: nothing from there on may be touched.
    pub fn wants_compaction(&self, now_ms: i64, stable_offset: i64) -> bool {
        let waits = self.compaction.failed_until_ms.is_some_and(|until| now_ms < until);
        let is_busy = self.is_offline() || self.is_compacting() || self.is_truncating();
        if !self.options.config.cleanup_policy.compact || is_busy || waits {
            return false;
        }
        let cleanable = self.cleanable(now_ms, stable_offset);
        let bytes = cleanable.clean_bytes + cleanable.dirty_bytes;
        let ratio = cleanable.dirty_bytes as f64 / bytes.max(1) as f64;
        cleanable.dirty_bytes > 0 && (cleanable.is_overdue || ratio > self.options.config.min_cleanable_dirty_ratio)
    }

    pub fn is_compacting(&self) -> bool {
        self.compaction.round.is_some()
    }

    /// The round that runs is to end soon.
    pub fn stop_compaction(&self) {
        if let Some(stop) = &self.compaction.round {
            stop.set(true);
        }
    }

    /// Begins a round over what may be compacted.
    pub fn take_compaction(&mut self, ask: CompactionAsk) -> Option<CompactJob> {
        if self.is_compacting() || self.is_offline() || self.is_truncating() {
            return None;
        }
        let cleanable = self.cleanable(ask.now_ms, ask.stable_offset);
        let stop = Rc::new(Cell::new(false));
        let sources: Vec<Option<Source>> = (0..cleanable.count).map(|at| self.source(at)).collect();
        let first = sources.first()?.as_ref()?.extent.handle.base_offset;
        let round = Round {
            dir: self.options.dir.clone(),
            config: self.options.config.clone(),
            pace: Pace::new(ask.bytes_per_second, now()),
            ask,
            sources,
            first_dirty: cleanable.first_dirty,
            aborted: self.plan_aborted(first),
            stop: stop.clone(),
            state: State::New,
            stats: CompactionStats::default(),
        };
        self.compaction.round = Some(stop);
        Some(self.compact_job(Box::new(round), Task::CleanNext))
    }

    /// Err: the log (and its directory) is offline from here on.
    pub fn on_compacted(
        &mut self,
        done: CompactDone,
        cache: &mut Cache,
        now_ms: i64,
    ) -> Result<Compacted, StorageError> {
        let CompactDone { mut round, step } = done;
        match step {
            Step::Cleaned(base_offset, group, cleaned) => {
                // From here on only readers in flight keep the old files, and their space.
                let sources = round.sources.get_mut(group).unwrap_or_default();
                let sources = sources.iter_mut().filter_map(Option::take).collect();
                let task = match self.take_in(sources, cleaned, cache) {
                    Some(swap) => Task::Swap(swap),
                    None => Task::Discard(base_offset),
                };
                Ok(Compacted::Next(self.compact_job(round, task)))
            }
            Step::Swapped(base_offset) => {
                if let Some(segment) = self.sealed.iter_mut().find(|one| one.base_offset() == base_offset) {
                    segment.swapping = false;
                }
                Ok(Compacted::Next(self.compact_job(round, Task::CleanNext)))
            }
            Step::Discarded => Ok(Compacted::Next(self.compact_job(round, Task::CleanNext))),
            Step::SwapFailed(error) => {
                self.compaction.round = None;
                self.offline_on_error(Err(error))
            }
            Step::Finished(upto) => {
                self.compaction.round = None;
                self.compaction.failed_until_ms = None;
                self.compaction.clean_upto = self.compaction.clean_upto.max(upto);
                Ok(Compacted::Finished(round.stats))
            }
            Step::Stopped => {
                self.compaction.round = None;
                Ok(Compacted::Stopped)
            }
            Step::Failed(error) => {
                self.compaction.round = None;
                self.compaction.failed_until_ms = Some(now_ms.saturating_add(RETRY_MS));
                Ok(Compacted::Failed(error))
            }
        }
    }

    fn compact_job(&self, round: Box<Round>, task: Task) -> CompactJob {
        CompactJob {
            round,
            task,
            in_flight: self.in_flight.clone(),
        }
    }

    fn cleanable(&self, now_ms: i64, stable_offset: i64) -> Cleanable {
        let config = &self.options.config;
        let upto = self.compaction.clean_upto;
        let mut cleanable = Cleanable {
            count: 0,
            first_dirty: upto.max(self.log_start),
            clean_bytes: 0,
            dirty_bytes: 0,
            is_overdue: false,
        };
        let mut earlier = None;
        for (at, segment) in self.sealed.iter().enumerate() {
            let is_dirty = self.next_base(at) > cleanable.first_dirty;
            let is_young = config.min_compaction_lag_ms > 0
                && segment.max_timestamp > Some(now_ms.saturating_sub(config.min_compaction_lag_ms));
            if segment.unsealed.is_some() || self.next_base(at) > stable_offset || (is_dirty && is_young) {
                break;
            }
            cleanable.count = at + 1;
            // No record is older than the newest of the segment before, give or take the producers' clocks.
            let oldest = earlier.or(segment.max_timestamp);
            earlier = segment.max_timestamp;
            match is_dirty {
                false => cleanable.clean_bytes += segment.size,
                true => {
                    cleanable.dirty_bytes += segment.size;
                    cleanable.is_overdue |= oldest < Some(now_ms.saturating_sub(config.max_compaction_lag_ms));
                }
            }
        }
        cleanable
    }

    fn next_base(&self, at: usize) -> i64 {
        match self.sealed.get(at + 1) {
            Some(next) => next.base_offset(),
            None => self.heads.front().map_or(self.written, |head| head.base_offset()),
        }
    }

    fn source(&self, at: usize) -> Option<Source> {
        let segment = self.sealed.get(at)?;
        Some(Source {
            extent: Extent::of_sealed(segment),
            next_base: self.next_base(at),
            has_aborted: segment.has_aborted,
        })
    }

    /// Reads go to the new segment from here on. `None`: the log does not have the old ones any more.
    fn take_in(&mut self, sources: Vec<Source>, cleaned: Cleaned, cache: &mut Cache) -> Option<Swap> {
        let end = sources.last()?.next_base;
        let olds: Vec<Rc<Handle>> = sources.into_iter().map(|source| source.extent.handle).collect();
        let base_offset = olds.first()?.base_offset;
        let at = self.sealed.iter().position(|one| one.base_offset() == base_offset)?;
        let known = self.sealed.iter().skip(at).take(olds.len());
        if known.len() != olds.len() || !known.zip(&olds).all(|(one, old)| Rc::ptr_eq(&one.handle, old)) {
            return None;
        }
        let handle = Handle::new(&self.options.dir, base_offset);
        let _ = handle.file.set(cleaned.file);
        let _ = handle.indexes.set(cleaned.indexes.clone());
        let _ = handle.aborted.set(cleaned.aborted.clone());
        let new = Sealed {
            handle,
            size: cleaned.size,
            max_timestamp: cleaned.indexes.max_timestamp(),
            has_aborted: !cleaned.aborted.is_empty(),
            unsealed: None,
            swapping: true,
        };
        olds.iter().for_each(|old| old.retired.set(true));
        self.sealed.drain(at..at + olds.len());
        self.sealed.insert(at, new);
        self.leave_cache_below(end, cache);
        Some(Swap {
            dir: self.options.dir.clone(),
            base_offset,
            outdated: olds.into_iter().skip(1).collect(),
            has_txn_index: cleaned.has_txn_index,
        })
    }

    /// A value from the cache whose tombstone is gone from the disk would come back to life; a record of a transaction that
    /// the index does not name any more would look committed. Reads that are under way admit theirs under the old number.
    pub(super) fn leave_cache_below(&mut self, offset: i64, cache: &mut Cache) {
        let old = self.id;
        self.id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        cache.renumber(old, self.id, offset);
    }
}
