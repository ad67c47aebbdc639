//! FindCoordinator: the broker that leads the partition of an internal topic where a key's state is kept.
//!
//! The internal topics are created when the first group or the first transactional id looks for its coordinator; until
//! they are there, the answer is one that clients retry.

use std::rc::Rc;

use crate::config::BrokerConfig;
use crate::group::partition_of;
use crate::metadata::{CreateTopic, Image};
use crate::model::{ErrorCode, OFFSETS_TOPIC, SHARE_STATE_TOPIC, TRANSACTIONS_TOPIC, TopicId};
use crate::wire::ApiKey;
use crate::wire::messages::{Coordinator, FindCoordinatorRequestData, FindCoordinatorResponseData, kafka_string, text};

use super::cluster_view::nodes;
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::FIND_COORDINATOR,
    name: "FindCoordinator",
    versions: 0..=6,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// From this version on several keys are asked for, and each is answered by itself.
const KEYS_FROM: i16 = 4;
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// The key is a group, a topic id and a partition, with colons between them. //= KIP-932
const SHARE: i8 = 2;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<FindCoordinatorRequestData>(&cx)?;
    let image = cx.image();
    match message.key_type {
        GROUP if image.topic(OFFSETS_TOPIC).is_none() => {
            cx.services
                .topic_creation
                .start_internal(&cx, offsets_topic(cx.config()));
        }
        TRANSACTION if image.topic(TRANSACTIONS_TOPIC).is_none() => {
            cx.services
                .topic_creation
                .start_internal(&cx, transactions_topic(cx.config()));
        }
        SHARE if image.topic(SHARE_STATE_TOPIC).is_none() => {
            cx.services
                .topic_creation
                .start_internal(&cx, share_state_topic(cx.config()));
        }
        _ => {}
    }
    let find = |key: &str| find(&image, &cx.listener, message.key_type, key);
    Answer::message(&answer(&message, version, find), version)
}

fn offsets_topic(config: &BrokerConfig) -> CreateTopic {
    let groups = &config.groups;
    CreateTopic {
        name: OFFSETS_TOPIC.to_string(),
        partitions: groups.topic_partitions,
        replication_factor: replication_factor(config, groups.topic_replication_factor),
        assignments: Default::default(),
        configs: groups.topic_configs(),
    }
}

fn transactions_topic(config: &BrokerConfig) -> CreateTopic {
    let transactions = &config.transactions;
    CreateTopic {
        name: TRANSACTIONS_TOPIC.to_string(),
        partitions: transactions.topic_partitions,
        replication_factor: replication_factor(config, transactions.topic_replication_factor),
        assignments: Default::default(),
        configs: transactions.topic_configs(),
    }
}

pub fn share_state_topic(config: &BrokerConfig) -> CreateTopic {
    let shares = &config.shares;
    CreateTopic {
        name: SHARE_STATE_TOPIC.to_string(),
        partitions: shares.topic_partitions,
        replication_factor: replication_factor(config, shares.topic_replication_factor),
        assignments: Default::default(),
        configs: shares.topic_configs(),
    }
}

/// On a node alone every factor but 1 would keep its clients waiting for brokers that never come. In a cluster they wait
/// for those that are not there yet: a topic that is made with fewer replicas keeps them.
fn replication_factor(config: &BrokerConfig, configured: i16) -> i16 {
    match config.quorum {
        None => 1,
        Some(_) => configured,
    }
}

fn is_share_key(key: &str) -> bool {
    let mut parts = key.rsplitn(3, ':');
    let index = parts.next().and_then(|index| index.parse::<i32>().ok());
    let id = parts.next().and_then(|id| id.parse::<TopicId>().ok());
    let group = parts.next().filter(|group| !group.is_empty());
    index.is_some_and(|index| index >= 0) && id.is_some() && group.is_some()
}

struct Found {
    node_id: i32,
    host: String,
    port: i32,
}

fn find(image: &Image, listener: &str, key_type: i8, key: &str) -> Result<Found, ErrorCode> {
    let topic = match key_type {
        GROUP => image.topic(OFFSETS_TOPIC),
        TRANSACTION => image.topic(TRANSACTIONS_TOPIC),
        SHARE if is_share_key(key) => image.topic(SHARE_STATE_TOPIC),
        _ => return Err(ErrorCode::InvalidRequest),
    };
    let topic = topic.ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let index = partition_of(key, topic.partitions.len() as i32) as usize;
    let leader = topic.partitions.get(index).and_then(|partition| partition.leader);
    let nodes = nodes(image, listener);
    let node = nodes.iter().find(|node| Some(node.id) == leader);
    let node = node.ok_or(ErrorCode::CoordinatorNotAvailable)?;
    Ok(Found {
        node_id: node.id.0,
        host: node.endpoint.host.clone(),
        port: i32::from(node.endpoint.port),
    })
}

