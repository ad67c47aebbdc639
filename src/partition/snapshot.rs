//! The producers' state as Kafka's `<offset>.snapshot` file, version 1, and behind it what Kafka forgets.
//!
//! ```text
//! version i16 = 1 | crc32c u32 of all that follows | count i32 | count entries of 46 bytes:
//! producer id i64 | epoch i16 | last sequence i32 | last offset i64 | offset delta i32 | timestamp i64
//!     | coordinator epoch i32 | first offset of the open transaction i64
//! count i32 | count earlier batches of 32 bytes, the oldest of a producer first:
//! producer id i64 | last sequence i32 | last offset i64 | offset delta i32 | timestamp i64
//! ```
//!
//! All big-endian. The timestamp of an entry is the time of the producer's last activity, which the expiry goes by.
//!
//! Kafka keeps the last batch of each producer only, reads no further, and so does without the second list. Without it a
//! client that sends again what it was in doubt about, to a leader that was started since, would be refused as out of order
//! for all but the last batch: with librdkafka that is the end of the producer. The list is left out where it is empty.

use std::collections::BTreeMap;

use super::producers::{NO_COORDINATOR_EPOCH, Producer, Producers, RecentBatch};

const VERSION: i16 = 1;
const PREFIX_BYTES: usize = 6;
const ENTRY_BYTES: usize = 46;
const EARLIER_BYTES: usize = 32;
const NO_TRANSACTION: i64 = -1;
const NO_BATCH: i64 = -1;

/// Why a snapshot is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    #[error("file is cut short")]
    Short,
    #[error("version {0} is unknown")]
    Version(i16),
    #[error("checksum does not match")]
    Crc,
    #[error("{0} entries do not fit the file")]
    Count(i32),
    #[error("an earlier batch of producer {0} is not one of its last")]
    Stray(i64),
    #[error("{0} bytes are left over")]
    Long(usize),
}

impl Producers {
    /// The content of a snapshot file.
    pub fn to_snapshot(&self) -> Vec<u8> {
        let mut file = Vec::with_capacity(PREFIX_BYTES + 4 + self.len() * ENTRY_BYTES);
        file.extend_from_slice(&VERSION.to_be_bytes());
        file.extend_from_slice(&[0; 4]);
        file.extend_from_slice(&(self.len() as i32).to_be_bytes());
        for (producer_id, producer) in self.iter() {
            put_entry(&mut file, producer_id, producer);
        }
        self.put_earlier(&mut file);
        let crc = crc32c::crc32c(&file[PREFIX_BYTES..]);
        file[2..PREFIX_BYTES].copy_from_slice(&crc.to_be_bytes());
        file
    }

    fn put_earlier(&self, file: &mut Vec<u8>) {
        let earlier = || {
            self.iter()
                .flat_map(|(id, producer)| producer.earlier().iter().map(move |one| (id, one)))
        };
        let count = earlier().count();
        if count == 0 {
            return;
        }
        file.reserve(4 + count * EARLIER_BYTES);
        file.extend_from_slice(&(count as i32).to_be_bytes());
        for (producer_id, batch) in earlier() {
            file.extend_from_slice(&producer_id.to_be_bytes());
            put_batch(file, batch);
        }
    }

    /// Takes in a snapshot's producers. Nothing changes if the file is not whole.
    pub fn adopt_snapshot(&mut self, file: &[u8]) -> Result<(), SnapshotError> {
        for (producer_id, producer) in read_snapshot(file)? {
            self.insert(producer_id, producer);
        }
        Ok(())
    }
}

fn put_entry(file: &mut Vec<u8>, producer_id: i64, producer: &Producer) {
    let last = producer.last().copied().unwrap_or(RecentBatch {
        last_sequence: -1,
        last_offset: NO_BATCH,
        ..RecentBatch::default()
    });
    file.extend_from_slice(&producer_id.to_be_bytes());
    file.extend_from_slice(&producer.epoch.to_be_bytes());
    let last = RecentBatch {
        timestamp_ms: producer.active_ms,
        ..last
    };
    put_batch(file, &last);
    file.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
    file.extend_from_slice(&producer.transaction.unwrap_or(NO_TRANSACTION).to_be_bytes());
}

fn put_batch(file: &mut Vec<u8>, batch: &RecentBatch) {
    file.extend_from_slice(&batch.last_sequence.to_be_bytes());
    file.extend_from_slice(&batch.last_offset.to_be_bytes());
    file.extend_from_slice(&batch.offset_delta.to_be_bytes());
    file.extend_from_slice(&batch.timestamp_ms.to_be_bytes());
}

