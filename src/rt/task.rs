//! Tasks, time and randomness.

use std::future::Future;
use std::time::Duration;

use super::world::{World, current};

/// A point on the monotonic clock that counts through suspend (CLOCK_BOOTTIME), in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);
impl Instant {
    pub fn after(self, d: Duration) -> Instant {
        let nanos = u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(nanos))
    }
    pub fn before(self, d: Duration) -> Instant {
        let nanos = u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_sub(nanos))
    }
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Both clocks, read together: what pure code gets as an argument.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub instant: Instant,
    pub wall_ms: i64,
}

impl Now {
    pub fn read() -> Now {
        Now {
            instant: now(),
            wall_ms: wall_ms(),
        }
    }
}

pub fn now() -> Instant {
    #[cfg(test)]
    if current() == World::Sim {
        return Instant(super::sim::now_nanos());
    }
    Instant(clock_nanos(libc::CLOCK_BOOTTIME))
}

/// Milliseconds since the Unix epoch.
pub fn wall_ms() -> i64 {
    #[cfg(test)]
    if current() == World::Sim {
        return super::sim::wall_ms();
    }
    (clock_nanos(libc::CLOCK_REALTIME) / 1_000_000) as i64
}

/// CPU time of this thread so far.
pub fn thread_cpu_nanos() -> u64 {
    #[cfg(test)]
    if current() == World::Sim {
        return super::sim::now_nanos();
    }
    clock_nanos(libc::CLOCK_THREAD_CPUTIME_ID)
}

pub async fn sleep(d: Duration) {
    match current() {
        World::Shard => glommio::timer::sleep(d).await,
        World::Control => tokio::time::sleep(d).await,
        World::Plain => no_event_loop("sleep"),
        #[cfg(test)]
        World::Sim => super::sim::sleep(d).await,
    }
}

/// Yields to the reactor: I/O, timers and foreign wake-ups are looked at. After about 200 µs of own work, call it.
pub async fn yield_now() {
    match current() {
        // A timer that is due at once does not reach the reactor; one microsecond does.
        World::Shard => glommio::timer::sleep(Duration::from_micros(1)).await,
        World::Control => tokio::task::yield_now().await,
        World::Plain => no_event_loop("yield_now"),
        #[cfg(test)]
        World::Sim => super::sim::sleep(Duration::from_micros(1)).await,
    }
}

/// Runs a task on this thread's executor until it ends by itself. It cannot be cancelled (runtime-and-io D3).
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    match current() {
        World::Shard => drop(glommio::spawn_local(task).detach()),
        World::Control => drop(tokio::task::spawn_local(task)),
        World::Plain => no_event_loop("spawn"),
        #[cfg(test)]
        World::Sim => super::sim::spawn(task),
    }
}

/// The future's output, or `None` once `d` has passed; the future is then dropped where it stands, so it must be one
/// that may be (a read, a lane, a reply: not a write to a file).
pub async fn timeout<T>(d: Duration, future: impl Future<Output = T>) -> Option<T> {
    let deadline = async {
        sleep(d).await;
        None
    };
    futures_lite::future::or(async { Some(future.await) }, deadline).await
}

pub fn random_u64() -> u64 {
    #[cfg(test)]
    if current() == World::Sim {
        return super::sim::random_u64();
    }
    rand::random()
}

fn no_event_loop(what: &str) -> ! {
    panic!("{what} needs a shard or the control thread")
}

fn clock_nanos(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the call to fill.
    let result = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(result, 0, "clock {clock} cannot be read");
    (time.tv_sec as u64)
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec as u64)
}
