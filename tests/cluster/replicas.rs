//! What the replicas of a partition hold after brokers came and went: the same bytes. And what clients notice of it when a
//! broker stops in order.

use std::fs;
use std::path::Path;

use super::Cluster;
use super::failover::{Load, PARTITIONS, TOPIC};
use crate::support::{Broker, wait_until};

/// Every broker is stopped and started under load, one after the other: not one delivery of a producer with librdkafka's
/// retries fails, nothing is lost, doubled or out of order, and in the end all replicas are the same, byte for byte.
#[test]
fn replicas_are_the_same_bytes_after_a_rolling_restart() {
    let mut cluster = Cluster::start();
    let load = Load::start(&cluster);
    for node in 0..3 {
        load.ledger.await_more();
        assert!(cluster.nodes[node].terminate().success());
        load.ledger.await_more();
        cluster.nodes[node].restart();
        wait_until("it is in sync again", || {
            cluster.in_sync((node + 1) % 3, Some(TOPIC), 3)
        });
    }
    load.stop_and_check(&cluster).check_none_failed();
    for node in &mut cluster.nodes {
        assert!(node.terminate().success());
    }
    let dirs: Vec<_> = cluster.nodes.iter().map(Broker::data_dir).collect();
    assert_same_bytes(&[&dirs[0], &dirs[1], &dirs[2]]);
}

/// Of the partitions of the topic, in the log directories of brokers that have ended.
pub(super) fn assert_same_bytes(dirs: &[&Path; 3]) {
    for partition in 0..PARTITIONS {
        let [first, others @ ..] = dirs.map(|dir| log_bytes(&dir.join(format!("{TOPIC}-{partition}"))));
        assert!(!first.is_empty(), "partition {partition} has records");
        assert!(
            others.iter().all(|other| *other == first),
            "the replicas of partition {partition} differ"
        );
    }
}

/// All segments, one behind the other: where they are cut is each replica's own affair.
fn log_bytes(dir: &Path) -> Vec<u8> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .collect();
    segments.sort();
    segments.into_iter().flat_map(|path| fs::read(path).unwrap()).collect()
}
