//! `--generate`: where the partitions of some topics could go, spread over some brokers as those of new topics are.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};

use super::dirs::{self, Disks};
use super::{Args, plan};
use crate::cli::json_file;
use crate::cli::partitions::{self, Named};
use crate::client::Cluster;
use crate::metadata::spread;
use crate::model::BrokerId;
use crate::rt::random_u64;
use crate::wire::messages::text;

type Assignment = BTreeMap<Named, Vec<i32>>;

pub(super) fn run(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    let file = args
        .topics_to_move_json_file
        .as_deref()
        .context("Missing required argument \"[topics-to-move-json-file]\"")?;
    let topics = plan::topics(&json_file::read(file)?)?;
    let brokers = broker_ids(args.broker_list.as_deref().unwrap_or_default())?;
    let twice = plan::twice(&topics);
    if !twice.is_empty() {
        bail!("List of topics to reassign contains duplicate entries: {twice:?}");
    }
    let current = current(cluster, &topics)?;
    let brokers = racks(cluster, &brokers, !args.disable_rack_aware)?;
    let proposed = propose(&current, &brokers, random_u64())?;
    println!(
        "Current partition replica assignment\n{}\n",
        plan::to_json(&current, &dirs::look(cluster, current.keys()))
    );
    println!(
        "Proposed partition reassignment configuration\n{}",
        plan::to_json(&proposed, &Disks::default())
    );
    Ok(())
}

fn broker_ids(written: &str) -> anyhow::Result<Vec<i32>> {
    let ids: Result<Vec<i32>, _> = written.split(',').map(|id| id.trim().parse()).collect();
    let ids = ids.with_context(|| format!("--broker-list {written}: not a list of broker ids"))?;
    let twice: Vec<String> = plan::twice(&ids).iter().map(ToString::to_string).collect();
    if !twice.is_empty() {
        bail!("Broker list contains duplicate entries: [{}]", twice.join(", "));
    }
    Ok(ids)
}

fn current(cluster: &mut Cluster, topics: &[String]) -> anyhow::Result<Assignment> {
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let described = partitions::describe(cluster, &names)?;
    let mut current = Assignment::new();
    for name in topics {
        let topic = described.get(name).with_context(|| {
            format!("org.apache.kafka.common.errors.UnknownTopicOrPartitionException: Topic {name} not found.")
        })?;
        for partition in &topic.partitions {
            current.insert((name.clone(), partition.index), partition.replicas.clone());
        }
    }
    Ok(current)
}

/// The brokers among the listed ones that are up, and their racks, where those count.
fn racks(cluster: &mut Cluster, listed: &[i32], by_rack: bool) -> anyhow::Result<Vec<(BrokerId, Option<String>)>> {
    let brokers = cluster.metadata(Some(&[]), false)?.brokers;
    let of_listed = brokers.iter().filter(|broker| listed.contains(&broker.node_id));
    let with_rack: Vec<_> = of_listed
        .map(|broker| {
            let rack = broker.rack.as_ref().filter(|_| by_rack).map(text);
            (BrokerId(broker.node_id), rack)
        })
        .collect();
    let without = with_rack.iter().filter(|(_, rack)| rack.is_none()).count();
    if by_rack && without != 0 && without != with_rack.len() {
        bail!(
            "Not all brokers have rack information. Add --disable-rack-aware in command line to make replica assignment \
             without rack information."
        );
    }
    Ok(with_rack)
}

/// Each topic by itself, with as many replicas as its first partition has.
fn propose(current: &Assignment, brokers: &[(BrokerId, Option<String>)], draw: u64) -> anyhow::Result<Assignment> {
    let brokers: Vec<(BrokerId, Option<&str>)> = brokers.iter().map(|(id, rack)| (*id, rack.as_deref())).collect();
    let topics: BTreeSet<&str> = current.keys().map(|(topic, _)| topic.as_str()).collect();
    let mut proposed = Assignment::new();
    for topic in topics {
        let partitions: Vec<_> = current.iter().filter(|((of, _), _)| of == topic).collect();
        let factor = partitions.first().map_or(0, |(_, replicas)| replicas.len());
        if factor > brokers.len() {
            bail!(
                "The target replication factor of {factor} cannot be reached because only {} broker(s) are registered or some \
                 brokers have all their log directories cordoned.",
                brokers.len()
            );
        }
        let spread = spread(&brokers, partitions.len(), factor, draw);
        for (((_, index), _), replicas) in partitions.into_iter().zip(spread) {
            let replicas = replicas.iter().map(|id| id.0).collect();
            proposed.insert((topic.to_owned(), *index), replicas);
        }
    }
    Ok(proposed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(partitions: i32, replicas: &[i32]) -> Assignment {
        let one = |index| (("foo".to_owned(), index), replicas.to_vec());
        (0..partitions).map(one).collect()
    }

    fn broker(id: i32, rack: Option<&str>) -> (BrokerId, Option<String>) {
        (BrokerId(id), rack.map(str::to_owned))
    }

    /// Leaders and replicas are spread evenly, over the brokers that were given only.
    #[test]
    fn partitions_are_spread_evenly() {
        let brokers = [broker(2, None), broker(3, None), broker(5, None)];
        for draw in 0..9 {
            let proposed = propose(&topic(6, &[1, 2]), &brokers, draw).unwrap();
            assert_eq!(proposed.len(), 6);
            for (id, _) in &brokers {
                let leads = proposed.values().filter(|replicas| replicas[0] == id.0).count();
                let has = proposed.values().filter(|replicas| replicas.contains(&id.0)).count();
                assert_eq!((leads, has), (2, 4), "draw {draw}: {proposed:?}");
            }
        }
    }

    #[test]
    fn replicas_stand_in_different_racks() {
        let brokers = [broker(1, Some("a")), broker(2, Some("a")), broker(3, Some("b"))];
        let proposed = propose(&topic(4, &[1, 2]), &brokers, 0).unwrap();
        assert!(proposed.values().all(|replicas| replicas.contains(&3)), "{proposed:?}");
    }

    #[test]
    fn too_few_brokers_are_refused() {
        let refusal = propose(&topic(1, &[1, 2]), &[broker(1, None)], 0).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "The target replication factor of 2 cannot be reached because only 1 broker(s) are registered or some brokers \
             have all their log directories cordoned."
        );
        assert_eq!(
            broker_ids("1,2,1").unwrap_err().to_string(),
            "Broker list contains duplicate entries: [1]"
        );
    }
}
