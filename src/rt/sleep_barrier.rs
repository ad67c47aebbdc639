//! Spares a shard that falls asleep the interrupt of every other core.
//!
//! Before it sleeps, glommio's executor says so in a flag, issues `membarrier(2)`, which interrupts all cores that run
//! threads of this process, and looks for messages once more. Who sends writes the message and then looks at the flag.
//! The system call is there so that the sender needs no fence between the two. On x86-64 the sender has one anyway:
//! both the message and the flag are atomic read-modify-write instructions, each a full fence there. So a fence on the
//! sleeper's side is all that is missing, and costs nothing beside the interrupts (a tenth of a loaded broker's time).
//!
//! `build.rs` has the linker send calls of libc's `syscall` here (`--wrap`), on x86-64 only; all but that one pass on
//! untouched. Were the link argument lost, everything would still work, only slower: so barriers are counted, and a test
//! asserts that the count is not zero.

use std::sync::atomic::{AtomicU64, Ordering};

static BARRIERS: AtomicU64 = AtomicU64::new(0);

/// Fences that stood in for a `membarrier` since the process started.
pub fn spared_barriers() -> u64 {
    BARRIERS.load(Ordering::Relaxed)
}

/// MEMBARRIER_CMD_PRIVATE_EXPEDITED, the only command that glommio issues after its start.
#[cfg(target_arch = "x86_64")]
const PRIVATE_EXPEDITED: i32 = 1 << 3;

/// Stands in for libc's `syscall`. Naked, because it must hand on whatever number of arguments it was called with.
///
/// # Safety
/// As the system call that it is asked for.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_syscall() {
    core::arch::naked_asm!(
        "cmp rdi, {membarrier}",
        "jne 2f",
        "cmp esi, {private_expedited}",
        "jne 2f",
        "mfence",
        "lock inc qword ptr [rip + {barriers}]",
        "xor eax, eax",
        "ret",
        "2:",
        "jmp __real_syscall@PLT",
        membarrier = const libc::SYS_membarrier,
        private_expedited = const PRIVATE_EXPEDITED,
        barriers = sym BARRIERS,
    )
}
