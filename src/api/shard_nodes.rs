//! Shards as nodes of their own. On the listeners of `shard.nodes.listeners` each shard has a port besides, and a partition's
//! leader is said to be the node behind it: what a client asks of a partition then comes to the core that owns it, and costs
//! no other one anything.
//!
//! Such a node is a second number of its broker, good for the leader of a partition only, in Metadata and in the hints beside
//! an error. Replicas, coordinators and controllers keep the broker's own; DescribeCluster and DescribeTopicPartitions, which
//! tools ask, know of no others. What a client asks of every node (groups, transactions, log directories) only the broker
//! itself answers, so that nothing is counted twice.

use std::collections::BTreeMap;

use super::cluster_view::{Node, live};
use crate::config::{split_listener, without_shard};
use crate::metadata::{Endpoint, Image};
use crate::model::{BrokerId, PartitionId};
use crate::shard::owner;

/// The shards of live brokers that one listener's clients can reach, in their order.
pub struct ShardNodes<'a>(BTreeMap<BrokerId, Vec<Node<'a>>>);

impl<'a> ShardNodes<'a> {
    pub fn of(image: &'a Image, listener: &str) -> ShardNodes<'a> {
        let listener = without_shard(listener);
        let mut nodes = BTreeMap::new();
        for broker in image.brokers.values().filter(|broker| live(broker)) {
            let mut shards: Vec<(u16, &Endpoint)> = broker
                .endpoints
                .iter()
                .filter_map(|endpoint| match split_listener(&endpoint.listener) {
                    (name, Some(shard)) if name.eq_ignore_ascii_case(listener) => Some((shard, endpoint)),
                    _ => None,
                })
                .collect();
            shards.sort_unstable_by_key(|(shard, _)| *shard);
            let node = |(shard, endpoint)| Node {
                id: broker.id.of_shard(shard),
                endpoint,
                rack: broker.rack.as_deref(),
            };
            let shards: Vec<Node<'a>> = shards.into_iter().map(node).collect();
            // A number that a broker has is that broker's.
            if !shards.is_empty() && !shards.iter().any(|node| image.brokers.contains_key(&node.id)) {
                nodes.insert(broker.id, shards);
            }
        }
        ShardNodes(nodes)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Node<'a>> {
        self.0.values().flatten()
    }

    /// Who leads the partition, for these clients: the shard of the leading broker that owns it, where that is a node.
    pub fn owner_of(&self, partition: PartitionId, leader: BrokerId) -> Option<&Node<'a>> {
        let shards = self.0.get(&leader)?;
        shards.get(usize::from(owner(partition, shards.len()).0))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::testing;
    use crate::model::TopicId;

    fn image(endpoints: &[(&str, u16)]) -> Image {
        let mut image = testing::image(&[]);
        let id = *image.brokers.keys().next().expect("a broker");
        let mut broker = image
            .brokers
            .remove(&id)
            .map(Arc::unwrap_or_clone)
            .expect("it is there");
        let endpoint = |(listener, port): &(&str, u16)| Endpoint {
            listener: (*listener).to_string(),
            host: "h".to_string(),
            port: *port,
        };
        broker.endpoints = endpoints.iter().map(endpoint).collect();
        image.brokers.insert(id, Arc::new(broker));
        image
    }

    /// Each partition is led by the shard that owns it, whatever order the endpoints come in and whichever of the ports asks;
    /// other listeners have no such nodes.
    #[test]
    fn a_partition_is_led_by_its_shard() {
        let image = image(&[("A", 1), ("FAST", 9), ("FAST#1", 11), ("FAST#0", 10), ("FASTER#0", 7)]);
        let leader = *image.brokers.keys().next().expect("a broker");
        for listener in ["FAST", "fast", "FAST#1"] {
            let shards = ShardNodes::of(&image, listener);
            assert_eq!(shards.iter().count(), 2);
            for index in 0..6 {
                let partition = PartitionId {
                    topic: TopicId([3; 16]),
                    index,
                };
                let node = shards.owner_of(partition, leader).expect("a shard owns it");
                let shard = owner(partition, 2).0;
                assert_eq!(node.endpoint.port, 10 + shard);
                assert_eq!(node.id.0, (1 << 30) + leader.0 * 1024 + i32::from(shard));
                assert!(node.id.is_shard() && !leader.is_shard());
                assert!(shards.owner_of(partition, BrokerId(leader.0 + 1)).is_none());
            }
        }
        assert_eq!(ShardNodes::of(&image, "A").iter().count(), 0);
    }
}
