//! Memory that a connection reads into, and gets back once what was read is done with.
//!
//! Fresh memory must be zeroed before it may be lent to a read, and each allocation of such a size is work as well; a
//! busy connection goes through many. Used memory needs neither.

use std::ops::{Deref, DerefMut};

use bytes::{Bytes, BytesMut};

/// Bytes to read into: initialised, whatever they hold. Its front is taken away piece by piece.
pub struct Chunk {
    /// Nothing but the rest of an allocation of [`BytesMut::zeroed`]: nobody else may put another one here.
    bytes: BytesMut,
    /// The length of that allocation.
    allocated: usize,
}

impl Chunk {
    pub fn new(len: usize) -> Chunk {
        Chunk {
            bytes: BytesMut::zeroed(len),
            allocated: len,
        }
    }

    /// The first `len` bytes, which do not change any more.
    pub fn take(&mut self, len: usize) -> Bytes {
        self.bytes.split_to(len).freeze()
    }

    /// The whole of the memory again, if nothing that was taken is left and it has `len` bytes.
    pub fn renew(mut self, len: usize) -> Option<Chunk> {
        self.bytes.clear();
        if self.allocated != len || !self.bytes.try_reclaim(len) {
            return None;
        }
        // SAFETY: the capacity of `len` bytes is the whole of the allocation, whose bytes were all zeroed when it was made.
        unsafe { self.bytes.set_len(len) };
        Some(self)
    }
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
