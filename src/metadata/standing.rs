//! Where this broker stands with the controller, as the shards, the composition root and the control thread share it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::rt::{self, Instant, Rx, Tx, lane};

const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) struct Standing {
    /// It is one of several: somebody else counts its heartbeats.
    is_clustered: AtomicBool,
    /// CLOCK_BOOTTIME until which it may lead.
    lease_ns: AtomicU64,
    is_ready: AtomicBool,
    is_leaving: AtomicBool,
    may_go: AtomicBool,
    /// Its connections are closed, and it wants to be fenced.
    is_closed: AtomicBool,
    is_fenced: AtomicBool,
    has_failed: AtomicBool,
    /// A heartbeat is due at once.
    nudge: Tx<()>,
    nudges: Mutex<Option<Rx<()>>>,
}

impl Standing {
    /// Of a broker without a cluster: always its own leader.
    pub fn alone() -> Standing {
        let (nudge, nudges) = lane(1);
        Standing {
            is_clustered: AtomicBool::new(false),
            lease_ns: AtomicU64::new(u64::MAX),
            is_ready: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            may_go: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            is_fenced: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            nudge,
            nudges: Mutex::new(Some(nudges)),
        }
    }

    /// From now on it leads on a lease only. Gives what wakes the heartbeat, the first time.
    pub fn enter_cluster(&self) -> Option<Rx<()>> {
        self.is_clustered.store(true, Ordering::Release);
        self.lease_ns.store(0, Ordering::Release);
        self.nudges.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub fn may_lead(&self, now: Instant) -> bool {
        #[cfg(test)]
        if rt::sim::is_off(rt::sim::Rule::Lease) {
            return true;
        }
        now.0 < self.lease_ns.load(Ordering::Acquire)
    }

    pub fn set_lease(&self, until: Instant) {
        self.lease_ns.store(until.0, Ordering::Release);
    }

    pub fn set_ready(&self) {
        self.is_ready.store(true, Ordering::Release);
        self.nudge();
    }

    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Acquire)
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// What the controller has answered. Once it may go, it may.
    pub fn set_answer(&self, is_fenced: bool, may_go: bool) {
        self.is_fenced.store(is_fenced, Ordering::Release);
        if may_go {
            self.may_go.store(true, Ordering::Release);
        }
    }

    pub fn set_failed(&self) {
        self.has_failed.store(true, Ordering::Release);
    }

    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    pub async fn hand_over(&self, patience: Duration) -> bool {
        self.ask(&self.is_leaving, &self.may_go, patience).await
    }

    pub async fn depart(&self, patience: Duration) -> bool {
        self.ask(&self.is_closed, &self.is_fenced, patience).await
    }

    /// By the next heartbeat, which is due at once; whether it was granted in time.
    async fn ask(&self, asked: &AtomicBool, granted: &AtomicBool, patience: Duration) -> bool {
        if !self.is_clustered.load(Ordering::Acquire) {
            return true;
        }
        asked.store(true, Ordering::Release);
        self.nudge();
        let deadline = rt::now().after(patience);
        while !granted.load(Ordering::Acquire) && rt::now() < deadline {
            rt::sleep(LOOK_EVERY).await;
        }
        granted.load(Ordering::Acquire)
    }

    /// A full lane has a nudge in it already.
    pub fn nudge(&self) {
        let _ = self.nudge.try_send(());
    }
}
