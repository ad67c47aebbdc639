//! Long polls that wait for partitions of this shard: one-shot notifications, on the owner's side.

use std::collections::BTreeMap;

use super::hosted::Hosted;
use super::message::{Message, Wait};
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
    /// Bytes still to become visible before the notification.
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
        let gained = self.visible_bytes(&wait.partitions).checked_sub(wait.mark);
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
            wanted: missing,
        };
        self.waits.waiting.insert(token, waiting);
    }

    pub(super) fn visible_bytes<'a>(&self, partitions: impl IntoIterator<Item = &'a PartitionId>) -> u64 {
        let visible = partitions.into_iter().map(|id| match self.hosted.get(id) {
            Some(Hosted::Open(open)) => open.partition.visible_bytes(),
            _ => 0,
        });
        visible.sum()
    }

    /// `bytes` more of the partition are visible.
    pub(super) fn notify_waiters(&mut self, id: PartitionId, bytes: u64) {
        let Some(Hosted::Open(open)) = self.hosted.get(&id) else {
            return;
        };
        if bytes == 0 || open.partition.waiters().is_empty() {
            return;
        }
        let mut satisfied = std::mem::take(&mut self.waits.satisfied);
        for token in open.partition.waiters() {
            if let Some(waiting) = self.waits.waiting.get_mut(token) {
                waiting.wanted = waiting.wanted.saturating_sub(bytes);
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
