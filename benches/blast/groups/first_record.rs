//! From the first call of a consumer in a new group to its first record, beyond what new groups are made to wait.

use std::time::{Duration, Instant};

use corelane::client::{ConsumerSettings, GroupConsumer, GroupSettings, Position, Producer, ProducerSettings};

use super::{Goal, INITIAL_DELAY, Row, cluster, fresh};
use crate::brokers::Broker;

const TIMES: usize = 5;
const GOAL_MS: f64 = 100.0;

pub fn measure(broker: &mut Broker, _: Duration) -> anyhow::Result<Vec<Row>> {
    let topic = fresh("first-record");
    let mut producer = Producer::open(cluster(broker)?, &topic, ProducerSettings::default())?;
    producer.send(None, None, Some(b"a record"), &[])?;
    producer.flush()?;
    let mut worst = Duration::ZERO;
    for at in 0..TIMES {
        worst = worst.max(once(broker, &topic, &format!("{topic}-{at}"))?);
    }
    let beyond = worst.saturating_sub(INITIAL_DELAY);
    Ok(vec![Row {
        what: "first record of a new group, beyond group.initial.rebalance.delay.ms",
        value: beyond.as_secs_f64() * 1_000.0,
        unit: "ms",
        goal: Some(Goal::AtMost(GOAL_MS)),
        note: format!("the worst of {TIMES}; the delay is {INITIAL_DELAY:?}"),
    }])
}

fn once(broker: &Broker, topic: &str, group: &str) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let settings = ConsumerSettings::default();
    let group = GroupSettings::new(group);
    let mut consumer = GroupConsumer::open(cluster(broker)?, topic, Position::Earliest, settings, group)?;
    while consumer.poll()?.is_empty() {}
    let took = begun.elapsed();
    consumer.close()?;
    Ok(took)
}
