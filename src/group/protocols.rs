//! Requests of the consumer protocol on their way to a group, and what makes a group one of that protocol.

use std::sync::Arc;

use super::assignor::Assignor;
use super::classic::{Classic, group_tombstone};
use super::consumer::Consumer;
use super::coordinator::{GroupCoordinator, NAME_BYTES_MAX};
use super::one::{Group, Kind};
use super::request::*;
use super::turn::Turn;
use crate::model::{Effects, ErrorCode};
use crate::rt::Now;

impl GroupCoordinator {
    //= behaviour 58
    pub(super) fn consumer_heartbeat(
        &mut self,
        heartbeat: &ConsumerHeartbeat,
        effects: &mut Effects<GroupReply>,
        now: Now,
    ) -> Result<ConsumerHeard, Refused> {
        check_form(heartbeat)?;
        self.check_assignor(heartbeat)?;
        let id = self.group_of_consumers(heartbeat, effects, now)?;
        let beat = |group: &mut Group, turn: &mut Turn<'_>| match &mut group.kind {
            Kind::Consumer(consumer) if heartbeat.sender.epoch < 0 => consumer.leave(&heartbeat.sender, turn),
            Kind::Consumer(consumer) => consumer.heartbeat(heartbeat, turn),
            Kind::Classic(_) | Kind::Share(_) => Err(no_such_group(&group.id)),
        };
        let heard = self.with_group(&id, effects, now, beat);
        self.with_group(&id, effects, now, Group::go_classic_if_all_are);
        if let Some(group) = self.groups.get_mut(&id) {
            group.reset_if_unknown();
        }
        self.drop_if_blank(&id);
        heard.unwrap_or_else(|| Err(no_such_group(&id)))
    }

    /// A consumer group that nobody is in becomes a classic one for who joins it as that.
    pub(super) fn go_classic_if_empty(&mut self, id: &str, effects: &mut Effects<GroupReply>) {
        let Some(group) = self.groups.get_mut(id) else { return };
        if matches!(&group.kind, Kind::Consumer(consumer) if consumer.is_empty()) {
            group.tombstones(&mut effects.entries);
            group.kind = Kind::Classic(Classic::new(group.id.clone()));
        }
    }

    fn check_assignor(&self, heartbeat: &ConsumerHeartbeat) -> Result<(), Refused> {
        let offered = &self.config.consumer.assignors;
        match &heartbeat.assignor {
            Some(name) if Assignor::named(name).is_none() || !offered.contains(name) => Err(Refused::new(
                ErrorCode::UnsupportedAssignor,
                format!("There is no assignor {name} here, but {}", offered.join(", ")),
            )),
            _ => Ok(()),
        }
    }

    /// The group, made for a member that joins, be it of a classic group.
    fn group_of_consumers(
        &mut self,
        heartbeat: &ConsumerHeartbeat,
        effects: &mut Effects<GroupReply>,
        now: Now,
    ) -> Result<Arc<str>, Refused> {
        let joins = heartbeat.sender.epoch == 0;
        match self.groups.get(heartbeat.group.as_str()).map(|group| &group.kind) {
            Some(Kind::Consumer(_)) => {}
            Some(Kind::Share(_)) => return Err(no_such_group(&heartbeat.group)),
            Some(Kind::Classic(_)) if !joins => return Err(no_such_group(&heartbeat.group)),
            None if !joins => return Err(no_such_group(&heartbeat.group)),
            Some(Kind::Classic(_)) | None => {}
        }
        let id = self.group_or_new(&heartbeat.group).id.clone();
        let is_one = self.with_group(&id, effects, now, Group::go_consumer);
        match is_one {
            Some(true) => Ok(id),
            _ => Err(no_such_group(&id)),
        }
    }
}

impl Group {
    /// True: it is a group of the consumer protocol now. A classic group with members becomes one if all of them are
    /// consumers; what they have they keep.
    fn go_consumer(&mut self, turn: &mut Turn<'_>) -> bool {
        let Kind::Classic(classic) = &mut self.kind else {
            return matches!(self.kind, Kind::Consumer(_));
        };
        let mut consumer = Consumer::new(self.id.clone());
        let is_known = !classic.is_blank();
        let tombstone = group_tombstone(&self.id);
        if classic.is_empty() {
            if is_known {
                turn.effects.write(tombstone);
            }
        } else {
            let settings = &turn.config.consumer;
            let movers = classic.movers();
            if !settings.upgrades || !classic.is_consumer() || movers.len() > settings.size_max {
                return false;
            }
            let written = turn.effects.entries.len();
            turn.effects.write(tombstone);
            if consumer.of_movers(classic.generation, movers, turn).is_none() {
                turn.effects.entries.truncate(written);
                return false;
            }
            classic.send_away(turn);
            tracing::info!(group = %self.id, "group goes over to the consumer protocol");
        }
        self.kind = Kind::Consumer(consumer);
        true
    }

    /// A consumer group in which everybody speaks the classic protocol goes back to that.
    pub(super) fn go_classic_if_all_are(&mut self, turn: &mut Turn<'_>) {
        let Kind::Consumer(consumer) = &self.kind else { return };
        let Some(movers) = consumer.movers(turn) else { return };
        tracing::info!(group = %self.id, "group goes back to the classic protocol");
        for entry in consumer.tombstones() {
            turn.effects.write(entry);
        }
        consumer.forget_times(turn);
        let generation = consumer.generation();
        self.kind = Kind::Classic(Classic::of_movers(self.id.clone(), generation, movers, turn));
    }
}

/// What is wrong with a heartbeat whatever the group. //= Kafka: throwIfConsumerGroupHeartbeatRequestIsInvalid
fn check_form(heartbeat: &ConsumerHeartbeat) -> Result<(), Refused> {
    let Sender {
        member_id,
        instance_id,
        epoch,
    } = &heartbeat.sender;
    let is_empty = |text: &Option<String>| text.as_ref().is_some_and(String::is_empty);
    let reads_nothing = heartbeat.topics.as_ref().is_none_or(|topics| topics.is_empty())
        && heartbeat.regex.as_ref().is_none_or(String::is_empty);
    let wrong = match epoch {
        _ if heartbeat.group.is_empty() => "GroupId must not be empty",
        _ if is_empty(instance_id) => "InstanceId must not be empty",
        _ if is_empty(&heartbeat.rack_id) => "RackId must not be empty",
        _ if heartbeat.longest_name() > NAME_BYTES_MAX => "A name is too long",
        ..-2 => "MemberEpoch is none that a member can have",
        -2 if instance_id.is_none() => "InstanceId must be set by one that leaves for a while",
        0 if heartbeat.member_id().is_empty() => "MemberId must be set",
        -2 | -1 | 1.. if member_id.is_empty() => "MemberId must be set",
        0 if heartbeat.rebalance_timeout_ms.is_none() => "RebalanceTimeoutMs must be set to join",
        0 if !heartbeat.owned.as_ref().is_some_and(|owned| owned.is_empty()) => "TopicPartitions must be empty to join",
        0 if reads_nothing => "SubscribedTopicNames or SubscribedTopicRegex must be set to join",
        _ => return Ok(()),
    };
    Err(Refused::new(ErrorCode::InvalidRequest, wrong))
}

fn no_such_group(id: &str) -> Refused {
    Refused::new(ErrorCode::GroupIdNotFound, format!("There is no consumer group {id}"))
}
