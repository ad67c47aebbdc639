//! The members of a classic group on their way to another kind of group, and back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{CONSUMER, Classic, Member, MemberId, State};
use crate::group::request::Protocol;
use crate::group::turn::Turn;
use crate::model::ErrorCode;
use crate::rt::Instant;

/// A member with all that it takes along.
#[derive(Clone, Debug)]
pub(in crate::group) struct Mover {
    pub(in crate::group) id: MemberId,
    pub(in crate::group) instance_id: Option<String>,
    pub(in crate::group) client_id: String,
    pub(in crate::group) client_host: String,
    pub(in crate::group) rebalance_timeout: Duration,
    pub(in crate::group) session_timeout: Duration,
    /// In the member's order of preference.
    pub(in crate::group) protocols: Vec<Protocol>,
    /// Of the protocol that the group has agreed on, or the member's own first one.
    pub(in crate::group) metadata: Bytes,
    pub(in crate::group) assignment: Bytes,
}

impl Classic {
    pub(in crate::group) fn movers(&self) -> Vec<Mover> {
        let protocol = self.protocol.as_deref();
        let mover = |id: &MemberId, member: &Member| Mover {
            id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout,
            session_timeout: member.session_timeout,
            protocols: member.protocols.clone(),
            metadata: match (protocol, member.protocols.first()) {
                (Some(protocol), _) => member.metadata(protocol),
                (None, Some(first)) => first.metadata.clone(),
                (None, None) => Bytes::new(),
            },
            assignment: member.assignment.clone(),
        };
        self.members.iter().map(|(id, member)| mover(id, member)).collect()
    }

    /// Who waits is to join again: the group is of another kind then.
    pub(in crate::group) fn send_away(&mut self, turn: &mut Turn<'_>) {
        self.end_phase(turn);
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in ids {
            if let Some(mut member) = self.detach(&id) {
                turn.forget_reminder(&self.id, &id, &mut member);
                self.refuse_waiting(&id, &mut member, ErrorCode::RebalanceInProgress, turn);
            }
        }
    }

    /// A group of these members, who have what their assignments say; the next thing that it does is to rebalance.
    pub(in crate::group) fn of_movers(
        id: Arc<str>,
        generation: i32,
        movers: Vec<Mover>,
        turn: &mut Turn<'_>,
    ) -> Classic {
        let mut group = Classic::new(id);
        group.protocol_type = Some(CONSUMER.to_owned());
        group.generation = generation;
        for mover in movers {
            group.joined += 1;
            let member = Member {
                instance_id: mover.instance_id,
                client_id: mover.client_id,
                client_host: mover.client_host,
                rebalance_timeout: mover.rebalance_timeout,
                session_timeout: mover.session_timeout,
                protocols: mover.protocols,
                assignment: mover.assignment,
                order: group.joined,
                is_new: false,
                joining: None,
                syncing: None,
                deadline: Instant(0),
                reminder: None,
            };
            group.insert(mover.id.clone(), member);
            group.hear_of(&mover.id, turn);
        }
        group.protocol = group.elect_protocol();
        group.enter(State::Stable, turn);
        group.compute_topics();
        turn.effects.write(group.entry());
        let leader = group.leader.clone().unwrap_or_else(|| "".into());
        group.rebalance(&leader, "the last member of the consumer protocol is gone", turn);
        group
    }
}
