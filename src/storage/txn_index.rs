//! The transaction index: a segment's aborted transactions, as Kafka's `.txnindex` (FORMAT.md draws it). Pure, but for a
//! search that may have to load files.
//!
//! //= storage/internals/log/AbortedTxn.java, TransactionIndex.java
//!
//! An entry lies in the segment that holds its marker, in the order of the markers. A read of committed data needs those
//! that overlap its range, so it looks at the segment of its first offset and at later ones, until an entry says that
//! everything below the range's end is decided.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::StorageError;
use super::layout::{TXN_INDEX, segment_path};
use super::prepare::{remove_if_there, write_file};
use super::scan::Seen;
use super::segment::Handle;
use crate::record::Marker;
use crate::rt::Dir;

const VERSION: i16 = 0;
const ENTRY_BYTES: usize = 34;
/// A segment with as many is full: its index stays small in memory, whatever clients do.
pub(super) const ABORTED_PER_SEGMENT_MAX: usize = 65_536;

/// An aborted transaction of one producer: its records at or behind `first_offset`, up to the marker at `last_offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTxn {
    pub producer_id: i64,
    pub first_offset: i64,
    /// The marker's.
    pub last_offset: i64,
    /// When the marker was written, everything below was decided.
    pub last_stable_offset: i64,
}

impl AbortedTxn {
    fn put(&self, file: &mut Vec<u8>) {
        file.extend_from_slice(&VERSION.to_be_bytes());
        for field in [
            self.producer_id,
            self.first_offset,
            self.last_offset,
            self.last_stable_offset,
        ] {
            file.extend_from_slice(&field.to_be_bytes());
        }
    }

    fn parse(entry: &[u8; ENTRY_BYTES]) -> Option<AbortedTxn> {
        let field = |at: usize| Some(i64::from_be_bytes(*entry.get(at..)?.first_chunk()?));
        (entry.starts_with(&VERSION.to_be_bytes())).then_some(AbortedTxn {
            producer_id: field(2)?,
            first_offset: field(10)?,
            last_offset: field(18)?,
            last_stable_offset: field(26)?,
        })
    }
}

/// The content of a segment's file.
pub(super) fn to_file(aborted: &[AbortedTxn]) -> Vec<u8> {
    let mut file = Vec::with_capacity(aborted.len() * ENTRY_BYTES);
    aborted.iter().for_each(|one| one.put(&mut file));
    file
}

/// The entries of a segment's file; `None` if it cannot be the segment's.
fn from_file(base_offset: i64, file: &[u8]) -> Option<Vec<AbortedTxn>> {
    let (entries, rest) = file.as_chunks::<ENTRY_BYTES>();
    let aborted: Vec<AbortedTxn> = entries.iter().map(AbortedTxn::parse).collect::<Option<_>>()?;
    let is_sound = |one: &AbortedTxn| one.last_offset >= base_offset && one.first_offset < one.last_offset;
    let rises = aborted.is_sorted_by(|before, after| before.last_offset < after.last_offset);
    (rest.is_empty() && rises && aborted.iter().all(is_sound)).then_some(aborted)
}

/// Writes a segment's file; a segment without aborted transactions has none, as in Kafka.
pub(super) async fn write(dir: &Path, base_offset: i64, aborted: &[AbortedTxn]) -> Result<(), StorageError> {
    match file(dir, base_offset, aborted) {
        (path, None) => remove_if_there(&path).await,
        (path, Some(content)) => write_file(&path, content).await,
    }
}

/// A segment's file, and what belongs in it: nothing, where there is to be no file.
pub(super) fn file(dir: &Path, base_offset: i64, aborted: &[AbortedTxn]) -> (PathBuf, Option<Vec<u8>>) {
    let content = (!aborted.is_empty()).then(|| to_file(aborted));
    (segment_path(dir, base_offset, TXN_INDEX), content)
}

/// Reads a segment's file, which is there.
pub(super) async fn load(dir: &Path, base_offset: i64) -> Result<Vec<AbortedTxn>, StorageError> {
    load_from(segment_path(dir, base_offset, TXN_INDEX), base_offset).await
}

/// The same from a file of another name.
pub(super) async fn load_from(path: PathBuf, base_offset: i64) -> Result<Vec<AbortedTxn>, StorageError> {
    let read = Dir::read_file(&path).await;
    let file = read.map_err(|source| StorageError::io("read", &path, source))?;
    from_file(base_offset, &file).ok_or_else(|| StorageError::Corrupt {
        path,
        problem: "not a transaction index of its segment".to_owned(),
    })
}

/// Finds aborted transactions again in the batches of a log, shown in order from its start on.
#[derive(Default)]
pub(super) struct Finder {
    /// Producer and first offset.
    open: BTreeMap<i64, i64>,
}

