//! Idempotent and transactional producers of one partition: the last batches of each, so that a retried batch is stored
//! once, and where its open transaction begins.
//!
//! The state covers every batch that is *staged*: a duplicate of a batch that still waits for its write is recognised
//! too (the partition then makes it wait for the same write). It is rebuilt on opening from the newest snapshot and the
//! batches behind it; see [`super::snapshot`] for the file.

use std::collections::BTreeMap;

use super::transactions::{Completed, Guard, Transactions, Warrant};
use crate::model::NO_PRODUCER_ID;
use crate::record::{BatchHeader, Marker};
use crate::storage::{AbortedTxn, LastRecord, Replay};

/// Batches remembered per producer: a client may have five requests in flight (protocol behaviour 27).
pub const RECENT_BATCHES_MAX: usize = 5;
/// Producers remembered per partition. Kafka has no bound but the expiry; a client that asks for a new producer id for
/// every batch could fill the memory, so beyond this the longest inactive ones are forgotten, an eighth at a time.
pub const PRODUCERS_MAX: usize = 65_536;

/// The sequence before the first one; also that of batches which the broker's own coordinators write.
const NO_SEQUENCE: i32 = -1;
/// Of a producer that no marker has been written for.
pub(super) const NO_COORDINATOR_EPOCH: i32 = -1;
/// From this version on a transaction's marker has an epoch above that of its records. //= KIP-890
const EPOCH_PER_TRANSACTION: i8 = 2;

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
pub enum ProducerError {
    #[error("sequence {found} of producer {producer_id} (epoch {epoch}) follows {last}")]
    OutOfOrder {
        producer_id: i64,
        epoch: i16,
        last: i32,
        found: i32,
    },
    #[error("epoch {found} of producer {producer_id} is older than {current}")]
    StaleEpoch { producer_id: i64, current: i16, found: i16 },
    #[error("coordinator epoch {found} of a marker for producer {producer_id} is older than {current}")]
    FencedCoordinator { producer_id: i64, current: i32, found: i32 },
    #[error("producer {producer_id} has a transaction open here and sent a batch outside of it")]
    OutsideTransaction { producer_id: i64 },
    /// To be verified with the coordinator, and to be tried again with the guard.
    #[error("the transaction of producer {producer_id} is not known here yet")]
    Unverified { producer_id: i64, guard: Guard },
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
    /// Of the coordinator that wrote the last marker.
    pub(super) coordinator_epoch: i32,
    /// Where its open transaction begins.
    pub(super) transaction: Option<i64>,
    recent: [RecentBatch; RECENT_BATCHES_MAX],
    count: u8,
}

