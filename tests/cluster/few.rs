//! Fewer replicas in sync than `min.insync.replicas` asks for: which writes are refused, with which code, and what readers see.

use rdkafka::error::RDKafkaErrorCode::{NotEnoughReplicas, RequestTimedOut};

use super::Cluster;
use crate::disk::Client;
use crate::support::wait_until;

const TOPIC: &str = "pair";

/// One of two replicas stands still. What waits for it times out, since the high watermark stands still too (KIP-966); once
/// it is out of the ISR acks=all is refused before the append. acks=1 goes on. Readers see nothing of all that before the
/// other is back.
#[test]
fn what_too_few_have_is_neither_acknowledged_nor_seen() {
    let cluster = Cluster::start();
    // So that nothing but the replica is missed.
    let leader = cluster.controller();
    let other = (leader + 1) % 3;
    let create = format!(
        "--create --topic {TOPIC} --replica-assignment {}:{}",
        leader + 1,
        other + 1
    );
    cluster.nodes[leader].tool("topics", &create, "");
    wait_until("both are in sync", || cluster.in_sync(leader, Some(TOPIC), 2));
    let [all, one] = ["all", "1"].map(|acks| Client::with_acks(&cluster.nodes[leader], acks));
    assert_eq!(all.produce(TOPIC, 0), Ok(0));

    cluster.nodes[other].signal("STOP");
    assert_eq!(all.produce(TOPIC, 1), Err(RequestTimedOut));
    wait_until("the other is out of the ISR", || {
        cluster.in_sync(leader, Some(TOPIC), 1)
    });
    assert_eq!(all.produce(TOPIC, 9), Err(NotEnoughReplicas));
    assert_eq!(one.produce(TOPIC, 2), Ok(2));
    assert_eq!(all.read(TOPIC), payloads(1));

    cluster.nodes[other].signal("CONT");
    wait_until("both are in sync", || cluster.in_sync(leader, Some(TOPIC), 2));
    assert_eq!(all.produce(TOPIC, 3), Ok(3));
    assert_eq!(all.read(TOPIC), payloads(4));
}

fn payloads(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(crate::disk::payload).collect()
}
