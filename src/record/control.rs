//! Transaction markers: control batches of one record that end a producer's transaction (behaviour 63).
//!
//! ```text
//!   key     version i16 = 0 | type i16: 0 abort, 1 commit
//!   value   version i16 = 0 | coordinator epoch i32
//! ```

use bytes::Bytes;

use super::{BatchBuilder, BatchHeader, Compression, HEADER_LEN, RecordViews};

const VERSION: i16 = 0;
const ABORT: i16 = 0;
const COMMIT: i16 = 1;
/// Markers have no place in their producer's sequence.
const NO_SEQUENCE: i32 = -1;

/// How a transaction ends, and by which coordinator's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    pub commit: bool,
    pub coordinator_epoch: i32,
}

impl Marker {
    /// The control batch that says so of a producer's transaction.
    pub fn batch(self, producer_id: i64, producer_epoch: i16, timestamp_ms: i64) -> Bytes {
        let kind = if self.commit { COMMIT } else { ABORT };
        let key = [VERSION.to_be_bytes(), kind.to_be_bytes()].concat();
        let value = [&VERSION.to_be_bytes()[..], &self.coordinator_epoch.to_be_bytes()].concat();
        let mut builder = BatchBuilder::new(Compression::None)
            .producer(producer_id, producer_epoch, NO_SEQUENCE)
            .control();
        builder.push(timestamp_ms, Some(&key), Some(&value), &[]);
        builder.build()
    }

    /// The marker in a whole batch. `None` for other control records, and where compaction has emptied the batch.
    pub fn read(header: &BatchHeader, batch: &[u8]) -> Option<Marker> {
        if !header.is_control() {
            return None;
        }
        let record = RecordViews::new(batch.get(HEADER_LEN..)?, header.record_count).next()?;
        let record = record.ok()?;
        let commit = match i16_at(record.key?, 2)? {
            ABORT => false,
            COMMIT => true,
            _ => return None,
        };
        let coordinator_epoch = i32::from_be_bytes(*record.value?.get(2..)?.first_chunk()?);
        Some(Marker {
            commit,
            coordinator_epoch,
        })
    }
}

fn i16_at(bytes: &[u8], at: usize) -> Option<i16> {
    Some(i16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a marker is read back, takes one offset, and its bytes are those of the published layout.
    #[test]
    fn markers_have_kafkas_layout() {
        for commit in [false, true] {
            let marker = Marker {
                commit,
                coordinator_epoch: 7,
            };
            let batch = marker.batch(9, 3, 1000);
            let header = BatchHeader::parse(&batch).unwrap();
            assert_eq!(header.check_crc(&batch), Ok(()));
            assert_eq!(header.attributes, 0x30);
            assert_eq!(
                (header.producer_id, header.producer_epoch, header.base_sequence),
                (9, 3, -1)
            );
            assert_eq!((header.record_count, header.last_offset_delta), (1, 0));
            let record = [
                [32, 0, 0, 0, 8, 0, 0, 0].as_slice(),
                &[u8::from(commit), 12, 0, 0, 0, 0, 0, 7, 0],
            ];
            assert_eq!(batch[HEADER_LEN..], record.concat());
            assert_eq!(Marker::read(&header, &batch), Some(marker));
        }
    }

    // Goal: what is no marker is none, and never a panic: data, other control records, cut values, an emptied batch.
    #[test]
    fn other_batches_are_no_markers() {
        let read = |builder: BatchBuilder, key: &[u8], value: &[u8]| {
            let mut builder = builder.producer(9, 3, -1);
            builder.push(0, Some(key), Some(value), &[]);
            let batch = builder.build();
            Marker::read(&BatchHeader::parse(&batch).unwrap(), &batch)
        };
        let plain = || BatchBuilder::new(Compression::None);
        let value = [0, 0, 0, 0, 0, 7];
        assert!(read(plain().control(), &[0, 0, 0, 1], &value).is_some());
        assert_eq!(read(plain(), &[0, 0, 0, 1], &value), None);
        assert_eq!(read(plain().control(), &[0, 0, 0, 3], &value), None);
        assert_eq!(read(plain().control(), &[0, 0, 0], &value), None);
        assert_eq!(read(plain().control(), &[0, 0, 0, 1], &value[..5]), None);
        let empty = plain().control().build();
        assert_eq!(Marker::read(&BatchHeader::parse(&empty).unwrap(), &empty), None);
    }
}
