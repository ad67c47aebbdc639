//! Elections that somebody asks for: an operator, or the control thread's timers.

use super::brokers::elect_again;
use super::change::{self, Change, Elect};
use super::{Scratch, refuse};
use crate::metadata::command::{CommandError, Election, Reply};
use crate::metadata::image::{Image, PartitionState, Topic};
use crate::model::{ErrorCode, PartitionId};

/// Partitions that one round of a timer changes, as in KRaft: a commit stays short.
pub const ELECTIONS_PER_ROUND_MAX: usize = 1000;

type Outcome = Result<(), CommandError>;

pub fn elect(
    scratch: &mut Scratch<'_>,
    election: Election,
    partitions: Option<&[(String, i32)]>,
) -> Vec<(String, i32, Outcome)> {
    let asked = match partitions {
        Some(partitions) => partitions.to_vec(),
        None => all_that_need(&scratch.image, election),
    };
    let elect_one = |(topic, index): (String, i32)| {
        let outcome = elect_one(scratch, election, &topic, index);
        (topic, index, outcome)
    };
    asked.into_iter().map(elect_one).collect()
}

fn all_that_need(image: &Image, election: Election) -> Vec<(String, i32)> {
    let of_topic = |topic: &Topic| -> Vec<(String, i32)> {
        let needy = topic.partitions.iter().filter(|state| needs(state, election));
        needy.map(|state| (topic.name.to_string(), state.index)).collect()
    };
    image.topics.values().flat_map(|topic| of_topic(topic)).collect()
}

fn needs(state: &PartitionState, election: Election) -> bool {
    match election {
        Election::Preferred => state.leader.as_ref() != state.replicas.first(),
        Election::Unclean => state.leader.is_none(),
    }
}

fn elect_one(scratch: &mut Scratch<'_>, election: Election, name: &str, index: i32) -> Outcome {
    let Some(topic) = scratch.image.topic(name) else {
        return refuse(ErrorCode::UnknownTopicOrPartition, format!("No such topic as {name}"));
    };
    let id = PartitionId { topic: topic.id, index };
    let Some(state) = topic.partition(index) else {
        let message = format!("No such partition as {name}-{index}");
        return refuse(ErrorCode::UnknownTopicOrPartition, message);
    };
    if !needs(state, election) {
        let message = "Leader election not needed for topic partition.";
        return refuse(ErrorCode::ElectionNotNeeded, message);
    }
    let (how, code, message) = match election {
        Election::Preferred => (
            Elect::Preferred,
            ErrorCode::PreferredLeaderNotAvailable,
            "The preferred leader was not available.",
        ),
        Election::Unclean => (
            Elect::Unclean,
            ErrorCode::EligibleLeadersNotAvailable,
            "Eligible topic partition leaders are not available.",
        ),
    };
    let before = state.leader;
    let after = change::push(scratch, &id, Change::to(state.clone(), how));
    match after.is_some_and(|after| after.leader != before) {
        true => Ok(()),
        false => refuse(code, message),
    }
}

/// Leaderships go back to the replicas that the assignments name first, wherever those are in sync.
pub fn balance(scratch: &mut Scratch<'_>) -> Reply {
    let astray = |state: &&PartitionState| state.leader.is_some() && needs(state, Election::Preferred);
    let is_ready = |state: &&PartitionState| {
        let preferred = state.replicas.first();
        preferred.is_some_and(|first| state.isr.contains(first) && scratch.image.is_active(*first))
    };
    let of_topic = |topic: &Topic| -> Vec<PartitionId> {
        let found = topic.partitions.iter().filter(astray).filter(is_ready);
        let topic = topic.id;
        found
            .map(|state| PartitionId {
                topic,
                index: state.index,
            })
            .collect()
    };
    let topics = scratch.image.topics.values();
    let found: Vec<_> = topics
        .flat_map(|topic| of_topic(topic))
        .take(ELECTIONS_PER_ROUND_MAX)
        .collect();
    let more = found.len() == ELECTIONS_PER_ROUND_MAX;
    let mut moved = 0;
    for id in found {
        let Some((_, state)) = scratch.image.partition(&id) else {
            continue;
        };
        let change = Change::to(state.clone(), Elect::Preferred);
        moved += usize::from(change::push(scratch, &id, change).is_some());
    }
    Reply::BalanceLeaders {
        moved,
        more: more && moved > 0,
    }
}

/// Partitions that nobody leads, wherever their topics' rules have somebody by now.
pub fn elect_offline(scratch: &mut Scratch<'_>) -> Reply {
    let leaderless = scratch.image.derived.leaderless().clone();
    let mut elected = 0;
    for id in leaderless.iter() {
        if elected == ELECTIONS_PER_ROUND_MAX {
            return Reply::ElectOffline { elected, more: true };
        }
        let after = elect_again(scratch, id);
        elected += usize::from(after.is_some_and(|after| after.leader.is_some()));
    }
    Reply::ElectOffline { elected, more: false }
}
