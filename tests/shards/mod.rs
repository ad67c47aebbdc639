//! One broker with few and with many shards, more than this machine may have cores, through a real client: whoever owns a
//! partition and wherever a connection lands, every record is there once and in order.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::support::{self, Broker, PATIENCE};

const TOPIC: &str = "spread";
const PARTITIONS: i32 = 32;
const RECORDS: usize = 50;

#[test]
fn any_number_of_shards_serves_every_partition() {
    for shards in ["1", "2", "4", "16"] {
        if shards == "16" && !support::is_root() {
            eprintln!("skipped: 16 shards lock more memory than an ordinary user may");
            continue;
        }
        let mut broker = Broker::start(&[
            ("shard.count", shards),
            ("num.partitions", "32"),
            ("shard.io.memory.bytes", "1048576"),
        ]);
        produce(&broker);
        check(consume(&broker), shards);
        assert!(broker.terminate().success());
        // What was in the cache comes from the disk.
        broker.restart();
        check(consume(&broker), shards);
    }
}

fn produce(broker: &Broker) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("enable.idempotence", "true")
        .set("linger.ms", "1")
        .create()
        .unwrap();
    support::wait_until("the topic has its partitions", || {
        let known = producer.client().fetch_metadata(Some(TOPIC), PATIENCE);
        known.is_ok_and(|all| all.topics()[0].partitions().len() == PARTITIONS as usize)
    });
    for at in 0..RECORDS {
        for partition in 0..PARTITIONS {
            let payload = payload(partition, at);
            let mut record: BaseRecord<'_, (), String> = BaseRecord::to(TOPIC).payload(&payload).partition(partition);
            while let Err((error, refused)) = producer.send(record) {
                assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull));
                producer.poll(Duration::from_millis(10));
                record = refused;
            }
        }
    }
    producer.flush(PATIENCE).unwrap();
}

/// The payloads of each partition, in order of their offsets.
fn consume(broker: &Broker) -> Vec<Vec<String>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        // Other questions wait behind a long poll.
        .set("fetch.wait.max.ms", "10")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut found = vec![Vec::new(); PARTITIONS as usize];
    let deadline = Instant::now() + 2 * PATIENCE;
    while found.iter().map(Vec::len).sum::<usize>() < RECORDS * PARTITIONS as usize {
        assert!(Instant::now() < deadline, "only {found:?}");
        if let Some(message) = consumer.poll(Duration::from_millis(200)) {
            let message = message.unwrap();
            let partition = &mut found[message.partition() as usize];
            assert_eq!(message.offset(), partition.len() as i64, "offsets are dense");
            partition.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
        }
    }
    for partition in 0..PARTITIONS {
        let ends = consumer.fetch_watermarks(TOPIC, partition, PATIENCE).unwrap();
        assert_eq!(ends, (0, RECORDS as i64));
    }
    found
}

fn check(found: Vec<Vec<String>>, shards: &str) {
    for (partition, payloads) in found.into_iter().enumerate() {
        let expected: Vec<String> = (0..RECORDS).map(|at| payload(partition as i32, at)).collect();
        assert_eq!(payloads, expected, "partition {partition} of {shards} shards");
    }
}

fn payload(partition: i32, at: usize) -> String {
    format!("{partition}/{at} {}", "x".repeat(at * 20))
}
