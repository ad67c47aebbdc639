//! Whether every shard's pump turns, for /livez and for the service manager's watchdog.
//!
//! The watchdog of `metadata` ends the process when a shard stands for long; this one only looks, and much earlier.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::metadata::{BEAT_ENDED, BEAT_NOT_BEGUN};
use crate::rt::Instant;

/// A pump beats ten times a second: one that has not for so long stands.
const STANDS_AFTER: Duration = Duration::from_secs(3);

pub struct Pulse {
    shards: Mutex<Vec<Watched>>,
}

struct Watched {
    beats: Arc<AtomicU64>,
    last: u64,
    moved: Instant,
    stands: bool,
}

impl Pulse {
    pub fn new(beats: Vec<Arc<AtomicU64>>) -> Pulse {
        let watched = |beats| Watched {
            beats,
            last: BEAT_NOT_BEGUN,
            moved: Instant(0),
            stands: false,
        };
        Pulse {
            shards: Mutex::new(beats.into_iter().map(watched).collect()),
        }
    }

    /// To be called about twice a second.
    pub fn look(&self, now: Instant) {
        for shard in self.lock().iter_mut() {
            let beats = shard.beats.load(Ordering::Relaxed);
            if beats != shard.last || matches!(beats, BEAT_NOT_BEGUN | BEAT_ENDED) {
                shard.moved = now;
            }
            shard.last = beats;
            shard.stands = now.since(shard.moved) >= STANDS_AFTER;
        }
    }

    /// The shards whose pumps stand.
    pub fn standing(&self) -> Vec<usize> {
        let shards = self.lock();
        let standing = shards.iter().enumerate().filter(|(_, shard)| shard.stands);
        standing.map(|(at, _)| at).collect()
    }

    /// Whether every shard's pump has begun to turn.
    pub fn has_begun(&self) -> bool {
        let begun = |shard: &Watched| shard.beats.load(Ordering::Relaxed) != BEAT_NOT_BEGUN;
        self.lock().iter().all(begun)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Watched>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000_000)
    }

    /// A shard stands when its beats do; before its life and after its end it does not.
    #[test]
    fn a_shard_whose_beats_stand_is_found() {
        let beats: Vec<Arc<AtomicU64>> = (0..3).map(|_| Arc::default()).collect();
        let pulse = Pulse::new(beats.clone());
        pulse.look(at(0));
        assert!(!pulse.has_begun());
        beats[0].store(1, Ordering::Relaxed);
        beats[1].store(BEAT_ENDED, Ordering::Relaxed);
        pulse.look(at(10));
        assert!(pulse.standing().is_empty() && !pulse.has_begun());
        pulse.look(at(12));
        assert!(pulse.standing().is_empty());
        pulse.look(at(13));
        assert_eq!(pulse.standing(), [0]);
        beats[0].store(2, Ordering::Relaxed);
        beats[2].store(1, Ordering::Relaxed);
        pulse.look(at(14));
        assert!(pulse.standing().is_empty() && pulse.has_begun());
    }
}
