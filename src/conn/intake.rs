//! Bytes of one connection on their way to frames. Synchronous: the connection reads into it and takes frames out.
//!
//! An idle connection holds [`IDLE_BYTES`]. A read that fills the buffer makes the next one [`BUSY_BYTES`]; a frame that is
//! larger gets a buffer of its size, once its memory is admitted, and is read straight into it.

use bytes::{Buf, Bytes};

use crate::rt::Chunk;
use crate::wire::{FrameError, frame_len};

pub struct Intake {
    buffer: Chunk,
    filled: usize,
    /// socket.request.max.bytes
    frame_bytes_max: i32,
    /// The size of the next buffer.
    chunk_bytes: usize,
    last_read_bytes: usize,
}

const IDLE_BYTES: usize = 2 << 10;
const BUSY_BYTES: usize = 64 << 10;
const PREFIX_BYTES: usize = 4;
/// What tells one API from another at the front of a frame: the fixed part of its header.
const HEADER_BYTES: usize = 8;

impl Intake {
    pub fn new(frame_bytes_max: i32) -> Intake {
        Intake {
            buffer: Chunk::new(IDLE_BYTES),
            filled: 0,
            frame_bytes_max,
            chunk_bytes: IDLE_BYTES,
            last_read_bytes: 0,
        }
    }

    /// The length of the frame at the front, once its prefix is there.
    pub fn announced(&self) -> Result<Option<usize>, FrameError> {
        let prefix = self.bytes().first_chunk::<PREFIX_BYTES>();
        prefix
            .map(|prefix| frame_len(*prefix, self.frame_bytes_max))
            .transpose()
    }

    /// The front of a frame of `len` bytes, as far as it takes to tell its API.
    pub fn header(&self, len: usize) -> Option<&[u8]> {
        self.bytes().get(PREFIX_BYTES..PREFIX_BYTES + len.min(HEADER_BYTES))
    }

    pub fn holds(&self, len: usize) -> bool {
        self.filled - PREFIX_BYTES.min(self.filled) >= len
    }

    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Takes the frame at the front, which must be held whole.
    pub fn take(&mut self, len: usize) -> Bytes {
        debug_assert!(self.holds(len));
        let mut frame = self.buffer.take(PREFIX_BYTES + len);
        self.filled -= frame.len();
        frame.advance(PREFIX_BYTES);
        frame
    }

    /// Makes room for the next read. `frame` is the admitted frame at the front, if there is one.
    pub fn make_room(&mut self, frame: Option<usize>) {
        match frame.map(|len| PREFIX_BYTES + len) {
            Some(whole) if whole > self.chunk_bytes => {
                if self.buffer.len() < whole {
                    self.replace(whole);
                }
            }
            _ => self.make_chunk(),
        }
    }

    /// Whether a read could bring anything without more room.
    pub fn has_room(&self) -> bool {
        self.filled < self.buffer.len()
    }

    /// Where the next read goes.
    pub fn room(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.filled..).unwrap_or(&mut [])
    }

    /// `read` bytes have come into [`Intake::room`].
    pub fn on_read(&mut self, read: usize) {
        self.filled += read;
        self.last_read_bytes = read;
        if self.filled >= self.buffer.len() {
            self.chunk_bytes = BUSY_BYTES;
        }
    }

    fn make_chunk(&mut self) {
        let calm = self.filled == 0 && self.last_read_bytes < IDLE_BYTES;
        if calm && self.chunk_bytes > IDLE_BYTES {
            self.chunk_bytes = IDLE_BYTES;
            self.replace(IDLE_BYTES);
        } else if self.buffer.len() - self.filled < self.chunk_bytes / 4 {
            self.replace(self.chunk_bytes.max(self.filled + self.chunk_bytes / 4));
        }
    }

    fn replace(&mut self, size: usize) {
        let mut fresh = Chunk::new(size);
        if let Some(front) = fresh.get_mut(..self.filled) {
            front.copy_from_slice(self.buffer.get(..self.filled).unwrap_or(&[]));
        }
        std::mem::replace(&mut self.buffer, fresh).retire();
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn feed(intake: &mut Intake, mut bytes: &[u8], frames: &mut Vec<Bytes>) {
        while !bytes.is_empty() {
            let mut front = intake.announced().expect("lengths are valid");
            while let Some(len) = front.filter(|len| intake.holds(*len)) {
                frames.push(intake.take(len));
                front = intake.announced().expect("lengths are valid");
            }
            intake.make_room(front);
            let room = intake.room();
            let read = room.len().min(bytes.len());
            room[..read].copy_from_slice(&bytes[..read]);
            intake.on_read(read);
            bytes = &bytes[read..];
        }
        while let Some(len) = intake
            .announced()
            .expect("lengths are valid")
            .filter(|len| intake.holds(*len))
        {
            frames.push(intake.take(len));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever the reads bring, the frames are those that were sent.
        #[test]
        fn frames_come_out_as_they_went_in(
            lens in prop::collection::vec(0usize..200_000, 1..6),
            cuts in prop::collection::vec(1usize..100_000, 1..20),
        ) {
            let sent: Vec<Vec<u8>> = lens.iter().enumerate().map(|(at, len)| vec![at as u8 + 1; *len]).collect();
            let stream: Vec<u8> = sent.iter().flat_map(|f| [&(f.len() as i32).to_be_bytes()[..], f].concat()).collect();
            let (mut intake, mut frames, mut at) = (Intake::new(1 << 20), Vec::new(), 0);
            for cut in cuts.iter().cycle() {
                let end = (at + cut).min(stream.len());
                feed(&mut intake, &stream[at..end], &mut frames);
                at = end;
                if at == stream.len() {
                    break;
                }
            }
            prop_assert_eq!(frames.iter().map(|frame| frame.to_vec()).collect::<Vec<_>>(), sent);
        }
    }

    /// Behaviour 6: lengths below zero and above the limit are refused as soon as the prefix is there.
    #[test]
    fn impossible_lengths_are_refused() {
        for (prefix, error) in [
            ([0xff, 0xff, 0xff, 0xff], FrameError::Negative(-1)),
            ([0, 0, 1, 1], FrameError::TooLarge { len: 257, limit: 256 }),
        ] {
            let mut intake = Intake::new(256);
            intake.room()[..4].copy_from_slice(&prefix);
            intake.on_read(3);
            assert_eq!(intake.announced(), Ok(None));
            intake.on_read(1);
            assert_eq!(intake.announced(), Err(error));
        }
    }

    /// A connection that falls silent gives its large buffer back.
    #[test]
    fn a_calm_connection_holds_little() {
        let mut intake = Intake::new(1 << 20);
        let frame = [&1996i32.to_be_bytes()[..], &[7; 1996]].concat();
        let mut frames = Vec::new();
        (0..50).for_each(|_| feed(&mut intake, &frame.repeat(3), &mut frames));
        feed(&mut intake, &[0, 0, 0, 1, 9], &mut frames);
        intake.make_room(None);
        assert_eq!(frames.len(), 151);
        assert!(intake.buffer.len() <= IDLE_BYTES, "{}", intake.buffer.len());
    }
}
