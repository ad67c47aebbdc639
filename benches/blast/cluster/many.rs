//! A cluster of very many partitions: how long they take to be made, to be described, and to serve again after a start, and
//! the memory that all three brokers use for them.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use corelane::client::Cluster;
use corelane::wire::messages::{KafkaString, MetadataResponseData};

use crate::brokers::{NODES, Trio};
use crate::engine::Topology;
use crate::rows::Row;
use crate::suite::loads::workload;

const TOPICS: usize = 100;
const PARTITIONS: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub fn measure(trio: &mut Trio, _: Duration) -> anyhow::Result<Vec<Row>> {
    let before = memory_mib(trio)?;
    let begun = Instant::now();
    let flags = workload(&format!(
        "--topic many --partitions {PARTITIONS} --replication-factor 1"
    ));
    let topics = (0..TOPICS).map(|_| Topology::prepare(&trio.bootstrap(), &flags));
    let topics = topics.collect::<anyhow::Result<Vec<Topology>>>()?;
    let made = begun.elapsed();
    let used = memory_mib(trio)? - before;

    let begun = Instant::now();
    ensure!(
        led(&describe(trio)?, &topics) == TOPICS * PARTITIONS,
        "not every partition is told of"
    );
    let described = begun.elapsed();

    for id in 1..=NODES {
        trio.process(id).terminate();
    }
    for id in 1..=NODES {
        trio.process(id).end();
    }
    let begun = Instant::now();
    trio.restart_all()?;
    while led(&describe(trio)?, &topics) < TOPICS * PARTITIONS {
        ensure!(begun.elapsed() < PATIENCE, "not every partition is led again");
        thread::sleep(LOOK_EVERY);
    }
    let served = begun.elapsed();
    for topic in topics {
        topic.delete(&trio.bootstrap())?;
    }

    let note = format!("{TOPICS} topics of {PARTITIONS} partitions, one replica each, over {NODES} brokers");
    let row = |what, value, unit| Row {
        what,
        value,
        unit,
        goal: None,
        note: note.clone(),
    };
    Ok(vec![
        row("to make 100,000 partitions", made.as_secs_f64(), "s"),
        row("to describe them", described.as_secs_f64(), "s"),
        row("to lead them again after a start", served.as_secs_f64(), "s"),
        row("memory of all brokers for them", used, "MiB"),
    ])
}

/// All topics.
fn describe(trio: &Trio) -> anyhow::Result<MetadataResponseData> {
    let mut cluster = Cluster::connect(&trio.bootstrap(), "corelane-bench")?;
    Ok(cluster.metadata(None, false)?)
}

/// Partitions of these topics that have a leader.
fn led(answer: &MetadataResponseData, topics: &[Topology]) -> usize {
    let names: BTreeSet<&str> = topics.iter().map(|topic| topic.topic.as_str()).collect();
    let is_ours = |name: Option<&KafkaString>| name.is_some_and(|name| names.contains(name.as_str()));
    let told = answer.topics.iter().filter(|topic| is_ours(topic.name.as_ref()));
    let partitions = told.flat_map(|topic| &topic.partitions);
    partitions.filter(|partition| partition.leader_id >= 0).count()
}

fn memory_mib(trio: &mut Trio) -> anyhow::Result<f64> {
    let each = (1..=NODES).map(|id| trio.process(id).memory_bytes().context("read a broker's memory"));
    let bytes: u64 = each.sum::<anyhow::Result<u64>>()?;
    Ok(bytes as f64 / (1 << 20) as f64)
}
