//! Reads from the disk: so many at a time, so many bytes a second while producers write, and never more than there is
//! memory for their answers. So neither a consumer of old data nor a broker that comes back moves the producers' latency.
//!
//! Replicas that are behind have a pace of their own, apart from consumers and from replicas that producers wait for. The
//! parts of a class's fetches wait in one queue and get one read each in turn; a connection has one fetch in hand, so this
//! is fair between connections. What a part that has data cannot have at once it does without: a fetch may give fewer bytes
//! than were asked for. A part that has nothing waits for memory, but not for ever: its fetch may hold memory of another
//! shard, whose readers wait for this one's. Replicas that are behind never wait here for their pace, since other
//! partitions of the same fetch may be some that producers wait for: they are put off, and their long poll asks again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::fetch_memory::{FetchMemory, Held};
use super::message::{Life, PutOff, ReadJob};
use super::pace::{Pace, Produced};
use super::types::FetchedPartition;
use crate::config::BrokerConfig;
use crate::model::{BrokerId, ShardId};
use crate::rt::Instant;
use crate::storage::ReadPlan;

/// How long a part without data waits for memory before it is answered so.
const MEMORY_WAIT_MAX: Duration = Duration::from_secs(1);
/// A broker that asked this lately for replicas that are behind asks again: none is put off for longer.
const BEHIND_LINGER: Duration = Duration::from_secs(2);

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Consumers, and replicas that producers with acks=all wait for.
    Awaited,
    /// Replicas that nobody waits for.
    Behind,
}

impl Class {
    fn other(self) -> Class {
        match self {
            Class::Awaited => Class::Behind,
            Class::Behind => Class::Awaited,
        }
    }
}

/// The part of a fetch that this shard answers, while it needs the disk.
pub(super) struct Part {
    pub(super) class: Class,
    /// The broker whose replicas are fetched for.
    pub(super) follower: Option<BrokerId>,
    pub(super) to: ShardId,
    pub(super) request: u64,
    pub(super) mark: u64,
    pub(super) partitions: Vec<FetchedPartition>,
    /// Reads that have not begun.
    pub(super) plans: VecDeque<Planned>,
    pub(super) since: Instant,
    /// Reads that have, and those that wait for one ahead of them.
    pub(super) running: usize,
    pub(super) put_off: Option<PutOff>,
}

/// The read of one partition.
pub(super) struct Planned {
    /// Its place in the part.
    pub(super) slot: usize,
    pub(super) life: Life,
    pub(super) plan: ReadPlan,
    /// What of the part's mark is this partition's.
    pub(super) mark: u64,
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
    /// By class.
    lines: [Line; 2],
    /// The class whose turn it is.
    turn: Class,
    produced: Produced,
    /// The brokers with replicas that are behind, and when each asked last.
    behind: BTreeMap<BrokerId, Instant>,
    /// Since when the part whose turn it is waits for memory, and with it all others.
    starved_since: Option<Instant>,
}

/// Those of one class.
struct Line {
    /// The parts with reads that have not begun, in turn.
    queue: VecDeque<u64>,
    pace: Pace,
}

impl Catchup {
    pub(super) fn new(config: &BrokerConfig) -> Catchup {
        Catchup {
            reads_max: config.shard_catchup_reads_max,
            running: 0,
            parts: BTreeMap::new(),
            last: 0,
            lines: [
                config.shard_catchup_bytes_per_second,
                config.shard_catchup_replica_bytes_per_second,
            ]
            .map(Line::at),
            turn: Class::Awaited,
            produced: Produced::default(),
            behind: BTreeMap::new(),
            starved_since: None,
        }
    }

    /// Gives the number of the part.
    pub(super) fn add(&mut self, part: Part) -> u64 {
        self.last += 1;
        if let (Class::Behind, Some(broker)) = (part.class, part.follower) {
            self.behind.insert(broker, part.since);
        }
        if !part.plans.is_empty() {
            self.lines[part.class as usize].queue.push_back(self.last);
        }
        self.parts.insert(self.last, part);
        self.last
    }

    /// A read ahead of a reader begins, if nobody waits who may read.
    pub(super) fn begin_ahead(&mut self, class: Class, bytes: usize, now: Instant) -> bool {
        let may_somebody = matches!(self.whose_turn(now), Some(Ok(_)));
        let is_free = self.running < self.reads_max && !may_somebody && self.wait_until(class, now).is_none();
        if is_free {
            self.note_begun(class, bytes, now);
        }
        is_free
    }

