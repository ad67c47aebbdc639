//! Batches on their way to the disk, in aligned buffers that become the writes: the one copy that a batch gets.
//!
//! A chunk covers whole blocks of its segment. Its front repeats the bytes of its first block that are already written
//! (or that the chunk before it will write), its end is zeros. Chunks are written one after the other, never two at
//! once, because neighbours share a block.

use std::collections::VecDeque;

use bytes::Bytes;

use super::index::BatchPlace;
use super::run::{BatchEnd, Run, Selected, select};
use super::segment::write_end;
use crate::record::{HEADER_LEN, patch};
use crate::rt::{ALIGN, Buf, Frozen};

/// The most bytes of batches that may wait in one log for the disk.
pub(super) const STAGED_BYTES_MAX: usize = 64 << 20;
/// A chunk takes no more batches beyond this; one that is larger gets a chunk of its own. Larger writes gain nothing.
pub(super) const CHUNK_BYTES_MAX: usize = 1 << 20;

pub(super) struct Staging {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    /// The written bytes of the last block, where it is not full: the front of the next chunk.
    tail: Vec<u8>,
    /// What the last write took: the first size of the next buffer, so that a busy log does not grow it step by step.
    last_chunk_bytes: usize,
}

/// Whole blocks of one segment with the batches that are new in them.
pub(super) struct Chunk {
    /// The base offset of the segment.
    pub segment: i64,
    /// Where the buffer belongs in the segment.
    position: u64,
    buf: Buf,
    /// Bytes at the front that are repeated.
    repeated: usize,
    first_offset: i64,
    ends: Vec<BatchEnd>,
    /// The largest timestamp of each batch.
    timestamps: Vec<i64>,
    /// Bytes of batches that are in the journal, or on their way there, the repeated ones included.
    journaled: usize,
}

/// A chunk that is being written or is written.
pub(super) struct FrozenChunk {
    pub position: u64,
    pub buf: Frozen,
    /// Bytes of batches that are new.
    pub len: usize,
    /// Bytes of memory behind the buffer, which is cut to what is written.
    allocated: usize,
    repeated: usize,
    first_offset: i64,
    ends: Vec<BatchEnd>,
    timestamps: Vec<i64>,
}

/// Where a batch goes.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub segment: i64,
    pub position: u64,
    pub offset: i64,
    pub next_offset: i64,
    pub epoch: i32,
    pub max_timestamp: i64,
    /// The length of the segment's file.
    pub space: u64,
}

impl Staging {
    /// `tail`: the bytes behind the last block boundary of the segment that the log goes on with.
    pub fn new(tail: Vec<u8>) -> Staging {
        Staging {
            chunks: VecDeque::new(),
            bytes: 0,
            tail,
            last_chunk_bytes: 0,
        }
    }

    /// Bytes of batches that are not written yet, those of a write in flight included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes behind the last block boundary of what is frozen.
    pub fn tail(&self) -> &[u8] {
        &self.tail
    }

    pub fn front(&self) -> Option<&Chunk> {
        self.chunks.front()
    }

    /// The chunk, where there is one and no other behind it.
    pub fn only(&self) -> Option<&Chunk> {
        (self.chunks.len() == 1).then(|| self.chunks.front())?
    }

    pub fn front_mut(&mut self) -> Option<&mut Chunk> {
        self.chunks.front_mut()
    }

    /// Copies a batch behind what is staged and patches it.
    pub fn push(&mut self, batch: &[u8], place: Place) {
        let joins = |chunk: &&mut Chunk| chunk.takes(batch.len(), place);
        if self.chunks.back_mut().filter(joins).is_none() {
            let chunk = self.begin_chunk(place, batch.len());
            self.chunks.push_back(chunk);
        }
        let chunk = self.chunks.back_mut().expect("pushed where there was none");
        assert_eq!(
            chunk.position + chunk.used() as u64,
            place.position,
            "a hole between batches"
        );
        chunk.push(batch, place);
        self.bytes += batch.len();
    }

    /// The next chunk, ready to be written.
    pub fn freeze_front(&mut self) -> Option<FrozenChunk> {
        let mut chunk = self.chunks.pop_front()?;
        let used = chunk.used();
        self.last_chunk_bytes = used.min(CHUNK_BYTES_MAX);
        if self.chunks.is_empty() {
            chunk.tail().clone_into(&mut self.tail);
        }
        let write_len = (chunk.write_end() - chunk.position) as usize;
        let allocated = chunk.buf.allocated();
        assert!(
            (used + HEADER_LEN..=chunk.buf.capacity()).contains(&write_len),
            "no room for a zero header behind the last batch"
        );
        // Behind the last batch this leaves zeros.
        chunk.buf.truncate(write_len);
        Some(FrozenChunk {
            allocated,
            position: chunk.position,
            buf: chunk.buf.freeze(),
            len: used - chunk.repeated,
            repeated: chunk.repeated,
            first_offset: chunk.first_offset,
            ends: chunk.ends,
            timestamps: chunk.timestamps,
        })
    }

    /// A chunk's write has completed.
    pub fn written(&mut self, chunk: &FrozenChunk) {
        self.bytes -= chunk.len;
    }

