//! DescribeConfigs: the configuration of topics, this broker and its loggers, where each value comes from and what could have
//! decided it.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::config::{self, ConfigRow, ConfigSynonym, DynamicConfigs, Kind};
use crate::metadata::{CommandError, ConfigResource, Image};
use crate::model::{BrokerId, ErrorCode};
use crate::wire::ApiKey;
use crate::wire::messages::{
    DescribeConfigsRequestData, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponseData,
    DescribeConfigsResult, DescribeConfigsSynonym, kafka_string,
};

use super::alter_configs::resource_of;
use super::broker_loggers::{self, BROKER_LOGGER};
use super::{Answer, Api, Context, Refusal, Request, cluster_view};

pub const API: Api = Api {
    key: ApiKey::DESCRIBE_CONFIGS,
    name: "DescribeConfigs",
    versions: 1..=4,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<DescribeConfigsRequestData>(&cx)?;
    Answer::message(&respond(&cx.image(), cx.broker_id(), &message), version)
}

/// What was set at run time for this broker and for all.
pub fn dynamic_configs(image: &Image, me: BrokerId) -> DynamicConfigs<'_> {
    let set = |resource: Option<BrokerId>| image.broker_configs.get(&resource).map(AsRef::as_ref);
    DynamicConfigs {
        broker: set(Some(me)).unwrap_or(DynamicConfigs::NONE.broker),
        cluster: set(None).unwrap_or(DynamicConfigs::NONE.cluster),
    }
}

