//! Offsets of the coordinator's groups: committed, fetched, deleted, and dropped when their time is over.

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::coordinator::GroupCoordinator;
use super::deadlines::Timer;
use super::offsets::tombstone;
use super::one::{Group, Kind};
use super::record::{OffsetValue, offset_key};
use super::request::*;
use crate::model::{Effects, Entry, ErrorCode};
use crate::rt::Now;

/// Groups that one look for offsets past their retention goes through.
const RETENTION_GROUPS_MAX: usize = 256;
/// Until the next look: others have their turn between the two.
const RETENTION_PAUSE: Duration = Duration::from_millis(1);

impl GroupCoordinator {
    //= behaviour 53
    pub(super) fn commit_offsets(
        &mut self,
        commit: CommitOffsets,
        effects: &mut Effects<GroupReply>,
        now: Now,
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        let transactional = commit.producer.is_some();
        let check = |group: &mut Group, turn: &mut super::turn::Turn<'_>| match &mut group.kind {
            Kind::Classic(classic) => {
                let checked = classic.check_commit(&commit.sender, transactional, turn);
                checked.map(|()| Allowed::All)
            }
            Kind::Consumer(consumer) => consumer.check_commit(&commit.sender, commit.version, transactional),
            Kind::Share(_) => Err(ErrorCode::GroupIdNotFound),
        };
        let allowed = match self.with_group(&commit.group, effects, now, check) {
            Some(checked) => checked?,
            None if commit.group.len() > super::coordinator::NAME_BYTES_MAX => return Err(ErrorCode::InvalidGroupId),
            None if commit.sender.epoch < 0 => Allowed::All,
            None if commit.version >= 9 => return Err(ErrorCode::GroupIdNotFound),
            None => return Err(ErrorCode::IllegalGeneration),
        };
        let expire_ms = commit.retention_ms.map(|ms| now.wall_ms.saturating_add(ms));
        let commit_one = |item: CommitItem| {
            if item.metadata.len() > self.config.offset_metadata_bytes_max {
                return ErrorCode::OffsetMetadataTooLarge;
            }
            if let Allowed::These(partitions, error) = &allowed
                && !partitions.contains(&(item.topic_id, item.partition))
            {
                return *error;
            }
            let value = OffsetValue {
                offset: item.offset,
                leader_epoch: item.leader_epoch,
                metadata: item.metadata,
                commit_ms: now.wall_ms,
                expire_ms,
                topic_id: item.topic_id,
            };
            effects.write(Entry {
                key: offset_key(&commit.group, &item.topic, item.partition),
                value: Some(value.write()),
            });
            self.put_offset(&commit.group, &item.topic, item.partition, value, commit.producer);
            ErrorCode::None
        };
        Ok(commit.items.into_iter().map(commit_one).collect())
    }

    /// An unknown group is one that has committed nothing (behaviour 54).
    pub(super) fn fetch_offsets(&self, fetch: &FetchOffsets) -> Result<Vec<FetchedOffset>, ErrorCode> {
        let group = self.groups.get(fetch.group.as_str());
        if let Some(Kind::Consumer(consumer)) = group.map(|group| &group.kind) {
            consumer.check_fetch(&fetch.sender)?;
        }
        let offset = |(topic, partition): &(Arc<str>, i32)| match group {
            Some(group) => group.offsets.fetch(topic, *partition, fetch.require_stable),
            None => FetchedOffset::none(topic, *partition),
        };
        Ok(match (&fetch.partitions, group) {
            (Some(partitions), _) => partitions.iter().map(offset).collect(),
            (None, Some(group)) => group.offsets.partitions().iter().map(offset).collect(),
            (None, None) => Vec::new(),
        })
    }

    /// Offsets of topics that the group reads are its members' own; other than a group of consumers may have any
    /// meaning for its offsets while it has members.
    pub(super) fn delete_offsets(
        &mut self,
        delete: &DeleteOffsets,
        effects: &mut Effects<GroupReply>,
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        let group = self.groups.get_mut(delete.group.as_str());
        let group = group.ok_or(ErrorCode::GroupIdNotFound)?;
        if !group.kind.is_empty() && !group.kind.is_of_consumers() {
            return Err(ErrorCode::NonEmptyGroup);
        }
        let delete_one = |(topic, partition): &(Arc<str>, i32)| {
            if group.kind.is_subscribed_to(topic) {
                return ErrorCode::GroupSubscribedToTopic;
            }
            if group.offsets.remove(topic, *partition) {
                effects.write(tombstone(&group.id, topic, *partition));
            }
            ErrorCode::None
        };
        let codes = delete.partitions.iter().map(delete_one).collect();
        self.drop_if_blank(&delete.group);
        Ok(codes)
    }

    //= behaviour 57
    pub(super) fn delete_group(&mut self, id: &str, effects: &mut Effects<GroupReply>) -> ErrorCode {
        let Some(group) = self.groups.get_mut(id) else {
            return ErrorCode::GroupIdNotFound;
        };
        if !group.kind.is_empty() {
            return ErrorCode::NonEmptyGroup;
        }
        for (topic, partition) in group.offsets.partitions() {
            effects.write(tombstone(id, &topic, partition));
        }
        group.tombstones(&mut effects.entries);
        self.groups.remove(id);
        ErrorCode::None
    }

    /// One look at the topics of each group; only those that have offsets of what is gone cost more.
    pub fn on_topics_deleted(&mut self, topics: &[String], _now: Now) -> Effects<GroupReply> {
        let mut effects = Effects::default();
        let gone: HashSet<&str> = topics.iter().map(String::as_str).collect();
        for group in self.groups.values_mut() {
            for topic in group.offsets.topics_among(&gone) {
                for partition in group.offsets.remove_topic(&topic) {
                    effects.write(tombstone(&group.id, &topic, partition));
                }
            }
        }
        self.groups.retain(|_, group| !group.is_blank());
        effects
    }

    /// Looks through some groups, and goes on with the next ones soon until all were seen.
    pub(super) fn expire_offsets(&mut self, entries: &mut Vec<Entry>, now: Now) {
        let from = self.retention_after.take().map_or(Bound::Unbounded, Bound::Excluded);
        let ids = self.groups.range((from, Bound::Unbounded)).map(|(id, _)| id.clone());
        let ids: Vec<Arc<str>> = ids.take(RETENTION_GROUPS_MAX).collect();
        for id in &ids {
            self.expire_group(id, entries, now);
        }
        let again = match ids.len() {
            RETENTION_GROUPS_MAX => {
                self.retention_after = ids.last().cloned();
                now.instant.after(RETENTION_PAUSE)
            }
            _ => now.instant.after(self.config.offsets_retention_check),
        };
        self.deadlines.add(again, Timer::Retention);
    }

    /// A group that is empty goes with the last of its offsets.
    fn expire_group(&mut self, id: &str, entries: &mut Vec<Entry>, now: Now) {
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        let retention_ms = self.config.offsets_retention_ms;
        let kind = &group.kind;
        let is_over = |topic: &str, value: &OffsetValue| kind.is_over(topic, value, retention_ms, now.wall_ms);
        group.offsets.remove_if(id, entries, is_over);
        if group.offsets.is_empty() && kind.is_empty() && !kind.has_pending() {
            group.tombstones(entries);
            self.groups.remove(id);
        }
    }
}
