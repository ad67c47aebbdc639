//! `kafka-topics.sh`: create, list, describe, alter and delete topics; flags and output as Kafka 4.3 prints them.

mod describe;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::json;

use super::connect::ConnectArgs;
use super::partitions::{self, ADMIN_TIMEOUT_MS};
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
    #[arg(long, conflicts_with = "replication_factor")]
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
    #[arg(long, conflicts_with = "topics_with_overrides")]
    under_replicated_partitions: bool,
    /// Only partitions without a leader that is up
    #[arg(long, conflicts_with = "topics_with_overrides")]
    unavailable_partitions: bool,
    /// Only partitions with fewer in-sync replicas than their min.insync.replicas
    #[arg(long, conflicts_with = "topics_with_overrides")]
    under_min_isr_partitions: bool,
    /// Only partitions with just as many in-sync replicas as their min.insync.replicas
    #[arg(long, conflicts_with = "topics_with_overrides")]
    at_min_isr_partitions: bool,
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
        describe::run(&mut cluster, &args)
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
    if args.replica_assignment.is_some() && args.partitions.is_some() {
        bail!("Option \"[replica-assignment]\" can't be used with option \"[partitions]\"");
    }
    if args.replication_factor.is_some_and(|replicas| replicas < 1) {
        bail!("The replication factor must be between 1 and {} inclusive", i16::MAX);
    }
    if args.partitions.is_some_and(|partitions| partitions < 1) {
        bail!("The partitions must be greater than 0");
    }
    let mut topic = CreatableTopic::default()
        .with_name(kafka_string(name))
        .with_num_partitions(args.partitions.unwrap_or(-1))
        .with_replication_factor(args.replication_factor.unwrap_or(-1));
    let assigned = assigned(args)?.unwrap_or_default();
    let assignment = |(partition, replicas): (i32, Vec<i32>)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(partition)
            .with_broker_ids(replicas)
    };
    topic.assignments = (0..).zip(assigned).map(assignment).collect();
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
    let answer = cluster.ask(&request)?;
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

fn alter(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    let count = args.partitions.context("Missing required argument \"[partitions]\"")?;
    let topics = existing(cluster, args)?;
    let assigned = assigned(args)?;
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let known = partitions::describe(cluster, &names)?;
    let wanted = |name: &String| {
        let there = known.get(name).map_or(0, |topic| topic.partitions.len());
        // The assignment names all partitions; what is there already stays where it is.
        let new = assigned.as_ref().map(|all| all.iter().skip(there));
        let new = new.map(|new| new.map(|ids| CreatePartitionsAssignment::default().with_broker_ids(ids.clone())));
        CreatePartitionsTopic::default()
            .with_name(kafka_string(name))
            .with_count(count)
            .with_assignments(new.map(Iterator::collect))
    };
    let request = CreatePartitionsRequestData::default()
        .with_topics(topics.iter().map(wanted).collect())
        .with_timeout_ms(ADMIN_TIMEOUT_MS);
    for result in cluster.ask(&request)?.results {
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
    for result in cluster.ask(&request)?.responses {
        ClientError::check(
            result.error_code,
            result.error_message.as_ref().map(|message| message.as_str()),
        )?;
    }
    Ok(())
}

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

/// The brokers of each partition, where they are given.
fn assigned(args: &Args) -> anyhow::Result<Option<Vec<Vec<i32>>>> {
    args.replica_assignment.as_deref().map(assignments).transpose()
}

fn assignments(written: &str) -> anyhow::Result<Vec<Vec<i32>>> {
    let mut assignments: Vec<Vec<i32>> = Vec::new();
    for (partition, list) in written.split(',').enumerate() {
        let ids = list.split(':').map(|id| id.trim().parse::<i32>());
        let ids: Vec<i32> = ids
            .collect::<Result<_, _>>()
            .with_context(|| format!("--replica-assignment {written}: {list}"))?;
        let mut seen = BTreeSet::new();
        if let Some(twice) = ids.iter().find(|id| !seen.insert(**id)) {
            bail!("Partition replica lists may not contain duplicate entries: {twice}");
        }
        if assignments.first().is_some_and(|first| first.len() != ids.len()) {
            bail!("Partition {partition} has different replication factor: {ids:?}");
        }
        assignments.push(ids);
    }
    Ok(assignments)
}

#[cfg(test)]
mod tests {
    use super::assignments;

    #[test]
    fn a_replica_assignment_lists_partitions_by_commas_and_brokers_by_colons() {
        assert_eq!(assignments("0:1, 1:2").unwrap(), [vec![0, 1], vec![1, 2]]);
        assert!(assignments("0:x").is_err());
        let said = |written| assignments(written).unwrap_err().to_string();
        assert_eq!(
            said("0:1,2:2"),
            "Partition replica lists may not contain duplicate entries: 2"
        );
        assert_eq!(said("0:1,2"), "Partition 1 has different replication factor: [2]");
    }
}
