//! max.connections and max.connections.per.ip, over all shards of the broker.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::BrokerConfig;

/// Locked when a connection comes and when it goes, never in between.
#[derive(Default)]
pub struct Limits {
    max: AtomicUsize,
    per_ip_max: AtomicUsize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    by_ip: HashMap<String, usize>,
}

/// A connection's place; dropped with it.
pub struct Slot {
    limits: Arc<Limits>,
    ip: String,
}

impl Limits {
    pub fn new(config: &BrokerConfig) -> Arc<Limits> {
        let limits = Arc::<Limits>::default();
        limits.adopt(config);
        limits
    }

    /// For connections that come from now on.
    pub fn adopt(&self, config: &BrokerConfig) {
        let limit = |value: i32| usize::try_from(value).unwrap_or(0);
        self.max.store(limit(config.max_connections), Ordering::Relaxed);
        self.per_ip_max
            .store(limit(config.max_connections_per_ip), Ordering::Relaxed);
    }

    /// A place for a connection from `ip`, or none.
    pub fn enter(self: &Arc<Limits>, ip: String) -> Option<Slot> {
        let mut counts = self.counts();
        let here = counts.by_ip.get(&ip).copied().unwrap_or(0);
        if counts.all >= self.max.load(Ordering::Relaxed) || here >= self.per_ip_max.load(Ordering::Relaxed) {
            return None;
        }
        counts.all += 1;
        counts.by_ip.insert(ip.clone(), here + 1);
        Some(Slot {
            limits: self.clone(),
            ip,
        })
    }

    /// Counts stay right whatever panicked elsewhere: each change is a single step.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.limits.counts();
        counts.all -= 1;
        let left = counts.by_ip.get(&self.ip).map_or(0, |count| count - 1);
        match left {
            0 => drop(counts.by_ip.remove(&self.ip)),
            _ => drop(counts.by_ip.insert(self.ip.clone(), left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both limits hold, and a place is free again when its connection is gone.
    #[test]
    fn places_are_limited_and_come_back() {
        let config = |max_connections, max_connections_per_ip| BrokerConfig {
            max_connections,
            max_connections_per_ip,
            ..BrokerConfig::embedded("unused".as_ref())
        };
        let limits = Limits::new(&config(3, 2));
        let enter = |ip: &str| limits.enter(ip.to_string());
        let (first, second) = (enter("a"), enter("a"));
        assert!(first.is_some() && second.is_some() && enter("a").is_none());
        let third = enter("b");
        assert!(third.is_some() && enter("c").is_none());
        drop(first);
        assert!(enter("c").is_some());
        limits.adopt(&config(3, 1));
        assert!(enter("b").is_none(), "lowered below those that are there");
        limits.adopt(&config(3, 2));
        drop((second, third));
        assert!(limits.counts().by_ip.is_empty() && limits.counts().all == 0);
    }
}
