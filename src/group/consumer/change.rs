//! The changes of a consumer group: their records, and what they do to its state.

use bytes::Bytes;

use super::Consumer;
use super::member::Member;
use crate::group::classic::MemberId;
use crate::group::record::{
    Assignment, ConsumerMemberValue, CurrentValue, EpochValue, RecordKind, RegexValue, TargetEpochValue, group_key,
    read_target, write_target,
};
use crate::group::turn::Turn;
use crate::model::{Entry, TopicId};
use crate::wire::primitives::DecodeError;

/// Without a value: it is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::group) enum Change {
    Epoch(Option<EpochValue>),
    /// The sizes of the topics that are read, as older brokers wrote them. Whether there is such a record is all that is
    /// asked for.
    OldTopics(bool),
    Member(MemberId, Option<ConsumerMemberValue>),
    TargetEpoch(Option<TargetEpochValue>),
    Target(MemberId, Option<Assignment>),
    Current(MemberId, Option<CurrentValue>),
    Regex(String, Option<RegexValue>),
}

impl Change {
    /// None: the record is not one of a consumer group.
    pub(in crate::group) fn read(
        kind: RecordKind,
        part: &str,
        value: Option<&Bytes>,
    ) -> Result<Option<Change>, DecodeError> {
        Ok(Some(match kind {
            RecordKind::Epoch => Change::Epoch(value.map(EpochValue::read).transpose()?),
            RecordKind::OldTopics => Change::OldTopics(value.is_some()),
            RecordKind::Member => Change::Member(part.into(), value.map(ConsumerMemberValue::read).transpose()?),
            RecordKind::TargetEpoch => Change::TargetEpoch(value.map(TargetEpochValue::read).transpose()?),
            RecordKind::Target => Change::Target(part.into(), value.map(read_target).transpose()?),
            RecordKind::Current => Change::Current(part.into(), value.map(CurrentValue::read).transpose()?),
            RecordKind::Regex => Change::Regex(part.into(), value.map(RegexValue::read).transpose()?),
            _ => return Ok(None),
        }))
    }

    pub(super) fn entry(&self, group: &str) -> Entry {
        let (kind, part, value) = match self {
            Change::Epoch(value) => (RecordKind::Epoch, "", value.as_ref().map(EpochValue::write)),
            Change::OldTopics(_) => (RecordKind::OldTopics, "", None),
            Change::Member(id, value) => (
                RecordKind::Member,
                &**id,
                value.as_ref().map(ConsumerMemberValue::write),
            ),
            Change::TargetEpoch(value) => (RecordKind::TargetEpoch, "", value.as_ref().map(TargetEpochValue::write)),
            Change::Target(id, value) => (RecordKind::Target, &**id, value.as_ref().map(write_target)),
            Change::Current(id, value) => (RecordKind::Current, &**id, value.as_ref().map(CurrentValue::write)),
            Change::Regex(regex, value) => (RecordKind::Regex, regex.as_str(), value.as_ref().map(RegexValue::write)),
        };
        Entry {
            key: group_key(kind, group, part),
            value,
        }
    }
}

impl Consumer {
    /// Writes the change, and makes it.
    pub(super) fn change(&mut self, change: Change, turn: &mut Turn<'_>) {
        turn.effects.write(change.entry(&self.id));
        self.apply(change);
    }

    /// Records of one member come in the order in which they were written, but a log that was compacted lacks any that a
    /// later one of the same kind has replaced: what has gone first may be missing.
    pub(in crate::group) fn apply(&mut self, change: Change) {
        match change {
            Change::Epoch(value) => self.epoch = value.unwrap_or_default(),
            Change::OldTopics(is_there) => self.has_old_topics = is_there,
            Change::Member(id, Some(about)) => self.put_about(id, about),
            Change::Member(id, None) => self.remove(&id),
            Change::TargetEpoch(value) => self.assigned = value.unwrap_or_default(),
            Change::Target(id, Some(target)) => {
                self.targets.insert(id, target);
            }
            Change::Target(id, None) => {
                self.targets.remove(&id);
            }
            Change::Current(id, Some(current)) => self.put_current(id, current),
            Change::Current(id, None) => {
                if self.members.contains_key(&id) {
                    self.put_current(id, CurrentValue::default());
                }
            }
            Change::Regex(regex, Some(value)) => {
                self.regexes.insert(regex, value);
            }
            Change::Regex(regex, None) => {
                self.regexes.remove(&regex);
            }
        }
    }

    fn put_about(&mut self, id: MemberId, about: ConsumerMemberValue) {
        let member = self.members.entry(id.clone()).or_default();
        let old = std::mem::replace(&mut member.about, about);
        let instance_id = member.about.instance_id.clone();
        self.forget_instance(&id, &old);
        if let Some(instance_id) = instance_id {
            self.instances.insert(instance_id, id);
        }
    }

    fn put_current(&mut self, id: MemberId, current: CurrentValue) {
        let member = self.members.entry(id).or_default();
        let old = member.partitions();
        member.current = current;
        let new = member.partitions();
        for partition in old {
            self.release(partition);
        }
        for partition in new {
            *self.owners.entry(partition).or_default() += 1;
        }
    }

    fn remove(&mut self, id: &MemberId) {
        let Some(Member { about, current, .. }) = self.members.get(id).cloned() else {
            return;
        };
        if current != CurrentValue::default() {
            self.put_current(id.clone(), CurrentValue::default());
        }
        self.forget_instance(id, &about);
        self.members.remove(id);
    }

    /// Unless the instance has come back as another member already.
    fn forget_instance(&mut self, id: &MemberId, about: &ConsumerMemberValue) {
        if let Some(instance_id) = &about.instance_id
            && self.instances.get(instance_id) == Some(id)
        {
            self.instances.remove(instance_id);
        }
    }

    fn release(&mut self, partition: (TopicId, i32)) {
        if let Some(count) = self.owners.get_mut(&partition) {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(&partition);
            }
        }
    }
}
