//! What lies in batches that were read for a share group: their offsets, and which of them hold nothing for a member.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::record::BatchHeader;
use crate::share::Acquired;

/// First and last offsets.
type Range = (i64, i64);

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batches {
    pub ranges: Vec<Range>,
    /// Those that are control batches, or part of aborted transactions.
    pub void: Vec<Range>,
}

impl Batches {
    /// `aborted` are the producers and first offsets of the aborted transactions among the records: none where records are
    /// read that are not committed.
    pub fn of(records: &[Bytes], aborted: &[(i64, i64)]) -> Batches {
        let mut batches = Batches::default();
        let mut open: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (producer, first) in aborted {
            open.entry(*producer).or_default().push(*first);
        }
        for (header, _) in each(records) {
            let range = (header.base_offset, header.next_offset() - 1);
            batches.ranges.push(range);
            if header.is_control() || is_aborted(&open, &header) {
                batches.void.push(range);
            }
            if header.is_control()
                && let Some(firsts) = open.get_mut(&header.producer_id)
            {
                // The marker ends the transaction that began last before it.
                firsts.retain(|first| *first > header.base_offset);
            }
        }
        batches
    }
}

fn is_aborted(open: &BTreeMap<i64, Vec<i64>>, header: &BatchHeader) -> bool {
    let firsts = open.get(&header.producer_id).filter(|_| header.is_transactional());
    firsts.is_some_and(|firsts| firsts.iter().any(|first| *first <= header.base_offset))
}

/// The batches that hold something of these ranges. What lies between them need not be sent.
pub fn overlapping(records: &[Bytes], acquired: &[Acquired]) -> Vec<Bytes> {
    let is_wanted = |header: &BatchHeader| {
        let mut ranges = acquired.iter();
        ranges.any(|range| range.first < header.next_offset() && range.last >= header.base_offset)
    };
    let batches = each(records).filter(|(header, _)| is_wanted(header));
    batches.map(|(_, batch)| batch).collect()
}

/// Whole batches, in order.
fn each(records: &[Bytes]) -> impl Iterator<Item = (BatchHeader, Bytes)> {
    records.iter().flat_map(|slice| {
        let mut rest = slice.clone();
        std::iter::from_fn(move || {
            let header = BatchHeader::parse(&rest)
                .ok()
                .filter(|header| header.total_len() <= rest.len())?;
            let batch = rest.split_to(header.total_len());
            Some((header, batch))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, Compression, Marker};

    /// A batch of `count` records at `offset`, of a producer's transaction if one is given.
    fn batch(offset: i64, count: usize, producer: Option<i64>) -> Bytes {
        let mut builder = BatchBuilder::new(Compression::None);
        if let Some(producer) = producer {
            builder = builder.producer(producer, 0, 0).transactional();
        }
        for _ in 0..count {
            builder.push(0, None, Some(b"x"), &[]);
        }
        at(offset, builder.build())
    }

    fn marker(offset: i64, producer: i64, commit: bool) -> Bytes {
        let marker = Marker {
            commit,
            coordinator_epoch: 0,
        };
        at(offset, marker.batch(producer, 0, 0))
    }

    /// The base offset is no part of what the checksum covers.
    fn at(offset: i64, batch: Bytes) -> Bytes {
        let mut bytes = batch.to_vec();
        bytes[..8].copy_from_slice(&offset.to_be_bytes());
        bytes.into()
    }

    /// Control batches hold nothing for members; aborted transactions neither, from where they began to their marker.
    #[test]
    fn aborted_transactions_are_void() {
        let records = [
            batch(0, 2, Some(7)),
            batch(2, 1, None),
            marker(3, 7, false),
            batch(4, 1, Some(7)),
            marker(5, 7, true),
        ];
        let batches = Batches::of(&records, &[(7, 0)]);
        assert_eq!(batches.ranges, [(0, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
        assert_eq!(batches.void, [(0, 1), (3, 3), (5, 5)]);
        let whole: Bytes = records.concat().into();
        assert_eq!(
            Batches::of(&[whole], &[]).void,
            [(3, 3), (5, 5)],
            "uncommitted records are read too"
        );
    }

    /// Only batches with something for the member are sent.
    #[test]
    fn batches_of_others_are_left_out() {
        let records: Bytes = [batch(0, 2, None), batch(2, 2, None), batch(4, 2, None)]
            .concat()
            .into();
        let range = |first, last| Acquired { first, last, count: 1 };
        let sent = overlapping(&[records], &[range(1, 1), range(5, 9)]);
        assert_eq!(Batches::of(&sent, &[]).ranges, [(0, 1), (4, 5)]);
    }
}
