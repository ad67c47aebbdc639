//! The levels of this broker's loggers, as resources of the type BROKER_LOGGER. //= KIP-412
//!
//! A level may name its time, `DEBUG for 10m`, after which the configured one comes back by itself. Unlike Kafka, which has no
//! configured level to go back to, the root logger too can be deleted.

use crate::config::{ConfigRow, ConfigSource};
use crate::logging::{self, LEVELS, Logger, Setting};
use crate::metadata::{CommandError, ConfigOp};
use crate::model::{BrokerId, ErrorCode};
use crate::wire::messages::IncrementalAlterConfigsResource;

use super::alter_configs::{invalid, no_key_twice};
use super::incremental_alter_configs::op;

/// The resource type's number.
pub const BROKER_LOGGER: i8 = 8;

/// The loggers of the broker with this name, which must be this one.
pub fn rows(name: &str, me: BrokerId) -> Result<Vec<ConfigRow>, CommandError> {
    check_broker(name, me)?;
    let row = |logger: Logger| ConfigRow {
        value: Some(logger.level.word().to_owned()),
        name: logger.name,
        source: ConfigSource::DynamicBrokerLogger,
        read_only: false,
        sensitive: false,
        kind: None,
        doc: None,
        synonyms: Vec::new(),
    };
    Ok(logging::loggers().into_iter().map(row).collect())
}

/// Sets levels on this broker, all of a resource's or none.
pub fn alter(
    resource: &IncrementalAlterConfigsResource,
    me: BrokerId,
    validate_only: bool,
) -> Result<(), CommandError> {
    let ops: Vec<_> = resource.configs.iter().map(op).collect::<Result<_, CommandError>>()?;
    no_key_twice(&ops)?;
    check_broker(resource.resource_name.as_str(), me)?;
    let changes: Vec<_> = ops.into_iter().map(change).collect::<Result<_, _>>()?;
    if !validate_only {
        logging::set(changes);
    }
    Ok(())
}

fn check_broker(name: &str, me: BrokerId) -> Result<(), CommandError> {
    match name.parse() {
        Ok(id) if me == BrokerId(id) => Ok(()),
        Ok(_) => Err(invalid(format!(
            "Unexpected broker id, expected {} but received {name}",
            me.0
        ))),
        Err(_) => Err(invalid(format!(
            "Loggers are those of one broker, and {name:?} is no broker id"
        ))),
    }
}

fn change((logger, op): (String, ConfigOp)) -> Result<(String, Option<Setting>), CommandError> {
    let logger = logging::logger_name(&logger);
    if !logging::is_logger(&logger) {
        return Err(illegal(format!("There is no logger {logger}")));
    }
    match op {
        ConfigOp::Delete => Ok((logger, None)),
        ConfigOp::Set(value) => match value.parse() {
            Ok(setting) => Ok((logger, Some(setting))),
            Err(_) => Err(illegal(format!(
                "{value:?} is no level for {logger}: write one of {LEVELS}, and perhaps a time, as in DEBUG for 10m"
            ))),
        },
        ConfigOp::Append(_) | ConfigOp::Subtract(_) => Err(invalid(format!("The level of {logger} is no list"))),
    }
}

fn illegal(message: String) -> CommandError {
    CommandError {
        code: ErrorCode::InvalidConfig,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::{IncrementalAlterableConfig, kafka_string};

    fn resource(broker: &str, ops: &[(&str, i8, &str)]) -> IncrementalAlterConfigsResource {
        let config = |(name, operation, value): &(&str, i8, &str)| {
            let config = IncrementalAlterableConfig::default()
                .with_name(kafka_string(name))
                .with_config_operation(*operation);
            config.with_value(Some(kafka_string(value)))
        };
        IncrementalAlterConfigsResource::default()
            .with_resource_type(BROKER_LOGGER)
            .with_resource_name(kafka_string(broker))
            .with_configs(ops.iter().map(config).collect())
    }

    fn level_of(logger: &str) -> Option<String> {
        let rows = rows("1", BrokerId(1)).expect("this broker");
        rows.into_iter()
            .find(|row| row.name == logger)
            .and_then(|row| row.value)
    }

    /// What is set is seen; with one wrong setting none is taken; what is deleted is as configured again.
    #[test]
    fn levels_are_set_and_taken_back() {
        const LOGGER: &str = "corelane.txn.a_test";
        let alter = |ops: &[(&str, i8, &str)], validate| alter(&resource("1", ops), BrokerId(1), validate);
        assert_eq!(alter(&[(LOGGER, 0, "TRACE")], true), Ok(()));
        assert_eq!(level_of(LOGGER), None, "only validated");
        assert_eq!(alter(&[(LOGGER, 0, "DEBUG for 1h")], false), Ok(()));
        assert_eq!(level_of(LOGGER).as_deref(), Some("DEBUG"));
        assert!(alter(&[(LOGGER, 0, "ERROR"), ("corelane.nowhere", 0, "INFO")], false).is_err());
        assert_eq!(level_of(LOGGER).as_deref(), Some("DEBUG"));
        assert_eq!(
            alter(&[("corelane::txn::a_test", 1, "")], false),
            Ok(()),
            "the module's name will do"
        );
        assert_eq!(level_of(LOGGER), None);
    }

    #[test]
    fn refusals_have_kafkas_codes() {
        let code = |broker, op| alter(&resource(broker, &[op]), BrokerId(1), true).map_err(|error| error.code);
        let root = |operation, value| ("root", operation, value);
        assert_eq!(code("1", root(1, "")), Ok(()));
        assert_eq!(code("1", root(0, "loud")), Err(ErrorCode::InvalidConfig));
        assert_eq!(code("1", ("kafka.Nothing", 0, "INFO")), Err(ErrorCode::InvalidConfig));
        for operation in [2, 3, 4] {
            assert_eq!(code("1", root(operation, "INFO")), Err(ErrorCode::InvalidRequest));
        }
        for broker in ["2", "", "one"] {
            assert_eq!(
                code(broker, root(0, "INFO")),
                Err(ErrorCode::InvalidRequest),
                "{broker}"
            );
        }
    }
}
