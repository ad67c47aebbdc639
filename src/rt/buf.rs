//! Aligned buffers: written once by their owner, then frozen and shared by the disk, the cache and the network.

use bytes::Bytes;

/// Direct I/O needs offsets, lengths and memory in multiples of this (STATX_DIOALIGN is checked against it at start).
pub const ALIGN: usize = 4096;

/// A zeroed, aligned, growable-by-copy buffer with one owner. Its length is a multiple of [`ALIGN`].
pub struct Buf {}

impl Buf {
    /// A zeroed buffer of at least `len` bytes, rounded up to [`ALIGN`].
    pub fn zeroed(len: usize) -> Buf {
        let _ = len;
        todo!()
    }
    pub fn as_slice(&self) -> &[u8] {
        todo!()
    }
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        todo!()
    }
    /// No more changes: the buffer can be written to disk and shared between shards.
    pub fn freeze(self) -> Frozen {
        todo!()
    }
}

/// An immutable aligned buffer; clones share it, also across shards. Its memory goes back to the shard that made it.
#[derive(Clone)]
pub struct Frozen {}

impl Frozen {
    pub fn as_slice(&self) -> &[u8] {
        todo!()
    }
    /// A view as `Bytes` that keeps the buffer alive (zero copy).
    pub fn bytes(&self, range: std::ops::Range<usize>) -> Bytes {
        let _ = range;
        todo!()
    }
}
