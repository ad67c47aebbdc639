//! `kafka-configs.sh`: describe and alter the configuration of topics, brokers, brokers' loggers and groups; output as
//! Kafka 4.3 prints it.

use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::json;

use super::connect::ConnectArgs;
use crate::client::{ClientError, Cluster};
use crate::model::BrokerId;
use crate::wire::messages::*;

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("action").required(true).args(["alter", "describe"]))]
pub(super) struct Args {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Change settings
    #[arg(long)]
    alter: bool,
    /// Show settings
    #[arg(long)]
    describe: bool,
    /// With --describe: all settings, not only those that were set
    #[arg(long)]
    all: bool,
    /// topics, brokers, broker-loggers or groups
    #[arg(long)]
    entity_type: Option<String>,
    /// The topic's name, the broker's id or the group's id
    #[arg(long)]
    entity_name: Option<String>,
    /// The default of all brokers
    #[arg(long, conflicts_with = "entity_name")]
    entity_default: bool,
    /// Same as --entity-type topics --entity-name TOPIC
    #[arg(long, conflicts_with_all = ["entity_type", "entity_name", "broker", "broker_logger", "group"])]
    topic: Option<String>,
    /// Same as --entity-type brokers --entity-name ID
    #[arg(long, conflicts_with_all = ["entity_type", "entity_name", "broker_logger", "group"])]
    broker: Option<String>,
    /// Same as --entity-type broker-loggers --entity-name ID; a level is set for a time as in root=DEBUG for 10m
    #[arg(long, conflicts_with_all = ["entity_type", "entity_name", "group"])]
    broker_logger: Option<String>,
    /// Same as --entity-type groups --entity-name GROUP
    #[arg(long, conflicts_with_all = ["entity_type", "entity_name"])]
    group: Option<String>,
    /// Settings to set: key=value,key=value; a list goes in brackets: key=[a,b]
    #[arg(long)]
    add_config: Option<String>,
    /// Settings to take back: key,key
    #[arg(long)]
    delete_config: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Whose configuration.
struct Entity {
    kind: &'static Kind,
    name: String,
}

struct Kind {
    /// The word of --entity-type.
    plural: &'static str,
    /// The word in the tool's sentences.
    word: &'static str,
    /// ConfigResource.Type.
    number: i8,
}

const KINDS: &[Kind] = &[
    Kind {
        plural: "topics",
        word: "topic",
        number: TOPIC,
    },
    Kind {
        plural: "brokers",
        word: "broker",
        number: BROKER,
    },
    Kind {
        plural: "broker-loggers",
        word: "broker-logger",
        number: BROKER_LOGGER,
    },
    Kind {
        plural: "groups",
        word: "group",
        number: GROUP,
    },
];

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const GROUP: i8 = 32;
/// IncrementalAlterConfigs' operations.
const SET: i8 = 0;
const DELETE: i8 = 1;
/// DescribeConfigsResponse.ConfigSource, by its numbers from 0.
const SOURCES: &[&str] = &[
    "UNKNOWN",
    "DYNAMIC_TOPIC_CONFIG",
    "DYNAMIC_BROKER_CONFIG",
    "DYNAMIC_DEFAULT_BROKER_CONFIG",
    "STATIC_BROKER_CONFIG",
    "DEFAULT_CONFIG",
    "DYNAMIC_BROKER_LOGGER_CONFIG",
    "DYNAMIC_CLIENT_METRICS_CONFIG",
    "DYNAMIC_GROUP_CONFIG",
];
const DYNAMIC_TOPIC: i8 = 1;
const DYNAMIC_DEFAULT_BROKER: i8 = 3;
const STATIC_BROKER: i8 = 4;
const DEFAULT: i8 = 5;
const DYNAMIC_GROUP: i8 = 8;

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut cluster = args.connect.cluster("admin")?;
    let (kind, name) = entity(&args)?;
    let done = if args.alter {
        alter(&mut cluster, &args, kind, name)
    } else {
        describe(&mut cluster, &args, kind, name)
    };
    match done {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(problem) => {
            let words: Vec<String> = std::env::args().skip(1).collect();
            eprintln!("Error while executing config command with args '{}'", words.join(" "));
            Err(problem)
        }
    }
}

