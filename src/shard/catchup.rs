//! Reads from the disk, in a class of their own: so many at a time, so many bytes a second while producers write, and
//! never more than there is memory for their answers. So a consumer of old data does not move the producers' latency.
//!
//! The parts of fetches wait in one queue and get one read each in turn; a connection has one fetch in hand, so this is
//! fair between connections. What a part that has data cannot have at once it does without: a fetch may give fewer bytes
//! than were asked for. A part that has nothing waits for memory, but not for ever: its fetch may hold memory of another
//! shard, whose readers wait for this one's.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::fetch_memory::{FetchMemory, Held};
use super::message::{Life, ReadJob};
use super::types::FetchedPartition;
use crate::config::BrokerConfig;
use crate::model::ShardId;
use crate::rt::Instant;
use crate::storage::ReadPlan;

/// How long a part without data waits for memory before it is answered so.
const MEMORY_WAIT_MAX: Duration = Duration::from_secs(1);
/// Producers that wrote this lately are at it still.
const PRODUCE_LINGER: Duration = Duration::from_millis(50);
const NS_PER_SECOND: u128 = 1_000_000_000;

/// The part of a fetch that this shard answers, while it needs the disk.
pub(super) struct Part {
    pub(super) to: ShardId,
    pub(super) request: u64,
    pub(super) mark: u64,
    pub(super) partitions: Vec<FetchedPartition>,
    /// Reads that have not begun, by their place in `partitions`.
    pub(super) plans: VecDeque<(usize, Life, ReadPlan)>,
    pub(super) since: Instant,
    /// Reads that have, and those that wait for one ahead of them.
    pub(super) running: usize,
}

/// What is to be done next.
pub(super) enum Step {
    Read(ReadJob),
    Answer(Part),
    /// Nothing before then.
    Wait(Instant),
}

pub(super) struct Catchup {
    /// shard.catchup.reads.max
    reads_max: usize,
    running: usize,
    parts: BTreeMap<u64, Part>,
    last: u64,
    /// The parts with reads that have not begun, in turn.
    queue: VecDeque<u64>,
    pace: Pace,
    /// Since when the part whose turn it is waits for memory.
    starved_since: Option<Instant>,
}

impl Catchup {
    pub(super) fn new(config: &BrokerConfig) -> Catchup {
        Catchup {
            reads_max: config.shard_catchup_reads_max,
            running: 0,
            parts: BTreeMap::new(),
            last: 0,
            queue: VecDeque::new(),
            pace: Pace {
                bytes_per_second: config.shard_catchup_bytes_per_second,
                paid: Instant(0),
                produced: None,
            },
            starved_since: None,
        }
    }

    /// Gives the number of the part.
    pub(super) fn add(&mut self, part: Part) -> u64 {
        self.last += 1;
        if !part.plans.is_empty() {
            self.queue.push_back(self.last);
        }
        self.parts.insert(self.last, part);
        self.last
    }

    /// A read ahead of a reader begins, if nobody waits for his turn.
    pub(super) fn begin_ahead(&mut self, bytes: usize, now: Instant) -> bool {
        let is_free = self.running < self.reads_max && self.queue.is_empty() && self.pace.wait_until(now).is_none();
        if is_free {
            self.pace.on_read(bytes, now);
            self.running += 1;
        }
        is_free
    }

    pub(super) fn end_ahead(&mut self) {
        self.running -= 1;
    }

    /// A read of the part that waited for one ahead of it is to be made after all.
    pub(super) fn put_back(&mut self, number: u64, slot: usize, life: Life, plan: ReadPlan) {
        let Some(part) = self.parts.get_mut(&number) else {
            return;
        };
        part.running -= 1;
        if part.plans.is_empty() {
            self.queue.push_back(number);
        }
        part.plans.push_back((slot, life, plan));
    }

    /// Parts that wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Producers write.
    pub(super) fn on_produce(&mut self, now: Instant) {
        self.pace.produced = Some(now);
    }

    /// To be called until there is nothing to be done: after parts were added, reads have ended or memory came back.
    pub(super) fn next(&mut self, memory: &FetchMemory, now: Instant) -> Option<Step> {
        while self.running < self.reads_max {
            let number = *self.queue.front()?;
            let part = self.parts.get_mut(&number).expect("what is queued is there");
            if let Some(at) = self.pace.wait_until(now) {
                return Some(Step::Wait(at));
            }
            let bytes = part.plans.front().map_or(0, |(_, _, plan)| plan.disk_bytes());
            let has_some = part.has_some();
            let held = if has_some {
                memory.admit_more(bytes)
            } else {
                memory.admit_first(bytes)
            };
            if let Some(held) = held {
                self.pace.on_read(bytes, now);
                return self.begin(number, held);
            }
            // Memory is short: whoever holds some does without more.
            let Some(closing) = has_some.then_some(number).or_else(|| self.queued_with_some()) else {
                self.starved_since.get_or_insert(now);
                return None;
            };
            if let Some(part) = self.close(closing) {
                return Some(Step::Answer(part));
            }
        }
        None
    }

