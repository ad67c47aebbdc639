//! What an operator sees of a cluster that loses a broker and gets it back.

use serde_json::Value;

use super::Cluster;
use crate::admin::get;
use crate::support::{Broker, free_port, wait_until};

const TOPIC: &str = "watched";
const PARTITIONS: f64 = 3.0;

/// A cluster whose nodes have admin ports.
pub(super) struct Watched {
    pub(super) cluster: Cluster,
    ports: Vec<u16>,
}

impl Watched {
    pub(super) fn start() -> Watched {
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let node = |port: &u16| {
            let admin = format!("127.0.0.1:{port}");
            (Broker::prepare(&[("admin.listener", &admin)]), "127.0.0.1".to_owned())
        };
        let cluster = Cluster::of(ports.iter().map(node).collect());
        Watched { cluster, ports }
    }

    /// A family's samples of one node: what stands between the name and the value, and the value.
    fn samples(&self, node: usize, family: &str) -> Vec<(String, f64)> {
        let (code, _, text) = get(self.ports[node], "/metrics", "localhost");
        assert_eq!(code, 200);
        let sample = |line: &str| {
            let (labels, value) = line.strip_prefix(family)?.rsplit_once(' ')?;
            (labels.is_empty() || labels.starts_with('{')).then(|| (labels.to_owned(), value.parse().unwrap()))
        };
        text.lines().filter_map(sample).collect()
    }

    pub(super) fn sum(&self, nodes: &[usize], family: &str) -> f64 {
        let of_node = |node: &usize| self.samples(*node, family).iter().map(|(_, value)| value).sum::<f64>();
        nodes.iter().map(of_node).sum()
    }

    fn await_sum(&self, nodes: &[usize], family: &str, value: f64) {
        wait_until(&format!("{family} is {value}"), || self.sum(nodes, family) == value);
    }

    fn json(&self, node: usize, path: &str) -> Value {
        serde_json::from_str(&get(self.ports[node], path, "localhost").2).unwrap()
    }
}

/// What a shard copies one shard of the leader has, and there its connection lies.
#[test]
fn shards_copy_from_the_shards_that_have_what_they_copy() {
    let mut watched = Watched::start();
    for node in &mut watched.cluster.nodes {
        node.set(&[("shard.count", "3")]);
        assert!(node.terminate().success());
        node.restart();
    }
    watched.cluster.nodes[0].tool(
        "topics",
        "--create --topic wide --partitions 9 --replication-factor 3",
        "",
    );
    wait_until("all replicas are in sync", || {
        watched.cluster.in_sync(0, Some("wide"), 3)
    });
    let copying = |node| {
        let connections = watched.json(node, "/v1/connections?limit=1000");
        let of = |row: &Value| {
            let (_, shard) = row["client_id"].as_str()?.rsplit_once("-fetcher-")?;
            Some((shard.parse().ok()?, row["shard"].as_u64()?))
        };
        connections
            .as_array()
            .unwrap()
            .iter()
            .filter_map(of)
            .collect::<Vec<(u64, u64)>>()
    };
    wait_until("each lies where it belongs", || {
        let all: Vec<_> = (0..3).flat_map(copying).collect();
        !all.is_empty() && all.iter().all(|(asks, answers)| asks == answers)
    });
}

