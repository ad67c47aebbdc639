//! Idempotent producers of one partition: the last batches of each, so that a retried batch is stored once.
//!
//! The state covers every batch that is *staged*: a duplicate of a batch that still waits for its write is recognised
//! too (the partition then makes it wait for the same write). It is rebuilt on opening from the newest snapshot and the
//! headers behind it; see [`super::snapshot`] for the file.

use std::collections::BTreeMap;

use crate::model::NO_PRODUCER_ID;
use crate::record::BatchHeader;

/// Batches remembered per producer: a client may have five requests in flight (protocol behaviour 27).
pub const RECENT_BATCHES_MAX: usize = 5;
/// Producers remembered per partition. Kafka has no bound but the expiry; a client that asks for a new producer id for
/// every batch could fill the memory, so beyond this the longest inactive ones are forgotten, an eighth at a time.
pub const PRODUCERS_MAX: usize = 65_536;

/// The sequence before the first one.
const NO_SEQUENCE: i32 = -1;

/// What the state says about a batch that a client wants to append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In sequence, or not idempotent.
    New,
    /// Appended before, at these offsets.
    Duplicate(RecentBatch),
}

/// Why a batch must not be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    #[error("sequence {found} of producer {producer_id} (epoch {epoch}) follows {last}")]
    OutOfOrder {
        producer_id: i64,
        epoch: i16,
        last: i32,
        found: i32,
    },
    #[error("epoch {found} of producer {producer_id} is older than {current}")]
    StaleEpoch { producer_id: i64, current: i16, found: i16 },
}

/// A batch that a producer appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecentBatch {
    pub last_sequence: i32,
    pub last_offset: i64,
    /// Last offset and sequence minus the first ones.
    pub offset_delta: i32,
    pub timestamp_ms: i64,
}

impl RecentBatch {
    pub fn base_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }

    fn first_sequence(&self) -> i32 {
        let first = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        if first >= 0 {
            first as i32
        } else {
            (first + (1 << 31)) as i32
        }
    }

    fn of(header: &BatchHeader, base_offset: i64) -> RecentBatch {
        RecentBatch {
            last_sequence: header.last_sequence(),
            last_offset: base_offset + i64::from(header.last_offset_delta),
            offset_delta: header.last_offset_delta,
            timestamp_ms: header.max_timestamp,
        }
    }
}

/// One producer: its epoch and its newest batches, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) epoch: i16,
    pub(super) active_ms: i64,
    recent: [RecentBatch; RECENT_BATCHES_MAX],
    count: u8,
}

impl Producer {
    pub(super) fn new(epoch: i16, active_ms: i64) -> Producer {
        Producer {
            epoch,
            active_ms,
            recent: Default::default(),
            count: 0,
        }
    }

    pub(super) fn recent(&self) -> &[RecentBatch] {
        &self.recent[..usize::from(self.count)]
    }

    pub(super) fn last(&self) -> Option<&RecentBatch> {
        self.recent().last()
    }

    fn last_sequence(&self) -> i32 {
        self.last().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    pub(super) fn push(&mut self, batch: RecentBatch) {
        if usize::from(self.count) == RECENT_BATCHES_MAX {
            self.recent.copy_within(1.., 0);
            self.count -= 1;
        }
        self.recent[usize::from(self.count)] = batch;
        self.count += 1;
    }

    /// Puts an older batch in front of the known ones, if there is room.
    fn push_older(&mut self, batch: RecentBatch) {
        let count = usize::from(self.count);
        if count < RECENT_BATCHES_MAX {
            self.recent.copy_within(..count, 1);
            self.recent[0] = batch;
            self.count += 1;
        }
    }

    fn enter_epoch(&mut self, epoch: i16) {
        self.epoch = epoch;
        self.count = 0;
    }
}

/// All producers of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producers {
    by_id: BTreeMap<i64, Producer>,
}

impl Producers {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Judges a client's batch; changes nothing.
    pub fn check(&self, header: &BatchHeader) -> Result<Verdict, SequenceError> {
        if header.producer_id == NO_PRODUCER_ID {
            return Ok(Verdict::New);
        }
        // An unknown producer may start anywhere: its state may have expired or been deleted with its records.
        //= KIP-360
        let Some(producer) = self.by_id.get(&header.producer_id) else {
            return Ok(Verdict::New);
        };
        if let Some(batch) = duplicate_of(producer, header) {
            return Ok(Verdict::Duplicate(*batch));
        }
        check_epoch(producer, header)?;
        check_sequence(producer, header)?;
        Ok(Verdict::New)
    }

