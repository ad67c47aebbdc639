//! What the clock asks for: retention, producers' expiry, file work ahead of need, gauges; and the checkpoints.

use std::collections::btree_map::Range;
use std::ops::Bound;

use super::hosted::{Hosted, Open};
use super::message::{CheckpointRow, Job, Life};
use super::state::Shard;
use crate::metrics::Metric;
use crate::model::{ErrorCode, PartitionId};
use crate::rt::{self, Now};
use crate::storage::StorageError;

/// Every partition is looked at once in this many ticks, as far as the limit below allows.
const TICKS_PER_ROUND: usize = 20;
/// A transaction is late once nothing was written to it for transaction.max.timeout.ms and this much more. //= KIP-664
const LATE_MS: i64 = 5 * 60_000;
/// Partitions that one tick looks at: a few hundred microseconds at most.
const VISITS_MAX: usize = 1_000;

/// Where the next tick goes on.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    last: Option<PartitionId>,
    /// Partitions with late transactions that this round has come by.
    late: i64,
    /// Logs were opened, or failed, since the partitions were last counted.
    pub(super) must_count: bool,
}

impl Shard {
    pub(super) fn on_tick(&mut self, may_lead: bool, now: Now) {
        if !may_lead {
            self.disown_acks();
        }
        self.refusals.expire(now.instant);
        self.bump_liveness();
        self.metrics.set(Metric::CacheBytes, self.cache.bytes() as i64);
        self.metrics
            .set(Metric::CacheLimitBytes, self.cache.limit_bytes() as i64);
        self.metrics
            .set(Metric::DiskReadsWaiting, self.catchup.waiting() as i64);
        self.metrics
            .set(Metric::FetchMemoryBytes, self.fetch_memory.used() as i64);
        self.give_up_reads(now);
        self.open_where_space(now);
        self.show_groups(now);
        self.metrics.set(Metric::CpuBusy, rt::thread_cpu_nanos() as i64);
        if std::mem::take(&mut self.upkeep.must_count) {
            self.count_partitions();
        }
        let visits = self.hosted.len().div_ceil(TICKS_PER_ROUND).min(VISITS_MAX);
        let ids: Vec<PartitionId> = self.after(self.upkeep.last).take(visits).map(|(id, _)| *id).collect();
        self.upkeep.last = if ids.len() < visits { None } else { ids.last().copied() };
        for id in ids {
            self.look_after(id, now);
        }
        if self.upkeep.last.is_none() {
            let late = std::mem::take(&mut self.upkeep.late);
            self.metrics.set(Metric::LateTransactions, late);
        }
    }

    /// Without a lease of the controller others may lead by now: who waits for this broker's followers is told to look for
    /// the leader, where it would wait until its time is over. The batches stay, and the next leader says what becomes of
    /// them.
    fn disown_acks(&mut self) {
        let mut disowned = Vec::new();
        for hosted in self.hosted.values_mut() {
            if let Hosted::Open(open) = hosted {
                open.partition.disown_acks(&mut disowned);
            }
        }
        self.fail_acks(disowned, ErrorCode::NotLeaderOrFollower);
    }

    fn after(&self, last: Option<PartitionId>) -> Range<'_, PartitionId, Hosted> {
        let start = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.hosted.range((start, Bound::Unbounded))
    }

    fn look_after(&mut self, id: PartitionId, now: Now) {
        let Some(Hosted::Open(open)) = self.hosted.get_mut(&id) else {
            return;
        };
        open.show();
        // Without its directory it says nothing of its followers: they may lack only what it cannot give them any more.
        let leads_others = open.partition.leadership().is_leader && !open.partition.leadership().is_alone();
        if leads_others && !open.place.dir.is_offline() {
            self.isr.look_at(id);
        }
        let late_ms = i64::from(self.config.transactions.timeout_ms_max) + LATE_MS;
        let written_ms = open.partition.producers().oldest_transaction_ms();
        self.upkeep.late += i64::from(written_ms.is_some_and(|ms| now.wall_ms - ms > late_ms));
        if open.place.dir.is_offline() {
            return;
        }
        self.touched.push(id);
        self.compact_if_due(id, now);
        let Some(Hosted::Open(open)) = self.hosted.get_mut(&id) else {
            return;
        };
        if now.wall_ms < open.retention_ms || self.stopping.is_some() || open.partition.log().is_removing() {
            return;
        }
        open.partition
            .expire_producers(now.wall_ms, self.image.config().producer_id_expiration_ms);
        match open.partition.take_retention(now.wall_ms) {
            // There may be more: looked at again on the next round.
            Some(job) => {
                open.jobs += 1;
                self.jobs.push(Job::Free(open.life(), job));
            }
            None => open.retention_ms = now.wall_ms + self.config.log_retention_check_interval_ms,
        }
    }

    pub(super) fn on_freed(&mut self, life: Life, result: Result<(), StorageError>) {
        if let Err(error) = result {
            self.fail_log(life, &error);
        }
        self.finish_job(life);
    }

    /// One write per partition touched in this turn, or one for many, and the file work around it (the log gives out two
    /// pieces at most).
    pub(super) fn submit_touched(&mut self, now: Now) {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        for id in touched.drain(..) {
            let Some(Hosted::Open(open)) = self.hosted.get_mut(&id) else {
                continue;
            };
            open.submit_truncation(&mut self.jobs, &mut self.cache);
            open.submit_file_work(&mut self.jobs, now);
            if self.stopping.is_some() {
                open.partition.place_soon();
            }
            if !self.journals.offer(id, open) {
                open.submit_write(&mut self.jobs);
            }
        }
        self.write_offered(now);
        for job in &self.jobs {
            match job {
                Job::Write(life, _) => touched.push(life.partition),
                Job::Journal(_, lives, _) => touched.extend(lives.iter().map(|life| life.partition)),
                _ => {}
            }
        }
        if !touched.is_empty() {
            self.catchup.on_write(now.instant);
        }
        // What is being written: followers copy it meanwhile.
        for id in touched.drain(..) {
            self.notify_followers(id);
        }
        self.touched = touched;
    }

    pub(super) fn checkpoint_rows(&self) -> Vec<CheckpointRow> {
        self.hosted
            .iter()
            .filter_map(|(id, hosted)| hosted.checkpoint_row(*id))
            .collect()
    }
}

impl Open {
    fn submit_file_work(&mut self, jobs: &mut Vec<Job>, now: Now) {
        while let Some(job) = self.partition.take_prepare(now.wall_ms) {
            self.jobs += 1;
            jobs.push(Job::Prepare(self.life(), job));
        }
    }

    pub(super) fn submit_write(&mut self, jobs: &mut Vec<Job>) {
        if let Some(job) = self.partition.take_write() {
            self.jobs += 1;
            jobs.push(Job::Write(self.life(), job));
        }
    }
}
