//! The transactions of one partition: which are open, which have a marker that not all replicas have, and which producers
//! have asked for one that the coordinator is still to confirm.
//!
//! Synchronous and pure; [`super::Producers`] owns it and keeps each producer's own part (its open transaction's first offset).

use std::collections::BTreeMap;

use crate::record::{BatchHeader, Marker};
use crate::storage::AbortedTxn;

/// Producers that wait for their coordinator's word. Beyond it the longest waiting ones have to ask again.
const VERIFICATIONS_MAX: usize = 16_384;

/// Names one verification: a transaction that ends between the coordinator's word and the append takes it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard(u64);

/// What entitles a batch to be part of a transaction, besides what it says itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Warrant {
    /// Nothing: it must continue a transaction that is open here, or be in none.
    #[default]
    None,
    /// The coordinator has confirmed that the partition is in the producer's transaction. //= KIP-890
    Verified(Guard),
    /// It is a marker by the coordinator's word. From transaction version 2 on every transaction has an epoch of its own.
    Marker { marker: Marker, transaction_version: i8 },
}

/// A transaction that a marker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Completed {
    pub(super) producer_id: i64,
    pub(super) first_offset: i64,
    pub(super) marker_offset: i64,
    /// Where the oldest transaction begins that is still open, or behind the marker.
    pub(super) last_stable_offset: i64,
}

/// One producer's wait for its coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verification {
    guard: Guard,
    epoch: i16,
    /// The first of the batches that wait: a later one must not overtake it.
    lowest_sequence: i32,
    since_ms: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Transactions {
    /// First offset and producer.
    open: BTreeMap<i64, i64>,
    /// First offset and marker's offset of those that ended above the high watermark: the marker could yet be lost.
    unreplicated: BTreeMap<i64, i64>,
    verifications: BTreeMap<i64, Verification>,
    last_guard: u64,
}

impl Transactions {
    /// Guards from here on differ from those of the partition's earlier lives.
    pub(super) fn start_guards_at(&mut self, first: u64) {
        self.last_guard = first;
    }

    pub(super) fn last_guard(&self) -> u64 {
        self.last_guard
    }

    pub(super) fn begin(&mut self, producer_id: i64, first_offset: i64) {
        self.open.insert(first_offset, producer_id);
        self.verifications.remove(&producer_id);
    }

    pub(super) fn complete(&mut self, producer_id: i64, first_offset: i64, marker_offset: i64) -> Completed {
        self.open.remove(&first_offset);
        self.unreplicated.insert(first_offset, marker_offset);
        Completed {
            producer_id,
            first_offset,
            marker_offset,
            last_stable_offset: self.open.keys().next().copied().unwrap_or(marker_offset + 1),
        }
    }

    /// A marker without a transaction also takes back what the coordinator confirmed before it.
    pub(super) fn forget_verification(&mut self, producer_id: i64) {
        self.verifications.remove(&producer_id);
    }

    /// The first offset that read_committed must not see yet, if any.
    pub(super) fn first_unstable(&self) -> Option<i64> {
        let open = self.open.keys().next();
        let unreplicated = self.unreplicated.keys().next();
        open.into_iter().chain(unreplicated).min().copied()
    }

    /// The producer of the transaction that has been open for the longest.
    pub(super) fn oldest_open(&self) -> Option<i64> {
        self.open.values().next().copied()
    }

    pub(super) fn on_high_watermark(&mut self, high_watermark: i64) {
        if !self.unreplicated.is_empty() {
            self.unreplicated.retain(|_, marker| *marker >= high_watermark);
        }
    }

    /// The guard under which the batch's producer is to ask its coordinator.
    pub(super) fn ask_to_verify(&mut self, header: &BatchHeader, now_ms: i64) -> Guard {
        if self.verifications.len() >= VERIFICATIONS_MAX && !self.verifications.contains_key(&header.producer_id) {
            self.forget_longest_waiting();
        }
        let (epoch, sequence) = (header.producer_epoch, header.base_sequence);
        let last_guard = &mut self.last_guard;
        let known = self.verifications.entry(header.producer_id).or_insert_with(|| {
            *last_guard += 1;
            Verification {
                guard: Guard(*last_guard),
                epoch,
                lowest_sequence: sequence,
                since_ms: now_ms,
            }
        });
        if epoch > known.epoch {
            known.epoch = epoch;
            known.lowest_sequence = sequence;
        } else if epoch == known.epoch {
            known.lowest_sequence = known.lowest_sequence.min(sequence);
        }
        known.guard
    }

