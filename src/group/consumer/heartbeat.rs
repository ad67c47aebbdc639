//! ConsumerGroupHeartbeat: what a member says, and what it is told in turn (behaviour 58).

use super::Consumer;
use super::change::Change;
use super::member::Member;
use super::regex::RegexChange;
use crate::group::classic::MemberId;
use crate::group::record::{Assignment, ConsumerMemberValue, CurrentValue};
use crate::group::request::{ConsumerHeard, ConsumerHeartbeat, Refused};
use crate::group::turn::Turn;
use crate::model::ErrorCode;

impl Consumer {
    /// Refused before anything changes, or not at all.
    pub(in crate::group) fn heartbeat(
        &mut self,
        heartbeat: &ConsumerHeartbeat,
        turn: &mut Turn<'_>,
    ) -> Result<ConsumerHeard, Refused> {
        let id: MemberId = heartbeat.member_id().into();
        self.check_room(&id, turn)?;
        let replaced = self.admit(&id, heartbeat)?;
        let known = replaced.as_ref().unwrap_or(&id);
        let before = self.members.get(known).cloned().unwrap_or_default();
        let about = told(&before.about, heartbeat);
        if about != before.about {
            self.check_about(known, &about, turn)?;
        }
        if let Some(old) = replaced {
            self.replace(&old, &id, turn);
        }
        let is_new = !self.members.contains_key(&id);
        if is_new {
            tracing::info!(group = %self.id, member = %id, client_id = about.client_id, "member joins the consumer group");
        }
        if is_new || about != before.about {
            self.change(Change::Member(id.clone(), Some(about.clone())), turn);
        }
        let regex = self.on_regex_change(&before.about, &about, turn);
        let is_resubscribed = about.topics != before.about.topics || regex != RegexChange::None;
        let is_new_epoch = about.topics != before.about.topics || regex == RegexChange::Resolved;
        self.renew_epoch(is_new_epoch, turn);
        self.renew_targets(turn);
        self.reconcile(&id, heartbeat.owned.as_ref(), is_resubscribed, turn)?;
        self.on_heard(&id, turn);
        self.search_if_needed(turn);
        Ok(self.answer(&id, heartbeat, &before, turn))
    }

    pub(super) fn check_room(&self, id: &str, turn: &Turn<'_>) -> Result<(), Refused> {
        let size_max = turn.config.consumer.size_max;
        match self.members.len() >= size_max && !self.members.contains_key(id) {
            true => Err(Refused {
                error: ErrorCode::GroupMaxSizeReached,
                message: format!("The group has its {size_max} members"),
            }),
            false => Ok(()),
        }
    }

    /// Whether the sender may be who it says it is. Some: the member whose place it takes.
    fn admit(&self, id: &MemberId, heartbeat: &ConsumerHeartbeat) -> Result<Option<MemberId>, Refused> {
        let joins = heartbeat.sender.epoch == 0;
        let Some(instance_id) = heartbeat.sender.instance_id.as_deref() else {
            return match self.members.get(id) {
                Some(member) => check_epoch(member, heartbeat).map(|()| None),
                None if joins => Ok(None),
                None => Err(unknown(id)),
            };
        };
        let Some(owner) = self.instances.get(instance_id) else {
            return match joins {
                true => Ok(None),
                false => Err(unknown(instance_id)),
            };
        };
        let member = &self.members[owner];
        match joins {
            true if !member.is_away() && member.about.classic.is_none() => Err(Refused {
                error: ErrorCode::UnreleasedInstanceId,
                message: format!("Instance {instance_id} is member {owner}, which has not left"),
            }),
            true => Ok(Some(owner.clone())),
            false if owner != id => Err(fenced_instance(instance_id)),
            false => check_epoch(member, heartbeat).map(|()| None),
        }
    }

    fn check_about(&self, known: &str, about: &ConsumerMemberValue, turn: &Turn<'_>) -> Result<(), Refused> {
        let size = about.write().len();
        if size > turn.config.record_bytes_max {
            return Err(Refused {
                error: ErrorCode::InvalidRequest,
                message: format!("A subscription of {size} bytes is longer than a record may be"),
            });
        }
        match &about.regex {
            Some(regex) => self.check_regex(known, regex),
            None => Ok(()),
        }
    }

