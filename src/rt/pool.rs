//! Buffers of this shard that have served and may serve again. A busy log goes through a buffer with each write, and large
//! pieces are what an allocator is slowest with.

use std::cell::RefCell;
use std::collections::VecDeque;

use glommio::io::DmaBuffer;

/// Bytes of memory that lie ready in one shard.
const POOL_BYTES_MAX: usize = 2 << 20;
/// Larger buffers are rare, and few of them would be the whole pool.
const BUFFER_BYTES_MAX: usize = 256 << 10;
/// The newest ones that are looked through for one of the right size.
const LOOKS: usize = 16;

/// A buffer with the bytes of memory that it was allocated with: cut to less, it holds them still.
pub(super) struct Allocated {
    pub memory: DmaBuffer,
    pub bytes: usize,
}

#[derive(Default)]
struct Pool {
    buffers: VecDeque<Allocated>,
    bytes: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::default();
}

/// One of at least `len` bytes, and not much more.
pub(super) fn take(len: usize) -> Option<Allocated> {
    POOL.with_borrow_mut(|pool| {
        let fits = |buffer: &Allocated| (len..=len + len / 2).contains(&buffer.memory.len());
        let at = pool.buffers.iter().rev().take(LOOKS).position(fits)?;
        let buffer = pool.buffers.remove(pool.buffers.len() - 1 - at)?;
        pool.bytes -= buffer.bytes;
        Some(buffer)
    })
}

/// Keeps a buffer, unless it holds much more memory than it shows. The oldest ones make room.
pub(super) fn keep(buffer: Allocated) {
    if buffer.bytes > BUFFER_BYTES_MAX || 4 * buffer.memory.len() < 3 * buffer.bytes {
        return;
    }
    // Without a pool the thread is ending.
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        pool.bytes += buffer.bytes;
        pool.buffers.push_back(buffer);
        while pool.bytes > POOL_BYTES_MAX {
            let Some(oldest) = pool.buffers.pop_front() else { break };
            pool.bytes -= oldest.bytes;
        }
    });
}

/// The executor is gone, and with it the use for its memory.
pub(super) fn clear() {
    POOL.take();
}
