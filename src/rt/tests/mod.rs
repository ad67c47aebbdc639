//! The seam against the real kernel: each rule that it hides has a test that would notice its loss.
//!
//! Cancelling a task leaks it in glommio (runtime-and-io D3); no test stands for that, because the seam has nothing to
//! cancel with: `spawn` gives no handle.

mod buffers;
mod defects;
mod files;
mod lanes;
mod net;
mod process;

use super::Buf;

/// Bytes that tell where they stand, in a whole number of blocks.
fn pattern(len: usize, seed: u8) -> Buf {
    let mut buf = Buf::zeroed(len);
    for (index, byte) in buf.as_mut_slice()[..len].iter_mut().enumerate() {
        *byte = (index as u8).wrapping_mul(31).wrapping_add((index >> 8) as u8) ^ seed;
    }
    buf
}
