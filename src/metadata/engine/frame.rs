//! Frames: what the metadata files consist of. Drawn in FORMAT.md.

use std::ops::Range;

use super::super::record::{self, Record, RecordError};

const VERSION: u8 = 1;
const LENGTH_LEN: usize = 4;
/// Length and checksum.
const HEAD_LEN: usize = 8;
/// Version, kind and index.
const PREFIX_LEN: usize = 10;
const INDEX_AT: usize = HEAD_LEN + 2;
/// The payload of one commit. A client's largest command is far below.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of a single node's log.
    Commit = 1,
    /// What a single node's log follows.
    Snapshot = 2,
    /// Of a quorum's log.
    Entry = 3,
    /// Which entry a quorum's log begins behind.
    Base = 4,
    Vote = 5,
    Voter = 6,
    QuorumSnapshot = 7,
    /// Who votes in a quorum from its beginning.
    Initial = 8,
}

const KINDS: [Kind; 8] = [
    Kind::Commit,
    Kind::Snapshot,
    Kind::Entry,
    Kind::Base,
    Kind::Vote,
    Kind::Voter,
    Kind::QuorumSnapshot,
    Kind::Initial,
];

/// A frame whose checksum holds.
#[derive(Debug, PartialEq)]
pub struct Frame<'a> {
    pub kind: Kind,
    /// The number of the commit, or of the last one in the snapshot.
    pub index: u64,
    pub payload: &'a [u8],
    /// Bytes of the whole frame.
    pub len: usize,
}

impl Frame<'_> {
    pub fn records(&self) -> Result<Vec<Record>, RecordError> {
        record::decode_all(self.payload)
    }
}

/// A frame with a record list.
pub fn encode(kind: Kind, index: u64, records: &[Record]) -> Vec<u8> {
    seal(kind, index, |payload| record::encode_all(records, payload))
}

/// A frame around what `write` appends.
pub fn seal(kind: Kind, index: u64, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = vec![0; HEAD_LEN];
    frame.extend_from_slice(&[VERSION, kind as u8]);
    frame.extend_from_slice(&index.to_le_bytes());
    write(&mut frame);
    let length = (frame.len() - HEAD_LEN) as u32;
    frame[..LENGTH_LEN].copy_from_slice(&length.to_le_bytes());
    let crc = checksum(&frame[..LENGTH_LEN], &frame[HEAD_LEN..]);
    frame[LENGTH_LEN..HEAD_LEN].copy_from_slice(&crc.to_le_bytes());
    frame
}

/// The frame at the start of `bytes`; `None` when there is no whole and valid one.
pub fn decode(bytes: &[u8]) -> Option<Frame<'_>> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_LEN>()?;
    let &[a, b, c, d, e, f, g, h] = head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    let body = rest.get(..length)?;
    let (prefix, payload) = body.split_first_chunk::<PREFIX_LEN>()?;
    let &[version, kind, index @ ..] = prefix;
    if version != VERSION {
        return None;
    }
    let kind = KINDS.into_iter().find(|known| *known as u8 == kind)?;
    if u32::from_le_bytes([e, f, g, h]) != checksum(&[a, b, c, d], body) {
        return None;
    }
    Some(Frame {
        kind,
        index: u64::from_le_bytes(index),
        payload,
        len: HEAD_LEN + length,
    })
}

/// Whether a valid frame with one of these numbers stands anywhere in `bytes`.
pub fn holds_frame(bytes: &[u8], indexes: Range<u64>) -> bool {
    frames_in(bytes, indexes).next().is_some()
}

/// The valid frames with one of these numbers, wherever in `bytes` they begin. The number is looked at before the
/// checksum, or a search through megabytes would not end.
pub fn frames_in(bytes: &[u8], indexes: Range<u64>) -> impl Iterator<Item = Frame<'_>> {
    let plausible = move |at: &usize| {
        let index = bytes[*at..]
            .get(INDEX_AT..INDEX_AT + 8)
            .and_then(|index| index.try_into().ok());
        index.is_some_and(|index| indexes.contains(&u64::from_le_bytes(index)))
    };
    (0..bytes.len()).filter(plausible).filter_map(|at| decode(&bytes[at..]))
}

/// Over the length too, so that bytes that were never written (zeros) are not taken for an empty frame.
fn checksum(length: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(length), body)
}
