//! `corelane log-level`: what a running broker logs, for a time. It speaks Kafka's protocol, as `kafka-configs.sh` does for the
//! type broker-loggers.

use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;

use super::connect::ConnectArgs;
use crate::client::{ClientError, Cluster};
use crate::model::BrokerId;
use crate::wire::messages::*;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connect: ConnectArgs,
    /// off, error, warn, info, debug or trace; reset: as configured. Without it the levels are shown
    level: Option<String>,
    /// When the configured level comes back by itself, as 90s, 10m or 2h; forever: not before a restart
    #[arg(long = "for", value_name = "TIME", default_value = "10m")]
    time: String,
    /// Whose level: root (libraries too), corelane, or a part of it, as corelane.storage
    #[arg(long, value_name = "NAME", default_value = "corelane")]
    logger: String,
    /// Only of this broker; without it of all
    #[arg(long, value_name = "ID")]
    broker: Option<i32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// ConfigResource.Type.
const BROKER_LOGGER: i8 = 8;
/// IncrementalAlterConfigs' operations.
const SET: i8 = 0;
const DELETE: i8 = 1;

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut cluster = args.connect.cluster("admin")?;
    let brokers = match args.broker {
        Some(id) => vec![BrokerId(id)],
        None => cluster.brokers(),
    };
    for broker in brokers {
        match &args.level {
            Some(level) => alter(&mut cluster, broker, &args, level)?,
            None => show(&mut cluster, broker, &args)?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn alter(cluster: &mut Cluster, broker: BrokerId, args: &Args, level: &str) -> anyhow::Result<()> {
    let (operation, value) = match (level, args.time.as_str()) {
        ("reset", _) => (DELETE, String::new()),
        (level, "forever") => (SET, level.to_owned()),
        (level, time) => (SET, format!("{level} for {time}")),
    };
    let change = IncrementalAlterableConfig::default()
        .with_name(kafka_string(&args.logger))
        .with_config_operation(operation)
        .with_value(Some(kafka_string(&value)));
    let resource = IncrementalAlterConfigsResource::default()
        .with_resource_type(BROKER_LOGGER)
        .with_resource_name(kafka_string(&broker.0.to_string()))
        .with_configs(vec![change]);
    let request = IncrementalAlterConfigsRequestData::default().with_resources(vec![resource]);
    for result in cluster.broker(broker)?.call(&request)?.responses {
        let message = result.error_message.as_ref().map(|message| message.as_str());
        ClientError::check(result.error_code, message)?;
    }
    match operation {
        DELETE => println!("broker {}: {} as configured", broker.0, args.logger),
        _ => println!("broker {}: {} {value}", broker.0, args.logger),
    }
    Ok(())
}

fn show(cluster: &mut Cluster, broker: BrokerId, args: &Args) -> anyhow::Result<()> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(BROKER_LOGGER)
        .with_resource_name(kafka_string(&broker.0.to_string()))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequestData::default().with_resources(vec![resource]);
    let answer = cluster.broker(broker)?.call(&request)?;
    let result = answer
        .results
        .into_iter()
        .next()
        .context("the answer names no resource")?;
    let message = result.error_message.as_ref().map(|message| message.as_str());
    ClientError::check(result.error_code, message)?;
    for config in result.configs {
        let (logger, level) = (text(&config.name), config.value.as_ref().map(text).unwrap_or_default());
        match args.json {
            true => println!("{}", json!({"broker": broker.0, "logger": logger, "level": level})),
            false => println!("broker {}: {logger} {level}", broker.0),
        }
    }
    Ok(())
}
