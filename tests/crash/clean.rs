//! A stop in order is one, however many logs were just written: the next start has nothing to check.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::support::{Broker, PATIENCE};

const TOPIC: &str = "many";
/// Each shard has more than it closes by itself.
const PARTITIONS: i32 = 1_200;
/// Two syncs take longer than this on no disk; seven for each log do on most.
const STOP_MAX: Duration = Duration::from_secs(15);

#[test]
fn a_broker_of_many_logs_stops_in_order() {
    let mut broker = Broker::start(&[("shard.count", "2")]);
    broker.tool(
        "topics",
        &format!("--create --topic {TOPIC} --partitions {PARTITIONS}"),
        "",
    );
    write_to_each(&broker);
    let marker = broker.data_dir().join(".kafka_cleanshutdown");
    let begun = Instant::now();
    assert!(broker.terminate().success());
    let took = begun.elapsed();
    assert!(marker.exists(), "{}", broker.log());
    assert!(took < STOP_MAX, "{took:?}");
    broker.restart();
    assert_eq!(count(&broker), PARTITIONS as usize);
}

fn write_to_each(broker: &Broker) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("acks", "all")
        .create()
        .unwrap();
    for partition in 0..PARTITIONS {
        let record: BaseRecord<'_, (), str> = BaseRecord::to(TOPIC).payload("x").partition(partition);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(2 * PATIENCE).unwrap();
}

fn count(broker: &Broker) -> usize {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let deadline = Instant::now() + 2 * PATIENCE;
    let mut found = 0;
    while found < PARTITIONS as usize && Instant::now() < deadline {
        let polled = consumer.poll(Duration::from_millis(200));
        found += usize::from(polled.is_some_and(|message| message.unwrap().payload() == Some(b"x")));
    }
    found
}
