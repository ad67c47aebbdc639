//! The throttle of moves: set before they begin, taken back once all are over.

use std::collections::{BTreeMap, BTreeSet};

use super::execute::plural;
use super::plan::Move;
use crate::cli::connect::list_of;
use crate::cli::partitions::{Moving, Named};
use crate::client::{ClientError, Cluster};
use crate::model::BrokerId;
use crate::wire::messages::*;

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
const DIRS_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
const LEADER_REPLICAS: &str = "leader.replication.throttled.replicas";
const FOLLOWER_REPLICAS: &str = "follower.replication.throttled.replicas";
/// IncrementalAlterConfigs' numbers.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;

/// A setting, and its new value; `None`: the default again.
type Change = (&'static str, Option<String>);

/// From which brokers a partition is copied, and to which.
#[derive(Debug, PartialEq, Eq)]
struct Copying {
    from: BTreeSet<i32>,
    to: BTreeSet<i32>,
}

/// Throttles the moves that are not over and those to begin, to `rate` bytes per second on each broker.
pub(super) fn set(
    cluster: &mut Cluster,
    rate: i64,
    moving: &BTreeMap<Named, Moving>,
    proposed: &BTreeMap<Named, Vec<i32>>,
    current: &BTreeMap<Named, Vec<i32>>,
) -> anyhow::Result<()> {
    let copying = copying(moving, proposed, current);
    let topics = throttled_replicas(&copying).into_iter().map(|(topic, [from, to])| {
        let changes = vec![(LEADER_REPLICAS, Some(from)), (FOLLOWER_REPLICAS, Some(to))];
        resource(TOPIC, topic, changes)
    });
    alter_topics(cluster, topics.collect())?;
    let brokers: BTreeSet<i32> = copying
        .values()
        .flat_map(|one| one.from.iter().chain(&one.to))
        .copied()
        .collect();
    let up = cluster.brokers();
    for id in up.into_iter().filter(|id| brokers.contains(&id.0)) {
        let rate = || Some(rate.to_string());
        alter_broker(cluster, id, vec![(LEADER_RATE, rate()), (FOLLOWER_RATE, rate())])?;
    }
    println!("The inter-broker throttle limit was set to {rate} B/s");
    Ok(())
}

fn copying<'a>(
    moving: &'a BTreeMap<Named, Moving>,
    proposed: &'a BTreeMap<Named, Vec<i32>>,
    current: &BTreeMap<Named, Vec<i32>>,
) -> BTreeMap<&'a Named, Copying> {
    let sources = |moving: &Moving| -> BTreeSet<i32> {
        let adding = |id: &&i32| moving.adding.contains(id);
        moving.replicas.iter().filter(|id| !adding(id)).copied().collect()
    };
    let mut all: BTreeMap<&Named, Copying> = BTreeMap::new();
    for (id, moving) in moving {
        let (from, to) = (sources(moving), moving.adding.iter().copied().collect());
        all.insert(id, Copying { from, to });
    }
    for (id, replicas) in proposed {
        let from = match (moving.get(id), current.get(id)) {
            (Some(moving), _) => sources(moving),
            (None, current) => current.into_iter().flatten().copied().collect(),
        };
        let to = replicas.iter().filter(|id| !from.contains(id)).copied().collect();
        all.insert(id, Copying { from, to });
    }
    all
}

/// Of each topic the replicas that are read, and those that are written, as partition:broker pairs.
fn throttled_replicas<'a>(copying: &BTreeMap<&'a Named, Copying>) -> BTreeMap<&'a str, [String; 2]> {
    let mut pairs: BTreeMap<&str, [BTreeSet<String>; 2]> = BTreeMap::new();
    for ((topic, index), copying) in copying {
        let [from, to] = pairs.entry(topic).or_default();
        from.extend(copying.from.iter().map(|id| format!("{index}:{id}")));
        to.extend(copying.to.iter().map(|id| format!("{index}:{id}")));
    }
    let list = |pairs: BTreeSet<String>| pairs.into_iter().collect::<Vec<_>>().join(",");
    pairs
        .into_iter()
        .map(|(topic, pairs)| (topic, pairs.map(list)))
        .collect()
}

/// Takes all throttles back: which brokers a move that is over has read from is not known any more.
pub(super) fn clear(cluster: &mut Cluster, moves: &[Move]) -> anyhow::Result<()> {
    let up = cluster.brokers();
    let mut brokers: BTreeSet<i32> = up.iter().map(|id| id.0).collect();
    brokers.extend(moves.iter().flat_map(|one| &one.replicas));
    let ids: Vec<i32> = brokers.iter().copied().collect();
    let none = |keys: &[&'static str]| -> Vec<Change> { keys.iter().map(|key| (*key, None)).collect() };
    println!(
        "Clearing broker-level throttles on broker{} {}",
        plural(ids.len()),
        list_of(&ids)
    );
    for id in up {
        alter_broker(cluster, id, none(&[LEADER_RATE, FOLLOWER_RATE, DIRS_RATE]))?;
    }
    let topics: BTreeSet<&str> = moves.iter().map(|one| one.id.0.as_str()).collect();
    let topics: Vec<&str> = topics.into_iter().collect();
    println!(
        "Clearing topic-level throttles on topic{} {}",
        plural(topics.len()),
        topics.join(",")
    );
    let resources = topics
        .iter()
        .map(|topic| resource(TOPIC, topic, none(&[LEADER_REPLICAS, FOLLOWER_REPLICAS])));
    alter_topics(cluster, resources.collect())
}

fn resource(kind: i8, name: &str, changes: Vec<Change>) -> IncrementalAlterConfigsResource {
    let change = |(key, value): Change| {
        IncrementalAlterableConfig::default()
            .with_name(kafka_string(key))
            .with_config_operation(if value.is_some() { SET } else { DELETE })
            .with_value(value.as_deref().map(kafka_string))
    };
    IncrementalAlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(kafka_string(name))
        .with_configs(changes.into_iter().map(change).collect())
}

fn alter_topics(cluster: &mut Cluster, resources: Vec<IncrementalAlterConfigsResource>) -> anyhow::Result<()> {
    check(cluster.ask(&IncrementalAlterConfigsRequestData::default().with_resources(resources))?)
}

/// A broker's own settings are altered through that broker only.
fn alter_broker(cluster: &mut Cluster, id: BrokerId, changes: Vec<Change>) -> anyhow::Result<()> {
    let resources = vec![resource(BROKER, &id.0.to_string(), changes)];
    let request = IncrementalAlterConfigsRequestData::default().with_resources(resources);
    check(cluster.broker(id)?.call(&request)?)
}

fn check(answer: IncrementalAlterConfigsResponseData) -> anyhow::Result<()> {
    for result in answer.responses {
        ClientError::check(
            result.error_code,
            result.error_message.as_ref().map(KafkaString::as_str),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read, and what is written: of a move under way what it adds, of a new one what is not there yet.
    #[test]
    fn each_side_of_a_copy_is_throttled() {
        let id = |index| ("foo".to_owned(), index);
        let moving = BTreeMap::from([(
            id(10),
            Moving {
                replicas: vec![4, 1, 2],
                adding: vec![4],
                removing: vec![1],
            },
        )]);
        let proposed = BTreeMap::from([(id(2), vec![3, 1])]);
        let current = BTreeMap::from([(id(2), vec![1, 2])]);
        assert_eq!(
            throttled_replicas(&copying(&moving, &proposed, &current)),
            BTreeMap::from([("foo", ["10:1,10:2,2:1,2:2".to_owned(), "10:4,2:3".to_owned()])])
        );
    }
}