impl Producer {
    pub(super) fn new(epoch: i16, active_ms: i64) -> Producer {
        Producer {
            epoch,
            active_ms,
            coordinator_epoch: NO_COORDINATOR_EPOCH,
            transaction: None,
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

    /// Without the last.
    pub(super) fn earlier(&self) -> &[RecentBatch] {
        self.recent().split_last().map_or(&[], |(_, earlier)| earlier)
    }

    /// Puts it in before the last. False: there is none, or no room for another, or it does not belong there.
    pub(super) fn push_earlier(&mut self, batch: RecentBatch) -> bool {
        let count = usize::from(self.count);
        let belongs = |last: &RecentBatch| (0..last.last_offset).contains(&batch.last_offset);
        if count == RECENT_BATCHES_MAX || !self.last().is_some_and(belongs) {
            return false;
        }
        self.recent[count] = std::mem::replace(&mut self.recent[count - 1], batch);
        self.count += 1;
        true
    }

    fn last_sequence(&self) -> i32 {
        self.last().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    /// 0 follows 2^31 - 1.
    fn next_sequence(&self) -> i32 {
        self.last_sequence().checked_add(1).unwrap_or(0)
    }

    pub(super) fn push(&mut self, batch: RecentBatch) {
        if usize::from(self.count) == RECENT_BATCHES_MAX {
            self.recent.copy_within(1.., 0);
            self.count -= 1;
        }
        self.recent[usize::from(self.count)] = batch;
        self.count += 1;
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
    transactions: Transactions,
}

/// A producer as DescribeProducers tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    pub producer_id: i64,
    pub epoch: i16,
    /// -1: none.
    pub last_sequence: i32,
    pub last_timestamp_ms: i64,
    /// -1: none.
    pub coordinator_epoch: i32,
    pub transaction_first_offset: Option<i64>,
}

impl Producers {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Judges a batch of records. Remembers nothing of it but that its transaction is to be verified.
    pub fn check(&mut self, header: &BatchHeader, warrant: Warrant, now_ms: i64) -> Result<Verdict, ProducerError> {
        if header.producer_id == NO_PRODUCER_ID {
            return Ok(Verdict::New);
        }
        // An unknown producer may start anywhere: its state may have expired or been deleted with its records.
        //= KIP-360
        let producer = self.by_id.get(&header.producer_id);
        if let Some(batch) = producer.and_then(|producer| duplicate_of(producer, header)) {
            return Ok(Verdict::Duplicate(*batch));
        }
        if let Some(producer) = producer {
            check_epoch(producer, header)?;
        }
        // Before the sequence: of two batches on their way, the second must be verified too, not refused.
        check_transaction(producer, &mut self.transactions, header, warrant, now_ms)?;
        if header.base_sequence != NO_SEQUENCE {
            check_sequence(producer, &self.transactions, header)?;
        }
        Ok(Verdict::New)
    }

    /// Whether the batch is the one that its producer's last is followed by, or one of the last again.
    pub fn continues(&self, header: &BatchHeader) -> bool {
        let known = self.by_id.get(&header.producer_id);
        known.is_some_and(|producer| {
            let is_next =
                || producer.epoch == header.producer_epoch && producer.next_sequence() == header.base_sequence;
            duplicate_of(producer, header).is_some() || is_next()
        })
    }

    /// Judges a marker; changes nothing.
    pub fn check_marker(
        &self,
        header: &BatchHeader,
        marker: Marker,
        transaction_version: i8,
    ) -> Result<(), ProducerError> {
        let Some(producer) = self.by_id.get(&header.producer_id) else {
            return Ok(());
        };
        check_epoch(producer, header)?;
        // One that finds no transaction is a repeated one, and does no harm. //= KAFKA-19999
        let ends_another = header.producer_epoch == producer.epoch && producer.transaction.is_some();
        if transaction_version >= EPOCH_PER_TRANSACTION && ends_another {
            return Err(stale_epoch(producer, header));
        }
        if marker.coordinator_epoch < producer.coordinator_epoch {
            return Err(ProducerError::FencedCoordinator {
                producer_id: header.producer_id,
                current: producer.coordinator_epoch,
                found: marker.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// Remembers a batch of records that was staged at `base_offset`.
    pub fn record(&mut self, header: &BatchHeader, base_offset: i64, now_ms: i64) {
        if header.producer_id == NO_PRODUCER_ID {
            return;
        }
        let producer = self.enter(header, now_ms);
        producer.push(RecentBatch::of(header, base_offset));
        if header.is_transactional() && producer.transaction.is_none() {
            producer.transaction = Some(base_offset);
            self.transactions.begin(header.producer_id, base_offset);
        }
    }

    /// Remembers a marker that was staged at `offset`. Gives the transaction if it was aborted, for the log's index.
    pub fn record_marker(
        &mut self,
        header: &BatchHeader,
        marker: Marker,
        offset: i64,
        now_ms: i64,
    ) -> Option<AbortedTxn> {
        let producer = self.enter(header, now_ms);
        producer.coordinator_epoch = producer.coordinator_epoch.max(marker.coordinator_epoch);
        let first_offset = producer.transaction.take();
        self.transactions.forget_verification(header.producer_id);
        let completed = self.transactions.complete(header.producer_id, first_offset?, offset);
        (!marker.commit).then(|| Completed::into_aborted(completed))
    }

    /// The producer of a batch that is staged, in the batch's epoch.
    fn enter(&mut self, header: &BatchHeader, now_ms: i64) -> &mut Producer {
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
        producer
    }

    /// Puts in a producer as a snapshot holds it.
    pub(super) fn insert(&mut self, producer_id: i64, producer: Producer) {
        if let Some(first_offset) = producer.transaction {
            self.transactions.begin(producer_id, first_offset);
        }
        self.by_id.insert(producer_id, producer);
    }

    /// The first offset that read_committed must not see yet, if any.
    pub fn first_unstable(&self) -> Option<i64> {
        self.transactions.first_unstable()
    }

    /// When the transaction that has been open for the longest was last written to.
    pub fn oldest_transaction_ms(&self) -> Option<i64> {
        let producer = self.by_id.get(&self.transactions.oldest_open()?)?;
        Some(producer.active_ms)
    }

    pub fn on_high_watermark(&mut self, high_watermark: i64) {
        self.transactions.on_high_watermark(high_watermark);
    }

    /// The log was cut: this is the state at its end. Guards go on being numbered.
    pub(super) fn rebuild(&mut self, rebuilt: Producers) {
        let guard = self.transactions.last_guard();
        *self = rebuilt;
        self.transactions.start_guards_at(guard);
    }

    /// Guards from here on differ from those of the partition's earlier lives.
    pub(super) fn start_guards_at(&mut self, first: u64) {
        self.transactions.start_guards_at(first);
    }

    /// The newest batch of each producer, which compaction must leave a header of.
    pub fn last_records(&self) -> BTreeMap<i64, LastRecord> {
        let last = |producer: &Producer| LastRecord {
            offset: producer.last().map(|batch| batch.last_offset),
            epoch: producer.epoch,
        };
        self.iter().map(|(id, producer)| (id, last(producer))).collect()
    }

    pub fn active(&self) -> impl Iterator<Item = ActiveProducer> {
        self.iter().map(|(producer_id, producer)| ActiveProducer {
            producer_id,
            epoch: producer.epoch,
            last_sequence: producer.last_sequence(),
            last_timestamp_ms: producer.active_ms,
            coordinator_epoch: producer.coordinator_epoch,
            transaction_first_offset: producer.transaction,
        })
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (i64, &Producer)> {
        self.by_id.iter().map(|(id, producer)| (*id, producer))
    }

    /// Forgets the producers that appended nothing for `expiration_ms` (producer.id.expiration.ms). One whose transaction
    /// is open is kept: its marker is still to come.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.by_id.retain(|_, producer| {
            producer.transaction.is_some() || now_ms.saturating_sub(producer.active_ms) < expiration_ms
        });
        self.transactions.expire_verifications(now_ms, expiration_ms);
    }

    fn forget_inactive(&mut self) {
        let mut active: Vec<i64> = self.by_id.values().map(|producer| producer.active_ms).collect();
        let (_, limit, _) = active.select_nth_unstable(PRODUCERS_MAX / 8);
        let limit = *limit;
        let mut excess = PRODUCERS_MAX / 8;
        self.by_id.retain(|_, producer| {
            let forget = excess > 0 && producer.active_ms <= limit && producer.transaction.is_none();
            excess -= usize::from(forget);
            !forget
        });
    }
}

impl Replay for Producers {
    fn snapshot(&mut self, offset: i64, content: &[u8]) -> bool {
        match self.adopt_snapshot(content) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(offset, %error, "producer snapshot is not used");
                false
            }
        }
    }

    fn batch(&mut self, header: &BatchHeader, batch: &[u8]) -> Option<AbortedTxn> {
        let (offset, at_ms) = (header.base_offset, header.max_timestamp);
        match Marker::read(header, batch) {
            Some(marker) => self.record_marker(header, marker, offset, at_ms),
            // Other control records, and what compaction has emptied, leave the producers as they are.
            None if header.is_control() => None,
            None => {
                self.record(header, offset, at_ms);
                None
            }
        }
    }
}

/// The remembered batch with the same epoch, first and last sequence.
fn duplicate_of<'a>(producer: &'a Producer, header: &BatchHeader) -> Option<&'a RecentBatch> {
    if producer.epoch != header.producer_epoch || header.base_sequence == NO_SEQUENCE {
        return None;
    }
    let (first, last) = (header.base_sequence, header.last_sequence());
    producer
        .recent()
        .iter()
        .find(|batch| batch.last_sequence == last && batch.first_sequence() == first)
}

fn check_epoch(producer: &Producer, header: &BatchHeader) -> Result<(), ProducerError> {
    if header.producer_epoch >= producer.epoch {
        return Ok(());
    }
    Err(stale_epoch(producer, header))
}

fn stale_epoch(producer: &Producer, header: &BatchHeader) -> ProducerError {
    ProducerError::StaleEpoch {
        producer_id: header.producer_id,
        current: producer.epoch,
        found: header.producer_epoch,
    }
}

/// A transaction begins here only once its coordinator knows that it does: a batch that comes after the end of its
/// transaction would otherwise open one that nobody ends. //= KIP-890
fn check_transaction(
    producer: Option<&Producer>,
    transactions: &mut Transactions,
    header: &BatchHeader,
    warrant: Warrant,
    now_ms: i64,
) -> Result<(), ProducerError> {
    let producer_id = header.producer_id;
    let open = producer.filter(|producer| producer.transaction.is_some());
    match warrant {
        _ if !header.is_transactional() => match open {
            Some(_) => Err(ProducerError::OutsideTransaction { producer_id }),
            None => Ok(()),
        },
        _ if open.is_some_and(|producer| producer.epoch == header.producer_epoch) => Ok(()),
        Warrant::Verified(guard) if transactions.is_verified(producer_id, guard) => Ok(()),
        // Also where a marker has taken the guard back: it may have been that of the transaction before.
        Warrant::None | Warrant::Verified(_) | Warrant::Marker { .. } => Err(ProducerError::Unverified {
            producer_id,
            guard: transactions.ask_to_verify(header, now_ms),
        }),
    }
}

/// In the same epoch the next sequence is the last one plus one, and 0 follows 2^31 - 1; a new epoch starts at 0. Where a
/// lower one is still verified, it goes first: the producer sends it again.
fn check_sequence(
    producer: Option<&Producer>,
    transactions: &Transactions,
    header: &BatchHeader,
) -> Result<(), ProducerError> {
    let found = header.base_sequence;
    let out_of_order = |last| ProducerError::OutOfOrder {
        producer_id: header.producer_id,
        epoch: header.producer_epoch,
        last,
        found,
    };
    if let Some(lowest) = transactions.lowest_sequence(header).filter(|lowest| found > *lowest) {
        return Err(out_of_order(lowest.wrapping_sub(1)));
    }
    let Some(producer) = producer else {
        return Ok(());
    };
    let (last, next) = if header.producer_epoch == producer.epoch {
        (producer.last_sequence(), producer.next_sequence())
    } else {
        (NO_SEQUENCE, 0)
    };
    if found == next {
        return Ok(());
    }
    Err(out_of_order(last))
}

#[cfg(test)]
pub(super) mod tests;