/// A broker that is killed is missed by the others, who lead on, and is counted as one of them again once it is back.
#[test]
fn the_metrics_of_the_others_miss_a_broker_that_is_gone() {
    let mut watched = Watched::start();
    let all = [0, 1, 2];
    watched.cluster.create(0, TOPIC);
    wait_until("all replicas are in sync", || {
        watched.cluster.in_sync(0, Some(TOPIC), 3)
    });
    watched.await_sum(&all, "kafka_server_replicamanager_leadercount", PARTITIONS);
    watched.await_sum(&all, "kafka_server_replicamanager_partitioncount", 3.0 * PARTITIONS);
    watched.await_sum(&all, "kafka_controller_kafkacontroller_activecontrollercount", 1.0);
    watched.await_sum(&all, "kafka_controller_kafkacontroller_activebrokercount", 9.0);
    check_quorum(&watched);

    let (victim, others) = (1, [0, 2]);
    watched.cluster.nodes[victim].kill_9();
    watched.await_sum(
        &others,
        "kafka_server_replicamanager_underreplicatedpartitions",
        PARTITIONS,
    );
    watched.await_sum(
        &others,
        "kafka_server_replicamanager_atminisrpartitioncount",
        PARTITIONS,
    );
    watched.await_sum(&others, "kafka_controller_kafkacontroller_fencedbrokercount", 2.0);
    for none in [
        "kafka_server_replicamanager_underminisrpartitioncount",
        "kafka_controller_kafkacontroller_offlinepartitionscount",
        "kafka_controller_controllerstats_uncleanleaderelections_total",
        "kafka_server_replicamanager_isrexpands_total",
    ] {
        assert_eq!(watched.sum(&others, none), 0.0, "{none}");
    }
    check_json(&watched, victim, others[0]);

    let input: String = (0..100).map(|at| format!("record {at}\n")).collect();
    watched.cluster.nodes[others[0]].tool("console-producer", &format!("--topic {TOPIC}"), &input);
    watched.cluster.nodes[victim].restart();
    watched.await_sum(&all, "kafka_server_replicamanager_underreplicatedpartitions", 0.0);
    watched.await_sum(&all, "kafka_controller_kafkacontroller_fencedbrokercount", 0.0);
    watched.await_sum(&all, "kafka_server_replicafetchermanager_maxlag", 0.0);
    // Its leaders took it in again.
    let joined = watched.sum(&others, "kafka_server_replicamanager_isrexpands_total");
    assert!(joined >= PARTITIONS, "{joined}");
    assert!(watched.sum(&others, "kafka_server_brokertopicmetrics_replicationbytesout_total") > 0.0);
    assert!(watched.sum(&[victim], "kafka_server_brokertopicmetrics_replicationbytesin_total") > 0.0);
    assert!(watched.sum(&[victim], "corelane_leader_fetches_total") > 0.0);
    assert!(watched.sum(&others, "corelane_follower_fetches_total") > 0.0);
    let lags = watched.samples(victim, "kafka_server_fetcherlagmetrics_consumerlag");
    assert!(!lags.is_empty() && lags.iter().all(|(labels, lag)| labels.contains(TOPIC) && *lag == 0.0));
}

/// A node that lost the majority says so, whether it led the quorum or not, and is fine again once it is back.
#[test]
fn a_node_without_a_majority_says_so() {
    const CONTROLLERS: &str = "kafka_controller_kafkacontroller_activecontrollercount";
    let mut watched = Watched::start();
    watched.await_sum(&[0, 1, 2], CONTROLLERS, 1.0);
    let left = watched.cluster.controller();
    let others = [(left + 1) % 3, (left + 2) % 3];
    others.iter().for_each(|node| watched.cluster.nodes[*node].kill_9());
    let readiness = |watched: &Watched| get(watched.ports[left], "/readyz", "localhost");
    wait_until("the node is not ready", || readiness(&watched).0 == 503);
    let (_, _, why) = readiness(&watched);
    assert!(why.contains("no majority hears it"), "{why}");
    assert_eq!(watched.sum(&[left], CONTROLLERS), 0.0);
    let found = watched.json(left, "/v1/findings").to_string();
    assert!(found.contains("no controller is heard from"), "{found}");
    others.iter().for_each(|node| watched.cluster.nodes[*node].restart());
    wait_until("the node is ready", || readiness(&watched).0 == 200);
    watched.await_sum(&[0, 1, 2], CONTROLLERS, 1.0);
}

/// Every node names the same leader, in the same epoch, and one is it.
fn check_quorum(watched: &Watched) {
    let family = |name: &str| format!("kafka_server_raftmetrics_{name}");
    let of_all = |name: &str| [0, 1, 2].map(|node| watched.samples(node, &family(name)));
    wait_until("the nodes agree on the quorum's leader", || {
        let (leaders, epochs) = (of_all("current_leader"), of_all("current_epoch"));
        let leader = leaders[0].first().map_or(-1.0, |(_, leader)| *leader);
        leaders.iter().all(|one| *one == leaders[0]) && epochs.iter().all(|one| *one == epochs[0]) && leader >= 1.0
    });
    let leads = of_all("current_state").concat();
    let leading = leads
        .iter()
        .filter(|(labels, _)| labels == "{current_state=\"leader\"}");
    assert_eq!(leading.count(), 1, "{leads:?}");
    assert!(of_all("high_watermark").concat().iter().all(|(_, end)| *end > 1.0));
    assert!(watched.sum(&[0, 1, 2], "corelane_metadata_commit_seconds_count") > 0.0);
}

fn check_json(watched: &Watched, victim: usize, asked: usize) {
    let brokers = watched.json(asked, "/v1/brokers");
    let states: Vec<_> = brokers
        .as_array()
        .unwrap()
        .iter()
        .map(|broker| &broker["state"])
        .collect();
    for (at, state) in states.iter().enumerate() {
        assert_eq!(**state, if at == victim { "fenced" } else { "active" });
    }
    let rows = watched.json(asked, &format!("/v1/partitions?topic={TOPIC}"));
    let rows = rows.as_array().unwrap();
    assert!(
        rows.len() == 3 && rows.iter().all(|row| row["under_replicated"] == true),
        "{rows:?}"
    );
    let found = watched.json(asked, "/v1/findings").to_string();
    assert!(found.contains("brokers that take no part: 2"), "{found}");
}
