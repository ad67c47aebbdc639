//! All groups of one partition of the topic of committed offsets.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::deadlines::{Deadlines, Timer};
use super::one::Group;
use super::record::{Key, OffsetValue, offset_key};
use super::request::*;
use crate::config::GroupConfig;
use crate::model::{Effects, Entry, ErrorCode, Ticket};
use crate::rt::{Instant, Now};
use crate::wire::primitives::DecodeError;

/// Groups that one look for offsets past their retention goes through.
const RETENTION_GROUPS_MAX: usize = 256;

#[derive(Debug)]
pub struct GroupCoordinator {
    config: GroupConfig,
    groups: BTreeMap<Arc<str>, Group>,
    deadlines: Deadlines,
    /// Numbers the commits.
    order: u64,
    /// Groups with offsets pending in a producer's transaction.
    in_transaction: BTreeMap<i64, BTreeSet<Arc<str>>>,
    /// Where the look for offsets past their retention goes on.
    retention_after: Option<Arc<str>>,
}

impl GroupCoordinator {
    pub fn new(config: GroupConfig) -> GroupCoordinator {
        GroupCoordinator {
            config,
            groups: BTreeMap::new(),
            deadlines: Deadlines::default(),
            order: 0,
            in_transaction: BTreeMap::new(),
            retention_after: None,
        }
    }

    /// Takes in a record of the log; `producer` is the transactional producer that wrote it.
    pub fn replay(&mut self, key: &Bytes, value: Option<&Bytes>, producer: Option<i64>) {
        if let Err(error) = self.replay_one(key, value, producer) {
            tracing::warn!(%error, "record of a group coordinator's log is left out");
        }
    }

    fn replay_one(&mut self, key: &Bytes, value: Option<&Bytes>, producer: Option<i64>) -> Result<(), DecodeError> {
        match (Key::read(key)?, value) {
            (
                Key::Offset {
                    group,
                    topic,
                    partition,
                },
                Some(value),
            ) => {
                let value = OffsetValue::read(value)?;
                self.put_offset(&group, &topic.into(), partition, value, producer);
            }
            (
                Key::Offset {
                    group,
                    topic,
                    partition,
                },
                None,
            ) => {
                if let Some(group) = self.groups.get_mut(group.as_str()) {
                    group.offsets.remove(&topic, partition);
                }
                self.drop_if_empty(&group);
            }
            (Key::Other(_), _) => {}
        }
        Ok(())
    }

    /// The producer's transaction has ended: its marker is in the log.
    pub fn end_transaction(&mut self, producer: i64, committed: bool) {
        for id in self.in_transaction.remove(&producer).unwrap_or_default() {
            if let Some(group) = self.groups.get_mut(&id) {
                group.offsets.end_transaction(producer, committed);
            }
            self.drop_if_empty(&id);
        }
    }

    /// All records are replayed.
    pub fn on_loaded(&mut self, now: Now) -> Effects<GroupReply> {
        let check = now.instant.after(self.config.offsets_retention_check);
        self.deadlines.add(check, Timer::Retention);
        Effects::default()
    }

    pub fn handle(&mut self, ticket: Ticket, request: GroupRequest, now: Now) -> Effects<GroupReply> {
        let mut effects = Effects::default();
        match request {
            GroupRequest::CommitOffsets(commit) => {
                let committed = self.commit_offsets(commit, &mut effects.entries, now);
                effects.reply(ticket, GroupReply::Committed(committed));
            }
            GroupRequest::FetchOffsets(fetch) => {
                effects.reply(ticket, GroupReply::Fetched(Ok(self.fetch_offsets(&fetch))));
            }
        }
        effects
    }

