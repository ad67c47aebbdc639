//! Most of the quorum is lost with all its disks: what the operator's guide says of it, step by step.

use std::fs;
use std::process::{Command, Output};

use super::Cluster;
use super::lost::await_voters;
use super::observers;
use super::tools_partitions::ours;
use crate::disk::{Client, payload};
use crate::support::{Broker, wait_until};

const TOPIC: &str = "kept";
const RECORDS: usize = 20;

/// The node that is left refuses while it runs, and while the loss is not accepted; then it goes on with all that it has, and
/// is joined by two that come with nothing.
#[test]
fn a_node_goes_on_without_the_majority() {
    let mut cluster = Cluster::start();
    // A controller's log may say of its own leaderships what nobody else has heard: then an unclean election is needed.
    let left = (cluster.controller() + 1) % 3;
    let lost = [(left + 1) % 3, (left + 2) % 3];
    let [leader, second, third] = [lost[0], left, lost[1]].map(|node| node + 1);
    let create = format!("--create --topic {TOPIC} --replica-assignment {leader}:{second}:{third}");
    cluster.nodes[left].tool("topics", &create, "");
    wait_until("all are in sync", || cluster.in_sync(left, Some(TOPIC), 3));
    let client = Client::with_acks(&cluster.nodes[left], "all");
    (0..RECORDS).for_each(|n| assert_eq!(client.produce(TOPIC, n), Ok(n as i64)));
    let id = cluster_id(&cluster);
    for node in lost {
        cluster.nodes[node].kill_9();
        fs::remove_dir_all(cluster.nodes[node].data_dir()).unwrap();
    }
    assert!(refused(&cluster.nodes[left], &["--accept-loss"], 1).contains("is in use by process"));
    // What it has is whole: one that was killed may lead only after an unclean election as well.
    assert!(cluster.nodes[left].terminate().success());
    assert!(refused(&cluster.nodes[left], &[], 2).contains("Nothing was changed"));
    let said = recover(&cluster.nodes[left], &["--accept-loss"]);
    assert!(said.status.success(), "{said:?}");
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains(&id) && said.contains("brokers 1, 2, 3"), "{said}");
    // There is no quorum's log any more.
    refused(&cluster.nodes[left], &["--accept-loss"], 1);

    cluster.nodes[left].restart();
    wait_until("it leads what the lost ones led", || {
        cluster
            .partitions(left, Some(TOPIC))
            .iter()
            .all(|(leader, _)| *leader == second as i32)
    });
    for node in lost {
        cluster.nodes[node].spawn();
        cluster.nodes[node].await_answer();
    }
    wait_until("all are in sync", || cluster.in_sync(left, Some(TOPIC), 3));
    let payloads: Vec<Vec<u8>> = (0..RECORDS).map(payload).collect();
    assert_eq!(client.read(TOPIC), payloads);
    assert_eq!(client.produce(TOPIC, RECORDS), Ok(RECORDS as i64));
    assert_eq!(cluster_id(&cluster), id);

    await_voters(&cluster);
    cluster.nodes[left].kill_9();
    wait_until("others lead", || cluster.is_led_without(lost[0], left));
    cluster.create(lost[0], "after");
}

/// It may know of what the node that is left has never heard: so it does not go on as if nothing had happened, and keeps its
/// records at its next start.
#[test]
fn a_broker_that_followed_the_lost_quorum_starts_again() {
    let mut cluster = observers::start();
    let left = (cluster.controller() + 1) % 3;
    let create = format!(
        "--create --topic {TOPIC} --replica-assignment {} --config min.insync.replicas=1",
        observers::ID
    );
    cluster.nodes[left].tool("topics", &create, "");
    let client = Client::with_acks(&cluster.nodes[left], "all");
    (0..RECORDS).for_each(|n| assert_eq!(client.produce(TOPIC, n), Ok(n as i64)));
    for node in (0..3).filter(|node| *node != left) {
        cluster.nodes[node].kill_9();
    }
    assert!(cluster.nodes[left].terminate().success());
    assert!(recover(&cluster.nodes[left], &["--accept-loss"]).status.success());
    cluster.nodes[left].restart();
    let observer = &mut cluster.nodes[observers::OBSERVER];
    assert_eq!(observer.wait().code(), Some(1));
    assert!(observer.log().contains("theirs is another quorum by now"));
    observer.restart();
    let elect = format!("--election-type unclean --topic {TOPIC} --partition 0");
    cluster.nodes[left].tool("leader-election", &elect, "");
    wait_until("it leads again", || {
        cluster.partitions(left, Some(TOPIC)) == [(observers::ID, 1)]
    });
    let payloads: Vec<Vec<u8>> = (0..RECORDS).map(payload).collect();
    assert_eq!(client.read(TOPIC), payloads);
}

fn cluster_id(cluster: &Cluster) -> String {
    let said = ours(cluster, "cluster cluster-id", "");
    said.trim().rsplit(' ').next().unwrap().to_owned()
}

fn recover(node: &Broker, flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_corelane"))
        .arg("recover-quorum")
        .arg(node.dir.join("server.properties"))
        .args(flags)
        .output()
        .unwrap()
}

/// What is said of it.
fn refused(node: &Broker, flags: &[&str], code: i32) -> String {
    let said = recover(node, flags);
    assert_eq!(said.status.code(), Some(code), "{said:?}");
    String::from_utf8(said.stderr).unwrap()
}
