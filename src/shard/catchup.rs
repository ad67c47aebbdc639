//! Reads from the disk: so many at a time, so many bytes a second while producers write, and never more than there is
//! memory for their answers. So neither a consumer of old data nor a broker that comes back moves the producers' latency.
//!
//! Replicas that are behind have a pace of their own for each broker, apart from consumers and from replicas that producers
//! wait for. The reads of a class wait in a queue of the fetches' parts, which get one each in turn; a connection has one
//! fetch in hand, so this is fair between connections. Where memory is short a part that has data does without the rest: a
//! fetch may give fewer bytes than were asked for. One that has nothing waits for memory, but not for ever: its fetch may
//! hold memory of another shard, whose readers wait for this one's.
//!
//! Producers may wait for other partitions of a fetch for replicas that are behind, be they another shard's. So it waits
//! neither for their pace nor for memory: it is answered without them, and its long poll asks again when they may be read.
//! And they are read only once all that is awaited of their part is being read.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::fetch_memory::{FetchMemory, Held};
use super::message::{Life, PutOff, ReadJob};
use super::pace::{Appends, Pace, Produced};
use super::types::FetchedPartition;
use crate::config::BrokerConfig;
use crate::model::{BrokerId, ShardId};
use crate::rt::Instant;
use crate::storage::ReadPlan;

/// How long a part without data waits for memory before it is answered so.
const MEMORY_WAIT_MAX: Duration = Duration::from_secs(1);
/// When a replica that is behind, and found no memory, is tried again.
const MEMORY_RETRY: Duration = Duration::from_millis(100);
/// A broker that asked this lately for replicas that are behind asks again: none is put off for longer.
const BEHIND_LINGER: Duration = Duration::from_secs(2);
/// What is read at once for one of them, by the time that it is paid for in: the way to it and back is shorter.
const BEHIND_AT_ONCE: Duration = Duration::from_millis(20);
/// What is read of one of their partitions at a time while something is written: a write waits for the reads before it, there
/// and where this is written in turn.
const BEHIND_PIECE_BYTES: usize = 256 << 10;

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Consumers, and replicas that producers with acks=all wait for.
    Awaited,
    /// Replicas of a broker that nobody waits for.
    Behind(BrokerId),
}

const AWAITED: usize = 0;
const BEHIND: usize = 1;

impl Class {
    /// Its place where there is something for each.
    fn at(self) -> usize {
        match self {
            Class::Awaited => AWAITED,
            Class::Behind(_) => BEHIND,
        }
    }
}

/// The part of a fetch that this shard answers, while it needs the disk.
pub(super) struct Part {
    pub(super) to: ShardId,
    pub(super) request: u64,
    pub(super) mark: u64,
    pub(super) partitions: Vec<FetchedPartition>,
    /// Reads that have not begun, of each class.
    pub(super) plans: [VecDeque<Planned>; 2],
    /// Replicas that are behind and get nothing now, by their places, and what of the mark is theirs.
    pub(super) left_out: Vec<(usize, u64)>,
    pub(super) since: Instant,
    /// Reads that have, and those that wait for one ahead of them.
    pub(super) running: usize,
    pub(super) put_off: Option<PutOff>,
}

/// The read of one partition.
pub(super) struct Planned {
    pub(super) class: Class,
    /// Its place in the part.
    pub(super) slot: usize,
    pub(super) life: Life,
    pub(super) plan: ReadPlan,
    /// What of the part's mark is this partition's, if it may be put off.
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
    /// shard.catchup.bytes.per.second, and that of replicas; 0: any number.
    bytes_per_second: [u64; 2],
    running: usize,
    parts: BTreeMap<u64, Part>,
    last: u64,
    /// The parts with reads of a class that have not begun, in turn.
    queues: [VecDeque<u64>; 2],
    /// The class whose turn it is.
    turn: usize,
    produced: Produced,
    /// Of what is awaited.
    pace: Pace,
    behind: BTreeMap<BrokerId, Behind>,
    /// Since when the part whose turn it is waits for memory, and with it all others.
    starved_since: Option<Instant>,
}

/// A broker with replicas that are behind.
struct Behind {
    asked: Instant,
    pace: Pace,
}

enum Turn {
    Of(usize),
    /// Nobody's before then.
    At(Instant),
}

impl Catchup {
    pub(super) fn new(config: &BrokerConfig) -> Catchup {
        Catchup {
            reads_max: config.shard_catchup_reads_max,
            bytes_per_second: [
                config.shard_catchup_bytes_per_second,
                config.shard_catchup_replica_bytes_per_second,
            ],
            running: 0,
            parts: BTreeMap::new(),
            last: 0,
            queues: Default::default(),
            turn: AWAITED,
            produced: Produced::default(),
            pace: Pace::new(Duration::ZERO),
            behind: BTreeMap::new(),
            starved_since: None,
        }
    }

