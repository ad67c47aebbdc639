//! DeleteRecords on partitions with followers: answered once every live replica's log begins where it was asked to, or its
//! time is over.

use std::collections::BTreeMap;

use super::hosted::Hosted;
use super::message::{Answer, DeletePart};
use super::query::delete_records;
use super::state::Shard;
use super::timers::Due;
use super::types::DeletedRecords;
use crate::model::{ErrorCode, PartitionId, ShardId};
use crate::rt::{Instant, Now};

/// Bounded by the requests that the connections admit.
#[derive(Default)]
pub(super) struct Deletions {
    last: u64,
    parts: BTreeMap<u64, Part>,
    waiting: BTreeMap<PartitionId, Vec<Waiting>>,
}

/// Outcomes that are awaited say "timed out" until the followers have come so far.
struct Part {
    from: ShardId,
    request: u64,
    taken: Instant,
    outcomes: Vec<DeletedRecords>,
    missing: usize,
    deadline: Instant,
}

struct Waiting {
    part: u64,
    slot: usize,
    low_watermark: i64,
}

impl Shard {
    pub(super) fn on_delete_records(&mut self, from: ShardId, request: u64, ask: DeletePart, now: Now) {
        self.deletions.last += 1;
        let name = self.deletions.last;
        let (mut outcomes, mut missing) = (Vec::with_capacity(ask.items.len()), 0);
        for (slot, item) in ask.items.iter().enumerate() {
            let outcome = match self.serving(item.partition) {
                Err(error) => DeletedRecords::refused(error),
                Ok(open) => match delete_records(open, item, now) {
                    done if done.error.is_none() && open.partition.low_watermark() < done.low_watermark => {
                        missing += 1;
                        let waiting = Waiting {
                            part: name,
                            slot,
                            low_watermark: done.low_watermark,
                        };
                        self.deletions.waiting.entry(item.partition).or_default().push(waiting);
                        DeletedRecords::refused(ErrorCode::RequestTimedOut)
                    }
                    done => done,
                },
            };
            outcomes.push(outcome);
        }
        if missing == 0 {
            return self.answer(from, request, Answer::DeleteRecords(outcomes));
        }
        let deadline = now.instant.after(ask.timeout);
        self.timers.add(deadline, Due::Deletion(name));
        let part = Part {
            from,
            request,
            taken: now.instant,
            outcomes,
            missing,
            deadline,
        };
        self.deletions.parts.insert(name, part);
    }

    /// A follower was heard, or the partition does not lead any more.
    pub(super) fn settle_deletions(&mut self, id: PartitionId) {
        let Some(waiting) = self.deletions.waiting.remove(&id) else {
            return;
        };
        let reached = match self.hosted.get_mut(&id).map(Hosted::serving) {
            Some(Ok(open)) => Ok(open.partition.low_watermark()),
            Some(Err(error)) => Err(error),
            None => Err(ErrorCode::UnknownTopicOrPartition),
        };
        let mut left = Vec::new();
        for one in waiting {
            match reached {
                Ok(low_watermark) if low_watermark < one.low_watermark => left.push(one),
                Ok(low_watermark) => self.deleted(
                    one,
                    DeletedRecords {
                        error: ErrorCode::None,
                        low_watermark,
                    },
                ),
                Err(error) => self.deleted(one, DeletedRecords::refused(error)),
            }
        }
        left.retain(|one| self.deletions.parts.contains_key(&one.part));
        if !left.is_empty() {
            self.deletions.waiting.insert(id, left);
        }
    }

    fn deleted(&mut self, one: Waiting, outcome: DeletedRecords) {
        let Some(part) = self.deletions.parts.get_mut(&one.part) else {
            return;
        };
        if let Some(place) = part.outcomes.get_mut(one.slot) {
            *place = outcome;
        }
        part.missing -= 1;
        if part.missing == 0 {
            self.answer_deletion(one.part);
        }
    }

    pub(super) fn on_deletion_timeout(&mut self, name: u64) {
        // Its items go with the next word of a follower.
        self.answer_deletion(name);
    }

    fn answer_deletion(&mut self, name: u64) {
        if let Some(part) = self.deletions.parts.remove(&name) {
            self.timers.remove(part.deadline, Due::Deletion(name));
            self.answer_since(
                part.taken,
                part.from,
                part.request,
                Answer::DeleteRecords(part.outcomes),
            );
        }
    }
}
