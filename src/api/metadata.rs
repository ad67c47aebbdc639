//! Metadata: who leads what, and where. The first thing that every client asks; unknown topics may be created on the way.

use std::rc::Rc;
use std::sync::Arc;

use crate::metadata::{Image, PartitionState, Topic};
use crate::model::{ErrorCode, PartitionId, TopicId};
use crate::wire::ApiKey;
use crate::wire::messages::{
    MetadataRequestData, MetadataRequestTopic, MetadataResponseBroker, MetadataResponseData, MetadataResponsePartition,
    MetadataResponseTopic, kafka_string, kafka_uuid, topic_id,
};

use super::cluster_view::{self, Node};
use super::shard_nodes::ShardNodes;
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::METADATA,
    name: "Metadata",
    versions: 0..=13,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<MetadataRequestData>(&cx)?;
    let image = cx.image();
    let asked = Asked::of(&message, version);
    let described = View {
        image: &image,
        listener: &cx.listener,
        shards: ShardNodes::of(&image, &cx.listener),
        version,
    }
    .describe(&asked, &message);
    if cx.config().auto_create_topics && allows_creation(&message, version) {
        cx.services.topic_creation.start(&cx, described.missing);
    }
    Answer::message(&described.response, version)
}

/// Which topics a request is about.
#[derive(Debug, PartialEq)]
enum Asked<'a> {
    All,
    Named(&'a [MetadataRequestTopic]),
    /// Ids or null names below version 12: every topic gets INVALID_REQUEST.
    Malformed(&'a [MetadataRequestTopic]),
}

impl<'a> Asked<'a> {
    /// Version 0 means all topics by an empty list; from version 1 on null means all, and empty means none.
    fn of(request: &'a MetadataRequestData, version: i16) -> Asked<'a> {
        match request.topics.as_deref() {
            None => Asked::All,
            Some([]) if version == 0 => Asked::All,
            Some(topics) if version < 12 && topics.iter().any(is_by_id) => Asked::Malformed(topics),
            Some(topics) => Asked::Named(topics),
        }
    }
}

fn is_by_id(topic: &MetadataRequestTopic) -> bool {
    topic.name.is_none() || topic_id(topic.topic_id) != TopicId::ZERO
}

/// Before version 4 there is no such field, and creation is allowed.
fn allows_creation(request: &MetadataRequestData, version: i16) -> bool {
    version < 4 || request.allow_auto_topic_creation
}

struct View<'a> {
    image: &'a Image,
    listener: &'a str,
    shards: ShardNodes<'a>,
    version: i16,
}

struct Described {
    response: MetadataResponseData,
    /// Valid names of topics that do not exist.
    missing: Vec<String>,
}

impl View<'_> {
    fn describe(&self, asked: &Asked<'_>, request: &MetadataRequestData) -> Described {
        let nodes = cluster_view::nodes(self.image, self.listener);
        let operations = match request.include_topic_authorized_operations {
            true => cluster_view::TOPIC_OPERATIONS,
            false => cluster_view::OPERATIONS_NOT_ASKED,
        };
        let mut missing = Vec::new();
        let mut topics: Vec<MetadataResponseTopic> = match asked {
            Asked::All => self
                .image
                .topics
                .values()
                .map(|topic| self.known(topic, &nodes))
                .collect(),
            Asked::Named(topics) => topics
                .iter()
                .map(|topic| self.asked_for(topic, &nodes, &mut missing))
                .collect(),
            Asked::Malformed(topics) => topics.iter().map(malformed).collect(),
        };
        topics
            .iter_mut()
            .for_each(|topic| topic.topic_authorized_operations = operations);
        let response = MetadataResponseData {
            brokers: nodes.iter().chain(self.shards.iter()).map(broker).collect(),
            cluster_id: Some(kafka_string(&self.image.cluster_id)),
            controller_id: cluster_view::controller_id(self.image, &nodes),
            topics,
            cluster_authorized_operations: self.cluster_operations(request),
            ..Default::default()
        };
        Described { response, missing }
    }

    /// The field exists in versions 8 to 10 only.
    fn cluster_operations(&self, request: &MetadataRequestData) -> i32 {
        match (8..=10).contains(&self.version) && request.include_cluster_authorized_operations {
            true => cluster_view::CLUSTER_OPERATIONS,
            false => cluster_view::OPERATIONS_NOT_ASKED,
        }
    }

    /// An unknown topic is named with its error, never left out.
    fn asked_for(
        &self,
        asked: &MetadataRequestTopic,
        nodes: &[Node<'_>],
        missing: &mut Vec<String>,
    ) -> MetadataResponseTopic {
        let id = topic_id(asked.topic_id);
        let name = match &asked.name {
            Some(name) if id == TopicId::ZERO => name.as_str(),
            _ => return self.by_id(&id, nodes),
        };
        match self.image.topic(name) {
            Some(topic) => self.known(topic, nodes),
            None if cluster_view::is_topic_name(name) => {
                missing.push(name.to_string());
                unknown(name, ErrorCode::UnknownTopicOrPartition)
            }
            None => unknown(name, ErrorCode::InvalidTopicException),
        }
    }

    fn by_id(&self, id: &TopicId, nodes: &[Node<'_>]) -> MetadataResponseTopic {
        match self.image.topic_by_id(id) {
            Some(topic) => self.known(topic, nodes),
            None => MetadataResponseTopic {
                error_code: ErrorCode::UnknownTopicId.code(),
                name: None,
                topic_id: kafka_uuid(*id),
                ..Default::default()
            },
        }
    }

    fn known(&self, topic: &Arc<Topic>, nodes: &[Node<'_>]) -> MetadataResponseTopic {
        MetadataResponseTopic {
            name: Some(kafka_string(&topic.name)),
            topic_id: kafka_uuid(topic.id),
            is_internal: cluster_view::is_internal(&topic.name),
            partitions: topic
                .partitions
                .iter()
                .map(|partition| self.partition(topic.id, partition, nodes))
                .collect(),
            ..Default::default()
        }
    }

    fn partition(&self, topic: TopicId, state: &PartitionState, nodes: &[Node<'_>]) -> MetadataResponsePartition {
        let view = cluster_view::partition_view(self.image, nodes, state);
        let id = PartitionId {
            topic,
            index: state.index,
        };
        let shard = state.leader.and_then(|leader| self.shards.owner_of(id, leader));
        let error = match view.error {
            ErrorCode::ListenerNotFound if self.version <= 5 => ErrorCode::LeaderNotAvailable,
            error => error,
        };
        MetadataResponsePartition {
            error_code: error.code(),
            partition_index: state.index,
            leader_id: shard.map_or(view.leader_id, |node| node.id.0),
            leader_epoch: state.leader_epoch.0,
            replica_nodes: view.replicas,
            isr_nodes: view.isr,
            offline_replicas: view.offline,
            ..Default::default()
        }
    }
}

fn broker(node: &Node<'_>) -> MetadataResponseBroker {
    MetadataResponseBroker {
        node_id: node.id.0,
        host: node.endpoint.host.clone().into(),
        port: i32::from(node.endpoint.port),
        rack: node.rack.map(kafka_string),
        ..Default::default()
    }
}

fn unknown(name: &str, error: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: error.code(),
        name: Some(kafka_string(name)),
        is_internal: cluster_view::is_internal(name),
        ..Default::default()
    }
}

fn malformed(asked: &MetadataRequestTopic) -> MetadataResponseTopic {
    let name = asked.name.as_ref().map_or("", |name| name.as_str());
    unknown(name, ErrorCode::InvalidRequest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing;
    use crate::model::BrokerId;
    use crate::wire::messages::Encode;

    fn topics(names: &[&str]) -> MetadataRequestData {
        let topic = |name: &&str| MetadataRequestTopic {
            name: Some(name.to_string().into()),
            ..Default::default()
        };
        MetadataRequestData {
            topics: Some(names.iter().map(topic).collect()),
            ..Default::default()
        }
    }

    fn describe(image: &Image, request: &MetadataRequestData, version: i16) -> Described {
        View {
            image,
            listener: "PLAINTEXT",
            shards: ShardNodes::of(image, "PLAINTEXT"),
            version,
        }
        .describe(&Asked::of(request, version), request)
    }

    /// Behaviour 10: null is all and empty is none from version 1 on; in version 0 empty is all.
    #[test]
    fn null_is_all_topics_and_empty_is_none() {
        let image = testing::image(&[("a", 1), ("b", 2)]);
        let all = MetadataRequestData {
            topics: None,
            ..Default::default()
        };
        assert_eq!(describe(&image, &all, 1).response.topics.len(), 2);
        assert_eq!(describe(&image, &topics(&[]), 1).response.topics.len(), 0);
        assert_eq!(describe(&image, &topics(&[]), 13).response.topics.len(), 0);
        assert_eq!(describe(&image, &topics(&[]), 0).response.topics.len(), 2);
    }

    /// Behaviour 11: an unknown topic is named, a bad name has its own error and is never created.
    #[test]
    fn unknown_topics_are_named_with_their_error() {
        let image = testing::image(&[("a", 1)]);
        let described = describe(&image, &topics(&["nope", "bad name", "a"]), 12);
        let errors: Vec<_> = described.response.topics.iter().map(|topic| topic.error_code).collect();
        assert_eq!(errors, [3, 17, 0]);
        assert_eq!(described.missing, ["nope"]);
        assert_eq!(
            described.response.topics[1].name.as_ref().map(|name| name.as_str()),
            Some("bad name")
        );
    }

    /// Behaviour 13: by id from version 12 on, unknown ids with a null name; ids and null names are malformed before.
    #[test]
    fn topics_are_found_by_id_from_version_12() {
        let image = testing::image(&[("a", 1)]);
        let id = image.topic("a").expect("created above").id;
        let by_id = |id: TopicId| MetadataRequestData {
            topics: Some(vec![MetadataRequestTopic {
                topic_id: kafka_uuid(id),
                name: None,
                ..Default::default()
            }]),
            ..Default::default()
        };
        let found = describe(&image, &by_id(id), 12).response.topics;
        assert_eq!(found[0].name.as_ref().map(|name| name.as_str()), Some("a"));
        let unknown = describe(&image, &by_id(TopicId([9; 16])), 12).response.topics;
        assert_eq!(
            (unknown[0].error_code, &unknown[0].name),
            (ErrorCode::UnknownTopicId.code(), &None)
        );
        let early = describe(&image, &by_id(id), 11).response.topics;
        assert_eq!(early[0].error_code, ErrorCode::InvalidRequest.code());
    }

    /// Behaviour 14: only this listener's endpoints; a leader without one is not reachable from here.
    #[test]
    fn brokers_and_leaders_are_those_of_the_listener() {
        let image = testing::image(&[("a", 1)]);
        let all = MetadataRequestData {
            topics: None,
            ..Default::default()
        };
        let here = describe(&image, &all, 9).response;
        assert_eq!(
            (
                here.brokers.len(),
                here.controller_id,
                here.topics[0].partitions[0].leader_id
            ),
            (1, 1, 1)
        );
        for (version, error) in [(5, ErrorCode::LeaderNotAvailable), (6, ErrorCode::ListenerNotFound)] {
            let view = View {
                image: &image,
                listener: "EXTERNAL",
                shards: ShardNodes::of(&image, "EXTERNAL"),
                version,
            };
            let elsewhere = view.describe(&Asked::All, &all).response;
            assert!(elsewhere.brokers.is_empty());
            assert_eq!(elsewhere.topics[0].partitions[0].error_code, error.code());
        }
    }

    /// Behaviour 15: INT_MIN unless asked for.
    #[test]
    fn operations_are_given_only_when_asked_for() {
        let image = testing::image(&[("a", 1)]);
        let mut request = MetadataRequestData {
            topics: None,
            ..Default::default()
        };
        assert_eq!(
            describe(&image, &request, 8).response.topics[0].topic_authorized_operations,
            i32::MIN
        );
        request.include_topic_authorized_operations = true;
        request.include_cluster_authorized_operations = true;
        let response = describe(&image, &request, 8).response;
        assert_eq!(
            (
                response.topics[0].topic_authorized_operations,
                response.cluster_authorized_operations
            ),
            (3576, 8096)
        );
    }

    /// Every advertised version encodes, with leaderless and offline replicas inside.
    #[test]
    fn every_version_encodes() {
        let mut image = testing::image(&[("a", 2)]);
        let mut topic = Topic::clone(image.topic("a").expect("created above"));
        topic.partitions[0].leader = None;
        topic.partitions[0].replicas.push(BrokerId(7));
        image.topics.insert(topic.name.clone(), Arc::new(topic));
        for version in API.versions {
            let request = topics(&["a", "nope", ""]);
            let response = describe(&image, &request, version).response;
            assert_eq!(response.topics[0].partitions[0].offline_replicas, [7]);
            response
                .encode(version)
                .unwrap_or_else(|error| panic!("version {version}: {error}"));
        }
    }
}
