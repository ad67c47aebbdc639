//! Share groups' side of a partition: which records are offered to whom, and what became of them. Pure; `now` is an argument.
//!
//! The members of a share group take records of one partition side by side (//= KIP-932). A [`SharePartition`] is what
//! one group knows of one partition: every offset below its window is settled, every offset in it is available, acquired
//! by one member for a time, acknowledged or archived. It lives beside its partition (`shard` puts it there), and what is to
//! outlive the process is kept by a [`ShareStates`], the state of one partition of the topic of share groups' state.
//!
//! | file | what |
//! |---|---|
//! | window | the offsets in flight, as runs of one state each |
//! | partition | acquire, acknowledge, release, time; the limits |
//! | states | what is kept of all groups and partitions, and asked for when one is loaded |
//! | record | the formats of the log |
//!
//! Invariants: a record has at most one member at a time; one that is settled is never offered again; the window is never
//! longer than the group's limit allows, but for offsets that hold no records.

mod partition;
mod record;
mod states;
mod window;

#[cfg(test)]
mod tests;

pub use partition::{AckBatch, AckKind, AckRefusal, Acquire, Acquired, Limits, SharePartition};
pub use record::{Epochs, Kept, NOWHERE, Saved, SavedBatch, SavedDelivery, StateKey};
pub use states::{ShareStates, StateAnswer, StateReply, StateRequest};
