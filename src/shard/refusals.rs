//! Batches behind a refused one.
//!
//! A client that numbers its batches has several on the way. Where the first is refused for a moment (its leader has just
//! changed, a disk is full), the moment may pass before those behind it come. Taken by themselves they are a gap in the
//! numbers, upon which librdkafka takes a new epoch and sends again what it is in doubt about elsewhere, so that records are
//! there twice; and of a producer that is new here the second batch would be taken for its first. So they are refused as the
//! first was, until it comes again. What is refused before it gets to the partition's owner (an unknown topic, a full queue)
//! is not remembered.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{ErrorCode, PartitionId};
use crate::record::BatchHeader;
use crate::rt::Instant;

/// A client sends a refused batch again after a second at most (`retry.backoff.max.ms`), and may have to ask for the leader
/// before. One that does not come back leaves a gap that its producer is to hear of.
const PATIENCE: Duration = Duration::from_secs(5);

/// Producers, by partition, of which a refusal is remembered (some 5 MB). What is beyond is answered as it comes.
const REFUSALS_MAX: usize = 65_536;

/// Upon these a client sends the same batch again, here or elsewhere.
const PASSING: [ErrorCode; 5] = [
    ErrorCode::NotLeaderOrFollower,
    ErrorCode::UnknownTopicOrPartition,
    ErrorCode::NotEnoughReplicas,
    ErrorCode::KafkaStorageError,
    ErrorCode::RequestTimedOut,
];

/// A batch as its producer numbered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbered {
    partition: PartitionId,
    producer_id: i64,
    epoch: i16,
    sequence: i32,
}

#[derive(Debug)]
struct Refusal {
    epoch: i16,
    sequence: i32,
    code: ErrorCode,
    at: Instant,
}

/// The first batch of each producer that was refused.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    first: BTreeMap<(PartitionId, i64), Refusal>,
}

impl Numbered {
    /// `None`: without a number there is no order to keep.
    pub(super) fn of(partition: PartitionId, header: &BatchHeader) -> Option<Numbered> {
        (header.producer_id >= 0 && header.base_sequence >= 0).then_some(Numbered {
            partition,
            producer_id: header.producer_id,
            epoch: header.producer_epoch,
            sequence: header.base_sequence,
        })
    }

    fn key(&self) -> (PartitionId, i64) {
        (self.partition, self.producer_id)
    }

    /// Sequences begin again at 0 after `i32::MAX`: the nearer way round says which is behind.
    fn is_behind(&self, refused: &Refusal) -> bool {
        let distance = self.sequence.wrapping_sub(refused.sequence) & i32::MAX;
        self.epoch == refused.epoch && distance > 0 && distance <= i32::MAX / 2
    }
}

impl Refusals {
    /// Why the batch cannot be taken yet.
    pub(super) fn ahead_of(&self, batch: &Numbered, now: Instant) -> Option<ErrorCode> {
        let refused = self.first.get(&batch.key())?;
        let stands = now.since(refused.at) < PATIENCE;
        (stands && batch.is_behind(refused)).then_some(match refused.code {
            // A client takes this for "perhaps written", which those behind are not.
            ErrorCode::RequestTimedOut => ErrorCode::NotEnoughReplicas,
            code => code,
        })
    }

    /// What became of a batch that was looked at.
    pub(super) fn note(&mut self, batch: &Numbered, code: ErrorCode, now: Instant) {
        if code.is_none() {
            self.settle(batch);
        } else if PASSING.contains(&code) {
            self.remember(batch, code, now);
        }
    }

    fn remember(&mut self, batch: &Numbered, code: ErrorCode, now: Instant) {
        let room = self.first.len() < REFUSALS_MAX;
        let takes = match self.first.get(&batch.key()) {
            None => room,
            Some(first) if now.since(first.at) >= PATIENCE => true,
            Some(first) => first.epoch <= batch.epoch && !batch.is_behind(first),
        };
        if !takes {
            return;
        }
        let refusal = Refusal {
            epoch: batch.epoch,
            sequence: batch.sequence,
            code,
            at: now,
        };
        self.first.insert(batch.key(), refusal);
    }

