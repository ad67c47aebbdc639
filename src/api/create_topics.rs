//! CreateTopics: decided by the controller; the answer describes each new topic as DescribeConfigs would.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::config::ConfigRow;
use crate::metadata::{Command, CommandError, CreateTopic, CreatedTopic, Image, Reply};
use crate::model::{BrokerId, ErrorCode};
use crate::wire::ApiKey;
use crate::wire::messages::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequestData, CreateTopicsResponseData,
    kafka_string, kafka_uuid, text,
};

use super::describe_configs::topic_rows;
use super::topic_creation::until_visible;
use super::{Answer, Api, Context, Refusal, Request, wrong_reply};

pub const API: Api = Api {
    key: ApiKey::CREATE_TOPICS,
    name: "CreateTopics",
    versions: 2..=7,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<CreateTopicsRequestData>(&cx)?;
    let twice = named_twice(&message.topics);
    let once = message
        .topics
        .iter()
        .filter(|topic| !twice.contains(topic.name.as_str()));
    let created = submit(&cx, once.map(command).collect(), message.validate_only).await;
    if !message.validate_only {
        until_created(&cx, &created).await;
    }
    let image = cx.image();
    let described = Described {
        image: &image,
        me: cx.broker_id(),
        version,
    };
    let response = respond(&message, &twice, created, &described);
    Answer::message(&response, version)
}

type Created = Result<CreatedTopic, CommandError>;

fn named_twice(topics: &[CreatableTopic]) -> BTreeSet<&str> {
    let mut seen = BTreeSet::new();
    topics
        .iter()
        .map(|topic| topic.name.as_str())
        .filter(|name| !seen.insert(*name))
        .collect()
}

fn command(topic: &CreatableTopic) -> CreateTopic {
    let assignments = topic.assignments.iter().map(|assignment| {
        let replicas = assignment.broker_ids.iter().map(|id| BrokerId(*id)).collect();
        (assignment.partition_index, replicas)
    });
    let configs = topic
        .configs
        .iter()
        .map(|config| (text(&config.name), config.value.as_ref().map(text)));
    CreateTopic {
        name: text(&topic.name),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: configs.collect(),
    }
}

async fn submit(cx: &Context, topics: Vec<CreateTopic>, validate_only: bool) -> Vec<Created> {
    let count = topics.len();
    if count == 0 {
        return Vec::new();
    }
    match cx
        .router()
        .metadata()
        .submit(Command::CreateTopics { topics, validate_only })
        .await
    {
        Ok(Reply::CreateTopics(created)) => created,
        Ok(_) => vec![Err(wrong_reply()); count],
        Err(error) => vec![Err(error); count],
    }
}

async fn until_created(cx: &Context, created: &[Created]) {
    let ids: Vec<_> = created.iter().flatten().map(|topic| topic.id).collect();
    until_visible(cx, |image| ids.iter().all(|id| image.topic_by_id(id).is_some())).await;
}

fn respond(
    request: &CreateTopicsRequestData,
    twice: &BTreeSet<&str>,
    created: Vec<Created>,
    described: &Described<'_>,
) -> CreateTopicsResponseData {
    let mut created = created.into_iter();
    let topics = request.topics.iter().map(|topic| {
        let created = match twice.contains(topic.name.as_str()) {
            true => Err(CommandError {
                code: ErrorCode::InvalidRequest,
                message: "Create topics request from client has duplicate topics".to_string(),
            }),
            false => created.next().unwrap_or_else(|| Err(wrong_reply())),
        };
        match created {
            Ok(created) => described.success(topic, &created),
            Err(error) => described.failure(topic, error),
        }
    });
    CreateTopicsResponseData {
        topics: topics.collect(),
        ..Default::default()
    }
}

/// How one topic's result looks in a version.
struct Described<'a> {
    image: &'a Image,
    me: BrokerId,
    version: i16,
}

