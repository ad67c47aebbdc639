//! Group coordinators: consumer groups and the offsets that they commit. Pure and synchronous; `now` is an argument.
//!
//! A [`GroupCoordinator`] is the state of one partition of the topic of committed offsets. Its groups are those whose
//! ids hash to that partition ([`partition_of`]). It handles a request at once in its state, and returns what must be
//! written before the reply may be given; who hosts it (`shard`) does that, and gives it back what was written when it
//! loads. Error codes are Kafka's: the rules of groups are about little else.
//!
//! | file | what |
//! |---|---|
//! | request | what is asked and answered |
//! | coordinator, keeping | all groups of one partition: dispatch, replay, deadlines; their offsets |
//! | one | one group, whatever its kind |
//! | protocols | requests of the consumer protocol, and what makes a group one of it |
//! | catalog | what coordinators know of the cluster |
//! | classic | the members of a group, by the classic protocol |
//! | consumer | the members of a group, by the consumer protocol |
//! | assignor | which member is to read which partitions |
//! | embedded | what consumers of the classic protocol say to each other |
//! | share | the members of a share group |
//! | turn, deadlines | what the handling of one call has at hand; the clock |
//! | offsets | what a group has committed, and what a transaction may yet commit |
//! | look | what others may know without asking |
//! | record | the formats of the log |

mod assignor;
mod catalog;
mod classic;
mod consumer;
mod coordinator;
mod deadlines;
mod embedded;
mod hash;
mod keeping;
mod look;
mod offsets;
mod one;
mod protocols;
mod record;
mod request;
mod share;
mod turn;

#[cfg(test)]
mod tests;

pub use catalog::{Catalog, CatalogTopic};
pub use consumer::{Pattern, Search};
pub use coordinator::GroupCoordinator;
pub use hash::partition_of;
pub use look::GroupLook;
pub use record::Assignment;
pub use request::*;
