//! JoinGroup: who may join, as what, and whether that needs a rebalance (behaviours 47, 48, 49, 52).

use std::time::Duration;

use super::{Classic, Member, MemberId, State};
use crate::group::deadlines::Timer;
use crate::group::request::{GroupReply, Join, JoinReply, JoinedMember};
use crate::group::turn::Turn;
use crate::model::{ErrorCode, Ticket};

/// From this version on a new member is given its id first, and joins with it.
const KNOWN_MEMBER_ID_FROM: i16 = 4;
/// From this version on a leader can be told that nothing is to be assigned.
const SKIP_ASSIGNMENT_FROM: i16 = 9;
/// Ids that a group has given out and nobody has joined with yet. Each is kept for a session timeout of the client's
/// choice.
const PENDING_MAX: usize = 4_096;
/// A new member whose join waits longer than this has given up: a client that times out joins anew, under another id.
const NEW_MEMBER_TIMEOUT: Duration = Duration::from_secs(300);

impl Classic {
    pub(in crate::group) fn join(&mut self, join: Join, ticket: Ticket, turn: &mut Turn<'_>) {
        if let Err(error) = self.try_join(&join, ticket, turn) {
            let member_id = match error {
                ErrorCode::GroupMaxSizeReached => String::new(),
                _ => join.sender.member_id,
            };
            turn.reply(ticket, GroupReply::Joined(JoinReply::refused(error, member_id)));
        }
    }

    fn try_join(&mut self, join: &Join, ticket: Ticket, turn: &mut Turn<'_>) -> Result<(), ErrorCode> {
        let id = join.sender.member_id.as_str();
        if !self.has_room_for(id, turn.config.size_max) {
            self.forget_pending(id, turn);
            self.remove_member(id, turn);
            self.complete_if_all_joined(turn);
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        if !self.fits(&join.protocol_type, &join.protocols) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let instance = join.sender.instance_id.as_deref();
        match (id, instance) {
            ("", Some(instance)) => match self.instances.get(instance).cloned() {
                Some(known) => self.replace_static(&known, join, ticket, turn)?,
                None => self.add(join.fresh_member_id.as_str().into(), join, ticket, turn),
            },
            ("", None) if join.version >= KNOWN_MEMBER_ID_FROM => self.give_id(join, ticket, turn),
            ("", None) => self.add(join.fresh_member_id.as_str().into(), join, ticket, turn),
            _ if self.pending.contains_key(id) => self.add(id.into(), join, ticket, turn),
            _ => {
                self.check_member(id, instance)?;
                self.rejoin(&id.into(), join, ticket, turn)?;
            }
        }
        Ok(())
    }

    /// While a rebalance gathers its members only those that have joined count: the last to rejoin are kept out.
    fn has_room_for(&self, id: &str, size_max: usize) -> bool {
        if id.is_empty() && self.pending.len() >= PENDING_MAX {
            return false;
        }
        let member = self.members.get(id);
        match self.state {
            State::Empty => true,
            State::PreparingRebalance if self.members.len() < size_max => true,
            State::PreparingRebalance => {
                member.is_some_and(|member| member.joining.is_some()) || self.joining_count() < size_max
            }
            State::CompletingRebalance | State::Stable => member.is_some() || self.members.len() < size_max,
        }
    }

    fn give_id(&mut self, join: &Join, ticket: Ticket, turn: &mut Turn<'_>) {
        let id: MemberId = join.fresh_member_id.as_str().into();
        let deadline = turn.now.instant.after(join.session_timeout);
        self.pending.insert(id.clone(), deadline);
        turn.deadlines.add(deadline, Timer::Member(self.id.clone(), id));
        let reply = JoinReply::refused(ErrorCode::MemberIdRequired, join.fresh_member_id.clone());
        turn.reply(ticket, GroupReply::Joined(reply));
    }

    /// True: the id was one that nobody had joined with.
    pub(super) fn forget_pending(&mut self, id: &str, turn: &mut Turn<'_>) -> bool {
        let Some((id, deadline)) = self.pending.remove_entry(id) else {
            return false;
        };
        turn.deadlines.remove(deadline, Timer::Member(self.id.clone(), id));
        true
    }

    fn add(&mut self, id: MemberId, join: &Join, ticket: Ticket, turn: &mut Turn<'_>) {
        self.forget_pending(&id, turn);
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
        }
        self.joined += 1;
        let mut member = Member {
            instance_id: join.sender.instance_id.clone(),
            client_id: join.client_id.clone(),
            client_host: join.client_host.clone(),
            rebalance_timeout: join.rebalance_timeout,
            session_timeout: join.session_timeout,
            protocols: join.protocols.clone(),
            assignment: Default::default(),
            order: self.joined,
            is_new: true,
            joining: Some(ticket),
            syncing: None,
            deadline: turn.now.instant,
            reminder: None,
        };
        let deadline = turn.now.instant.after(NEW_MEMBER_TIMEOUT);
        turn.expire_member_at(&self.id, &id, &mut member, deadline);
        self.has_new_member = true;
        self.insert(id.clone(), member);
        self.rebalance_or_complete(&id, &format!("a member joins{}", join.because()), turn);
    }

