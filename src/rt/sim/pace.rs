//! How quickly things follow on each other in a simulation, so that as much goes wrong in a shorter run. It is told to the
//! thread, as a rule that is switched off is.

use std::cell::Cell;
use std::time::Duration;

#[derive(Clone, Copy)]
pub struct Pace {
    /// What is done after a while, or waited for, is so many times as quick as written.
    pub quicker: u32,
    /// Between what clients ask for lies so many times as long as written.
    pub rarer: u32,
}

impl Pace {
    pub const AS_WRITTEN: Pace = Pace { quicker: 1, rarer: 1 };
}

thread_local! {
    static PACE: Cell<Pace> = const { Cell::new(Pace::AS_WRITTEN) };
}

pub fn set_pace(pace: Pace) {
    PACE.set(pace);
}

/// At this thread's pace.
pub fn paced(written: Duration) -> Duration {
    written / PACE.get().quicker
}

/// Milliseconds at this thread's pace.
pub fn ms(written: u64) -> Duration {
    paced(Duration::from_millis(written))
}

/// Milliseconds between two requests of a client.
pub fn between_ms(written: u64) -> Duration {
    Duration::from_millis(written) * PACE.get().rarer
}
