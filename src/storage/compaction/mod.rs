//! Compaction: a log keeps the newest record of each key.
//!
//! A round looks at the keys of the part that was not compacted yet (as many as fit into memory), then writes the log
//! anew, segment by segment or several small ones into one, from its start up to where it looked. It runs as a task that
//! owns its inputs; between two segments it comes back to the log, which takes the new segment in, gives out the exchange
//! of the files, and lets it go on.
//!
//! ```text
//!   Log::take_compaction ──▶ CompactJob::run ──▶ Log::on_compacted ──▶ the next CompactJob, or the end
//!                            keys, one segment    reads go to the new
//!                            written and synced   one from here on
//! ```
//!
//! Readers in flight keep the old segments' files, which stay open until the last one has read. The last batch of every
//! written segment stays at least as a header, so segments still meet. The active segment, what is above the last stable
//! offset and what is younger than min.compaction.lag.ms are left alone. The delete horizon lies in the batch's header, as in
//! Kafka from 3.1 on.
//!
//! | file | what |
//! |---|---|
//! | keys | the newest offset of each key, in bounded memory |
//! | filter | what stays of a batch |
//! | output, swap | the new segment, and how it takes its place |

mod filter;
mod keys;
mod output;
mod swap;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use filter::LastRecord;
pub(super) use output::Cleaned;
pub(super) use swap::{Swap, recover};

use self::filter::{Filter, Outcome, Transactions};
use self::keys::Keys;
use self::output::{Output, discard};
use super::StorageError;
use super::plan::InFlight;
use super::read::Extent;
use super::run::batches;
use super::segment::Handle;
use super::txn_index::AbortedPlan;
use crate::config::TopicConfig;
use crate::record::{BatchHeader, DECOMPRESSED_BYTES_MAX, Marker, Records};
use crate::rt::{Instant, now, sleep, yield_now};

/// Bytes per read.
const READ_BYTES: usize = 256 << 10;
/// Work at a stretch before the shard's other tasks get their turn.
const STRETCH: Duration = Duration::from_micros(200);
/// How long a round that is ahead of its bandwidth sleeps before it looks whether it is to stop.
const NAP: Duration = Duration::from_millis(100);

/// What a round may use, and what the log's owner knows.
pub struct CompactionAsk {
    pub now_ms: i64,
    /// Nothing from here on is touched: the last stable offset.
    pub stable_offset: i64,
    /// Memory for the keys.
    pub key_bytes_max: usize,
    /// Read and written bytes.
    pub bytes_per_second: f64,
    /// What the producers' state depends on.
    pub last_records: BTreeMap<i64, LastRecord>,
}

/// A sealed segment that a round reads.
pub(super) struct Source {
    pub extent: Extent,
    pub next_base: i64,
    pub has_aborted: bool,
}

/// One compaction of one log, from its start to its end.
pub(super) struct Round {
    pub dir: PathBuf,
    pub config: Arc<TopicConfig>,
    pub ask: CompactionAsk,
    /// From the log's start on.
    /// `None` once a new segment has taken its place.
    pub sources: Vec<Option<Source>>,
    pub first_dirty: i64,
    pub aborted: AbortedPlan,
    pub stop: Rc<Cell<bool>>,
    pub state: State,
    pub pace: Pace,
    pub stats: CompactionStats,
}

pub(super) enum State {
    New,
    Cleaning(Box<Cleaning>),
}

pub(super) struct Cleaning {
    keys: Keys,
    transactions: Transactions,
    /// Numbers of sources that are still to be written, each group into one segment.
    groups: VecDeque<std::ops::Range<usize>>,
}

/// What a round has read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionStats {
    pub bytes_read: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
}

/// The next piece of a round.
pub struct CompactJob {
    pub(super) round: Box<Round>,
    pub(super) task: Task,
    pub(super) in_flight: InFlight,
}

pub(super) enum Task {
    CleanNext,
    Swap(Swap),
    /// The log has changed: what was written for this base offset is of no use.
    Discard(i64),
}

pub struct CompactDone {
    pub(super) round: Box<Round>,
    pub(super) step: Step,
}

pub(super) enum Step {
    /// A segment with this base offset is written that may take the place of these sources.
    Cleaned(i64, std::ops::Range<usize>, Cleaned),
    Swapped(i64),
    /// The exchange of files failed half-way: the directory cannot be relied on.
    SwapFailed(StorageError),
    Discarded,
    /// Compacted up to this offset.
    Finished(i64),
    Stopped,
    Failed(StorageError),
}