    fn begin_chunk(&self, place: Place, batch_len: usize) -> Chunk {
        let repeated = (place.position % ALIGN as u64) as usize;
        let before = self.chunks.back();
        let front = match before {
            _ if repeated == 0 => &[],
            Some(before) => before.tail(),
            None => self.tail.as_slice(),
        };
        assert_eq!(front.len(), repeated, "the tail block is not the segment's");
        let needed = repeated + batch_len + HEADER_LEN;
        // Where it is guessed too large, the cache has to copy what is in it.
        let guessed = Some(self.last_chunk_bytes).filter(|guessed| *guessed <= 2 * needed);
        let mut buf = Buf::with_capacity(guessed.unwrap_or_default().max(needed));
        buf.append(front);
        Chunk {
            segment: place.segment,
            position: place.position - repeated as u64,
            buf,
            repeated,
            first_offset: place.offset,
            ends: Vec::new(),
            timestamps: Vec::new(),
            journaled: repeated,
        }
    }
}

impl Chunk {
    /// Bytes of batches, the repeated ones included.
    fn used(&self) -> usize {
        self.buf.as_slice().len()
    }

    /// Batches that neither the segment nor the journal has.
    pub fn fresh(&self) -> &[u8] {
        &self.buf.as_slice()[self.journaled..]
    }

    /// Everything that is in the chunk now goes to the journal.
    pub fn note_journaled(&mut self) {
        self.journaled = self.used();
    }

    /// Some of the batches as a reader gets them: a copy, because the buffer may still grow.
    pub fn select(&self, offset: i64, max_bytes: usize, limit: i64, at_least_one: bool) -> Option<Selected> {
        let range = select(&self.ends, offset, max_bytes, limit, at_least_one)?;
        let bytes = &self.buf.as_slice()[self.repeated..];
        Some(Selected {
            bytes: Bytes::copy_from_slice(bytes.get(range.bytes)?),
            next_offset: range.next_offset,
        })
    }

    /// A copy of all of it.
    pub fn to_run(&self) -> Run {
        let bytes = Bytes::copy_from_slice(&self.buf.as_slice()[self.repeated..]);
        Run::new(bytes, self.first_offset, self.ends.clone())
    }

    /// Where the chunk's write ends in the segment.
    pub fn write_end(&self) -> u64 {
        write_end(self.position + self.used() as u64)
    }

    /// What is in the journal must not wait for space that the disk may not have: no batch joins it that needs more.
    fn takes(&self, batch_len: usize, place: Place) -> bool {
        let has_room = self.used() + batch_len + HEADER_LEN <= CHUNK_BYTES_MAX;
        let has_space = write_end(place.position + batch_len as u64) <= place.space;
        self.segment == place.segment && has_room && (has_space || self.journaled == self.repeated)
    }

    fn push(&mut self, batch: &[u8], place: Place) {
        let end = self.used() + batch.len();
        self.reserve(end + HEADER_LEN);
        patch(self.buf.append(batch), place.offset, place.epoch);
        self.ends.push(BatchEnd {
            next_offset: place.next_offset,
            end: end - self.repeated,
        });
        self.timestamps.push(place.max_timestamp);
    }

    fn reserve(&mut self, len: usize) {
        let now = self.buf.capacity();
        if len > now {
            let mut larger = Buf::with_capacity(len.max((2 * now).min(CHUNK_BYTES_MAX)));
            larger.append(self.buf.as_slice());
            self.buf = larger;
        }
    }

    /// The bytes behind the last block boundary.
    fn tail(&self) -> &[u8] {
        &self.buf.as_slice()[self.used() - self.used() % ALIGN..]
    }
}

impl FrozenChunk {
    /// The offset behind the chunk's last batch.
    pub fn next_offset(&self) -> i64 {
        self.ends.last().map_or(self.first_offset, |last| last.next_offset)
    }

    /// Whether its first block is written already, and the others are not.
    pub fn repeats_a_block(&self) -> bool {
        self.repeated > 0 && self.buf.as_slice().len() > ALIGN
    }

    /// The new batches, for the indexes.
    pub fn batches(&self) -> impl Iterator<Item = BatchPlace> {
        let mut start = 0;
        self.ends
            .iter()
            .zip(&self.timestamps)
            .map(move |(batch, max_timestamp)| {
                let from = std::mem::replace(&mut start, batch.end);
                BatchPlace {
                    position: self.position + (self.repeated + from) as u64,
                    len: batch.end - from,
                    last_offset: batch.next_offset - 1,
                    max_timestamp: *max_timestamp,
                }
            })
    }

    /// A view of the new batches.
    pub fn view(&self) -> Run {
        let bytes = self.buf.bytes(self.repeated..self.repeated + self.len);
        Run::new(bytes, self.first_offset, self.ends.clone())
    }

    /// The new batches as readers see them, and the memory that they hold: a view of the buffer, or a copy where the view
    /// would hold much more than it shows.
    pub fn into_run(self) -> (Run, usize) {
        let range = self.repeated..self.repeated + self.len;
        let (bytes, held) = if 2 * self.len < self.allocated {
            (Bytes::copy_from_slice(&self.buf.as_slice()[range]), self.len)
        } else {
            (self.buf.bytes(range), self.allocated)
        };
        (Run::new(bytes, self.first_offset, self.ends), held)
    }
}
