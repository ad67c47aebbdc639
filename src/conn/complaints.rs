//! Log lines about clients that misbehave, at a bounded pace: whoever throws garbage at the port must not fill the disk with
//! what we say about it. The metrics count every case.

use std::cell::Cell;
use std::fmt::Display;
use std::time::Duration;

use crate::api::Context;
use crate::rt::{self, Instant};

/// Lines within one window; the rest of it is told as a number by the first line after it.
const LINES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// A shard's lines about closed connections.
pub struct Complaints {
    window_began: Cell<Instant>,
    lines: Cell<u32>,
    held_back: Cell<u64>,
}

impl Complaints {
    pub fn new(now: Instant) -> Complaints {
        Complaints {
            window_began: Cell::new(now),
            lines: Cell::new(0),
            held_back: Cell::new(0),
        }
    }

    /// Says why a connection was closed, unless too much was said just now.
    pub fn closed(&self, cx: &Context, reason: &dyn Display) {
        let Some(unsaid) = self.admit(rt::now()) else {
            return;
        };
        if unsaid > 0 {
            tracing::warn!(
                connections = unsaid,
                "closed for bad requests as well, not told one by one"
            );
        }
        tracing::warn!(peer = %cx.peer, listener = %cx.listener, "connection closed: {reason}");
    }

    /// `None`: hold the line back. Otherwise, how many were held back before it.
    fn admit(&self, now: Instant) -> Option<u64> {
        if now.since(self.window_began.get()) >= WINDOW {
            self.window_began.set(now);
            self.lines.set(0);
        }
        if self.lines.get() == LINES_MAX {
            self.held_back.set(self.held_back.get() + 1);
            return None;
        }
        self.lines.set(self.lines.get() + 1);
        Some(self.held_back.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A flood costs ten lines a second, and the next line says how many are missing.
    #[test]
    fn a_flood_is_told_by_its_number() {
        let start = Instant(0);
        let complaints = Complaints::new(start);
        let said = (0..500).filter_map(|_| complaints.admit(start)).collect::<Vec<_>>();
        assert_eq!(said, [0; LINES_MAX as usize]);
        let later = start.after(WINDOW);
        assert_eq!(complaints.admit(later), Some(490));
        assert_eq!(complaints.admit(later), Some(0));
    }
}