    /// A repeated batch from before the refused one changes nothing.
    fn settle(&mut self, taken: &Numbered) {
        let is_it = |refused: &Refusal| (refused.epoch, refused.sequence) == (taken.epoch, taken.sequence);
        if self.first.get(&taken.key()).is_some_and(is_it) {
            self.first.remove(&taken.key());
        }
    }

    /// What was refused of the batch's producer is missed no more.
    pub(super) fn forget(&mut self, batch: &Numbered) {
        self.first.remove(&batch.key());
    }

    /// Drops what nobody came back for.
    pub(super) fn expire(&mut self, now: Instant) {
        self.first.retain(|_, refused| now.since(refused.at) < PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopicId;

    fn batch(epoch: i16, sequence: i32) -> Numbered {
        Numbered {
            partition: PartitionId {
                topic: TopicId([1; 16]),
                index: 0,
            },
            producer_id: 7,
            epoch,
            sequence,
        }
    }

    #[test]
    fn who_is_behind_a_refused_batch_waits_for_it() {
        let (mut refusals, now) = (Refusals::default(), Instant(0));
        refusals.note(&batch(0, 5), ErrorCode::NotEnoughReplicas, now);
        assert_eq!(refusals.ahead_of(&batch(0, 6), now), Some(ErrorCode::NotEnoughReplicas));
        for free in [batch(0, 5), batch(0, 4), batch(1, 6)] {
            assert_eq!(refusals.ahead_of(&free, now), None, "{free:?}");
        }
        refusals.note(&batch(0, 4), ErrorCode::None, now);
        assert!(
            refusals.ahead_of(&batch(0, 6), now).is_some(),
            "an earlier one is not it"
        );
        refusals.note(&batch(0, 5), ErrorCode::None, now);
        assert_eq!(refusals.ahead_of(&batch(0, 6), now), None);
    }

    #[test]
    fn a_gap_that_stays_is_told_of() {
        let (mut refusals, now) = (Refusals::default(), Instant(0));
        refusals.note(&batch(0, 5), ErrorCode::KafkaStorageError, now);
        assert_eq!(refusals.ahead_of(&batch(0, 6), now.after(PATIENCE)), None);
        refusals.expire(now.after(PATIENCE));
        assert!(refusals.first.is_empty());
        refusals.note(&batch(0, 5), ErrorCode::OutOfOrderSequenceNumber, now);
        assert!(refusals.first.is_empty(), "nobody sends that one again");
    }

    #[test]
    fn the_first_of_the_newest_epoch_is_remembered() {
        let (mut refusals, now) = (Refusals::default(), Instant(0));
        for refused in [batch(1, 5), batch(1, 6), batch(0, 2)] {
            refusals.note(&refused, ErrorCode::RequestTimedOut, now);
        }
        assert_eq!(refusals.ahead_of(&batch(1, 6), now), Some(ErrorCode::NotEnoughReplicas));
        assert_eq!(refusals.ahead_of(&batch(1, 5), now), None);
    }

    #[test]
    fn sequences_go_round() {
        let (mut refusals, now) = (Refusals::default(), Instant(0));
        refusals.note(&batch(0, i32::MAX), ErrorCode::NotLeaderOrFollower, now);
        assert!(refusals.ahead_of(&batch(0, 0), now).is_some());
        assert!(refusals.ahead_of(&batch(0, i32::MAX - 1), now).is_none());
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let (mut refusals, now) = (Refusals::default(), Instant(0));
        for producer_id in 0..=REFUSALS_MAX as i64 {
            let batch = Numbered {
                producer_id,
                ..batch(0, 0)
            };
            refusals.note(&batch, ErrorCode::NotLeaderOrFollower, now);
        }
        assert_eq!(refusals.first.len(), REFUSALS_MAX);
    }
}
