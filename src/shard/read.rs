//! Fetches, on the owner's side: plan each read, answer from the cache at once, leave the rest to the class of reads from
//! the disk.

use super::catchup::{Class, Part, Planned, Step};
use super::fetch_memory::FetchMemory;
use super::hosted::{Hosted, Open, open_at};
use super::long_poll::cut;
use super::message::{AheadDone, AheadJob, Answer, FetchAnswer, FetchPart, Job, Life, ReadDone, WaitKind};
use super::read_ahead::{Piece, ReadAheads, Waiting};
use super::state::Shard;
use super::timers::Due;
use super::types::{FetchItem, FetchedPartition, Isolation, Reader};
use crate::metrics::Metric;
use crate::model::{ErrorCode, NO_EPOCH, PartitionId, ShardId};
use crate::partition::{Bound, EpochError, FollowerError, FollowerFetch, ReadAsk, ReadRefusal, Reading};
use crate::rt::Now;
use crate::storage::{Cache, ReadAhead, ReadPlan, ReadResult, StorageError};

/// Who reads, and how much of the disk at a time.
struct Taker {
    reader: Reader,
    class: Class,
    piece_bytes: usize,
}

/// What the items of one part may still take.
struct Budget {
    bytes: usize,
    /// Nothing was read yet: the next partition with data gives a whole batch whatever the limits (behaviour 32).
    first: bool,
}

/// What a read takes from, and what it leaves behind.
struct Stores<'a> {
    cache: &'a mut Cache,
    aheads: &'a mut ReadAheads,
    memory: &'a FetchMemory,
}

/// What became of one item.
enum Fetching {
    /// Nobody waits for it: what is awaited comes first.
    Later,
    Ready(FetchedPartition),
    FromDisk(FetchedPartition, Life, ReadPlan, Class),
}

impl Shard {
    pub(super) fn on_fetch(&mut self, from: ShardId, request: u64, ask: FetchPart, now: Now) {
        self.forget_wait(from, request);
        let mut budget = Budget {
            bytes: ask.max_bytes,
            first: true,
        };
        let mut part = Part {
            to: from,
            request,
            mark: self.mark(WaitKind::of(ask.reader), ask.items.iter().map(|item| &item.partition)),
            partitions: Vec::with_capacity(ask.items.len()),
            plans: Default::default(),
            left_out: Vec::new(),
            since: now.instant,
            running: 0,
            put_off: None,
        };
        let mut later = Vec::new();
        for (slot, item) in ask.items.iter().enumerate() {
            let fetching = self.fetch_one(item, ask.reader, &mut budget, true, now);
            if matches!(fetching, Fetching::Later) {
                later.push(slot);
            }
            let fetched = self.take_up(&mut part, slot, item, fetching);
            part.partitions.push(fetched);
        }
        for slot in later {
            let item = &ask.items[slot];
            let fetching = self.fetch_one(item, ask.reader, &mut budget, false, now);
            if matches!(&fetching, Fetching::Ready(fetched) if fetched.gives_nothing()) {
                part.left_out
                    .push((slot, self.mark(WaitKind::Submitted, [&item.partition])));
            }
            part.partitions[slot] = self.take_up(&mut part, slot, item, fetching);
        }
        match part.has_plans() {
            true => self.queue_reads(part),
            false => self.answer_fetch(part),
        }
    }

    /// What is answered of the item if nothing is read.
    fn take_up(&self, part: &mut Part, slot: usize, item: &FetchItem, fetching: Fetching) -> FetchedPartition {
        match fetching {
            Fetching::Later => FetchedPartition::refused(ErrorCode::None),
            Fetching::Ready(fetched) => fetched,
            Fetching::FromDisk(fetched, life, plan, class) => {
                let mark = match class {
                    Class::Awaited => 0,
                    Class::Behind(_) => self.mark(WaitKind::Submitted, [&item.partition]),
                };
                part.plan(Planned {
                    class,
                    slot,
                    life,
                    plan,
                    mark,
                });
                fetched
            }
        }
    }

