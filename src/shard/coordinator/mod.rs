//! Hosts the coordinators: of groups, of transactions and of share groups' state, one per partition of their topics that
//! this shard owns.
//!
//! A coordinator is a plain value. It handles a request at once in its own state and says what is to be written and
//! answered; the shard appends what one call wrote as one batch to the coordinator's partition, along the way of every
//! append, and gives the replies when the high watermark covers them. A reply that wrote nothing waits too while earlier
//! writes of its coordinator are under way: nobody sees what a killed process could take back. Where a write fails the
//! state is ahead of the log, so it is dropped and loaded again. A full disk is no such case: it is asked for first, and
//! whatever would write is refused or put off.
//!
//! | file | what |
//! |---|---|
//! | ask | requests, replies, and the enum of the coordinators |
//! | catalog | what group coordinators see of the cluster |
//! | seats | which coordinators are here, and how they come and go |
//! | effects | writes, held replies, deadlines |
//! | load | the state from the partition's records |
//! | search | topics for the regular expressions of groups |
//! | markers | ends of transactions on their way to the partitions |
//! | shown | what others may know of groups without asking |
//! | transactions | the transaction coordinator under the shard's clock |

mod ask;
mod catalog;
mod effects;
mod load;
mod markers;
mod search;
mod seats;
mod shown;
#[cfg(test)]
mod tests;
mod transactions;

use std::collections::{BTreeMap, VecDeque};

pub(super) use ask::Coordinator;
pub use ask::{CoordinatorReply, CoordinatorRequest};
pub(super) use effects::Stamp;
pub(super) use load::{LoadDone, LoadJob};
pub(super) use markers::{MarkerDone, MarkerJob};
pub(super) use search::{SearchDone, SearchJob};

use crate::model::{MarkerOrder, PartitionId, Ticket, TopicId};
use crate::rt::Instant;

/// The coordinators of a shard, by their partitions.
#[derive(Default)]
pub(super) struct Coordinators {
    seats: BTreeMap<PartitionId, Seat>,
    /// Numbers the loadings: one that was overtaken is not taken for the current one.
    loads: u64,
    shown: shown::Shown,
}

enum Seat {
    Loading(Loading),
    Active(Box<Active>),
}

struct Loading {
    load: u64,
    /// Not while as many others are being read as may be at a time.
    has_begun: bool,
    /// At rest: the next record to read lies behind what is written yet.
    waiting: Option<LoadJob>,
    /// Topics that were deleted meanwhile.
    deleted_topics: Vec<DeletedTopic>,
}

/// A topic that is gone.
#[derive(Clone, Debug)]
pub(in crate::shard) struct DeletedTopic {
    pub(in crate::shard) id: TopicId,
    pub(in crate::shard) name: String,
}

struct Active {
    coordinator: Coordinator,
    /// Which loading it comes from.
    load: u64,
    /// In the order of their offsets.
    held: VecDeque<Held>,
    /// The deadline that the shard's timers have.
    deadline: Option<Instant>,
    /// Until then nothing more is said of writes that take too long.
    warn_from: Instant,
}

/// What waits until the high watermark reaches `offset`.
struct Held {
    offset: i64,
    since: Instant,
    outgoing: Outgoing,
}

/// What leaves a coordinator once its entries are written.
#[derive(Default)]
struct Outgoing {
    replies: Vec<(Ticket, CoordinatorReply)>,
    markers: Vec<MarkerOrder>,
}