impl Described<'_> {
    fn success(&self, asked: &CreatableTopic, created: &CreatedTopic) -> CreatableTopicResult {
        CreatableTopicResult {
            name: asked.name.clone(),
            topic_id: kafka_uuid(created.id),
            num_partitions: created.partitions,
            replication_factor: created.replication_factor,
            configs: (self.version >= 5).then(|| self.configs(&created.configs)),
            ..Default::default()
        }
    }

    fn failure(&self, asked: &CreatableTopic, error: CommandError) -> CreatableTopicResult {
        CreatableTopicResult {
            name: asked.name.clone(),
            error_code: error.code.code(),
            error_message: Some(kafka_string(&error.message)),
            num_partitions: -1,
            replication_factor: -1,
            configs: (self.version >= 5).then(Vec::new),
            ..Default::default()
        }
    }

    fn configs(&self, overrides: &BTreeMap<String, String>) -> Vec<CreatableTopicConfigs> {
        let rows = topic_rows(self.image, self.me, overrides);
        let config = |row: ConfigRow| CreatableTopicConfigs {
            name: kafka_string(&row.name),
            value: row.value.as_deref().map(kafka_string),
            read_only: row.read_only,
            config_source: row.source as i8,
            is_sensitive: row.sensitive,
            ..Default::default()
        };
        rows.into_iter().map(config).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::testing;
    use crate::model::TopicId;
    use crate::wire::messages::{CreatableReplicaAssignment, CreatableTopicConfig, Encode};

    fn topic(name: &str) -> CreatableTopic {
        CreatableTopic {
            name: kafka_string(name),
            num_partitions: -1,
            replication_factor: -1,
            ..Default::default()
        }
    }

    /// Behaviour 64: each topic has its own answer, with configs from version 5 and the id from version 7; every version
    /// encodes. A name that comes twice is refused each time.
    #[test]
    fn every_topic_is_answered() {
        let image = testing::image(&[]);
        let topics = vec![topic("a"), topic("b"), topic("b"), topic("c")];
        let request = CreateTopicsRequestData {
            topics,
            ..Default::default()
        };
        for version in API.versions {
            let twice = named_twice(&request.topics);
            let overrides = BTreeMap::from([("retention.ms".to_string(), "7".to_string())]);
            let made = CreatedTopic {
                id: TopicId([5; 16]),
                partitions: 3,
                replication_factor: 1,
                configs: Arc::new(overrides),
            };
            let exists = CommandError {
                code: ErrorCode::TopicAlreadyExists,
                message: "Topic 'c' already exists.".into(),
            };
            let described = Described {
                image: &image,
                me: BrokerId(1),
                version,
            };
            let response = respond(&request, &twice, vec![Ok(made), Err(exists)], &described);
            let codes: Vec<_> = response.topics.iter().map(|topic| topic.error_code).collect();
            assert_eq!(codes, [0, 42, 42, 36]);
            let configs = response.topics[0].configs.as_deref().unwrap_or(&[]);
            let retention = configs.iter().find(|config| config.name.as_str() == "retention.ms");
            assert_eq!(
                retention.map(|config| config.config_source),
                (version >= 5).then_some(1)
            );
            response
                .encode(version)
                .unwrap_or_else(|error| panic!("version {version}: {error}"));
        }
    }

    /// Assignments and configs reach the controller as they came.
    #[test]
    fn the_command_holds_what_was_asked() {
        let assignment = CreatableReplicaAssignment {
            partition_index: 0,
            broker_ids: vec![1, 2],
            ..Default::default()
        };
        let config = CreatableTopicConfig {
            name: kafka_string("k"),
            value: None,
            ..Default::default()
        };
        let asked = CreatableTopic {
            assignments: vec![assignment],
            configs: vec![config],
            ..topic("a")
        };
        let command = command(&asked);
        assert_eq!(
            command.assignments,
            BTreeMap::from([(0, vec![BrokerId(1), BrokerId(2)])])
        );
        assert_eq!(command.configs, BTreeMap::from([("k".to_string(), None)]));
    }
}
