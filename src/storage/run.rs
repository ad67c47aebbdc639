//! A run: whole batches that follow each other in one piece of memory, with the end of each, so that a read cuts it at
//! batch boundaries without looking at the bytes again.

use std::ops::Range;

use bytes::Bytes;

use crate::record::{BatchHeader, HEADER_LEN};

/// The largest batch that is believed: a broken length must not become an allocation. Far above any sensible
/// max.message.bytes.
pub(super) const BATCH_BYTES_MAX: usize = 256 << 20;

#[derive(Clone, Debug)]
pub(super) struct Run {
    bytes: Bytes,
    first_offset: i64,
    ends: Vec<BatchEnd>,
}

/// The end of one batch of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchEnd {
    pub next_offset: i64,
    /// Where the batch ends, from the start of the run.
    pub end: usize,
}

/// What follows the whole batches in a piece of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Nothing,
    /// A batch that goes on behind the piece: its length, where the header is whole.
    Partial(Option<usize>),
    /// Zeros where a header should stand: nothing was written from here on.
    Zeros,
    Broken(String),
}

/// Some batches of a run.
pub(super) struct Selected {
    pub bytes: Bytes,
    pub next_offset: i64,
}

impl Run {
    /// A run whose ends are known. `ends` is not empty.
    pub fn new(bytes: Bytes, first_offset: i64, ends: Vec<BatchEnd>) -> Run {
        debug_assert!(ends.last().is_some_and(|last| last.end == bytes.len()));
        Run {
            bytes,
            first_offset,
            ends,
        }
    }

    /// The whole batches at the front of `bytes`, by their headers, and what follows them.
    pub fn parse(bytes: &Bytes) -> (Option<Run>, Rest) {
        let mut ends: Vec<BatchEnd> = Vec::new();
        let mut first_offset = None;
        let mut at = 0;
        let rest = loop {
            let left = bytes.get(at..).unwrap_or_default();
            let header = match next_header(left) {
                Ok(header) => header,
                Err(rest) => break rest,
            };
            if ends.last().is_some_and(|last| header.base_offset < last.next_offset) {
                break Rest::Broken(format!("offset {} goes back", header.base_offset));
            }
            if header.total_len() > left.len() {
                break Rest::Partial(Some(header.total_len()));
            }
            first_offset.get_or_insert(header.base_offset);
            at += header.total_len();
            ends.push(BatchEnd {
                next_offset: header.next_offset(),
                end: at,
            });
        };
        (first_offset.map(|first| Run::new(bytes.slice(..at), first, ends)), rest)
    }

    pub fn first_offset(&self) -> i64 {
        self.first_offset
    }

