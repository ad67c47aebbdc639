//! All groups of one partition of the topic of committed offsets: replay, dispatch, time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::catalog::Catalog;
use super::consumer::Search;
use super::deadlines::{Deadlines, Timer};
use super::one::{Group, Kind};
use super::record::{Key, OffsetValue};
use super::request::*;
use super::turn::Turn;
use crate::config::GroupConfig;
use crate::model::{Effects, ErrorCode, Ticket};
use crate::rt::{Instant, Now};
use crate::wire::primitives::DecodeError;

/// Bytes of a group's, a member's or a protocol's name. A record's lengths have 15 bits, and an id is longer than the name
/// that it is made of.
pub(super) const NAME_BYTES_MAX: usize = 16_384;

#[derive(Debug)]
pub struct GroupCoordinator {
    pub(super) config: GroupConfig,
    /// The newest that was given.
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) groups: BTreeMap<Arc<str>, Group>,
    pub(super) deadlines: Deadlines,
    /// Numbers the commits.
    order: u64,
    /// Groups with offsets pending in a producer's transaction.
    in_transaction: BTreeMap<i64, BTreeSet<Arc<str>>>,
    /// Orders that the host has not taken yet.
    searches: Vec<Search>,
    /// Where the look for offsets past their retention goes on.
    pub(super) retention_after: Option<Arc<str>>,
}

impl GroupCoordinator {
    pub fn new(config: GroupConfig, catalog: Arc<dyn Catalog>) -> GroupCoordinator {
        GroupCoordinator {
            config,
            catalog,
            groups: BTreeMap::new(),
            deadlines: Deadlines::default(),
            order: 0,
            in_transaction: BTreeMap::new(),
            searches: Vec::new(),
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
                self.drop_if_blank(&group);
            }
            (Key::Group { kind, group, part }, Some(value)) => {
                self.group_or_new(&group).replay(kind, &part, Some(value))?;
            }
            (Key::Group { kind, group, part }, None) => {
                if let Some(group) = self.groups.get_mut(group.as_str()) {
                    group.replay(kind, &part, None)?;
                }
                self.drop_if_blank(&group);
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
            self.drop_if_blank(&id);
        }
    }

    /// All records are replayed.
    pub fn on_loaded(&mut self, now: Now) -> Effects<GroupReply> {
        let check = now.instant.after(self.config.offsets_retention_check);
        self.deadlines.add(check, Timer::Retention);
        let mut effects = Effects::default();
        let ids: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for id in ids {
            self.with_group(&id, &mut effects, now, |group, turn| group.kind.on_loaded(turn));
        }
        effects
    }

