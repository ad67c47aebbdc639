//! Share groups' side of the partitions of this shard: each beside its partition, asked by the connections of all shards.
//!
//! A share partition is loaded when a group first asks for it: its state comes from the coordinator that keeps it, on
//! whichever shard or broker that is, or begins where the group's configs say. A change is made here at once, then saved;
//! what a member is told of its acknowledgements waits for that. One save is under way at a time, and the next takes all
//! that has happened meanwhile. Where a save fails the state is ahead of what is kept, so it is dropped and loaded again, as
//! with the coordinators: what was acquired is offered again, and members learn that it is no longer theirs.
//!
//! Whoever loads tells the coordinator the epoch of the partition's leader, and a save of one before that is refused: a
//! deposed leader overwrites nothing. Where a group is to begin elsewhere, that is said to the coordinator, under a new epoch
//! of the state; the leader learns it when a member begins to read, or from the save that is refused. //= KIP-932
//!
//! | file | what |
//! |---|---|
//! | ask | what is asked and answered |
//! | seats | which share partitions are here, and how they come and go |
//! | act | questions to one of them, and what follows: saves, deadlines, those who watch |
//! | jobs | loads and saves |
//! | keeper | the way to the coordinators of share groups' state, wherever they are |
//! | remote | what is said to those on other brokers |

mod act;
mod ask;
mod jobs;
mod keeper;
mod remote;
mod seats;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use ask::{ShareAction, ShareAsk, ShareBegin, ShareReply};
pub(super) use jobs::{ShareJob, ShareJobDone};
pub use keeper::{ask_keeper, kept_of_group, list_here, log_of};

use crate::model::{Incarnation, PartitionId, Ticket};
use crate::rt::Instant;
use crate::share::{Epochs, Limits, SharePartition};

/// One group's share of one partition.
type Name = (PartitionId, Arc<str>);

/// The share partitions of a shard.
#[derive(Default)]
pub(super) struct Shares {
    seats: BTreeMap<Name, Seat>,
    /// Numbers the lives of share partitions: what belongs to an earlier one is dropped.
    lives: u64,
}

enum Seat {
    Loading(Loading),
    Active(Box<Active>),
}

struct Loading {
    life: u64,
    waiting: Vec<(Ticket, ShareAsk)>,
}

struct Active {
    life: u64,
    /// Of the partition that it lies beside.
    incarnation: Incarnation,
    /// What it is saved under. The leader's is that of the partition when it was loaded.
    epochs: Epochs,
    state: SharePartition,
    /// As the group's configs were when it was last asked.
    limits: Limits,
    /// Those whose answers the save that is under way brings.
    saving: Option<Vec<Ticket>>,
    /// Those whose answers the next save brings.
    unsaved: Vec<Ticket>,
    /// Those who want to know when more can be acquired, and until when.
    watching: Vec<(Instant, Ticket)>,
    /// The deadline that the shard's timers have.
    deadline: Option<Instant>,
}