    /// Remembers a batch that was staged at `base_offset`.
    pub fn record(&mut self, header: &BatchHeader, base_offset: i64, now_ms: i64) {
        if header.producer_id == NO_PRODUCER_ID {
            return;
        }
        if self.by_id.len() >= PRODUCERS_MAX && !self.by_id.contains_key(&header.producer_id) {
            self.forget_inactive();
        }
        let epoch = header.producer_epoch;
        let producer = self
            .by_id
            .entry(header.producer_id)
            .or_insert_with(|| Producer::new(epoch, now_ms));
        if producer.epoch != epoch {
            producer.enter_epoch(epoch);
        }
        producer.active_ms = producer.active_ms.max(now_ms);
        // A control batch (a log that Kafka wrote may hold some) moves the epoch and has no sequence.
        if !header.is_control() {
            producer.push(RecentBatch::of(header, base_offset));
        }
    }

    /// Learns from a batch of the log while it is recovered.
    pub fn observe(&mut self, header: &BatchHeader) {
        self.record(header, header.base_offset, header.max_timestamp);
    }

    /// Puts the state of a snapshot *below* what was observed: the log is scanned behind the snapshot before its content
    /// is known.
    pub(super) fn put_below(&mut self, producer_id: i64, older: Producer) {
        match self.by_id.get_mut(&producer_id) {
            None => {
                self.by_id.insert(producer_id, older);
            }
            Some(newer) if newer.epoch == older.epoch => {
                for batch in older.recent().iter().rev() {
                    newer.push_older(*batch);
                }
            }
            Some(_) => {}
        }
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (i64, &Producer)> {
        self.by_id.iter().map(|(id, producer)| (*id, producer))
    }

    /// Forgets the producers that appended nothing for `expiration_ms` (producer.id.expiration.ms).
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.by_id
            .retain(|_, producer| now_ms.saturating_sub(producer.active_ms) < expiration_ms);
    }

    fn forget_inactive(&mut self) {
        let mut active: Vec<i64> = self.by_id.values().map(|producer| producer.active_ms).collect();
        let (_, limit, _) = active.select_nth_unstable(PRODUCERS_MAX / 8);
        let limit = *limit;
        let mut excess = PRODUCERS_MAX / 8;
        self.by_id.retain(|_, producer| {
            let forget = excess > 0 && producer.active_ms <= limit;
            excess -= usize::from(forget);
            !forget
        });
    }
}

/// The remembered batch with the same epoch, first and last sequence.
fn duplicate_of<'a>(producer: &'a Producer, header: &BatchHeader) -> Option<&'a RecentBatch> {
    if producer.epoch != header.producer_epoch {
        return None;
    }
    let (first, last) = (header.base_sequence, header.last_sequence());
    producer
        .recent()
        .iter()
        .find(|batch| batch.last_sequence == last && batch.first_sequence() == first)
}

fn check_epoch(producer: &Producer, header: &BatchHeader) -> Result<(), SequenceError> {
    if header.producer_epoch >= producer.epoch {
        return Ok(());
    }
    Err(SequenceError::StaleEpoch {
        producer_id: header.producer_id,
        current: producer.epoch,
        found: header.producer_epoch,
    })
}

/// In the same epoch the next sequence is the last one plus one, and 0 follows 2^31 - 1; a new epoch starts at 0.
fn check_sequence(producer: &Producer, header: &BatchHeader) -> Result<(), SequenceError> {
    let last = if header.producer_epoch == producer.epoch {
        producer.last_sequence()
    } else {
        NO_SEQUENCE
    };
    let expected = last.checked_add(1).unwrap_or(0);
    if header.base_sequence == expected {
        return Ok(());
    }
    Err(SequenceError::OutOfOrder {
        producer_id: header.producer_id,
        epoch: header.producer_epoch,
        last,
        found: header.base_sequence,
    })
}

#[cfg(test)]
pub(super) mod tests;
