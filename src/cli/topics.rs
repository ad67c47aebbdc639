//! `kafka-topics.sh`: create, list, describe, alter and delete topics; flags and output as Kafka 4.3 prints them.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::connect::{ConnectArgs, list_of};
use crate::client::{ClientError, Cluster};
use crate::model::ErrorCode;
use crate::wire::messages::*;

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("action").required(true).args(["create", "list", "describe", "alter", "delete"]))]
pub(super) struct Args {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Create a topic
    #[arg(long)]
    create: bool,
    /// List topics
    #[arg(long)]
    list: bool,
    /// Describe topics: partitions, leader, replicas, in-sync replicas, settings
    #[arg(long)]
    describe: bool,
    /// Add partitions
    #[arg(long)]
    alter: bool,
    /// Delete topics
    #[arg(long)]
    delete: bool,
    /// The topic, or (list, describe, delete, alter) a regular expression over whole names
    #[arg(long)]
    topic: Option<String>,
    /// How many partitions the topic has; default: the broker's num.partitions
    #[arg(long)]
    partitions: Option<i32>,
    /// How many replicas each partition has; default: the broker's default.replication.factor
    #[arg(long)]
    replication_factor: Option<i16>,
    /// Brokers of each partition, as 0:1,1:2 (replicas by colons, partitions by commas)
    #[arg(long, conflicts_with_all = ["partitions", "replication_factor"])]
    replica_assignment: Option<String>,
    /// A setting of the new topic, as key=value; may be given several times
    #[arg(long)]
    config: Vec<String>,
    /// Do nothing, and succeed, if the topic does not exist
    #[arg(long)]
    if_exists: bool,
    /// Do nothing, and succeed, if the topic exists
    #[arg(long)]
    if_not_exists: bool,
    /// Leave internal topics out
    #[arg(long)]
    exclude_internal: bool,
    /// Only topics with settings of their own
    #[arg(long)]
    topics_with_overrides: bool,
    /// Only partitions with fewer in-sync replicas than replicas
    #[arg(long)]
    under_replicated_partitions: bool,
    /// Only partitions without a leader
    #[arg(long)]
    unavailable_partitions: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut cluster = args.connect.cluster("admin")?;
    let done = if args.create {
        create(&mut cluster, &args)
    } else if args.list {
        list(&mut cluster, &args)
    } else if args.describe {
        describe(&mut cluster, &args)
    } else if args.alter {
        alter(&mut cluster, &args)
    } else {
        delete(&mut cluster, &args)
    };
    // Kafka's tool prints this line to its standard output, and exits with 1.
    Ok(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("Error while executing topic command : {problem:#}");
            ExitCode::FAILURE
        }
    })
}

fn create(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    let name = args.topic.as_deref().context("Missing required argument \"[topic]\"")?;
    if name.contains(['.', '_']) && !args.json {
        println!(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. \
             To avoid issues it is best to use either, but not both."
        );
    }
    let mut topic = CreatableTopic::default()
        .with_name(kafka_string(name))
        .with_num_partitions(args.partitions.unwrap_or(-1))
        .with_replication_factor(args.replication_factor.unwrap_or(-1));
    topic.assignments = args
        .replica_assignment
        .as_deref()
        .map(assignments)
        .transpose()?
        .unwrap_or_default();
    for setting in &args.config {
        let (key, value) = setting
            .split_once('=')
            .with_context(|| format!("--config {setting}: not key=value"))?;
        let config = CreatableTopicConfig::default().with_name(kafka_string(key.trim()));
        topic.configs.push(config.with_value(Some(kafka_string(value.trim()))));
    }
    let request = CreateTopicsRequestData::default()
        .with_topics(vec![topic])
        .with_timeout_ms(ADMIN_TIMEOUT_MS);
    let answer = cluster.controller()?.call(&request)?;
    let created = answer.topics.first().context("the answer names no topic")?;
    match ClientError::check(
        created.error_code,
        created.error_message.as_ref().map(|message| message.as_str()),
    ) {
        Err(problem) if problem.code() == Some(ErrorCode::TopicAlreadyExists) && args.if_not_exists => return Ok(()),
        done => done?,
    }
    if args.json {
        println!(
            "{}",
            json!({"created": name, "topicId": topic_id(created.topic_id).to_string()})
        );
    } else {
        println!("Created topic {name}.");
    }
    Ok(())
}