    /// A read of the part has ended, and changed it so. The part comes back with its last one.
    pub(super) fn on_read(&mut self, number: u64, change: impl FnOnce(&mut Part)) -> Option<Part> {
        self.running -= 1;
        self.on_ended(number, change)
    }

    /// The same for one that waited for a read ahead of it.
    pub(super) fn on_ended(&mut self, number: u64, change: impl FnOnce(&mut Part)) -> Option<Part> {
        let part = self
            .parts
            .get_mut(&number)
            .expect("a part is there until its last read has ended");
        part.running -= 1;
        change(part);
        self.take_if_done(number)
    }

    /// Parts that have waited for memory as long as they may.
    pub(super) fn take_starved(&mut self, now: Instant) -> Vec<Part> {
        let waited = |since| now.since(since) >= MEMORY_WAIT_MAX;
        if !self.starved_since.is_some_and(waited) {
            return Vec::new();
        }
        let is_starved = |part: &Part| !part.has_some() && waited(part.since);
        let starved: Vec<Part> = self
            .parts
            .extract_if(.., |_, part| is_starved(part))
            .map(|(_, part)| part)
            .collect();
        self.queue.retain(|number| self.parts.contains_key(number));
        self.starved_since = None;
        starved
    }

    /// The next read of the part whose turn it is; the others come before the one after it.
    fn begin(&mut self, number: u64, held: Held) -> Option<Step> {
        self.queue.pop_front();
        self.starved_since = None;
        let part = self.parts.get_mut(&number)?;
        let (slot, life, plan) = part.plans.pop_front()?;
        part.running += 1;
        self.running += 1;
        if !part.plans.is_empty() {
            self.queue.push_back(number);
        }
        Some(Step::Read(ReadJob {
            part: number,
            slot,
            life,
            plan,
            held,
        }))
    }

    fn queued_with_some(&self) -> Option<u64> {
        let has_some = |number: &u64| self.parts.get(number).is_some_and(Part::has_some);
        self.queue.iter().copied().find(has_some)
    }

    /// Drops the reads that have not begun. The part comes back if none is running.
    fn close(&mut self, number: u64) -> Option<Part> {
        self.queue.retain(|queued| *queued != number);
        self.parts.get_mut(&number)?.plans.clear();
        self.take_if_done(number)
    }

    fn take_if_done(&mut self, number: u64) -> Option<Part> {
        let part = self.parts.get(&number)?;
        let is_done = part.running == 0 && part.plans.is_empty();
        is_done.then(|| self.parts.remove(&number)).flatten()
    }
}

impl Part {
    /// Data, or a read that may bring some.
    fn has_some(&self) -> bool {
        self.running > 0 || self.partitions.iter().any(|one| !one.records.is_empty())
    }
}

/// How fast reads may go while producers write. A read is paid for once it has begun, so that one of any size may.
struct Pace {
    /// shard.catchup.bytes.per.second; 0: any number.
    bytes_per_second: u64,
    /// When the reads so far are paid for.
    paid: Instant,
    produced: Option<Instant>,
}

impl Pace {
    /// When the next read may begin, if not now.
    fn wait_until(&self, now: Instant) -> Option<Instant> {
        (self.is_due(now) && self.paid > now).then_some(self.paid)
    }

    fn on_read(&mut self, bytes: usize, now: Instant) {
        let price = bytes as u128 * NS_PER_SECOND / u128::from(self.bytes_per_second.max(1));
        let from = if self.is_due(now) { self.paid.max(now) } else { now };
        self.paid = from.after(Duration::from_nanos(u64::try_from(price).unwrap_or(u64::MAX)));
    }