impl CompactJob {
    pub async fn run(self) -> CompactDone {
        let CompactJob {
            mut round,
            task,
            in_flight: _in_flight,
        } = self;
        let step = match task {
            Task::Swap(swap) => {
                let base_offset = swap.base_offset;
                match swap.run().await {
                    Ok(()) => Step::Swapped(base_offset),
                    Err(error) => Step::SwapFailed(error),
                }
            }
            Task::Discard(base_offset) => match discard(&round.dir, base_offset).await {
                Ok(()) => Step::Discarded,
                Err(error) => Step::Failed(error),
            },
            Task::CleanNext => match round.clean_next().await {
                Ok(step) => step,
                Err(error) => Step::Failed(error),
            },
        };
        CompactDone { round, step }
    }
}

impl Round {
    async fn clean_next(&mut self) -> Result<Step, StorageError> {
        if let State::New = self.state {
            match self.begin().await? {
                Some(cleaning) => self.state = State::Cleaning(Box::new(cleaning)),
                None => return Ok(Step::Stopped),
            }
        }
        let State::Cleaning(cleaning) = &mut self.state else {
            return Ok(Step::Stopped);
        };
        let Some(group) = cleaning.groups.pop_front() else {
            return Ok(Step::Finished(cleaning.keys.upto() + 1));
        };
        let first = self.sources.get(group.start).and_then(Option::as_ref);
        let Some(base_offset) = first.map(|source| source.extent.handle.base_offset) else {
            return Ok(Step::Stopped);
        };
        match self.clean(base_offset, group).await {
            Ok(Some(step)) => Ok(step),
            stopped => {
                // What is half-written is of no use; a start would remove it too.
                let _ = discard(&self.dir, base_offset).await;
                stopped.map(|_| Step::Stopped)
            }
        }
    }

    /// Looks at the keys. `None`: it is to stop.
    async fn begin(&mut self) -> Result<Option<Cleaning>, StorageError> {
        self.aborted.load().await?;
        let mut keys = Keys::new(self.ask.key_bytes_max);
        let aborted = self.aborted.take_all();
        // One that ended below would never be seen to end: whatever its producer wrote later would count as aborted.
        let unfinished = aborted.iter().filter(|one| one.last_offset >= self.first_dirty);
        let mut transactions = Transactions::new(unfinished.copied().collect());
        let sources = self.sources.iter().flatten();
        let dirty = sources.filter(|source| source.next_base > self.first_dirty);
        'looking: for source in dirty {
            let start = source.extent.position(self.first_dirty).await;
            let mut walk = source.extent.walk(start, READ_BYTES).await?;
            while let Some(run) = walk.next_run().await? {
                self.stats.bytes_read += run.bytes().len() as u64;
                for (header, batch) in batches(&run) {
                    if self.stop.get() {
                        return Ok(None);
                    }
                    if !note_keys(
                        &mut keys,
                        &mut transactions,
                        self.first_dirty,
                        &header,
                        batch,
                        &source.extent,
                    )? {
                        break 'looking;
                    }
                    keys.looked_at(header.last_offset());
                    self.pace.breathe().await;
                }
                self.pace.spend(run.bytes().len(), &self.stop).await;
            }
            // Offsets may be missing at a segment's end.
            keys.looked_at(source.next_base - 1);
        }
        let bases = self
            .sources
            .iter()
            .flatten()
            .map(|source| source.extent.handle.base_offset);
        let count = bases.take_while(|base| *base <= keys.upto()).count();
        Ok(Some(Cleaning {
            keys,
            transactions: Transactions::new(aborted),
            groups: self.group(count),
        }))
    }

    /// Neighbours that fit into one segment together are written as one.
    fn group(&self, count: usize) -> VecDeque<std::ops::Range<usize>> {
        let bytes_max = u64::try_from(self.config.segment_bytes).unwrap_or(0);
        let mut groups: VecDeque<std::ops::Range<usize>> = VecDeque::new();
        let (mut bytes, mut base_offset) = (0, 0);
        for (at, source) in self.sources.iter().flatten().take(count).enumerate() {
            let fits = bytes + source.extent.end <= bytes_max && source.next_base - base_offset <= i64::from(i32::MAX);
            match groups.back_mut().filter(|_| fits) {
                Some(group) => group.end = at + 1,
                None => {
                    (bytes, base_offset) = (0, source.extent.handle.base_offset);
                    groups.push_back(at..at + 1);
                }
            }
            bytes += source.extent.end;
        }
        groups
    }

    /// Writes the segment that takes the place of a group. `None`: it is to stop.
    async fn clean(&mut self, base_offset: i64, group: std::ops::Range<usize>) -> Result<Option<Step>, StorageError> {
        let State::Cleaning(cleaning) = &mut self.state else {
            return Ok(None);
        };
        let filter = Filter {
            keys: &cleaning.keys,
            last_records: &self.ask.last_records,
            now_ms: self.ask.now_ms,
            delete_retention_ms: self.config.delete_retention_ms,
        };
        let index_interval = u64::try_from(self.config.index_interval_bytes).unwrap_or(0);
        let mut output = Output::create(&self.dir, base_offset, index_interval).await?;
        let sources = self.sources.get(group.clone()).unwrap_or_default();
        let sources: Vec<&Source> = sources.iter().flatten().collect();
        let has_aborted = sources.iter().any(|source| source.has_aborted);
        for (at, source) in sources.iter().enumerate() {
            let is_last_source = at + 1 == sources.len();
            let mut left = source.extent.end;
            let mut walk = source.extent.walk(0, READ_BYTES).await?;
            while let Some(run) = walk.next_run().await? {
                for (header, batch) in batches(&run) {
                    if self.stop.get() {
                        return Ok(None);
                    }
                    left -= batch.len() as u64;
                    let is_decided_away = decide(&mut cleaning.transactions, &mut output, &header, &batch);
                    let outcome = filter.apply(&header, &batch, is_decided_away, is_last_source && left == 0);
                    match outcome.map_err(|error| broken(&source.extent.handle, &header, error))? {
                        Outcome::Same => output.append(&header, &batch).await?,
                        Outcome::Other(batch) => {
                            let header = BatchHeader::parse(&batch)
                                .map_err(|error| broken(&source.extent.handle, &header, error))?;
                            output.append(&header, &batch).await?;
                        }
                        Outcome::Gone => {}
                    }
                    self.pace.breathe().await;
                }
                self.stats.bytes_read += run.bytes().len() as u64;
                self.pace.spend(2 * run.bytes().len(), &self.stop).await;
            }
            self.stats.bytes_before += source.extent.end;
            // Whoever has planned a read of the old segment finds all it needs after the exchange.
            source.extent.handle.file().await?;
            source.extent.handle.indexes(source.extent.end).await;
        }
        let cleaned = output.finish(has_aborted).await?;
        self.stats.bytes_after += cleaned.size;
        Ok(Some(Step::Cleaned(base_offset, group, cleaned)))
    }
}

