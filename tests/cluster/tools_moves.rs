//! Reassignments that are taken back while they are under way, and ones that are proposed: by our tool and Kafka's own.

use serde_json::Value;

use super::Cluster;
use super::failover::TOPIC;
use super::tools_partitions::{REASSIGN, both, create, file, kafkas, ours, plan};
use crate::support::wait_until;

const SUBCOMMAND: &str = "reassign-partitions";
const NONE: &str = "No partition reassignments found.\n";

/// Throttled so far that it cannot end, a move is taken back by either tool: the replicas are those before, the throttle is
/// gone, and so is what was copied.
#[test]
fn a_move_that_is_under_way_is_cancelled() {
    const RATE: usize = 1_000;
    let cluster = Cluster::start();
    create(
        &cluster,
        &format!("--topic {TOPIC} --replica-assignment 1 --config min.insync.replicas=1"),
    );
    let records = format!("{}\n", "x".repeat(100_000)).repeat(30);
    cluster.nodes[0].tool("console-producer", &format!("--topic {TOPIC} --sync"), &records);
    let there = file(&cluster, "there", &plan(&[&[2]]));
    let execute = format!("--execute --throttle {RATE} --reassignment-json-file {there}");
    let cancel = format!("--cancel --reassignment-json-file {there}");
    let cancelled = [ours, |cluster: &Cluster, _: &str, arguments: &str| {
        kafkas(cluster, REASSIGN, arguments)
    }]
    .map(|by: fn(&Cluster, &str, &str) -> String| {
        ours(&cluster, SUBCOMMAND, &execute);
        let listed = "Current partition reassignments:\norders-0: replicas: 2,1. adding: 2. removing: 1.\n";
        assert_eq!(ours(&cluster, SUBCOMMAND, "--list"), listed);
        let said = by(&cluster, SUBCOMMAND, &cancel);
        assert_is_as_before(&cluster);
        said
    });
    assert!(
        cancelled[0].starts_with("Successfully cancelled partition reassignment for: orders-0\n"),
        "{}",
        cancelled[0]
    );
    assert_eq!(cancelled[0], cancelled[1], "both tools say the same");
}

fn assert_is_as_before(cluster: &Cluster) {
    assert_eq!(ours(cluster, SUBCOMMAND, "--list"), NONE);
    let described = ours(cluster, "topics", &format!("--describe --topic {TOPIC}"));
    assert!(described.contains("Leader: 1\tReplicas: 1\tIsr: 1"), "{described}");
    for entity in [
        "--entity-type brokers --entity-name 1".to_owned(),
        format!("--topic {TOPIC}"),
    ] {
        let described = ours(cluster, "configs", &format!("--describe {entity}"));
        assert!(!described.contains("throttled"), "{described}");
    }
    let copied = cluster.nodes[1].data_dir().join(format!("{TOPIC}-0"));
    wait_until("what was copied is gone", || !copied.exists());
}

/// What is there is told as by Kafka's tool. What is proposed is on the brokers that were named, as many replicas of each
/// partition as before, and can be done.
#[test]
fn a_move_that_was_proposed_can_be_done() {
    let cluster = Cluster::start();
    create(&cluster, &format!("--topic {TOPIC} --replica-assignment 1:2,1:2,2:1"));
    let topics = file(
        &cluster,
        "topics",
        &format!(r#"{{"topics": [{{"topic": "{TOPIC}"}}], "version": 1}}"#),
    );
    let generate = format!("--generate --topics-to-move-json-file {topics} --broker-list 2,3");
    let mut said = String::new();
    wait_until("the brokers tell where their replicas lie", || {
        said = ours(&cluster, SUBCOMMAND, &generate);
        !json_lines(&said)[0].contains(r#""any""#)
    });
    let [current, proposed] = json_lines(&said);
    let kafkas_said = kafkas(&cluster, REASSIGN, &generate);
    let [kafkas_current, kafkas_proposed] = json_lines(&kafkas_said);
    assert_eq!(replicas(current), [[1, 2], [1, 2], [2, 1]]);
    assert_eq!(current, kafkas_current);
    for proposed in [proposed, kafkas_proposed] {
        assert_spreads(proposed);
    }

    let proposed = file(&cluster, "proposed", proposed);
    ours(
        &cluster,
        SUBCOMMAND,
        &format!("--execute --wait --reassignment-json-file {proposed}"),
    );
    let verify = format!("--verify --reassignment-json-file {proposed}");
    let state = both(&cluster, SUBCOMMAND, REASSIGN, &verify);
    assert_eq!(state.matches("is completed.").count(), 3, "{state}");
    let in_sync = cluster.replicas_in_sync(0, Some(TOPIC));
    assert!(in_sync.iter().all(|(_, isr)| !isr.contains(&1)), "{in_sync:?}");
}

/// Over both brokers: each leads some.
fn assert_spreads(proposed: &str) {
    let replicas = replicas(proposed);
    assert_eq!(replicas.len(), 3, "{proposed}");
    assert!(
        replicas.iter().all(|ids| ids == &[2, 3] || ids == &[3, 2]),
        "{proposed}"
    );
    for broker in [2, 3] {
        assert!(replicas.iter().any(|ids| ids[0] == broker), "{proposed}");
    }
}

/// What is there, and what is proposed.
fn json_lines(said: &str) -> [&str; 2] {
    let lines: Vec<&str> = said.lines().collect();
    let [
        "Current partition replica assignment",
        current,
        "",
        "Proposed partition reassignment configuration",
        proposed,
    ] = lines[..]
    else {
        panic!("{said}")
    };
    [current, proposed]
}

fn replicas(plan: &str) -> Vec<Vec<i64>> {
    let plan: Value = serde_json::from_str(plan).unwrap();
    let ids = |row: &Value| {
        row["replicas"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_i64().unwrap())
            .collect()
    };
    plan["partitions"].as_array().unwrap().iter().map(ids).collect()
}
