//! A frame: what one write of the journal holds, in whole blocks. Pure.
//!
//! ```text
//!   byte  0         8           16         24       28       32
//!        | magic,  | journal's | sequence | length | crc32c | entries …  zeros up to the block's end
//!        | version | number    | number   | u32    | u32    |
//!        | 8 bytes | u64       | u64      |        |        |
//!
//!   entry 0        16      20     24                 32       36
//!        | topic  | index | life | segment's        | length | batches, as in the segment …
//!        | id     | i32   | u32  | base offset, i64 | u32    |
//! ```
//!
//! Integers are big-endian. The length counts header and entries, the checksum covers both but for itself. The journal's
//! number is random, so that neither an earlier journal nor a record's bytes are ever taken for a frame.

use bytes::Bytes;

use crate::model::{PartitionId, TopicId};
use crate::rt::{ALIGN, Buf, Frozen, Sync};

/// The last byte is the version.
const MAGIC: [u8; 8] = *b"CLJRNL\0\x01";
pub(super) const HEADER_BYTES: usize = 32;
const LENGTH_AT: usize = 24;
const CRC_AT: usize = 28;
/// An entry before its batches.
pub(in crate::storage) const ENTRY_HEADER_BYTES: usize = 36;

/// The batches of one log in one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage) struct Entry {
    pub partition: PartitionId,
    /// Which of the log's lives they belong to: see FORMAT.md.
    pub life: u32,
    /// The segment that they were staged to.
    pub segment: i64,
    pub batches: Bytes,
}

/// A frame that is being put together.
pub struct FrameBuilder {
    buf: Buf,
    sync: Sync,
}

impl FrameBuilder {
    /// Room for entries of so many bytes, their headers included.
    pub(super) fn new(entry_bytes: usize) -> FrameBuilder {
        let mut buf = Buf::with_capacity(HEADER_BYTES + entry_bytes);
        buf.zero_to(HEADER_BYTES);
        FrameBuilder { buf, sync: Sync::No }
    }

    /// One of the entries is promised to survive a power cut.
    pub(in crate::storage) fn require_sync(&mut self) {
        self.sync = Sync::Data;
    }

    pub(super) fn sync(&self) -> Sync {
        self.sync
    }

    pub(in crate::storage) fn push(&mut self, partition: PartitionId, life: u32, segment: i64, batches: &[u8]) {
        self.buf.append(&partition.topic.0);
        self.buf.append(&partition.index.to_be_bytes());
        self.buf.append(&life.to_be_bytes());
        self.buf.append(&segment.to_be_bytes());
        self.buf.append(&(batches.len() as u32).to_be_bytes());
        self.buf.append(batches);
    }

    /// Whole blocks, zeros behind the last entry.
    pub(super) fn finish(mut self, journal: u64, sequence: u64) -> Frozen {
        let used = self.buf.as_slice().len();
        let header = self.buf.as_mut_slice();
        header[..8].copy_from_slice(&MAGIC);
        header[8..16].copy_from_slice(&journal.to_be_bytes());
        header[16..LENGTH_AT].copy_from_slice(&sequence.to_be_bytes());
        header[LENGTH_AT..CRC_AT].copy_from_slice(&(used as u32).to_be_bytes());
        let crc = checksum(self.buf.as_slice());
        self.buf.as_mut_slice()[CRC_AT..HEADER_BYTES].copy_from_slice(&crc.to_be_bytes());
        self.buf.truncate(used);
        self.buf.freeze()
    }
}

/// Every whole frame of a journal's file, in the order in which they were written. What was written over is skipped block
/// by block, as is what was torn.
pub(super) fn frames(file: &Bytes, journal: u64) -> Vec<Bytes> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = file.get(at..).filter(|rest| !rest.is_empty()) {
        match frame_len(rest, journal) {
            Some(len) => {
                found.push((sequence(rest), file.slice(at..at + len)));
                at += len.next_multiple_of(ALIGN);
            }
            None => at += ALIGN,
        }
    }
    found.sort_by_key(|(sequence, _)| *sequence);
    found.into_iter().map(|(_, frame)| frame).collect()
}

/// The entries of a whole frame. `None`: no frame of ours has such content.
pub(super) fn entries(frame: &Bytes) -> Option<Vec<Entry>> {
    let mut rest = frame.slice(HEADER_BYTES..);
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let header = rest.first_chunk::<ENTRY_HEADER_BYTES>().copied()?;
        let len = be_u32(&header, 32)? as usize;
        let end = ENTRY_HEADER_BYTES.checked_add(len).filter(|end| *end <= rest.len())?;
        entries.push(Entry {
            partition: PartitionId {
                topic: TopicId(*header.first_chunk()?),
                index: be_u32(&header, 16)? as i32,
            },
            life: be_u32(&header, 20)?,
            segment: be_u64(&header, 24)? as i64,
            batches: rest.slice(ENTRY_HEADER_BYTES..end),
        });
        rest = rest.slice(end..);
    }
    Some(entries)
}