    pub fn handle(&mut self, ticket: Ticket, request: GroupRequest, now: Now) -> Effects<GroupReply> {
        let mut effects = Effects::default();
        let reply = match request {
            GroupRequest::Join(join) => {
                self.join(join, ticket, &mut effects, now);
                return effects;
            }
            GroupRequest::Sync(sync) => {
                self.sync(sync, ticket, &mut effects, now);
                return effects;
            }
            GroupRequest::Heartbeat(heartbeat) => GroupReply::Heard(self.heartbeat(&heartbeat, &mut effects, now)),
            GroupRequest::Leave(leave) => GroupReply::Left(self.leave(leave, &mut effects, now)),
            GroupRequest::CommitOffsets(commit) => {
                GroupReply::Committed(self.commit_offsets(commit, &mut effects, now))
            }
            GroupRequest::ConsumerHeartbeat(heartbeat) => {
                GroupReply::ConsumerHeard(self.consumer_heartbeat(&heartbeat, &mut effects, now))
            }
            GroupRequest::FetchOffsets(fetch) => GroupReply::Fetched(self.fetch_offsets(&fetch)),
            GroupRequest::DeleteOffsets(delete) => {
                GroupReply::OffsetsDeleted(self.delete_offsets(&delete, &mut effects))
            }
            GroupRequest::Describe(id) => {
                let group = self.groups.get(id.as_str());
                GroupReply::Described(group.and_then(Group::describe))
            }
            GroupRequest::DescribeConsumer(id) => {
                let describe = |group: &mut Group, turn: &mut Turn<'_>| match &group.kind {
                    Kind::Consumer(consumer) => Some(consumer.describe(turn)),
                    _ => None,
                };
                GroupReply::DescribedConsumer(self.with_group(&id, &mut effects, now, describe).flatten())
            }
            GroupRequest::List(filter) => {
                let listed = self.groups.values().filter_map(|group| group.list(&filter));
                GroupReply::Listed(listed.collect())
            }
            GroupRequest::ShareBeat(beat) => GroupReply::ShareHeard(self.share_beat(beat, &mut effects, now)),
            GroupRequest::DescribeShare(id) => {
                let group = self.groups.get(id.as_str());
                GroupReply::DescribedShare(group.and_then(Group::describe_share))
            }
            GroupRequest::PrepareShare(id) => GroupReply::SharePrepared(self.prepare_share(&id, &mut effects, now)),
            GroupRequest::Delete(id) => GroupReply::Deleted(self.delete_group(&id, &mut effects)),
        };
        effects.reply(ticket, reply);
        effects
    }

    /// A group that is not there is made for a member that has no id yet; one that has an id is of a group that is gone.
    fn join(&mut self, join: Join, ticket: Ticket, effects: &mut Effects<GroupReply>, now: Now) {
        if let Err(error) = self.check_join(&join) {
            let reply = JoinReply::refused(error, join.sender.member_id);
            return effects.reply(ticket, GroupReply::Joined(reply));
        }
        let id = self.group_or_new(&join.group).id.clone();
        self.go_classic_if_empty(&id, effects);
        self.with_group(&id, effects, now, |group, turn| match &mut group.kind {
            Kind::Classic(classic) => classic.join(join, ticket, turn),
            Kind::Share(_) => {
                let refused = JoinReply::refused(ErrorCode::InconsistentGroupProtocol, join.sender.member_id);
                turn.reply(ticket, GroupReply::Joined(refused));
            }
            Kind::Consumer(consumer) => {
                consumer.classic_join(join, ticket, turn);
                group.go_classic_if_all_are(turn);
            }
        });
        self.drop_if_blank(&id);
    }

    fn check_join(&self, join: &Join) -> Result<(), ErrorCode> {
        let bounds = self.config.session_timeout_min..=self.config.session_timeout_max;
        if join.group.is_empty() || join.group.len() > NAME_BYTES_MAX {
            return Err(ErrorCode::InvalidGroupId);
        }
        if join.longest_name() > NAME_BYTES_MAX || join.largest_metadata() > self.config.record_bytes_max {
            return Err(ErrorCode::InvalidRequest);
        }
        if !bounds.contains(&join.session_timeout) {
            return Err(ErrorCode::InvalidSessionTimeout);
        }
        match join.sender.member_id.is_empty() || self.groups.contains_key(join.group.as_str()) {
            true => Ok(()),
            false => Err(ErrorCode::UnknownMemberId),
        }
    }

    fn sync(&mut self, sync: Sync, ticket: Ticket, effects: &mut Effects<GroupReply>, now: Now) {
        match self.known(&sync.group) {
            Ok(id) => {
                self.with_group(&id, effects, now, |group, turn| match &mut group.kind {
                    Kind::Classic(classic) => classic.sync(sync, ticket, turn),
                    Kind::Share(_) => {
                        let refused = SyncReply::refused(ErrorCode::UnknownMemberId);
                        turn.reply(ticket, GroupReply::Synced(refused));
                    }
                    Kind::Consumer(consumer) => {
                        let reply = consumer.classic_sync(&sync, turn);
                        turn.reply(ticket, GroupReply::Synced(reply));
                    }
                });
            }
            Err(error) => effects.reply(ticket, GroupReply::Synced(SyncReply::refused(error))),
        }
    }

    /// A share group begins with the first member that joins it.
    fn share_beat(
        &mut self,
        beat: ShareBeat,
        effects: &mut Effects<GroupReply>,
        now: Now,
    ) -> Result<ShareHeard, ErrorCode> {
        let joins = beat.epoch == 0;
        if beat.longest_name() > NAME_BYTES_MAX {
            return Err(ErrorCode::InvalidRequest);
        }
        let id = match joins {
            true => self.group_or_new(&beat.group).id.clone(),
            false => Arc::from(beat.group.as_str()),
        };
        let heard = self.with_group(&id, effects, now, |group, turn| match group.share(joins) {
            Some(share) => share.beat(beat, turn),
            None => Err(ErrorCode::GroupIdNotFound),
        });
        self.drop_if_blank(&id);
        heard.unwrap_or(Err(ErrorCode::GroupIdNotFound))
    }

    /// The offsets of a share group may be set before its first member joins.
    fn prepare_share(&mut self, id: &str, effects: &mut Effects<GroupReply>, now: Now) -> ErrorCode {
        if id.is_empty() || id.len() > NAME_BYTES_MAX {
            return ErrorCode::InvalidGroupId;
        }
        let id = self.group_or_new(id).id.clone();
        let prepared = self.with_group(&id, effects, now, |group, turn| match group.share(true) {
            Some(share) => share.prepare(turn),
            None => ErrorCode::GroupIdNotFound,
        });
        self.drop_if_blank(&id);
        prepared.unwrap_or(ErrorCode::GroupIdNotFound)
    }

    fn heartbeat(&mut self, heartbeat: &Heartbeat, effects: &mut Effects<GroupReply>, now: Now) -> ErrorCode {
        let beat = |group: &mut Group, turn: &mut Turn<'_>| match &mut group.kind {
            Kind::Classic(classic) => classic.heartbeat(&heartbeat.sender, turn),
            Kind::Share(_) => ErrorCode::UnknownMemberId,
            Kind::Consumer(consumer) => consumer.classic_heartbeat(&heartbeat.sender, turn),
        };
        match self.known(&heartbeat.group) {
            Ok(id) => self
                .with_group(&id, effects, now, beat)
                .unwrap_or(ErrorCode::UnknownMemberId),
            Err(error) => error,
        }
    }

    fn leave(&mut self, leave: Leave, effects: &mut Effects<GroupReply>, now: Now) -> Result<Vec<Left>, ErrorCode> {
        let id = self.known(&leave.group)?;
        let leave = |group: &mut Group, turn: &mut Turn<'_>| match &mut group.kind {
            Kind::Classic(classic) => Some(classic.leave(leave.leavers, turn)),
            Kind::Consumer(consumer) => Some(consumer.classic_leave(leave.leavers, turn)),
            Kind::Share(_) => None,
        };
        let left = self.with_group(&id, effects, now, leave);
        self.drop_if_blank(&id);
        left.flatten().ok_or(ErrorCode::UnknownMemberId)
    }

    /// A group that requests of members may be about. To a member of one that is gone it is the member that is unknown.
    fn known(&self, group: &str) -> Result<Arc<str>, ErrorCode> {
        match self.groups.get_key_value(group) {
            _ if group.is_empty() => Err(ErrorCode::InvalidGroupId),
            Some((id, _)) => Ok(id.clone()),
            None => Err(ErrorCode::UnknownMemberId),
        }
    }

    pub(super) fn with_group<T>(
        &mut self,
        id: &str,
        effects: &mut Effects<GroupReply>,
        now: Now,
        work: impl FnOnce(&mut Group, &mut Turn<'_>) -> T,
    ) -> Option<T> {
        let group = self.groups.get_mut(id)?;
        let mut turn = Turn {
            now,
            config: &self.config,
            catalog: &*self.catalog,
            searches: &mut self.searches,
            deadlines: &mut self.deadlines,
            effects,
        };
        Some(work(group, &mut turn))
    }

    /// The cluster has changed; `changed` are the topics that came, went, or have more partitions.
    /// Members learn of it by their next heartbeats.
    pub fn set_catalog(&mut self, catalog: Arc<dyn Catalog>, changed: &[Arc<str>]) {
        self.catalog = catalog;
        if changed.is_empty() {
            return;
        }
        for group in self.groups.values_mut() {
            if let Kind::Consumer(consumer) = &mut group.kind {
                consumer.on_topics_changed(changed);
            }
        }
    }

    /// Searches that the coordinator wants done; what they find comes back by [`GroupCoordinator::on_found`].
    pub fn take_searches(&mut self) -> Vec<Search> {
        std::mem::take(&mut self.searches)
    }

    pub fn on_found(&mut self, found: Found, now: Now) -> Effects<GroupReply> {
        let mut effects = Effects::default();
        self.with_group(&found.group, &mut effects, now, |group, turn| {
            if let Kind::Consumer(consumer) = &mut group.kind {
                consumer.on_found(found.version, found.topics, turn);
            }
        });
        effects
    }

    pub fn next_time(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    pub fn on_time(&mut self, now: Now) -> Effects<GroupReply> {
        let mut effects = Effects::default();
        while let Some((at, timer)) = self.deadlines.pop(now.instant) {
            match timer {
                Timer::Retention => self.expire_offsets(&mut effects.entries, now),
                Timer::Phase(id) => {
                    self.with_group(&id, &mut effects, now, |group, turn| group.kind.on_phase(turn));
                }
                Timer::Member(id, member) => {
                    self.with_group(&id, &mut effects, now, |group, turn| {
                        group.kind.on_member_time(&member, at, turn);
                        group.go_classic_if_all_are(turn);
                    });
                    self.drop_if_blank(&id);
                }
            }
        }
        effects
    }

    /// Takes out all requests that wait within the state.
    pub fn take_waiting(&mut self) -> Vec<Ticket> {
        let groups = self.groups.values_mut();
        groups.flat_map(|group| group.kind.take_waiting()).collect()
    }

    pub(super) fn put_offset(
        &mut self,
        group: &str,
        topic: &Arc<str>,
        partition: i32,
        value: OffsetValue,
        producer: Option<i64>,
    ) {
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

    pub(super) fn group_or_new(&mut self, id: &str) -> &mut Group {
        if !self.groups.contains_key(id) {
            let group = Group::new(id);
            self.groups.insert(group.id.clone(), group);
        }
        self.groups.get_mut(id).expect("it was just put there")
    }

    pub(super) fn drop_if_blank(&mut self, id: &str) {
        if self.groups.get(id).is_some_and(Group::is_blank) {
            self.groups.remove(id);
        }
    }
}