    /// Reads in turn; those that are being made ahead of their readers are waited for.
    fn queue_reads(&mut self, mut part: Part) {
        let mut ahead = Vec::new();
        for planned in std::mem::take(&mut part.plans).into_iter().flatten() {
            let piece = planned.plan.disk_offset().map(|offset| Piece {
                life: planned.life,
                offset,
            });
            match piece.filter(|piece| self.aheads.is_running(*piece)) {
                Some(piece) => ahead.push((piece, planned)),
                None => part.plan(planned),
            }
        }
        part.running = ahead.len();
        let part = self.catchup.add(part);
        for (piece, planned) in ahead {
            self.aheads.wait(piece, Waiting { part, planned });
        }
    }

    fn answer_fetch(&mut self, part: Part) {
        let answer = FetchAnswer {
            partitions: part.partitions,
            mark: part.mark,
            put_off: part.put_off,
        };
        self.answer_since(part.since, part.to, part.request, Answer::Fetch(answer));
    }

    /// `awaited_first`: what is not awaited is left for later.
    fn fetch_one(
        &mut self,
        item: &FetchItem,
        reader: Reader,
        budget: &mut Budget,
        awaited_first: bool,
        now: Now,
    ) -> Fetching {
        let hosted = self.hosted.get_mut(&item.partition);
        let open = match (hosted, reader) {
            (None, _) => return refused(ErrorCode::UnknownTopicOrPartition),
            (
                Some(hosted),
                Reader::Consumer {
                    from_any_replica: true, ..
                },
            ) => hosted.readable(),
            (Some(hosted), _) => hosted.serving(),
        };
        let open = match open {
            Err(error) => return refused(error),
            Ok(open) => open,
        };
        let class = class(open, reader);
        if awaited_first && class != Class::Awaited {
            return Fetching::Later;
        }
        let stores = Stores {
            cache: &mut self.cache,
            aheads: &mut self.aheads,
            memory: &self.fetch_memory,
        };
        let taker = Taker {
            reader,
            class,
            piece_bytes: self.catchup.piece_bytes(class, now.instant),
        };
        let fetching = read(open, item, taker, budget, stores);
        self.count_read(&fetching);
        match (reader, &fetching) {
            (Reader::Follower { broker, epoch }, Fetching::Ready(fetched) | Fetching::FromDisk(fetched, ..))
                if fetched.error.is_none() && fetched.diverging_epoch.is_none() =>
            {
                let fetch = FollowerFetch {
                    broker,
                    broker_epoch: epoch,
                    offset: item.offset,
                    log_start: item.log_start,
                };
                match self.on_follower_fetch(item.partition, &fetch, now) {
                    Ok(high_watermark) => {
                        // By this fetch it may have begun to join.
                        let class = open_class(self.hosted.get(&item.partition), reader);
                        fetching.with_high_watermark(high_watermark).in_class(class)
                    }
                    Err(error) => refused(error),
                }
            }
            _ => fetching,
        }
    }

    /// The follower holds everything below the offset that it asks for. Gives the high watermark after that.
    fn on_follower_fetch(&mut self, id: PartitionId, fetch: &FollowerFetch, now: Now) -> Result<i64, ErrorCode> {
        let Some(Hosted::Open(open)) = self.hosted.get_mut(&id) else {
            return Err(ErrorCode::NotLeaderOrFollower);
        };
        let (life, before) = (open.life(), open.partition.high_watermark());
        match open.partition.on_follower_fetch(fetch, &mut self.acked, now.instant) {
            // A reassignment that this broker has not heard of yet.
            Err(FollowerError::NotReplica) => Err(ErrorCode::UnknownLeaderEpoch),
            Err(FollowerError::StaleBroker) => Err(ErrorCode::NotLeaderOrFollower),
            Ok(visible_bytes) => {
                let high_watermark = open.partition.high_watermark();
                if open.partition.wants_isr_change() {
                    self.isr.look_at(id);
                }
                // Nearly always there is nothing new from a follower.
                if high_watermark != before || !self.acked.is_empty() {
                    self.on_advanced(life, Ok(visible_bytes), now);
                }
                self.settle_deletions(id);
                Ok(high_watermark)
            }
        }
    }

