//! A broker that is lost with all its disks, a voter too: what the operator's guide says of it, step by step.

use std::fs;

use super::failover::{Load, TOPIC};
use super::tools_partitions::{file, ours, plan};
use super::{Cluster, configure, tools_quorum};
use crate::support::{Broker, free_port, wait_until};

const LOST: usize = 2;
const NEW_ID: i32 = 4;
const VOTERS: &str = "controller.quorum.voters";

/// It is refused under its old id. A new node takes its place while producers go on, and it is forgotten; then any other may
/// fail.
#[test]
fn a_lost_broker_is_replaced_by_a_new_one() {
    let (mut cluster, load) = start_and_lose();
    let is_told = |node: &Broker| node.log().contains("it has lost its metadata directory");
    wait_until("the others say that it is refused", || {
        cluster.nodes[..LOST].iter().any(is_told)
    });
    cluster.nodes[LOST].kill_9();
    load.ledger.await_more();

    remove_lost(&cluster);
    bring_in_new_node(&mut cluster);
    load.ledger.await_more();
    let there = file(&cluster, "there", &plan(&[&[1, 2, 4], &[2, 4, 1], &[4, 1, 2]]));
    let reassign = format!("--execute --wait --reassignment-json-file {there}");
    ours(&cluster, "reassign-partitions", &reassign);
    ours(&cluster, "cluster unregister", &format!("--id {}", LOST + 1));
    let listed = ours(&cluster, "cluster list-endpoints", "--include-fenced-brokers");
    assert!(listed.lines().count() == 4 && !listed.contains(" fenced "), "{listed}");
    wait_until("all replicas are in sync", || cluster.in_sync(0, Some(TOPIC), 3));

    // Of three voters two are left.
    cluster.nodes[0].kill_9();
    wait_until("others lead", || cluster.is_led_without(1, 0));
    load.ledger.await_more();
    cluster.create(1, "after");
    cluster.nodes[0].restart();
    load.stop_and_check(&cluster);
}

/// It is let in under its old id once its old directory is taken out of the quorum; its partitions are copied to it again.
#[test]
fn a_lost_broker_comes_back_empty_under_its_id() {
    let (mut cluster, load) = start_and_lose();
    remove_lost(&cluster);
    cluster.nodes[LOST].await_answer();
    load.ledger.await_more();
    wait_until("all replicas are in sync", || cluster.in_sync(0, Some(TOPIC), 3));
    await_voters(&cluster);

    // Of three voters two are left.
    cluster.nodes[0].kill_9();
    wait_until("others lead", || cluster.is_led_without(LOST, 0));
    load.ledger.await_more();
    cluster.nodes[0].restart();
    load.stop_and_check(&cluster);
}

/// A cluster under load; one of its brokers was killed, and starts without anything.
fn start_and_lose() -> (Cluster, Load) {
    let mut cluster = Cluster::start();
    let load = Load::start(&cluster);
    load.ledger.await_more();
    let lost = &mut cluster.nodes[LOST];
    lost.kill_9();
    fs::remove_dir_all(lost.data_dir()).unwrap();
    lost.spawn();
    (cluster, load)
}

fn remove_lost(cluster: &Cluster) {
    let id = LOST + 1;
    let directory = tools_quorum::directory(&replication(cluster), id);
    let remove = format!("remove-controller --controller-id {id} --controller-directory-id {directory}");
    let said = ours(cluster, "metadata-quorum", &remove);
    let expected = format!("Removed KRaft controller {id} with directory id {directory}\n");
    assert_eq!(said, expected);
}

/// All three nodes vote: any of them may fail.
pub(super) fn await_voters(cluster: &Cluster) {
    wait_until("it votes", || {
        let replication = replication(cluster);
        replication.lines().filter(|line| line.contains("Follower")).count() == 2
    });
}

fn replication(cluster: &Cluster) -> String {
    ours(cluster, "metadata-quorum", "describe --replication")
}

/// Into the quorum of those that are left, without the lost one in their files.
fn bring_in_new_node(cluster: &mut Cluster) {
    let before = cluster.quorum_voters();
    let port = free_port();
    let new = format!("{NEW_ID}@127.0.0.1:{port}");
    let voters: Vec<&str> = before.split(',').take(LOST).chain([new.as_str()]).collect();
    let voters = voters.join(",");
    for node in 0..LOST {
        cluster.nodes[node].set(&[(VOTERS, &voters)]);
        assert!(cluster.nodes[node].terminate().success());
        cluster.nodes[node].restart();
        wait_until("it is in sync again", || cluster.in_sync(node, Some(TOPIC), LOST));
    }
    let mut node = Broker::prepare(&[]);
    configure(&node, NEW_ID, ("127.0.0.1", port), &voters);
    node.restart();
    cluster.nodes.push(node);
}