    /// Gives the number of the part.
    pub(super) fn add(&mut self, part: Part) -> u64 {
        self.last += 1;
        if let Some(planned) = part.plans[BEHIND].front() {
            self.note_asked(planned.class, part.since);
        }
        self.parts.insert(self.last, part);
        self.queue(self.last);
        self.last
    }

    /// Where the part waits: for what is awaited first.
    fn queue(&mut self, number: u64) {
        let Some(part) = self.parts.get(&number) else { return };
        if let Some(at) = [AWAITED, BEHIND].into_iter().find(|at| !part.plans[*at].is_empty())
            && !self.queues[at].contains(&number)
        {
            self.queues[at].push_back(number);
        }
    }

    fn note_asked(&mut self, class: Class, now: Instant) {
        if let Class::Behind(broker) = class {
            let new = || Behind {
                asked: now,
                pace: Pace::new(BEHIND_AT_ONCE),
            };
            self.behind.entry(broker).or_insert_with(new).asked = now;
            self.behind.retain(|_, one| now.since(one.asked) < BEHIND_LINGER);
        }
    }

    /// A read ahead of a reader begins, if nobody waits who may read.
    pub(super) fn begin_ahead(&mut self, class: Class, bytes: usize, now: Instant) -> bool {
        self.note_asked(class, now);
        let may_somebody = matches!(self.whose_turn(now), Some(Turn::Of(_)));
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
        part.plan(planned);
        self.queue(number);
    }

