//! Brokers that have a listener of their own among themselves, beside the one for clients.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;

use super::Cluster;
use super::failover::{Load, TOPIC};
use crate::admin::get;
use crate::support::{Broker, free_port, wait_until};

/// A node's ports beside the one for clients.
struct Ports {
    internal: u16,
    admin: u16,
}

/// Replicas are copied over the brokers' own listener and no other, and whoever asks at one listener is told of the addresses
/// of that one only.
#[test]
fn brokers_copy_over_their_own_listener() {
    let ports = [(); 3].map(|()| Ports {
        internal: free_port(),
        admin: free_port(),
    });
    let cluster = Cluster::start_each(|at, node| configure(node, &ports[at]));
    let load = Load::start(&cluster);
    load.ledger.await_more();

    wait_until("each broker copies from the others", || {
        (0..3).all(|node| listeners_of_fetchers(&ports[node]).len() >= 2)
    });
    for node in &ports {
        let listeners = listeners_of_fetchers(node);
        assert!(listeners.iter().all(|name| name == "INTERNAL"), "{listeners:?}");
    }
    let internal: BTreeSet<u16> = ports.iter().map(|node| node.internal).collect();
    let clients: BTreeSet<u16> = cluster.nodes.iter().map(|node| node.port).collect();
    assert_eq!(brokers_seen_at(cluster.nodes[0].port), clients);
    assert_eq!(brokers_seen_at(ports[0].internal), internal);
    load.stop_and_check(&cluster);
}

/// Its controller listener keeps the address that the others know.
fn configure(node: &Broker, ports: &Ports) {
    let file = std::fs::read_to_string(node.dir.join("server.properties")).unwrap();
    let (_, controller) = file.rsplit_once(",CONTROLLER://").expect("a node of a cluster");
    let controller = controller.lines().next().unwrap();
    let listeners = format!(
        "CLIENT://127.0.0.1:{},INTERNAL://127.0.0.1:{},CONTROLLER://{controller}",
        node.port, ports.internal
    );
    node.set(&[
        ("listeners", &listeners),
        (
            "listener.security.protocol.map",
            "CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        ),
        ("inter.broker.listener.name", "INTERNAL"),
        ("admin.listener", &format!("127.0.0.1:{}", ports.admin)),
    ]);
}

/// On which listeners other brokers copy from that one.
fn listeners_of_fetchers(node: &Ports) -> Vec<String> {
    let (code, _, body) = get(node.admin, "/v1/connections?limit=1000", "localhost");
    assert_eq!(code, 200);
    let connections: Vec<Value> = serde_json::from_str(&body).unwrap();
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let fetchers = connections
        .iter()
        .filter(|row| text(row, "client_id").contains("-fetcher-"));
    fetchers.map(|row| text(row, "listener")).collect()
}

/// The ports of the brokers and of the topic's leaders, as a client is told there.
fn brokers_seen_at(port: u16) -> BTreeSet<u16> {
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", format!("127.0.0.1:{port}"))
        .create()
        .unwrap();
    let metadata = client.fetch_metadata(Some(TOPIC), Duration::from_secs(5)).unwrap();
    metadata.brokers().iter().map(|broker| broker.port() as u16).collect()
}