    /// A member that the group knows.
    fn rejoin(&mut self, id: &MemberId, join: &Join, ticket: Ticket, turn: &mut Turn<'_>) -> Result<(), ErrorCode> {
        let is_same = self
            .members
            .get(id)
            .is_some_and(|member| member.protocols == join.protocols);
        let reason = match self.state {
            // Let it reset its generation.
            State::Empty => return Err(ErrorCode::UnknownMemberId),
            State::PreparingRebalance => "a member rejoins",
            // It has not got the answer to its first join, or it is a follower without news.
            State::CompletingRebalance if is_same => {
                self.answer_as_it_is(id, ticket, turn);
                return Ok(());
            }
            State::Stable if is_same && !self.is_leader(id) => {
                self.answer_as_it_is(id, ticket, turn);
                return Ok(());
            }
            State::Stable if is_same => "the leader rejoins",
            State::CompletingRebalance | State::Stable => "a member rejoins with other metadata",
        };
        self.update(id, join, ticket, turn);
        self.rebalance_or_complete(id, &format!("{reason}{}", join.because()), turn);
        Ok(())
    }

    fn answer_as_it_is(&mut self, id: &MemberId, ticket: Ticket, turn: &mut Turn<'_>) {
        let reply = self.joined_reply(id, self.state == State::CompletingRebalance && self.is_leader(id));
        turn.reply(ticket, GroupReply::Joined(reply));
        self.hear_of(id, turn);
    }

    /// Takes over what the member says of itself now. A request of it that still waits has lost its client.
    fn update(&mut self, id: &MemberId, join: &Join, ticket: Ticket, turn: &mut Turn<'_>) {
        let Some(mut member) = self.detach(id) else { return };
        if let Some(old) = member.joining.replace(ticket) {
            let reply = JoinReply::refused(ErrorCode::RebalanceInProgress, id.to_string());
            turn.reply(old, GroupReply::Joined(reply));
        }
        member.client_id.clone_from(&join.client_id);
        member.client_host.clone_from(&join.client_host);
        member.protocols.clone_from(&join.protocols);
        member.rebalance_timeout = join.rebalance_timeout;
        member.session_timeout = join.session_timeout;
        self.insert(id.clone(), member);
    }

    //= behaviour 52: the new member takes the place and the assignment of the old one, which is fenced
    /// One for whom the group's record would become too large does not get it.
    fn replace_static(
        &mut self,
        old: &MemberId,
        join: &Join,
        ticket: Ticket,
        turn: &mut Turn<'_>,
    ) -> Result<(), ErrorCode> {
        if self.state == State::Stable && self.entry_bytes_with(old, join) > turn.config.record_bytes_max {
            return Err(ErrorCode::UnknownServerError);
        }
        let id: MemberId = join.fresh_member_id.as_str().into();
        let led_by = self.leader.clone();
        self.rename(old, &id, turn);
        self.hear_of(&id, turn);
        self.update(&id, join, ticket, turn);
        match self.state {
            State::Stable if self.elect_protocol() == self.protocol => self.keep_assignment(&id, led_by, join, turn),
            State::Stable => self.rebalance(&id, "a static member rejoins and another protocol is elected", turn),
            // The leader may have been told of the old one already.
            State::CompletingRebalance => self.rebalance(&id, "a static member rejoins before its assignment", turn),
            State::PreparingRebalance | State::Empty => self.complete_if_all_joined(turn),
        }
        Ok(())
    }

