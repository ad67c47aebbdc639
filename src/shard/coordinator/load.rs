//! Loading a coordinator: its partition is read from the start in bounded pieces, each by a task that owns the state
//! meanwhile and replays the records into it.

use std::time::Duration;

use super::{Active, Coordinator, Coordinators, Loading, Outgoing, Seat};
use crate::model::{ErrorCode, PartitionId};
use crate::partition::{Bound, ReadAsk, Reading};
use crate::record::{BatchError, BatchHeader, DECOMPRESSED_BYTES_MAX, Records};
use crate::rt::{self, Instant, Now};
use crate::shard::hosted::Hosted;
use crate::shard::message::{Job, Life};
use crate::shard::state::Shard;
use crate::storage::{ReadPlan, StorageError};

/// Coordinators of a shard that are being read at a time: each has a piece of its log in memory.
const LOADS_MAX: usize = 4;
/// Records replayed between two looks at the clock.
const CLOCK_EVERY: usize = 64;
/// Own work before other tasks are let in.
const TURN_BUDGET: Duration = Duration::from_micros(200);

/// The state that is being loaded, and the offset of the next record.
pub(in crate::shard) struct LoadJob {
    load: u64,
    coordinator: Box<Coordinator>,
    offset: i64,
    /// Where the piece in hand was asked from.
    asked: i64,
    plan: Option<ReadPlan>,
    started: Instant,
}

pub(in crate::shard) struct LoadDone {
    job: LoadJob,
    result: Result<(), StorageError>,
}

impl Shard {
    /// Begins with as many of the seats that wait for it as may be read beside those that are.
    pub(super) fn load_next(&mut self, now: Now) {
        while let Some((id, load)) = self.coordinators.next_to_load() {
            match self.wanted_coordinator(id) {
                Some(coordinator) => self.begin_load(id, load, coordinator, now),
                None => self.unseat(id, ErrorCode::NotCoordinator),
            }
        }
    }

    fn begin_load(&mut self, id: PartitionId, load: u64, coordinator: Coordinator, now: Now) {
        let Some(Hosted::Open(open)) = self.hosted.get(&id) else {
            return;
        };
        let job = LoadJob {
            load,
            coordinator: Box::new(coordinator),
            offset: open.partition.log().log_start(),
            asked: -1,
            plan: None,
            started: now.instant,
        };
        self.load_on(id, load, job, now);
    }

    /// Reads the next piece; or is done; or waits for what was staged before the state was dropped.
    pub(super) fn load_on(&mut self, id: PartitionId, load: u64, mut job: LoadJob, now: Now) {
        let Some(Hosted::Open(open)) = self.hosted.get_mut(&id) else {
            return;
        };
        let log = open.partition.log();
        job.offset = job.offset.max(log.log_start());
        // Nothing there that could be replayed: not for want of asking.
        if job.offset == job.asked {
            job.offset = log.written();
        }
        if job.offset >= log.staged() {
            return self.finish_load(id, job, now);
        }
        if job.offset >= log.written() {
            if let Some(Seat::Loading(loading)) = self.coordinators.seats.get_mut(&id) {
                debug_assert_eq!(loading.load, load);
                loading.waiting = Some(job);
            }
            return;
        }
        let ask = ReadAsk {
            offset: job.offset,
            max_bytes: self.config.groups.load_bytes,
            at_least_one: true,
            last_fetched_epoch: -1,
            bound: Bound::LogEnd,
        };
        match open.partition.plan_read(&ask, &mut self.cache) {
            Ok(Reading::Plan(plan)) => {
                (job.asked, job.plan) = (job.offset, Some(plan));
                let life = open.life();
                self.jobs.push(Job::Load(life, Box::new(job)));
            }
            Ok(Reading::Diverging(..)) | Err(_) => self.unseat(id, ErrorCode::CoordinatorNotAvailable),
        }
    }

    pub(in crate::shard) fn on_loaded(&mut self, life: Life, done: LoadDone, now: Now) {
        let id = life.partition;
        let LoadDone { job, result } = done;
        match self.coordinators.seats.get(&id) {
            Some(Seat::Loading(loading)) if loading.load == job.load => {}
            _ => return self.load_next(now),
        }
        match result {
            Ok(()) => self.load_on(id, job.load, job, now),
            Err(error) => {
                self.unseat(id, ErrorCode::CoordinatorNotAvailable);
                self.fail_log(life, &error);
            }
        }
        self.load_next(now);
    }

