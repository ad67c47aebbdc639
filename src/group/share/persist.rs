//! A share group in the coordinator's log, and back.

use std::sync::Arc;

use bytes::Bytes;

use super::{Member, ShareGroup};
use crate::group::record::{
    RecordKind, ShareAssignmentValue, ShareCurrentValue, ShareGroupValue, ShareMemberValue, group_key,
    share_target_epoch,
};
use crate::model::Entry;
use crate::wire::primitives::DecodeError;

/// The kinds that speak of one member.
const OF_MEMBERS: [RecordKind; 3] = [
    RecordKind::ShareCurrent,
    RecordKind::ShareTarget,
    RecordKind::ShareMember,
];
/// The kinds that speak of the group.
const OF_GROUPS: [RecordKind; 2] = [RecordKind::ShareTargetEpoch, RecordKind::ShareGroup];

impl ShareGroup {
    /// Takes in a record; `part` is the member that it is about.
    pub(in crate::group) fn replay(
        &mut self,
        kind: RecordKind,
        part: &str,
        value: Option<&Bytes>,
    ) -> Result<(), DecodeError> {
        match (kind, value) {
            (RecordKind::ShareGroup, Some(value)) => self.epoch = ShareGroupValue::read(value)?.epoch,
            (RecordKind::ShareGroup, None) => *self = ShareGroup::new(self.id.clone()),
            (RecordKind::ShareMember, Some(value)) => {
                let value = ShareMemberValue::read(value)?;
                let member = self.member_or_new(part);
                member.rack = value.rack;
                member.client_id = value.client_id;
                member.client_host = value.client_host;
                member.topics = value.topics.into_iter().collect();
            }
            (RecordKind::ShareMember, None) => drop(self.members.remove(part)),
            (RecordKind::ShareTarget, Some(value)) => {
                self.member_or_new(part).target = ShareAssignmentValue::read(value)?.partitions;
            }
            (RecordKind::ShareCurrent, Some(value)) => {
                let value = ShareCurrentValue::read(value)?;
                let member = self.member_or_new(part);
                member.epoch = value.epoch;
                member.previous_epoch = value.previous_epoch;
                member.assigned = value.partitions;
            }
            // What a tombstone of these takes away goes with the member's own, or is of no meaning.
            _ => {}
        }
        Ok(())
    }

    fn member_or_new(&mut self, id: &str) -> &mut Member {
        self.members.entry(Arc::from(id)).or_default()
    }

    pub(super) fn member_entry(&self, id: &str, member: &Member) -> Entry {
        let value = ShareMemberValue {
            rack: member.rack.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            topics: member.topics.iter().cloned().collect(),
        };
        self.entry(RecordKind::ShareMember, id, value.write())
    }

    pub(super) fn group_entry(&self) -> Entry {
        let value = ShareGroupValue { epoch: self.epoch };
        self.entry(RecordKind::ShareGroup, "", value.write())
    }

    pub(super) fn target_epoch_entry(&self) -> Entry {
        self.entry(RecordKind::ShareTargetEpoch, "", share_target_epoch(self.epoch))
    }

    pub(super) fn target_entry(&self, id: &str) -> Option<Entry> {
        let value = ShareAssignmentValue {
            partitions: self.members.get(id)?.target.clone(),
        };
        Some(self.entry(RecordKind::ShareTarget, id, value.write()))
    }

    pub(super) fn current_entry(&self, id: &str) -> Option<Entry> {
        let member = self.members.get(id)?;
        let value = ShareCurrentValue {
            epoch: member.epoch,
            previous_epoch: member.previous_epoch,
            partitions: member.assigned.clone(),
        };
        Some(self.entry(RecordKind::ShareCurrent, id, value.write()))
    }

    pub(super) fn member_tombstones(&self, id: &str) -> Vec<Entry> {
        OF_MEMBERS.map(|kind| self.tombstone(kind, id)).into()
    }

    /// What the log is to forget with the group.
    pub(in crate::group) fn tombstones(&self, entries: &mut Vec<Entry>) {
        for id in self.members.keys() {
            entries.extend(self.member_tombstones(id));
        }
        entries.extend(OF_GROUPS.map(|kind| self.tombstone(kind, "")));
    }

    fn entry(&self, kind: RecordKind, part: &str, value: Bytes) -> Entry {
        Entry {
            key: group_key(kind, &self.id, part),
            value: Some(value),
        }
    }

    fn tombstone(&self, kind: RecordKind, part: &str) -> Entry {
        Entry {
            key: group_key(kind, &self.id, part),
            value: None,
        }
    }
}
