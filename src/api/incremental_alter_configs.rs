//! IncrementalAlterConfigs: single settings of topics, brokers and their loggers. All or nothing per resource. //= KIP-339

use std::rc::Rc;

use crate::metadata::{CommandError, ConfigChange, ConfigOp};
use crate::model::BrokerId;
use crate::wire::ApiKey;
use crate::wire::messages::{
    IncrementalAlterConfigsRequestData, IncrementalAlterConfigsResource, IncrementalAlterConfigsResourceResponse,
    IncrementalAlterConfigsResponseData, IncrementalAlterableConfig, kafka_string, text,
};

use super::alter_configs::{code_and_message, invalid, no_key_twice, null_value, resource_of, submit};
use super::broker_loggers::{self, BROKER_LOGGER};
use super::{Answer, Api, Context, Refusal, Request, wrong_reply};

pub const API: Api = Api {
    key: ApiKey::INCREMENTAL_ALTER_CONFIGS,
    name: "IncrementalAlterConfigs",
    versions: 0..=1,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<IncrementalAlterConfigsRequestData>(&cx)?;
    let of_loggers = |resource: &&IncrementalAlterConfigsResource| resource.resource_type == BROKER_LOGGER;
    let others = message.resources.iter().filter(|resource| !of_loggers(resource));
    let changes = others.map(|resource| change(resource, cx.broker_id())).collect();
    let mut submitted = submit(&cx, changes, message.validate_only).await.into_iter();
    let outcomes = message.resources.iter().map(|resource| match of_loggers(&resource) {
        true => broker_loggers::alter(resource, cx.broker_id(), message.validate_only),
        false => submitted.next().unwrap_or_else(|| Err(wrong_reply())),
    });
    let responses = message.resources.iter().zip(outcomes).map(|(resource, outcome)| {
        let (code, message) = code_and_message(outcome);
        IncrementalAlterConfigsResourceResponse {
            error_code: code.code(),
            error_message: message.as_deref().map(kafka_string),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        }
    });
    let response = IncrementalAlterConfigsResponseData {
        responses: responses.collect(),
        ..Default::default()
    };
    Answer::message(&response, version)
}

fn change(resource: &IncrementalAlterConfigsResource, me: BrokerId) -> Result<ConfigChange, CommandError> {
    let ops: Vec<_> = resource.configs.iter().map(op).collect::<Result<_, CommandError>>()?;
    no_key_twice(&ops)?;
    let resource = resource_of(resource.resource_type, resource.resource_name.as_str(), me)?;
    Ok(ConfigChange {
        resource,
        ops,
        replace: false,
    })
}

pub fn op(config: &IncrementalAlterableConfig) -> Result<(String, ConfigOp), CommandError> {
    let value = || {
        config
            .value
            .as_ref()
            .map(text)
            .ok_or_else(|| null_value(config.name.as_str()))
    };
    let op = match config.config_operation {
        0 => ConfigOp::Set(value()?),
        1 => ConfigOp::Delete,
        2 => ConfigOp::Append(value()?),
        3 => ConfigOp::Subtract(value()?),
        other => return Err(invalid(format!("Unknown operation {other} for : {}", config.name))),
    };
    Ok((text(&config.name), op))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::alter_configs::TOPIC;

    /// Behaviour 66: 0 set, 1 delete, 2 append, 3 subtract; only delete goes without a value.
    #[test]
    fn operations_have_kafkas_numbers() {
        let of = |config_operation, value: Option<&str>| {
            let config = IncrementalAlterableConfig {
                name: kafka_string("cleanup.policy"),
                config_operation,
                value: value.map(kafka_string),
                ..Default::default()
            };
            op(&config).map(|(_, op)| op)
        };
        assert!(matches!(of(0, Some("x")), Ok(ConfigOp::Set(value)) if value == "x"));
        assert!(matches!(of(1, None), Ok(ConfigOp::Delete)));
        assert!(matches!(of(2, Some("x")), Ok(ConfigOp::Append(_))));
        assert!(matches!(of(3, Some("x")), Ok(ConfigOp::Subtract(_))));
        assert!(of(0, None).is_err() && of(2, None).is_err() && of(4, Some("x")).is_err());
    }

    /// Nothing that the request does not name is removed.
    #[test]
    fn changes_are_incremental() {
        let resource = IncrementalAlterConfigsResource {
            resource_type: TOPIC,
            resource_name: kafka_string("a"),
            ..Default::default()
        };
        assert!(!change(&resource, BrokerId(1)).expect("valid").replace);
    }
}