fn respond(image: &Image, me: BrokerId, request: &DescribeConfigsRequestData) -> DescribeConfigsResponseData {
    let results = request.resources.iter().map(|resource| {
        let (rows, error) = match rows(image, me, resource) {
            Ok(rows) => (rows, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let asked = |row: &ConfigRow| match &resource.configuration_keys {
            Some(keys) => keys.iter().any(|key| key.as_str() == row.name),
            None => true,
        };
        DescribeConfigsResult {
            error_code: error.as_ref().map_or(ErrorCode::None, |error| error.code).code(),
            error_message: error.map(|error| kafka_string(&error.message)),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            configs: rows.into_iter().filter(asked).map(|row| config(row, request)).collect(),
            ..Default::default()
        }
    });
    DescribeConfigsResponseData {
        results: results.collect(),
        ..Default::default()
    }
}

fn rows(image: &Image, me: BrokerId, resource: &DescribeConfigsResource) -> Result<Vec<ConfigRow>, CommandError> {
    if resource.resource_type == BROKER_LOGGER {
        return broker_loggers::rows(resource.resource_name.as_str(), me);
    }
    let dynamic = dynamic_configs(image, me);
    match resource_of(resource.resource_type, resource.resource_name.as_str(), me)? {
        ConfigResource::Topic(name) if !cluster_view::is_topic_name(&name) => Err(CommandError {
            code: ErrorCode::InvalidTopicException,
            message: format!("Topic name is invalid: '{name}'"),
        }),
        ConfigResource::Topic(name) => {
            let topic = image.topic(&name).ok_or_else(unknown_topic)?;
            Ok(config::describe_topic(&topic.overrides, &image.broker, dynamic))
        }
        ConfigResource::Broker(Some(_)) => Ok(config::describe_broker(&image.broker, dynamic)),
        ConfigResource::Broker(None) => Ok(config::describe_broker_defaults(dynamic.cluster)),
        ConfigResource::Group(name) if name.is_empty() => Err(CommandError {
            code: ErrorCode::InvalidRequest,
            message: "Group name must not be empty".to_string(),
        }),
        ConfigResource::Group(name) => {
            let set = image.group_configs.get(name.as_str());
            Ok(config::describe_group(
                set.map_or(&NONE_SET, |set| set),
                &image.broker,
                dynamic,
            ))
        }
    }
}

static NONE_SET: BTreeMap<String, String> = BTreeMap::new();

fn unknown_topic() -> CommandError {
    CommandError {
        code: ErrorCode::UnknownTopicOrPartition,
        message: "This server does not host this topic-partition.".to_string(),
    }
}

fn config(row: ConfigRow, request: &DescribeConfigsRequestData) -> DescribeConfigsResourceResult {
    let synonyms = row.synonyms.into_iter().filter(|_| request.include_synonyms);
    DescribeConfigsResourceResult {
        name: kafka_string(&row.name),
        value: row.value.as_deref().map(kafka_string),
        read_only: row.read_only,
        config_source: row.source as i8,
        is_sensitive: row.sensitive,
        synonyms: synonyms.map(synonym).collect(),
        config_type: row.kind.map_or(UNKNOWN_TYPE, Kind::code),
        documentation: row.doc.filter(|_| request.include_documentation).map(kafka_string),
        ..Default::default()
    }
}

const UNKNOWN_TYPE: i8 = 0;

fn synonym(synonym: ConfigSynonym) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym {
        name: kafka_string(&synonym.name),
        value: synonym.value.as_deref().map(kafka_string),
        source: synonym.source as i8,
        ..Default::default()
    }
}

/// The overrides of a new topic as CreateTopics shows them.
pub fn topic_rows(image: &Image, me: BrokerId, overrides: &BTreeMap<String, String>) -> Vec<ConfigRow> {
    config::describe_topic(overrides, &image.broker, dynamic_configs(image, me))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::alter_configs::{BROKER, GROUP, TOPIC};
    use crate::api::testing;
    use crate::wire::messages::{Encode, KafkaString};

    fn resource(resource_type: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsResource {
        let keys = keys.map(|keys| keys.iter().map(|key| kafka_string(key)).collect::<Vec<KafkaString>>());
        DescribeConfigsResource {
            resource_type,
            resource_name: kafka_string(name),
            configuration_keys: keys,
            ..Default::default()
        }
    }

    fn describe(image: &Image, resource: DescribeConfigsResource, synonyms: bool) -> DescribeConfigsResult {
        let request = DescribeConfigsRequestData {
            resources: vec![resource],
            include_synonyms: synonyms,
            ..Default::default()
        };
        let response = respond(image, BrokerId(1), &request);
        for version in API.versions {
            response
                .encode(version)
                .unwrap_or_else(|error| panic!("version {version}: {error}"));
        }
        response.results.into_iter().next().expect("one resource was asked for")
    }

    /// Behaviour 65: an override names its source, and its synonyms only when asked for.
    #[test]
    fn overrides_carry_their_source_and_synonyms() {
        let image = testing::image_with_override("a", "retention.ms", "1000");
        let keys: &[&str] = &["retention.ms", "segment.bytes"];
        let result = describe(&image, resource(TOPIC, "a", Some(keys)), false);
        let rows: Vec<_> = result
            .configs
            .iter()
            .map(|row| (row.name.as_str(), row.config_source))
            .collect();
        assert_eq!(rows, [("retention.ms", 1), ("segment.bytes", 5)]);
        assert!(result.configs.iter().all(|row| row.synonyms.is_empty()));
        let result = describe(&image, resource(TOPIC, "a", Some(keys)), true);
        assert_eq!(
            result.configs[0].synonyms.first().map(|synonym| synonym.source),
            Some(1)
        );
    }

    /// Any group has the keys of groups, with the broker's values where it sets none.
    #[test]
    fn groups_have_the_brokers_values_until_they_set_their_own() {
        let mut image = testing::image(&[]);
        let mut set = BTreeMap::new();
        set.insert("consumer.session.timeout.ms".to_owned(), "50000".to_owned());
        image.group_configs.insert("g".into(), std::sync::Arc::new(set));
        let row = |group| {
            let keys: &[&str] = &["consumer.session.timeout.ms"];
            let result = describe(&image, resource(GROUP, group, Some(keys)), true);
            let row = &result.configs[0];
            (
                row.value.as_ref().unwrap().as_str().to_owned(),
                row.config_source,
                row.synonyms.len(),
            )
        };
        assert_eq!(row("g"), ("50000".to_owned(), 8, 2));
        assert_eq!(row("other"), ("45000".to_owned(), 5, 1));
        assert_eq!(describe(&image, resource(GROUP, "", None), false).error_code, 42);
    }

    /// All keys of the broker itself; another broker's name is refused; unknown topics have their code.
    #[test]
    fn resources_are_topics_and_this_broker() {
        let image = testing::image(&[("a", 1)]);
        assert!(describe(&image, resource(TOPIC, "a", None), false).configs.len() > 20);
        assert!(describe(&image, resource(BROKER, "1", None), false).configs.len() > 100);
        assert_eq!(describe(&image, resource(BROKER, "", None), false).error_code, 0);
        assert!(
            describe(&image, resource(BROKER_LOGGER, "1", None), false)
                .configs
                .len()
                > 20
        );
        let code = |kind, name| describe(&image, resource(kind, name, None), false).error_code;
        assert_eq!(
            [code(BROKER, "2"), code(TOPIC, "b"), code(TOPIC, "b b"), code(16, "1")],
            [42, 3, 17, 42]
        );
    }
}