    pub(super) fn end_ahead(&mut self) {
        self.running -= 1;
    }

    /// A read of the part that waited for one ahead of it is to be made after all.
    pub(super) fn put_back(&mut self, number: u64, planned: Planned) {
        let Some(part) = self.parts.get_mut(&number) else {
            return;
        };
        part.running -= 1;
        if part.plans.is_empty() {
            self.lines[part.class as usize].queue.push_back(number);
        }
        part.plans.push_back(planned);
    }

    /// Parts that wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        self.lines.iter().map(|line| line.queue.len()).sum()
    }

    /// Something is written: by producers, or of what is copied.
    pub(super) fn on_write(&mut self, now: Instant) {
        self.produced.on_write(now);
    }

    /// A producer's bytes: those of copies would let two brokers that copy from each other go ever faster.
    pub(super) fn on_append(&mut self, bytes: usize, now: Instant) {
        self.produced.on_append(bytes, now);
    }

    /// To be called until there is nothing to be done: after parts were added, reads have ended or memory came back.
    pub(super) fn next(&mut self, memory: &FetchMemory, now: Instant) -> Option<Step> {
        if let Some(part) = self.put_off(now) {
            return Some(Step::Answer(part));
        }
        while self.running < self.reads_max {
            let class = match self.whose_turn(now)? {
                Ok(class) => class,
                Err(at) => return Some(Step::Wait(at)),
            };
            let number = *self.lines[class as usize].queue.front()?;
            let part = self.parts.get_mut(&number).expect("what is queued is there");
            let bytes = part.plans.front().map_or(0, |planned| planned.plan.disk_bytes());
            let has_some = part.has_some();
            let held = if has_some {
                memory.admit_more(bytes)
            } else {
                memory.admit_first(bytes)
            };
            if let Some(held) = held {
                self.note_begun(class, bytes, now);
                self.turn = class.other();
                return self.begin(number, held);
            }
            // Memory is short: whoever holds some does without more.
            let queued = || {
                [Class::Awaited, Class::Behind]
                    .into_iter()
                    .find_map(|class| self.queued_with_some(class))
            };
            let Some(closing) = has_some.then_some(number).or_else(queued) else {
                self.starved_since.get_or_insert(now);
                return None;
            };
            if let Some(part) = self.close(closing) {
                return Some(Step::Answer(part));
            }
        }
        None
    }

    /// The class that may read, of those that wait: in turn, and whoever may before whoever must wait. Or when one may.
    fn whose_turn(&self, now: Instant) -> Option<Result<Class, Instant>> {
        let waits = |class: &Class| !self.lines[*class as usize].queue.is_empty();
        let turns = [self.turn, self.turn.other()].into_iter().filter(waits);
        let turns = turns.map(|class| self.wait_until(class, now).map_or(Ok(class), Err));
        turns.min_by_key(|turn| turn.err())
    }

    /// When the next read of the class may begin, if not now.
    fn wait_until(&self, class: Class, now: Instant) -> Option<Instant> {
        self.lines[class as usize].pace.wait_until(&self.produced, now)
    }

    fn note_begun(&mut self, class: Class, bytes: usize, now: Instant) {
        // Replicas that are behind must each come nearer, or else they are never in sync again.
        let sharing = match class {
            Class::Awaited => 1,
            Class::Behind => {
                self.behind.retain(|_, asked| now.since(*asked) < BEHIND_LINGER);
                self.behind.len()
            }
        };
        self.lines[class as usize]
            .pace
            .on_read(bytes, &self.produced, sharing as u64, now);
        self.running += 1;
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
        if self.starved_since.take_if(|since| waited(*since)).is_none() {
            return Vec::new();
        }
        let is_starved = |part: &Part| !part.has_some() && waited(part.since);
        let starved: Vec<Part> = self
            .parts
            .extract_if(.., |_, part| is_starved(part))
            .map(|(_, part)| part)
            .collect();
        for line in &mut self.lines {
            line.queue.retain(|number| self.parts.contains_key(number));
        }
        starved
    }

    /// The next read of the part whose turn it is; the others come before the one after it.
    fn begin(&mut self, number: u64, held: Held) -> Option<Step> {
        self.starved_since = None;
        let part = self.parts.get_mut(&number)?;
        let queue = &mut self.lines[part.class as usize].queue;
        queue.pop_front();
        let Planned { slot, life, plan, .. } = part.plans.pop_front()?;
        part.running += 1;
        if !part.plans.is_empty() {
            queue.push_back(number);
        }
        Some(Step::Read(ReadJob {
            part: number,
            slot,
            life,
            plan,
            held,
        }))
    }

    /// A part of replicas that are behind, where their pace lets none read now: it gets what it has.
    fn put_off(&mut self, now: Instant) -> Option<Part> {
        let until = self.wait_until(Class::Behind, now)?;
        while let Some(number) = self.lines[Class::Behind as usize].queue.front().copied() {
            self.parts.get_mut(&number)?.put_off(until);
            if let Some(part) = self.close(number) {
                return Some(part);
            }
        }
        None
    }

    fn queued_with_some(&self, class: Class) -> Option<u64> {
        let has_some = |number: &u64| self.parts.get(number).is_some_and(Part::has_some);
        self.lines[class as usize].queue.iter().copied().find(has_some)
    }

    /// Drops the reads that have not begun. The part comes back if none is running.
    fn close(&mut self, number: u64) -> Option<Part> {
        let part = self.parts.get_mut(&number)?;
        part.plans.clear();
        self.lines[part.class as usize].queue.retain(|queued| *queued != number);
        self.take_if_done(number)
    }

    fn take_if_done(&mut self, number: u64) -> Option<Part> {
        let part = self.parts.get(&number)?;
        let is_done = part.running == 0 && part.plans.is_empty();
        is_done.then(|| self.parts.remove(&number)).flatten()
    }
}

