//! A broker that is lost with all its disks, a voter too: what the operator's guide says of it, step by step.

use std::fs;

use super::failover::{Load, TOPIC};
use super::tools_partitions::{file, ours, plan};
use super::{Cluster, configure};
use crate::support::{Broker, free_port, wait_until};

const LOST: usize = 2;
const VOTERS: &str = "controller.quorum.voters";

/// It is refused under its old id. Two new nodes take its place while producers go on, and it is forgotten; then any other
/// may fail.
#[test]
fn a_lost_broker_is_replaced_by_new_ones() {
    let mut cluster = Cluster::start();
    let load = Load::start(&cluster);
    load.ledger.await_more();
    cluster.nodes[LOST].kill_9();
    fs::remove_dir_all(cluster.nodes[LOST].data_dir()).unwrap();
    cluster.nodes[LOST].spawn();
    let is_told = |node: &Broker| node.log().contains("it has lost its metadata directory");
    wait_until("the others say that it is refused", || {
        cluster.nodes[..LOST].iter().any(is_told)
    });
    cluster.nodes[LOST].kill_9();
    load.ledger.await_more();

    bring_in_new_nodes(&mut cluster);
    load.ledger.await_more();
    let there = file(&cluster, "there", &plan(&[&[1, 2, 4], &[2, 4, 5], &[4, 5, 1]]));
    let reassign = format!("--execute --wait --reassignment-json-file {there}");
    ours(&cluster, "reassign-partitions", &reassign);
    ours(&cluster, "cluster unregister", &format!("--id {}", LOST + 1));
    let listed = ours(&cluster, "cluster list-endpoints", "--include-fenced-brokers");
    assert!(listed.lines().count() == 5 && !listed.contains(" fenced "), "{listed}");
    wait_until("all replicas are in sync", || cluster.in_sync(0, Some(TOPIC), 3));

    // Of five voters three are left.
    cluster.nodes[0].kill_9();
    wait_until("others lead", || cluster.is_led_without(1, 0));
    load.ledger.await_more();
    cluster.create(1, "after");
    cluster.nodes[0].restart();
    load.stop_and_check(&cluster);
}

/// Into the quorum of those that are left, without the lost one in their files.
fn bring_in_new_nodes(cluster: &mut Cluster) {
    let properties = fs::read_to_string(cluster.nodes[0].dir.join("server.properties")).unwrap();
    let before = properties.lines().find_map(|line| line.strip_prefix(VOTERS));
    let before = before.unwrap().trim_start_matches('=');
    let ports = [free_port(), free_port()];
    let new = (4..).zip(ports).map(|(id, port)| format!("{id}@127.0.0.1:{port}"));
    let voters: Vec<String> = before.split(',').take(LOST).map(str::to_owned).chain(new).collect();
    let voters = voters.join(",");
    for node in 0..LOST {
        cluster.nodes[node].set(&[(VOTERS, &voters)]);
        assert!(cluster.nodes[node].terminate().success());
        cluster.nodes[node].restart();
        wait_until("it is in sync again", || cluster.in_sync(node, Some(TOPIC), LOST));
    }
    for (id, port) in (4..).zip(ports) {
        let node = Broker::prepare(&[]);
        configure(&node, id, ("127.0.0.1", port), &voters);
        cluster.nodes.push(node);
    }
    cluster.nodes[LOST + 1..].iter_mut().for_each(Broker::spawn);
    cluster.nodes[LOST + 1..].iter_mut().for_each(Broker::await_answer);
}
