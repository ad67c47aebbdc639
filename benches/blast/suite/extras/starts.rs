//! How long a start takes until every partition is served: after a clean stop, and after kill -9 under load.

use std::time::Instant;

use serde_json::Value;

use crate::brokers::Broker;
use crate::engine::Topology;

use super::super::loads::workload;
use super::super::slices::fill_topic;

const PARTITIONS: usize = 1_000;
const FILL: &str = "--partitions 1000 --count 30000 --window 32";

pub fn measure(broker: &mut Broker) -> anyhow::Result<Vec<Value>> {
    let filled = fill_topic(broker, FILL)?;
    let topic = filled.topology.topic.clone();
    broker.process().end();
    let clean_s = start(broker, &topic)?;
    broker.process().kill();
    let killed_s = start(broker, &topic)?;
    filled.topology.delete(&broker.bootstrap)?;
    let (name, note) = (broker.name.clone(), format!("{PARTITIONS} partitions, 0.5 GB"));
    Ok(vec![
        super::row("start after a clean stop", &name, clean_s, "s", &note),
        super::row("start after kill -9", &name, killed_s, "s", &note),
    ])
}

/// Seconds from the start of the process until every partition tells where its log ends.
fn start(broker: &mut Broker, topic: &str) -> anyhow::Result<f64> {
    let begun = Instant::now();
    broker.restart()?;
    let mut flags = workload("--keep-topic");
    flags.topic = topic.to_owned();
    Topology::prepare(&broker.bootstrap, &flags)?;
    Ok(begun.elapsed().as_secs_f64())
}