/// The kind, and the name where one is given.
fn entity(args: &Args) -> anyhow::Result<(&'static Kind, Option<String>)> {
    let short = [
        ("topics", &args.topic),
        ("brokers", &args.broker),
        ("broker-loggers", &args.broker_logger),
        ("groups", &args.group),
    ];
    let short = short.into_iter().find(|(_, name)| name.is_some());
    let (plural, name) = match (short, args.entity_type.as_deref()) {
        (Some((plural, name)), _) => (plural, name.clone()),
        (None, Some(plural)) => (plural, args.entity_name.clone()),
        (None, None) => bail!("Missing required argument \"[entity-type]\""),
    };
    let kind = KINDS.iter().find(|kind| kind.plural == plural).with_context(|| {
        format!(
            "--entity-type {plural}: this broker keeps the configuration of topics, brokers, broker-loggers and groups"
        )
    })?;
    Ok((kind, if args.entity_default { Some(String::new()) } else { name }))
}

fn alter(cluster: &mut Cluster, args: &Args, kind: &'static Kind, name: Option<String>) -> anyhow::Result<()> {
    let name = name.context("Missing required argument \"[entity-name]\"")?;
    let entity = Entity { kind, name };
    let mut changes = Vec::new();
    for (key, value) in args
        .add_config
        .as_deref()
        .map(settings)
        .transpose()?
        .unwrap_or_default()
    {
        let change = IncrementalAlterableConfig::default()
            .with_name(kafka_string(&key))
            .with_config_operation(SET);
        changes.push(change.with_value(Some(kafka_string(&value))));
    }
    for key in args.delete_config.iter().flat_map(|keys| keys.split(',')) {
        let change = IncrementalAlterableConfig::default().with_name(kafka_string(key.trim()));
        changes.push(change.with_config_operation(DELETE).with_value(None));
    }
    if changes.is_empty() {
        bail!("At least one of --add-config or --delete-config must be specified with --alter");
    }
    let resource = IncrementalAlterConfigsResource::default()
        .with_resource_type(entity.kind.number)
        .with_resource_name(kafka_string(&entity.name))
        .with_configs(changes);
    let request = IncrementalAlterConfigsRequestData::default().with_resources(vec![resource]);
    for result in connection(cluster, &entity)?.call(&request)?.responses {
        ClientError::check(
            result.error_code,
            result.error_message.as_ref().map(|message| message.as_str()),
        )?;
    }
    println!("Completed updating {}.", sentence("config for", &entity));
    Ok(())
}

fn describe(cluster: &mut Cluster, args: &Args, kind: &'static Kind, name: Option<String>) -> anyhow::Result<()> {
    let names = match name {
        Some(name) => vec![name],
        None => all_names(cluster, kind)?,
    };
    let mut shown = Vec::new();
    for entity in names.into_iter().map(|name| Entity { kind, name }) {
        let configs = configs_of(cluster, args, &entity)?;
        if args.json {
            shown.push(json!({"entity": entity.kind.word, "name": entity.name, "configs": configs.iter().map(config_json).collect::<Vec<_>>()}));
            continue;
        }
        let kind = if args.all { "All" } else { "Dynamic" };
        println!("{kind} {} are:", sentence("configs for", &entity));
        for config in configs {
            println!("  {}", config_line(&config));
        }
    }
    if args.json {
        println!("{}", json!(shown));
    }
    Ok(())
}

/// "config for topic x", "default config for brokers in the cluster": the tool's way to name what it speaks of.
fn sentence(start: &str, entity: &Entity) -> String {
    match entity.name.as_str() {
        "" => format!("default {start} {}s in the cluster", entity.kind.word),
        name => format!("{start} {} {name}", entity.kind.word),
    }
}

/// Every topic; or every broker, and the default of them all where there is one.
fn all_names(cluster: &mut Cluster, kind: &Kind) -> anyhow::Result<Vec<String>> {
    if kind.number == GROUP {
        bail!("--entity-type groups asks for --entity-name");
    }
    let metadata = cluster.metadata(None, false)?;
    if kind.number == TOPIC {
        let topics = metadata.topics.iter();
        let mut names: Vec<_> = topics.filter_map(|topic| topic.name.as_ref().map(text)).collect();
        names.sort();
        return Ok(names);
    }
    let mut names: Vec<_> = cluster.brokers().iter().map(|id| id.0.to_string()).collect();
    names.extend((kind.number == BROKER).then(String::new));
    Ok(names)
}

