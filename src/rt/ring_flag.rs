//! Asks the kernel for COOP_TASKRUN on every ring of this process.
//!
//! Without the flag each socket readiness event interrupts the shard's core; glommio has no setting for it. liburing
//! sets rings up through `__sys_io_uring_setup`; `build.rs` has the linker send those calls here instead
//! (`--wrap`). Were the link argument lost, everything would still work, only slower: so set-ups are counted, and a
//! test asserts that the count is not zero.

use std::sync::atomic::{AtomicU64, Ordering};

/// IORING_SETUP_COOP_TASKRUN: completions wait for the next kernel entry instead of interrupting the core.
const COOP_TASKRUN: u32 = 1 << 8;

static SETUPS: AtomicU64 = AtomicU64::new(0);

/// Rings that were set up with the flag since the process started.
pub fn coop_taskrun_setups() -> u64 {
    SETUPS.load(Ordering::Relaxed)
}

/// The start of `struct io_uring_params`; only `flags` is touched here.
#[repr(C)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
}

/// Stands in for liburing's function of the same name without the prefix: -1 and errno on failure.
///
/// # Safety
/// `params` points to a valid, writable `struct io_uring_params`, as the system call itself demands.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap___sys_io_uring_setup(entries: libc::c_uint, params: *mut libc::c_void) -> libc::c_int {
    let head = params.cast::<Params>();
    // SAFETY: liburing passes its own initialised, exclusively owned io_uring_params, whose first three fields are
    // those of `Params`.
    unsafe { (*head).flags |= COOP_TASKRUN };
    // SAFETY: the arguments are those of io_uring_setup(2).
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, params) };
    if fd >= 0 {
        SETUPS.fetch_add(1, Ordering::Relaxed);
        return fd as libc::c_int;
    }
    if std::io::Error::last_os_error().raw_os_error() != Some(libc::EINVAL) {
        return -1;
    }
    // The kernel (before 5.19) or this ring's other flags do not go with it: set up what was asked for.
    // SAFETY: as above.
    unsafe { (*head).flags &= !COOP_TASKRUN };
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, params) as libc::c_int }
}
