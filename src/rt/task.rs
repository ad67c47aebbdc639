//! Tasks, time and randomness.

use std::future::Future;
use std::time::Duration;

/// A point on the monotonic clock that counts through suspend (CLOCK_BOOTTIME), in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);
impl Instant {
    pub fn after(self, d: Duration) -> Instant {
        Instant(self.0 + d.as_nanos() as u64)
    }
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
pub fn now() -> Instant {
    todo!()
}
/// Milliseconds since the Unix epoch.
pub fn wall_ms() -> i64 {
    todo!()
}
pub async fn sleep(d: Duration) {
    let _ = d;
    todo!()
}
/// Yields to the reactor: I/O, timers and foreign wake-ups are looked at. After about 200 µs of own work, call it.
pub async fn yield_now() {
    todo!()
}
/// Runs a task on this thread's executor until it ends by itself. It cannot be cancelled (runtime-and-io D3).
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    let _ = task;
    todo!()
}
pub fn random_u64() -> u64 {
    todo!()
}
