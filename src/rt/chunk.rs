//! Memory that a connection reads into. Fresh memory must be zeroed before it may be lent to a read, and each allocation
//! of such a size is work as well; used memory needs neither. So each thread keeps what its connections have filled, and
//! hands it out again once nobody reads it any more.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};

use bytes::{Bytes, BytesMut};

/// Bytes of memory that one thread keeps.
const KEPT_BYTES_MAX: usize = 8 << 20;
/// Smaller pieces are quickly made, and larger ones rare.
const CHUNK_BYTES_MIN: usize = 64 << 10;
const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Allocations are a multiple of it, so that frames whose sizes differ a little share them.
const GRAIN_BYTES: usize = 16 << 10;
/// The oldest ones, which are done with first, that are looked through for one that serves.
const LOOKS: usize = 16;

/// Bytes to read into: initialised, whatever they hold. Its front is taken away piece by piece.
pub struct Chunk {
    /// Nothing but the rest of an allocation of [`BytesMut::zeroed`]: nobody else may put another one here.
    bytes: BytesMut,
    /// The length of that allocation.
    allocated: usize,
}

#[derive(Default)]
struct Kept {
    chunks: VecDeque<Chunk>,
    bytes: usize,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

impl Chunk {
    /// Of used memory where there is some.
    pub fn new(len: usize) -> Chunk {
        let used = (CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&len).then(|| take(len));
        used.flatten().unwrap_or_else(|| Chunk::fresh(len))
    }

    fn fresh(len: usize) -> Chunk {
        let allocated = match len < CHUNK_BYTES_MIN {
            true => len,
            false => len.next_multiple_of(GRAIN_BYTES),
        };
        let mut bytes = BytesMut::zeroed(allocated);
        bytes.truncate(len);
        Chunk { bytes, allocated }
    }

    /// The first `len` bytes, which do not change any more.
    pub fn take(&mut self, len: usize) -> Bytes {
        self.bytes.split_to(len).freeze()
    }

    /// Its memory serves again once all that was taken of it is gone.
    pub fn retire(mut self) {
        if !(CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&self.allocated) {
            return;
        }
        self.bytes.clear();
        // Without what is kept the thread is ending.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            kept.bytes += self.allocated;
            kept.chunks.push_back(self);
            while kept.bytes > KEPT_BYTES_MAX {
                let Some(oldest) = kept.chunks.pop_front() else { break };
                kept.bytes -= oldest.allocated;
            }
        });
    }

    /// `len` bytes of it, if nobody reads them any more.
    fn renew(&mut self, len: usize) -> bool {
        let is_free = self.bytes.try_reclaim(len);
        if is_free {
            // SAFETY: the capacity of `len` bytes is a part of the allocation, whose bytes were all zeroed when it was made.
            unsafe { self.bytes.set_len(len) };
        }
        is_free
    }
}

/// One of at least `len` bytes, and not many more.
fn take(len: usize) -> Option<Chunk> {
    // Without what is kept the thread is ending.
    let used = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        let serves = |chunk: &mut Chunk| (len..=len + len / 4).contains(&chunk.allocated) && chunk.renew(len);
        let at = kept.chunks.iter_mut().take(LOOKS).position(serves)?;
        let chunk = kept.chunks.remove(at)?;
        kept.bytes -= chunk.allocated;
        Some(chunk)
    });
    used.ok().flatten()
}

impl Deref for Chunk {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Chunk {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(chunk: &Chunk) -> *const u8 {
        chunk.as_ptr()
    }

    /// Whether a chunk of so many bytes has its memory from there.
    fn has_memory_of(len: usize, was: *const u8) -> bool {
        let chunk = Chunk::new(len);
        assert_eq!(chunk.len(), len);
        address(&chunk) == was
    }

    #[test]
    fn memory_serves_again_once_nobody_reads_it() {
        const LEN: usize = 4 * CHUNK_BYTES_MIN;
        let mut chunk = Chunk::new(LEN);
        chunk.fill(1);
        let was = address(&chunk);
        let taken = [chunk.take(40), chunk.take(LEN - 50)];
        assert_eq!(chunk.len(), 10);
        chunk.retire();
        assert!(!has_memory_of(LEN, was), "it is still being read");
        assert!(taken[0].iter().all(|byte| *byte == 1));
        drop(taken);
        assert!(!has_memory_of(LEN / 2 - 1, was), "it is far too large");
        assert!(!has_memory_of(LEN + 1, was), "it is too small");
        assert!(has_memory_of(LEN, was));
    }

    /// Frames of about the same size share it.
    #[test]
    fn sizes_that_differ_a_little_fit() {
        let chunk = Chunk::new(200_000);
        let was = address(&chunk);
        chunk.retire();
        assert!(has_memory_of(200_100, was));
    }

    #[test]
    fn little_is_kept() {
        let many = 3 * KEPT_BYTES_MAX / CHUNK_BYTES_MAX;
        let chunks: Vec<_> = (0..many).map(|_| Chunk::new(CHUNK_BYTES_MAX)).collect();
        chunks.into_iter().for_each(Chunk::retire);
        Chunk::new(CHUNK_BYTES_MAX + 1).retire();
        Chunk::new(10).retire();
        KEPT.with_borrow(|kept| {
            let bytes: usize = kept.chunks.iter().map(|chunk| chunk.allocated).sum();
            assert_eq!((kept.bytes, bytes), (KEPT_BYTES_MAX, KEPT_BYTES_MAX));
        });
    }
}
