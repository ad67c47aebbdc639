//! What is kept of share groups: the state of one partition of its topic, as its records say.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::record::{Epochs, Kept, NOWHERE, Stamp, StateKey};
use crate::model::{Effects, Entry, ErrorCode, Ticket, TopicId};
use crate::rt::Now;
use crate::wire::primitives::DecodeError;

/// A longer state is refused: a record of the log must fit in its batches, and what a group may hold at once does.
const STATE_BYTES_MAX: usize = 512 << 10;

#[derive(Debug, Default)]
pub struct ShareStates {
    kept: BTreeMap<StateKey, (Kept, Stamp)>,
}

#[derive(Clone, Debug)]
pub enum StateRequest {
    /// Begins anew under this state epoch, at this offset or where its leader decides ([`NOWHERE`]).
    Initialize(StateKey, i32, i64),
    /// The partition's leader, of this epoch, reads what it goes on from: those before it may not write any more.
    Read(StateKey, i32),
    /// All of it, in place of what there was; [`NOWHERE`] leaves the start where it is.
    Write(StateKey, Kept),
    Delete(StateKey),
    /// All that is kept here of one group.
    List(Arc<str>),
}

/// FENCED_LEADER_EPOCH and FENCED_STATE_EPOCH: of a leader or a state that others have followed. INVALID_REQUEST: nothing is
/// kept that could be written to, or batches that do not lie behind each other. MESSAGE_TOO_LARGE. //= KIP-932
pub type StateAnswer = Result<StateReply, ErrorCode>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateReply {
    Read(Kept),
    Done,
    Listed(Vec<(StateKey, Kept)>),
}

impl StateRequest {
    pub fn only_asks(&self) -> bool {
        matches!(self, StateRequest::List(_))
    }
}

impl ShareStates {
    /// Takes in a record of the log.
    pub fn replay(&mut self, key: &Bytes, value: Option<&Bytes>) {
        if let Err(error) = self.replay_one(key, value) {
            tracing::warn!(%error, "record of share groups' state is left out");
        }
    }

    fn replay_one(&mut self, key: &Bytes, value: Option<&Bytes>) -> Result<(), DecodeError> {
        let Some(key) = StateKey::read(key)? else {
            return Ok(());
        };
        match value {
            Some(value) => self.kept.insert(key, Kept::read(value)?),
            None => self.kept.remove(&key),
        };
        Ok(())
    }

    pub fn handle(&mut self, ticket: Ticket, request: StateRequest, now: Now) -> Effects<StateAnswer> {
        let mut effects = Effects::default();
        let answer = match request {
            StateRequest::Initialize(key, epoch, start) => self.initialize(key, epoch, start, now, &mut effects),
            StateRequest::Read(key, leader) => self.read(key, leader, now, &mut effects),
            StateRequest::Write(key, kept) => self.write(key, kept, now, &mut effects),
            StateRequest::Delete(key) => {
                if self.kept.remove(&key).is_some() {
                    effects.write(tombstone(&key));
                }
                Ok(StateReply::Done)
            }
            StateRequest::List(group) => Ok(StateReply::Listed(self.of_group(&group))),
        };
        effects.reply(ticket, answer);
        effects
    }

    /// What was kept of these topics means nothing any more.
    pub fn on_topics_deleted(&mut self, is_gone: impl Fn(TopicId) -> bool) -> Effects<StateAnswer> {
        let mut effects = Effects::default();
        self.kept.retain(|key, _| {
            let gone = is_gone(key.topic);
            if gone {
                effects.write(tombstone(key));
            }
            !gone
        });
        effects
    }

