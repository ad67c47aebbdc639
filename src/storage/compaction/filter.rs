//! What stays of each batch (Kafka's rules): the newest record per key, tombstones and markers for their time, nothing of
//! aborted transactions, and the headers that say how far a producer is. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::keys::Keys;
use crate::record::{BatchError, BatchHeader, DECOMPRESSED_BYTES_MAX, Marker, Retained, emptied, retain};
use crate::storage::AbortedTxn;

/// What the log's producers need their newest batch for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRecord {
    /// The last offset of its newest batch of records; `None` if only a marker is known.
    pub offset: Option<i64>,
    pub epoch: i16,
}

/// Walks over the transactions of a log's batches, in order from its start.
#[derive(Default)]
pub(super) struct Transactions {
    /// By first offset: not met yet.
    coming: VecDeque<AbortedTxn>,
    /// By producer; whether a batch of it is still there.
    aborted: BTreeMap<i64, (AbortedTxn, bool)>,
    committed: BTreeSet<i64>,
}

impl Transactions {
    pub fn new(mut aborted: Vec<AbortedTxn>) -> Transactions {
        aborted.sort_by_key(|one| one.first_offset);
        Transactions {
            coming: aborted.into(),
            ..Transactions::default()
        }
    }

    /// Whether a batch of records belongs to an aborted transaction.
    pub fn on_records(&mut self, header: &BatchHeader) -> bool {
        self.meet(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id) {
            Some((_, is_there)) => {
                *is_there = true;
                true
            }
            None => {
                self.committed.insert(header.producer_id);
                false
            }
        }
    }

    /// The entry that the index of the marker's segment keeps, and whether nothing of the transaction is there any more.
    pub fn on_marker(&mut self, header: &BatchHeader, marker: Option<Marker>) -> (Option<AbortedTxn>, bool) {
        self.meet(header.last_offset());
        match marker {
            None => (None, true),
            Some(marker) if marker.commit => (None, !self.committed.remove(&header.producer_id)),
            Some(_) => match self.aborted.remove(&header.producer_id) {
                Some((aborted, true)) => (Some(aborted), false),
                _ => (None, true),
            },
        }
    }

    fn meet(&mut self, offset: i64) {
        while let Some(one) = self.coming.pop_front_if(|one| one.first_offset <= offset) {
            self.aborted.insert(one.producer_id, (one, false));
        }
    }
}

/// What decides about a batch, besides its transaction.
pub(super) struct Filter<'a> {
    pub keys: &'a Keys,
    pub last_records: &'a BTreeMap<i64, LastRecord>,
    pub now_ms: i64,
    pub delete_retention_ms: i64,
}

/// What is written in a batch's place.
pub(super) enum Outcome {
    Same,
    Other(Vec<u8>),
    Gone,
}

impl Filter<'_> {
    /// `must_stay`: the batch ends its segment; where its records go, its header stays, and with it the offset of the end.
    pub fn apply(
        &self,
        header: &BatchHeader,
        batch: &[u8],
        is_decided_away: bool,
        must_stay: bool,
    ) -> Result<Outcome, BatchError> {
        let horizon = header.delete_horizon_ms();
        let is_past = horizon.is_some_and(|horizon| horizon <= self.now_ms);
        // Markers wait for the horizon too, as tombstones do: a reader in the middle of the transaction needs them.
        let drops_all = is_decided_away && (!header.is_control() || is_past);
        let keeps_tombstones = horizon.is_none_or(|horizon| self.now_ms < horizon);
        let new_horizon = self.now_ms.saturating_add(self.delete_retention_ms);
        let is_marker_of_nothing = is_decided_away && header.is_control();
        let retained = retain(
            header,
            batch,
            (new_horizon, is_marker_of_nothing),
            DECOMPRESSED_BYTES_MAX,
            &mut |view, offset| match header.is_control() {
                _ if drops_all => false,
                true => true,
                false => {
                    self.keys.is_newest(view.key, offset)
                        && (view.value.is_some() || keeps_tombstones || offset > self.keys.upto())
                }
            },
        )?;
        Ok(match retained {
            Retained::Whole => Outcome::Same,
            Retained::Rewritten(batch) => Outcome::Other(batch),
            Retained::Nothing if !must_stay && !self.is_last_of_producer(header) => Outcome::Gone,
            Retained::Nothing if header.record_count == 0 => Outcome::Same,
            Retained::Nothing => Outcome::Other(emptied(header)),
        })
    }

    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let last = self.last_records.get(&header.producer_id);
        last.is_some_and(|last| match last.offset {
            Some(offset) => offset == header.last_offset(),
            None => header.is_control() && header.producer_epoch == last.epoch,
        })
    }
}