    pub(super) fn is_verified(&self, producer_id: i64, guard: Guard) -> bool {
        let known = self.verifications.get(&producer_id);
        known.is_some_and(|known| known.guard == guard)
    }

    /// The sequence that the producer must begin with, while it waits or is about to append.
    pub(super) fn lowest_sequence(&self, header: &BatchHeader) -> Option<i32> {
        let known = self.verifications.get(&header.producer_id)?;
        (known.epoch == header.producer_epoch).then_some(known.lowest_sequence)
    }

    pub(super) fn expire_verifications(&mut self, now_ms: i64, expiration_ms: i64) {
        self.verifications
            .retain(|_, known| now_ms.saturating_sub(known.since_ms) < expiration_ms);
    }

    fn forget_longest_waiting(&mut self) {
        let mut since: Vec<i64> = self.verifications.values().map(|known| known.since_ms).collect();
        let (_, limit, _) = since.select_nth_unstable(VERIFICATIONS_MAX / 8);
        let limit = *limit;
        self.verifications.retain(|_, known| known.since_ms > limit);
    }
}

impl Completed {
    pub(super) fn into_aborted(self) -> AbortedTxn {
        AbortedTxn {
            producer_id: self.producer_id,
            first_offset: self.first_offset,
            last_offset: self.marker_offset,
            last_stable_offset: self.last_stable_offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::producers::tests::batch;

    /// The oldest open transaction bounds what is stable; one that ended does so until its marker is replicated.
    #[test]
    fn unstable_until_the_marker_is_replicated() {
        let mut transactions = Transactions::default();
        assert_eq!(transactions.first_unstable(), None);
        transactions.begin(1, 10);
        transactions.begin(2, 20);
        assert_eq!(transactions.first_unstable(), Some(10));
        let completed = transactions.complete(1, 10, 30);
        assert_eq!(completed.last_stable_offset, 20);
        assert_eq!(transactions.first_unstable(), Some(10));
        transactions.on_high_watermark(30);
        assert_eq!(transactions.first_unstable(), Some(10));
        transactions.on_high_watermark(31);
        assert_eq!(transactions.first_unstable(), Some(20));
        let completed = transactions.complete(2, 20, 31);
        assert_eq!(completed.last_stable_offset, 32);
        transactions.on_high_watermark(32);
        assert_eq!(transactions.first_unstable(), None);
    }

    /// One guard per wait; the transaction's first batch, or a marker, ends it.
    #[test]
    fn guards_end_with_the_wait() {
        let mut transactions = Transactions::default();
        transactions.start_guards_at(7 << 32);
        let guard = transactions.ask_to_verify(&batch(1, 0, 4, 1), 0);
        assert_eq!(transactions.ask_to_verify(&batch(1, 0, 5, 1), 0), guard);
        assert_ne!(transactions.ask_to_verify(&batch(2, 0, 0, 1), 0), guard);
        assert!(transactions.is_verified(1, guard) && !transactions.is_verified(2, guard));
        transactions.begin(1, 10);
        assert!(!transactions.is_verified(1, guard));
        let again = transactions.ask_to_verify(&batch(1, 0, 4, 1), 0);
        assert_ne!(again, guard);
        transactions.forget_verification(1);
        assert!(!transactions.is_verified(1, again));
    }

    /// The lowest sequence of those that wait goes first; a new epoch starts over.
    #[test]
    fn lowest_sequence_goes_first() {
        let mut transactions = Transactions::default();
        for sequence in [6, 5, 7] {
            transactions.ask_to_verify(&batch(1, 0, sequence, 1), 0);
        }
        assert_eq!(transactions.lowest_sequence(&batch(1, 0, 7, 1)), Some(5));
        transactions.ask_to_verify(&batch(1, 1, 0, 1), 0);
        assert_eq!(transactions.lowest_sequence(&batch(1, 0, 7, 1)), None);
        assert_eq!(transactions.lowest_sequence(&batch(1, 1, 1, 1)), Some(0));
        transactions.expire_verifications(10, 10);
        assert_eq!(transactions.lowest_sequence(&batch(1, 1, 1, 1)), None);
    }

    /// However many producers ask, the number that is remembered is bounded.
    #[test]
    fn number_of_waits_is_bounded() {
        let mut transactions = Transactions::default();
        for id in 0..2 * VERIFICATIONS_MAX as i64 {
            transactions.ask_to_verify(&batch(id, 0, 0, 1), id);
        }
        assert!(transactions.verifications.len() <= VERIFICATIONS_MAX);
        assert!(
            transactions
                .verifications
                .contains_key(&(2 * VERIFICATIONS_MAX as i64 - 1))
        );
    }
}