impl Part {
    /// Its reads that have not begun are none of its any more, nor of what it counts.
    fn put_off(&mut self, until: Instant) {
        self.mark -= self.plans.iter().map(|planned| planned.mark).sum::<u64>();
        let slots = self.plans.drain(..).map(|planned| planned.slot).collect();
        self.put_off = Some(PutOff { until, slots });
    }

    /// Data, or a read that may bring some.
    fn has_some(&self) -> bool {
        self.running > 0 || self.partitions.iter().any(|one| !one.records.is_empty())
    }
}

impl Line {
    fn at(bytes_per_second: u64) -> Line {
        Line {
            queue: VecDeque::new(),
            pace: Pace::new(bytes_per_second),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ErrorCode, Incarnation, PartitionId, TopicId};
    use crate::shard::fetch_memory::testing::memory;
    use crate::shard::pace;

    const MS: u64 = 1_000_000;

    fn catchup(reads_max: usize, bytes_per_second: u64) -> Catchup {
        let mut config = BrokerConfig::embedded(std::path::Path::new("/nowhere"));
        config.shard_catchup_reads_max = reads_max;
        config.shard_catchup_bytes_per_second = bytes_per_second;
        config.shard_catchup_replica_bytes_per_second = bytes_per_second / 4;
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
        let planned = |slot| Planned {
            slot,
            life,
            plan: ReadPlan::of_disk_bytes(bytes),
            mark: 10,
        };
        Part {
            class: Class::Awaited,
            follower: None,
            to: ShardId(0),
            request,
            mark: 10 * reads as u64 + 7,
            partitions: vec![FetchedPartition::refused(ErrorCode::None); reads],
            plans: (0..reads).map(planned).collect(),
            since: Instant(0),
            running: 0,
            put_off: None,
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
        catchup.on_write(busy);
        catchup.add(part(1, 10, 1000));
        for ms in 0..3 {
            let now = Instant(busy.0 + ms * MS);
            assert_eq!(run(&mut catchup, &memory, now).0.len(), 1, "{ms}");
            assert!(
                matches!(catchup.next(&memory, now), Some(Step::Wait(at)) if at == now.after(Duration::from_millis(1)))
            );
        }
        let paused = busy.after(pace::WRITE_LINGER);
        assert_eq!(run(&mut catchup, &memory, paused).0.len(), 7);
    }

    fn behind(request: u64, reads: usize) -> Part {
        Part {
            class: Class::Behind,
            follower: Some(BrokerId(request as i32)),
            ..part(request, reads, 1000)
        }
    }

    /// A broker that comes back reads at its own pace, and consumers at theirs beside it.
    #[test]
    fn replicas_that_are_behind_have_a_pace_of_their_own() {
        let (mut catchup, memory) = (catchup(100, 1_000_000), memory(1 << 30));
        catchup.add(part(1, 100, 1000));
        let mut reads = [0; 2];
        for ms in 0..40 {
            let now = Instant((1_000 + ms) * MS);
            catchup.on_write(now);
            catchup.add(Part {
                since: now,
                ..behind(2, 100)
            });
            for job in run(&mut catchup, &memory, now).0 {
                reads[usize::from(job.part != 1)] += 1;
                catchup.on_read(job.part, |_| {});
            }
        }
        assert_eq!(reads, [40, 10]);
    }

    /// Producers may wait for other partitions of the same fetch: it is answered at once, and asks again when there is more
    /// to be had. What it counts until then is without the partitions that were put off.
    #[test]
    fn replicas_that_are_behind_do_not_wait_for_their_pace() {
        let (mut catchup, memory) = (catchup(1, 4_000_000), memory(1 << 30));
        let now = Instant(1_000 * MS);
        catchup.on_write(now);
        catchup.add(behind(1, 3));
        let (jobs, answered) = run(&mut catchup, &memory, now);
        assert_eq!(
            (turns(&jobs), answered),
            (vec![(1, 0)], vec![]),
            "its read is under way"
        );
        catchup.add(behind(2, 2));
        let put_off = |part: Part| {
            let put_off = part.put_off.expect("put off");
            (part.request, part.mark, put_off.until, put_off.slots)
        };
        let until = now.after(Duration::from_millis(1));
        let Some(Step::Answer(second)) = catchup.next(&memory, now) else {
            panic!("nothing is to be waited for, be it that all reads run")
        };
        assert_eq!(put_off(second), (2, 7, until, vec![0, 1]));
        let first = catchup.on_read(1, |_| {}).expect("that was its only read");
        assert_eq!(put_off(first), (1, 17, until, vec![1, 2]));
        assert!(catchup.next(&memory, now).is_none());
    }

    #[test]
    fn classes_take_turns() {
        let (mut catchup, memory) = (catchup(1, 0), memory(1 << 30));
        catchup.add(behind(1, 2));
        catchup.add(part(2, 2, 1000));
        let mut turn = || {
            let (jobs, _) = run(&mut catchup, &memory, Instant(0));
            jobs.iter().for_each(|job| drop(catchup.on_read(job.part, |_| {})));
            turns(&jobs)
        };
        let seen: Vec<_> = (0..4).flat_map(|_| turn()).collect();
        assert_eq!(seen, [(2, 0), (1, 0), (2, 1), (1, 1)]);
    }

    /// A read ahead is made while the other class waits for its pace.
    #[test]
    fn who_waits_for_the_pace_stops_no_reads_ahead() {
        let (mut catchup, memory) = (catchup(100, 4_000_000), memory(1 << 30));
        let now = Instant(1_000 * MS);
        catchup.on_write(now);
        catchup.add(behind(1, 1));
        catchup.add(behind(2, 1));
        assert!(!catchup.begin_ahead(Class::Awaited, 1000, now), "somebody may read");
        assert_eq!(run(&mut catchup, &memory, now).0.len(), 1);
        assert!(catchup.begin_ahead(Class::Awaited, 1000, now));
        assert!(!catchup.begin_ahead(Class::Behind, 1000, now), "its class waits");
    }

    /// Short of memory, a part that has something is answered with that; one that has nothing waits, but not for ever.
    #[test]
    fn memory_bounds_the_reads() {
        let (mut catchup, memory) = (catchup(100, 0), memory(10_000));
        catchup.add(part(1, 10, 2000));
        catchup.add(part(2, 1, 6000));
        catchup.add(part(3, 1, 6000));
        catchup.add(behind(4, 1));
        catchup.add(Part {
            class: Class::Behind,
            ..part(5, 1, 6000)
        });
        let (jobs, answered) = run(&mut catchup, &memory, Instant(0));
        assert_eq!((turns(&jobs), answered), (vec![(1, 0), (4, 0), (2, 0)], vec![]));
        assert_eq!(memory.used(), 9000);
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
            [3, 5],
            "of both classes"
        );
        drop(jobs);
        assert_eq!(memory.used(), 0);
    }
}
