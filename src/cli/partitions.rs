//! What the tools of topics, elections and moves ask about partitions: their replicas, and which of them are being moved.

use std::collections::BTreeMap;

use anyhow::Context;

pub(super) use super::consumer_groups::Named;
use crate::client::{ClientError, Cluster};
use crate::model::{ErrorCode, TopicId};
use crate::wire::messages::*;

pub(super) struct Topic {
    pub(super) id: TopicId,
    /// In the order of their indexes.
    pub(super) partitions: Vec<Partition>,
}

pub(super) struct Partition {
    pub(super) index: i32,
    pub(super) leader: Option<i32>,
    pub(super) replicas: Vec<i32>,
    pub(super) isr: Vec<i32>,
    /// Replicas out of sync that hold all that was acknowledged, and those that were the last to do so. `None`: the broker
    /// does not tell.
    pub(super) eligible: Option<(Vec<i32>, Vec<i32>)>,
}

/// A move to other brokers that is not over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Moving {
    /// All of them, also those that come and go.
    pub(super) replicas: Vec<i32>,
    pub(super) adding: Vec<i32>,
    pub(super) removing: Vec<i32>,
}

/// How long the broker may take over an administrative request, in ms: the default of Kafka's admin client.
pub(super) const ADMIN_TIMEOUT_MS: i32 = 30_000;
/// Partitions of one answer, as Kafka's tools ask for.
const PAGE: i32 = 2000;

/// As Kafka writes a partition: `orders-0`.
pub(super) fn name_of((topic, index): &Named) -> String {
    format!("{topic}-{index}")
}

/// As Kafka writes several, joined by `between`.
pub(super) fn names_of<'a>(partitions: impl IntoIterator<Item = &'a Named>, between: &str) -> String {
    partitions.into_iter().map(name_of).collect::<Vec<_>>().join(between)
}

/// The topics among the named ones that there are.
pub(super) fn describe(cluster: &mut Cluster, names: &[&str]) -> anyhow::Result<BTreeMap<String, Topic>> {
    // An empty list would mean all topics.
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let described = match describe_by_pages(cluster, names) {
        Err(ClientError::Unsupported { .. }) => describe_by_metadata(cluster, names),
        described => described,
    };
    let mut topics = BTreeMap::new();
    for (name, code, mut topic) in described? {
        if code == ErrorCode::UnknownTopicOrPartition.code() {
            continue;
        }
        ClientError::check(code, None).with_context(|| format!("Topic '{name}'"))?;
        topic.partitions.sort_by_key(|partition| partition.index);
        topics.insert(name, topic);
    }
    Ok(topics)
}

/// A topic's name, its error code, and what is known of it.
type Answered = (String, i16, Topic);

fn describe_by_pages(cluster: &mut Cluster, names: &[&str]) -> Result<Vec<Answered>, ClientError> {
    let named = |name: &&str| TopicRequest::default().with_name(kafka_string(name));
    let mut request = DescribeTopicPartitionsRequestData::default()
        .with_topics(names.iter().map(named).collect())
        .with_response_partition_limit(PAGE);
    let mut all: Vec<Answered> = Vec::new();
    loop {
        let answer = cluster.ask(&request)?;
        for topic in answer.topics {
            let name = topic.name.as_ref().map(text).unwrap_or_default();
            let partitions = topic.partitions.into_iter().map(of_page);
            match all.last_mut().filter(|(last, ..)| *last == name) {
                // It goes on where the page before ended.
                Some((_, _, known)) => known.partitions.extend(partitions),
                None => all.push((
                    name,
                    topic.error_code,
                    Topic {
                        id: topic_id(topic.topic_id),
                        partitions: partitions.collect(),
                    },
                )),
            }
        }
        let Some(next) = answer.next_cursor else {
            return Ok(all);
        };
        let cursor = DescribeTopicPartitionsRequestCursor::default()
            .with_topic_name(next.topic_name)
            .with_partition_index(next.partition_index);
        request = request.with_cursor(Some(Box::new(cursor)));
    }
}

fn of_page(partition: DescribeTopicPartitionsResponsePartition) -> Partition {
    Partition {
        index: partition.partition_index,
        leader: (partition.leader_id >= 0).then_some(partition.leader_id),
        replicas: partition.replica_nodes,
        isr: partition.isr_nodes,
        eligible: Some((
            partition.eligible_leader_replicas.unwrap_or_default(),
            partition.last_known_elr.unwrap_or_default(),
        )),
    }
}

fn describe_by_metadata(cluster: &mut Cluster, names: &[&str]) -> Result<Vec<Answered>, ClientError> {
    let partition = |partition: MetadataResponsePartition| Partition {
        index: partition.partition_index,
        leader: (partition.leader_id >= 0).then_some(partition.leader_id),
        replicas: partition.replica_nodes,
        isr: partition.isr_nodes,
        eligible: None,
    };
    let topics = cluster.metadata(Some(names), false)?.topics.into_iter();
    let topic = |topic: MetadataResponseTopic| {
        let described = Topic {
            id: topic_id(topic.topic_id),
            partitions: topic.partitions.into_iter().map(partition).collect(),
        };
        (
            topic.name.as_ref().map(text).unwrap_or_default(),
            topic.error_code,
            described,
        )
    };
    Ok(topics.map(topic).collect())
}

/// All moves that are not over.
pub(super) fn moving(cluster: &mut Cluster) -> Result<BTreeMap<Named, Moving>, ClientError> {
    let request = ListPartitionReassignmentsRequestData::default()
        .with_topics(None)
        .with_timeout_ms(ADMIN_TIMEOUT_MS);
    let answer = cluster.ask(&request)?;
    ClientError::check(
        answer.error_code,
        answer.error_message.as_ref().map(KafkaString::as_str),
    )?;
    let mut all = BTreeMap::new();
    for topic in answer.topics {
        for partition in topic.partitions {
            let moving = Moving {
                replicas: partition.replicas,
                adding: partition.adding_replicas,
                removing: partition.removing_replicas,
            };
            all.insert((text(&topic.name), partition.partition_index), moving);
        }
    }
    Ok(all)
}
