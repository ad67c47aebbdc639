//! One group: its members, by the protocol that they speak, and its offsets.

use std::sync::Arc;

use bytes::Bytes;

use super::classic::{CONSUMER, Classic, MemberId, State, group_tombstone};
use super::consumer::{Change, Consumer};
use super::offsets::Offsets;
use super::record::{GroupValue, OffsetValue, RecordKind};
use super::request::{DescribedGroup, DescribedMember, DescribedShareGroup, ListFilter, ListedGroup};
use super::share::ShareGroup;
use super::turn::Turn;
use crate::model::{Entry, Ticket};
use crate::rt::Instant;
use crate::wire::primitives::DecodeError;

#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: Arc<str>,
    pub(super) kind: Kind,
    pub(super) offsets: Offsets,
}

/// The members, by the protocol that they speak with their coordinator.
#[derive(Debug)]
pub(super) enum Kind {
    Classic(Classic),
    Consumer(Consumer),
    Share(ShareGroup),
}

impl Group {
    /// Of no kind yet: nobody has joined it, and only a classic group can be without members.
    pub(super) fn new(id: &str) -> Group {
        let id: Arc<str> = id.into();
        Group {
            kind: Kind::Classic(Classic::new(id.clone())),
            id,
            offsets: Offsets::default(),
        }
    }

    /// Takes in a record of the log; `part` is what it is about within the group.
    pub(super) fn replay(&mut self, kind: RecordKind, part: &str, value: Option<&Bytes>) -> Result<(), DecodeError> {
        if kind.is_of_share_groups() {
            return self.replay_share(kind, part, value);
        }
        match Change::read(kind, part, value)? {
            Some(change) => self.replay_change(change, value.is_some()),
            None => self.replay_classic(value)?,
        }
        Ok(())
    }

    fn replay_share(&mut self, kind: RecordKind, part: &str, value: Option<&Bytes>) -> Result<(), DecodeError> {
        match (&mut self.kind, value) {
            (Kind::Share(share), value) => share.replay(kind, part, value),
            (_, Some(_)) => self.share_or_new().replay(kind, part, value),
            // What it was before: forgotten since.
            (_, None) => Ok(()),
        }
    }

    fn replay_classic(&mut self, value: Option<&Bytes>) -> Result<(), DecodeError> {
        match (value, &self.kind) {
            (Some(value), _) => {
                let value = GroupValue::read(value)?;
                self.kind = Kind::Classic(Classic::from_value(self.id.clone(), value));
            }
            (None, Kind::Classic(_)) => self.kind = Kind::Classic(Classic::new(self.id.clone())),
            // What it was before: forgotten since.
            (None, _) => {}
        }
        Ok(())
    }

    /// Its records say that it is one.
    fn share_or_new(&mut self) -> &mut ShareGroup {
        if !matches!(self.kind, Kind::Share(_)) {
            self.kind = Kind::Share(ShareGroup::new(self.id.clone()));
        }
        match &mut self.kind {
            Kind::Share(share) => share,
            _ => unreachable!("it was just made one"),
        }
    }

    /// The group as a share group; it becomes one if nothing is known of it and somebody joins.
    pub(super) fn share(&mut self, joins: bool) -> Option<&mut ShareGroup> {
        if joins && self.is_blank() {
            return Some(self.share_or_new());
        }
        match &mut self.kind {
            Kind::Share(share) => Some(share),
            _ => None,
        }
    }

    pub(super) fn describe_share(&self) -> Option<DescribedShareGroup> {
        match &self.kind {
            Kind::Share(share) => Some(share.describe()),
            _ => None,
        }
    }

    /// The first record of a consumer group makes it one, the last tombstone ends it.
    fn replay_change(&mut self, change: Change, has_value: bool) {
        let is_end = change == Change::Epoch(None);
        match &mut self.kind {
            Kind::Consumer(_) if is_end => self.kind = Kind::Classic(Classic::new(self.id.clone())),
            Kind::Consumer(consumer) => consumer.apply(change),
            _ if has_value => {
                let mut consumer = Consumer::new(self.id.clone());
                consumer.apply(change);
                self.kind = Kind::Consumer(consumer);
            }
            _ => {}
        }
    }

    /// A group that nothing is known of is of no kind, whoever has asked for it in vain.
    pub(super) fn reset_if_unknown(&mut self) {
        if self.kind.is_blank() {
            self.kind = Kind::Classic(Classic::new(self.id.clone()));
        }
    }

    /// There is nothing to remember.
    pub(super) fn is_blank(&self) -> bool {
        self.offsets.is_empty() && self.kind.is_blank()
    }

    /// What the log is to forget with the group, besides its offsets.
    pub(super) fn tombstones(&self, entries: &mut Vec<Entry>) {
        match &self.kind {
            Kind::Classic(_) => entries.push(group_tombstone(&self.id)),
            Kind::Consumer(consumer) => entries.extend(consumer.tombstones()),
            Kind::Share(share) => share.tombstones(entries),
        }
    }

