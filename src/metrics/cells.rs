//! Cells: relaxed atomics and histograms, one set per shard, summed when read.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use super::control::ControlCells;
use super::directory::{Connections, Partitions, Topics};
use super::groups::Groups;
use super::histogram::{Histogram, Snapshot};
use super::stage::{STAGES, Spent, Stage};
use super::table::{METRICS, Metric};
use crate::model::ShardId;

/// API keys that have a histogram each; requests of higher ones are not timed.
pub const API_KEYS_MAX: usize = 128;

/// One shard's cells. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cells(Arc<Shard>);

#[derive(Debug)]
struct Shard {
    id: ShardId,
    values: Box<[AtomicI64]>,
    stages: Box<[Histogram]>,
    /// By API key; made at its first request.
    requests: Box<[OnceLock<Histogram>]>,
    is_timed: bool,
    partitions: Partitions,
    topics: Topics,
    groups: Groups,
    connections: Connections,
}

impl Cells {
    /// The shard whose cells these are.
    pub fn id(&self) -> ShardId {
        self.0.id
    }

    /// Adds to a counter, or moves a gauge.
    pub fn add(&self, metric: Metric, amount: i64) {
        self.0.values[metric as usize].fetch_add(amount, Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, metric: Metric, value: i64) {
        self.0.values[metric as usize].store(value, Ordering::Relaxed);
    }

    /// This shard's value.
    pub fn get(&self, metric: Metric) -> i64 {
        self.0.values[metric as usize].load(Ordering::Relaxed)
    }

    /// Whether times are recorded at all: if not, the clock need not be read for them.
    pub fn is_timed(&self) -> bool {
        self.0.is_timed
    }

    /// For the shard itself alone.
    pub fn record(&self, stage: Stage, nanos: u64) {
        self.0.stages[stage as usize].record(nanos);
    }

    /// A request that took `total` nanoseconds from its whole frame to its answer. For the shard itself alone.
    pub fn record_request(&self, api_key: i16, total: u64, spent: &Spent) {
        if let Some(cell) = usize::try_from(api_key).ok().and_then(|key| self.0.requests.get(key)) {
            let histogram = cell.get_or_init(Histogram::default);
            histogram.record(total.saturating_sub(spent.wait));
        }
        self.record(Stage::Api, spent.api(total));
        let asked = [
            (Stage::Queue, spent.queue),
            (Stage::Remote, spent.remote),
            (Stage::Local, spent.local),
            (Stage::Wait, spent.wait),
        ];
        for (stage, nanos) in asked.into_iter().filter(|(_, nanos)| *nanos > 0) {
            self.record(stage, nanos);
        }
    }

    pub fn stage(&self, stage: Stage) -> Snapshot {
        self.0.stages[stage as usize].snapshot()
    }

    /// The times of the APIs that have been asked for, by key.
    pub fn requests(&self) -> impl Iterator<Item = (i16, Snapshot)> {
        let used = self.0.requests.iter().enumerate();
        used.filter_map(|(key, cell)| Some((key as i16, cell.get()?.snapshot())))
    }

    pub fn partitions(&self) -> &Partitions {
        &self.0.partitions
    }

    pub fn topics(&self) -> &Topics {
        &self.0.topics
    }

    pub fn groups(&self) -> &Groups {
        &self.0.groups
    }

    pub fn connections(&self) -> &Connections {
        &self.0.connections
    }
}

/// All shards' cells, and the directories that they share.
#[derive(Clone, Debug)]
pub struct Registry {
    shards: Arc<[Cells]>,
    partitions: Partitions,
    topics: Topics,
    groups: Groups,
    connections: Connections,
    control: ControlCells,
}

impl Registry {
    /// Cells for `shards` shards.
    pub fn new(shards: usize) -> Registry {
        Registry::with_times(shards, true)
    }

    /// The same, with or without latency histograms.
    pub fn with_times(shards: usize, is_timed: bool) -> Registry {
        let (partitions, topics, connections) = (Partitions::default(), Topics::default(), Connections::default());
        let groups = Groups::default();
        let cells = |id: usize| {
            Cells(Arc::new(Shard {
                id: ShardId(id as u16),
                values: METRICS.iter().map(|_| AtomicI64::new(0)).collect(),
                stages: STAGES.iter().map(|_| Histogram::default()).collect(),
                requests: (0..API_KEYS_MAX).map(|_| OnceLock::new()).collect(),
                is_timed,
                partitions: partitions.clone(),
                topics: topics.clone(),
                groups: groups.clone(),
                connections: connections.clone(),
            }))
        };
        Registry {
            shards: (0..shards).map(cells).collect(),
            partitions,
            topics,
            groups,
            connections,
            control: ControlCells::default(),
        }
    }

    /// The cells of one shard.
    pub fn shard(&self, shard: usize) -> Cells {
        self.shards[shard].clone()
    }

    /// The cells of every shard, in order.
    pub fn shards(&self) -> &[Cells] {
        &self.shards
    }

    /// The sum over all shards.
    pub fn total(&self, metric: Metric) -> i64 {
        self.shards.iter().map(|cells| cells.get(metric)).sum()
    }

    /// One stage's times over all shards.
    pub fn stage(&self, stage: Stage) -> Snapshot {
        merged(self.shards.iter().map(|cells| cells.stage(stage)))
    }

    /// Every API's times over all shards, by key.
    pub fn requests(&self) -> std::collections::BTreeMap<i16, Snapshot> {
        let mut all = std::collections::BTreeMap::<i16, Snapshot>::new();
        for (key, snapshot) in self.shards.iter().flat_map(Cells::requests) {
            all.entry(key).or_default().add(&snapshot);
        }
        all
    }

    pub fn partitions(&self) -> &Partitions {
        &self.partitions
    }

    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    pub fn control(&self) -> &ControlCells {
        &self.control
    }
}

fn merged(snapshots: impl Iterator<Item = Snapshot>) -> Snapshot {
    let mut all = Snapshot::default();
    snapshots.for_each(|snapshot| all.add(&snapshot));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time of a request is without its long poll, and every stage that it had is counted once.
    #[test]
    fn a_request_is_timed_without_its_wait() {
        let registry = Registry::new(2);
        let spent = Spent {
            queue: 10_000,
            remote: 0,
            local: 200_000,
            wait: 500_000_000,
        };
        registry.shard(1).record_request(1, 500_300_000, &spent);
        let requests = registry.requests();
        assert_eq!(requests.keys().collect::<Vec<_>>(), [&1]);
        assert_eq!(requests[&1].sum_nanos, 300_000);
        assert_eq!(registry.stage(Stage::Wait).sum_nanos, 500_000_000);
        assert_eq!(registry.stage(Stage::Api).sum_nanos, 90_000);
        assert_eq!(registry.stage(Stage::Remote).count(), 0);
        registry.shard(0).record_request(-1, 5, &Spent::default());
        registry.shard(0).record_request(i16::MAX, 5, &Spent::default());
        assert_eq!(registry.requests().len(), 1);
    }
}
