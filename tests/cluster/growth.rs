//! From one node to three: what the one knew and held, the three know and hold.

use super::Cluster;
use crate::support::{Broker, wait_until};

/// The node alone was killed, so that nobody vouches for the ends of its logs: they are all there is, and it leads on.
#[test]
fn a_single_node_grows_without_losing_data() {
    let mut first = Broker::start(&[("broker.id", "1")]);
    first.tool(
        "topics",
        "--create --topic kept --partitions 2 --config retention.ms=-1",
        "",
    );
    first.tool("console-producer", "--topic kept", "one\ntwo\nthree\n");
    first.kill_9();
    let others = (0..2).map(|_| Broker::prepare(&[]));
    let nodes = std::iter::once(first).chain(others);
    let mut cluster = Cluster::of(nodes.map(|node| (node, "127.0.0.1".to_owned())).collect());
    for node in 0..3 {
        wait_until("every node knows the topic", || cluster.lists(node, "kept"));
        let described = cluster.nodes[node].tool("configs", "--describe --entity-type topics --entity-name kept", "");
        assert!(described.contains("retention.ms=-1"), "{described}");
    }
    cluster.nodes[2].tool("console-producer", "--topic kept", "four\n");
    let read = "--topic kept --from-beginning --max-messages 4 --timeout-ms 10000";
    let mut lines: Vec<String> = cluster.nodes[1]
        .tool("console-consumer", read, "")
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    assert_eq!(lines, ["four", "one", "three", "two"]);
    cluster.create(0, "new");
    wait_until("new topics have three replicas", || cluster.in_sync(1, Some("new"), 3));
    for node in &mut cluster.nodes {
        assert!(node.terminate().success());
    }
}
