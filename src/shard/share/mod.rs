//! Share groups' side of the partitions of this shard: each beside its partition, asked by the connections of all shards.
//!
//! A share partition is loaded when a group first asks for it: its state comes from the coordinator that keeps it, on
//! whichever shard that is, or begins where the group's configs say. A change is made here at once, then saved; what a
//! member is told of its acknowledgements waits for that. One save is under way at a time, and the next takes all that has
//! happened meanwhile. Where a save fails the state is ahead of what is kept, so it is dropped and loaded again, as with
//! the coordinators: what was acquired is offered again, and members learn that it is no longer theirs.
//!
//! | file | what |
//! |---|---|
//! | ask | what is asked and answered |
//! | seats | which share partitions are here, and how they come and go |
//! | act | questions to one of them, and what follows: saves, deadlines, those who watch |
//! | jobs | loads and saves, on their way to the coordinators of share groups' state |

mod act;
mod ask;
mod jobs;
mod seats;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use ask::{ShareAction, ShareAsk, ShareBegin, ShareReply};
pub(super) use jobs::{ShareJob, ShareJobDone};

use crate::model::{Incarnation, PartitionId, Ticket};
use crate::rt::Instant;
use crate::share::{Limits, SharePartition};

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