    /// What the group's record would take if the member were in the place of `old`.
    fn entry_bytes_with(&self, old: &MemberId, join: &Join) -> usize {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let supported = join.protocols.iter().find(|supported| supported.name == protocol);
        let metadata_bytes = supported.map_or(0, |supported| supported.metadata.len());
        let coming = join.fresh_member_id.len() + join.client_id.len() + join.client_host.len() + metadata_bytes;
        let going = self.members.get(old).map_or(0, |member| {
            old.len() + member.client_id.len() + member.client_host.len() + member.metadata(protocol).len()
        });
        let whole = self.entry().value.map_or(0, |value| value.len());
        (whole + coming).saturating_sub(going)
    }

    /// A static member is back and nothing changes for the others.
    fn keep_assignment(&mut self, id: &MemberId, led_by: Option<MemberId>, join: &Join, turn: &mut Turn<'_>) {
        self.compute_topics();
        let entry = self.entry();
        turn.effects.write(entry);
        let is_leader = self.is_leader(id);
        let mut reply = self.joined_reply(id, false);
        match join.version {
            SKIP_ASSIGNMENT_FROM.. => {
                reply = self.joined_reply(id, is_leader);
                reply.skip_assignment = is_leader;
            }
            // It must not take itself for the leader, or it would assign.
            _ => reply.leader = led_by.map(|leader| leader.to_string()).unwrap_or_default(),
        }
        if let Some(ticket) = self.members.get_mut(id).and_then(|member| member.joining.take()) {
            turn.reply(ticket, GroupReply::Joined(reply));
        }
    }

    /// The member under its new id; requests of the old one are answered.
    fn rename(&mut self, old: &MemberId, new: &MemberId, turn: &mut Turn<'_>) {
        let Some(mut member) = self.detach(old) else { return };
        self.refuse_waiting(old, &mut member, ErrorCode::FencedInstanceId, turn);
        turn.forget_reminder(&self.id, old, &mut member);
        if self.unsynced.remove(old) {
            self.unsynced.insert(new.clone());
        }
        if self.is_leader(old) {
            self.leader = Some(new.clone());
        }
        self.insert(new.clone(), member);
    }

    /// Puts a member in; the first one leads.
    pub(super) fn insert(&mut self, id: MemberId, member: Member) {
        for protocol in &member.protocols {
            *self.supported.entry(protocol.name.clone()).or_default() += 1;
        }
        if let Some(instance) = &member.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(id.clone());
        }
        self.members.insert(id, Box::new(member));
    }

    /// Takes a member out of the books, not of its office.
    pub(super) fn detach(&mut self, id: &str) -> Option<Member> {
        let member = *self.members.remove(id)?;
        for protocol in &member.protocols {
            if let Some(count) = self.supported.get_mut(&protocol.name) {
                *count -= 1;
                if *count == 0 {
                    self.supported.remove(&protocol.name);
                }
            }
        }
        if let Some(instance) = &member.instance_id {
            self.instances.remove(instance);
        }
        Some(member)
    }

    /// The answer to a join into the current generation. Only the leader is told of the members.
    pub(super) fn joined_reply(&self, id: &MemberId, with_members: bool) -> JoinReply {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let joined = |id: &MemberId, member: &Member| JoinedMember {
            member_id: id.to_string(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        };
        JoinReply {
            error: ErrorCode::None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.as_deref().unwrap_or_default().to_owned(),
            skip_assignment: false,
            member_id: id.to_string(),
            members: match with_members {
                true => self.members.iter().map(|(id, member)| joined(id, member)).collect(),
                false => Vec::new(),
            },
        }
    }
}

impl Join {
    /// The client's own reason, behind ours.
    fn because(&self) -> String {
        match self.reason.as_deref() {
            None | Some("") => String::new(),
            Some(reason) => format!(": {reason}"),
        }
    }
}