    pub fn next_time(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    pub fn on_time(&mut self, now: Now) -> Effects<GroupReply> {
        let mut effects = Effects::default();
        while let Some(timer) = self.deadlines.pop(now.instant) {
            match timer {
                Timer::Retention => self.expire_offsets(&mut effects.entries, now),
            }
        }
        effects
    }

    pub fn on_topics_deleted(&mut self, topics: &[String], _now: Now) -> Effects<GroupReply> {
        let mut effects = Effects::default();
        let is_gone = |topic: &str| topics.iter().any(|gone| gone == topic);
        for group in self.groups.values_mut() {
            let over = |topic: &str, _: &OffsetValue| is_gone(topic);
            group.offsets.remove_if(&group.id, &mut effects.entries, over);
            for topic in topics {
                group.offsets.forget_pending(topic);
            }
        }
        self.groups.retain(|_, group| !group.offsets.is_empty());
        effects
    }

    /// Takes out all requests that wait within the state.
    pub fn take_waiting(&mut self) -> Vec<Ticket> {
        Vec::new()
    }

    //= behaviour 53
    fn commit_offsets(
        &mut self,
        commit: CommitOffsets,
        entries: &mut Vec<Entry>,
        now: Now,
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        match self.groups.get(commit.group.as_str()) {
            Some(group) => group.check_commit(&commit.sender)?,
            None if commit.sender.epoch < 0 => {}
            None if commit.version >= 9 => return Err(ErrorCode::GroupIdNotFound),
            None => return Err(ErrorCode::IllegalGeneration),
        }
        let expire_ms = commit.retention_ms.map(|ms| now.wall_ms.saturating_add(ms));
        let commit_one = |item: CommitItem| {
            if item.metadata.len() > self.config.offset_metadata_bytes_max {
                return ErrorCode::OffsetMetadataTooLarge;
            }
            let value = OffsetValue {
                offset: item.offset,
                leader_epoch: item.leader_epoch,
                metadata: item.metadata,
                commit_ms: now.wall_ms,
                expire_ms,
                topic_id: item.topic_id,
            };
            entries.push(Entry {
                key: offset_key(&commit.group, &item.topic, item.partition),
                value: Some(value.write()),
            });
            self.put_offset(&commit.group, &item.topic, item.partition, value, None);
            ErrorCode::None
        };
        Ok(commit.items.into_iter().map(commit_one).collect())
    }

    fn put_offset(&mut self, group: &str, topic: &Arc<str>, partition: i32, value: OffsetValue, producer: Option<i64>) {
        self.order += 1;
        let order = self.order;
        let group = self.group_or_new(group);
        match producer {
            None => group.offsets.commit(topic, partition, value, order),
            Some(producer) => {
                group.offsets.commit_pending(producer, topic, partition, value, order);
                let id = group.id.clone();
                self.in_transaction.entry(producer).or_default().insert(id);
            }
        }
    }

    fn group_or_new(&mut self, id: &str) -> &mut Group {
        if !self.groups.contains_key(id) {
            let group = Group::new(id);
            self.groups.insert(group.id.clone(), group);
        }
        self.groups.get_mut(id).expect("it was just put there")
    }

    /// An unknown group is one that has committed nothing (behaviour 54).
    fn fetch_offsets(&self, fetch: &FetchOffsets) -> Vec<FetchedOffset> {
        let group = self.groups.get(fetch.group.as_str());
        let offset = |(topic, partition): &(Arc<str>, i32)| match group {
            Some(group) => group.offsets.fetch(topic, *partition, fetch.require_stable),
            None => FetchedOffset::none(topic, *partition),
        };
        match (&fetch.partitions, group) {
            (Some(partitions), _) => partitions.iter().map(offset).collect(),
            (None, Some(group)) => group.offsets.partitions().iter().map(offset).collect(),
            (None, None) => Vec::new(),
        }
    }

    /// Looks through some groups, and goes on with the next ones at once until all were seen.
    fn expire_offsets(&mut self, entries: &mut Vec<Entry>, now: Now) {
        let from = self.retention_after.take().map_or(Bound::Unbounded, Bound::Excluded);
        let ids = self.groups.range((from, Bound::Unbounded)).map(|(id, _)| id.clone());
        let ids: Vec<Arc<str>> = ids.take(RETENTION_GROUPS_MAX).collect();
        for id in &ids {
            self.expire_group(id, entries, now);
        }
        let again = match ids.len() {
            RETENTION_GROUPS_MAX => {
                self.retention_after = ids.last().cloned();
                now.instant
            }
            _ => now.instant.after(self.config.offsets_retention_check),
        };
        self.deadlines.add(again, Timer::Retention);
    }

    fn expire_group(&mut self, id: &str, entries: &mut Vec<Entry>, now: Now) {
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        let mut offsets = std::mem::take(&mut group.offsets);
        let is_over =
            |_: &str, value: &OffsetValue| group.is_over(value, self.config.offsets_retention_ms, now.wall_ms);
        offsets.remove_if(&group.id, entries, is_over);
        group.offsets = offsets;
        self.drop_if_empty(id);
    }

    fn drop_if_empty(&mut self, id: &str) {
        if self.groups.get(id).is_some_and(|group| group.offsets.is_empty()) {
            self.groups.remove(id);
        }
    }
}
