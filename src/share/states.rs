//! What is kept of share groups: the state of one partition of its topic, as its records say.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::record::{Saved, Stamp, StateKey};
use crate::model::{Effects, Entry, Ticket, TopicId};
use crate::rt::Now;
use crate::wire::primitives::DecodeError;

#[derive(Debug, Default)]
pub struct ShareStates {
    kept: BTreeMap<StateKey, (Saved, Stamp)>,
}

#[derive(Clone, Debug)]
pub enum StateRequest {
    Read(StateKey),
    Write(StateKey, Saved),
    Delete(StateKey),
    /// All that is kept here of one group.
    List(Arc<str>),
}

#[derive(Clone, Debug)]
pub enum StateReply {
    Read(Option<Saved>),
    Written,
    Listed(Vec<(StateKey, Saved)>),
}

impl StateRequest {
    pub fn only_asks(&self) -> bool {
        matches!(self, StateRequest::Read(_) | StateRequest::List(_))
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
            Some(value) => self.kept.insert(key, Saved::read(value)?),
            None => self.kept.remove(&key),
        };
        Ok(())
    }

    pub fn handle(&mut self, ticket: Ticket, request: StateRequest, now: Now) -> Effects<StateReply> {
        let mut effects = Effects::default();
        let reply = match request {
            StateRequest::Read(key) => StateReply::Read(self.kept.get(&key).map(|(saved, _)| saved.clone())),
            StateRequest::List(group) => StateReply::Listed(self.of_group(&group)),
            StateRequest::Write(key, saved) => {
                effects.write(self.write(key, saved, now));
                StateReply::Written
            }
            StateRequest::Delete(key) => {
                if self.kept.remove(&key).is_some() {
                    effects.write(tombstone(&key));
                }
                StateReply::Written
            }
        };
        effects.reply(ticket, reply);
        effects
    }

    /// What was kept of these topics means nothing any more.
    pub fn on_topics_deleted(&mut self, is_gone: impl Fn(TopicId) -> bool) -> Effects<StateReply> {
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

    fn write(&mut self, key: StateKey, saved: Saved, now: Now) -> Entry {
        let before = self.kept.get(&key).map(|(_, stamp)| *stamp);
        let stamp = Stamp {
            epoch: before.map_or(0, |before| before.epoch.wrapping_add(1)),
            created_ms: before.map_or(now.wall_ms, |before| before.created_ms),
            written_ms: now.wall_ms,
        };
        let entry = Entry {
            key: key.write(),
            value: Some(saved.write(stamp)),
        };
        self.kept.insert(key, (saved, stamp));
        entry
    }

    fn of_group(&self, group: &Arc<str>) -> Vec<(StateKey, Saved)> {
        let first = StateKey {
            group: group.clone(),
            topic: TopicId::ZERO,
            index: i32::MIN,
        };
        let range = self.kept.range((Bound::Included(first), Bound::Unbounded));
        let kept = range.take_while(|(key, _)| key.group == *group);
        kept.map(|(key, (saved, _))| (key.clone(), saved.clone())).collect()
    }
}

fn tombstone(key: &StateKey) -> Entry {
    Entry {
        key: key.write(),
        value: None,
    }
}
