//! Three brokers as processes on loopback: one cluster, with nothing set up before.

mod failover;
mod replicas;

use crate::support::{self, Broker, free_port, wait_until};

struct Cluster {
    nodes: Vec<Broker>,
}

impl Cluster {
    /// Three new nodes, as three times `corelane start`.
    fn start() -> Cluster {
        let mut cluster = Cluster::prepare();
        cluster.nodes.iter_mut().for_each(Broker::spawn);
        cluster.nodes.iter_mut().for_each(Broker::await_answer);
        cluster
    }

    fn prepare() -> Cluster {
        let nodes: Vec<Broker> = (0..3).map(|_| Broker::prepare(&[])).collect();
        let ports: Vec<u16> = nodes.iter().map(|_| free_port()).collect();
        let voter = |(at, port): (usize, &u16)| format!("{}@127.0.0.1:{port}", at + 1);
        let voters: Vec<String> = ports.iter().enumerate().map(voter).collect();
        for (at, (node, port)) in nodes.iter().zip(&ports).enumerate() {
            let listeners = format!("PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{port}", node.port);
            node.set(&[
                ("broker.id", &(at + 1).to_string()),
                ("listeners", &listeners),
                ("controller.listener.names", "CONTROLLER"),
                ("controller.quorum.voters", &voters.join(",")),
                ("broker.session.timeout.ms", "3000"),
                ("broker.heartbeat.interval.ms", "500"),
                ("shard.count", "1"),
                // Where it is not said, the tests' topics are for one node.
                ("offsets.topic.replication.factor", "3"),
                ("min.insync.replicas", "2"),
            ]);
        }
        Cluster { nodes }
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

    /// Whether every partition has so many replicas in sync, as that node sees it.
    fn in_sync(&self, node: usize, topic: &str, replicas: usize) -> bool {
        let described = self.nodes[node].tool("topics", &format!("--describe --topic {topic}"), "");
        let isr = |line: &str| {
            line.split("Isr: ")
                .nth(1)
                .map(|rest| rest.split_whitespace().next().unwrap_or("").split(',').count())
        };
        let mut partitions = described.lines().filter_map(isr).peekable();
        partitions.peek().is_some() && partitions.all(|count| count == replicas)
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
    wait_until("the dead one is fenced", || {
        let described = cluster.nodes[survivor].tool("topics", "--describe --topic before", "");
        let dead = format!("Leader: {}\t", controller + 1);
        !described.contains(&dead)
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

/// A stranger on the controller listener is told nothing and closed, and the cluster goes on.
#[test]
fn a_stranger_on_the_controller_listener_is_closed() {
    use std::io::{Read, Write};

    let cluster = Cluster::start();
    let properties = std::fs::read_to_string(cluster.nodes[0].dir.join("server.properties")).unwrap();
    let (_, port) = properties.rsplit_once("CONTROLLER://127.0.0.1:").unwrap();
    let port: u16 = port.lines().next().unwrap().parse().unwrap();
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 64],
        &[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff],
    ] {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
        stream.write_all(garbage).unwrap();
        // Closed or reset: no answer.
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{answer:?}");
    }
    cluster.create(0, "after");
    assert!(
        cluster.nodes[0]
            .log()
            .contains("refused a connection to the controller listener")
    );
}
