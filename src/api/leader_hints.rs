//! Who leads a partition that is not led here, beside the error: the client need not ask for metadata first. //= KIP-951

use std::collections::BTreeMap;

use super::cluster_view::{self, Node};
use super::shard_nodes::ShardNodes;
use crate::metadata::{Image, Topic};
use crate::model::{ErrorCode, PartitionId};
use crate::wire::produce::NodeEndpoint;

/// The hints of one response, and the endpoints that they refer to.
pub struct LeaderHints<'a> {
    nodes: Vec<Node<'a>>,
    shards: ShardNodes<'a>,
    endpoints: BTreeMap<i32, NodeEndpoint>,
}

impl<'a> LeaderHints<'a> {
    pub fn new(image: &'a Image, listener: &str) -> LeaderHints<'a> {
        LeaderHints {
            nodes: cluster_view::nodes(image, listener),
            shards: ShardNodes::of(image, listener),
            endpoints: BTreeMap::new(),
        }
    }

    /// (leader id, leader epoch): id -1 where nobody leads. A leader without an endpoint on this listener is named alone.
    pub fn leader_of(&mut self, topic: &Topic, index: i32) -> Option<(i32, i32)> {
        let partition = topic.partitions.get(usize::try_from(index).ok()?)?;
        let epoch = partition.leader_epoch.0;
        let Some(leader) = partition.leader else {
            return Some((-1, epoch));
        };
        let id = PartitionId { topic: topic.id, index };
        let of_shard = self.shards.owner_of(id, leader);
        let node = of_shard.or_else(|| self.nodes.iter().find(|node| node.id == leader));
        if let Some(node) = node {
            self.endpoints.entry(node.id.0).or_insert_with(|| endpoint(node));
        }
        Some((node.map_or(leader, |node| node.id).0, epoch))
    }

    pub fn into_endpoints(self) -> Vec<NodeEndpoint> {
        self.endpoints.into_values().collect()
    }
}

/// Whether a partition's error says that the client has an old leader in mind.
pub fn is_about_the_leader(error_code: i16) -> bool {
    [ErrorCode::NotLeaderOrFollower, ErrorCode::FencedLeaderEpoch]
        .iter()
        .any(|error| error.code() == error_code)
}

fn endpoint(node: &Node<'_>) -> NodeEndpoint {
    NodeEndpoint {
        node_id: node.id.0,
        host: node.endpoint.host.clone(),
        port: i32::from(node.endpoint.port),
        rack: node.rack.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::testing;
    use crate::model::{BrokerId, LeaderEpoch};

    /// The leader is named with its epoch, its endpoint once; without one on the listener, or without a leader, no endpoint.
    #[test]
    fn leaders_are_named_and_their_endpoints_given_once() {
        let image = testing::image(&[("a", 3)]);
        let mut topic = Topic::clone(image.topic("a").expect("created above"));
        topic.partitions[1].leader_epoch = LeaderEpoch(7);
        topic.partitions[2].leader = None;
        let topic = Arc::new(topic);
        let mut hints = LeaderHints::new(&image, "PLAINTEXT");
        let of = |hints: &mut LeaderHints<'_>| [0, 1, 2, 3, -1].map(|index| hints.leader_of(&topic, index));
        let expected = [Some((1, 0)), Some((1, 7)), Some((-1, 0)), None, None];
        assert_eq!(of(&mut hints), expected);
        let endpoints = hints.into_endpoints();
        assert_eq!(endpoints.len(), 1);
        assert_eq!((endpoints[0].node_id, endpoints[0].port), (BrokerId(1).0, 9092));

        let mut elsewhere = LeaderHints::new(&image, "EXTERNAL");
        assert_eq!(of(&mut elsewhere), expected);
        assert!(elsewhere.into_endpoints().is_empty());
    }
}
