//! AlterConfigs and IncrementalAlterConfigs, of topics and of brokers: all or nothing per resource.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::brokers::elect_again;
use super::{Scratch, duplicates, refuse};
use crate::config::{
    Key, Kind, broker_key, check_broker_configs, check_group_configs, check_topic_configs, group_key, topic_key,
};
use crate::metadata::command::{CommandError, ConfigChange, ConfigOp, ConfigResource};
use crate::metadata::image::{Image, Topic};
use crate::metadata::record::{self, Record, Resource};
use crate::model::{BrokerId, ErrorCode, PartitionId};

type Configs = BTreeMap<String, String>;

/// The overrides of a topic that is to be created.
//= behaviour 64: an unknown or illegal config → INVALID_CONFIG
pub fn of_new_topic(asked: &BTreeMap<String, Option<String>>) -> Result<Configs, CommandError> {
    let nulls: Vec<_> = asked
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(key, _)| key.as_str())
        .collect();
    if !nulls.is_empty() {
        let message = format!("Null value not supported for topic configs: {}", nulls.join(","));
        return refuse(ErrorCode::InvalidConfig, message);
    }
    let configs = asked
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
        .collect();
    check_topic(&configs)?;
    Ok(configs)
}

pub fn alter(scratch: &mut Scratch<'_>, changes: &[ConfigChange]) -> Vec<Result<(), CommandError>> {
    let duplicates = duplicates(changes.iter().map(|change| &change.resource));
    let alter_unless_duplicate = |change: &ConfigChange| {
        if duplicates.contains(&change.resource) {
            return refuse(ErrorCode::InvalidRequest, "Each resource must appear at most once.");
        }
        alter_one(scratch, change)
    };
    changes.iter().map(alter_unless_duplicate).collect()
}

fn alter_one(scratch: &mut Scratch<'_>, change: &ConfigChange) -> Result<(), CommandError> {
    let twice = duplicates(change.ops.iter().map(|(key, _)| key.as_str()));
    if !twice.is_empty() {
        let keys = Vec::from_iter(twice).join(",");
        return refuse(
            ErrorCode::InvalidRequest,
            format!("Error due to duplicate config keys : {keys}"),
        );
    }
    let (resource, before) = existing(&scratch.image, &change.resource)?;
    let after = outcome(&scratch.image, change, &before)?;
    match &change.resource {
        ConfigResource::Topic(_) => check_topic(&after)?,
        ConfigResource::Broker(broker) => check_broker(*broker, &after)?,
        ConfigResource::Group(_) => check_group(&scratch.image, &after)?,
    }
    push_differences(scratch, &resource, &before, &after);
    let is_other = |key: &&str| before.get(*key) != after.get(*key);
    if ELECTION_KEYS.iter().any(is_other) {
        settle_partitions(scratch, &change.resource);
    }
    Ok(())
}

/// What these say of a topic decides who may lead, and who is eligible.
const ELECTION_KEYS: &[&str] = &["min.insync.replicas", "unclean.leader.election.enable"];

/// Whoever is eligible by the old min.insync.replicas may not be by the new one: the leader acknowledges by the new one as
/// soon as it knows it, so that both must change in one commit. //= KIP-966
fn settle_partitions(scratch: &mut Scratch<'_>, resource: &ConfigResource) {
    let concerned = |topic: &Arc<Topic>| -> Vec<PartitionId> {
        let states = topic.partitions.iter();
        let waiting = states.filter(|state| state.leader.is_none() || !state.elr.is_empty());
        let topic = topic.id;
        waiting
            .map(|state| PartitionId {
                topic,
                index: state.index,
            })
            .collect()
    };
    let image = &scratch.image;
    let ids: Vec<_> = match resource {
        ConfigResource::Topic(name) => image.topic(name).into_iter().flat_map(concerned).collect(),
        ConfigResource::Broker(_) => image.topics.values().flat_map(concerned).collect(),
        ConfigResource::Group(_) => Vec::new(),
    };
    for id in ids {
        elect_again(scratch, &id);
    }
}

