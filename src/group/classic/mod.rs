//! Classic groups: the members agree on a protocol, the first of them assigns the partitions, the coordinator passes
//! the assignment on.
//!
//! ```text
//!             first join                  all joined, or time over              the leader's sync
//!   Empty ───────────────► PreparingRebalance ───────────────► CompletingRebalance ───────────────► Stable
//!     ▲                      │           ▲                              │                              │
//!     └── nobody joined ─────┘           └── join, leave, death, other metadata, sync time over ───────┘
//! ```
//!
//! Invariants: a generation is used once and grows; whoever joins or syncs is answered, if only with an error; only a
//! member of the current generation commits.

mod join;
mod leave;
mod member;
mod migrate;
mod persist;
mod rebalance;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(super) use member::{Member, MemberId};
pub(super) use migrate::Mover;
pub(super) use persist::group_tombstone;

use super::record::OffsetValue;
use super::request::{Protocol, Sender};
use super::turn::Turn;
use crate::model::{ErrorCode, Ticket};
use crate::rt::Instant;

/// The protocol type of consumers: their metadata says which topics they read.
pub(super) const CONSUMER: &str = "consumer";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

/// What the group waits for, and until when.
#[derive(Clone, Copy, Debug)]
struct Phase {
    deadline: Instant,
    kind: PhaseKind,
}

#[derive(Clone, Copy, Debug)]
enum PhaseKind {
    /// More members of a group that was empty; and for how much longer at most.
    FirstJoins { left: Duration },
    /// The members of the last generation.
    Joins,
    /// The members of this generation that have not synced.
    Syncs,
}

#[derive(Debug)]
pub(super) struct Classic {
    pub(super) id: Arc<str>,
    pub(super) state: State,
    /// Since when, by the wall clock; -1: not recorded.
    pub(super) state_ms: i64,
    /// None: nobody ever joined, the offsets are a simple consumer's.
    pub(super) protocol_type: Option<String>,
    /// What the members agreed on.
    pub(super) protocol: Option<String>,
    pub(super) generation: i32,
    pub(super) leader: Option<MemberId>,
    /// In boxes: a map keeps room for ten more than it holds.
    pub(super) members: BTreeMap<MemberId, Box<Member>>,
    /// Static members, by their instance ids.
    instances: BTreeMap<String, MemberId>,
    /// Ids that were given out, to be joined with until then.
    pending: BTreeMap<MemberId, Instant>,
    /// Members of this generation that have not synced.
    unsynced: BTreeSet<MemberId>,
    /// How many members support each protocol.
    supported: BTreeMap<String, usize>,
    /// What the members read, in order; None: unknown.
    topics: Option<Box<[String]>>,
    phase: Option<Phase>,
    /// Somebody joined since the last look at the first joins.
    has_new_member: bool,
    joined: u64,
}

impl Classic {
    pub(super) fn new(id: Arc<str>) -> Classic {
        Classic {
            id,
            state: State::Empty,
            state_ms: -1,
            protocol_type: None,
            protocol: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending: BTreeMap::new(),
            unsynced: BTreeSet::new(),
            supported: BTreeMap::new(),
            topics: None,
            phase: None,
            has_new_member: false,
            joined: 0,
        }
    }

