//! Kafka's own performance tools, each a JVM of its own. They tell their throughput themselves; the JVM's start is not
//! in it, but the broker's CPU is that of the whole run.

use anyhow::{Context, ensure};

use crate::brokers::{Broker, java};
use crate::engine::probe::{Probe, Used};
use crate::engine::workload::Workload;
use crate::engine::{Side, Topology};

/// About half a GB of records of 1 KiB.
const RECORDS: u64 = 500_000;
const HEAP: &str = "-Xmx512m";
/// The tools count in binary megabytes.
const MIB: f64 = 1_048_576.0;

pub fn produce(broker: &Broker, topology: &Topology, workload: &Workload) -> anyhow::Result<(Side, Used)> {
    let bytes = workload.record_bytes.max as u64;
    let arguments = [
        "org.apache.kafka.tools.ProducerPerformance",
        "--topic",
        &topology.topic,
        "--num-records",
        &RECORDS.to_string(),
        "--record-size",
        &bytes.to_string(),
        "--throughput",
        "-1",
        "--producer-props",
        &format!("bootstrap.servers={}", broker.bootstrap),
        &format!("acks={}", workload.acks),
    ];
    let (text, used) = watched(broker, &arguments)?;
    let per_second = records_per_second(&text).with_context(|| format!("ProducerPerformance said {text}"))?;
    Ok(result(RECORDS, RECORDS * bytes, per_second, used))
}

/// `500000 records sent, 98765.4 records/sec (96.45 MB/sec), 12.3 ms avg latency, …`: the last such line is the sum.
fn records_per_second(text: &str) -> Option<f64> {
    let line = text.lines().rfind(|line| line.contains(" records/sec"))?;
    line.split(" records/sec").next()?.rsplit(' ').next()?.parse().ok()
}

pub fn consume(broker: &Broker, topology: &Topology) -> anyhow::Result<(Side, Used)> {
    let wanted: i64 = topology.log_ends()?.values().sum();
    let arguments = [
        "org.apache.kafka.tools.ConsumerPerformance",
        "--topic",
        &topology.topic,
        "--bootstrap-server",
        &broker.bootstrap,
        "--messages",
        &wanted.to_string(),
        "--timeout",
        "30000",
    ];
    let (text, used) = watched(broker, &arguments)?;
    let read = consumed(&text).with_context(|| format!("ConsumerPerformance said {text}"))?;
    ensure!(
        read.records >= wanted as u64,
        "ConsumerPerformance has read {} of {wanted} records",
        read.records
    );
    Ok(result(read.records, read.bytes, read.per_second, used))
}

struct Consumed {
    records: u64,
    bytes: u64,
    per_second: f64,
}

/// Columns: start, end, MB, MB/s, records, records/s, rebalance ms, fetch ms, fetch MB/s, fetch records/s. The last ones
/// leave the joining of the group out.
fn consumed(text: &str) -> Option<Consumed> {
    let line = text.lines().rfind(|line| line.split(", ").count() >= 10)?;
    let fields: Vec<&str> = line.split(", ").collect();
    Some(Consumed {
        records: fields[4].parse().ok()?,
        bytes: (fields[2].parse::<f64>().ok()? * MIB) as u64,
        per_second: fields[9].trim().parse().ok()?,
    })
}

fn watched(broker: &Broker, arguments: &[&str]) -> anyhow::Result<(String, Used)> {
    let before = Probe::take(Some(broker.pid()));
    let output = java(&std::env::temp_dir(), &[HEAP])?
        .args(arguments)
        .output()
        .context("start java")?;
    let used = before.until(&Probe::take(Some(broker.pid())));
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(
        output.status.success(),
        "{}: {}",
        arguments[0],
        String::from_utf8_lossy(&output.stderr)
    );
    Ok((text, used))
}

/// The tool's own throughput: its wall time is what the records took at that rate.
fn result(records: u64, bytes: u64, per_second: f64, mut used: Used) -> (Side, Used) {
    used.wall_s = records as f64 / per_second;
    let side = Side {
        records,
        bytes,
        ..Side::default()
    };
    (side, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_last_words_are_read() {
        let text = "100 records sent, 20.0 records/sec (0.02 MB/sec), 1.0 ms avg latency\n\
                    500 records sent, 98765.4 records/sec (96.45 MB/sec), 12.3 ms avg latency, 345.00 ms max latency.";
        assert_eq!(records_per_second(text), Some(98_765.4));
    }

    #[test]
    fn the_consumers_columns_are_read() {
        let text = "start.time, end.time, …\n2026-11-26 12:00:00:000, 2026-11-26 12:00:01:000, 1.0000, 1.0, 1024, 1024.0, 3, 997, 1.003, 1027.0";
        let read = consumed(text).unwrap();
        assert_eq!((read.records, read.bytes, read.per_second), (1_024, 1_048_576, 1_027.0));
    }
}
