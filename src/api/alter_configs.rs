//! AlterConfigs (replaces a resource's whole set), and what it shares with IncrementalAlterConfigs.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::metadata::{Command, CommandError, ConfigChange, ConfigOp, ConfigResource, Reply};
use crate::model::{BrokerId, ErrorCode};
use crate::wire::ApiKey;
use crate::wire::messages::{
    AlterConfigsRequestData, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponseData,
    kafka_string, text,
};

use super::{Answer, Api, Context, Refusal, Request, wrong_reply};

pub const API: Api = Api {
    key: ApiKey::ALTER_CONFIGS,
    name: "AlterConfigs",
    versions: 0..=2,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<AlterConfigsRequestData>(&cx)?;
    let changes = message
        .resources
        .iter()
        .map(|resource| change(resource, cx.broker_id()))
        .collect();
    let outcomes = submit(&cx, changes, message.validate_only).await;
    let responses = message.resources.iter().zip(outcomes).map(|(resource, outcome)| {
        let (code, message) = code_and_message(outcome);
        AlterConfigsResourceResponse {
            error_code: code.code(),
            error_message: message.as_deref().map(kafka_string),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        }
    });
    let response = AlterConfigsResponseData {
        responses: responses.collect(),
        ..Default::default()
    };
    Answer::message(&response, version)
}

/// Resource types of the protocol.
pub const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;
pub const GROUP: i8 = 32;

fn change(resource: &AlterConfigsResource, me: BrokerId) -> Result<ConfigChange, CommandError> {
    let ops = resource.configs.iter().map(|config| {
        let value = config.value.as_ref().ok_or_else(|| null_value(config.name.as_str()))?;
        Ok((text(&config.name), ConfigOp::Set(text(value))))
    });
    let ops: Vec<_> = ops.collect::<Result<_, CommandError>>()?;
    no_key_twice(&ops)?;
    let resource = resource_of(resource.resource_type, resource.resource_name.as_str(), me)?;
    Ok(ConfigChange {
        resource,
        ops,
        replace: true,
    })
}

pub fn null_value(name: &str) -> CommandError {
    invalid(format!("Null value not supported for : {name}"))
}

/// Each key at most once in a resource: which of two values should win?
pub fn no_key_twice(ops: &[(String, ConfigOp)]) -> Result<(), CommandError> {
    let mut seen = BTreeSet::new();
    match ops.iter().all(|(name, _)| seen.insert(name)) {
        true => Ok(()),
        false => Err(invalid("Error due to duplicate config keys".to_string())),
    }
}

/// The resource by its type and name: a broker's is its id, and an empty one means all brokers.
pub fn resource_of(resource_type: i8, name: &str, me: BrokerId) -> Result<ConfigResource, CommandError> {
    match (resource_type, name) {
        (TOPIC, name) => Ok(ConfigResource::Topic(name.to_string())),
        (BROKER, "") => Ok(ConfigResource::Broker(None)),
        (BROKER, name) if name.parse() == Ok(me.0) => Ok(ConfigResource::Broker(Some(me))),
        (BROKER, name) => Err(invalid(format!(
            "Unexpected broker id, expected {} but received {name}",
            me.0
        ))),
        (GROUP, name) => Ok(ConfigResource::Group(name.to_string())),
        (other, _) => Err(invalid(format!("Unsupported resource type {other}"))),
    }
}

pub fn invalid(message: String) -> CommandError {
    CommandError {
        code: ErrorCode::InvalidRequest,
        message,
    }
}

/// One outcome per change, in order. A change that is malformed is not submitted; the others go on.
pub async fn submit(
    cx: &Context,
    changes: Vec<Result<ConfigChange, CommandError>>,
    validate_only: bool,
) -> Vec<Result<(), CommandError>> {
    let valid: Vec<_> = changes.iter().flatten().cloned().collect();
    let count = valid.len();
    let outcomes = match count {
        0 => Vec::new(),
        _ => match cx
            .router()
            .metadata()
            .submit(Command::AlterConfigs {
                changes: valid,
                validate_only,
            })
            .await
        {
            Ok(Reply::AlterConfigs(outcomes)) => outcomes,
            Ok(_) => vec![Err(wrong_reply()); count],
            Err(error) => vec![Err(error); count],
        },
    };
    let mut outcomes = outcomes.into_iter();
    let outcome = |change: Result<ConfigChange, CommandError>| match change {
        Ok(_) => outcomes.next().unwrap_or_else(|| Err(wrong_reply())),
        Err(error) => Err(error),
    };
    changes.into_iter().map(outcome).collect()
}

pub fn code_and_message(outcome: Result<(), CommandError>) -> (ErrorCode, Option<String>) {
    match outcome {
        Ok(()) => (ErrorCode::None, None),
        Err(error) => (error.code, Some(error.message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::AlterableConfig;

    fn resource(resource_type: i8, name: &str, configs: &[(&str, Option<&str>)]) -> AlterConfigsResource {
        let config = |(name, value): &(&str, Option<&str>)| AlterableConfig {
            name: kafka_string(name),
            value: value.map(kafka_string),
            ..Default::default()
        };
        AlterConfigsResource {
            resource_type,
            resource_name: kafka_string(name),
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        }
    }

    /// Behaviour 66: the whole set is replaced; a broker's name must be the receiving node.
    #[test]
    fn resources_are_topics_and_this_broker() {
        let topic = change(&resource(TOPIC, "a", &[("retention.ms", Some("1"))]), BrokerId(1)).expect("valid");
        assert!(topic.replace && topic.resource == ConfigResource::Topic("a".to_string()));
        let broker = |name| change(&resource(BROKER, name, &[]), BrokerId(1)).map(|change| change.resource);
        assert_eq!(broker("1"), Ok(ConfigResource::Broker(Some(BrokerId(1)))));
        assert_eq!(broker(""), Ok(ConfigResource::Broker(None)));
        assert_eq!(broker("2").map_err(|error| error.code), Err(ErrorCode::InvalidRequest));
        assert!(change(&resource(8, "1", &[]), BrokerId(1)).is_err());
    }

    /// A key given twice, or without a value, is an invalid request.
    #[test]
    fn keys_come_once_and_with_a_value() {
        let of = |configs: &[(&str, Option<&str>)]| change(&resource(TOPIC, "a", configs), BrokerId(1)).is_ok();
        assert!(of(&[("x", Some("1")), ("y", Some("2"))]));
        assert!(!of(&[("x", Some("1")), ("x", Some("2"))]));
        assert!(!of(&[("x", None)]));
    }
}