    fn count_read(&self, fetching: &Fetching) {
        match fetching {
            Fetching::FromDisk(..) => self.metrics.add(Metric::CacheMisses, 1),
            Fetching::Ready(fetched) if !fetched.records.is_empty() => self.metrics.add(Metric::CacheHits, 1),
            Fetching::Ready(_) | Fetching::Later => {}
        }
    }

    /// Begins the reads whose turn it is. At the end of a turn: whatever may let one go has happened in it.
    pub(super) fn start_reads(&mut self, now: Now) {
        while let Some(step) = self.catchup.next(&self.fetch_memory, now.instant) {
            match step {
                Step::Read(job) => self.jobs.push(Job::Read(job)),
                Step::Answer(part) => self.answer_fetch(part),
                Step::Wait(at) => {
                    self.timers.add(at, Due::Read);
                    break;
                }
            }
        }
        for (piece, class) in self.aheads.take_wanted() {
            self.read_ahead(piece, class, now);
        }
    }

    /// Reads the piece into the cache, if it lies on the disk and there is room for it.
    fn read_ahead(&mut self, piece: Piece, class: Class, now: Now) {
        let Some(open) = open_at(&mut self.hosted, piece.life) else {
            return;
        };
        let ask = ReadAsk {
            offset: piece.offset,
            max_bytes: usize::MAX,
            at_least_one: true,
            last_fetched_epoch: NO_EPOCH,
            bound: Bound::LogEnd,
        };
        let Ok(Reading::Plan(plan)) = open.partition.plan_read(&ask, &mut self.cache) else {
            return;
        };
        let Err(plan) = plan.ready() else { return };
        let plan = plan.in_pieces_of(self.catchup.piece_bytes(class, now.instant));
        let bytes = plan.disk_bytes();
        if bytes == 0 || !self.aheads.has_room(bytes, self.cache.ahead_limit_bytes(), now.instant) {
            return;
        }
        let Some(held) = self.fetch_memory.admit_more(bytes) else {
            return;
        };
        if self.catchup.begin_ahead(class, bytes, now.instant) {
            self.aheads.begin(piece, bytes);
            self.jobs.push(Job::ReadAhead(AheadJob {
                piece,
                class,
                plan,
                held,
            }));
        }
    }

    pub(super) fn on_read_ahead(&mut self, done: AheadDone, now: Now) {
        let AheadDone {
            piece,
            class,
            result,
            held,
        } = done;
        self.catchup.end_ahead();
        let waiting = self.aheads.end(piece, now.instant);
        // What went wrong, the next reader is told.
        let chunk = result.ok().and_then(|result| result.read_ahead);
        let given = chunk.as_ref().map_or(0, ReadAhead::bytes);
        self.catchup.settle(class, held.bytes(), given, now.instant);
        drop(held);
        for Waiting { part, mut planned } in waiting {
            let ready = match &chunk {
                Some(chunk) => planned.plan.ready_from(chunk),
                None => Err(planned.plan),
            };
            match ready {
                Ok(result) => self.on_read_for(part, (planned.slot, planned.class), piece.life, result),
                Err(plan) => {
                    planned.plan = plan;
                    self.catchup.put_back(part, planned);
                }
            }
        }
        if let Some(chunk) = chunk {
            self.cache.admit_read(chunk);
        }
    }

    /// The read of a fetch was made ahead of it.
    fn on_read_for(&mut self, part: u64, (slot, class): (usize, Class), life: Life, result: ReadResult) {
        let next = Piece {
            life,
            offset: result.next_offset,
        };
        self.aheads.want(next, class);
        let memory = self.fetch_memory.clone();
        let done = self.catchup.on_ended(part, |part| {
            if let Some(fetched) = part.partitions.get_mut(slot) {
                fetched.records = result.batches;
                fetched.aborted = result.aborted;
                memory.take(fetched.record_bytes()).hold_for(fetched);
            }
        });
        if let Some(part) = done {
            self.answer_fetch(part);
        }
    }

