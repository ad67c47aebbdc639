//! A shard's bounded cache of recent batches, all partitions together, favouring tails; and catch-up readers' read-ahead.
//!
//! Written batches stay until newer ones need their room, oldest first; the newest run of each log is spared once, so
//! that a busy partition does not push out what the consumers of a quiet one are about to read. What catch-up readers
//! read ahead has a small part of its own and can push out nothing else.
//!
//! Memory that is touched for the first time is dear: the kernel zeroes it, and under a hypervisor a page may have to be
//! found first, which can cost more than all else that is done for its bytes. So the cache begins small, in memory that it
//! uses again and again, and grows as readers come for what it could not keep: by as much as they had to take from the
//! disk, to its limit.

use std::collections::{BTreeMap, VecDeque};

use super::run::Run;
use evicted::Evicted;

mod evicted;

/// What written batches may take before anybody has missed one.
const START_BYTES: usize = 32 << 20;
/// The part of the cache that read-ahead may fill.
const AHEAD_SHARE: usize = 8;
/// What an entry costs besides its bytes: a node of the map, a place in the queue.
const ENTRY_BYTES: usize = 128;

/// A chunk read ahead from the disk.
pub struct ReadAhead {
    pub(super) log: u64,
    pub(super) run: Run,
}

impl ReadAhead {
    /// Bytes that were read.
    pub fn bytes(&self) -> usize {
        self.run.bytes().len()
    }

    /// The offset behind what was read.
    pub fn next_offset(&self) -> i64 {
        self.run.next_offset()
    }
}

pub struct Cache {
    written: Part,
    ahead: Part,
    evicted: Evicted,
    /// Bytes to which the written part may grow.
    written_limit_max: usize,
}

impl Cache {
    pub fn new(limit_bytes: usize) -> Cache {
        let ahead = limit_bytes / AHEAD_SHARE;
        let written_limit_max = limit_bytes - ahead;
        let start = written_limit_max.min(START_BYTES);
        Cache {
            written: Part::new(start),
            ahead: Part::new(ahead),
            evicted: Evicted::new((written_limit_max - start) as u64),
            written_limit_max,
        }
    }

    /// Bytes held, overhead included; not what is remembered of evicted ones, which is little.
    pub fn bytes(&self) -> usize {
        self.written.bytes + self.ahead.bytes
    }

    /// Bytes that it may hold for now.
    pub fn limit_bytes(&self) -> usize {
        self.written.limit + self.ahead.limit
    }

    /// Bytes of the part that is for what was read.
    pub fn ahead_limit_bytes(&self) -> usize {
        self.ahead.limit
    }

    /// Keeps what a read took from the disk beyond what it was asked for.
    pub fn admit_read(&mut self, chunk: ReadAhead) {
        let held = chunk.run.bytes().len();
        self.ahead
            .insert((chunk.log, chunk.run.first_offset()), chunk.run, held, |_, _| {});
    }

    /// Keeps what was just written; `held` is the memory that the run's bytes keep alive.
    pub(super) fn admit_written(&mut self, log: u64, run: Run, held: usize) {
        let evicted = &mut self.evicted;
        let on_evicted = |key, entry: Entry| evicted.add(key, entry.run.next_offset(), entry.cost as u64);
        // One that is larger than all the others together shall not be turned away.
        let needed = cost(&run, held).min(self.written_limit_max);
        self.written.limit = self.written.limit.max(needed);
        self.written.insert((log, run.first_offset()), run, held, on_evicted);
    }

    /// A reader takes up to `bytes` from `offset` on from the disk. Where a larger cache would hold them still, this one grows
    /// by as much.
    pub(super) fn on_missed(&mut self, log: u64, offset: i64, bytes: usize) {
        let Some(missed) = self.evicted.take(log, offset, bytes as u64) else {
            return;
        };
        let limit = self.written.limit as u64;
        if limit + missed.lacking <= self.written_limit_max as u64 {
            self.written.limit = (limit + missed.bytes) as usize;
        }
    }