fn list(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    let names = matching(cluster, args)?;
    if args.json {
        println!("{}", json!(names));
    } else {
        names.iter().for_each(|name| println!("{name}"));
    }
    Ok(())
}

fn describe(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    let names = existing(cluster, args)?;
    if names.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let topics = cluster.metadata(Some(&names), false)?.topics;
    let overrides = overrides(cluster, &names)?;
    let mut described = Vec::new();
    for topic in &topics {
        let name = topic.name.as_ref().map(text).unwrap_or_default();
        ClientError::check(topic.error_code, None).with_context(|| format!("Topic '{name}'"))?;
        let configs = overrides.get(&name).cloned().unwrap_or_default();
        if args.topics_with_overrides && configs.is_empty() {
            continue;
        }
        let wanted = |partition: &&MetadataResponsePartition| {
            (!args.under_replicated_partitions || partition.isr_nodes.len() < partition.replica_nodes.len())
                && (!args.unavailable_partitions || partition.leader_id < 0)
        };
        let mut partitions: Vec<_> = topic.partitions.iter().filter(wanted).collect();
        partitions.sort_by_key(|partition| partition.partition_index);
        if args.json {
            described.push(topic_json(topic, &name, &configs, &partitions));
        } else {
            print_topic(args, topic, &name, &configs, &partitions);
        }
    }
    if args.json {
        println!("{}", json!(described));
    }
    Ok(())
}

fn print_topic(
    args: &Args,
    topic: &MetadataResponseTopic,
    name: &str,
    configs: &[(String, String)],
    partitions: &[&MetadataResponsePartition],
) {
    if !args.under_replicated_partitions && !args.unavailable_partitions {
        let configs: Vec<_> = configs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        println!(
            "Topic: {name}\tTopicId: {}\tPartitionCount: {}\tReplicationFactor: {}\tConfigs: {}",
            topic_id(topic.topic_id),
            topic.partitions.len(),
            partitions.first().map_or(0, |partition| partition.replica_nodes.len()),
            configs.join(",")
        );
    }
    if args.topics_with_overrides {
        return;
    }
    for partition in partitions {
        let leader = if partition.leader_id < 0 {
            "none".to_owned()
        } else {
            partition.leader_id.to_string()
        };
        println!(
            "\tTopic: {name}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}\tElr: \tLastKnownElr: ",
            partition.partition_index,
            list_of(&partition.replica_nodes),
            list_of(&partition.isr_nodes),
        );
    }
}

fn topic_json(
    topic: &MetadataResponseTopic,
    name: &str,
    configs: &[(String, String)],
    partitions: &[&MetadataResponsePartition],
) -> Value {
    let configs: BTreeMap<_, _> = configs.iter().cloned().collect();
    let partitions: Vec<_> = partitions
        .iter()
        .map(|partition| {
            json!({
                "partition": partition.partition_index,
                "leader": (partition.leader_id >= 0).then_some(partition.leader_id),
                "replicas": partition.replica_nodes,
                "isr": partition.isr_nodes,
            })
        })
        .collect();
    json!({
        "topic": name, "topicId": topic_id(topic.topic_id).to_string(), "configs": configs, "partitions": partitions,
    })
}

fn alter(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    let count = args.partitions.context("Missing required argument \"[partitions]\"")?;
    let topics = existing(cluster, args)?;
    let wanted = |name: &String| {
        CreatePartitionsTopic::default()
            .with_name(kafka_string(name))
            .with_count(count)
    };
    let request = CreatePartitionsRequestData::default()
        .with_topics(topics.iter().map(wanted).collect())
        .with_timeout_ms(ADMIN_TIMEOUT_MS);
    for result in cluster.controller()?.call(&request)?.results {
        ClientError::check(
            result.error_code,
            result.error_message.as_ref().map(|message| message.as_str()),
        )?;
    }
    Ok(())
}

