//! `--execute`, `--cancel` and `--list`: moves are begun, taken back and listed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};

use super::dirs;
use super::plan::{self, Move};
use super::{Args, Terse, throttle, verify};
use crate::cli::connect::list_of;
use crate::cli::partitions::{self, ADMIN_TIMEOUT_MS, Moving, Named, name_of, names_of};
use crate::client::{ClientError, Cluster};
use crate::wire::messages::*;

const OTHERS_ARE_MOVING: &str = "Cannot execute because there is an existing partition assignment.  Use --additional to \
     override this and create a new partition assignment in addition to the existing one. The --additional flag can also be \
     used to change the throttle by resubmitting the current reassignment.";

const MUST_VERIFY: &str = "Warning: You must run --verify periodically, until the reassignment completes, to ensure the \
     throttle is removed.";

pub(super) fn execute(cluster: &mut Cluster, args: &Args, moves: &[Move]) -> anyhow::Result<()> {
    if args.replica_alter_log_dirs_throttle.is_some_and(|rate| rate >= 0) {
        bail!(
            "--replica-alter-log-dirs-throttle: these brokers do not move replicas between their log directories; leave it out"
        );
    }
    let proposed = plan::check(moves)?;
    let moving = partitions::moving(cluster)?;
    if !args.additional && !moving.is_empty() {
        return Err(Terse(OTHERS_ARE_MOVING.to_owned()).into());
    }
    check_brokers(cluster, &proposed)?;
    let current = current(cluster, &proposed)?;
    let disks = dirs::look(cluster, current.keys());
    disks.check(&dirs::wanted(moves))?;
    println!(
        "Current partition replica assignment\n\n{}\n\nSave this to use as the --reassignment-json-file option during rollback",
        plan::to_json(&current, &disks)
    );
    if let Some(rate) = args.throttle.filter(|rate| *rate >= 0) {
        println!("{MUST_VERIFY}");
        throttle::set(cluster, rate, &moving, &proposed, &current)?;
    }
    let asked = proposed.iter().map(|(id, replicas)| (id, Some(replicas)));
    let errors = alter(cluster, asked, !args.disallow_replication_factor_change)?;
    if !errors.is_empty() {
        return Err(Terse(format!("Error reassigning partition(s):\n{}", lines(&errors))).into());
    }
    println!(
        "Successfully started partition reassignment{} for {}",
        plural(proposed.len()),
        names_of(proposed.keys(), ",")
    );
    match args.wait {
        true => verify::wait(cluster, proposed.keys()),
        false => Ok(()),
    }
}

fn check_brokers(cluster: &Cluster, proposed: &BTreeMap<Named, Vec<i32>>) -> anyhow::Result<()> {
    let known: BTreeSet<i32> = cluster.brokers().iter().map(|id| id.0).collect();
    match proposed.values().flatten().find(|id| !known.contains(id)) {
        Some(unknown) => bail!("Unknown broker id {unknown}"),
        None => Ok(()),
    }
}