/// Notes the keys of a batch. False: there is no room for all of them.
fn note_keys(
    keys: &mut Keys,
    transactions: &mut Transactions,
    first_dirty: i64,
    header: &BatchHeader,
    batch: Bytes,
    extent: &Extent,
) -> Result<bool, StorageError> {
    if header.is_control() {
        transactions.on_marker(header, Marker::read(header, &batch));
        return Ok(true);
    }
    if transactions.on_records(header) || header.record_count == 0 {
        return Ok(true);
    }
    let refused = |error| broken(&extent.handle, header, error);
    for record in Records::of(header, batch, DECOMPRESSED_BYTES_MAX).map_err(refused)? {
        let record = record.map_err(refused)?;
        if let Some(key) = record.key.filter(|_| record.offset >= first_dirty)
            && !keys.note(&key, record.offset)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the batch belongs to an aborted transaction, or marks the end of one of which nothing is left.
fn decide(transactions: &mut Transactions, output: &mut Output, header: &BatchHeader, batch: &[u8]) -> bool {
    if !header.is_control() {
        return transactions.on_records(header);
    }
    let (aborted, is_decided_away) = transactions.on_marker(header, Marker::read(header, batch));
    if let Some(aborted) = aborted {
        output.note_aborted(aborted);
    }
    is_decided_away
}

fn broken(handle: &Handle, header: &BatchHeader, error: impl std::fmt::Display) -> StorageError {
    StorageError::Corrupt {
        path: handle.path(),
        problem: format!("batch at offset {}: {error}", header.base_offset),
    }
}

/// Keeps a round to its bandwidth, and lets others in between.
pub(super) struct Pace {
    bytes_per_second: f64,
    started: Instant,
    spent: f64,
    stretch: Instant,
}

impl Pace {
    pub fn new(bytes_per_second: f64, at: Instant) -> Pace {
        Pace {
            bytes_per_second,
            started: at,
            spent: 0.0,
            stretch: at,
        }
    }

    async fn breathe(&mut self) {
        if now().since(self.stretch) >= STRETCH {
            yield_now().await;
            self.stretch = now();
        }
    }

    /// Waits until so many bytes more are within the bandwidth, or the round is to stop.
    async fn spend(&mut self, bytes: usize, stop: &Cell<bool>) {
        self.spent += bytes as f64;
        let due = Duration::try_from_secs_f64(self.spent / self.bytes_per_second).unwrap_or(Duration::ZERO);
        while !stop.get() {
            let ahead = due.saturating_sub(now().since(self.started));
            if ahead.is_zero() {
                break;
            }
            sleep(ahead.min(NAP)).await;
        }
    }
}