    /// Parts that wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        self.queues.iter().map(VecDeque::len).sum()
    }

    /// Something is written: by producers, or of what is copied.
    pub(super) fn on_write(&mut self, now: Instant) {
        self.produced.on_write(now);
    }

    /// A producer's bytes: those of copies would let two brokers that copy from each other go ever faster. `lags`: replicas of
    /// the partition do.
    pub(super) fn on_append(&mut self, bytes: usize, lags: bool, now: Instant) {
        self.produced.on_append(bytes, lags, now);
    }

    /// The most that the class reads of a partition at a time.
    pub(super) fn piece_bytes(&self, class: Class, now: Instant) -> usize {
        let is_paced = self.bytes_per_second[class.at()] > 0 && self.produced.goes_on(now);
        match class {
            Class::Behind(_) if is_paced => BEHIND_PIECE_BYTES,
            Class::Awaited | Class::Behind(_) => usize::MAX,
        }
    }

    /// To be called until there is nothing to be done: after parts were added, reads have ended or memory came back.
    pub(super) fn next(&mut self, memory: &FetchMemory, now: Instant) -> Option<Step> {
        if let Some(part) = self.take_put_off(now) {
            return Some(Step::Answer(part));
        }
        while self.running < self.reads_max {
            let at = match self.whose_turn(now)? {
                Turn::Of(at) => at,
                Turn::At(when) => return Some(Step::Wait(when)),
            };
            let number = *self.queues[at].front()?;
            let part = self.parts.get(&number).expect("what is queued is there");
            let planned = part.plans[at].front().expect("it is queued for its plans");
            let (class, bytes, has_some) = (planned.class, planned.plan.disk_bytes(), part.has_some());
            let held = match has_some {
                true => memory.admit_more(bytes),
                false => memory.admit_first(bytes),
            };
            if let Some(held) = held {
                self.note_begun(class, bytes, now);
                self.turn = 1 - at;
                return self.begin(number, at, held);
            }
            // Memory is short: nobody waits for what is behind, and whoever holds some does without more.
            let done = if at == BEHIND {
                self.put_off(number, now.after(MEMORY_RETRY))
            } else if let Some(closing) = has_some.then_some(number).or_else(|| self.queued_with_some()) {
                self.close(closing)
            } else {
                self.starved_since.get_or_insert(now);
                return None;
            };
            if let Some(part) = done {
                return Some(Step::Answer(part));
            }
        }
        None
    }

    /// The class that may read, of those that wait, in turn. Those that are behind and queued may.
    fn whose_turn(&self, now: Instant) -> Option<Turn> {
        let awaited_at = self.wait_until(Class::Awaited, now);
        let waits = |at: &usize| !self.queues[*at].is_empty();
        let may = |at: &usize| *at == BEHIND || awaited_at.is_none();
        let turns = [self.turn, 1 - self.turn];
        let of = turns.into_iter().find(|at| waits(at) && may(at));
        of.map(Turn::Of)
            .or(awaited_at.filter(|_| waits(&AWAITED)).map(Turn::At))
    }

    /// When the next read of the class may begin, if not now.
    fn wait_until(&self, class: Class, now: Instant) -> Option<Instant> {
        let pace = match class {
            Class::Awaited => &self.pace,
            Class::Behind(broker) => &self.behind.get(&broker)?.pace,
        };
        let until = pace.wait_until(&self.produced, now);
        until.filter(|_| self.bytes_per_second[class.at()] > 0)
    }

    fn note_begun(&mut self, class: Class, bytes: usize, now: Instant) {
        self.pay(class, bytes, now);
        self.running += 1;
    }

    /// A read has given other than it was thought to, and paid for: its last batch was cut short, or its first one is larger.
    pub(super) fn settle(&mut self, class: Class, thought: usize, given: usize, now: Instant) {
        if given > thought {
            self.pay(class, given - thought, now);
        } else if let Some((pace, least, appends, produced)) = self.paced(class) {
            pace.give_back(thought - given, least, appends, produced, now);
        }
    }

    fn pay(&mut self, class: Class, bytes: usize, now: Instant) {
        if let Some((pace, least, appends, produced)) = self.paced(class) {
            pace.on_read(bytes, least, appends, produced, now);
        }
    }

    fn paced(&mut self, class: Class) -> Option<(&mut Pace, u64, Appends, &Produced)> {
        // Brokers that are behind must each come nearer, or else they are never in sync again.
        let sharing = self.behind.len().max(1) as u64;
        let least = self.bytes_per_second[class.at()];
        Some(match class {
            Class::Awaited => (&mut self.pace, least, Appends::All, &self.produced),
            Class::Behind(broker) => {
                let one = self.behind.get_mut(&broker)?;
                (&mut one.pace, least / sharing, Appends::Lagging, &self.produced)
            }
        })
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
        for queue in &mut self.queues {
            queue.retain(|number| self.parts.contains_key(number));
        }
        starved
    }

    /// The next read of the part whose turn it is; the others come before the one after it.
    fn begin(&mut self, number: u64, at: usize, held: Held) -> Option<Step> {
        self.starved_since = None;
        let part = self.parts.get_mut(&number)?;
        self.queues[at].pop_front();
        let Planned {
            class,
            slot,
            life,
            plan,
            ..
        } = part.plans[at].pop_front()?;
        part.running += 1;
        self.queue(number);
        Some(Step::Read(ReadJob {
            part: number,
            class,
            slot,
            life,
            plan,
            held,
        }))
    }

    /// A part that waits for nothing more once it does without replicas that are behind, whose pace lets none be read now.
    fn take_put_off(&mut self, now: Instant) -> Option<Part> {
        while let Some((number, until)) = self.to_be_put_off(now) {
            if let Some(part) = self.put_off(number, until) {
                return Some(part);
            }
        }
        None
    }

    /// The part comes back if it waits for nothing more.
    fn put_off(&mut self, number: u64, until: Instant) -> Option<Part> {
        self.parts.get_mut(&number)?.put_off(until);
        self.queues[BEHIND].retain(|queued| *queued != number);
        self.take_if_done(number)
    }

    fn to_be_put_off(&self, now: Instant) -> Option<(u64, Instant)> {
        let until = |number: &u64| {
            let planned = self.parts.get(number)?.plans[BEHIND].front()?;
            Some((*number, self.wait_until(planned.class, now)?))
        };
        self.queues[BEHIND].iter().find_map(until)
    }

    /// Of those that are awaited.
    fn queued_with_some(&self) -> Option<u64> {
        let has_some = |number: &u64| self.parts.get(number).is_some_and(Part::has_some);
        self.queues[AWAITED].iter().copied().find(has_some)
    }

    /// Drops the reads that have not begun. The part comes back if none is running.
    fn close(&mut self, number: u64) -> Option<Part> {
        let part = self.parts.get_mut(&number)?;
        part.plans.iter_mut().for_each(VecDeque::clear);
        for queue in &mut self.queues {
            queue.retain(|queued| *queued != number);
        }
        self.take_if_done(number)
    }

    fn take_if_done(&mut self, number: u64) -> Option<Part> {
        let part = self.parts.get(&number)?;
        let is_done = part.running == 0 && !part.has_plans();
        is_done.then(|| self.parts.remove(&number)).flatten()
    }
}

impl Part {
    pub(super) fn plan(&mut self, planned: Planned) {
        self.plans[planned.class.at()].push_back(planned);
    }

