//! The broker with counters in it: how often it allocates, and how many bytes it copies in user space.
//!
//! The same library and the same arguments as the broker; only the allocator and the copy routines are ours. The counts
//! stand in the file named by `CORELANE_COUNTS`, which is mapped, so that the gates read them while the broker runs:
//!
//! ```text
//!   allocations u64 | allocated bytes u64 | copies u64 | copied bytes u64      (native byte order)
//! ```
//!
//! Copies are counted on x86-64 only.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};

/// Copies below this are fields and headers, and most of them the compiler has made into a few moves anyway.
#[cfg(target_arch = "x86_64")]
const COPY_BYTES_MIN: usize = 256;

#[repr(C)]
struct Counts {
    allocations: AtomicU64,
    allocated_bytes: AtomicU64,
    copies: AtomicU64,
    copied_bytes: AtomicU64,
}

/// Where is counted until the file is mapped, or if none is named.
static UNSEEN: Counts = Counts {
    allocations: AtomicU64::new(0),
    allocated_bytes: AtomicU64::new(0),
    copies: AtomicU64::new(0),
    copied_bytes: AtomicU64::new(0),
};
static SEEN: AtomicPtr<Counts> = AtomicPtr::new(std::ptr::null_mut());

fn counts() -> &'static Counts {
    let seen = SEEN.load(Relaxed);
    // SAFETY: null, or a mapping that is never undone.
    unsafe { seen.as_ref() }.unwrap_or(&UNSEEN)
}

struct Counting;

impl Counting {
    fn count(bytes: usize) {
        let counts = counts();
        counts.allocations.fetch_add(1, Relaxed);
        counts.allocated_bytes.fetch_add(bytes as u64, Relaxed);
    }
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Counting::count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Counting::count(size);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[cfg(target_arch = "x86_64")]
fn count_copy(bytes: usize) {
    if bytes >= COPY_BYTES_MIN {
        let counts = counts();
        counts.copies.fetch_add(1, Relaxed);
        counts.copied_bytes.fetch_add(bytes as u64, Relaxed);
    }
}

/// In the place of the C library's: every copy of a length that is not known when compiling comes by here.
///
/// # Safety
/// As of the C function.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(target: *mut u8, source: *const u8, bytes: usize) -> *mut u8 {
    count_copy(bytes);
    // SAFETY: as the caller promises.
    unsafe { copy_forwards(target, source, bytes) };
    target
}

/// # Safety
/// As of the C function.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(target: *mut u8, source: *const u8, bytes: usize) -> *mut u8 {
    count_copy(bytes);
    // SAFETY: as the caller promises; backwards where the target begins inside the source.
    unsafe {
        if (target as usize).wrapping_sub(source as usize) >= bytes {
            copy_forwards(target, source, bytes);
        } else {
            copy_backwards(target, source, bytes);
        }
    }
    target
}

/// # Safety
/// `bytes` bytes may be read and written; the target does not begin inside the source.
#[cfg(target_arch = "x86_64")]
unsafe fn copy_forwards(target: *mut u8, source: *const u8, bytes: usize) {
    // SAFETY: as the caller promises. No function may be called here: it might be a copy.
    unsafe {
        std::arch::asm!("rep movsb", inout("rcx") bytes => _, inout("rdi") target => _, inout("rsi") source => _,
            options(nostack, preserves_flags));
    }
}

/// # Safety
/// `bytes` bytes, at least one, may be read and written.
#[cfg(target_arch = "x86_64")]
unsafe fn copy_backwards(target: *mut u8, source: *const u8, bytes: usize) {
    // SAFETY: as the caller promises; the direction flag is restored.
    unsafe {
        std::arch::asm!("std", "rep movsb", "cld", inout("rcx") bytes => _,
            inout("rdi") target.add(bytes - 1) => _, inout("rsi") source.add(bytes - 1) => _, options(nostack));
    }
}

fn main() -> ExitCode {
    if let Some(path) = std::env::var_os("CORELANE_COUNTS") {
        show_counts(
            &File::options()
                .read(true)
                .write(true)
                .open(path)
                .expect("the file of the counts is there"),
        );
    }
    corelane::cli::main(std::env::args().collect())
}

/// From now on the counts stand in the file, which is as long as they are.
fn show_counts(file: &File) {
    let len = std::mem::size_of::<Counts>();
    // SAFETY: a new mapping of a file that is long enough; it stays for ever.
    let mapped = unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        libc::mmap(
            std::ptr::null_mut(),
            len,
            protection,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    assert_ne!(mapped, libc::MAP_FAILED, "the counts can be mapped");
    SEEN.store(mapped.cast(), Relaxed);
}
