//! What glibc's allocator does with the memory of large buffers.

/// Larger pieces come from the kernel one by one, and go back to it.
const MAPPED_FROM_BYTES: libc::c_int = 4 << 20;
/// A thread keeps this much free memory for its next buffers.
const KEPT_BYTES: libc::c_int = 64 << 20;

/// From now on the memory of freed buffers is kept for the next ones. glibc gives it back to the kernel at once, and the
/// kernel zeroes each page of it again: half of the CPU that a read from the disk takes.
pub fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    for (parameter, value) in [
        (libc::M_MMAP_THRESHOLD, MAPPED_FROM_BYTES),
        (libc::M_TRIM_THRESHOLD, KEPT_BYTES),
    ] {
        // SAFETY: the call takes two numbers, and the allocator's own lock.
        if unsafe { libc::mallopt(parameter, value) } == 0 {
            tracing::debug!(parameter, value, "mallopt refused");
        }
    }
}
