use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// The header of a data batch of `count` records.
pub(crate) fn batch(producer_id: i64, epoch: i16, base_sequence: i32, count: i32) -> BatchHeader {
    BatchHeader {
        base_offset: 0,
        batch_length: 100,
        leader_epoch: 0,
        magic: 2,
        crc: 0,
        attributes: 0,
        last_offset_delta: count - 1,
        base_timestamp: 10,
        max_timestamp: 20,
        producer_id,
        producer_epoch: epoch,
        base_sequence,
        record_count: count,
    }
}

/// Appends as a partition does: checks, then records at the next offset.
fn append(producers: &mut Producers, next_offset: &mut i64, header: &BatchHeader) -> Result<i64, SequenceError> {
    match producers.check(header)? {
        Verdict::Duplicate(batch) => Ok(batch.base_offset()),
        Verdict::New => {
            let base_offset = *next_offset;
            producers.record(header, base_offset, 0);
            *next_offset += i64::from(header.last_offset_delta) + 1;
            Ok(base_offset)
        }
    }
}

/// A retry of any of the last five batches gets its first offset; the sixth last is out of order.
#[test]
fn last_five_batches_are_recognised() {
    let (mut producers, mut next) = (Producers::default(), 0);
    for sequence in 0..6 {
        append(&mut producers, &mut next, &batch(1, 0, sequence * 2, 2)).unwrap();
    }
    for sequence in 1..6 {
        let again = append(&mut producers, &mut next, &batch(1, 0, sequence * 2, 2));
        assert_eq!(again, Ok(i64::from(sequence) * 2));
    }
    assert_eq!(next, 12);
    append(&mut producers, &mut next, &batch(1, 0, 0, 2)).unwrap_err();
}

/// Same first sequence, another length: no duplicate.
#[test]
fn partly_repeated_batch_is_out_of_order() {
    let (mut producers, mut next) = (Producers::default(), 0);
    append(&mut producers, &mut next, &batch(1, 0, 0, 3)).unwrap();
    let refused = append(&mut producers, &mut next, &batch(1, 0, 0, 2));
    assert!(matches!(
        refused,
        Err(SequenceError::OutOfOrder { last: 2, found: 0, .. })
    ));
}

/// Gaps are refused, and nothing is remembered of them.
#[test]
fn gap_is_out_of_order() {
    let (mut producers, mut next) = (Producers::default(), 0);
    append(&mut producers, &mut next, &batch(1, 0, 0, 1)).unwrap();
    let refused = append(&mut producers, &mut next, &batch(1, 0, 2, 1));
    assert!(matches!(
        refused,
        Err(SequenceError::OutOfOrder { last: 0, found: 2, .. })
    ));
    append(&mut producers, &mut next, &batch(1, 0, 1, 1)).unwrap();
}

/// A producer that the partition does not know may start anywhere (KIP-360).
#[test]
fn unknown_producer_may_start_anywhere() {
    let (mut producers, mut next) = (Producers::default(), 0);
    append(&mut producers, &mut next, &batch(1, 3, 1_000, 1)).unwrap();
    append(&mut producers, &mut next, &batch(1, 3, 1_001, 1)).unwrap();
}

/// A newer epoch fences the older one and starts at 0.
#[test]
fn new_epoch_starts_at_zero_and_fences_the_old() {
    let (mut producers, mut next) = (Producers::default(), 0);
    append(&mut producers, &mut next, &batch(1, 0, 0, 1)).unwrap();
    let refused = append(&mut producers, &mut next, &batch(1, 1, 1, 1));
    assert!(matches!(
        refused,
        Err(SequenceError::OutOfOrder {
            last: NO_SEQUENCE,
            found: 1,
            ..
        })
    ));
    append(&mut producers, &mut next, &batch(1, 1, 0, 1)).unwrap();
    let refused = append(&mut producers, &mut next, &batch(1, 0, 1, 1));
    assert!(matches!(
        refused,
        Err(SequenceError::StaleEpoch {
            current: 1,
            found: 0,
            ..
        })
    ));
}

/// Sequences wrap from 2^31 - 1 to 0, between batches and inside one.
#[test]
fn sequences_wrap() {
    let (mut producers, mut next) = (Producers::default(), 0);
    append(&mut producers, &mut next, &batch(1, 0, i32::MAX - 1, 2)).unwrap();
    append(&mut producers, &mut next, &batch(1, 0, 0, 1)).unwrap();
    append(&mut producers, &mut next, &batch(2, 0, i32::MAX - 1, 4)).unwrap();
    assert_eq!(append(&mut producers, &mut next, &batch(2, 0, i32::MAX - 1, 4)), Ok(3));
    append(&mut producers, &mut next, &batch(2, 0, 2, 1)).unwrap();
}

/// Batches without a producer id leave no trace.
#[test]
fn plain_batches_are_not_tracked() {
    let (mut producers, mut next) = (Producers::default(), 0);
    append(&mut producers, &mut next, &batch(NO_PRODUCER_ID, -1, -1, 1)).unwrap();
    append(&mut producers, &mut next, &batch(NO_PRODUCER_ID, -1, -1, 1)).unwrap();
    assert!(producers.is_empty());
}

/// Inactive producers are forgotten after the time; active ones stay.
#[test]
fn inactive_producers_expire() {
    let mut producers = Producers::default();
    producers.record(&batch(1, 0, 0, 1), 0, 1_000);
    producers.record(&batch(2, 0, 0, 1), 1, 1_500);
    producers.expire(2_000, 1_000);
    assert_eq!(producers.iter().map(|(id, _)| id).collect::<Vec<_>>(), [2]);
}

