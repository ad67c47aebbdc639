//! AlterPartition: a leader's ISRs grow and shrink; and where a broker's replicas are.

use super::Scratch;
use super::brokers::check_epoch;
use super::change::{self, Change, Elect, may_lead};
use crate::metadata::command::{AlterPartition, AssignDirectories, CommandError, IsrChange};
use crate::metadata::image::{Image, PartitionState};
use crate::model::{BrokerId, DirId, ErrorCode, PartitionId};
#[cfg(test)]
use crate::rt;

/// The broker epoch of a member whose leader does not know it.
const NOT_CHECKED: i64 = -1;

type Outcome = Result<PartitionState, ErrorCode>;

pub fn alter(scratch: &mut Scratch<'_>, asked: &AlterPartition) -> Result<Vec<Outcome>, CommandError> {
    check_epoch(&scratch.image, asked.broker, asked.broker_epoch)?;
    let alter_one = |change| alter_one(scratch, asked.broker, change);
    Ok(asked.partitions.iter().map(alter_one).collect())
}

fn alter_one(scratch: &mut Scratch<'_>, broker: BrokerId, asked: &IsrChange) -> Outcome {
    let id = &asked.partition;
    let state = find(&scratch.image, id)?;
    check(&scratch.image, state, broker, asked)?;
    let target = PartitionState {
        isr: asked.isr.iter().map(|(member, _)| *member).collect(),
        leader_recovering: asked.recovering,
        ..state.clone()
    };
    let elect = scratch
        .image
        .topic_by_id(&id.topic)
        .map_or(Elect::Clean, |topic| Elect::of(topic));
    let before = state.clone();
    let after = change::push(scratch, id, Change::to(target, elect)).unwrap_or(before);
    match after.leader_epoch > asked.leader_epoch {
        // A reassignment is done, and the leader was not to stay.
        true => Err(ErrorCode::NewLeaderElected),
        false => Ok(after),
    }
}

fn find<'a>(image: &'a Image, id: &PartitionId) -> Result<&'a PartitionState, ErrorCode> {
    let topic = image.topic_by_id(&id.topic).ok_or(ErrorCode::UnknownTopicId)?;
    topic.partition(id.index).ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// In the order in which Kafka's controller looks.
fn check(image: &Image, state: &PartitionState, broker: BrokerId, asked: &IsrChange) -> Result<(), ErrorCode> {
    if asked.leader_epoch > state.leader_epoch || asked.partition_epoch > state.partition_epoch {
        // The leader knows more than this controller: there is another one.
        return Err(ErrorCode::NotController);
    }
    if asked.leader_epoch < state.leader_epoch {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if state.leader != Some(broker) {
        return Err(ErrorCode::InvalidRequest);
    }
    if asked.partition_epoch < state.partition_epoch {
        return Err(ErrorCode::InvalidUpdateVersion);
    }
    if !is_possible(state, broker, asked) {
        return Err(ErrorCode::InvalidRequest);
    }
    match asked.isr.iter().all(|member| is_eligible(image, state, member)) {
        true => Ok(()),
        false => Err(ErrorCode::IneligibleReplica),
    }
}

/// Replicas, each once, the leader among them; alone as long as it recovers, which nothing brings back.
fn is_possible(state: &PartitionState, leader: BrokerId, asked: &IsrChange) -> bool {
    let members = || asked.isr.iter().map(|(member, _)| *member);
    let once = |member: BrokerId| members().filter(|other| *other == member).count() == 1;
    let are_replicas = members().all(|member| state.replicas.contains(&member) && once(member));
    let recovery = !asked.recovering || asked.isr.len() == 1 && state.leader_recovering;
    are_replicas && members().any(|member| member == leader) && recovery
}

/// Its broker is active, its disk is there, and has space if it is to join, and it has not been started again since it
/// fetched.
fn is_eligible(image: &Image, state: &PartitionState, (member, epoch): &(BrokerId, i64)) -> bool {
    let has_space = state.isr.contains(member) || !image.is_full(state, *member);
    is_same_life(image, *member, *epoch) && has_space && is_able(image, state, *member)
}

fn is_same_life(image: &Image, member: BrokerId, epoch: i64) -> bool {
    #[cfg(test)]
    if rt::sim::is_off(rt::sim::Rule::SameLife) {
        return true;
    }
    let known = image.brokers.get(&member);
    known.is_some_and(|known| epoch == NOT_CHECKED || epoch == known.epoch)
}

fn is_able(image: &Image, state: &PartitionState, member: BrokerId) -> bool {
    #[cfg(test)]
    if rt::sim::is_off(rt::sim::Rule::ActiveMember) {
        return true;
    }
    may_lead(image, state, member)
}

pub fn assign(
    scratch: &mut Scratch<'_>,
    asked: &AssignDirectories,
) -> Result<Vec<Result<(), ErrorCode>>, CommandError> {
    check_epoch(&scratch.image, asked.broker, asked.broker_epoch)?;
    let assign_one = |(id, directory): &(PartitionId, DirId)| assign_one(scratch, asked.broker, id, *directory);
    Ok(asked.partitions.iter().map(assign_one).collect())
}

fn assign_one(
    scratch: &mut Scratch<'_>,
    broker: BrokerId,
    id: &PartitionId,
    directory: DirId,
) -> Result<(), ErrorCode> {
    let mut target = find(&scratch.image, id)?.clone();
    let at = target.replicas.iter().position(|replica| *replica == broker);
    let at = at.ok_or(ErrorCode::NotLeaderOrFollower)?;
    let known = scratch.image.brokers.get(&broker);
    if directory == DirId::UNASSIGNED || !known.is_some_and(|known| known.has_online(&directory)) {
        return Err(ErrorCode::InvalidRequest);
    }
    // A replica without any directory so far has them all unassigned.
    target.directories.resize(target.replicas.len(), DirId::UNASSIGNED);
    if let Some(slot) = target.directories.get_mut(at) {
        *slot = directory;
    }
    let elect = scratch
        .image
        .topic_by_id(&id.topic)
        .map_or(Elect::Clean, |topic| Elect::of(topic));
    change::push(scratch, id, Change::to(target, elect));
    Ok(())
}