    /// Nobody is in it or about to be, and nothing of it is in the log.
    pub(super) fn is_blank(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty() && self.protocol_type.is_none()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    /// Ids were given out that somebody may yet join with.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn is_consumer(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.topics {
            Some(topics) => topics.binary_search_by(|known| known.as_str().cmp(topic)).is_ok(),
            None => self.is_consumer(),
        }
    }

    fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    fn enter(&mut self, state: State, turn: &Turn<'_>) {
        self.state = state;
        self.state_ms = turn.now.wall_ms;
    }

    /// The longest time that a member may take to rejoin.
    fn rebalance_timeout(&self) -> Duration {
        let timeouts = self.members.values().map(|member| member.rebalance_timeout);
        timeouts.max().unwrap_or_default()
    }

    fn joining_count(&self) -> usize {
        self.members.values().filter(|member| member.joining.is_some()).count()
    }

    fn has_all_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(|member| member.joining.is_some())
    }

    /// Whether one with these protocols fits the others.
    fn fits(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let by_all = |protocol: &Protocol| self.supported.get(&protocol.name) == Some(&self.members.len());
        self.protocol_type.as_deref() == Some(protocol_type) && protocols.iter().any(by_all)
    }

    //= behaviour 49: each member votes for the first of its protocols that all support; a tie is the leader's choice
    fn elect_protocol(&self) -> Option<String> {
        let by_all = |protocol: &&Protocol| self.supported.get(&protocol.name) == Some(&self.members.len());
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some(vote) = member.protocols.iter().find(by_all) {
                *votes.entry(&vote.name).or_default() += 1;
            }
        }
        let most = votes.values().max()?;
        let is_elected = |name: &str| votes.get(name) == Some(most);
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        let preferred = leader.and_then(|leader| leader.protocols.iter().find(|protocol| is_elected(&protocol.name)));
        let elected = preferred.map(|protocol| protocol.name.as_str());
        elected
            .or_else(|| votes.keys().copied().find(|name| is_elected(name)))
            .map(str::to_owned)
    }

    /// Whether the sender is a member, and the one that it says it is.
    fn check_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance_id {
            match self.instances.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(known) if **known != *member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        match self.members.contains_key(member_id) {
            true => Ok(()),
            false => Err(ErrorCode::UnknownMemberId),
        }
    }

    /// Whether the sender is a member of the current generation.
    fn check_generation(&self, sender: &Sender) -> Result<(), ErrorCode> {
        self.check_member(&sender.member_id, sender.instance_id.as_deref())?;
        match sender.epoch == self.generation {
            true => Ok(()),
            false => Err(ErrorCode::IllegalGeneration),
        }
    }

    //= behaviour 53
    /// Producers of old versions do not say for which member they commit; and what a rebalance takes from a member is
    /// fenced by its transaction's end.
    pub(super) fn check_commit(
        &mut self,
        sender: &Sender,
        transactional: bool,
        turn: &mut Turn<'_>,
    ) -> Result<(), ErrorCode> {
        if sender.epoch < 0 && self.is_empty() {
            return Ok(());
        }
        if sender.epoch < 0 && sender.member_id.is_empty() && sender.instance_id.is_none() {
            return match transactional {
                true => Ok(()),
                false => Err(ErrorCode::UnknownMemberId),
            };
        }
        self.check_generation(sender)?;
        if !transactional && self.state == State::CompletingRebalance {
            return Err(ErrorCode::RebalanceInProgress);
        }
        self.hear_of(&sender.member_id, turn);
        Ok(())
    }

    //= behaviour 55: from the time that the group became empty; of a simple consumer's, from the commit
    pub(super) fn retention_base_ms(&self, value: &OffsetValue) -> Option<i64> {
        match (&self.protocol_type, self.state) {
            (None, _) => Some(value.commit_ms),
            (Some(_), State::Empty) if self.state_ms >= 0 => Some(self.state_ms.max(value.commit_ms)),
            (Some(_), State::Empty) => Some(value.commit_ms),
            (Some(_), State::Stable) if self.is_consumer() && self.topics.is_some() => Some(value.commit_ms),
            _ => None,
        }
    }

    /// The member is alive.
    fn hear_of(&mut self, member: &str, turn: &mut Turn<'_>) {
        let Some(id) = self.members.get_key_value(member).map(|(id, _)| id.clone()) else {
            return;
        };
        if let Some(member) = self.members.get_mut(&id) {
            let deadline = turn.now.instant.after(member.session_timeout);
            turn.expire_member_at(&self.id, &id, member, deadline);
        }
    }

    /// Everyone who waits for this group.
    pub(super) fn take_waiting(&mut self) -> Vec<Ticket> {
        let members = self.members.values_mut();
        members
            .flat_map(|member| [member.joining.take(), member.syncing.take()])
            .flatten()
            .collect()
    }
}
