//! Three brokers that vote and one that does not: it leads, follows, and comes and goes as any other.

use super::failover::{Load, TOPIC};
use super::tools_partitions::{create, file, ours, plan};
use super::tools_quorum::{QUORUM, cells, on, without_times};
use super::{Cluster, configure_broker};
use crate::support::{Broker, wait_until};

/// Among the nodes, and by its number.
pub(super) const OBSERVER: usize = 3;
pub(super) const ID: i32 = 4;

pub(super) fn start() -> Cluster {
    let mut cluster = Cluster::start();
    let mut node = Broker::prepare(&[("process.roles", "broker")]);
    configure_broker(&node, ID, &cluster.quorum_voters());
    node.restart();
    cluster.nodes.push(node);
    cluster
}

/// It is killed, then the controller, under load: nothing acknowledged is lost.
#[test]
fn a_broker_that_does_not_vote_serves_like_any_other() {
    let mut cluster = start();
    create(
        &cluster,
        &format!("--topic {TOPIC} --replica-assignment 4:1:2,2:4:3,3:1:4"),
    );
    let load = Load::onto_topic(&cluster, 3);
    assert_eq!(cluster.partitions(OBSERVER, Some(TOPIC))[0].0, ID, "it leads");
    load.ledger.await_more();

    cluster.nodes[OBSERVER].kill_9();
    wait_until("others lead", || cluster.is_led_without(0, OBSERVER));
    load.ledger.await_more();
    cluster.nodes[OBSERVER].restart();
    wait_until("it is in sync again", || cluster.in_sync(0, Some(TOPIC), 3));

    let controller = cluster.controller();
    cluster.nodes[controller].kill_9();
    wait_until("others lead", || cluster.is_led_without(OBSERVER, controller));
    load.ledger.await_more();
    let assigned = format!("--create --topic through-it --replica-assignment {ID}");
    cluster.nodes[OBSERVER].tool("topics", &assigned, "");
    cluster.nodes[controller].restart();
    wait_until("it knows the topic", || cluster.lists(controller, "through-it"));
    wait_until("it is in sync again", || cluster.in_sync(0, Some(TOPIC), 3));

    let there = file(&cluster, "there", &plan(&[&[1, 4, 2], &[4, 2, 1], &[4, 3, 2]]));
    let reassign = format!("--execute --wait --reassignment-json-file {there}");
    ours(&cluster, "reassign-partitions", &reassign);
    load.ledger.await_more();
    load.stop_and_check(&cluster);
}

/// Kafka's tool says the same of it, through whichever node; who stops in order is gone as any other.
#[test]
fn a_broker_that_does_not_vote_is_an_observer_to_the_tools() {
    let mut cluster = start();
    let asked = |node| on(&cluster, node, "describe --replication");
    let of_observer = |printed: &str| {
        let observers = printed.lines().map(cells).filter(|row| row.contains(&"Observer"));
        observers.map(|row| row[0]).eq([ID.to_string()])
    };
    wait_until("it is an observer only", || {
        let printed = ours(&cluster, "metadata-quorum", "describe --replication");
        printed.matches("Follower").count() == 2 && of_observer(&printed)
    });
    let printed = QUORUM.agree(&asked(OBSERVER), without_times);
    assert!(of_observer(&printed), "{printed}");
    let status = QUORUM.agree(&on(&cluster, 0, "describe --status"), |printed| {
        let steady = |line: &&str| !line.starts_with("MaxFollowerLagTimeMs");
        printed.lines().filter(steady).map(str::to_owned).collect::<Vec<_>>()
    });
    assert!(status.contains("CurrentObservers:       [{\"id\": 4}]"), "{status}");

    create(
        &cluster,
        &format!("--topic {TOPIC} --replica-assignment 4:1:2,2:4:3,3:1:4"),
    );
    wait_until("all are in sync", || cluster.in_sync(0, Some(TOPIC), 3));
    assert!(cluster.nodes[OBSERVER].terminate().success());
    wait_until("others lead", || cluster.is_led_without(0, OBSERVER));
    assert!(cluster.nodes[OBSERVER].log().contains("stopped"));
}

/// It has no metadata of its own, and waits for the controllers'.
#[test]
fn a_broker_that_starts_without_a_majority_waits_for_one() {
    let mut cluster = start();
    cluster.create(OBSERVER, "before");
    assert!(cluster.nodes[OBSERVER].terminate().success());
    for voter in [0, 1] {
        cluster.nodes[voter].kill_9();
    }
    let asks = |cluster: &Cluster| {
        let log = cluster.nodes[OBSERVER].log();
        log.matches("waiting for the controllers, which have the cluster's metadata")
            .count()
    };
    cluster.nodes[OBSERVER].spawn();
    wait_until("it asks", || asks(&cluster) > 0);
    // Meanwhile it can be stopped, and nothing in its log directory has been touched.
    assert!(cluster.nodes[OBSERVER].terminate().success());
    assert!(cluster.nodes[OBSERVER].data_dir().join(".kafka_cleanshutdown").exists());
    let asked = asks(&cluster);
    cluster.nodes[OBSERVER].spawn();
    wait_until("it asks again", || asks(&cluster) > asked);
    cluster.nodes[0].spawn();
    cluster.nodes[OBSERVER].await_answer();
    wait_until("it knows the topic", || cluster.lists(OBSERVER, "before"));
    cluster.nodes[0].await_answer();
}

/// Its records are where the controllers' metadata say that they are. It is told of one voter, which knows the others.
#[test]
fn a_broker_that_keeps_no_metadata_keeps_its_records() {
    let mut cluster = start();
    let voters = cluster.quorum_voters();
    let (_, server) = voters
        .split(',')
        .next_back()
        .and_then(|voter| voter.split_once('@'))
        .unwrap();
    cluster.nodes[OBSERVER].set(&[
        ("controller.quorum.voters", ""),
        ("controller.quorum.bootstrap.servers", server),
    ]);
    create(
        &cluster,
        &format!("--topic {TOPIC} --replica-assignment 4 --config min.insync.replicas=1"),
    );
    wait_until("it leads", || cluster.partitions(OBSERVER, Some(TOPIC)) == [(ID, 1)]);
    cluster.nodes[OBSERVER].tool("console-producer", &format!("--topic {TOPIC} --sync"), "kept\n");
    cluster.nodes[OBSERVER].kill_9();
    assert!(!cluster.nodes[OBSERVER].data_dir().join("corelane-metadata").exists());
    cluster.nodes[OBSERVER].restart();
    wait_until("it leads again", || cluster.partitions(0, Some(TOPIC)) == [(ID, 1)]);
    let read = format!("--topic {TOPIC} --from-beginning --max-messages 1 --timeout-ms 10000");
    assert_eq!(cluster.nodes[0].tool("console-consumer", &read, ""), "kept\n");
}
