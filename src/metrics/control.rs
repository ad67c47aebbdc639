//! What the control thread has done and seen, as others may know it without asking: where the quorum of controllers stands,
//! what commits took, and elections that an operator wants to hear of.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where this node stands in the quorum, by Kafka's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumRole {
    Leader,
    Candidate,
    Follower,
    /// It gets the log, and does not vote.
    Observer,
}

/// The quorum as one of its nodes sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumView {
    pub role: QuorumRole,
    /// The node that leads; `None`: nobody, as far as is known here.
    pub leader: Option<i32>,
    pub epoch: u64,
    /// Entries that a majority is known to hold, and entries of this node's log.
    pub high_watermark: u64,
    pub log_end: u64,
}

/// Commits of this node, while it was the controller, and the time that they took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commits {
    pub count: u64,
    pub time: Duration,
}

/// Elections of leaders, as this node decided them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elections {
    /// All of them, those below too.
    pub all: u64,
    /// Records may have been lost.
    pub unclean: u64,
    /// None were: the leader was known to hold everything that was acknowledged. //= KIP-966
    pub eligible: u64,
}

/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ControlCells(Arc<Cells>);

#[derive(Debug, Default)]
struct Cells {
    /// `None`: this node keeps its metadata alone, or has not come so far.
    quorum: Mutex<Option<QuorumView>>,
    /// Why this node is in no quorum; `None`: it is, or needs none.
    waiting: Mutex<Option<String>>,
    commits: AtomicU64,
    commit_nanos: AtomicU64,
    elections: AtomicU64,
    unclean: AtomicU64,
    eligible: AtomicU64,
    strangers: AtomicU64,
}

impl ControlCells {
    pub fn set_quorum(&self, view: QuorumView) {
        *self.0.quorum.lock().unwrap_or_else(PoisonError::into_inner) = Some(view);
    }

    pub fn quorum(&self) -> Option<QuorumView> {
        *self.0.quorum.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_waiting(&self, why: Option<String>) {
        *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    pub fn waiting(&self) -> Option<String> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn on_commit(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.0.commits.fetch_add(1, Ordering::Relaxed);
        self.0.commit_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub fn commits(&self) -> Commits {
        Commits {
            count: self.0.commits.load(Ordering::Relaxed),
            time: Duration::from_nanos(self.0.commit_nanos.load(Ordering::Relaxed)),
        }
    }

    pub fn on_elections(&self, more: Elections) {
        self.0.elections.fetch_add(more.all, Ordering::Relaxed);
        self.0.unclean.fetch_add(more.unclean, Ordering::Relaxed);
        self.0.eligible.fetch_add(more.eligible, Ordering::Relaxed);
    }

    pub fn elections(&self) -> Elections {
        Elections {
            all: self.0.elections.load(Ordering::Relaxed),
            unclean: self.0.unclean.load(Ordering::Relaxed),
            eligible: self.0.eligible.load(Ordering::Relaxed),
        }
    }

    /// A connection to the controller listener was refused.
    pub fn on_stranger(&self) {
        self.0.strangers.fetch_add(1, Ordering::Relaxed);
    }

    pub fn strangers(&self) -> u64 {
        self.0.strangers.load(Ordering::Relaxed)
    }
}

impl QuorumRole {
    pub fn name(self) -> &'static str {
        match self {
            QuorumRole::Leader => "leader",
            QuorumRole::Candidate => "candidate",
            QuorumRole::Follower => "follower",
            QuorumRole::Observer => "observer",
        }
    }
}
