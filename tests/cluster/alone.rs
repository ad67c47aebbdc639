//! A node that has lost the majority, for a while: it acknowledges nothing and decides nothing by itself.

use std::process::{Child, Command, Stdio};

use super::Cluster;
use super::tools_partitions::create;
use crate::disk::{Client, payload};
use crate::support::{Broker, wait_until};

const TOPIC: &str = "kept";

/// A controller, when the others stand still.
#[test]
fn a_controller_that_is_left_alone_acknowledges_nothing() {
    let mut cluster = Cluster::start();
    let left = cluster.controller();
    lose_majority(
        &mut cluster,
        left,
        |node| node.signal("STOP"),
        |node| node.signal("CONT"),
    );
}

/// Another, when the controller is one of those that are killed.
#[test]
fn a_broker_that_is_left_alone_acknowledges_nothing() {
    let mut cluster = Cluster::start();
    let left = (cluster.controller() + 1) % 3;
    lose_majority(&mut cluster, left, Broker::kill_9, Broker::spawn);
}

/// Once its lease is over acks=1 is refused, or times out, too, and a topic is not made. When the others are back all goes on,
/// and what was acknowledged before is there.
fn lose_majority(cluster: &mut Cluster, left: usize, lose: fn(&mut Broker), bring_back: fn(&mut Broker)) {
    let others = [(left + 1) % 3, (left + 2) % 3];
    let [first, second, third] = [left, others[0], others[1]].map(|node| node + 1);
    create(
        cluster,
        &format!("--topic {TOPIC} --replica-assignment {first}:{second}:{third}"),
    );
    wait_until("all replicas are in sync", || cluster.in_sync(left, Some(TOPIC), 3));
    // librdkafka asks again and again meanwhile.
    let timeout = ("message.timeout.ms", "3000");
    let [all, one] = ["all", "1"].map(|acks| Client::with(&cluster.nodes[left], &[("acks", acks), timeout]));
    assert_eq!(all.produce(TOPIC, 0), Ok(0));
    assert_eq!(one.produce(TOPIC, 1), Ok(1));
    wait_until("all have the record", || all.read(TOPIC).len() == 2);

    others.iter().for_each(|node| lose(&mut cluster.nodes[*node]));
    wait_until("acks=1 is refused", || one.produce(TOPIC, 2).is_err());
    let creation = begin_to_create(&cluster.nodes[left], "refused");
    let answer = one.produce(TOPIC, 2);
    assert!(answer.is_err(), "acknowledged without a lease: {answer:?}");
    assert_refused(creation);

    others.iter().for_each(|node| bring_back(&mut cluster.nodes[*node]));
    others.iter().for_each(|node| cluster.nodes[*node].await_answer());
    wait_until("all replicas are in sync", || cluster.in_sync(left, Some(TOPIC), 3));
    let mut last = 0;
    wait_until("produce goes on", || {
        all.produce(TOPIC, 3).is_ok_and(|offset| {
            last = offset as usize;
            true
        })
    });
    assert!(!cluster.lists(left, "refused"));
    let found = all.read(TOPIC);
    assert!(found[..2] == [payload(0), payload(1)] && found[last] == payload(3));
    cluster.create(left, "after");
}

fn begin_to_create(node: &Broker, topic: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_corelane"))
        .args(["topics", "--bootstrap-server", &node.bootstrap(), "--create"])
        .args(["--topic", topic, "--replication-factor", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// With words that say why.
fn assert_refused(creation: Child) {
    let output = creation.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the controller has not answered: "), "{said}");
}