    /// The offset behind the last batch.
    pub fn next_offset(&self) -> i64 {
        self.ends.last().map_or(self.first_offset, |last| last.next_offset)
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What the run holds in memory besides its bytes.
    pub fn overhead_bytes(&self) -> usize {
        size_of::<Run>() + self.ends.len() * size_of::<BatchEnd>()
    }

    /// The batches from the one that holds `offset` on: as many as fit into `max_bytes` (the first one in any case if
    /// `at_least_one`) and end at or below `limit`.
    pub fn select(&self, offset: i64, max_bytes: usize, limit: i64, at_least_one: bool) -> Option<Selected> {
        let range = select(&self.ends, offset, max_bytes, limit, at_least_one)?;
        Some(Selected {
            bytes: self.bytes.slice(range.bytes),
            next_offset: range.next_offset,
        })
    }
}

/// Where the batches lie that a read gets.
pub(super) struct SelectedRange {
    pub bytes: Range<usize>,
    pub next_offset: i64,
}

/// [`Run::select`] among batches with these ends.
pub(super) fn select(
    ends: &[BatchEnd],
    offset: i64,
    max_bytes: usize,
    limit: i64,
    at_least_one: bool,
) -> Option<SelectedRange> {
    let first = ends.partition_point(|batch| batch.next_offset <= offset);
    let start = first
        .checked_sub(1)
        .and_then(|before| ends.get(before))
        .map_or(0, |before| before.end);
    let later = ends.get(first..)?;
    let fits = |batch: &BatchEnd| batch.next_offset <= limit && batch.end - start <= max_bytes;
    let mut count = later.partition_point(fits);
    if count == 0 && at_least_one && later.first()?.next_offset <= limit {
        count = 1;
    }
    let last = later.get(count.checked_sub(1)?)?;
    Some(SelectedRange {
        bytes: start..last.end,
        next_offset: last.next_offset,
    })
}

/// The batches of a run, each with its header.
pub(super) fn batches(run: &Run) -> impl Iterator<Item = (BatchHeader, Bytes)> + use<> {
    let mut rest = run.bytes().clone();
    std::iter::from_fn(move || {
        let header = BatchHeader::parse(&rest).ok()?;
        (header.total_len() <= rest.len()).then(|| (header, rest.split_to(header.total_len())))
    })
}

/// The header at the front of `left`, or why there is none.
pub(super) fn next_header(left: &[u8]) -> Result<BatchHeader, Rest> {
    let Some(front) = left.get(..HEADER_LEN) else {
        return Err(if left.is_empty() {
            Rest::Nothing
        } else {
            Rest::Partial(None)
        });
    };
    if front.iter().all(|byte| *byte == 0) {
        return Err(Rest::Zeros);
    }
    let header = BatchHeader::parse(front).map_err(|e| Rest::Broken(e.to_string()))?;
    if header.total_len() > BATCH_BYTES_MAX || header.last_offset_delta < 0 || header.base_offset < 0 {
        return Err(Rest::Broken(format!(
            "impossible batch: offset {}, {} bytes, last offset delta {}",
            header.base_offset,
            header.total_len(),
            header.last_offset_delta
        )));
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::testing::batch;

    fn run_of(sizes: &[usize]) -> (Bytes, Run) {
        let mut bytes = Vec::new();
        for (at, size) in sizes.iter().enumerate() {
            let mut one = batch(2, *size, 0).to_vec();
            crate::record::patch(&mut one, 10 + 2 * at as i64, 0);
            bytes.extend_from_slice(&one);
        }
        let bytes = Bytes::from(bytes);
        let (run, rest) = Run::parse(&bytes);
        assert_eq!(rest, Rest::Nothing);
        (bytes, run.expect("batches"))
    }

    #[test] // Goal: a read gets whole batches, from the one that holds the offset, within its bounds.
    fn selection_is_cut_at_batches() {
        let (bytes, run) = run_of(&[100, 200, 300]);
        let ends: Vec<usize> = run.ends.iter().map(|batch| batch.end).collect();
        assert_eq!((run.first_offset(), run.next_offset()), (10, 16));
        let bytes_of = |offset, max, limit, one| run.select(offset, max, limit, one).map(|selected| selected.bytes);
        assert_eq!(bytes_of(10, 1 << 20, 16, false), Some(bytes.clone()));
        assert_eq!(bytes_of(11, ends[0], 16, false), Some(bytes.slice(..ends[0])));
        assert_eq!(bytes_of(12, 1 << 20, 15, false), Some(bytes.slice(ends[0]..ends[1])));
        assert_eq!(bytes_of(14, 1, 16, true), Some(bytes.slice(ends[1]..)));
        assert_eq!(bytes_of(14, 1, 16, false), None);
        assert_eq!(bytes_of(14, 1, 15, true), None);
        assert_eq!(bytes_of(16, 1 << 20, 16, true), None);
    }

    #[test] // Goal: what follows the whole batches is told apart.
    fn rests_are_told_apart() {
        let (bytes, _) = run_of(&[100, 200]);
        let first_len = run_of(&[100]).0.len();
        assert_eq!(Run::parse(&bytes.slice(..first_len + 10)).1, Rest::Partial(None));
        let total = bytes.len() - first_len;
        assert_eq!(Run::parse(&bytes.slice(..first_len + 70)).1, Rest::Partial(Some(total)));
        let zeros = [&bytes[..], &[0; 61]].concat();
        assert_eq!(Run::parse(&Bytes::from(zeros)).1, Rest::Zeros);
        let garbage = [&bytes[..], &[0xff; 61]].concat();
        assert!(matches!(Run::parse(&Bytes::from(garbage)).1, Rest::Broken(_)));
    }
}
