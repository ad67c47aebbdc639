//! SyncGroup and Heartbeat (behaviours 50, 51).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Classic, MemberId, PhaseKind, State};
use crate::group::request::{GroupReply, Sender, Sync, SyncReply};
use crate::group::turn::Turn;
use crate::model::{ErrorCode, Ticket};

impl Classic {
    pub(in crate::group) fn sync(&mut self, sync: Sync, ticket: Ticket, turn: &mut Turn<'_>) {
        if let Err(error) = self.try_sync(sync, ticket, turn) {
            turn.reply(ticket, GroupReply::Synced(SyncReply::refused(error)));
        }
    }

    fn try_sync(&mut self, sync: Sync, ticket: Ticket, turn: &mut Turn<'_>) -> Result<(), ErrorCode> {
        self.check_generation(&sync.sender)?;
        let differs = |asked: &Option<String>, own: &Option<String>| asked.is_some() && asked != own;
        if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol, &self.protocol) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let id: MemberId = sync.sender.member_id.as_str().into();
        match self.state {
            State::Empty => Err(ErrorCode::UnknownMemberId),
            State::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::CompletingRebalance => {
                self.await_sync(&id, ticket, turn);
                match self.is_leader(&id) {
                    true => self.assign(sync.assignments, turn),
                    false => Ok(()),
                }
            }
            State::Stable => {
                self.note_synced(&id, turn);
                let reply = self.synced_reply(&id);
                turn.reply(ticket, GroupReply::Synced(reply));
                self.hear_of(&id, turn);
                Ok(())
            }
        }
    }

    fn await_sync(&mut self, id: &MemberId, ticket: Ticket, turn: &mut Turn<'_>) {
        self.note_synced(id, turn);
        let old = self
            .members
            .get_mut(id)
            .and_then(|member| member.syncing.replace(ticket));
        if let Some(old) = old {
            let reply = SyncReply::refused(ErrorCode::RebalanceInProgress);
            turn.reply(old, GroupReply::Synced(reply));
        }
    }

    fn note_synced(&mut self, id: &MemberId, turn: &mut Turn<'_>) {
        self.unsynced.remove(id);
        let awaits_syncs = self.phase.is_some_and(|phase| matches!(phase.kind, PhaseKind::Syncs));
        if self.unsynced.is_empty() && awaits_syncs {
            self.end_phase(turn);
        }
    }

    /// The leader's assignment: a member that it leaves out gets an empty one. Nobody learns of one that is too large to
    /// be kept.
    fn assign(&mut self, mut assignments: BTreeMap<String, Bytes>, turn: &mut Turn<'_>) -> Result<(), ErrorCode> {
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(&**id).unwrap_or_default();
        }
        let entry = self.entry();
        if entry
            .value
            .as_ref()
            .is_some_and(|value| value.len() > turn.config.record_bytes_max)
        {
            let leader = self.leader.clone().unwrap_or_else(|| "".into());
            self.refuse_syncs(ErrorCode::UnknownServerError, turn);
            self.rebalance(&leader, "the assignment is larger than a record may be", turn);
            return Ok(());
        }
        self.enter(State::Stable, turn);
        turn.effects.write(self.entry());
        let (members, generation) = (self.members.len(), self.generation);
        tracing::info!(group = %self.id, generation, members, "group is stable");
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in ids {
            let reply = self.synced_reply(&id);
            let waiting = self.members.get_mut(&id).and_then(|member| member.syncing.take());
            if let Some(ticket) = waiting {
                turn.reply(ticket, GroupReply::Synced(reply));
                self.hear_of(&id, turn);
            }
        }
        Ok(())
    }

    fn synced_reply(&self, id: &MemberId) -> SyncReply {
        SyncReply {
            error: ErrorCode::None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self
                .members
                .get(id)
                .map(|member| member.assignment.clone())
                .unwrap_or_default(),
        }
    }

    pub(in crate::group) fn heartbeat(&mut self, sender: &Sender, turn: &mut Turn<'_>) -> ErrorCode {
        if let Err(error) = self.check_generation(sender) {
            return error;
        }
        self.hear_of(&sender.member_id, turn);
        match self.state {
            State::Empty => ErrorCode::UnknownMemberId,
            State::PreparingRebalance => ErrorCode::RebalanceInProgress,
            State::CompletingRebalance | State::Stable => ErrorCode::None,
        }
    }
}
