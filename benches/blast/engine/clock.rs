//! Time as the bench needs it: monotonic nanoseconds, and the CPU time of this and of other processes.

use std::time::Duration;

pub const NS_PER_S: u64 = 1_000_000_000;

/// CLOCK_MONOTONIC in nanoseconds: the same clock in every process of this machine, so that it may travel in a payload.
pub fn now_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC).expect("every Linux has a monotonic clock")
}

/// Milliseconds since the epoch, for record timestamps.
pub fn wall_ms() -> i64 {
    (clock_ns(libc::CLOCK_REALTIME).expect("every Linux has a wall clock") / 1_000_000) as i64
}

/// User and system time of a whole process, io workers and ended threads included, to the nanosecond.
/// `None` once it is gone. Time that the kernel's own threads spend for it is not in it.
pub fn cpu_of(pid: u32) -> Option<Duration> {
    let mut clock = 0;
    // SAFETY: `clock` is a place for the result.
    let failed = unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) };
    (failed == 0)
        .then(|| clock_ns(clock))
        .flatten()
        .map(Duration::from_nanos)
}

/// CPU time of this process: the load generator itself.
pub fn own_cpu() -> Duration {
    cpu_of(std::process::id()).unwrap_or_default()
}

fn clock_ns(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a place for the result.
    let failed = unsafe { libc::clock_gettime(clock, &mut time) };
    (failed == 0).then(|| time.tv_sec as u64 * NS_PER_S + time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen_on_the_cpu_clock() {
        let before = own_cpu();
        let until = now_ns() + 20_000_000;
        while now_ns() < until {}
        assert!(own_cpu() > before);
    }

    #[test]
    fn a_process_that_is_gone_has_no_clock() {
        const BEYOND_EVERY_PID: u32 = 1 << 22;
        assert_eq!(cpu_of(BEYOND_EVERY_PID), None);
    }
}
