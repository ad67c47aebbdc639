//! What goes wrong, and when.

use std::collections::{BTreeMap, BTreeSet};

/// What happens to one direct write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFault {
    /// It does not complete before the crash, at which some of its blocks have landed.
    Tear,
    /// It does not complete before the crash, at which nothing of it has landed.
    Lose,
    /// It does not complete before the crash, at which all of it has landed.
    Land,
    /// It fails with EIO; a part of it may have landed.
    Eio,
    /// It completes, and has not happened. No disk that lies can be survived: a control for oracles.
    Lie,
}

/// Which operations fail of a disk that goes bad, all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    Reads,
    /// Whatever changes files or names.
    Writes,
    Syncs,
}

/// The faults of a world until it crashes or gets another plan. Counts begin at 1.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    /// The machine stops at this disk operation: it and all later ones fail, and nothing runs on.
    pub stop_at_op: Option<u64>,
    /// What happens to the n-th direct write.
    pub writes: BTreeMap<u64, WriteFault>,
    /// The syncs (of files and directories, and DSYNC writes) that fail with EIO.
    pub syncs: BTreeSet<u64>,
    /// Of 1000 operations, how many fail with EIO.
    pub eio_per_mille: u64,
    /// The size of the disk.
    pub capacity_bytes: Option<u64>,
}

impl FaultPlan {
    pub fn none() -> FaultPlan {
        FaultPlan::default()
    }
    pub fn write(nth: u64, fault: WriteFault) -> FaultPlan {
        FaultPlan::none().and_write(nth, fault)
    }
    pub fn and_write(mut self, nth: u64, fault: WriteFault) -> FaultPlan {
        self.writes.insert(nth, fault);
        self
    }
    pub fn stop_at(op: u64) -> FaultPlan {
        FaultPlan {
            stop_at_op: Some(op),
            ..FaultPlan::default()
        }
    }
    pub fn sync_fails(nth: u64) -> FaultPlan {
        FaultPlan {
            syncs: BTreeSet::from([nth]),
            ..FaultPlan::default()
        }
    }
    pub fn capacity(bytes: u64) -> FaultPlan {
        FaultPlan {
            capacity_bytes: Some(bytes),
            ..FaultPlan::default()
        }
    }
}