    pub(super) fn has_plans(&self) -> bool {
        self.plans.iter().any(|plans| !plans.is_empty())
    }

    /// Replicas that are behind, and whose reads have not begun, are none of its any more, nor of what it counts.
    fn put_off(&mut self, until: Instant) {
        let planned = self.plans[BEHIND].drain(..).map(|planned| (planned.slot, planned.mark));
        let put_off = self.put_off.get_or_insert_with(|| PutOff::new(until));
        put_off.until = until;
        for (slot, mark) in planned.chain(self.left_out.drain(..)) {
            self.mark -= mark;
            put_off.slots.push(slot);
        }
        put_off.slots.sort_unstable();
    }

    /// Data, or a read that may bring some.
    fn has_some(&self) -> bool {
        self.running > 0 || self.partitions.iter().any(|one| !one.records.is_empty())
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
    fn part_of(class: Class, request: u64, reads: usize, bytes: usize) -> Part {
        let life = Life {
            partition: PartitionId {
                topic: TopicId::ZERO,
                index: 0,
            },
            incarnation: Incarnation(1),
        };
        let planned = |slot| Planned {
            class,
            slot,
            life,
            plan: ReadPlan::of_disk_bytes(bytes),
            mark: 10,
        };
        let mut part = Part {
            to: ShardId(0),
            request,
            mark: 10 * reads as u64 + 7,
            partitions: vec![FetchedPartition::refused(ErrorCode::None); reads],
            plans: Default::default(),
            left_out: Vec::new(),
            since: Instant(0),
            running: 0,
            put_off: None,
        };
        (0..reads).map(planned).for_each(|planned| part.plan(planned));
        part
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

    /// What a read gives counts, be it less than was thought, or more.
    #[test]
    fn what_was_given_is_paid_for() {
        let (mut catchup, memory) = (catchup(100, 1_000_000), memory(1 << 30));
        let now = Instant(1_000 * MS);
        catchup.on_write(now);
        catchup.add(part(1, 10, 1000));
        assert_eq!(run(&mut catchup, &memory, now).0.len(), 1);
        let mut until = |given| {
            catchup.settle(Class::Awaited, 1000, given, now);
            match catchup.next(&memory, now) {
                Some(Step::Wait(at)) => at.since(now),
                _ => panic!("nothing to wait for"),
            }
        };
        assert_eq!(until(5000), Duration::from_millis(5));
        assert_eq!(until(400), Duration::from_micros(4_400));
    }

    /// While something is written, replicas that are behind take small pieces.
    #[test]
    fn whoever_is_behind_reads_in_pieces_while_producers_write() {
        let (mut paced, mut free) = (catchup(1, 1_000_000), catchup(1, 0));
        let busy = Instant(1_000 * MS);
        paced.on_write(busy);
        free.on_write(busy);
        let behind = Class::Behind(BrokerId(2));
        assert_eq!(paced.piece_bytes(behind, busy), BEHIND_PIECE_BYTES);
        assert_eq!(paced.piece_bytes(Class::Awaited, busy), usize::MAX);
        assert_eq!(paced.piece_bytes(behind, busy.after(pace::WRITE_LINGER)), usize::MAX);
        assert_eq!(free.piece_bytes(behind, busy), usize::MAX);
    }

    fn part(request: u64, reads: usize, bytes: usize) -> Part {
        part_of(Class::Awaited, request, reads, bytes)
    }

    fn behind(request: u64, reads: usize) -> Part {
        part_of(Class::Behind(BrokerId(2)), request, reads, 1000)
    }

    /// Each broker that comes back reads at its own pace, whoever asks first, and consumers at theirs beside them.
    #[test]
    fn brokers_that_are_behind_have_a_pace_of_their_own() {
        let (mut catchup, memory) = (catchup(100, 1_000_000), memory(1 << 30));
        catchup.add(part(1, 1_000, 1000));
        let mut reads = [0; 3];
        for ms in 0..400 {
            let now = Instant((1_000 + ms) * MS);
            catchup.on_write(now);
            for broker in [2, 3] {
                catchup.add(Part {
                    since: now,
                    ..part_of(Class::Behind(BrokerId(broker)), 2, 100, 1000)
                });
            }
            for job in run(&mut catchup, &memory, now).0 {
                let reader = match job.class {
                    Class::Awaited => 0,
                    Class::Behind(broker) => broker.0 as usize - 1,
                };
                reads[reader] += 1;
                catchup.on_read(job.part, |_| {});
            }
        }
        // A quarter of a megabyte a second for both, and what is read at once.
        let [consumer, first, second] = reads;
        assert_eq!(consumer, 400);
        assert!(first == second && (50..=57).contains(&first), "{reads:?}");
    }

    /// Producers may wait for other partitions of the same fetch: it is answered at once, and asks again when there is more
    /// to be had. What it counts until then is without the partitions that were put off.
    #[test]
    fn replicas_that_are_behind_do_not_wait_for_their_pace() {
        let (mut catchup, memory) = (catchup(200, 4_000_000), memory(1 << 30));
        let now = Instant(1_000 * MS);
        catchup.on_write(now);
        catchup.add(behind(1, 200));
        // What may be read at once is 20 of them, as many because the broker comes late, and one more.
        let (jobs, answered) = run(&mut catchup, &memory, now);
        assert_eq!((jobs.len(), answered), (41, vec![]), "reads of it are under way");
        let until = now.after(Duration::from_millis(21));
        let put_off = |part: Part| {
            let put_off = part.put_off.expect("put off");
            (part.request, part.mark, put_off.until, put_off.slots.len())
        };
        catchup.add(behind(2, 2));
        let Some(Step::Answer(second)) = catchup.next(&memory, now) else {
            panic!("nothing is to be waited for")
        };
        assert_eq!(put_off(second), (2, 7, until, 2));
        let mut last = None;
        while last.is_none() {
            last = catchup.on_read(1, |_| {});
        }
        assert_eq!(last.map(put_off), Some((1, 10 * 41 + 7, until, 159)));
        assert!(catchup.next(&memory, now).is_none());
    }

    /// A part has both: what is awaited is read at its own pace, the other is put off.
    #[test]
    fn what_is_awaited_takes_nothing_along() {
        let (mut catchup, memory) = (catchup(200, 4_000_000), memory(1 << 30));
        let now = Instant(1_000 * MS);
        catchup.on_write(now);
        catchup.add(behind(1, 41));
        assert_eq!(run(&mut catchup, &memory, now).0.len(), 41);
        let mut both = part(2, 1, 1000);
        both.mark += 24;
        both.left_out.push((3, 4));
        for slot in 1..3 {
            both.plans[BEHIND].extend(behind(2, 3).plans[BEHIND].drain(slot..=slot));
        }
        catchup.add(both);
        let (jobs, answered) = run(&mut catchup, &memory, now);
        assert_eq!((turns(&jobs), answered), (vec![(2, 0)], vec![]));
        let answered = catchup.on_read(2, |_| {}).expect("it waits for nothing else");
        assert_eq!(
            (answered.mark, answered.put_off.expect("put off").slots),
            (17, vec![1, 2, 3])
        );
    }

    /// Of one part what is awaited is begun first, whosever turn it is: it has the memory that a first read may take.
    #[test]
    fn a_part_reads_what_is_awaited_first() {
        let (mut catchup, memory) = (catchup(100, 0), memory(1 << 30));
        let mut both = part(1, 2, 1000);
        both.plans[BEHIND].extend(behind(1, 3).plans[BEHIND].drain(2..));
        catchup.turn = BEHIND;
        catchup.add(both);
        assert_eq!(
            turns(&run(&mut catchup, &memory, Instant(0)).0),
            [(1, 0), (1, 1), (1, 2)]
        );
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
        let (mut catchup, memory) = (catchup(200, 4_000_000), memory(1 << 30));
        let now = Instant(1_000 * MS);
        catchup.on_write(now);
        catchup.add(behind(1, 200));
        assert!(!catchup.begin_ahead(Class::Awaited, 1000, now), "somebody may read");
        assert_eq!(run(&mut catchup, &memory, now).0.len(), 41);
        assert!(catchup.begin_ahead(Class::Awaited, 1000, now));
        assert!(
            !catchup.begin_ahead(Class::Behind(BrokerId(2)), 1000, now),
            "its broker waits"
        );
    }

    /// Short of memory, a part that has something is answered with that; one that has nothing waits, but not for ever, and not
    /// at all if nobody waits for it.
    #[test]
    fn memory_bounds_the_reads() {
        let (mut catchup, memory) = (catchup(100, 0), memory(10_000));
        catchup.add(part(1, 10, 2000));
        catchup.add(part(2, 1, 6000));
        catchup.add(part(3, 1, 6000));
        catchup.add(behind(4, 1));
        catchup.add(part_of(Class::Behind(BrokerId(2)), 5, 1, 6000));
        let (jobs, answered) = run(&mut catchup, &memory, Instant(0));
        assert_eq!((turns(&jobs), answered), (vec![(1, 0), (4, 0), (2, 0)], vec![5]));
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
            [3]
        );
        drop(jobs);
        assert_eq!(memory.used(), 0);
    }
}
