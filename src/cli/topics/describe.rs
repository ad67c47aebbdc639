//! `--describe`: a line for each topic and each of its partitions, or only for partitions that something is wrong with.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Args;
use crate::cli::connect::list_of;
use crate::cli::partitions::{self, Moving, Partition, Topic};
use crate::client::{ClientError, Cluster};
use crate::wire::messages::*;

/// What a topic's configuration says of its description.
#[derive(Default)]
struct Configs {
    /// The settings that are not what goes without saying: set on the topic or on the broker.
    overrides: Vec<(String, String)>,
    in_sync_min: usize,
}

/// Which partitions are asked for.
struct Wanted<'a> {
    args: &'a Args,
    live: BTreeSet<i32>,
}

pub(super) fn run(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    let names = super::existing(cluster, args)?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let topics = partitions::describe(cluster, &names)?;
    let configs = configs_of(cluster, &names)?;
    let moving = match partitions::moving(cluster) {
        Err(ClientError::Unsupported { .. }) => BTreeMap::new(),
        moving => moving?,
    };
    let wanted = Wanted {
        args,
        live: cluster.brokers().iter().map(|id| id.0).collect(),
    };
    let none = Configs::default();
    let mut described = Vec::new();
    for (name, topic) in &topics {
        let configs = configs.get(name).unwrap_or(&none);
        if args.topics_with_overrides && configs.overrides.is_empty() {
            continue;
        }
        let moving: BTreeMap<i32, &Moving> = moving
            .iter()
            .filter(|((of, _), _)| of == name)
            .map(|((_, index), moving)| (*index, moving))
            .collect();
        let moving_of = |partition: &Partition| moving.get(&partition.index).copied();
        let shown: Vec<&Partition> = topic
            .partitions
            .iter()
            .filter(|partition| wanted.has(partition, moving_of(partition), configs.in_sync_min))
            .collect();
        if args.json {
            described.push(topic_json(topic, name, configs, &shown));
            continue;
        }
        if !wanted.only_some() {
            println!("{}", topic_line(name, topic, configs, moving.get(&0).copied()));
        }
        if !args.topics_with_overrides {
            shown
                .iter()
                .for_each(|partition| println!("{}", partition_line(name, partition, moving_of(partition))));
        }
    }
    if args.json {
        println!("{}", json!(described));
    }
    Ok(())
}

impl Wanted<'_> {
    fn only_some(&self) -> bool {
        let args = self.args;
        args.under_replicated_partitions
            || args.unavailable_partitions
            || args.under_min_isr_partitions
            || args.at_min_isr_partitions
    }

    /// Whether one of the flags asks for it, where any is given.
    fn has(&self, partition: &Partition, moving: Option<&Moving>, in_sync_min: usize) -> bool {
        let (args, in_sync) = (self.args, partition.isr.len());
        let is_led = partition.leader.is_some_and(|leader| self.live.contains(&leader));
        !self.only_some()
            || args.under_replicated_partitions && in_sync < factor(partition, moving)
            || args.unavailable_partitions && !is_led
            || args.under_min_isr_partitions && (partition.leader.is_none() || in_sync < in_sync_min)
            || args.at_min_isr_partitions && in_sync == in_sync_min
    }
}

/// How many replicas it is to have, those left out that come to it in a move.
fn factor(partition: &Partition, moving: Option<&Moving>) -> usize {
    match moving {
        // A move may have ended since it was listed.
        Some(moving) if is_moving(partition, moving) => moving.replicas.len() - moving.adding.len(),
        _ => partition.replicas.len(),
    }
}

fn is_moving(partition: &Partition, moving: &Moving) -> bool {
    let changing = |id: &i32| moving.adding.contains(id) || moving.removing.contains(id);
    partition.replicas.iter().any(changing)
}

fn topic_line(name: &str, topic: &Topic, configs: &Configs, moving: Option<&Moving>) -> String {
    let settings = configs.overrides.iter().map(|(key, value)| format!("{key}={value}"));
    format!(
        "Topic: {name}\tTopicId: {}\tPartitionCount: {}\tReplicationFactor: {}\tConfigs: {}",
        topic.id,
        topic.partitions.len(),
        topic.partitions.first().map_or(0, |first| factor(first, moving)),
        settings.collect::<Vec<_>>().join(",")
    )
}

