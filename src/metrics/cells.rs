//! Cells: relaxed atomics, one set per shard, summed when read.
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::table::{METRICS, Metric};

/// One shard's cells. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cells(Arc<[AtomicI64]>);

impl Cells {
    fn new() -> Cells {
        Cells(METRICS.iter().map(|_| AtomicI64::new(0)).collect())
    }

    /// Adds to a counter, or moves a gauge.
    pub fn add(&self, metric: Metric, amount: i64) {
        self.0[metric as usize].fetch_add(amount, Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, metric: Metric, value: i64) {
        self.0[metric as usize].store(value, Ordering::Relaxed);
    }

    /// This shard's value.
    pub fn get(&self, metric: Metric) -> i64 {
        self.0[metric as usize].load(Ordering::Relaxed)
    }
}

/// All shards' cells.
#[derive(Clone, Debug)]
pub struct Registry(Arc<[Cells]>);

impl Registry {
    /// Cells for `shards` shards.
    pub fn new(shards: usize) -> Registry {
        Registry((0..shards).map(|_| Cells::new()).collect())
    }

    /// The cells of one shard.
    pub fn shard(&self, shard: usize) -> Cells {
        self.0[shard].clone()
    }

    /// The cells of every shard, in order.
    pub fn shards(&self) -> &[Cells] {
        &self.0
    }

    /// The sum over all shards.
    pub fn total(&self, metric: Metric) -> i64 {
        self.0.iter().map(|cells| cells.get(metric)).sum()
    }
}