/// The resource as records name it, and the configs that it has now.
fn existing(image: &Image, resource: &ConfigResource) -> Result<(Resource, Configs), CommandError> {
    let of_brokers = |id: Option<BrokerId>| image.broker_configs.get(&id).map(|configs| configs.as_ref().clone());
    match resource {
        ConfigResource::Topic(name) => match image.topic(name) {
            Some(topic) => Ok((Resource::Topic(topic.id.0), topic.overrides.as_ref().clone())),
            None => refuse(
                ErrorCode::UnknownTopicOrPartition,
                format!("The topic '{name}' does not exist."),
            ),
        },
        ConfigResource::Broker(None) => Ok((Resource::AllBrokers, of_brokers(None).unwrap_or_default())),
        ConfigResource::Broker(Some(id)) if image.brokers.contains_key(id) => {
            Ok((Resource::Broker(id.0), of_brokers(Some(*id)).unwrap_or_default()))
        }
        ConfigResource::Broker(Some(id)) => refuse(
            ErrorCode::BrokerIdNotRegistered,
            format!("No broker with id {} found.", id.0),
        ),
        ConfigResource::Group(id) if id.is_empty() => {
            refuse(ErrorCode::InvalidRequest, "Default group resources are not allowed.")
        }
        ConfigResource::Group(id) => {
            let configs = image.group_configs.get(id.as_str());
            let configs = configs.map(|configs| configs.as_ref().clone());
            Ok((Resource::Group(id.clone()), configs.unwrap_or_default()))
        }
    }
}

/// The configs after the change, not yet checked.
fn outcome(image: &Image, change: &ConfigChange, before: &Configs) -> Result<Configs, CommandError> {
    let mut after = if change.replace { Configs::new() } else { before.clone() };
    for (name, op) in &change.ops {
        match op {
            ConfigOp::Set(value) => after.insert(name.clone(), value.clone()),
            ConfigOp::Delete => after.remove(name),
            ConfigOp::Append(value) => {
                let mut items = list(image, change, &after, name, "APPEND")?;
                for item in list_items(value) {
                    if !items.contains(&item) {
                        items.push(item);
                    }
                }
                after.insert(name.clone(), items.join(","))
            }
            ConfigOp::Subtract(value) => {
                let mut items = list(image, change, &after, name, "SUBTRACT")?;
                let gone = list_items(value);
                items.retain(|item| !gone.contains(item));
                after.insert(name.clone(), items.join(","))
            }
        };
    }
    Ok(after)
}

/// The items that a list key has now, be it by default.
//= behaviour 66: APPEND and SUBTRACT for list types only, else INVALID_CONFIG
fn list(
    image: &Image,
    change: &ConfigChange,
    now: &Configs,
    name: &str,
    op: &str,
) -> Result<Vec<String>, CommandError> {
    let key = match change.resource {
        ConfigResource::Topic(_) => topic_key(name),
        ConfigResource::Broker(_) => broker_key(name),
        ConfigResource::Group(_) => group_key(name),
    };
    match key {
        Some(key) if key.kind == Kind::List => Ok(now
            .get(name)
            .map_or_else(|| default_list(image, key), |v| list_items(v))),
        _ => refuse(
            ErrorCode::InvalidConfig,
            format!("Can't {op} to key {name} because its type is not LIST."),
        ),
    }
}

fn default_list(image: &Image, key: &Key) -> Vec<String> {
    let dynamic = image.dynamic_configs();
    let names = || key.synonyms.iter().copied().chain([key.name]);
    let layers = [dynamic.broker, dynamic.cluster, &image.broker.set];
    let explicit = layers
        .iter()
        .find_map(|layer| names().find_map(|name| layer.get(name)))
        .map(String::as_str);
    list_items(explicit.or(key.default).unwrap_or_default())
}

fn list_items(value: &str) -> Vec<String> {
    value
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

fn check_topic(configs: &Configs) -> Result<(), CommandError> {
    check_topic_configs(configs).or_else(|message| refuse(ErrorCode::InvalidConfig, message))
}

fn check_group(image: &Image, configs: &Configs) -> Result<(), CommandError> {
    check_group_configs(configs, image.config()).or_else(|message| refuse(ErrorCode::InvalidConfig, message))
}

/// As in Kafka, INVALID_REQUEST whatever is wrong. //= KAFKA-13609
fn check_broker(broker: Option<BrokerId>, configs: &Configs) -> Result<(), CommandError> {
    check_broker_configs(configs, broker.is_some()).or_else(|message| refuse(ErrorCode::InvalidRequest, message))
}

fn push_differences(scratch: &mut Scratch<'_>, resource: &Resource, before: &Configs, after: &Configs) {
    let removed = before
        .keys()
        .filter(|key| !after.contains_key(*key))
        .map(|key| (key, None));
    let set = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(*value))
        .map(|(key, value)| (key, Some(value)));
    for (key, value) in removed.chain(set) {
        let (resource, key, value) = (resource.clone(), key.clone(), value.cloned());
        scratch.push(Record::Config(record::Config { resource, key, value }));
    }
}