fn read_snapshot(file: &[u8]) -> Result<BTreeMap<i64, Producer>, SnapshotError> {
    let mut fields = Fields(file);
    let version = i16::from_be_bytes(fields.take()?);
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let crc = u32::from_be_bytes(fields.take()?);
    if crc32c::crc32c(fields.0) != crc {
        return Err(SnapshotError::Crc);
    }
    let mut producers = BTreeMap::new();
    for _ in 0..fields.take_count(ENTRY_BYTES)? {
        let (producer_id, producer) = read_entry(&mut fields)?;
        producers.insert(producer_id, producer);
    }
    if !fields.0.is_empty() {
        read_earlier(&mut fields, &mut producers)?;
    }
    match fields.0.len() {
        0 => Ok(producers),
        left => Err(SnapshotError::Long(left)),
    }
}

fn read_earlier(fields: &mut Fields<'_>, producers: &mut BTreeMap<i64, Producer>) -> Result<(), SnapshotError> {
    let count = fields.take_count(EARLIER_BYTES)?;
    if count == 0 {
        return Err(SnapshotError::Count(0));
    }
    for _ in 0..count {
        let producer_id = i64::from_be_bytes(fields.take()?);
        let batch = fields.take_batch()?;
        let known = producers.get_mut(&producer_id);
        if !known.is_some_and(|producer| producer.push_earlier(batch)) {
            return Err(SnapshotError::Stray(producer_id));
        }
    }
    Ok(())
}

fn read_entry(fields: &mut Fields<'_>) -> Result<(i64, Producer), SnapshotError> {
    let producer_id = i64::from_be_bytes(fields.take()?);
    let epoch = i16::from_be_bytes(fields.take()?);
    let last = fields.take_batch()?;
    let mut producer = Producer::new(epoch, last.timestamp_ms);
    producer.coordinator_epoch = i32::from_be_bytes(fields.take()?).max(NO_COORDINATOR_EPOCH);
    producer.transaction = Some(i64::from_be_bytes(fields.take()?)).filter(|first_offset| *first_offset >= 0);
    if last.last_offset >= 0 {
        producer.push(last);
    }
    Ok((producer_id, producer))
}

