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
use super::pool::{self, Allocated};

/// Direct I/O needs offsets, lengths and memory in multiples of this (STATX_DIOALIGN is checked against it at start).
pub const ALIGN: usize = 4096;

/// An aligned buffer with one owner, filled from its front. Its capacity is a multiple of [`ALIGN`]; what goes to disk is
/// whole blocks.
pub struct Buf {
    memory: DmaBuffer,
    /// Bytes at the front that were written: the rest is memory that nobody may look at.
    filled: usize,
    /// Bytes of memory that it holds, be it cut to less.
    allocated: usize,
    /// Where the memory must be dropped; `None` when it came from the allocator off the shards.
    home: Option<Arc<Home>>,
}

impl Buf {
    /// An empty buffer for at least `len` bytes (and at least one block), rounded up to [`ALIGN`].
    pub fn with_capacity(len: usize) -> Buf {
        reclaim();
        let home = Home::here();
        let len = len.max(1).next_multiple_of(ALIGN);
        let used = home.is_some().then(|| pool::take(len)).flatten();
        let Allocated { memory, bytes } = used.unwrap_or_else(|| Allocated {
            memory: allocate(len, home.is_some()),
            bytes: len,
        });
        Buf {
            memory,
            filled: 0,
            allocated: bytes,
            home,
        }
    }

    /// A full buffer of zeros: at least `len` of them (and at least one block), rounded up to [`ALIGN`].
    pub fn zeroed(len: usize) -> Buf {
        let mut buf = Buf::with_capacity(len);
        buf.zero_to(buf.capacity());
        buf
    }

    pub fn capacity(&self) -> usize {
        self.memory.len()
    }

    /// Bytes of memory that it holds, also once it is cut to less.
    pub fn allocated(&self) -> usize {
        self.allocated
    }

    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the first `filled` bytes were written (`append`, `zero_to`), and lie within the memory.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.filled) }
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`; the buffer has one owner, who is borrowed from.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_mut_ptr(), self.filled) }
    }

    /// Puts the bytes behind those that are there, and shows them. Panics where there is no room for them.
    pub fn append(&mut self, bytes: &[u8]) -> &mut [u8] {
        let (start, end) = (self.filled, self.filled + bytes.len());
        assert!(end <= self.capacity(), "a buffer overflows");
        // SAFETY: the target lies within our own memory, as was just checked, and cannot overlap a borrow from elsewhere.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.memory.as_mut_ptr().add(start), bytes.len()) };
        self.filled = end;
        &mut self.as_mut_slice()[start..]
    }

    /// Fills up with zeros until `len` bytes are there.
    pub fn zero_to(&mut self, len: usize) {
        assert!(len <= self.capacity(), "a buffer overflows");
        if let Some(more) = len.checked_sub(self.filled) {
            // SAFETY: the target lies within our own memory, as was just checked.
            unsafe { std::ptr::write_bytes(self.memory.as_mut_ptr().add(self.filled), 0, more) };
            self.filled = len;
        }
    }

    /// What remains is `len`, rounded up to [`ALIGN`], with zeros where nothing was put. The memory stays allocated.
    pub fn truncate(&mut self, len: usize) {
        let len = len.max(1).next_multiple_of(ALIGN);
        self.zero_to(len.min(self.capacity()));
        if len < self.capacity() {
            self.memory.trim_to_size(len);
            self.filled = len;
        }
    }

    /// For a write that owns the buffer.
    pub(super) fn into_memory(mut self) -> DmaBuffer {
        self.zero_to(self.capacity());
        self.memory
    }

    /// No more changes: the buffer, zeros where nothing was put, can be written to disk and shared between shards.
    pub fn freeze(mut self) -> Frozen {
        self.zero_to(self.capacity());
        Frozen(Arc::new(match self.home {
            Some(home) => {
                let parcel = Parcel::Buffer(Rc::new(self.memory), self.allocated);
                Memory::Bound(HomeBound::new(parcel, home))
            }
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
