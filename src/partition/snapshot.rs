//! The producers' state as Kafka's `<offset>.snapshot` file, version 1.
//!
//! ```text
//! version i16 = 1 | crc32c u32 of all that follows | count i32 | count entries of 46 bytes:
//! producer id i64 | epoch i16 | last sequence i32 | last offset i64 | offset delta i32 | timestamp i64
//!     | coordinator epoch i32 | first offset of the open transaction i64
//! ```
//!
//! All big-endian. Only the last batch of each producer is kept, as Kafka does: after a restart a retry of an older one
//! is refused as out of order. The timestamp is the time of the producer's last activity, which the expiry goes by.

use super::producers::{NO_COORDINATOR_EPOCH, Producer, Producers, RecentBatch};

const VERSION: i16 = 1;
const PREFIX_BYTES: usize = 6;
const ENTRY_BYTES: usize = 46;
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
        let crc = crc32c::crc32c(&file[PREFIX_BYTES..]);
        file[2..PREFIX_BYTES].copy_from_slice(&crc.to_be_bytes());
        file
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
    file.extend_from_slice(&last.last_sequence.to_be_bytes());
    file.extend_from_slice(&last.last_offset.to_be_bytes());
    file.extend_from_slice(&last.offset_delta.to_be_bytes());
    file.extend_from_slice(&producer.active_ms.to_be_bytes());
    file.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
    file.extend_from_slice(&producer.transaction.unwrap_or(NO_TRANSACTION).to_be_bytes());
}

fn read_snapshot(file: &[u8]) -> Result<Vec<(i64, Producer)>, SnapshotError> {
    let mut fields = Fields(file);
    let version = i16::from_be_bytes(fields.take()?);
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let crc = u32::from_be_bytes(fields.take()?);
    if crc32c::crc32c(fields.0) != crc {
        return Err(SnapshotError::Crc);
    }
    let count = i32::from_be_bytes(fields.take()?);
    if usize::try_from(count).ok() != Some(fields.0.len() / ENTRY_BYTES) {
        return Err(SnapshotError::Count(count));
    }
    (0..count).map(|_| read_entry(&mut fields)).collect()
}

fn read_entry(fields: &mut Fields<'_>) -> Result<(i64, Producer), SnapshotError> {
    let producer_id = i64::from_be_bytes(fields.take()?);
    let epoch = i16::from_be_bytes(fields.take()?);
    let last_sequence = i32::from_be_bytes(fields.take()?);
    let last_offset = i64::from_be_bytes(fields.take()?);
    let offset_delta = i32::from_be_bytes(fields.take()?);
    let timestamp_ms = i64::from_be_bytes(fields.take()?);
    let mut producer = Producer::new(epoch, timestamp_ms);
    producer.coordinator_epoch = i32::from_be_bytes(fields.take()?).max(NO_COORDINATOR_EPOCH);
    producer.transaction = Some(i64::from_be_bytes(fields.take()?)).filter(|first_offset| *first_offset >= 0);
    if last_offset >= 0 {
        producer.push(RecentBatch {
            last_sequence,
            last_offset,
            offset_delta,
            timestamp_ms,
        });
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

    /// A state with one batch per producer comes back as it was.
    #[test]
    fn snapshot_round_trips() {
        let mut read = Producers::default();
        read.adopt_snapshot(&three_producers().to_snapshot()).unwrap();
        let seen: Vec<_> = read
            .iter()
            .map(|(id, p)| (id, p.epoch, p.last().unwrap().last_offset))
            .collect();
        assert_eq!(seen, [(1, 0, 2), (5, 2, 5), (9, 4, 3)]);
        assert_eq!(read.to_snapshot(), three_producers().to_snapshot());
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
        let whole = three_producers().to_snapshot();
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
