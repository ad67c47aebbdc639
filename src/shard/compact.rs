//! Compaction on a shard: one log at a time, as jobs beside everything else; a log that cannot be compacted is left alone
//! for a while and serves on.

use std::collections::BTreeSet;

use super::hosted::{Hosted, open_at};
use super::message::{Job, Life};
use super::state::Shard;
use crate::metrics::Metric;
use crate::model::PartitionId;
use crate::rt::Now;
use crate::storage::{CompactDone, Compacted, CompactionAsk};

#[derive(Debug, Default)]
pub(super) struct Compacting {
    running: Option<Life>,
    /// Logs whose last round failed.
    failing: BTreeSet<PartitionId>,
}

impl Shard {
    /// Begins a round on the partition's log if it is due. Partitions are looked at in turn, so each gets its round.
    pub(super) fn compact_if_due(&mut self, id: PartitionId, now: Now) {
        let config = self.image.config().compaction;
        let shards = self.shards();
        let Some(Hosted::Open(open)) = self.hosted.get_mut(&id) else {
            return;
        };
        if !config.enabled
            || self.stopping.is_some()
            || self.compacting.running.is_some()
            || now.wall_ms < open.compaction_ms
        {
            return;
        }
        open.compaction_ms = now.wall_ms + config.backoff_ms;
        if open.place.dir.is_full() || !open.partition.wants_compaction(now.wall_ms) {
            return;
        }
        let ask = CompactionAsk {
            now_ms: now.wall_ms,
            stable_offset: open.partition.last_stable_offset(),
            key_bytes_max: config.key_bytes_max / shards,
            bytes_per_second: config.bytes_per_second / shards as f64,
            last_records: open.partition.producers().last_records(),
        };
        if let Some(job) = open.partition.take_compaction(ask) {
            let life = open.life();
            open.jobs += 1;
            self.compacting.running = Some(life);
            self.jobs.push(Job::Compact(life, job));
        }
    }

    pub(super) fn on_compacted(&mut self, life: Life, done: CompactDone, now: Now) {
        self.compacting.running = None;
        let open = open_at(&mut self.hosted, life);
        let compacted = open.map(|open| open.partition.on_compacted(done, &mut self.cache, now.wall_ms));
        match compacted {
            Some(Ok(Compacted::Next(job))) => {
                if let Some(open) = open_at(&mut self.hosted, life) {
                    open.jobs += 1;
                }
                self.compacting.running = Some(life);
                self.jobs.push(Job::Compact(life, job));
            }
            Some(Ok(Compacted::Finished(stats))) => {
                self.metrics.add(Metric::CompactionRounds, 1);
                self.metrics.add(Metric::CompactionReadBytes, stats.bytes_read as i64);
                let freed = stats.bytes_before.saturating_sub(stats.bytes_after);
                self.metrics.add(Metric::CompactionFreedBytes, freed as i64);
                self.compacting.failing.remove(&life.partition);
                tracing::debug!(partition = life.partition.index, ?stats, "log is compacted");
            }
            Some(Ok(Compacted::Failed(error))) => self.quarantine(life, &error),
            Some(Err(error)) => self.fail_log(life, &error),
            Some(Ok(Compacted::Stopped)) | None => {}
        }
        self.metrics
            .set(Metric::CompactionQuarantined, self.compacting.failing.len() as i64);
        self.finish_job(life);
    }

    /// One line when it begins; the metric says that it lasts.
    fn quarantine(&mut self, life: Life, error: &crate::storage::StorageError) {
        self.metrics.add(Metric::CompactionFailures, 1);
        if !self.compacting.failing.insert(life.partition) {
            return;
        }
        if let Some(open) = open_at(&mut self.hosted, life) {
            let (topic, partition) = (&open.place.topic, life.partition.index);
            tracing::error!(%topic, partition, %error, "log cannot be compacted: it grows, serves on, and is tried again later");
        }
    }

    /// The partition leaves this shard: it is nobody's trouble here any more.
    pub(super) fn forget_compaction(&mut self, id: PartitionId) {
        self.compacting.failing.remove(&id);
        if let Some(Hosted::Open(open)) = self.hosted.get(&id) {
            open.partition.stop_compaction();
        }
    }
}