fn partition_line(topic: &str, partition: &Partition, moving: Option<&Moving>) -> String {
    let leader = partition
        .leader
        .map_or_else(|| "none".to_owned(), |leader| leader.to_string());
    let moving = moving.map(|moving| {
        format!(
            "\tAdding Replicas: {}\tRemoving Replicas: {}",
            list_of(&moving.adding),
            list_of(&moving.removing)
        )
    });
    let (elr, last_known) = match &partition.eligible {
        Some((elr, last_known)) => (list_of(elr), list_of(last_known)),
        None => ("N/A".to_owned(), "N/A".to_owned()),
    };
    format!(
        "\tTopic: {topic}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}{}\tElr: {elr}\tLastKnownElr: {last_known}",
        partition.index,
        list_of(&partition.replicas),
        list_of(&partition.isr),
        moving.unwrap_or_default(),
    )
}

fn topic_json(topic: &Topic, name: &str, configs: &Configs, partitions: &[&Partition]) -> Value {
    let settings: BTreeMap<_, _> = configs.overrides.iter().cloned().collect();
    let partition = |partition: &&Partition| {
        json!({
            "partition": partition.index,
            "leader": partition.leader,
            "replicas": partition.replicas,
            "isr": partition.isr,
            "elr": partition.eligible.as_ref().map(|(elr, _)| elr),
            "lastKnownElr": partition.eligible.as_ref().map(|(_, last_known)| last_known),
        })
    };
    let partitions: Vec<_> = partitions.iter().map(partition).collect();
    json!({"topic": name, "topicId": topic.id.to_string(), "configs": settings, "partitions": partitions})
}

fn configs_of(cluster: &mut Cluster, names: &[&str]) -> anyhow::Result<BTreeMap<String, Configs>> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let resource = |name: &&str| {
        DescribeConfigsResource::default()
            .with_resource_type(TOPIC_RESOURCE)
            .with_resource_name(kafka_string(name))
            .with_configuration_keys(None)
    };
    let request = DescribeConfigsRequestData::default().with_resources(names.iter().map(resource).collect());
    let answer = cluster.ask(&request)?;
    let of_topic = |result: &DescribeConfigsResult| (text(&result.resource_name), configs(&result.configs));
    Ok(answer.results.iter().map(of_topic).collect())
}

fn configs(described: &[DescribeConfigsResourceResult]) -> Configs {
    let value = |config: &DescribeConfigsResourceResult| config.value.as_ref().map(text).unwrap_or_default();
    let is_set = |config: &&DescribeConfigsResourceResult| config.config_source != DEFAULT_CONFIG;
    let in_sync_min = described
        .iter()
        .find(|config| config.name.as_str() == "min.insync.replicas");
    Configs {
        overrides: described
            .iter()
            .filter(is_set)
            .map(|config| (text(&config.name), value(config)))
            .collect(),
        in_sync_min: in_sync_min.and_then(|config| value(config).parse().ok()).unwrap_or(1),
    }
}

/// DescribeConfigs' numbers (ConfigResource.Type, DescribeConfigsResponse.ConfigSource).
const TOPIC_RESOURCE: i8 = 2;
const DEFAULT_CONFIG: i8 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(replicas: &[i32], isr: &[i32]) -> Partition {
        Partition {
            index: 0,
            leader: isr.first().copied(),
            replicas: replicas.to_vec(),
            isr: isr.to_vec(),
            eligible: Some((vec![2], vec![])),
        }
    }

    /// The lines of Kafka 4.3.1's tool.
    #[test]
    fn a_partition_is_printed_as_kafka_prints_it() {
        let moving = Moving {
            replicas: vec![1, 2, 3],
            adding: vec![3],
            removing: vec![1],
        };
        assert_eq!(
            partition_line("a", &partition(&[1, 2, 3], &[1]), Some(&moving)),
            "\tTopic: a\tPartition: 0\tLeader: 1\tReplicas: 1,2,3\tIsr: 1\tAdding Replicas: 3\tRemoving Replicas: 1\
             \tElr: 2\tLastKnownElr: "
        );
        let mut old = partition(&[1], &[]);
        old.eligible = None;
        assert_eq!(
            partition_line("a", &old, None),
            "\tTopic: a\tPartition: 0\tLeader: none\tReplicas: 1\tIsr: \tElr: N/A\tLastKnownElr: N/A"
        );
    }

    /// A replica that comes in a move does not make a partition under-replicated.
    #[test]
    fn a_move_does_not_count_as_a_missing_replica() {
        let moving = Moving {
            replicas: vec![1, 2, 3],
            adding: vec![3],
            removing: vec![1],
        };
        assert_eq!(factor(&partition(&[1, 2, 3], &[1, 2]), Some(&moving)), 2);
        assert_eq!(factor(&partition(&[2, 3], &[2, 3]), None), 2);
        let over = Moving {
            replicas: vec![1, 9],
            adding: vec![9],
            removing: vec![],
        };
        assert_eq!(factor(&partition(&[1, 2], &[1]), Some(&over)), 2);
    }
}
