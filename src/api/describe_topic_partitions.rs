//! DescribeTopicPartitions: kafka-topics --describe since 3.8, in pages of at most so many partitions.

use std::rc::Rc;
use std::sync::Arc;

use crate::metadata::{Image, Topic};
use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{
    DescribeTopicPartitionsRequestData, DescribeTopicPartitionsResponseCursor, DescribeTopicPartitionsResponseData,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic, kafka_string, kafka_uuid,
};

use super::cluster_view::{self, Node};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::DESCRIBE_TOPIC_PARTITIONS,
    name: "DescribeTopicPartitions",
    versions: 0..=0,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<DescribeTopicPartitionsRequestData>(&cx)?;
    Answer::message(&answer(&cx.image(), &cx.listener, &message), version)
}

/// max.request.partition.size.limit's default: what a client gets in one page at most.
const PARTITIONS_MAX: usize = 2000;

fn answer(
    image: &Image,
    listener: &str,
    request: &DescribeTopicPartitionsRequestData,
) -> DescribeTopicPartitionsResponseData {
    let start = request
        .cursor
        .as_ref()
        .map_or(("", 0), |cursor| (cursor.topic_name.as_str(), cursor.partition_index));
    let mut page = Page {
        image,
        nodes: cluster_view::nodes(image, listener),
        left: usize::try_from(request.response_partition_limit)
            .unwrap_or(0)
            .clamp(1, PARTITIONS_MAX),
        response: DescribeTopicPartitionsResponseData::default(),
    };
    for name in names(image, request).into_iter().filter(|name| *name >= start.0) {
        let first = if name == start.0 {
            usize::try_from(start.1).unwrap_or(0)
        } else {
            0
        };
        if !page.push(name, first) {
            break;
        }
    }
    page.response
}

/// The topics asked for, sorted and once each; all of them for an empty list.
fn names<'a>(image: &'a Image, request: &'a DescribeTopicPartitionsRequestData) -> Vec<&'a str> {
    if request.topics.is_empty() {
        return image.topics.keys().map(AsRef::as_ref).collect();
    }
    let mut names: Vec<&str> = request.topics.iter().map(|topic| topic.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

struct Page<'a> {
    image: &'a Image,
    nodes: Vec<Node<'a>>,
    /// Partitions that still fit.
    left: usize,
    response: DescribeTopicPartitionsResponseData,
}

impl Page<'_> {
    /// Adds a topic from partition `first` on. False when the page is full: the cursor says where to go on.
    fn push(&mut self, name: &str, first: usize) -> bool {
        if self.left == 0 {
            self.stop_at(name, first);
            return false;
        }
        let Some(topic) = self.image.topic(name) else {
            self.response.topics.push(missing(name));
            return true;
        };
        let end = topic.partitions.len().min(first.saturating_add(self.left));
        let described = self.describe(topic, first, end);
        self.response.topics.push(described);
        self.left -= end.saturating_sub(first);
        if end < topic.partitions.len() {
            self.stop_at(name, end);
        }
        end >= topic.partitions.len()
    }

    fn stop_at(&mut self, name: &str, partition: usize) {
        self.response.next_cursor = Some(Box::new(DescribeTopicPartitionsResponseCursor {
            topic_name: kafka_string(name),
            partition_index: i32::try_from(partition).unwrap_or(i32::MAX),
            ..Default::default()
        }));
    }

    fn describe(&self, topic: &Arc<Topic>, first: usize, end: usize) -> DescribeTopicPartitionsResponseTopic {
        let partitions = topic.partitions.get(first..end).unwrap_or(&[]).iter().map(|state| {
            let view = cluster_view::partition_view(self.image, &self.nodes, state);
            DescribeTopicPartitionsResponsePartition {
                error_code: view.error.code(),
                partition_index: state.index,
                leader_id: view.leader_id,
                leader_epoch: state.leader_epoch.0,
                replica_nodes: view.replicas,
                isr_nodes: view.isr,
                eligible_leader_replicas: Some(cluster_view::numbers(&state.elr)),
                last_known_elr: Some(cluster_view::numbers(&state.last_known_elr)),
                offline_replicas: view.offline,
                ..Default::default()
            }
        });
        DescribeTopicPartitionsResponseTopic {
            name: Some(kafka_string(&topic.name)),
            topic_id: kafka_uuid(topic.id),
            is_internal: cluster_view::is_internal(&topic.name),
            partitions: partitions.collect(),
            topic_authorized_operations: cluster_view::TOPIC_OPERATIONS,
            ..Default::default()
        }
    }
}

fn missing(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error = match cluster_view::is_topic_name(name) {
        true => ErrorCode::UnknownTopicOrPartition,
        false => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        name: Some(kafka_string(name)),
        topic_authorized_operations: cluster_view::OPERATIONS_NOT_ASKED,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing;
    use crate::wire::messages::{DescribeTopicPartitionsRequestCursor, Encode, TopicRequest};

    /// Pages of two partitions walk through all topics exactly once.
    #[test]
    fn pages_cover_every_partition_once() {
        let image = testing::image(&[("a", 3), ("b", 1), ("c", 2)]);
        let mut seen = Vec::new();
        let mut request = DescribeTopicPartitionsRequestData {
            response_partition_limit: 2,
            ..Default::default()
        };
        loop {
            let page = answer(&image, "PLAINTEXT", &request);
            page.encode(0).expect("the only version encodes");
            for topic in &page.topics {
                let name = topic
                    .name
                    .as_ref()
                    .map(|name| name.to_string())
                    .expect("topics are named");
                seen.extend(
                    topic
                        .partitions
                        .iter()
                        .map(|partition| (name.clone(), partition.partition_index)),
                );
            }
            let Some(next) = page.next_cursor else { break };
            request.cursor = Some(Box::new(DescribeTopicPartitionsRequestCursor {
                topic_name: next.topic_name.clone(),
                partition_index: next.partition_index,
                ..Default::default()
            }));
        }
        let all = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("c", 0), ("c", 1)];
        assert_eq!(seen, all.map(|(name, index)| (name.to_string(), index)));
    }

    /// A topic that does not exist is named with its error.
    #[test]
    fn missing_topics_are_named() {
        let image = testing::image(&[("a", 1)]);
        let topic = |name| TopicRequest {
            name: kafka_string(name),
            ..Default::default()
        };
        let topics = vec![topic("z"), topic("a"), topic("a")];
        let request = DescribeTopicPartitionsRequestData {
            topics,
            response_partition_limit: 10,
            ..Default::default()
        };
        let response = answer(&image, "PLAINTEXT", &request);
        assert_eq!(
            response.topics.iter().map(|topic| topic.error_code).collect::<Vec<_>>(),
            [0, 3]
        );
    }
}