/// The length of the frame at the front of `bytes`, if it is a whole one of this journal.
fn frame_len(bytes: &[u8], journal: u64) -> Option<usize> {
    if !bytes.starts_with(&MAGIC) || be_u64(bytes, 8)? != journal {
        return None;
    }
    let len = be_u32(bytes, LENGTH_AT)? as usize;
    let frame = bytes.get(..len).filter(|frame| frame.len() >= HEADER_BYTES)?;
    (checksum(frame) == be_u32(bytes, CRC_AT)?).then_some(len)
}

fn sequence(frame: &[u8]) -> u64 {
    be_u64(frame, 16).unwrap_or(0)
}

fn checksum(frame: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&frame[..CRC_AT]);
    crc32c::crc32c_append(crc, &frame[HEADER_BYTES..])
}

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four))
}

fn be_u64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|eight| u64::from_be_bytes(*eight))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JOURNAL: u64 = 77;

    fn entry(index: i32, batches: Vec<u8>) -> Entry {
        Entry {
            partition: PartitionId {
                topic: TopicId([9; 16]),
                index,
            },
            life: 3,
            segment: 1 << 40,
            batches: batches.into(),
        }
    }

    fn frame(sequence: u64, entries: &[Entry]) -> Vec<u8> {
        let bytes = entries.iter().map(|one| ENTRY_HEADER_BYTES + one.batches.len()).sum();
        let mut builder = FrameBuilder::new(bytes);
        for one in entries {
            builder.push(one.partition, one.life, one.segment, &one.batches);
        }
        builder.finish(JOURNAL, sequence).as_slice().to_vec()
    }

    fn read(file: Vec<u8>) -> Vec<Vec<Entry>> {
        let frames = frames(&file.into(), JOURNAL);
        frames.iter().map(|frame| entries(frame).expect("entries")).collect()
    }

    #[test] // Goal: the bytes are the ones that the page draws; a change needs a version.
    fn golden_bytes() {
        let bytes = frame(5, &[entry(2, vec![0xab; 3])]);
        assert_eq!(bytes.len(), ALIGN);
        let header = [b"CLJRNL\0\x01".as_slice(), &77_u64.to_be_bytes(), &5_u64.to_be_bytes()].concat();
        assert_eq!(bytes[..24], header);
        assert_eq!(bytes[24..28], 71_u32.to_be_bytes());
        assert_eq!(bytes[32..48], [9; 16]);
        assert_eq!(bytes[48..52], 2_u32.to_be_bytes());
        assert_eq!(bytes[52..56], 3_u32.to_be_bytes());
        assert_eq!(bytes[56..64], (1_u64 << 40).to_be_bytes());
        assert_eq!(bytes[64..71], [0, 0, 0, 3, 0xab, 0xab, 0xab]);
        assert!(bytes[71..].iter().all(|byte| *byte == 0));
    }

    #[test] // Goal: frames come in the order in which they were written, wherever the ring put them.
    fn frames_come_in_order() {
        let frames = [3, 1, 2].map(|sequence| frame(sequence, &[entry(sequence as i32, vec![1; 5000])]));
        let file = [&frames[0][..], &[0; ALIGN], &frames[1], &frames[2], &[0; 2 * ALIGN]].concat();
        let indexes: Vec<i32> = read(file).iter().map(|entries| entries[0].partition.index).collect();
        assert_eq!(indexes, [1, 2, 3]);
    }

    #[test] // Goal: a frame of another journal, and one inside a record, are none of ours.
    fn foreign_frames_are_no_frames() {
        let inner = frame(1, &[entry(1, vec![1; 100])]);
        assert!(frames(&inner.clone().into(), JOURNAL + 1).is_empty());
        // In an entry, at a block's edge: it is covered by the frame around it.
        let mut batches = vec![7; ALIGN - HEADER_BYTES - ENTRY_HEADER_BYTES];
        batches.extend_from_slice(&inner);
        let outer = read(frame(2, &[entry(2, batches)]));
        assert_eq!(outer.len(), 1);
        assert_eq!(outer[0][0].partition.index, 2);
    }

    proptest! {
        #[test] // Goal: what is put in comes out; any changed byte takes the whole frame away and no other.
        fn a_frame_is_whole_or_not_there(sizes in prop::collection::vec(0..9000_usize, 1..6), at in any::<prop::sample::Index>(), bit in 0..8) {
            let entries: Vec<Entry> = sizes.iter().enumerate().map(|(at, size)| entry(at as i32, vec![at as u8; *size])).collect();
            let (first, second) = (frame(1, &entries), frame(2, &entries));
            let file = [first.clone(), second.clone()].concat();
            prop_assert_eq!(read(file.clone()), vec![entries.clone(), entries.clone()]);
            let used = HEADER_BYTES + sizes.iter().map(|size| ENTRY_HEADER_BYTES + size).sum::<usize>();
            let mut damaged = file;
            damaged[at.index(used)] ^= 1_u8 << bit;
            let left = read(damaged);
            // A changed sequence number is caught as any other byte.
            prop_assert_eq!(left, vec![entries]);
        }
    }
}
