//! Reassignments: the new replicas are added first, and the old ones go when all that shall stay are in sync.
//! //= KIP-455

use super::change::{self, Change, Elect, remove_replicas};
use super::{Live, PARTITIONS_PER_BROKER_MAX, Scratch, placement, refuse};
use crate::metadata::command::{CommandError, NewReplicas};
use crate::metadata::image::{Image, PartitionState};
use crate::model::{BrokerId, ErrorCode, PartitionId};

type Outcome = Result<(), CommandError>;

pub fn alter(scratch: &mut Scratch<'_>, partitions: &[NewReplicas], allow_factor_change: bool) -> Vec<Outcome> {
    let alter_one = |asked: &NewReplicas| {
        let (id, state) = find(&scratch.image, asked)?;
        let change = match &asked.replicas {
            Some(replicas) => {
                check(&scratch.image, &state, replicas, allow_factor_change)?;
                begin(&scratch.image, scratch.live, state, replicas)
            }
            None => undo(&scratch.image, &id, asked, state)?,
        };
        change::push(scratch, &id, change);
        Ok(())
    };
    partitions.iter().map(alter_one).collect()
}

fn find(image: &Image, asked: &NewReplicas) -> Result<(PartitionId, PartitionState), CommandError> {
    let NewReplicas { topic: name, index, .. } = asked;
    let Some(topic) = image.topic(name) else {
        let message = format!("Unable to find a topic named {name}.");
        return refuse(ErrorCode::UnknownTopicOrPartition, message);
    };
    let (topic_id, index) = (topic.id, *index);
    let Some(state) = topic.partition(index) else {
        let message = format!("Unable to find partition {name}:{index}.");
        return refuse(ErrorCode::UnknownTopicOrPartition, message);
    };
    let id = PartitionId { topic: topic_id, index };
    Ok((id, state.clone()))
}

fn check(image: &Image, state: &PartitionState, replicas: &[BrokerId], allow_factor_change: bool) -> Outcome {
    placement::check_list(image, replicas)?;
    let factor = state.replicas.len() - state.removing.len().min(state.replicas.len());
    if !allow_factor_change && factor != replicas.len() {
        let message = format!("The replication factor is changed from {factor} to {}", replicas.len());
        return refuse(ErrorCode::InvalidReplicationFactor, message);
    }
    let added = replicas.iter().filter(|replica| !state.replicas.contains(replica));
    for broker in added.copied() {
        let held = image.partitions_on(broker);
        if held >= PARTITIONS_PER_BROKER_MAX {
            let message = format!(
                "Broker {} holds {held} partition(s), as many as it can: {PARTITIONS_PER_BROKER_MAX}.",
                broker.0
            );
            return refuse(ErrorCode::PolicyViolation, message);
        }
    }
    Ok(())
}

/// The replicas that shall be, then those that leave. Replicas that an earlier reassignment was adding, and that this one
/// does not want, go at once, unless nobody else is in sync.
fn begin(image: &Image, live: &Live, before: PartitionState, wanted: &[BrokerId]) -> Change {
    let is_original = |replica: &BrokerId| !before.adding.contains(replica);
    let unwanted = |list: &[BrokerId]| -> Vec<BrokerId> {
        let unwanted = list.iter().filter(|replica| !wanted.contains(replica));
        unwanted.copied().collect()
    };
    let dropped = unwanted(&before.adding);
    let holders = if before.isr.is_empty() {
        &before.elr
    } else {
        &before.isr
    };
    let are_needed = !holders.is_empty() && holders.iter().all(|holder| dropped.contains(holder));
    let mut target = before.clone();
    if !are_needed {
        remove_replicas(&mut target, &dropped);
    }
    target.removing = unwanted(&target.replicas);
    target.adding = wanted
        .iter()
        .copied()
        .filter(|replica| !before.replicas.contains(replica) || !is_original(replica))
        .collect();
    let replicas: Vec<_> = wanted.iter().chain(&target.removing).copied().collect();
    let directory = |replica: &BrokerId| {
        let known = before.directory_of(*replica);
        known.unwrap_or_else(|| placement::directory_for(image, live, *replica))
    };
    target.directories = replicas.iter().map(directory).collect();
    target.replicas = replicas;
    Change::to(target, Elect::Clean)
}

/// Back to the replicas that were there before it.
fn undo(image: &Image, id: &PartitionId, asked: &NewReplicas, before: PartitionState) -> Result<Change, CommandError> {
    if !before.is_reassigned() {
        let message = "No partition reassignment is in progress.";
        return refuse(ErrorCode::NoReassignmentInProgress, message);
    }
    let mut target = before;
    let has_holder = |state: &PartitionState| !state.isr.is_empty() || !state.elr.is_empty();
    let had_holder = has_holder(&target);
    let adding = std::mem::take(&mut target.adding);
    target.removing.clear();
    remove_replicas(&mut target, &adding);
    let Some(first) = target.replicas.first().copied() else {
        let message = "Invalid replica assignment: addingReplicas contains all replicas.";
        return refuse(ErrorCode::InvalidReplicaAssignment, message);
    };
    if had_holder && !has_holder(&target) {
        let topic = image.topic_by_id(&id.topic);
        if !topic.is_some_and(|topic| topic.config.unclean_leader_election) {
            let message = format!(
                "Unable to revert partition assignment for {}:{} because it would require an unclean leader election.",
                asked.topic, asked.index
            );
            return refuse(ErrorCode::InvalidReplicaAssignment, message);
        }
        target.isr = vec![first];
        target.leader_recovering = true;
        return Ok(Change::to(target, Elect::Unclean));
    }
    Ok(Change::to(target, Elect::Clean))
}
