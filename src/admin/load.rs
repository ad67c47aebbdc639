//! How busy each shard is, from the CPU time that its thread publishes.

use std::sync::{Mutex, PoisonError};

use crate::metrics::{Metric, Registry};
use crate::rt::Instant;

/// The share of the newest look in what is shown: with two looks a second, the last five seconds or so.
const NEWEST: f64 = 0.2;

#[derive(Default)]
pub struct Load {
    shards: Mutex<Vec<Seen>>,
}

#[derive(Clone, Copy)]
struct Seen {
    busy_nanos: i64,
    at: Instant,
    busy: f64,
}

impl Load {
    /// To be called about twice a second.
    pub fn look(&self, registry: &Registry, now: Instant) {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, cells) in registry.shards().iter().enumerate() {
            let busy_nanos = cells.get(Metric::CpuBusy);
            match shards.get_mut(at) {
                Some(seen) => seen.look(busy_nanos, now),
                None => shards.push(Seen {
                    busy_nanos,
                    at: now,
                    busy: 0.0,
                }),
            }
        }
    }

    /// One share of a core per shard, from 0 to 1.
    pub fn busy(&self) -> Vec<f64> {
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards.iter().map(|seen| seen.busy).collect()
    }

    /// The mean share of idle time over all shards.
    pub fn idle(&self) -> f64 {
        let busy = self.busy();
        1.0 - busy.iter().sum::<f64>() / busy.len().max(1) as f64
    }
}

impl Seen {
    fn look(&mut self, busy_nanos: i64, now: Instant) {
        let passed = now.since(self.at).as_nanos() as f64;
        if passed <= 0.0 {
            return;
        }
        let newest = ((busy_nanos - self.busy_nanos) as f64 / passed).clamp(0.0, 1.0);
        *self = Seen {
            busy_nanos,
            at: now,
            busy: self.busy + NEWEST * (newest - self.busy),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shard that works half of the time comes to be shown as half busy, an idle one as idle.
    #[test]
    fn load_follows_cpu_time() {
        let (registry, load) = (Registry::new(2), Load::default());
        for look in 0..40 {
            registry.shard(1).set(Metric::CpuBusy, look * 250_000_000);
            load.look(&registry, Instant(look as u64 * 500_000_000));
        }
        let busy = load.busy();
        assert!(busy[0] == 0.0 && (busy[1] - 0.5).abs() < 0.01, "{busy:?}");
        assert!((load.idle() - 0.75).abs() < 0.01);
    }
}