    /// None: it is no classic group.
    pub(super) fn describe(&self) -> Option<DescribedGroup> {
        let Kind::Classic(classic) = &self.kind else {
            return None;
        };
        // Only a stable group has what its members were given.
        let protocol = match classic.state {
            State::Stable => classic.protocol.as_deref(),
            _ => None,
        };
        let members = classic.members.iter().map(|(id, member)| DescribedMember {
            member_id: id.to_string(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: protocol.map(|protocol| member.metadata(protocol)).unwrap_or_default(),
            assignment: protocol.map(|_| member.assignment.clone()).unwrap_or_default(),
        });
        Some(DescribedGroup {
            state: classic.state.name(),
            protocol_type: classic.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.unwrap_or_default().to_owned(),
            members: members.collect(),
        })
    }

    /// The group in a list, if the filter lets it through.
    pub(super) fn list(&self, filter: &ListFilter) -> Option<ListedGroup> {
        let lets =
            |names: &[String], name: &str| names.is_empty() || names.iter().any(|one| one.eq_ignore_ascii_case(name));
        let listed = ListedGroup {
            id: self.id.clone(),
            protocol_type: self.kind.protocol_type().to_owned(),
            state: self.kind.state_name(),
            kind: self.kind.name(),
        };
        (lets(&filter.states, listed.state) && lets(&filter.kinds, listed.kind)).then_some(listed)
    }
}

impl Kind {
    pub(super) fn member_count(&self) -> usize {
        match self {
            Kind::Classic(classic) => classic.members.len(),
            Kind::Consumer(consumer) => consumer.member_count(),
            Kind::Share(share) => share.member_count(),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Kind::Classic(_) => "classic",
            Kind::Consumer(_) => "consumer",
            Kind::Share(_) => "share",
        }
    }

    fn state_name(&self) -> &'static str {
        match self {
            Kind::Classic(classic) => classic.state.name(),
            Kind::Consumer(consumer) => consumer.state_name(),
            Kind::Share(share) => share.state_name(),
        }
    }

    fn protocol_type(&self) -> &str {
        match self {
            Kind::Classic(classic) => classic.protocol_type.as_deref().unwrap_or_default(),
            Kind::Consumer(_) => CONSUMER,
            Kind::Share(_) => "share",
        }
    }

    /// Nobody is in it or about to be, and nothing of it is in the log.
    fn is_blank(&self) -> bool {
        match self {
            Kind::Classic(classic) => classic.is_blank(),
            Kind::Consumer(consumer) => consumer.is_blank(),
            Kind::Share(share) => share.is_blank(),
        }
    }

    /// Without members; others may be about to join.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Kind::Classic(classic) => classic.is_empty(),
            Kind::Consumer(consumer) => consumer.is_empty(),
            Kind::Share(share) => share.is_empty(),
        }
    }

    /// Ids were given out that somebody may yet join with; or what the group has acknowledged is kept elsewhere, and goes
    /// only when it is deleted.
    pub(super) fn has_pending(&self) -> bool {
        match self {
            Kind::Classic(classic) => classic.has_pending(),
            Kind::Consumer(_) => false,
            Kind::Share(_) => true,
        }
    }

    /// Its members are consumers: their offsets mean places in topics.
    pub(super) fn is_of_consumers(&self) -> bool {
        match self {
            Kind::Classic(classic) => classic.is_consumer(),
            Kind::Consumer(_) => true,
            Kind::Share(_) => false,
        }
    }

    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Kind::Classic(classic) => classic.is_subscribed_to(topic),
            Kind::Consumer(consumer) => consumer.is_subscribed_to(topic),
            Kind::Share(share) => share.is_subscribed_to(topic),
        }
    }

    /// Whether the offset has passed its retention (behaviour 55).
    pub(super) fn is_over(&self, topic: &str, value: &OffsetValue, retention_ms: i64, now_ms: i64) -> bool {
        if self.is_subscribed_to(topic) {
            return false;
        }
        let base_ms = match self {
            Kind::Classic(classic) => classic.retention_base_ms(value),
            Kind::Consumer(_) => Some(value.commit_ms),
            Kind::Share(_) => None,
        };
        match (base_ms, value.expire_ms) {
            (None, _) => false,
            (Some(_), Some(at)) => now_ms >= at,
            (Some(base_ms), None) => now_ms.saturating_sub(base_ms) >= retention_ms,
        }
    }

    /// All records are replayed.
    pub(super) fn on_loaded(&mut self, turn: &mut Turn<'_>) {
        match self {
            Kind::Classic(classic) => classic.on_loaded(turn),
            Kind::Consumer(consumer) => consumer.on_loaded(turn),
            Kind::Share(share) => share.on_loaded(turn),
        }
    }

    /// The time of something that the whole group waits for may be over.
    pub(super) fn on_phase(&mut self, turn: &mut Turn<'_>) {
        match self {
            Kind::Classic(classic) => classic.on_phase(turn),
            Kind::Consumer(_) => {}
            Kind::Share(_) => {}
        }
    }

    /// A member may be out of time.
    pub(super) fn on_member_time(&mut self, member: &MemberId, at: Instant, turn: &mut Turn<'_>) {
        match self {
            Kind::Classic(classic) => classic.on_member_time(member, at, turn),
            Kind::Consumer(consumer) => consumer.on_member_time(member, at, turn),
            Kind::Share(share) => share.on_member_time(member, turn),
        }
    }

    /// Takes out all requests that wait within the state.
    pub(super) fn take_waiting(&mut self) -> Vec<Ticket> {
        match self {
            Kind::Classic(classic) => classic.take_waiting(),
            Kind::Consumer(_) => Vec::new(),
            Kind::Share(_) => Vec::new(),
        }
    }
}
