//! Produce parts whose writes are awaited, on the owner's side.

use std::collections::BTreeMap;

use super::types::AppendOutcome;
use crate::model::{ErrorCode, ShardId};
use crate::partition::AckToken;
use crate::rt::Instant;

/// One entry per produce request that touches this shard and waits; bounded by what the connections admit.
#[derive(Debug, Default)]
pub(super) struct Acknowledgements {
    next: u64,
    waiting: BTreeMap<u64, WaitingPart>,
}

/// Outcomes that are awaited say "timed out" until their ack comes, so the part can be answered as it is at any time.
#[derive(Debug)]
pub(super) struct WaitingPart {
    pub(super) from: ShardId,
    pub(super) request: u64,
    pub(super) taken: Instant,
    pub(super) outcomes: Vec<AppendOutcome>,
    pub(super) missing: usize,
    pub(super) deadline: Instant,
}

impl Acknowledgements {
    /// The name of the next part.
    pub(super) fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn insert(&mut self, name: u64, part: WaitingPart) {
        self.waiting.insert(name, part);
    }

    pub(super) fn is_waiting(&self, name: u64) -> bool {
        self.waiting.contains_key(&name)
    }

    pub(super) fn remove(&mut self, name: u64) -> Option<WaitingPart> {
        self.waiting.remove(&name)
    }

    /// The write of one partition is done. Returns the part if it was the last one awaited.
    pub(super) fn acknowledge(&mut self, token: AckToken) -> Option<WaitingPart> {
        self.settle(token, |outcome| outcome.error = ErrorCode::None)
    }

    /// One partition of the part will not be written after all, or was not appended in the first place.
    pub(super) fn settle(&mut self, token: AckToken, change: impl FnOnce(&mut AppendOutcome)) -> Option<WaitingPart> {
        let part = self.waiting.get_mut(&token.request)?;
        change(part.outcomes.get_mut(token.slot as usize)?);
        part.missing -= 1;
        if part.missing > 0 {
            return None;
        }
        self.waiting.remove(&token.request)
    }

    /// A parked append was staged: its offsets are known, its ack is still awaited.
    pub(super) fn staged(&mut self, token: AckToken, outcome: AppendOutcome) {
        let part = self.waiting.get_mut(&token.request);
        if let Some(known) = part.and_then(|part| part.outcomes.get_mut(token.slot as usize)) {
            *known = outcome;
        }
    }
}
