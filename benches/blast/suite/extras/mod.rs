//! Measures that are not a load: memory, starts, reading beside producing, and what the machine could do at best.

mod beside;
mod ceiling;
mod memory;
mod starts;

use std::path::Path;

use serde_json::{Value, json};

use crate::brokers::{Broker, Redis, redis_missing};

use super::Results;
use super::slices::Bench;

/// One row: a number with its unit, and a sentence.
fn row(measure: &str, broker: &str, value: f64, unit: &str, note: &str) -> Value {
    let text = format!(
        "{broker} {} {unit}{}{note}",
        super::table::short(value),
        if note.is_empty() { "" } else { ", " }
    );
    json!({"measure": measure, "broker": broker, "value": value, "unit": unit, "note": note, "text": text})
}

pub fn measure(bench: &mut Bench, data: &Path, results: &Results) -> anyhow::Result<Vec<Value>> {
    let mut rows = ceiling::measure(data)?;
    let half_bytes_s = results
        .slowest_bytes_per_second(&super::loads::FULL[0])
        .map(|bytes_s| bytes_s / 2.0);
    for broker in &mut bench.brokers {
        eprintln!("extras: {}", broker.name);
        broker.process().resume();
        // What went wrong here must not cost the hour of loads before it.
        match of_broker(broker, half_bytes_s, bench.seconds) {
            Ok(measured) => rows.extend(measured),
            Err(problem) => eprintln!("  {} is left out: {problem:#}", broker.name),
        }
        broker.process().pause();
    }
    rows.extend(redis(data)?);
    Ok(rows)
}

fn of_broker(broker: &mut Broker, half_bytes_s: Option<f64>, seconds: f64) -> anyhow::Result<Vec<Value>> {
    let mut rows = Vec::new();
    if let Some(bytes_s) = half_bytes_s {
        rows.extend(beside::measure(broker, bytes_s, seconds)?);
    }
    rows.extend(memory::measure(broker)?);
    // A memory engine has nothing to recover.
    if broker.is_durable() {
        rows.extend(starts::measure(broker)?);
    }
    Ok(rows)
}

fn redis(data: &Path) -> anyhow::Result<Vec<Value>> {
    if let Some(reason) = redis_missing() {
        eprintln!("redis is left out: {reason}");
        return Ok(Vec::new());
    }
    let mut rows = Vec::new();
    for (fsync, count) in [("everysec", 200_000), ("always", 60_000)] {
        let mut redis = Redis::start(data, fsync)?;
        let per_second = redis.append(1_024, count)?;
        let note = format!(
            "{} with appendfsync {fsync}, its own benchmark, 4 × 8 in flight",
            redis.version
        );
        rows.push(row(
            "Redis streams, XADD of 1 KiB",
            "redis",
            per_second,
            "entries/s",
            &note,
        ));
        redis.process.end();
    }
    Ok(rows)
}
