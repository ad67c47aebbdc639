//! librdkafka, in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::brokers::Broker;
use crate::engine::probe::{Probe, Used};
use crate::engine::random::Random;
use crate::engine::workload::Workload;
use crate::engine::{Side, Topology};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Default)]
struct Delivered {
    good: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        let count = if result.is_ok() { &self.good } else { &self.failed };
        count.fetch_add(1, Relaxed);
    }
}

/// Its defaults, but for acks and a queue that does not run dry.
pub fn produce(broker: &Broker, topology: &Topology, workload: &Workload) -> anyhow::Result<(Side, Used)> {
    let delivered = Delivered::default();
    let producer: BaseProducer<Delivered> = ClientConfig::new()
        .set("bootstrap.servers", &broker.bootstrap)
        .set("acks", workload.acks.to_string())
        .set("queue.buffering.max.messages", "100000")
        .create_with_context(delivered.clone())
        .context("make a librdkafka producer")?;
    let mut value = vec![0; workload.record_bytes.max];
    Random::new(workload.seed).fill(&mut value);
    send_until(&producer, topology, &value, Instant::now() + workload.warm_up)?;
    let (before, good) = (Probe::take(Some(broker.pid())), delivered.good.load(Relaxed));
    send_until(&producer, topology, &value, Instant::now() + workload.time)?;
    let records = delivered.good.load(Relaxed) - good;
    let used = before.until(&Probe::take(Some(broker.pid())));
    producer.flush(PATIENCE).context("flush librdkafka")?;
    ensure!(delivered.failed.load(Relaxed) == 0, "librdkafka could not deliver");
    Ok((side(records, records * value.len() as u64), used))
}

fn send_until(
    producer: &BaseProducer<Delivered>,
    topology: &Topology,
    value: &[u8],
    until: Instant,
) -> anyhow::Result<()> {
    while Instant::now() < until {
        let record = BaseRecord::<(), [u8]>::to(&topology.topic).payload(value);
        match producer.send(record) {
            Ok(()) => {}
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(1));
            }
            Err((problem, _)) => return Err(problem).context("send by librdkafka"),
        }
    }
    producer.poll(Duration::ZERO);
    Ok(())
}

/// Everything that the topic holds, once, by partitions that are assigned by hand.
pub fn consume(broker: &Broker, topology: &Topology) -> anyhow::Result<(Side, Used)> {
    let ends = topology.log_ends()?;
    let wanted: i64 = ends.values().sum();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &broker.bootstrap)
        .set("group.id", "corelane-bench")
        .set("enable.auto.commit", "false")
        .create()
        .context("make a librdkafka consumer")?;
    let mut partitions = TopicPartitionList::new();
    for partition in ends.keys() {
        partitions.add_partition_offset(&topology.topic, *partition, Offset::Beginning)?;
    }
    let before = Probe::take(Some(broker.pid()));
    consumer.assign(&partitions).context("assign partitions")?;
    let (mut records, mut bytes, deadline) = (0, 0, Instant::now() + PATIENCE);
    while records < wanted as u64 {
        ensure!(
            Instant::now() < deadline,
            "librdkafka has read {records} of {wanted} records"
        );
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            records += 1;
            bytes += message.context("read by librdkafka")?.payload_len() as u64;
        }
    }
    Ok((side(records, bytes), before.until(&Probe::take(Some(broker.pid())))))
}

fn side(records: u64, bytes: u64) -> Side {
    Side {
        records,
        bytes,
        ..Side::default()
    }
}
