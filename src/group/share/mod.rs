//! The members of a share group: they come and go by heartbeats, and read partitions side by side. //= KIP-932
//!
//! Nobody waits for anybody: a change of members or topics makes a new assignment at once, each member learns its own
//! with its next heartbeat, and no member has to give anything back first. What a member acknowledges is no matter of the
//! group's coordinator.

mod assign;
mod heartbeat;
mod persist;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::request::{DescribedShareGroup, DescribedShareMember};
use super::turn::Turn;
use crate::model::TopicId;
use crate::rt::Instant;

pub(super) type MemberId = Arc<str>;

/// Partitions by topic. A topic without partitions is left out.
pub(super) type Assignment = BTreeMap<TopicId, BTreeSet<i32>>;

/// A group and the topics that its members read: the name of each that the cluster has.
#[derive(Debug)]
pub(in crate::group) struct ShareGroup {
    id: Arc<str>,
    /// Grows with every change of members, subscriptions or topics.
    epoch: i32,
    members: BTreeMap<MemberId, Member>,
    /// The state of the cluster that the assignment was made for.
    seen: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Member {
    rack: Option<String>,
    client_id: String,
    client_host: String,
    topics: BTreeSet<String>,
    /// The group's epoch when it last heard of its assignment, and the one before.
    epoch: i32,
    previous_epoch: i32,
    /// What it has been told to read, and what it is to read.
    assigned: Assignment,
    target: Assignment,
    /// It is taken for gone then, unless it is heard of before.
    deadline: Option<Instant>,
    /// When the deadline is looked at next.
    reminder: Option<Instant>,
}

impl ShareGroup {
    pub(in crate::group) fn new(id: Arc<str>) -> ShareGroup {
        ShareGroup {
            id,
            epoch: 0,
            members: BTreeMap::new(),
            seen: None,
        }
    }

    pub(in crate::group) fn member_count(&self) -> usize {
        self.members.len()
    }

    pub(in crate::group) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Nothing of it is in the log.
    pub(in crate::group) fn is_blank(&self) -> bool {
        self.members.is_empty() && self.epoch == 0
    }

    pub(in crate::group) fn state_name(&self) -> &'static str {
        match self.members.is_empty() {
            true => "Empty",
            false => "Stable",
        }
    }

    pub(in crate::group) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| member.topics.contains(topic))
    }

    pub(in crate::group) fn describe(&self) -> DescribedShareGroup {
        let members = self.members.iter().map(|(id, member)| DescribedShareMember {
            member_id: id.to_string(),
            rack: member.rack.clone(),
            epoch: member.epoch,
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            topics: member.topics.iter().cloned().collect(),
            assigned: member.assigned.clone(),
        });
        DescribedShareGroup {
            state: self.state_name(),
            epoch: self.epoch,
            assignment_epoch: self.epoch,
            members: members.collect(),
        }
    }

    /// All records are replayed: the members are given time to be heard of.
    pub(in crate::group) fn on_loaded(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in ids {
            self.expect(&id, turn);
        }
    }

    /// A member may be out of time.
    pub(in crate::group) fn on_member_time(&mut self, id: &str, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        member.reminder = None;
        match member.deadline {
            Some(deadline) if deadline <= turn.now.instant => {
                tracing::info!(group = %self.id, member = id, "member of a share group was not heard of for too long");
                self.remove(id, turn);
            }
            Some(_) => self.remind(id, turn),
            None => {}
        }
    }

    /// Whether the member has been heard of is looked at no later than its session ends.
    fn expect(&mut self, id: &str, turn: &mut Turn<'_>) {
        if let Some(member) = self.members.get_mut(id) {
            member.deadline = Some(turn.now.instant.after(turn.config.share_session_timeout));
            self.remind(id, turn);
        }
    }

    /// One reminder stands at or before the deadline, so that a heartbeat costs none.
    fn remind(&mut self, id: &str, turn: &mut Turn<'_>) {
        let Some((id, member)) = self.members.get_key_value(id).map(|(id, _)| id.clone()).and_then(|id| {
            let member = self.members.get_mut(&id)?;
            Some((id, member))
        }) else {
            return;
        };
        let Some(deadline) = member.deadline else {
            return;
        };
        if member.reminder.is_none_or(|reminder| reminder > deadline) {
            member.reminder = Some(deadline);
            turn.remind_of_member(&self.id, &id, deadline);
        }
    }
}
