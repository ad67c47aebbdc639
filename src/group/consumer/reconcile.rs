//! From what a member has towards what it is to have.

use std::collections::{BTreeMap, BTreeSet};

use super::Consumer;
use super::change::Change;
use super::member::Member;
use crate::group::classic::MemberId;
use crate::group::record::{Assignment, CurrentValue, DatedAssignment, MemberState};
use crate::group::turn::Turn;
use crate::model::{ErrorCode, TopicId};

impl Consumer {
    /// `owned` is what the member says that it has: None where it says nothing about it. `is_resubscribed`: it may have
    /// what it reads no longer.
    pub(super) fn reconcile(
        &mut self,
        id: &MemberId,
        owned: Option<&Assignment>,
        is_resubscribed: bool,
        turn: &mut Turn<'_>,
    ) -> Result<(), ErrorCode> {
        let Some(member) = self.members.get(id) else {
            return Ok(());
        };
        if member.is_reconciled_to(self.assigned.epoch) && !is_resubscribed {
            return Ok(());
        }
        let next = self.next(id, member, owned, is_resubscribed, turn)?;
        if next != member.current {
            let waits = next.state == MemberState::UnrevokedPartitions;
            self.change(Change::Current(id.clone(), Some(next)), turn);
            self.await_revocation(id, waits, turn);
        }
        Ok(())
    }

    fn next(
        &self,
        id: &MemberId,
        member: &Member,
        owned: Option<&Assignment>,
        is_resubscribed: bool,
        turn: &Turn<'_>,
    ) -> Result<CurrentValue, ErrorCode> {
        let current = &member.current;
        let readable = self.readable(member, turn);
        match current.state {
            MemberState::Stable if current.epoch == self.assigned.epoch => {
                Ok(without_unread(current, owned, &readable))
            }
            MemberState::UnrevokedPartitions if owns_any(owned, &current.revoking) => match is_resubscribed {
                true => Ok(without_unread(current, owned, &readable)),
                false => Ok(current.clone()),
            },
            // A state of a later version: it starts anew, with nothing.
            MemberState::Unknown if !owned.is_some_and(Assignment::is_empty) => Err(ErrorCode::FencedMemberEpoch),
            _ => Ok(self.towards_target(id, current, owned, &readable)),
        }
    }

    /// The ids of the topics that the member reads, as far as there are such topics.
    pub(super) fn readable(&self, member: &Member, turn: &Turn<'_>) -> BTreeSet<TopicId> {
        let topics = self.topics_of(member).filter_map(|name| turn.catalog.topic(name));
        topics.map(|topic| topic.id).collect()
    }

    fn towards_target(
        &self,
        id: &MemberId,
        current: &CurrentValue,
        owned: Option<&Assignment>,
        readable: &BTreeSet<TopicId>,
    ) -> CurrentValue {
        let nothing = Assignment::new();
        let target = self.targets.get(id).unwrap_or(&nothing);
        let is_target = |topic: &TopicId, index: &i32| {
            readable.contains(topic) && target.get(topic).is_some_and(|of| of.contains(index))
        };
        let (mut assigned, revoking) = split(&current.assigned, is_target);
        if owns_any(owned, &revoking) {
            return CurrentValue {
                state: MemberState::UnrevokedPartitions,
                assigned,
                revoking,
                ..current.clone()
            };
        }
        let mut is_missing_any = false;
        for (topic, partitions) in target.iter().filter(|(topic, _)| readable.contains(topic)) {
            for index in partitions {
                let is_mine = |of: &DatedAssignment| of.get(topic).is_some_and(|of| of.contains_key(index));
                if is_mine(&assigned) {
                    continue;
                }
                // What it has just given up is its own to have again.
                if self.is_owned(topic, *index) && !is_mine(&current.revoking) {
                    is_missing_any = true;
                    continue;
                }
                assigned.entry(*topic).or_default().insert(*index, self.assigned.epoch);
            }
        }
        CurrentValue {
            epoch: self.assigned.epoch,
            previous_epoch: current.epoch,
            state: match is_missing_any {
                true => MemberState::UnreleasedPartitions,
                false => MemberState::Stable,
            },
            assigned,
            revoking: DatedAssignment::new(),
        }
    }
}

/// What is read no longer is to be given up at once, before there is a new target.
fn without_unread(current: &CurrentValue, owned: Option<&Assignment>, readable: &BTreeSet<TopicId>) -> CurrentValue {
    let (assigned, unread) = split(&current.assigned, |topic, _| readable.contains(topic));
    if unread.is_empty() {
        return current.clone();
    }
    let mut revoking = current.revoking.clone();
    for (topic, partitions) in unread {
        revoking.entry(topic).or_default().extend(partitions);
    }
    match owns_any(owned, &revoking) {
        true => CurrentValue {
            state: MemberState::UnrevokedPartitions,
            assigned,
            revoking,
            ..current.clone()
        },
        false => CurrentValue {
            assigned,
            ..current.clone()
        },
    }
}

/// Those of which `is_kept` holds, and the others.
fn split(of: &DatedAssignment, is_kept: impl Fn(&TopicId, &i32) -> bool) -> (DatedAssignment, DatedAssignment) {
    let (mut kept, mut left) = (DatedAssignment::new(), DatedAssignment::new());
    for (topic, partitions) in of {
        for (index, epoch) in partitions {
            let part = match is_kept(topic, index) {
                true => &mut kept,
                false => &mut left,
            };
            let of_topic: &mut BTreeMap<i32, i32> = part.entry(*topic).or_default();
            of_topic.insert(*index, *epoch);
        }
    }
    (kept, left)
}

/// Whether the member may still have any of these: one that says nothing may have all.
fn owns_any(owned: Option<&Assignment>, of: &DatedAssignment) -> bool {
    let Some(owned) = owned else {
        return !of.is_empty();
    };
    let has = |topic: &TopicId, index: &i32| owned.get(topic).is_some_and(|owned| owned.contains(index));
    of.iter()
        .any(|(topic, partitions)| partitions.keys().any(|index| has(topic, index)))
}