fn configs_of(
    cluster: &mut Cluster,
    args: &Args,
    entity: &Entity,
) -> anyhow::Result<Vec<DescribeConfigsResourceResult>> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(entity.kind.number)
        .with_resource_name(kafka_string(&entity.name))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequestData::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true);
    let answer = connection(cluster, entity)?.call(&request)?;
    let result = answer
        .results
        .into_iter()
        .next()
        .context("the answer names no resource")?;
    ClientError::check(
        result.error_code,
        result.error_message.as_ref().map(|message| message.as_str()),
    )?;
    let mut configs = result.configs;
    configs.retain(|config| args.all || is_dynamic(entity, config));
    configs.sort_by_key(|config| text(&config.name));
    Ok(configs)
}

fn is_dynamic(entity: &Entity, config: &DescribeConfigsResourceResult) -> bool {
    let inherited = match entity.kind.number {
        TOPIC => config.config_source != DYNAMIC_TOPIC,
        GROUP => config.config_source != DYNAMIC_GROUP,
        _ => false,
    };
    !inherited
        && !matches!(config.config_source, STATIC_BROKER | DEFAULT)
        && (entity.name.is_empty() || config.config_source != DYNAMIC_DEFAULT_BROKER)
}

fn config_line(config: &DescribeConfigsResourceResult) -> String {
    let synonyms: Vec<_> = config
        .synonyms
        .iter()
        .map(|synonym| {
            format!(
                "{}:{}={}",
                source(synonym.source),
                synonym.name,
                value_of(&synonym.value)
            )
        })
        .collect();
    format!(
        "{}={} sensitive={} synonyms={{{}}}",
        config.name,
        value_of(&config.value),
        config.is_sensitive,
        synonyms.join(", ")
    )
}

fn config_json(config: &DescribeConfigsResourceResult) -> serde_json::Value {
    json!({
        "name": text(&config.name),
        "value": config.value.as_ref().map(text),
        "source": source(config.config_source),
        "sensitive": config.is_sensitive,
    })
}

fn value_of(value: &Option<KafkaString>) -> String {
    value.as_ref().map_or_else(|| "null".to_owned(), text)
}

fn source(number: i8) -> &'static str {
    usize::try_from(number)
        .ok()
        .and_then(|at| SOURCES.get(at))
        .unwrap_or(&SOURCES[0])
}

/// The broker that must be asked: a broker's configuration is answered by that broker only.
fn connection<'a>(cluster: &'a mut Cluster, entity: &Entity) -> anyhow::Result<&'a mut crate::client::Connection> {
    if matches!(entity.kind.number, BROKER | BROKER_LOGGER) && !entity.name.is_empty() {
        let id = entity
            .name
            .parse()
            .with_context(|| format!("broker id {} is not a number", entity.name))?;
        return Ok(cluster.broker(BrokerId(id))?);
    }
    Ok(cluster.controller()?)
}

/// `a=1,b=[x,y],c=2` as pairs; commas inside brackets do not separate.
fn settings(written: &str) -> anyhow::Result<Vec<(String, String)>> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, letter) in written.char_indices() {
        match letter {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&written[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&written[start..]);
    let pair = |part: &&str| {
        let (key, value) = part
            .split_once('=')
            .with_context(|| format!("Invalid entity config: {part} is not key=value"))?;
        let value = value.trim();
        let plain = value
            .strip_prefix('[')
            .and_then(|value| value.strip_suffix(']'))
            .unwrap_or(value);
        Ok((key.trim().to_owned(), plain.to_owned()))
    };
    parts.iter().filter(|part| !part.trim().is_empty()).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::settings;

    #[test]
    fn commas_separate_settings_but_not_inside_brackets() {
        let read = settings("a=1,cleanup.policy=[compact,delete], b = 2").unwrap();
        let read: Vec<_> = read.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(read, [("a", "1"), ("cleanup.policy", "compact,delete"), ("b", "2")]);
        assert!(settings("novalue").is_err());
    }
}
