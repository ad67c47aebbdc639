//! Producing in an open loop, alone and beside a reader that catches up with a large cold log.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::anyhow;
use serde_json::Value;

use crate::brokers::Broker;
use crate::engine;
use crate::engine::workload::Workload;

use super::super::loads::workload;
use super::super::slices::{fill_topic, run_once};

/// 2 GB: more than a cache should hold.
const FILL: &str = "--count 122000";

pub fn measure(broker: &mut Broker, bytes_s: f64, seconds: f64) -> anyhow::Result<Vec<Value>> {
    let mut produce = workload("");
    produce.rate = Some(bytes_s / 1_024.0);
    produce.warm_up = Duration::from_secs(1);
    produce.time = Duration::from_secs_f64(seconds.max(3.0));
    let alone = p99_ms(&run_once(broker, &produce)?);
    let filled = fill_topic(broker, FILL)?;
    // What either broker has in its own memory would not be cold.
    broker.process().end();
    broker.restart()?;
    let cold = drop_page_cache();
    let mut read = workload("--producers 0 --keep-topic --catch-up --fan-out 1");
    read.topic = filled.topology.topic.clone();
    read.warm_up = Duration::ZERO;
    read.time = produce.warm_up + produce.time;
    let (beside, mb_s) = both(broker, &produce, read)?;
    filled.topology.delete(&broker.bootstrap)?;
    let name = broker.name.clone();
    let note = format!(
        "{beside:.2} ms beside, {alone:.2} ms alone{}",
        if cold { "" } else { "; page cache not dropped" }
    );
    Ok(vec![
        super::row("p99 beside a catch-up reader", &name, beside / alone, "×", &note),
        super::row(
            "the catch-up reader beside producers",
            &name,
            mb_s,
            "MB/s",
            "while producing at 50 %",
        ),
    ])
}

fn both(broker: &Broker, produce: &Workload, read: Workload) -> anyhow::Result<(f64, f64)> {
    let bootstrap = broker.bootstrap.clone();
    let reader = thread::spawn(move || engine::run(&bootstrap, &read, None));
    let beside = run_once(broker, produce);
    let read = reader.join().map_err(|_| anyhow!("the reader has panicked"))??;
    Ok((p99_ms(&beside?), read.consumed.bytes as f64 / read.used.wall_s / 1e6))
}

fn p99_ms(outcome: &engine::Outcome) -> f64 {
    outcome.latency.total().value_at_quantile(0.99) as f64 / 1_000.0
}

/// A broker that leaves caching to the kernel shall read from the disk, too. Only root may.
fn drop_page_cache() -> bool {
    // SAFETY: takes no memory of ours.
    unsafe { libc::sync() };
    fs::write("/proc/sys/vm/drop_caches", "1").is_ok()
}
