//! A member of a classic group: who it is, what it supports, and which of its requests wait.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::group::request::Protocol;
use crate::model::Ticket;
use crate::rt::Instant;

/// A member's id: given by the coordinator, and new with every start of the client.
pub(in crate::group) type MemberId = Arc<str>;

#[derive(Debug)]
pub(in crate::group) struct Member {
    pub(in crate::group) instance_id: Option<String>,
    pub(in crate::group) client_id: String,
    pub(in crate::group) client_host: String,
    pub(super) rebalance_timeout: Duration,
    pub(super) session_timeout: Duration,
    /// In the member's order of preference.
    pub(super) protocols: Vec<Protocol>,
    pub(in crate::group) assignment: Bytes,
    /// Its place among all that ever joined: the first one leads.
    pub(super) order: u64,
    /// It has not been through a rebalance: it does not know its id, so it cannot send heartbeats.
    pub(super) is_new: bool,
    /// Its JoinGroup, until all members are there.
    pub(super) joining: Option<Ticket>,
    /// Its SyncGroup, until the leader's assignment is there.
    pub(super) syncing: Option<Ticket>,
    /// It is taken for dead then, unless it is heard of before.
    pub(super) deadline: Instant,
    /// When the deadline is looked at next.
    pub(super) reminder: Option<Instant>,
}

impl Member {
    /// What it says for `protocol`; empty if it does not support it.
    pub(in crate::group) fn metadata(&self, protocol: &str) -> Bytes {
        let supported = self.protocols.iter().find(|supported| supported.name == protocol);
        supported
            .map(|supported| supported.metadata.clone())
            .unwrap_or_default()
    }

    /// Whether a silent member may be taken for dead. One that waits for a rebalance has been heard of; a new one may be
    /// gone all the same, since nothing else can tell.
    pub(super) fn can_expire(&self) -> bool {
        self.is_new || (self.joining.is_none() && self.syncing.is_none())
    }

    pub(in crate::group) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Whether nothing makes the group look at this member by its deadline.
    pub(in crate::group) fn needs_reminder(&self) -> bool {
        self.reminder.is_none_or(|reminder| reminder > self.deadline)
    }

    pub(in crate::group) fn take_reminder(&mut self) -> Option<Instant> {
        self.reminder.take()
    }

    pub(in crate::group) fn remind_at(&mut self, at: Instant) {
        self.reminder = Some(at);
    }
}