fn answer(
    request: &FindCoordinatorRequestData,
    version: i16,
    find: impl Fn(&str) -> Result<Found, ErrorCode>,
) -> FindCoordinatorResponseData {
    if version >= KEYS_FROM {
        let coordinators = request.coordinator_keys.iter().map(|key| {
            let one = coordinator(find(key.as_str()));
            Coordinator {
                key: kafka_string(&text(key)),
                ..one
            }
        });
        return FindCoordinatorResponseData {
            coordinators: coordinators.collect(),
            ..Default::default()
        };
    }
    let one = coordinator(find(request.key.as_str()));
    FindCoordinatorResponseData {
        error_code: one.error_code,
        error_message: one.error_message,
        node_id: one.node_id,
        host: one.host,
        port: one.port,
        ..Default::default()
    }
}

fn coordinator(found: Result<Found, ErrorCode>) -> Coordinator {
    match found {
        Ok(found) => Coordinator {
            node_id: found.node_id,
            host: kafka_string(&found.host),
            port: found.port,
            ..Default::default()
        },
        Err(error) => Coordinator {
            node_id: -1,
            port: -1,
            error_code: error.code(),
            error_message: Some(kafka_string(message(error))),
            ..Default::default()
        },
    }
}

fn message(error: ErrorCode) -> &'static str {
    match error {
        ErrorCode::InvalidRequest => "The key type is not known.",
        _ => "The coordinator is not available.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing;
    use crate::config::Properties;
    use crate::wire::messages::Encode;

    fn ask(version: i16, key_type: i8, image: &Image) -> Vec<(i32, i16)> {
        let mut request = FindCoordinatorRequestData {
            key_type,
            ..Default::default()
        };
        match version {
            ..KEYS_FROM => request.key = kafka_string("g"),
            _ => request.coordinator_keys = vec![kafka_string("g"), kafka_string("h")],
        }
        let response = answer(&request, version, |key| find(image, "PLAINTEXT", key_type, key));
        response
            .encode(version)
            .unwrap_or_else(|error| panic!("version {version}: {error}"));
        match version {
            ..KEYS_FROM => vec![(response.node_id, response.error_code)],
            _ => {
                let coordinators = response.coordinators.iter();
                coordinators.map(|one| (one.node_id, one.error_code)).collect()
            }
        }
    }

    /// Behaviour 46: every key is answered, in every version's own shape; without the topic by an error to retry.
    #[test]
    fn every_key_has_its_answer() {
        let without = testing::image(&[("t", 1)]);
        let with = testing::image(&[(OFFSETS_TOPIC, 50)]);
        for version in API.versions {
            let count = if version < KEYS_FROM { 1 } else { 2 };
            assert_eq!(ask(version, GROUP, &without), vec![(-1, 15); count]);
            assert_eq!(ask(version, GROUP, &with), vec![(1, 0); count]);
            assert_eq!(ask(version, TRANSACTION, &with), vec![(-1, 15); count]);
            assert_eq!(ask(version, 9, &with), vec![(-1, 42); count]);
        }
    }

    /// A share partition is named by its group, which may hold colons, its topic's id and its index.
    #[test]
    fn share_partitions_are_named_in_full() {
        let id = TopicId([7; 16]);
        assert!(is_share_key(&format!("g:{id}:0")));
        assert!(is_share_key(&format!("g:with:colons:{id}:12")));
        for wrong in [
            "g".to_owned(),
            format!(":{id}:0"),
            format!("g:{id}:-1"),
            "g:x:0".to_owned(),
        ] {
            assert!(!is_share_key(&wrong), "{wrong}");
        }
    }
    /// What the file says holds in a cluster, however few of its brokers have been heard of; a node alone has one replica.
    #[test]
    fn a_cluster_waits_for_the_replicas_of_its_internal_topics() {
        let factors = |text: &str| {
            let (config, _) = BrokerConfig::resolve(&Properties::parse(text)).expect("a sound file");
            [offsets_topic, transactions_topic, share_state_topic].map(|topic| topic(&config).replication_factor)
        };
        assert_eq!(factors("node.id=1\nlog.dirs=/d\n"), [1, 1, 1]);
        let cluster = "node.id=1\nlog.dirs=/d\nlisteners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n\
                       controller.listener.names=CONTROLLER\n\
                       controller.quorum.voters=1@127.0.0.1:9093,2@127.0.0.1:9193,3@127.0.0.1:9293\n";
        assert_eq!(factors(cluster), [3, 3, 3]);
    }
}