    pub(super) fn on_read(&mut self, done: ReadDone, now: Now) {
        let ReadDone {
            part,
            class,
            slot,
            life,
            result,
            mut held,
        } = done;
        let thought = held.bytes();
        let given = result
            .as_ref()
            .map_or(0, |result| result.read_ahead.as_ref().map_or(0, ReadAhead::bytes));
        self.catchup.settle(class, thought, given, now.instant);
        let mut failed = None;
        let mut read_ahead = None;
        let mut next = None;
        let done = self.catchup.on_read(part, |part| {
            match (result, part.partitions.get_mut(slot)) {
                (Ok(result), Some(fetched)) => {
                    next = Some(result.next_offset);
                    fetched.records = result.batches;
                    // From the cache, if only the aborted transactions had to be loaded.
                    held.set(result.disk_bytes.max(fetched.record_bytes()));
                    fetched.aborted = result.aborted;
                    held.hold_for(fetched);
                    read_ahead = result.read_ahead;
                }
                (Err(error), Some(fetched)) => {
                    *fetched = FetchedPartition::refused(read_refusal(&error));
                    failed = Some(error);
                }
                (_, None) => {}
            }
        });
        if let Some(chunk) = read_ahead {
            // Who takes all of a piece is about to take the next one.
            if let Some(offset) = next.filter(|offset| *offset == chunk.next_offset()) {
                self.aheads.want(Piece { life, offset }, class);
            }
            self.cache.admit_read(chunk);
        }
        if let Some(error) = failed {
            self.fail_log(life, &error);
        }
        if let Some(part) = done {
            self.answer_fetch(part);
        }
    }

    /// Fetches that found no memory for too long are answered without data.
    pub(super) fn give_up_reads(&mut self, now: Now) {
        for part in self.catchup.take_starved(now.instant) {
            self.metrics.add(Metric::FetchMemoryRefusals, 1);
            self.answer_fetch(part);
        }
    }

    /// The storage under a partition failed: its directory goes offline, and with it those who wait. Broken bytes are the
    /// log's own: what is good in it serves on, and so do its neighbours.
    pub(super) fn fail_log(&mut self, life: Life, error: &StorageError) {
        let Some(open) = open_at(&mut self.hosted, life) else {
            return;
        };
        let (topic, partition) = (&open.place.topic, life.partition.index);
        if matches!(error, StorageError::Corrupt { .. }) {
            return tracing::error!(%topic, partition, %error, "log is broken in part: what cannot be read is refused");
        }
        tracing::error!(%topic, partition, %error, "log failed, its directory goes offline");
        if !open.place.dir.is_offline() {
            open.place.dir.set_offline(&error.to_string());
        }
        self.upkeep.must_count = true;
        let mut abandoned = Vec::new();
        open.partition.abandon(&mut abandoned);
        let waiters = open.partition.waiters().to_vec();
        self.fail_acks(abandoned, ErrorCode::KafkaStorageError);
        self.unseat(life.partition, ErrorCode::CoordinatorNotAvailable);
        self.drop_shares(life.partition, ErrorCode::KafkaStorageError);
        self.notify_all(waiters);
        self.follow(life.partition);
    }
}

/// What a reader is told of a read that failed.
pub(super) fn read_refusal(error: &StorageError) -> ErrorCode {
    match error {
        StorageError::Corrupt { .. } => ErrorCode::CorruptMessage,
        StorageError::Io { .. } | StorageError::Offline { .. } => ErrorCode::KafkaStorageError,
    }
}

