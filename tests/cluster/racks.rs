//! Consumers read from the replica in their rack (KIP-392).

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use super::Cluster;
use super::tools_partitions::create;
use crate::support::wait_until;

const TOPIC: &str = "near";
const SELECTOR: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
const LEADER: usize = 0;
const NEAR: usize = 2;
const RECORDS: usize = 2_000;
const RECORD_BYTES: usize = 1_000;

/// One in the rack of a follower gets every record from that follower, and the leader sends it none; one that names no rack
/// is served by the leader alone.
#[test]
fn a_consumer_reads_from_the_follower_in_its_rack() {
    let rack = |at: usize| format!("rack-{at}");
    let cluster = Cluster::start_each(|at, node| {
        node.set(&[("broker.rack", &rack(at)), ("replica.selector.class", SELECTOR)]);
    });
    create(&cluster, &format!("--topic {TOPIC} --replica-assignment 1:2:3"));
    wait_until("all replicas are in sync", || cluster.in_sync(0, Some(TOPIC), 3));
    let records = format!("{}\n", "x".repeat(RECORD_BYTES)).repeat(RECORDS);
    cluster.nodes[LEADER].tool("console-producer", &format!("--topic {TOPIC}"), &records);

    assert_eq!(sent(&cluster), [0; 3], "nobody has read");
    read_all(&cluster, Some(&rack(NEAR)));
    let near = sent(&cluster);
    assert!(near[NEAR] >= (RECORDS * RECORD_BYTES) as i64, "{near:?}");
    assert_eq!((near[LEADER], near[1]), (0, 0), "{near:?}");

    read_all(&cluster, None);
    let far = sent(&cluster);
    assert!(far[LEADER] >= (RECORDS * RECORD_BYTES) as i64, "{far:?}");
    assert_eq!(far[1..], near[1..]);
}

/// What each broker has sent to consumers, in bytes.
fn sent(cluster: &Cluster) -> [i64; 3] {
    [0, 1, 2].map(|node| cluster.nodes[node].metric("kafka_server_brokertopicmetrics_bytesout_total"))
}

fn read_all(cluster: &Cluster, rack: Option<&str>) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap())
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("client.rack", rack.unwrap_or(""))
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut found = 0;
    wait_until("everything is read", || {
        while let Some(message) = consumer.poll(Duration::from_millis(100)) {
            assert_eq!(message.unwrap().offset(), found, "offsets are dense");
            found += 1;
        }
        found == RECORDS as i64
    });
}