    /// A static member is back under another id: it has what it had.
    pub(super) fn replace(&mut self, old: &MemberId, id: &MemberId, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get(old).cloned() else {
            return;
        };
        tracing::info!(group = %self.id, member = %id, replaced = %old, "static member is back");
        let target = self.targets.get(old).cloned().unwrap_or_default();
        self.forget_member(old, turn);
        let current = CurrentValue {
            epoch: 0,
            previous_epoch: 0,
            ..member.current
        };
        self.change(Change::Member(id.clone(), Some(member.about)), turn);
        self.change(Change::Target(id.clone(), Some(target)), turn);
        self.change(Change::Current(id.clone(), Some(current)), turn);
    }

    /// The assignment is told when the member asks for all, or when it has changed.
    fn answer(&self, id: &MemberId, heartbeat: &ConsumerHeartbeat, before: &Member, turn: &Turn<'_>) -> ConsumerHeard {
        let nobody = Member::default();
        let member = self.members.get(id).unwrap_or(&nobody);
        let has_changed = member.current.assigned != before.current.assigned;
        let tells = heartbeat.sender.epoch == 0 || heartbeat.is_full() || has_changed;
        ConsumerHeard {
            member_id: Some(id.to_string()),
            epoch: member.current.epoch,
            heartbeat_interval: turn.catalog.consumer_settings(&self.id).heartbeat_interval,
            assignment: tells.then(|| member.assigned()),
        }
    }
}

/// What the member is after this heartbeat: what it leaves out is as before.
fn told(before: &ConsumerMemberValue, heartbeat: &ConsumerHeartbeat) -> ConsumerMemberValue {
    let topics = heartbeat.topics.as_ref();
    let regex = match &heartbeat.regex {
        Some(regex) => Some(regex.clone()).filter(|regex| !regex.is_empty()),
        None => before.regex.clone(),
    };
    ConsumerMemberValue {
        instance_id: heartbeat
            .sender
            .instance_id
            .clone()
            .or_else(|| before.instance_id.clone()),
        rack_id: heartbeat.rack_id.clone().or_else(|| before.rack_id.clone()),
        client_id: heartbeat.client_id.clone(),
        client_host: heartbeat.client_host.clone(),
        topics: topics.cloned().unwrap_or_else(|| before.topics.clone()),
        regex,
        rebalance_timeout_ms: heartbeat.rebalance_timeout_ms.unwrap_or(before.rebalance_timeout_ms),
        assignor: heartbeat.assignor.clone().or_else(|| before.assignor.clone()),
        classic: None,
    }
}

/// The answer to the last heartbeat may have been lost: then the member is one epoch behind, and has nothing that is not
/// its own.
fn check_epoch(member: &Member, heartbeat: &ConsumerHeartbeat) -> Result<(), Refused> {
    let (epoch, current) = (heartbeat.sender.epoch, &member.current);
    let may_have_missed = |owned: &Assignment| {
        owned.iter().all(|(topic, partitions)| {
            let assigned = current.assigned.get(topic);
            partitions
                .iter()
                .all(|index| assigned.is_some_and(|assigned| assigned.contains_key(index)))
        })
    };
    let is_behind = epoch < current.epoch && epoch == current.previous_epoch;
    match epoch == current.epoch || (is_behind && heartbeat.owned.as_ref().is_some_and(may_have_missed)) {
        true => Ok(()),
        false => Err(Refused {
            error: ErrorCode::FencedMemberEpoch,
            message: format!(
                "The member's epoch is {}, not {epoch}: it must give up all and join anew",
                current.epoch
            ),
        }),
    }
}

pub(super) fn unknown(name: &str) -> Refused {
    Refused {
        error: ErrorCode::UnknownMemberId,
        message: format!("{name} is not a member of the group"),
    }
}

pub(super) fn fenced_instance(instance_id: &str) -> Refused {
    Refused {
        error: ErrorCode::FencedInstanceId,
        message: format!("Instance {instance_id} is another member now"),
    }
}