    fn finish_load(&mut self, id: PartitionId, job: LoadJob, now: Now) {
        let took_ms = now.instant.since(job.started).as_millis() as u64;
        let mut active = Active::new(*job.coordinator, job.load);
        // What the replicas do not all have yet could be lost with this broker: whoever is told of it waits till they do.
        if self
            .high_watermark(id)
            .is_some_and(|high_watermark| high_watermark < job.offset)
        {
            active.hold(Some(job.offset), Outgoing::default(), now.instant);
        }
        active.coordinator.set_catalog(self.image.clone(), &[]);
        let effects = active.coordinator.on_loaded(now);
        let seat = Seat::Active(Box::new(active));
        let deleted = match self.coordinators.seats.insert(id, seat) {
            Some(Seat::Loading(loading)) => loading.deleted_topics,
            _ => Vec::new(),
        };
        tracing::debug!(
            partition = id.index,
            records_end = job.offset,
            took_ms,
            "coordinator loaded"
        );
        self.carry_out(id, effects, now);
        if let (false, Some(Seat::Active(active))) = (deleted.is_empty(), self.coordinators.seats.get_mut(&id)) {
            let effects = active.coordinator.on_topics_deleted(&deleted, now);
            self.carry_out(id, effects, now);
        }
    }

    fn high_watermark(&self, id: PartitionId) -> Option<i64> {
        match self.hosted.get(&id) {
            Some(Hosted::Open(open)) => Some(open.partition.high_watermark()),
            _ => None,
        }
    }
}

impl Coordinators {
    /// A seat whose loading can begin, which it does.
    fn next_to_load(&mut self) -> Option<(PartitionId, u64)> {
        let is_read = |seat: &&Seat| {
            matches!(
                seat,
                Seat::Loading(Loading {
                    has_begun: true,
                    waiting: None,
                    ..
                })
            )
        };
        if self.seats.values().filter(is_read).count() >= LOADS_MAX {
            return None;
        }
        self.seats.iter_mut().find_map(|(id, seat)| match seat {
            Seat::Loading(loading) if !loading.has_begun => {
                loading.has_begun = true;
                Some((*id, loading.load))
            }
            _ => None,
        })
    }
}

impl LoadJob {
    pub(in crate::shard) async fn run(mut self) -> LoadDone {
        let result = match self.plan.take() {
            None => Ok(()),
            Some(plan) => match plan.run().await {
                Err(error) => Err(error),
                Ok(read) => {
                    for run in read.batches {
                        self.replay_run(run).await;
                    }
                    Ok(())
                }
            },
        };
        LoadDone { job: self, result }
    }

    /// Replays whole batches. A batch that cannot be read is left out: what it held is lost, the rest need not be.
    async fn replay_run(&mut self, mut run: bytes::Bytes) {
        while !run.is_empty() {
            let (header, batch) = match BatchHeader::parse(&run) {
                Ok(header) if header.total_len() <= run.len() => (header, run.split_to(header.total_len())),
                _ => return tracing::warn!(offset = self.offset, "coordinator's log holds what is no batch"),
            };
            self.offset = self.offset.max(header.next_offset());
            if let Err(error) = self.replay_batch(&header, batch).await {
                tracing::warn!(offset = header.base_offset, %error, "batch of a coordinator's log is left out");
            }
        }
    }

    async fn replay_batch(&mut self, header: &BatchHeader, batch: bytes::Bytes) -> Result<(), BatchError> {
        header.check_crc(&batch)?;
        let producer = header.is_transactional().then_some(header.producer_id);
        let mut turn = rt::now();
        for (at, record) in Records::of(header, batch, DECOMPRESSED_BYTES_MAX)?.enumerate() {
            let record = record?;
            match (&record.key, producer) {
                (Some(key), Some(producer)) if header.is_control() => self.replay_marker(key, producer),
                (Some(key), _) => self.coordinator.replay(key, record.value.as_ref(), producer),
                (None, _) => {}
            }
            if at % CLOCK_EVERY == 0 && rt::now().since(turn) >= TURN_BUDGET {
                rt::yield_now().await;
                turn = rt::now();
            }
        }
        Ok(())
    }

    /// //= KIP-98: the key of a control record is its version and its type: 0 abort, 1 commit
    fn replay_marker(&mut self, key: &[u8], producer: i64) {
        match key {
            [_, _, 0, 0, ..] => self.coordinator.replay_marker(producer, false),
            [_, _, 0, 1, ..] => self.coordinator.replay_marker(producer, true),
            _ => {}
        }
    }
}