fn read(open: &mut Open, item: &FetchItem, taker: Taker, budget: &mut Budget, stores: Stores) -> Fetching {
    let Taker {
        reader,
        class,
        piece_bytes,
    } = taker;
    let Stores { cache, aheads, memory } = stores;
    if let Err(error) = open.partition.check_epoch(item.leader_epoch) {
        return refused(epoch_refusal(error));
    }
    let ask = ReadAsk {
        offset: item.offset,
        max_bytes: if item.held { 0 } else { item.max_bytes.min(budget.bytes) },
        at_least_one: budget.first && !item.held,
        last_fetched_epoch: item.last_fetched_epoch,
        bound: match reader {
            Reader::Consumer { isolation, .. } => bound(isolation),
            Reader::Follower { .. } => Bound::LogEnd,
        },
    };
    let life = open.life();
    let mut fetched = offsets(open);
    match open.partition.plan_read(&ask, cache) {
        Err(ReadRefusal::OutOfRange) => refused(ErrorCode::OffsetOutOfRange),
        Err(ReadRefusal::Offline) => refused(ErrorCode::KafkaStorageError),
        Ok(Reading::Diverging(epoch, end_offset)) => {
            fetched.diverging_epoch = Some((epoch, end_offset));
            Fetching::Ready(fetched)
        }
        Ok(Reading::Plan(plan)) => match plan.ready() {
            Ok(result) => {
                aheads.on_cached(
                    Piece {
                        life,
                        offset: item.offset,
                    },
                    result.next_offset,
                    class,
                );
                fetched.records = result.batches;
                fetched.aborted = result.aborted;
                if fetched.record_bytes() > memory.spare() {
                    cut(&mut fetched.records, memory.spare(), budget.first);
                }
                let bytes = fetched.record_bytes();
                memory.take(bytes).hold_for(&mut fetched);
                budget.take(bytes);
                Fetching::Ready(fetched)
            }
            Err(plan) => {
                let plan = plan.in_pieces_of(piece_bytes);
                // How much it will be is known only after the read: count what it may be.
                budget.take(ask.max_bytes.min(plan.disk_bytes()).max(1));
                Fetching::FromDisk(fetched, life, plan, class)
            }
        },
    }
}

fn open_class(hosted: Option<&Hosted>, reader: Reader) -> Class {
    match hosted {
        Some(Hosted::Open(open)) => class(open, reader),
        _ => Class::Awaited,
    }
}

fn class(open: &Open, reader: Reader) -> Class {
    match reader {
        Reader::Follower { broker, .. } if !open.partition.waits_for(broker) => Class::Behind(broker),
        Reader::Follower { .. } | Reader::Consumer { .. } => Class::Awaited,
    }
}

impl Fetching {
    fn in_class(mut self, class: Class) -> Fetching {
        if let Fetching::FromDisk(.., of) = &mut self {
            *of = class;
        }
        self
    }

    fn with_high_watermark(mut self, offset: i64) -> Fetching {
        if let Fetching::Ready(fetched) | Fetching::FromDisk(fetched, ..) = &mut self {
            fetched.high_watermark = offset;
        }
        self
    }
}

impl Budget {
    fn take(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.first &= bytes == 0;
    }
}

fn offsets(open: &Open) -> FetchedPartition {
    FetchedPartition {
        error: ErrorCode::None,
        high_watermark: open.partition.high_watermark(),
        last_stable_offset: open.partition.last_stable_offset(),
        log_start_offset: open.partition.log().log_start(),
        diverging_epoch: None,
        records: Vec::new(),
        aborted: None,
    }
}

fn refused(error: ErrorCode) -> Fetching {
    Fetching::Ready(FetchedPartition::refused(error))
}

pub(super) fn bound(isolation: Isolation) -> Bound {
    match isolation {
        Isolation::ReadUncommitted => Bound::HighWatermark,
        Isolation::ReadCommitted => Bound::LastStable,
        Isolation::LogEnd => Bound::LogEnd,
    }
}

pub(super) fn epoch_refusal(error: EpochError) -> ErrorCode {
    match error {
        EpochError::Fenced => ErrorCode::FencedLeaderEpoch,
        EpochError::Unknown => ErrorCode::UnknownLeaderEpoch,
    }
}
