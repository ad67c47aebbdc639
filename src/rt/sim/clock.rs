//! The clock of a world: all its machines and their disks go by the same one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::NEVER;

/// Clones share it. A world has one thread, but what holds a disk must be `Send`.
#[derive(Clone)]
pub struct Clock(Arc<Times>);

struct Times {
    now_nanos: AtomicU64,
    /// No disk completes a write before.
    due_nanos: AtomicU64,
}

impl Clock {
    pub fn new() -> Clock {
        Clock(Arc::new(Times {
            now_nanos: AtomicU64::new(0),
            due_nanos: AtomicU64::new(NEVER),
        }))
    }

    pub fn now_nanos(&self) -> u64 {
        self.0.now_nanos.load(Ordering::Relaxed)
    }

    /// Time passes. True: writes may be due, and the disks are to be told.
    pub fn advance(&self, now_nanos: u64) -> bool {
        self.0.now_nanos.fetch_max(now_nanos, Ordering::Relaxed);
        let has_due = self.0.due_nanos.load(Ordering::Relaxed) <= now_nanos;
        if has_due {
            self.0.due_nanos.store(NEVER, Ordering::Relaxed);
        }
        has_due
    }

    /// A disk completes a write then.
    pub fn note_due(&self, due_nanos: u64) {
        self.0.due_nanos.fetch_min(due_nanos, Ordering::Relaxed);
    }
}