/// What the partitions have now.
fn current(cluster: &mut Cluster, proposed: &BTreeMap<Named, Vec<i32>>) -> anyhow::Result<BTreeMap<Named, Vec<i32>>> {
    const UNKNOWN: &str = "org.apache.kafka.common.errors.UnknownTopicOrPartitionException";
    let names: BTreeSet<&str> = proposed.keys().map(|(topic, _)| topic.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let topics = partitions::describe(cluster, &names)?;
    let (mut current, mut missing) = (BTreeMap::new(), Vec::new());
    for id in proposed.keys() {
        let topic = topics
            .get(&id.0)
            .with_context(|| format!("{UNKNOWN}: Topic {} not found.", id.0))?;
        match topic.partitions.iter().find(|partition| partition.index == id.1) {
            Some(partition) => _ = current.insert(id.clone(), partition.replicas.clone()),
            None => missing.push(id),
        }
    }
    if !missing.is_empty() {
        bail!("{UNKNOWN}: Unable to find partition: {}", names_of(missing, ", "));
    }
    Ok(current)
}

pub(super) fn cancel(cluster: &mut Cluster, args: &Args, moves: &[Move]) -> anyhow::Result<()> {
    let moving = partitions::moving(cluster)?;
    let active: BTreeSet<&Named> = moves
        .iter()
        .map(|one| &one.id)
        .filter(|id| moving.contains_key(id))
        .collect();
    if active.is_empty() {
        println!("None of the specified partition reassignments are active.");
    } else {
        let errors = alter(cluster, active.iter().map(|id| (*id, None)), true)?;
        if !errors.is_empty() {
            let what = format!("Error cancelling partition reassignment{} for:", plural(errors.len()));
            return Err(Terse(format!("{what}\n{}", lines(&errors))).into());
        }
        println!(
            "Successfully cancelled partition reassignment{} for: {}",
            plural(active.len()),
            names_of(active.iter().copied(), ",")
        );
    }
    // Kafka's tool ends no line here.
    print!("None of the specified partition moves are active.");
    match args.preserve_throttles {
        true => Ok(()),
        false => throttle::clear(cluster, moves),
    }
}

/// Asks the controller for these replicas, or (`None`) to take the move back; what it refuses, with its words.
fn alter<'a>(
    cluster: &mut Cluster,
    asked: impl Iterator<Item = (&'a Named, Option<&'a Vec<i32>>)>,
    may_change_factor: bool,
) -> anyhow::Result<BTreeMap<Named, String>> {
    let mut topics: BTreeMap<&str, Vec<ReassignablePartition>> = BTreeMap::new();
    for ((topic, index), replicas) in asked {
        let partition = ReassignablePartition::default()
            .with_partition_index(*index)
            .with_replicas(replicas.cloned());
        topics.entry(topic).or_default().push(partition);
    }
    let topic = |(name, partitions): (&str, Vec<ReassignablePartition>)| {
        ReassignableTopic::default()
            .with_name(kafka_string(name))
            .with_partitions(partitions)
    };
    let request = AlterPartitionReassignmentsRequestData::default()
        .with_timeout_ms(ADMIN_TIMEOUT_MS)
        .with_allow_replication_factor_change(may_change_factor)
        .with_topics(topics.into_iter().map(topic).collect());
    let answer = cluster.ask(&request)?;
    ClientError::check(
        answer.error_code,
        answer.error_message.as_ref().map(KafkaString::as_str),
    )?;
    let mut errors = BTreeMap::new();
    for topic in answer.responses {
        for partition in topic.partitions {
            let message = partition.error_message.as_ref().map(KafkaString::as_str);
            if let Err(problem) = ClientError::check(partition.error_code, message) {
                errors.insert((text(&topic.name), partition.partition_index), problem.to_string());
            }
        }
    }
    Ok(errors)
}

pub(super) fn list(cluster: &mut Cluster) -> anyhow::Result<()> {
    println!("{}", listed(&partitions::moving(cluster)?));
    Ok(())
}

fn listed(moving: &BTreeMap<Named, Moving>) -> String {
    if moving.is_empty() {
        return "No partition reassignments found.".to_owned();
    }
    let mut text = "Current partition reassignments:".to_owned();
    for (id, moving) in moving {
        text.push_str(&format!("\n{}: replicas: {}.", name_of(id), list_of(&moving.replicas)));
        for (what, ids) in [("adding", &moving.adding), ("removing", &moving.removing)] {
            if !ids.is_empty() {
                text.push_str(&format!(" {what}: {}.", list_of(ids)));
            }
        }
    }
    text
}

fn lines(errors: &BTreeMap<Named, String>) -> String {
    let lines: Vec<String> = errors
        .iter()
        .map(|(id, problem)| format!("{}: {problem}", name_of(id)))
        .collect();
    lines.join("\n")
}

pub(super) fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of Kafka 4.3.1's tool.
    #[test]
    fn moves_are_listed_as_kafka_lists_them() {
        assert_eq!(listed(&BTreeMap::new()), "No partition reassignments found.");
        let moving = |replicas: &[i32], adding: &[i32], removing: &[i32]| Moving {
            replicas: replicas.to_vec(),
            adding: adding.to_vec(),
            removing: removing.to_vec(),
        };
        let all = BTreeMap::from([
            (("foo".to_owned(), 10), moving(&[1, 2], &[2], &[])),
            (("foo".to_owned(), 9), moving(&[3, 1, 2], &[3], &[1, 2])),
        ]);
        assert_eq!(
            listed(&all),
            "Current partition reassignments:\nfoo-9: replicas: 3,1,2. adding: 3. removing: 1,2.\n\
             foo-10: replicas: 1,2. adding: 2."
        );
    }
}