    /// A log got another number: its runs from `from` on go with it, those below are not the log's any more.
    pub(super) fn renumber(&mut self, old: u64, new: u64, from: i64) {
        self.written.renumber(old, new, from);
        self.ahead.renumber(old, new, from);
    }

    /// The run that holds `offset`.
    pub(super) fn find(&self, log: u64, offset: i64) -> Option<&Run> {
        self.written.find(log, offset).or_else(|| self.ahead.find(log, offset))
    }
}

/// A log's number and the first offset of a run.
type Key = (u64, i64);

struct Part {
    limit: usize,
    bytes: usize,
    runs: BTreeMap<Key, Entry>,
    /// In order of age; each key of `runs` once.
    order: VecDeque<Key>,
}

struct Entry {
    run: Run,
    cost: usize,
    spared: bool,
}

fn cost(run: &Run, held: usize) -> usize {
    held + run.overhead_bytes() + ENTRY_BYTES
}

impl Part {
    fn new(limit: usize) -> Part {
        Part {
            limit,
            bytes: 0,
            runs: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }

    fn find(&self, log: u64, offset: i64) -> Option<&Run> {
        let (_, entry) = self.runs.range((log, i64::MIN)..=(log, offset)).next_back()?;
        (offset < entry.run.next_offset()).then_some(&entry.run)
    }

    fn insert(&mut self, key: Key, run: Run, held: usize, mut on_evicted: impl FnMut(Key, Entry)) {
        let cost = cost(&run, held);
        if cost > self.limit {
            return;
        }
        self.bytes += cost;
        match self.runs.insert(
            key,
            Entry {
                run,
                cost,
                spared: false,
            },
        ) {
            Some(replaced) => self.bytes -= replaced.cost,
            None => self.order.push_back(key),
        }
        while self.bytes > self.limit {
            if let Some((key, entry)) = self.evict_oldest(key) {
                on_evicted(key, entry);
            }
        }
    }

    fn renumber(&mut self, old: u64, new: u64, from: i64) {
        let runs = self.runs.range((old, i64::MIN)..=(old, i64::MAX));
        let keys: Vec<Key> = runs.map(|(key, _)| *key).collect();
        for key in keys {
            let Some(entry) = self.runs.remove(&key) else { continue };
            match key.1 >= from {
                true => drop(self.runs.insert((new, key.1), entry)),
                false => self.bytes -= entry.cost,
            }
        }
        self.order.retain_mut(|key| {
            let is_kept = key.0 != old || key.1 >= from;
            key.0 = if key.0 == old { new } else { key.0 };
            is_kept
        });
    }

    /// Called again and again this ends: each entry is spared once, and `inserted` (which fits alone) is the last to be looked
    /// at a second time.
    fn evict_oldest(&mut self, inserted: Key) -> Option<(Key, Entry)> {
        let key = self.order.pop_front()?;
        let is_newest = !self.runs.range((key.0, key.1 + 1)..=(key.0, i64::MAX)).any(|_| true);
        if let Some(entry) = self.runs.get_mut(&key)
            && (key == inserted || (is_newest && !entry.spared))
        {
            entry.spared = true;
            self.order.push_back(key);
            return None;
        }
        let evicted = self.runs.remove(&key)?;
        self.bytes -= evicted.cost;
        Some((key, evicted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::run::BatchEnd;
    use bytes::Bytes;

    fn run(first_offset: i64, len: usize) -> Run {
        let end = BatchEnd {
            next_offset: first_offset + 1,
            end: len,
        };
        Run::new(Bytes::from(vec![0; len]), first_offset, vec![end])
    }

    #[test] // Goal: whatever is admitted, the cache holds no more than its limit, and the newest entry.
    fn cache_is_bounded() {
        let mut cache = Cache::new(80_000);
        for at in 0..1000 {
            cache.admit_written(at % 7, run(at as i64, 1000), 4096);
            cache.admit_read(ReadAhead {
                log: 9,
                run: run(at as i64, 1000),
            });
            assert!(cache.bytes() <= 80_000);
            assert!(cache.find(at % 7, at as i64).is_some());
        }
        cache.admit_written(1, run(5000, 100_000), 100_000);
        assert!(cache.find(1, 5000).is_none());
    }

    #[test] // Goal: the tail of a quiet log outlives the older data of a busy one; read-ahead pushes out no tail.
    fn tails_are_favoured() {
        let mut cache = Cache::new(80_000);
        cache.admit_written(1, run(0, 1000), 1000);
        for at in 0..70 {
            cache.admit_written(2, run(at, 1000), 1000);
            cache.admit_read(ReadAhead {
                log: 3,
                run: run(at, 1000),
            });
        }
        assert!(cache.find(1, 0).is_some());
        assert!(cache.find(2, 0).is_none());
        assert!(cache.find(2, 69).is_some());
    }

    #[test] // Goal: without readers the cache stays small; it grows by what they missed, as far as a larger one would have helped.
    fn it_grows_by_what_readers_missed() {
        const LIMIT: usize = 160 << 20;
        const RUN: usize = 1 << 20;
        let mut cache = Cache::new(LIMIT);
        let start = cache.limit_bytes();
        let admit = |cache: &mut Cache, offset| cache.admit_written(1, run(offset, RUN), RUN);
        (0..100).for_each(|offset| admit(&mut cache, offset));
        cache.on_missed(1, 99, RUN);
        cache.on_missed(2, 10, RUN);
        assert_eq!(cache.limit_bytes(), start, "nobody missed anything that had been there");
        assert!(cache.bytes() <= START_BYTES);

        let missed: Vec<i64> = (0..100).filter(|offset| cache.find(1, *offset).is_none()).collect();
        for _ in 0..2 {
            missed.iter().for_each(|offset| cache.on_missed(1, *offset, RUN));
        }
        let grown = cache.limit_bytes() - start;
        assert!(
            grown >= missed.len() * RUN && grown < (missed.len() + 1) * RUN,
            "{grown}"
        );
        assert!(cache.limit_bytes() <= LIMIT);

        (100..1000).for_each(|offset| admit(&mut cache, offset));
        (0..1000).for_each(|offset| cache.on_missed(1, offset, RUN));
        assert!(cache.limit_bytes() <= LIMIT);
        assert!(cache.bytes() <= cache.limit_bytes());
        cache.admit_written(1, run(1000, LIMIT / 2), LIMIT / 2);
        assert!(cache.find(1, 1000).is_some(), "it fits into what the cache may become");
    }

    #[test] // Goal: a log with another number keeps its tail and nothing else; what is admitted late under the old one is lost.
    fn renumbered_logs_keep_their_tail() {
        let mut cache = Cache::new(80_000);
        for at in 0..10 {
            cache.admit_written(1, run(at, 1000), 1000);
            cache.admit_written(2, run(at, 1000), 1000);
        }
        let before = cache.bytes();
        cache.renumber(1, 3, 6);
        assert!(cache.bytes() < before);
        cache.admit_read(ReadAhead {
            log: 1,
            run: run(2, 1000),
        });
        for at in 0..10 {
            assert_eq!(cache.find(3, at).is_some(), at >= 6);
            assert!(cache.find(2, at).is_some());
        }
        for at in 10..200 {
            cache.admit_written(3, run(at, 1000), 1000);
            assert!(cache.bytes() <= 80_000);
        }
    }

    #[test] // Goal: an offset is found in the run that holds it, of its own log only.
    fn runs_are_found_by_any_offset_in_them() {
        let mut cache = Cache::new(80_000);
        let ends = vec![BatchEnd {
            next_offset: 20,
            end: 10,
        }];
        cache.admit_written(1, Run::new(Bytes::from(vec![0; 10]), 10, ends), 10);
        assert!(cache.find(1, 9).is_none());
        assert!(cache.find(1, 10).is_some());
        assert!(cache.find(1, 19).is_some());
        assert!(cache.find(1, 20).is_none());
        assert!(cache.find(2, 15).is_none());
    }
}
