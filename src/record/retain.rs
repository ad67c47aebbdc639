//! Takes records out of a batch, as compaction does: offsets, sequences, times and codec stay what they were.
//!
//! The base offset and the last offset delta stay even where the first or last record goes, so that the batch still tells
//! its producer's last sequence and the log has no hole where a batch is.

use std::borrow::Cow;

use super::{BatchError, BatchHeader, Compression, HEADER_LEN, RecordView, RecordViews};

/// What is left of a batch.
#[derive(Debug, PartialEq, Eq)]
pub enum Retained {
    /// All of it, as it is.
    Whole,
    Rewritten(Vec<u8>),
    /// No record.
    Nothing,
}

/// Keeps the records of a whole batch that `keep` says yes to. Where a tombstone is among them, or `is_marker_of_nothing`,
/// and the batch has no delete horizon yet, it gets `horizon_ms`. An opened batch may grow to `opened_bytes_max`.
pub fn retain(
    header: &BatchHeader,
    batch: &[u8],
    (horizon_ms, is_marker_of_nothing): (i64, bool),
    opened_bytes_max: usize,
    keep: &mut dyn FnMut(&RecordView<'_>, i64) -> bool,
) -> Result<Retained, BatchError> {
    let packed = batch.get(HEADER_LEN..header.total_len()).ok_or(BatchError::Short)?;
    let codec = header.compression()?;
    let plain = match codec {
        _ if header.record_count == 0 => return Ok(Retained::Nothing),
        Compression::None => Cow::Borrowed(packed),
        codec => Cow::Owned(codec.decompress(packed, opened_bytes_max)?),
    };
    let mut kept = Vec::new();
    let (mut count, mut has_tombstone) = (0, false);
    for view in RecordViews::new(&plain, header.record_count) {
        let view = view?;
        count += 1;
        if keep(&view, header.base_offset.saturating_add(i64::from(view.offset_delta))) {
            has_tombstone |= view.value.is_none() && !header.is_control();
            kept.push(view);
        }
    }
    let gets_horizon = (has_tombstone || is_marker_of_nothing) && header.delete_horizon_ms().is_none();
    match kept.len() {
        0 => Ok(Retained::Nothing),
        len if len == count && !gets_horizon => Ok(Retained::Whole),
        _ => rewrite(header, &kept, gets_horizon.then_some(horizon_ms), codec).map(Retained::Rewritten),
    }
}

/// A batch without records, which still tells of its producer and its offsets.
pub fn emptied(header: &BatchHeader) -> Vec<u8> {
    let mut batch = vec![0; HEADER_LEN];
    header.emptied().seal(&mut batch);
    batch
}

fn rewrite(
    old: &BatchHeader,
    kept: &[RecordView<'_>],
    horizon_ms: Option<i64>,
    codec: Compression,
) -> Result<Vec<u8>, BatchError> {
    let mut header = match horizon_ms {
        Some(horizon_ms) => old.with_delete_horizon(horizon_ms),
        None => *old,
    };
    header.record_count = kept.len() as i32;
    if !header.is_log_append_time() {
        let times = kept.iter().map(|view| view.timestamp(old));
        header.max_timestamp = times.max().unwrap_or(header.max_timestamp);
    }
    let (mut records, mut scratch) = (Vec::new(), Vec::new());
    for view in kept {
        let delta = view.timestamp(old).wrapping_sub(header.base_timestamp);
        view.put(delta, &mut scratch, &mut records);
    }
    if codec != Compression::None {
        records = codec.compress(None, &records)?;
    }
    let mut batch = super::build::join(&records);
    header.seal(&mut batch);
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::record::{BatchBuilder, Header, Record, Records, patch};

    const CODECS: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    /// Records 100 to 104 of a transactional producer; 102 is a tombstone.
    fn sample(codec: Compression) -> (BatchHeader, Bytes) {
        let mut builder = BatchBuilder::new(codec).producer(7, 1, 40).transactional();
        let headers = [Header {
            key: Bytes::from_static(b"h"),
            value: None,
        }];
        for at in 0..5i64 {
            let value = (at != 2).then_some(&b"value"[..]);
            builder.push(1000 - at, Some(&[at as u8]), value, &headers);
        }
        let mut batch = builder.build().to_vec();
        patch(&mut batch, 100, 3);
        (BatchHeader::parse(&batch).unwrap(), batch.into())
    }

    fn records(batch: &[u8]) -> (BatchHeader, Vec<Record>) {
        let header = BatchHeader::parse(batch).unwrap();
        header.check_crc(batch).unwrap();
        let records = Records::of(&header, Bytes::copy_from_slice(batch), 1 << 20).unwrap();
        (header, records.collect::<Result<_, _>>().unwrap())
    }

    // Goal: what is kept is what it was, in every codec, and the header still tells of offsets and sequences.
    #[test]
    fn kept_records_are_unchanged() {
        for codec in CODECS {
            let (header, batch) = sample(codec);
            let (_, all) = records(&batch);
            let mut keep = |_: &RecordView<'_>, offset| offset == 101 || offset == 103;
            let Retained::Rewritten(left) = retain(&header, &batch, (0, false), 1 << 20, &mut keep).unwrap() else {
                panic!("{codec:?}");
            };
            let (new, kept) = records(&left);
            assert_eq!(kept, [all[1].clone(), all[3].clone()]);
            assert_eq!(new.compression(), Ok(codec));
            assert_eq!((new.base_offset, new.next_offset(), new.leader_epoch), (100, 105, 3));
            assert_eq!((new.last_sequence(), new.is_transactional()), (44, true));
            assert_eq!((new.base_timestamp, new.max_timestamp), (1000, 999));
        }
    }

    // Goal: a tombstone that stays gets a horizon once, and no time changes with it.
    #[test]
    fn tombstones_get_one_horizon() {
        let (header, batch) = sample(Compression::None);
        let (_, all) = records(&batch);
        let mut keep = |_: &RecordView<'_>, _| true;
        let Retained::Rewritten(left) = retain(&header, &batch, (5000, false), 1 << 20, &mut keep).unwrap() else {
            panic!("it has a tombstone");
        };
        let (new, kept) = records(&left);
        assert_eq!(kept, all);
        assert_eq!(new.delete_horizon_ms(), Some(5000));
        let again = retain(&new, &left, (9000, false), 1 << 20, &mut keep).unwrap();
        assert_eq!(again, Retained::Whole);
    }

    // Goal: a batch without records is whole as a batch, and nothing is left of it the next time.
    #[test]
    fn emptied_batches_tell_of_their_producer() {
        for codec in CODECS {
            let (header, batch) = sample(codec);
            let mut none = |_: &RecordView<'_>, _| false;
            assert_eq!(
                retain(&header, &batch, (0, false), 1 << 20, &mut none).unwrap(),
                Retained::Nothing
            );
            let empty = emptied(&header);
            let (new, kept) = records(&empty);
            assert_eq!((kept.len(), empty.len()), (0, HEADER_LEN));
            assert_eq!(
                (new.base_offset, new.next_offset(), new.last_sequence()),
                (100, 105, 44)
            );
            assert_eq!(
                retain(&new, &empty, (0, false), 1 << 20, &mut none).unwrap(),
                Retained::Nothing
            );
        }
    }

    // Goal: a batch that opens to more than it may is refused.
    #[test]
    fn opening_is_bounded() {
        let (header, batch) = sample(Compression::Zstd);
        let mut keep = |_: &RecordView<'_>, _| true;
        retain(&header, &batch, (0, false), 10, &mut keep).unwrap_err();
    }
}
