//! The cluster as one listener's clients see it: brokers with an endpoint on that listener, and partitions with their leaders.
//! Shared by Metadata, DescribeCluster and DescribeTopicPartitions, so that they never disagree; but for shards that are nodes
//! of their own ([`super::shard_nodes`]), which only Metadata names.

use crate::config::without_shard;
use crate::group::partition_of;
use crate::metadata::{BrokerState, Endpoint, Image, PartitionState, Topic};
use crate::model::{BrokerId, ErrorCode, OFFSETS_TOPIC, PartitionId, SHARE_STATE_TOPIC, TRANSACTIONS_TOPIC};

/// "Not asked for" in fields of authorized operations.
pub const OPERATIONS_NOT_ASKED: i32 = i32::MIN;
/// Without an authorizer every operation on a topic is allowed: read, write, create, delete, alter, describe, and describe and
/// alter its configs, as bits of Kafka's AclOperation codes.
pub const TOPIC_OPERATIONS: i32 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;
/// The same for the cluster: create, alter, describe, cluster action, describe and alter configs, idempotent write.
pub const CLUSTER_OPERATIONS: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

/// A live broker and its endpoint on the listener that asks.
pub struct Node<'a> {
    pub id: BrokerId,
    pub endpoint: &'a Endpoint,
    pub rack: Option<&'a str>,
}

/// Live brokers with an endpoint on `listener`: nobody is sent to an address of another network.
pub fn nodes<'a>(image: &'a Image, listener: &str) -> Vec<Node<'a>> {
    nodes_that(image, listener, live)
}

/// Brokers that are registered and not heard of, each where it was.
pub fn fenced_nodes<'a>(image: &'a Image, listener: &str) -> Vec<Node<'a>> {
    nodes_that(image, listener, |broker| broker.fenced)
}

pub fn live(broker: &BrokerState) -> bool {
    !broker.fenced
}

fn nodes_that<'a>(image: &'a Image, listener: &str, wanted: impl Fn(&BrokerState) -> bool) -> Vec<Node<'a>> {
    let listener = without_shard(listener);
    let brokers = image.brokers.values().filter(|broker| wanted(broker));
    brokers
        .filter_map(|broker| {
            let endpoint = broker
                .endpoints
                .iter()
                .find(|endpoint| endpoint.listener.eq_ignore_ascii_case(listener))?;
            Some(Node {
                id: broker.id,
                endpoint,
                rack: broker.rack.as_deref(),
            })
        })
        .collect()
}

/// A live broker that takes admin requests: any broker does, so the controller's place is a hint. -1 when there is none.
pub fn controller_id(image: &Image, nodes: &[Node<'_>]) -> i32 {
    let named = image.controller.filter(|id| nodes.iter().any(|node| node.id == *id));
    named.or(nodes.first().map(|node| node.id)).map_or(-1, |id| id.0)
}

/// A partition as metadata shows it.
pub struct PartitionView {
    pub error: ErrorCode,
    pub leader_id: i32,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    pub offline: Vec<i32>,
}

/// `nodes` are those of the asking listener: a leader outside of them cannot be reached from there.
pub fn partition_view(image: &Image, nodes: &[Node<'_>], partition: &PartitionState) -> PartitionView {
    let is_live = |id: &BrokerId| image.brokers.get(id).is_some_and(|broker| !broker.fenced);
    let reachable = |id: BrokerId| nodes.iter().any(|node| node.id == id);
    let (error, leader_id) = match partition.leader {
        None => (ErrorCode::LeaderNotAvailable, -1),
        Some(leader) if reachable(leader) => (ErrorCode::None, leader.0),
        Some(leader) if is_live(&leader) => (ErrorCode::ListenerNotFound, -1),
        Some(_) => (ErrorCode::LeaderNotAvailable, -1),
    };
    PartitionView {
        error,
        leader_id,
        replicas: numbers(&partition.replicas),
        isr: numbers(&partition.isr),
        offline: partition
            .replicas
            .iter()
            .filter(|id| !is_live(id))
            .map(|id| id.0)
            .collect(),
    }
}

/// The partition if this broker leads it, else the error that sends the client to look for the leader.
pub fn led_partition(topic: &Topic, index: i32, me: BrokerId) -> Result<PartitionId, ErrorCode> {
    let position = usize::try_from(index).map_err(|_| ErrorCode::UnknownTopicOrPartition)?;
    let partition = topic
        .partitions
        .get(position)
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    match partition.leader == Some(me) {
        true => Ok(PartitionId { topic: topic.id, index }),
        false => Err(ErrorCode::NotLeaderOrFollower),
    }
}

/// The partition, whoever leads it.
pub fn known_partition(topic: &Topic, index: i32) -> Result<PartitionId, ErrorCode> {
    let position = usize::try_from(index).ok();
    match position.is_some_and(|at| at < topic.partitions.len()) {
        true => Ok(PartitionId { topic: topic.id, index }),
        false => Err(ErrorCode::UnknownTopicOrPartition),
    }
}

/// The other broker that leads the partition of one of the brokers' own topics where a key's state is kept, if one does.
pub fn coordinator_elsewhere(image: &Image, topic: &str, key: &str, me: BrokerId) -> Option<BrokerId> {
    let topic = image.topic(topic)?;
    let partitions = i32::try_from(topic.partitions.len()).ok()?;
    let at = usize::try_from(partition_of(key, partitions)).ok()?;
    topic.partitions.get(at)?.leader.filter(|leader| *leader != me)
}

/// The partition if a replica of it is on this broker, be it the leader or not.
pub fn hosted_partition(topic: &Topic, index: i32, me: BrokerId) -> Result<PartitionId, ErrorCode> {
    let state = usize::try_from(index).ok().and_then(|at| topic.partitions.get(at));
    match state.ok_or(ErrorCode::UnknownTopicOrPartition)?.replicas.contains(&me) {
        true => Ok(PartitionId { topic: topic.id, index }),
        false => Err(ErrorCode::NotLeaderOrFollower),
    }
}

/// The partition of a topic looked up by name, if this broker leads it.
pub fn led_by_name(image: &Image, name: &str, index: i32, me: BrokerId) -> Result<PartitionId, ErrorCode> {
    let topic = image.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    led_partition(topic, index, me)
}

/// Topics that the broker itself writes: clients may read them, but produce to them only as Kafka's admin does.
pub fn is_internal(topic: &str) -> bool {
    matches!(topic, OFFSETS_TOPIC | TRANSACTIONS_TOPIC | SHARE_STATE_TOPIC)
}

/// //= protocol: topic names are 1 to 249 characters of [a-zA-Z0-9._-], and neither "." nor ".."
pub fn is_topic_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=TOPIC_NAME_LEN_MAX).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(allowed)
}

const TOPIC_NAME_LEN_MAX: usize = 249;

pub fn numbers(ids: &[BrokerId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Behaviour 69, and the bit fields that Kafka's own broker answers.
    #[test]
    fn topic_names_and_operations_are_kafkas() {
        assert!(is_topic_name("a") && is_topic_name("A.b_c-9") && is_topic_name(&"x".repeat(249)));
        for bad in ["", ".", "..", "a b", "ü", "a/b"] {
            assert!(!is_topic_name(bad), "{bad}");
        }
        assert!(!is_topic_name(&"x".repeat(250)));
        assert_eq!((TOPIC_OPERATIONS, CLUSTER_OPERATIONS), (3576, 8096));
    }
}
