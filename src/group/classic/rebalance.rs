//! From one generation to the next (behaviours 48, 49, 50).

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::{CONSUMER, Classic, Member, MemberId, Phase, PhaseKind, State};
use crate::group::deadlines::Timer;
use crate::group::request::{GroupReply, JoinReply, SyncReply};
use crate::group::turn::Turn;
use crate::model::ErrorCode;
use crate::wire::primitives::{DecodeError, Reader};

/// The least wait for static members that are all absent: the rebalance timeout is the clients', and may be nothing.
const ABSENT_WAIT_MIN: Duration = Duration::from_secs(1);
/// Bytes of the shortest topic name in a subscription.
const TOPIC_BYTES_MIN: usize = 2;

impl Classic {
    /// The members have changed: a rebalance, or the end of the one that gathers its members.
    pub(super) fn rebalance_or_complete(&mut self, cause: &str, reason: &str, turn: &mut Turn<'_>) {
        match self.state {
            State::PreparingRebalance => self.complete_if_all_joined(turn),
            State::Empty | State::CompletingRebalance | State::Stable => self.rebalance(cause, reason, turn),
        }
    }

    /// `cause` is the id of the member that makes it necessary.
    pub(super) fn rebalance(&mut self, cause: &str, reason: &str, turn: &mut Turn<'_>) {
        self.log_rebalance(cause, reason);
        if self.state == State::CompletingRebalance {
            self.refuse_syncs(ErrorCode::RebalanceInProgress, turn);
        }
        let was_empty = self.state == State::Empty;
        self.enter(State::PreparingRebalance, turn);
        self.unsynced.clear();
        match was_empty {
            true => {
                let delay = turn.config.initial_rebalance_delay;
                let left = self.rebalance_timeout().saturating_sub(delay);
                self.has_new_member = false;
                self.set_phase(delay, PhaseKind::FirstJoins { left }, turn);
            }
            false => {
                self.set_phase(self.rebalance_timeout(), PhaseKind::Joins, turn);
                self.complete_if_all_joined(turn);
            }
        }
    }

    fn log_rebalance(&self, cause: &str, reason: &str) {
        let (group, generation, state) = (&self.id, self.generation, self.state.name());
        let member = self.members.get(cause);
        let client_id = member.map_or("", |member| &member.client_id);
        let client_host = member.map_or("", |member| &member.client_host);
        let instance_id = member
            .and_then(|member| member.instance_id.as_deref())
            .unwrap_or_default();
        tracing::info!(
            %group, generation, state, member = cause, instance_id, client_id, client_host, reason, "group rebalances"
        );
    }

    fn set_phase(&mut self, wait: Duration, kind: PhaseKind, turn: &mut Turn<'_>) {
        let deadline = turn.now.instant.after(wait);
        self.end_phase(turn);
        self.phase = Some(Phase { deadline, kind });
        turn.deadlines.add(deadline, Timer::Phase(self.id.clone()));
    }

    /// Its reminder goes with it: clients may change phases often and ask for long ones.
    pub(super) fn end_phase(&mut self, turn: &mut Turn<'_>) {
        if let Some(phase) = self.phase.take() {
            turn.deadlines.remove(phase.deadline, Timer::Phase(self.id.clone()));
        }
    }

    /// The first joins of an empty group wait for their time, whoever is there.
    pub(super) fn complete_if_all_joined(&mut self, turn: &mut Turn<'_>) {
        let gathers = matches!(
            self.phase,
            Some(Phase {
                kind: PhaseKind::Joins,
                ..
            })
        );
        if self.state == State::PreparingRebalance && gathers && self.has_all_joined() {
            self.complete_joins(turn);
        }
    }

    /// The time of a phase may be over.
    pub(in crate::group) fn on_phase(&mut self, turn: &mut Turn<'_>) {
        let Some(phase) = self.phase.filter(|phase| phase.deadline <= turn.now.instant) else {
            return;
        };
        match phase.kind {
            //= behaviour 48: every arrival extends the wait, up to the rebalance timeout
            PhaseKind::FirstJoins { left } if self.has_new_member && !left.is_zero() => {
                self.has_new_member = false;
                let delay = turn.config.initial_rebalance_delay.min(left);
                let left = left.saturating_sub(delay);
                self.set_phase(delay, PhaseKind::FirstJoins { left }, turn);
            }
            PhaseKind::FirstJoins { .. } | PhaseKind::Joins => self.complete_joins(turn),
            PhaseKind::Syncs => self.drop_unsynced(turn),
        }
    }