    /// The fence against deposed leaders stays. What comes a second time, because its answer was lost, changes nothing:
    /// who sets it anew raises the epoch, but for the largest one. Another start may be somebody else's.
    fn initialize(
        &mut self,
        key: StateKey,
        state_epoch: i32,
        start: i64,
        now: Now,
        effects: &mut Effects<StateAnswer>,
    ) -> StateAnswer {
        let before = self.epochs(&key).unwrap_or_default();
        let epochs = Epochs {
            state: state_epoch,
            leader: before.leader,
        };
        before.admit(epochs)?;
        let is_repeated = before.state == state_epoch && self.start(&key) == Some(start);
        if is_repeated && (1..i32::MAX).contains(&state_epoch) {
            return Ok(StateReply::Done);
        }
        effects.write(self.keep(key, Kept::beginning(epochs, start.max(NOWHERE)), now)?);
        Ok(StateReply::Done)
    }

    /// What nobody has read before is kept from now on, so that this leader is the one who says where it begins.
    fn read(&mut self, key: StateKey, leader_epoch: i32, now: Now, effects: &mut Effects<StateAnswer>) -> StateAnswer {
        let known = self.kept.get(&key).map(|(kept, _)| kept.clone());
        let is_known = known.is_some();
        let mut kept = known.unwrap_or_else(|| Kept::beginning(Epochs::default(), NOWHERE));
        let epochs = Epochs {
            leader: leader_epoch,
            ..kept.epochs
        };
        kept.epochs.admit(epochs)?;
        if !is_known || kept.epochs != epochs {
            kept.epochs = epochs;
            effects.write(self.keep(key, kept.clone(), now)?);
        }
        Ok(StateReply::Read(kept))
    }

    //= Kafka: what was never read or set, or is deleted, is not written to
    fn write(&mut self, key: StateKey, mut kept: Kept, now: Now, effects: &mut Effects<StateAnswer>) -> StateAnswer {
        let (before, _) = self.kept.get(&key).ok_or(ErrorCode::InvalidRequest)?;
        before.epochs.admit(kept.epochs)?;
        if kept.saved.start <= NOWHERE {
            kept.saved.start = before.saved.start;
        }
        if !kept.saved.is_in_order() {
            return Err(ErrorCode::InvalidRequest);
        }
        effects.write(self.keep(key, kept, now)?);
        Ok(StateReply::Done)
    }

    fn epochs(&self, key: &StateKey) -> Option<Epochs> {
        self.kept.get(key).map(|(kept, _)| kept.epochs)
    }

    fn start(&self, key: &StateKey) -> Option<i64> {
        self.kept.get(key).map(|(kept, _)| kept.saved.start)
    }

    fn keep(&mut self, key: StateKey, kept: Kept, now: Now) -> Result<Entry, ErrorCode> {
        let before = self.kept.get(&key).map(|(_, stamp)| *stamp);
        let stamp = Stamp {
            epoch: before.map_or(0, |before| before.epoch.wrapping_add(1)),
            created_ms: before.map_or(now.wall_ms, |before| before.created_ms),
            written_ms: now.wall_ms,
        };
        let entry = Entry {
            key: key.write(),
            value: Some(kept.write(stamp)),
        };
        if entry.value.as_ref().is_some_and(|value| value.len() > STATE_BYTES_MAX) {
            return Err(ErrorCode::MessageTooLarge);
        }
        self.kept.insert(key, (kept, stamp));
        Ok(entry)
    }

    fn of_group(&self, group: &Arc<str>) -> Vec<(StateKey, Kept)> {
        let first = StateKey {
            group: group.clone(),
            topic: TopicId::ZERO,
            index: i32::MIN,
        };
        let range = self.kept.range((Bound::Included(first), Bound::Unbounded));
        let kept = range.take_while(|(key, _)| key.group == *group);
        kept.map(|(key, (kept, _))| (key.clone(), kept.clone())).collect()
    }
}

impl Epochs {
    /// Whether one with these epochs may change what has those.
    fn admit(self, theirs: Epochs) -> Result<(), ErrorCode> {
        if theirs.leader < self.leader {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        match theirs.state < self.state {
            true => Err(ErrorCode::FencedStateEpoch),
            false => Ok(()),
        }
    }
}

fn tombstone(key: &StateKey) -> Entry {
    Entry {
        key: key.write(),
        value: None,
    }
}
