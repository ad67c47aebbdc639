//! Three brokers as processes on loopback: one cluster, with nothing set up before.

mod adding;
mod alone;
mod crash;
mod cuts;
mod disks;
mod failover;
mod few;
mod growth;
mod hangs;
mod hints;
mod lag;
mod listeners;
mod lost;
mod majority;
mod metrics;
mod observers;
mod racks;
mod readers;
mod replicas;
mod roles;
mod shares;
mod strangers;
mod tools_describe;
mod tools_moves;
mod tools_partitions;
mod tools_quorum;

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::support::{Broker, free_port, wait_until};

struct Cluster {
    nodes: Vec<Broker>,
}

impl Cluster {
    /// Three new nodes, as three times `corelane start`.
    fn start() -> Cluster {
        Cluster::start_with(&[])
    }

    /// The same, with `settings` over those that the tests' clusters have.
    fn start_with(settings: &[(&str, &str)]) -> Cluster {
        Cluster::start_each(|_, node| node.set(settings))
    }

    /// The same, with what `set` sets for each.
    fn start_each(set: impl Fn(usize, &Broker)) -> Cluster {
        let cluster = Cluster::prepare((0..3).map(|_| (Broker::prepare(&[]), "127.0.0.1".to_owned())).collect());
        for (at, node) in cluster.nodes.iter().enumerate() {
            set(at, node);
        }
        cluster.begin()
    }

    /// Of brokers that have not started yet, and their hosts.
    fn of(nodes: Vec<(Broker, String)>) -> Cluster {
        Cluster::prepare(nodes).begin()
    }

    fn prepare(nodes: Vec<(Broker, String)>) -> Cluster {
        let (nodes, hosts): (Vec<Broker>, Vec<String>) = nodes.into_iter().unzip();
        let ports: Vec<u16> = nodes.iter().map(|_| free_port()).collect();
        let voter = |at: usize| format!("{}@{}:{}", at + 1, hosts[at], ports[at]);
        let voters: Vec<String> = (0..nodes.len()).map(voter).collect();
        for (at, node) in nodes.iter().enumerate() {
            configure(node, at as i32 + 1, (&hosts[at], ports[at]), &voters.join(","));
        }
        Cluster { nodes }
    }

    fn begin(mut self) -> Cluster {
        self.nodes.iter_mut().for_each(Broker::spawn);
        self.nodes.iter_mut().for_each(Broker::await_answer);
        self
    }

    /// As every node's file has it.
    fn quorum_voters(&self) -> String {
        const KEY: &str = "controller.quorum.voters=";
        let properties = std::fs::read_to_string(self.nodes[0].dir.join("server.properties")).unwrap();
        let voters = properties.lines().find_map(|line| line.strip_prefix(KEY));
        voters.expect("a node of a cluster").to_owned()
    }

    /// The node that said last that it is the controller.
    fn controller(&self) -> usize {
        const SAYS: &str = "this node is the controller";
        let term = |node: &Broker| node.log().lines().rev().find(|line| line.contains(SAYS)).map(term_of);
        let terms = self
            .nodes
            .iter()
            .enumerate()
            .filter_map(|(at, node)| Some((term(node)?, at)));
        terms.max().expect("a controller").1
    }

    fn bootstrap(&self) -> String {
        let addresses: Vec<String> = self.nodes.iter().map(Broker::bootstrap).collect();
        addresses.join(",")
    }

    /// Every partition of `topic`, or of all, as that node sees it: its leader and how many replicas are in sync.
    fn partitions(&self, node: usize, topic: Option<&str>) -> Vec<(i32, usize)> {
        let replicas = self.replicas_in_sync(node, topic);
        replicas.iter().map(|(leader, isr)| (*leader, isr.len())).collect()
    }

    /// The same, with the replicas' ids.
    fn replicas_in_sync(&self, node: usize, topic: Option<&str>) -> Vec<(i32, Vec<i32>)> {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.nodes[node].bootstrap())
            .create()
            .unwrap();
        let Ok(metadata) = client.fetch_metadata(topic, Duration::from_secs(5)) else {
            return Vec::new();
        };
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        partitions.map(|one| (one.leader(), one.isr().to_vec())).collect()
    }

    /// Whether every partition of `topic`, or of all, has so many replicas in sync.
    fn in_sync(&self, node: usize, topic: Option<&str>, replicas: usize) -> bool {
        let partitions = self.partitions(node, topic);
        !partitions.is_empty() && partitions.iter().all(|(_, isr)| *isr == replicas)
    }

    /// Whether every partition has a leader, and none has that one.
    fn is_led_without(&self, node: usize, leader: usize) -> bool {
        let partitions = self.partitions(node, None);
        !partitions.is_empty() && partitions.iter().all(|(id, _)| *id > 0 && *id != leader as i32 + 1)
    }

    fn create(&self, node: usize, topic: &str) {
        let arguments = format!("--create --topic {topic} --partitions 3 --replication-factor 3");
        self.nodes[node].tool("topics", &arguments, "");
    }

    fn lists(&self, node: usize, topic: &str) -> bool {
        let listed = self.nodes[node].tool("topics", "--list", "");
        listed.lines().any(|line| line == topic)
    }
}

/// Makes it the node `id` of a cluster, its controller listener at that address.
fn configure(node: &Broker, id: i32, (host, port): (&str, u16), voters: &str) {
    let listeners = format!("PLAINTEXT://{host}:{},CONTROLLER://{host}:{port}", node.port);
    node.set(&[("listeners", &listeners)]);
    configure_broker(node, id, voters);
}

fn configure_broker(node: &Broker, id: i32, voters: &str) {
    node.set(&[
        ("broker.id", &id.to_string()),
        ("controller.listener.names", "CONTROLLER"),
        ("controller.quorum.voters", voters),
        ("broker.session.timeout.ms", "3000"),
        ("broker.heartbeat.interval.ms", "500"),
        ("shard.count", "1"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("num.partitions", "4"),
        ("default.replication.factor", "3"),
        ("min.insync.replicas", "2"),
    ]);
}

fn term_of(line: &str) -> u64 {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let (_, rest) = line.split_once("term").expect("the line names the term");
    let rest = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits(rest).parse().expect("a term")
}

/// What one node creates all know; the controller is killed, the others go on, and it comes back and knows everything.
#[test]
fn three_processes_are_one_cluster_and_survive_the_controller() {
    let mut cluster = Cluster::start();
    cluster.create(2, "before");
    for node in 0..3 {
        wait_until("every node knows the topic", || cluster.lists(node, "before"));
    }
    let described = cluster.nodes[0].tool("topics", "--describe --topic before", "");
    assert!(described.contains("ReplicationFactor: 3"), "{described}");

    let controller = cluster.controller();
    cluster.nodes[controller].kill_9();
    let survivor = (controller + 1) % 3;
    wait_until("another controller is elected", || cluster.controller() != controller);
    wait_until("the dead one leads nothing", || {
        cluster.is_led_without(survivor, controller)
    });
    cluster.nodes[controller].restart();
    wait_until("it knows the topic", || cluster.lists(controller, "before"));
    cluster.create(controller, "after");
    for node in 0..3 {
        wait_until("every node knows the topic", || cluster.lists(node, "after"));
    }
    for node in &mut cluster.nodes {
        assert!(node.terminate().success());
    }
}