/// What is left to read.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(SnapshotError::Short)?;
        self.0 = rest;
        Ok(*field)
    }

    fn take_batch(&mut self) -> Result<RecentBatch, SnapshotError> {
        Ok(RecentBatch {
            last_sequence: i32::from_be_bytes(self.take()?),
            last_offset: i64::from_be_bytes(self.take()?),
            offset_delta: i32::from_be_bytes(self.take()?),
            timestamp_ms: i64::from_be_bytes(self.take()?),
        })
    }

    /// How many fields of that size follow.
    fn take_count(&mut self, bytes: usize) -> Result<usize, SnapshotError> {
        let count = i32::from_be_bytes(self.take()?);
        match usize::try_from(count) {
            Ok(fitting) if fitting <= self.0.len() / bytes => Ok(fitting),
            _ => Err(SnapshotError::Count(count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::producers::tests::batch;
    use crate::record::Marker;

    fn three_producers() -> Producers {
        let mut producers = Producers::default();
        producers.record(&batch(1, 0, 0, 3), 0, 1_000);
        producers.record(&batch(9, 4, 0, 1), 3, 2_000);
        producers.record(&batch(5, 2, 7, 2), 4, 3_000);
        producers
    }

    /// All that is remembered of each producer comes back as it was.
    #[test]
    fn snapshot_round_trips() {
        let mut producers = three_producers();
        for at in 0..7 {
            producers.record(&batch(5, 2, 9 + at, 1), 6 + i64::from(at), 4_000 + i64::from(at));
        }
        let mut read = Producers::default();
        read.adopt_snapshot(&producers.to_snapshot()).unwrap();
        let recent = |producers: &Producers| -> Vec<_> {
            let numbers = |one: &RecentBatch| (one.last_sequence, one.last_offset, one.offset_delta);
            let of = |producer: &Producer| producer.recent().iter().map(numbers).collect::<Vec<_>>();
            producers.iter().map(|(id, one)| (id, one.epoch, of(one))).collect()
        };
        let five = (11..=15)
            .zip(8..)
            .map(|(sequence, offset)| (sequence, offset, 0))
            .collect();
        assert_eq!(
            recent(&read),
            [(1, 0, vec![(2, 2, 2)]), (5, 2, five), (9, 4, vec![(0, 3, 0)])]
        );
        assert_eq!(read.to_snapshot(), producers.to_snapshot());
    }

    /// The bytes are those that Kafka writes for the same state.
    #[test]
    fn snapshot_bytes_are_kafkas() {
        let mut producers = Producers::default();
        producers.record(&batch(7, 1, 2, 3), 100, 42);
        let file = producers.to_snapshot();
        let body = [
            [0, 0, 0, 1].as_slice(),
            &[0, 0, 0, 0, 0, 0, 0, 7],
            &[0, 1],
            &[0, 0, 0, 4],
            &[0, 0, 0, 0, 0, 0, 0, 102],
            &[0, 0, 0, 2],
            &[0, 0, 0, 0, 0, 0, 0, 42],
            &[255, 255, 255, 255],
            &[255, 255, 255, 255, 255, 255, 255, 255],
        ]
        .concat();
        assert_eq!(&file[..2], [0, 1]);
        assert_eq!(file[2..6], crc32c::crc32c(&body).to_be_bytes());
        assert_eq!(file[6..], body);
    }

    /// What Kafka forgets stands behind its part.
    #[test]
    fn earlier_batches_stand_behind_kafkas_part() {
        let mut producers = Producers::default();
        producers.record(&batch(7, 1, 2, 3), 100, 42);
        producers.record(&batch(7, 1, 5, 1), 103, 43);
        let file = producers.to_snapshot();
        let earlier = [
            [0, 0, 0, 1].as_slice(),
            &[0, 0, 0, 0, 0, 0, 0, 7],
            &[0, 0, 0, 4],
            &[0, 0, 0, 0, 0, 0, 0, 102],
            &[0, 0, 0, 2],
            &[0, 0, 0, 0, 0, 0, 0, 20],
        ]
        .concat();
        assert_eq!(file[PREFIX_BYTES + 4 + ENTRY_BYTES..], earlier);
    }

    /// A list that is whole, but not of this file's producers, is refused too.
    #[test]
    fn stray_earlier_batches_are_refused() {
        let mut producers = Producers::default();
        producers.record(&batch(7, 1, 2, 3), 100, 42);
        let with = |rest: &[u8]| {
            let mut file = [&producers.to_snapshot(), rest].concat();
            let crc = crc32c::crc32c(&file[PREFIX_BYTES..]);
            file[2..PREFIX_BYTES].copy_from_slice(&crc.to_be_bytes());
            Producers::default().adopt_snapshot(&file)
        };
        let earlier = |producer_id: i64, last_offset: i64| {
            let (id, offset) = (producer_id.to_be_bytes(), last_offset.to_be_bytes());
            [[0, 0, 0, 1].as_slice(), &id, &[0; 4], &offset, &[0; 12]].concat()
        };
        assert_eq!(with(&earlier(7, 99)), Ok(()));
        for (producer_id, last_offset) in [(8, 99), (7, 102), (7, -1)] {
            let stray = with(&earlier(producer_id, last_offset));
            assert_eq!(stray, Err(SnapshotError::Stray(producer_id)));
        }
        assert_eq!(with(&[0; 4]), Err(SnapshotError::Count(0)));
        let long = with(&[earlier(7, 99), vec![0]].concat());
        assert_eq!(long, Err(SnapshotError::Long(1)));
    }

    /// An open transaction and the coordinator's epoch are in the file too.
    #[test]
    fn snapshot_keeps_the_open_transaction() {
        let mut producers = Producers::default();
        let mut header = batch(7, 1, 0, 3);
        header.attributes = 0x10;
        let marker = Marker {
            commit: true,
            coordinator_epoch: 9,
        };
        producers.record_marker(&batch(7, 1, -1, 1), marker, 4, 41);
        producers.record(&header, 5, 42);
        let file = producers.to_snapshot();
        assert_eq!(file[file.len() - 12..], [0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 5]);
        let mut read = Producers::default();
        read.adopt_snapshot(&file).unwrap();
        assert_eq!(read.first_unstable(), Some(5));
        assert_eq!(read.to_snapshot(), file);
    }

    /// A damaged or cut file is refused whole, whatever byte is hit.
    #[test]
    fn damaged_snapshot_is_refused() {
        let mut producers = three_producers();
        producers.record(&batch(9, 4, 1, 1), 6, 4_000);
        let whole = producers.to_snapshot();
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0x10;
            let mut producers = Producers::default();
            producers.adopt_snapshot(&broken).unwrap_err();
            producers.adopt_snapshot(&whole[..at]).unwrap_err();
            assert!(producers.is_empty());
        }
    }
}
