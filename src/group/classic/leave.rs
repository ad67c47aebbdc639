//! LeaveGroup, and members that are not heard of any more.

use std::collections::BTreeSet;

use super::{Classic, MemberId, State};
use crate::group::deadlines::Timer;
use crate::group::request::{Leaver, Left};
use crate::group::turn::Turn;
use crate::model::ErrorCode;
use crate::rt::Instant;

impl Classic {
    pub(in crate::group) fn leave(&mut self, leavers: Vec<Leaver>, turn: &mut Turn<'_>) -> Vec<Left> {
        let mut gone = BTreeSet::new();
        let mut reasons = Vec::new();
        let mut was_pending = false;
        let left = leavers.into_iter().map(|leaver| {
            let error = match self.find_leaver(&leaver, turn) {
                Ok(Some(id)) => {
                    reasons.extend(leaver.reason.filter(|reason| !reason.is_empty()));
                    gone.insert(id);
                    ErrorCode::None
                }
                Ok(None) => {
                    was_pending = true;
                    ErrorCode::None
                }
                Err(error) => error,
            };
            Left {
                member_id: leaver.member_id,
                instance_id: leaver.instance_id,
                error,
            }
        });
        let left = left.collect();
        if let Some(cause) = gone.first().cloned() {
            let reason = match reasons.is_empty() {
                true => "members leave".to_owned(),
                false => format!("members leave: {}", reasons.join(", ")),
            };
            self.rebalance_without(&gone, &cause, &reason, turn);
        } else if was_pending {
            self.complete_if_all_joined(turn);
        }
        left
    }

    /// The member that leaves; None for one that had only been given its id. An administrator removes static members
    /// by their instance ids alone.
    fn find_leaver(&mut self, leaver: &Leaver, turn: &mut Turn<'_>) -> Result<Option<MemberId>, ErrorCode> {
        let id = leaver.member_id.as_str();
        let instance = leaver.instance_id.as_deref();
        if id.is_empty() {
            let member = instance.and_then(|instance| self.instances.get(instance));
            return member.cloned().map(Some).ok_or(ErrorCode::UnknownMemberId);
        }
        if self.forget_pending(id, turn) {
            return Ok(None);
        }
        self.check_member(id, instance)?;
        Ok(Some(id.into()))
    }

    /// A member, or one that was given an id, may be out of time.
    pub(in crate::group) fn on_member_time(&mut self, id: &MemberId, reminded: Instant, turn: &mut Turn<'_>) {
        if self
            .pending
            .get(id)
            .is_some_and(|deadline| *deadline <= turn.now.instant)
        {
            tracing::info!(group = %self.id, member = %id, "member has not joined under the id that it was given");
            self.pending.remove(id);
            return self.complete_if_all_joined(turn);
        }
        let Some(member) = self
            .members
            .get_mut(id)
            .filter(|member| member.reminder == Some(reminded))
        else {
            return;
        };
        member.reminder = None;
        if member.deadline > turn.now.instant {
            member.reminder = Some(member.deadline);
            let timer = Timer::Member(self.id.clone(), id.clone());
            turn.deadlines.add(member.deadline, timer);
        } else if member.can_expire() {
            self.rebalance_without(
                &[id.clone()].into(),
                id,
                "a member has not been heard of in its session time",
                turn,
            );
        }
    }

    /// A group that was loaded: its members are given the time of their sessions to be heard of.
    pub(in crate::group) fn on_loaded(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in &ids {
            self.hear_of(id, turn);
        }
        if self.state == State::Stable && self.members.len() > turn.config.size_max {
            let leader = self.leader.clone().unwrap_or_else(|| "".into());
            self.rebalance(&leader, "the group has more members than group.max.size allows", turn);
        }
    }
}
