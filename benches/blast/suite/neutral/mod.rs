//! Clients that are not ours: what a user of librdkafka or of Kafka's Java client will see. They are closed loops, and
//! their cost hides much of the broker's; the broker's CPU per GB shows through.

mod java;
mod librdkafka;

use std::collections::BTreeMap;

use crate::brokers::Broker;
use crate::engine::probe::Used;
use crate::engine::recorder::{Recorder, new_histogram};
use crate::engine::workload::Workload;
use crate::engine::{Outcome, Side, Topology};

use super::loads::{About, Client};
use super::slices::{fill_topic, settle};

/// Runs a load by another client, on a topic of its own.
pub fn run(
    client: Client,
    broker: &Broker,
    about: About,
    fill: Option<&str>,
    workload: &Workload,
) -> anyhow::Result<Outcome> {
    let topology = match fill {
        Some(flags) => fill_topic(broker, flags)?.topology,
        None => Topology::prepare(&broker.bootstrap, workload)?,
    };
    let (moved, used) = match (client, about) {
        (Client::Librdkafka, About::Producing) => librdkafka::produce(broker, &topology, workload)?,
        (Client::Librdkafka, About::Consuming) => librdkafka::consume(broker, &topology)?,
        (Client::Java, About::Producing) => java::produce(broker, &topology, workload)?,
        (Client::Java, About::Consuming) => java::consume(broker, &topology)?,
        (Client::Blast, _) => anyhow::bail!("our own client is no neutral one"),
    };
    topology.delete(&broker.bootstrap)?;
    settle();
    Ok(outcome(topology, about, moved, used))
}

/// Only throughput and CPU: the latencies of these clients count from when they had the time to send.
fn outcome(topology: Topology, about: About, moved: Side, used: Used) -> Outcome {
    let (produced, consumed) = match about {
        About::Producing => (moved, Side::default()),
        About::Consuming => (Side::default(), moved),
    };
    Outcome {
        topology,
        produced,
        consumed,
        latency: Recorder::new(0),
        service: new_histogram(),
        end_to_end: Recorder::new(0),
        lateness: new_histogram(),
        errors: BTreeMap::new(),
        unanswered: 0,
        delivery: None,
        saturated: false,
        used,
    }
}
