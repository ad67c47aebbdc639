//! Which brokers hold a partition, and in which of its log directories each does.

use std::collections::BTreeSet;

use super::{Live, PARTITIONS_PER_BROKER_MAX, refuse};
use crate::metadata::command::CommandError;
use crate::metadata::image::{Image, PartitionState};
use crate::model::{BrokerId, DirId, ErrorCode, LeaderEpoch};

/// A directory that its broker still has to choose (KIP-858).
const UNASSIGNED: DirId = DirId([0; 16]);

/// Replica lists of the partitions `first ..` by Kafka's algorithm without racks: leaders go round from a random start;
/// followers stand at a distance that grows by one each time the leaders have gone round, so that the load of a failed
/// broker falls on all others and not on its neighbour.
pub fn assign(
    image: &Image,
    first: i32,
    count: usize,
    replication_factor: usize,
    draw: u64,
) -> Result<Vec<Vec<BrokerId>>, CommandError> {
    let brokers = candidates(image, replication_factor)?;
    let start = (draw % brokers.len() as u64) as usize;
    let first = usize::try_from(first).unwrap_or(0);
    Ok((first..first + count)
        .map(|index| replicas(&brokers, start, index, replication_factor))
        .collect())
}

fn replicas(brokers: &[BrokerId], start: usize, index: usize, replication_factor: usize) -> Vec<BrokerId> {
    let others = brokers.len() - 1;
    let leader = (start + index) % brokers.len();
    let round = start + index / brokers.len();
    let follower = |nth: usize| brokers[(leader + 1 + (round + nth) % others) % brokers.len()];
    std::iter::once(brokers[leader])
        .chain((0..replication_factor - 1).map(follower))
        .collect()
}

/// The brokers that are alive, or all if those are too few.
fn candidates(image: &Image, replication_factor: usize) -> Result<Vec<BrokerId>, CommandError> {
    let registered = image.brokers.len();
    let alive: Vec<_> = image
        .brokers
        .values()
        .filter(|broker| !broker.fenced)
        .map(|broker| broker.id)
        .collect();
    let why = if registered < replication_factor {
        format!(
            "The target replication factor of {replication_factor} cannot be reached because only {registered} \
             broker(s) are registered or some brokers have all their log directories cordoned."
        )
    } else if alive.is_empty() {
        "All brokers are currently fenced.".to_owned()
    } else if alive.len() < replication_factor {
        return Ok(image.brokers.keys().copied().collect());
    } else {
        return Ok(alive);
    };
    let message = format!("Unable to replicate the partition {replication_factor} time(s): {why}");
    refuse(ErrorCode::InvalidReplicationFactor, message)
}

/// One replica list of a request, and the number of replicas that the lists before it have.
pub fn check_manual(image: &Image, index: i32, replicas: &[BrokerId], expected: usize) -> Result<(), CommandError> {
    let invalid = |message: String| refuse(ErrorCode::InvalidReplicaAssignment, message);
    if replicas.is_empty() {
        return invalid("The manual partition assignment includes an empty replica list.".to_owned());
    }
    let mut seen = BTreeSet::new();
    for replica in replicas {
        let id = replica.0;
        if !seen.insert(replica) {
            return invalid(format!(
                "The manual partition assignment includes the broker {id} more than once."
            ));
        }
        if !image.brokers.contains_key(replica) {
            return invalid(format!(
                "The manual partition assignment includes broker {id}, but no such broker is registered."
            ));
        }
    }
    if replicas.len() != expected {
        return invalid(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent \
             with previous partitions, which have {expected} replica(s).",
            replicas.len()
        ));
    }
    if replicas.iter().all(|replica| is_fenced(image, replica)) {
        return invalid(format!(
            "All brokers specified in the manual partition assignment for partition {index} are fenced or in \
             controlled shutdown."
        ));
    }
    Ok(())
}

/// No broker gets more partitions than it can carry.
pub fn check_room(image: &Image, assignments: &[Vec<BrokerId>]) -> Result<(), CommandError> {
    for broker in image.brokers.keys() {
        let added = assignments.iter().filter(|replicas| replicas.contains(broker)).count();
        let held = image.partitions_on(*broker);
        if held + added > PARTITIONS_PER_BROKER_MAX {
            let message = format!(
                "Broker {} holds {held} partition(s); {added} more would exceed its limit of \
                 {PARTITIONS_PER_BROKER_MAX}.",
                broker.0
            );
            return refuse(ErrorCode::PolicyViolation, message);
        }
    }
    Ok(())
}

/// A partition as it begins: led by its first replica that is alive, in sync wherever it is alive.
pub fn new_partition(image: &Image, live: &Live, index: i32, replicas: &[BrokerId]) -> PartitionState {
    let alive: Vec<_> = replicas
        .iter()
        .copied()
        .filter(|replica| !is_fenced(image, replica))
        .collect();
    let directory = |replica: &BrokerId| {
        let mine = *replica == live.me;
        if mine {
            emptiest_directory(image, live)
        } else {
            UNASSIGNED
        }
    };
    PartitionState {
        index,
        leader: alive.first().copied(),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
        replicas: replicas.to_vec(),
        isr: if alive.is_empty() { replicas.to_vec() } else { alive },
        directories: replicas.iter().map(directory).collect(),
    }
}

fn emptiest_directory(image: &Image, live: &Live) -> DirId {
    let directories = live.online_directories.iter().copied();
    directories
        .min_by_key(|directory| image.partitions_in(directory))
        .unwrap_or(UNASSIGNED)
}

fn is_fenced(image: &Image, broker: &BrokerId) -> bool {
    image.brokers.get(broker).is_none_or(|broker| broker.fenced)
}