impl Finder {
    /// The transaction that this batch aborts, if it does.
    pub fn see(&mut self, seen: &Seen<'_>) -> Option<AbortedTxn> {
        let header = seen.header;
        let producer_id = header.producer_id;
        if !header.is_control() {
            if header.is_transactional() {
                self.open.entry(producer_id).or_insert(header.base_offset);
            }
            return None;
        }
        let marker = Marker::read(header, seen.batch)?;
        let first_offset = self.open.remove(&producer_id)?;
        let last_offset = header.base_offset;
        (!marker.commit).then(|| AbortedTxn {
            producer_id,
            first_offset,
            last_offset,
            last_stable_offset: self.open.values().min().copied().unwrap_or(last_offset + 1),
        })
    }
}

/// The segments that may hold what a read of committed data needs, in order.
pub struct AbortedPlan {
    pub(super) offset: i64,
    pub(super) segments: Vec<Rc<Handle>>,
    /// Of the segment that is written, as it was when the read was planned.
    pub(super) head: Rc<Vec<AbortedTxn>>,
}

impl AbortedPlan {
    /// Whether nothing has to be loaded first.
    pub(super) fn is_loaded(&self) -> bool {
        self.segments.iter().all(|segment| segment.aborted.get().is_some())
    }

    /// False: retention took a segment meanwhile, and with it the read's place.
    pub(super) async fn load(&self) -> Result<bool, StorageError> {
        for segment in &self.segments {
            match segment.aborted().await {
                Err(_) if segment.retired.get() => return Ok(false),
                loaded => {
                    loaded?;
                }
            }
        }
        Ok(true)
    }

    /// Every entry, once they are loaded; lets go of the segments.
    pub(super) fn take_all(&mut self) -> Vec<AbortedTxn> {
        let segments = std::mem::take(&mut self.segments);
        let loaded = segments.iter().filter_map(|segment| segment.aborted.get());
        loaded
            .chain([&self.head])
            .flat_map(|list| list.iter().copied())
            .collect()
    }

    /// (producer id, first offset) of the aborted transactions that overlap the range up to `end`.
    pub(super) fn find(&self, end: i64) -> Vec<(i64, i64)> {
        let mut found = Vec::new();
        let loaded = self.segments.iter().filter_map(|segment| segment.aborted.get());
        for list in loaded.chain([&self.head]) {
            for one in list.iter() {
                if one.last_offset >= self.offset && one.first_offset < end {
                    found.push((one.producer_id, one.first_offset));
                }
                if one.last_stable_offset >= end {
                    return found;
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted(producer_id: i64, first_offset: i64, last_offset: i64, last_stable_offset: i64) -> AbortedTxn {
        AbortedTxn {
            producer_id,
            first_offset,
            last_offset,
            last_stable_offset,
        }
    }

    #[test] // Goal: the bytes are Kafka's: 34 for each, version 0 first.
    fn file_is_kafkas() {
        let file = to_file(&[aborted(1, 2, 3, 4)]);
        let expected: Vec<u8> = [
            [0; 2].as_slice(),
            &[0; 7],
            &[1],
            &[0; 7],
            &[2],
            &[0; 7],
            &[3],
            &[0; 7],
            &[4],
        ]
        .concat();
        assert_eq!(file, expected);
        assert_eq!(from_file(3, &file), Some(vec![aborted(1, 2, 3, 4)]));
    }

    #[test] // Goal: what cannot be the segment's index is refused: cut, other versions, markers elsewhere or not in order.
    fn unsound_files_are_refused() {
        let list = [aborted(1, 2, 5, 6), aborted(2, 3, 8, 9)];
        let file = to_file(&list);
        assert_eq!(from_file(5, &file).as_deref(), Some(&list[..]));
        assert_eq!(from_file(6, &file), None);
        assert_eq!(from_file(0, &file[..file.len() - 1]), None);
        assert_eq!(from_file(0, &to_file(&[list[1], list[0]])), None);
        let mut other = file;
        other[1] = 1;
        assert_eq!(from_file(0, &other), None);
        assert_eq!(from_file(0, &[]), Some(vec![]));
    }

    #[test] // Goal: a range gets the transactions that overlap it, looking no further than where everything is decided.
    fn overlapping_transactions_are_found() {
        let list = vec![aborted(1, 10, 20, 15), aborted(2, 15, 30, 31), aborted(3, 40, 50, 51)];
        let find = |offset, end| {
            let plan = AbortedPlan {
                offset,
                segments: vec![],
                head: Rc::new(list.clone()),
            };
            plan.find(end)
        };
        assert_eq!(find(0, 10), []);
        assert_eq!(find(0, 11), [(1, 10)]);
        assert_eq!(find(0, 16), [(1, 10), (2, 15)]);
        assert_eq!(find(20, 31), [(1, 10), (2, 15)]);
        assert_eq!(find(21, 31), [(2, 15)]);
        assert_eq!(find(31, 40), []);
        assert_eq!(find(0, 100), [(1, 10), (2, 15), (3, 40)]);
    }
}
