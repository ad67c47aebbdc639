//! The loads that the measures put on three brokers: batches of 16 × 1 KiB with acks=all, closed or at a rate.

use std::time::Duration;

use anyhow::ensure;
use hdrhistogram::Histogram;

use crate::brokers::Trio;
use crate::engine::workload::Workload;
use crate::engine::{self, Outcome, Topology};
use crate::suite::loads::workload;

/// Records a second: well below what our brokers can do.
pub const RATE: f64 = 20_000.0;
/// A JVM compiles what it needs.
const WARM_UP: Duration = Duration::from_secs(20);
/// Of a load at a rate.
const BEFORE: Duration = Duration::from_secs(2);

pub fn with_replicas(count: i16, time: Duration) -> Workload {
    let mut workload = workload(&format!("--replication-factor {count} --acks -1"));
    // The CPU is taken of the whole run.
    workload.warm_up = Duration::ZERO;
    workload.time = time;
    workload
}

pub fn run(trio: &Trio, workload: &Workload) -> anyhow::Result<Outcome> {
    let outcome = engine::run(&trio.bootstrap(), workload, None)?;
    ensure!(outcome.errors.is_empty(), "produce failed: {:?}", outcome.errors);
    Ok(outcome)
}

pub fn warm_up(trio: &Trio) -> anyhow::Result<()> {
    run(trio, &with_replicas(3, WARM_UP)).map(drop)
}

/// How long the answers took, in microseconds, at so many records a second with three replicas.
pub fn open_loop(trio: &Trio, time: Duration, rate: f64) -> anyhow::Result<Histogram<u64>> {
    let mut workload = with_replicas(3, time);
    workload.warm_up = BEFORE;
    workload.rate = Some(rate);
    let topology = Topology::prepare(&trio.bootstrap(), &workload)?;
    workload.topic = topology.topic.clone();
    workload.keep_topic = true;
    let outcome = run(trio, &workload)?;
    // The disk would be full of those that come one after the other.
    topology.delete(&trio.bootstrap())?;
    Ok(outcome.latency.total())
}
