//! Long polls that wait for partitions of this shard: one-shot notifications, on the owner's side.

use std::collections::BTreeMap;

use super::hosted::Hosted;
use super::message::{Message, Wait, WaitKind};
use super::state::Shard;
use crate::model::{PartitionId, ShardId};
use crate::partition::WaitToken;

/// One entry per long poll and shard that it touches; bounded by the connections, which have one fetch in hand each.
#[derive(Debug, Default)]
pub(super) struct Waits {
    waiting: BTreeMap<WaitToken, Waiting>,
    /// Scratch for the waits that one write satisfies.
    satisfied: Vec<WaitToken>,
}

#[derive(Debug)]
struct Waiting {
    partitions: Vec<PartitionId>,
    kind: WaitKind,
    /// How much is still to come before the notification.
    wanted: u64,
}

impl Shard {
    /// Registers the wait, in place of an earlier one of the same request; or notifies at once if enough became visible
    /// since the request read. A partition that went away meanwhile takes its bytes with it: that notifies too, and the
    /// next read tells the client.
    pub(super) fn on_wait(&mut self, wait: Wait) {
        let token = WaitToken {
            shard: wait.from,
            request: wait.request,
        };
        self.forget_wait(wait.from, wait.request);
        let gained = self.mark(wait.kind, &wait.partitions).checked_sub(wait.mark);
        let Some(missing) = gained
            .and_then(|gained| wait.wanted.checked_sub(gained))
            .filter(|missing| *missing > 0)
        else {
            return self.notify(token);
        };
        for id in &wait.partitions {
            if let Some(Hosted::Open(open)) = self.hosted.get_mut(id) {
                open.partition.add_waiter(token);
            }
        }
        let waiting = Waiting {
            partitions: wait.partitions,
            kind: wait.kind,
            wanted: missing,
        };
        self.waits.waiting.insert(token, waiting);
    }

    /// What there is now, as `kind` counts it.
    pub(super) fn mark<'a>(&self, kind: WaitKind, partitions: impl IntoIterator<Item = &'a PartitionId>) -> u64 {
        let marks = partitions.into_iter().map(|id| match (self.hosted.get(id), kind) {
            (Some(Hosted::Open(open)), WaitKind::Visible) => open.partition.visible_bytes(),
            (Some(Hosted::Open(open)), WaitKind::Submitted) => {
                u64::try_from(open.partition.log().submitted()).unwrap_or(0)
            }
            _ => 0,
        });
        marks.sum()
    }

    /// `bytes` more of the partition are visible.
    pub(super) fn notify_waiters(&mut self, id: PartitionId, bytes: u64) {
        self.notify_of(id, WaitKind::Visible, bytes);
    }

    /// Followers that wait are given another answer to wait with.
    pub(super) fn refresh_followers(&mut self, id: PartitionId) {
        if !self.is_alone() {
            self.notify_of(id, WaitKind::Submitted, 1);
        }
    }

    /// Followers may copy up to where the log's writes end now. A broker alone has none, and looks no further.
    pub(super) fn notify_followers(&mut self, id: PartitionId) {
        if self.is_alone() {
            return;
        }
        let Some(Hosted::Open(open)) = self.hosted.get_mut(&id) else {
            return;
        };
        if open.partition.leadership().is_alone() {
            return;
        }
        let end = open.partition.log().submitted();
        let offsets = end - std::mem::replace(&mut open.told_end, end);
        self.notify_of(id, WaitKind::Submitted, u64::try_from(offsets).unwrap_or(0));
    }

    fn notify_of(&mut self, id: PartitionId, kind: WaitKind, more: u64) {
        let Some(Hosted::Open(open)) = self.hosted.get(&id) else {
            return;
        };
        if more == 0 || open.partition.waiters().is_empty() {
            return;
        }
        let mut satisfied = std::mem::take(&mut self.waits.satisfied);
        for token in open.partition.waiters() {
            if let Some(waiting) = self.waits.waiting.get_mut(token).filter(|waiting| waiting.kind == kind) {
                waiting.wanted = waiting.wanted.saturating_sub(more);
                if waiting.wanted == 0 {
                    satisfied.push(*token);
                }
            }
        }
        for token in satisfied.drain(..) {
            self.forget_wait(token.shard, token.request);
            self.notify(token);
        }
        self.waits.satisfied = satisfied;
    }

    /// The partition is going away: those who wait for it ask again, and learn it.
    pub(super) fn notify_all(&mut self, waiters: Vec<WaitToken>) {
        for token in waiters {
            self.forget_wait(token.shard, token.request);
            self.notify(token);
        }
    }

    pub(super) fn forget_wait(&mut self, from: ShardId, request: u64) {
        let token = WaitToken { shard: from, request };
        let Some(waiting) = self.waits.waiting.remove(&token) else {
            return;
        };
        for id in &waiting.partitions {
            if let Some(Hosted::Open(open)) = self.hosted.get_mut(id) {
                open.partition.remove_waiter(token);
            }
        }
    }

    fn notify(&mut self, token: WaitToken) {
        let notify = Message::Notify {
            request: token.request,
            from: self.id,
        };
        self.send(token.shard, notify);
    }
}
