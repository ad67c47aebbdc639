//! Aligned buffers: written once by their owner, then frozen and shared by the disk, the cache and the network.
//!
//! On a shard the memory comes from the executor's registered I/O memory while that lasts (the disk then reads it
//! without pinning pages), from the allocator after that; off the shards always from the allocator.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use glommio::io::DmaBuffer;

use super::home::{Home, HomeBound, Parcel, reclaim};

/// Direct I/O needs offsets, lengths and memory in multiples of this (STATX_DIOALIGN is checked against it at start).
pub const ALIGN: usize = 4096;

/// A zeroed, aligned, growable-by-copy buffer with one owner. Its length is a multiple of [`ALIGN`].
pub struct Buf {
    memory: DmaBuffer,
    /// Where the memory must be dropped; `None` when it came from the allocator off the shards.
    home: Option<Arc<Home>>,
}

impl Buf {
    /// A zeroed buffer of at least `len` bytes (and at least one block), rounded up to [`ALIGN`].
    pub fn zeroed(len: usize) -> Buf {
        reclaim();
        let home = Home::here();
        let mut memory = allocate(len.max(1).next_multiple_of(ALIGN), home.is_some());
        // SAFETY: the buffer is ours alone and at least `len()` bytes long; zeroing it is what makes it initialised
        // before the first reference to its bytes is made.
        unsafe { std::ptr::write_bytes(memory.as_mut_ptr(), 0, memory.len()) };
        Buf { memory, home }
    }
    pub fn as_slice(&self) -> &[u8] {
        self.memory.as_bytes()
    }
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.memory.as_bytes_mut()
    }
    /// Gives up the end of the buffer: `len`, rounded up to [`ALIGN`], is what remains. The memory stays allocated.
    pub fn truncate(&mut self, len: usize) {
        let len = len.max(1).next_multiple_of(ALIGN);
        if len < self.memory.len() {
            self.memory.trim_to_size(len);
        }
    }
    /// For a write that owns the buffer.
    pub(super) fn into_memory(self) -> DmaBuffer {
        self.memory
    }
    /// No more changes: the buffer can be written to disk and shared between shards.
    pub fn freeze(self) -> Frozen {
        Frozen(Arc::new(match self.home {
            Some(home) => Memory::Bound(HomeBound::new(Parcel::Buffer(Rc::new(self.memory)), home)),
            None => Memory::Free(FreeBuffer(self.memory)),
        }))
    }
}

fn allocate(len: usize, on_shard: bool) -> DmaBuffer {
    let memory = if on_shard {
        glommio::allocate_dma_buffer(len)
    } else {
        glommio::allocate_dma_buffer_global(len)
    };
    assert_eq!(memory.as_ptr() as usize % ALIGN, 0, "unaligned I/O memory");
    memory
}

/// An immutable aligned buffer; clones share it, also across shards. Its memory goes back to the shard that made it.
#[derive(Clone)]
pub struct Frozen(Arc<Memory>);

enum Memory {
    Bound(HomeBound),
    Free(FreeBuffer),
}

/// A buffer of the global allocator.
struct FreeBuffer(DmaBuffer);
// SAFETY: made off the shards by `allocate_dma_buffer_global`, so it holds nothing but a unique allocation: no counted
// pointer, no executor. It is only read from now on.
unsafe impl Send for FreeBuffer {}
// SAFETY: as above.
unsafe impl Sync for FreeBuffer {}

impl Frozen {
    pub fn as_slice(&self) -> &[u8] {
        match &*self.0 {
            Memory::Bound(bound) => bound,
            Memory::Free(free) => free.0.as_bytes(),
        }
    }
    /// A view as `Bytes` that keeps the buffer alive (zero copy).
    pub fn bytes(&self, range: Range<usize>) -> Bytes {
        Bytes::from_owner(self.clone()).slice(range)
    }
    /// For a write of the whole buffer without a copy; `None` where the buffer is not this shard's.
    pub(super) fn whole_at_home(&self) -> Option<Rc<DmaBuffer>> {
        match &*self.0 {
            Memory::Bound(bound) => bound.buffer_at_home(),
            Memory::Free(_) => None,
        }
    }
}

impl AsRef<[u8]> for Frozen {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}