    fn is_due(&self, now: Instant) -> bool {
        self.bytes_per_second > 0 && self.produced.is_some_and(|at| now.since(at) < PRODUCE_LINGER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ErrorCode, Incarnation, PartitionId, TopicId};
    use crate::shard::fetch_memory::testing::memory;

    const MS: u64 = 1_000_000;

    fn catchup(reads_max: usize, bytes_per_second: u64) -> Catchup {
        let mut config = BrokerConfig::embedded(std::path::Path::new("/nowhere"));
        config.shard_catchup_reads_max = reads_max;
        config.shard_catchup_bytes_per_second = bytes_per_second;
        Catchup::new(&config)
    }

    /// A part of a fetch with as many reads of `bytes` each; `request` tells it from others.
    fn part(request: u64, reads: usize, bytes: usize) -> Part {
        let life = Life {
            partition: PartitionId {
                topic: TopicId::ZERO,
                index: 0,
            },
            incarnation: Incarnation(1),
        };
        Part {
            to: ShardId(0),
            request,
            mark: 0,
            partitions: vec![FetchedPartition::refused(ErrorCode::None); reads],
            plans: (0..reads)
                .map(|slot| (slot, life, ReadPlan::of_disk_bytes(bytes)))
                .collect(),
            since: Instant(0),
            running: 0,
        }
    }

    /// Begins what may begin: the jobs, and the requests that were answered.
    fn run(catchup: &mut Catchup, memory: &FetchMemory, now: Instant) -> (Vec<ReadJob>, Vec<u64>) {
        let (mut jobs, mut answered) = (Vec::new(), Vec::new());
        while let Some(step) = catchup.next(memory, now) {
            match step {
                Step::Read(job) => jobs.push(job),
                Step::Answer(part) => answered.push(part.request),
                Step::Wait(_) => break,
            }
        }
        (jobs, answered)
    }

    fn turns(jobs: &[ReadJob]) -> Vec<(u64, usize)> {
        jobs.iter().map(|job| (job.part, job.slot)).collect()
    }

    /// Reads run side by side up to the limit; whoever asks for much gets no more turns than whoever asks for little.
    #[test]
    fn parts_take_turns() {
        let (mut catchup, memory) = (catchup(4, 0), memory(1 << 30));
        catchup.add(part(1, 10, 1000));
        catchup.add(part(2, 2, 1000));
        let (first, _) = run(&mut catchup, &memory, Instant(0));
        assert_eq!(turns(&first), [(1, 0), (2, 0), (1, 1), (2, 1)]);
        assert!(catchup.on_read(2, |_| {}).is_none());
        let (second, _) = run(&mut catchup, &memory, Instant(0));
        assert_eq!(turns(&second), [(1, 2)]);
        assert_eq!(catchup.on_read(2, |_| {}).map(|part| part.request), Some(2));
    }

    /// While producers write, reads keep to the pace; when they pause there is none.
    #[test]
    fn reads_are_paced_while_producers_write() {
        let (mut catchup, memory) = (catchup(100, 1_000_000), memory(1 << 30));
        let busy = Instant(1_000 * MS);
        catchup.on_produce(busy);
        catchup.add(part(1, 10, 1000));
        for ms in 0..3 {
            let now = Instant(busy.0 + ms * MS);
            assert_eq!(run(&mut catchup, &memory, now).0.len(), 1, "{ms}");
            assert!(
                matches!(catchup.next(&memory, now), Some(Step::Wait(at)) if at == now.after(Duration::from_millis(1)))
            );
        }
        let paused = busy.after(PRODUCE_LINGER);
        assert_eq!(run(&mut catchup, &memory, paused).0.len(), 7);
    }

    /// Short of memory, a part that has something is answered with that; one that has nothing waits, but not for ever.
    #[test]
    fn memory_bounds_the_reads() {
        let (mut catchup, memory) = (catchup(100, 0), memory(10_000));
        catchup.add(part(1, 10, 2000));
        catchup.add(part(2, 1, 6000));
        catchup.add(part(3, 1, 6000));
        let (jobs, answered) = run(&mut catchup, &memory, Instant(0));
        assert_eq!((turns(&jobs), answered), (vec![(1, 0), (2, 0)], vec![]));
        assert_eq!(memory.used(), 8000);
        // There is no room for the third; the first one, which holds memory, does without the rest.
        assert_eq!(catchup.on_read(1, |_| {}).map(|part| part.request), Some(1));
        let waited = Instant(0).after(MEMORY_WAIT_MAX);
        assert!(catchup.take_starved(Instant(waited.0 - 1)).is_empty());
        assert_eq!(
            catchup
                .take_starved(waited)
                .iter()
                .map(|part| part.request)
                .collect::<Vec<_>>(),
            [3]
        );
        drop(jobs);
        assert_eq!(memory.used(), 0);
    }
}