fn delete(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    args.topic.as_deref().context("Missing required argument \"[topic]\"")?;
    let topics = existing(cluster, args)?;
    let request = DeleteTopicsRequestData::default()
        .with_topic_names(topics.iter().map(|name| kafka_string(name)).collect())
        .with_timeout_ms(ADMIN_TIMEOUT_MS);
    for result in cluster.controller()?.call(&request)?.responses {
        ClientError::check(
            result.error_code,
            result.error_message.as_ref().map(|message| message.as_str()),
        )?;
    }
    Ok(())
}

/// How long the broker may take over an administrative request, in ms: the default of Kafka's admin client.
const ADMIN_TIMEOUT_MS: i32 = 30_000;

/// The topics that `--topic` means, which must be at least one unless `--if-exists` says otherwise.
fn existing(cluster: &mut Cluster, args: &Args) -> anyhow::Result<Vec<String>> {
    let names = matching(cluster, args)?;
    if let (true, Some(topic), false) = (names.is_empty(), &args.topic, args.if_exists) {
        bail!("Topic '{topic}' does not exist as expected");
    }
    Ok(names)
}

fn matching(cluster: &mut Cluster, args: &Args) -> anyhow::Result<Vec<String>> {
    let pattern = match &args.topic {
        // A list of names separated by commas is an alternative, as in Kafka's tools.
        Some(topic) => Some(regex::Regex::new(&format!("^(?:{})$", topic.replace(',', "|")))?),
        None => None,
    };
    let mut names: Vec<_> = cluster
        .metadata(None, false)?
        .topics
        .iter()
        .filter(|topic| !(args.exclude_internal && topic.is_internal))
        .filter_map(|topic| topic.name.as_ref().map(text))
        .filter(|name| pattern.as_ref().is_none_or(|pattern| pattern.is_match(name)))
        .collect();
    names.sort();
    Ok(names)
}

/// The settings of each topic that stand out: set on the topic, or dynamically on the broker, as Kafka's tool shows them.
fn overrides(cluster: &mut Cluster, names: &[&str]) -> anyhow::Result<BTreeMap<String, Vec<(String, String)>>> {
    let resource = |name: &&str| {
        DescribeConfigsResource::default()
            .with_resource_type(TOPIC_RESOURCE)
            .with_resource_name(kafka_string(name))
            .with_configuration_keys(None)
    };
    let request = DescribeConfigsRequestData::default().with_resources(names.iter().map(resource).collect());
    let answer = cluster.controller()?.call(&request)?;
    let set = |config: &&DescribeConfigsResourceResult| {
        !matches!(config.config_source, STATIC_BROKER_CONFIG | DEFAULT_CONFIG)
    };
    Ok(answer
        .results
        .iter()
        .map(|result| {
            let value = |config: &DescribeConfigsResourceResult| config.value.as_ref().map(text).unwrap_or_default();
            let configs = result
                .configs
                .iter()
                .filter(set)
                .map(|config| (text(&config.name), value(config)))
                .collect();
            (text(&result.resource_name), configs)
        })
        .collect())
}

/// DescribeConfigs' numbers (ConfigResource.Type, DescribeConfigsResponse.ConfigSource).
const TOPIC_RESOURCE: i8 = 2;
const STATIC_BROKER_CONFIG: i8 = 4;
const DEFAULT_CONFIG: i8 = 5;

fn assignments(written: &str) -> anyhow::Result<Vec<CreatableReplicaAssignment>> {
    let replicas = |list: &str| {
        list.split(':')
            .map(|id| id.trim().parse::<i32>())
            .collect::<Result<Vec<_>, _>>()
    };
    let mut assignments = Vec::new();
    for (partition, list) in (0..).zip(written.split(',')) {
        let replicas = replicas(list).with_context(|| format!("--replica-assignment {written}: {list}"))?;
        assignments.push(
            CreatableReplicaAssignment::default()
                .with_partition_index(partition)
                .with_broker_ids(replicas),
        );
    }
    Ok(assignments)
}

#[cfg(test)]
mod tests {
    use super::assignments;

    #[test]
    fn a_replica_assignment_lists_partitions_by_commas_and_brokers_by_colons() {
        let read = assignments("0:1,1:2").unwrap();
        assert_eq!(
            read.iter().map(|a| a.broker_ids.clone()).collect::<Vec<_>>(),
            [vec![0, 1], vec![1, 2]]
        );
        assert!(assignments("0:x").is_err());
    }
}