    /// The next generation is made of those that have joined, and of static members, which are expected back.
    fn complete_joins(&mut self, turn: &mut Turn<'_>) {
        self.end_phase(turn);
        let is_late = |member: &Member| member.joining.is_none() && member.instance_id.is_none();
        let late = self.members.iter().filter(|(_, member)| is_late(member));
        let late: Vec<MemberId> = late.map(|(id, _)| id.clone()).collect();
        for id in &late {
            tracing::info!(group = %self.id, member = %id, "member has not rejoined in time and is removed");
            self.remove_member(id, turn);
        }
        if !self.members.is_empty() && !self.elect_leader() {
            // Nobody but absent static members: until their sessions end.
            let wait = self.rebalance_timeout().max(ABSENT_WAIT_MIN);
            return self.set_phase(wait, PhaseKind::Joins, turn);
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        match self.members.is_empty() {
            true => self.become_empty(turn),
            false => self.await_assignment(turn),
        }
    }

    /// True: the leader is one that has joined.
    fn elect_leader(&mut self) -> bool {
        let has_joined = |id: &MemberId| self.members.get(id).is_some_and(|member| member.joining.is_some());
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let joined = self.members.iter().filter(|(_, member)| member.joining.is_some());
        let first = joined.min_by_key(|(_, member)| member.order).map(|(id, _)| id.clone());
        let is_elected = first.is_some();
        self.leader = first.or(self.leader.take());
        is_elected
    }

    fn become_empty(&mut self, turn: &mut Turn<'_>) {
        self.protocol = None;
        self.leader = None;
        self.enter(State::Empty, turn);
        self.compute_topics();
        tracing::info!(group = %self.id, generation = self.generation, "group is empty");
        let entry = self.entry();
        turn.effects.write(entry);
    }

    fn await_assignment(&mut self, turn: &mut Turn<'_>) {
        self.protocol = self.elect_protocol();
        self.enter(State::CompletingRebalance, turn);
        self.compute_topics();
        let (members, generation) = (self.members.len(), self.generation);
        tracing::info!(group = %self.id, generation, members, "group has joined and awaits its assignment");
        self.unsynced = self.members.keys().cloned().collect();
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in ids {
            let reply = self.joined_reply(&id, self.is_leader(&id));
            let Some(member) = self.members.get_mut(&id) else {
                continue;
            };
            member.is_new = false;
            if let Some(ticket) = member.joining.take() {
                turn.reply(ticket, GroupReply::Joined(reply));
            }
            self.hear_of(&id, turn);
        }
        self.set_phase(self.rebalance_timeout(), PhaseKind::Syncs, turn);
    }

    fn drop_unsynced(&mut self, turn: &mut Turn<'_>) {
        self.end_phase(turn);
        let unsynced = std::mem::take(&mut self.unsynced);
        let Some(cause) = unsynced.first() else { return };
        self.rebalance_without(&unsynced, &cause.clone(), "members have not synced in time", turn);
    }

    /// Removes members, and rebalances for that.
    pub(super) fn rebalance_without(
        &mut self,
        gone: &BTreeSet<MemberId>,
        cause: &str,
        reason: &str,
        turn: &mut Turn<'_>,
    ) {
        let is_gathering = self.state == State::PreparingRebalance;
        if !is_gathering {
            self.log_rebalance(cause, reason);
        }
        for id in gone {
            self.remove_member(id, turn);
        }
        match self.state {
            State::PreparingRebalance => self.complete_if_all_joined(turn),
            State::CompletingRebalance | State::Stable => self.regather(turn),
            State::Empty => {}
        }
    }

    /// As [`Classic::rebalance`], of which has been told already.
    fn regather(&mut self, turn: &mut Turn<'_>) {
        if self.state == State::CompletingRebalance {
            self.refuse_syncs(ErrorCode::RebalanceInProgress, turn);
        }
        self.enter(State::PreparingRebalance, turn);
        self.unsynced.clear();
        self.set_phase(self.rebalance_timeout(), PhaseKind::Joins, turn);
        self.complete_if_all_joined(turn);
    }

    pub(super) fn refuse_syncs(&mut self, error: ErrorCode, turn: &mut Turn<'_>) {
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in ids {
            let Some(member) = self.members.get_mut(&id) else {
                continue;
            };
            member.assignment = Bytes::new();
            if let Some(ticket) = member.syncing.take() {
                turn.reply(ticket, GroupReply::Synced(SyncReply::refused(error)));
                self.hear_of(&id, turn);
            }
        }
    }

    /// Removes the member from the group. Requests of it that wait are answered: it may come back as a new one.
    pub(super) fn remove_member(&mut self, id: &str, turn: &mut Turn<'_>) {
        self.unsynced.remove(id);
        let Some(mut member) = self.detach(id) else { return };
        turn.forget_reminder(&self.id, &id.into(), &mut member);
        self.refuse_waiting(id, &mut member, ErrorCode::UnknownMemberId, turn);
        if self.is_leader(id) {
            let first = self.members.iter().min_by_key(|(_, member)| member.order);
            self.leader = first.map(|(id, _)| id.clone());
        }
    }

    pub(super) fn refuse_waiting(&self, id: &str, member: &mut Member, error: ErrorCode, turn: &mut Turn<'_>) {
        if let Some(ticket) = member.joining.take() {
            let member_id = match error {
                ErrorCode::UnknownMemberId => String::new(),
                _ => id.to_owned(),
            };
            turn.reply(ticket, GroupReply::Joined(JoinReply::refused(error, member_id)));
        }
        if let Some(ticket) = member.syncing.take() {
            turn.reply(ticket, GroupReply::Synced(SyncReply::refused(error)));
        }
    }

    /// What the members read, as far as they are consumers and their metadata can be read.
    pub(super) fn compute_topics(&mut self) {
        self.topics = match (&self.protocol_type, &self.protocol) {
            (Some(_), _) if self.members.is_empty() => Some(Box::default()),
            (Some(kind), Some(protocol)) if kind == CONSUMER => {
                let of_member = |member: &Member| subscribed_topics(&member.metadata(protocol));
                let topics = self.members.values().map(|member| of_member(member));
                let topics: Result<Vec<_>, DecodeError> = topics.collect();
                let topics = topics.map(|topics| topics.into_iter().flatten().collect::<BTreeSet<_>>());
                topics.ok().map(|topics| topics.into_iter().collect())
            }
            _ => None,
        };
    }
}

/// //= the subscription of the consumer protocol, of any version: version i16, topics
fn subscribed_topics(metadata: &Bytes) -> Result<Vec<String>, DecodeError> {
    let mut reader = Reader::new(metadata, false);
    reader.i16()?;
    let topics = reader.array(TOPIC_BYTES_MIN, Reader::string)?;
    Ok(topics
        .iter()
        .map(|topic| String::from_utf8_lossy(topic).into_owned())
        .collect())
}
