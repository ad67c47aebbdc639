//! Memory per idle partition and per idle connection: the slope between N and 2N, so that what a broker has anyway drops
//! out.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use crate::brokers::Broker;
use crate::engine::Topology;

use super::super::loads::workload;

const PARTITIONS: u64 = 1_000;
const CONNECTIONS: usize = 1_000;
/// Allocation goes on a little after the answer.
const SETTLE: Duration = Duration::from_secs(2);

pub fn measure(broker: &mut Broker) -> anyhow::Result<Vec<Value>> {
    // Memory that an earlier load has left would be used up first.
    broker.process().end();
    broker.restart()?;
    let partitions = per_partition(broker)?;
    let connections = per_connection(broker)?;
    let name = broker.name.clone();
    Ok(vec![
        super::row(
            "memory of an idle partition",
            &name,
            partitions / 1_024.0,
            "KiB",
            "PSS, from 1,000 to 2,000",
        ),
        super::row(
            "memory of an idle connection",
            &name,
            connections / 1_024.0,
            "KiB",
            "PSS, from 1,000 to 2,000",
        ),
    ])
}

fn per_partition(broker: &mut Broker) -> anyhow::Result<f64> {
    let flags = workload(&format!("--topic idle --partitions {PARTITIONS}"));
    let mut topics = Vec::new();
    let mut seen = Vec::new();
    for _ in 0..2 {
        topics.push(Topology::prepare(&broker.bootstrap, &flags)?);
        seen.push(memory(broker)?);
    }
    for topic in &topics {
        topic.delete(&broker.bootstrap)?;
    }
    Ok((seen[1] - seen[0]) / PARTITIONS as f64)
}

fn per_connection(broker: &mut Broker) -> anyhow::Result<f64> {
    let mut open = Vec::new();
    let mut seen = Vec::new();
    for _ in 0..2 {
        for _ in 0..CONNECTIONS {
            open.push(TcpStream::connect(&broker.bootstrap).context("open an idle connection")?);
        }
        seen.push(memory(broker)?);
    }
    Ok((seen[1] - seen[0]) / CONNECTIONS as f64)
}

fn memory(broker: &mut Broker) -> anyhow::Result<f64> {
    thread::sleep(SETTLE);
    let bytes = broker.process().memory_bytes().context("read the broker's memory")?;
    Ok(bytes as f64)
}
