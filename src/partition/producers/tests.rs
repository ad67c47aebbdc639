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
fn append(producers: &mut Producers, next_offset: &mut i64, header: &BatchHeader) -> Result<i64, ProducerError> {
    match producers.check(header, Warrant::None, 0)? {
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
        Err(ProducerError::OutOfOrder { last: 2, found: 0, .. })
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
        Err(ProducerError::OutOfOrder { last: 0, found: 2, .. })
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
        Err(ProducerError::OutOfOrder {
            last: NO_SEQUENCE,
            found: 1,
            ..
        })
    ));
    append(&mut producers, &mut next, &batch(1, 1, 0, 1)).unwrap();
    let refused = append(&mut producers, &mut next, &batch(1, 0, 1, 1));
    assert!(matches!(
        refused,
        Err(ProducerError::StaleEpoch {
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

/// A snapshot plus the batches behind it makes the state that the producer had.
#[test]
fn replay_goes_on_from_the_snapshot() {
    let (mut live, mut next) = (Producers::default(), 0);
    for sequence in 0..3 {
        append(&mut live, &mut next, &batch(1, 0, sequence, 1)).unwrap();
    }
    append(&mut live, &mut next, &batch(2, 0, 0, 1)).unwrap();
    let mut recovered = Producers::default();
    assert!(recovered.snapshot(next, &live.to_snapshot()));
    let mut behind = batch(1, 0, 3, 1);
    behind.base_offset = next;
    assert_eq!(recovered.batch(&behind, &[]), None);
    let mut check = |header| recovered.check(&header, Warrant::None, 0);
    for sequence in 0..4 {
        assert!(matches!(check(batch(1, 0, sequence, 1)), Ok(Verdict::Duplicate(_))));
    }
    assert_eq!(check(batch(1, 0, 4, 1)), Ok(Verdict::New));
    assert!(matches!(check(batch(2, 0, 0, 1)), Ok(Verdict::Duplicate(_))));
}

#[test]
fn what_follows_or_repeats_the_last_batches_continues_them() {
    let (mut producers, mut next) = (Producers::default(), 0);
    for sequence in 0..3 {
        append(&mut producers, &mut next, &batch(1, 4, sequence, 1)).unwrap();
    }
    for sequence in 0..4 {
        assert!(producers.continues(&batch(1, 4, sequence, 1)), "{sequence}");
    }
    for stray in [
        batch(1, 4, 4, 1),
        batch(1, 5, 3, 1),
        batch(1, 5, 0, 1),
        batch(2, 4, 0, 1),
    ] {
        assert!(!producers.continues(&stray), "{stray:?}");
    }
}

/// The header of a transactional batch.
fn in_transaction(producer_id: i64, epoch: i16, base_sequence: i32, count: i32) -> BatchHeader {
    BatchHeader {
        attributes: 0x10,
        ..batch(producer_id, epoch, base_sequence, count)
    }
}

fn marker_header(producer_id: i64, epoch: i16) -> BatchHeader {
    BatchHeader {
        attributes: 0x30,
        ..batch(producer_id, epoch, NO_SEQUENCE, 1)
    }
}

const COMMIT: Marker = Marker {
    commit: true,
    coordinator_epoch: 5,
};
const ABORT: Marker = Marker {
    commit: false,
    coordinator_epoch: 5,
};

/// Verifies the producer's transaction and appends its first batch.
fn begin(producers: &mut Producers, next_offset: &mut i64, header: &BatchHeader) {
    let Err(ProducerError::Unverified { guard, .. }) = producers.check(header, Warrant::None, 0) else {
        panic!("a transaction begins with a verification");
    };
    producers.check(header, Warrant::Verified(guard), 0).unwrap();
    producers.record(header, *next_offset, 0);
    *next_offset += i64::from(header.record_count);
}

/// Behaviour 61: a transaction begins only with the coordinator's word, which its end takes back.
#[test]
fn transaction_begins_verified() {
    let (mut producers, mut next) = (Producers::default(), 0);
    let first = in_transaction(1, 0, 0, 1);
    let Err(ProducerError::Unverified { guard, .. }) = producers.check(&first, Warrant::None, 0) else {
        panic!("not verified yet");
    };
    producers.record_marker(&marker_header(1, 0), ABORT, next, 0);
    let late = producers.check(&first, Warrant::Verified(guard), 0);
    assert!(matches!(late, Err(ProducerError::Unverified { guard: anew, .. }) if anew != guard));
    begin(&mut producers, &mut next, &first);
    assert_eq!(
        producers.check(&in_transaction(1, 0, 1, 1), Warrant::None, 0),
        Ok(Verdict::New)
    );
    let outside = producers.check(&batch(1, 0, 1, 1), Warrant::None, 0);
    assert_eq!(outside, Err(ProducerError::OutsideTransaction { producer_id: 1 }));
}

/// Of two batches that wait for the coordinator, the later one cannot go first.
#[test]
fn verified_batches_keep_their_order() {
    let mut producers = Producers::default();
    let (first, second) = (in_transaction(1, 0, 7, 1), in_transaction(1, 0, 8, 1));
    let mut guard_of = |header| match producers.check(header, Warrant::None, 0) {
        Err(ProducerError::Unverified { guard, .. }) => Warrant::Verified(guard),
        other => panic!("{other:?}"),
    };
    let (one, two) = (guard_of(&first), guard_of(&second));
    let overtaking = producers.check(&second, two, 0);
    assert!(matches!(
        overtaking,
        Err(ProducerError::OutOfOrder { last: 6, found: 8, .. })
    ));
    assert_eq!(producers.check(&first, one, 0), Ok(Verdict::New));
    producers.record(&first, 0, 0);
    assert_eq!(producers.check(&second, two, 0), Ok(Verdict::New));
}

/// A marker ends the transaction; only an aborted one goes into the index, with its whole range.
#[test]
fn markers_end_transactions() {
    let (mut producers, mut next) = (Producers::default(), 0);
    begin(&mut producers, &mut next, &in_transaction(1, 0, 0, 3));
    begin(&mut producers, &mut next, &in_transaction(2, 0, 0, 2));
    assert_eq!(producers.first_unstable(), Some(0));
    assert_eq!(producers.record_marker(&marker_header(2, 0), COMMIT, 5, 0), None);
    let aborted = producers.record_marker(&marker_header(1, 0), ABORT, 6, 0).unwrap();
    let expected = AbortedTxn {
        producer_id: 1,
        first_offset: 0,
        last_offset: 6,
        last_stable_offset: 7,
    };
    assert_eq!(aborted, expected);
    assert_eq!(producers.record_marker(&marker_header(1, 0), ABORT, 7, 0), None);
    producers.on_high_watermark(7);
    assert_eq!(producers.first_unstable(), None);
}

/// Markers of an older producer epoch or coordinator are refused; from version 2 on the transaction's own epoch is too old.
#[test]
fn stale_markers_are_refused() {
    let (mut producers, mut next) = (Producers::default(), 0);
    begin(&mut producers, &mut next, &in_transaction(1, 3, 0, 1));
    let check = |epoch, coordinator_epoch, version| {
        let marker = Marker {
            commit: true,
            coordinator_epoch,
        };
        producers.check_marker(&marker_header(1, epoch), marker, version)
    };
    assert!(matches!(
        check(2, 5, 0),
        Err(ProducerError::StaleEpoch {
            current: 3,
            found: 2,
            ..
        })
    ));
    assert!(matches!(check(3, 5, 2), Err(ProducerError::StaleEpoch { .. })));
    assert_eq!((check(3, 5, 1), check(4, 5, 2)), (Ok(()), Ok(())));
    producers.record_marker(&marker_header(1, 4), COMMIT, next, 0);
    let repeated = producers.check_marker(&marker_header(1, 4), COMMIT, 2);
    assert_eq!(repeated, Ok(()));
    let zombie = Marker {
        coordinator_epoch: 4,
        ..COMMIT
    };
    let fenced = producers.check_marker(&marker_header(1, 4), zombie, 2);
    assert!(matches!(
        fenced,
        Err(ProducerError::FencedCoordinator {
            current: 5,
            found: 4,
            ..
        })
    ));
}

/// A marker moves the epoch; the next batch of records starts at 0.
#[test]
fn marker_moves_the_epoch() {
    let (mut producers, mut next) = (Producers::default(), 0);
    append(&mut producers, &mut next, &batch(1, 0, 0, 1)).unwrap();
    producers.record_marker(&marker_header(1, 1), ABORT, next, 0);
    let mut check = |header| producers.check(&header, Warrant::None, 0);
    check(batch(1, 0, 1, 1)).unwrap_err();
    check(batch(1, 1, 1, 1)).unwrap_err();
    assert_eq!(check(batch(1, 1, 0, 1)), Ok(Verdict::New));
}

/// A producer whose transaction is open is kept, however long it is silent.
#[test]
fn open_transactions_do_not_expire() {
    let (mut producers, mut next) = (Producers::default(), 0);
    begin(&mut producers, &mut next, &in_transaction(1, 0, 0, 1));
    producers.expire(1_000_000, 1);
    assert_eq!((producers.len(), producers.first_unstable()), (1, Some(0)));
}

/// What the broker's own coordinators write has no sequence: it is judged by its epoch and transaction alone.
#[test]
fn batches_without_a_sequence_are_no_duplicates() {
    let (mut producers, mut next) = (Producers::default(), 0);
    let commit = in_transaction(1, 2, NO_SEQUENCE, 1);
    begin(&mut producers, &mut next, &commit);
    assert_eq!(producers.check(&commit, Warrant::None, 0), Ok(Verdict::New));
    let stale = producers.check(&in_transaction(1, 1, NO_SEQUENCE, 1), Warrant::None, 0);
    assert!(matches!(stale, Err(ProducerError::StaleEpoch { .. })));
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

proptest! {
    /// A restart at any moment, from the snapshot there and the batches behind it, gives the state that was there, and
    /// finds the same aborted transactions.
    #[test]
    fn replay_gives_what_was_live(
        steps in prop::collection::vec((0..3i64, 0..5u8), 1..80),
        snapshot_at in any::<prop::sample::Index>(),
    ) {
        let (mut live, mut next, mut epochs) = (Producers::default(), 0i64, [0i16; 3]);
        let (mut log, mut aborted) = (Vec::new(), Vec::new());
        let snapshot_at = snapshot_at.index(steps.len());
        let mut snapshot = (0, live.to_snapshot());
        let mut sequences = [0; 3];
        for (at, (id, kind)) in steps.into_iter().enumerate() {
            if at == snapshot_at {
                snapshot = (next, live.to_snapshot());
            }
            let place = id as usize;
            let mut header = match kind {
                0..=2 => in_transaction(id, epochs[place], sequences[place], 2),
                _ => marker_header(id, epochs[place] + 1),
            };
            header.base_offset = next;
            let bytes = match kind {
                0..=2 => {
                    sequences[place] += 2;
                    live.record(&header, next, header.max_timestamp);
                    Vec::new()
                }
                _ => {
                    epochs[place] += 1;
                    sequences[place] = 0;
                    let marker = if kind == 3 { COMMIT } else { ABORT };
                    aborted.extend(live.record_marker(&header, marker, next, header.max_timestamp).map(|one| (next, one)));
                    marker.batch(id, header.producer_epoch, 0).to_vec()
                }
            };
            next = header.next_offset();
            log.push((header, bytes));
        }
        let mut replayed = Producers::default();
        prop_assert!(replayed.snapshot(snapshot.0, &snapshot.1));
        let mut found = Vec::new();
        for (header, bytes) in log.iter().filter(|(header, _)| header.base_offset >= snapshot.0) {
            found.extend(replayed.batch(header, bytes).map(|one| (header.base_offset, one)));
        }
        aborted.retain(|(offset, _)| *offset >= snapshot.0);
        prop_assert_eq!(found, aborted);
        live.on_high_watermark(next);
        replayed.on_high_watermark(next);
        prop_assert_eq!(replayed.first_unstable(), live.first_unstable());
        prop_assert_eq!(replayed.to_snapshot(), live.to_snapshot());
    }
}