/// The number of producers is bounded; the longest inactive ones go.
#[test]
fn number_of_producers_is_bounded() {
    let mut producers = Producers::default();
    for id in 0..PRODUCERS_MAX as i64 + 1 {
        producers.record(&batch(id, 0, 0, 1), id, id);
    }
    assert_eq!(producers.len(), PRODUCERS_MAX - PRODUCERS_MAX / 8 + 1);
    assert!(producers.iter().all(|(id, _)| id >= PRODUCERS_MAX as i64 / 8));
}

/// A snapshot plus the batches behind it makes the state that the producer had, as far as the file can hold it.
#[test]
fn snapshot_goes_below_what_was_observed() {
    let (mut live, mut next) = (Producers::default(), 0);
    for sequence in 0..3 {
        append(&mut live, &mut next, &batch(1, 0, sequence, 1)).unwrap();
    }
    append(&mut live, &mut next, &batch(2, 0, 0, 1)).unwrap();
    let file = live.to_snapshot();
    let mut recovered = Producers::default();
    let mut behind = batch(1, 0, 3, 1);
    behind.base_offset = next;
    recovered.observe(&behind);
    recovered.adopt_snapshot(&file).unwrap();
    assert!(matches!(recovered.check(&batch(1, 0, 2, 1)), Ok(Verdict::Duplicate(_))));
    assert!(matches!(recovered.check(&batch(1, 0, 3, 1)), Ok(Verdict::Duplicate(_))));
    assert_eq!(recovered.check(&batch(1, 0, 4, 1)), Ok(Verdict::New));
    assert!(matches!(recovered.check(&batch(2, 0, 0, 1)), Ok(Verdict::Duplicate(_))));
    recovered.check(&batch(1, 0, 1, 1)).unwrap_err();
}

/// A control batch moves the epoch; the next data batch starts at 0.
#[test]
fn control_batch_moves_the_epoch() {
    let (mut producers, mut next) = (Producers::default(), 0);
    append(&mut producers, &mut next, &batch(1, 0, 0, 1)).unwrap();
    let mut marker = batch(1, 1, -1, 1);
    marker.attributes = 0x30;
    marker.base_offset = next;
    producers.observe(&marker);
    producers.check(&batch(1, 0, 1, 1)).unwrap_err();
    producers.check(&batch(1, 1, 1, 1)).unwrap_err();
    assert_eq!(producers.check(&batch(1, 1, 0, 1)), Ok(Verdict::New));
}

/// The model: every batch of the current epoch in a list, sequences as numbers modulo 2^31.
#[derive(Default)]
struct Model {
    producers: HashMap<i64, (i16, Vec<Appended>)>,
    next_offset: i64,
}

/// First sequence, last sequence, offset.
type Appended = (i64, i64, i64);

const SEQUENCES: i64 = 1 << 31;

impl Model {
    fn append(&mut self, header: &BatchHeader) -> Result<i64, ()> {
        let first = i64::from(header.base_sequence);
        let count = i64::from(header.record_count);
        let base_offset = self.next_offset;
        let (epoch, batches) = match self.producers.get_mut(&header.producer_id) {
            None => self
                .producers
                .entry(header.producer_id)
                .or_insert((header.producer_epoch, Vec::new())),
            Some((epoch, batches)) => {
                let known = batches
                    .iter()
                    .rev()
                    .take(5)
                    .find(|batch| batch.0 == first && batch.1 == count);
                if let (Some(batch), true) = (known, *epoch == header.producer_epoch) {
                    return Ok(batch.2);
                }
                let expected = match batches.last() {
                    Some(batch) if *epoch == header.producer_epoch => (batch.0 + batch.1) % SEQUENCES,
                    _ => 0,
                };
                if header.producer_epoch < *epoch || first != expected {
                    return Err(());
                }
                (self.producers.get_mut(&header.producer_id)).unwrap()
            }
        };
        if *epoch != header.producer_epoch {
            *epoch = header.producer_epoch;
            batches.clear();
        }
        batches.push((first, count, base_offset));
        self.next_offset += count;
        Ok(base_offset)
    }
}

proptest! {
    /// Any mix of new batches, retries, gaps and epochs is judged as the naive model does.
    #[test]
    fn judges_as_the_model(
        steps in prop::collection::vec((0..3i64, 0..3i16, 0..8u8, 1..4i32), 1..200),
        start in prop_oneof![Just(0), Just(i32::MAX - 7)],
    ) {
        let (mut producers, mut next, mut model) = (Producers::default(), 0, Model::default());
        let mut sent: HashMap<(i64, i16), Vec<(i32, i32)>> = HashMap::new();
        for (producer_id, epoch, kind, count) in steps {
            let history = sent.entry((producer_id, epoch)).or_default();
            let follow = history.last().map_or(start, |(first, count)| {
                ((i64::from(*first) + i64::from(*count)) % SEQUENCES) as i32
            });
            let (first, count) = match kind {
                0..=3 => (follow, count),
                4 | 5 if !history.is_empty() => history[history.len() - 1 - (count as usize * 2 % history.len())],
                6 => (follow.checked_add(1).unwrap_or(0), count),
                _ => (0, count),
            };
            let header = batch(producer_id, epoch, first, count);
            let found = append(&mut producers, &mut next, &header);
            prop_assert_eq!(found.map_err(|_| ()), model.append(&header));
            if found.is_ok() && history.last() != Some(&(first, count)) {
                history.push((first, count));
            }
            prop_assert_eq!(next, model.next_offset);
        }
    }
}
