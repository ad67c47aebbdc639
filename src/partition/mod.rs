//! One replica's state in memory: offsets, epochs, producers, transactions, waiters. Synchronous; owned by one shard.
//!
//! Not here: the bytes and the disk (`storage`), who asks (`shard`), error codes. `now` is always an argument.
//!
//! | file | what it has |
//! |---|---|
//! | `replica` | the partition: appends, the high watermark, jobs, who waits |
//! | `reading` | how far readers see, reads, epochs |
//! | `leadership` | what the metadata says about it |
//! | `leading`, `followers` | a leader: how far its followers are, the ISR, how far the high watermark may go |
//! | `following` | a follower: fetched batches, truncation |
//! | `pending` | acks and batches that wait |
//! | `producers`, `transactions`, `snapshot` | idempotence and transactions |
//!
//! Invariant, asserted in release builds too: `log start <= high watermark <= written <= staged`.

mod followers;
mod following;
mod leadership;
mod leading;
mod pending;
mod producers;
mod reading;
mod replica;
mod snapshot;
#[cfg(test)]
mod tests;
mod transactions;

pub use followers::{FollowerError, FollowerFetch, IsrAnswer, IsrProposal};
pub use following::{FetchPosition, Fetched, FetchedError, LeaderView};
pub use leadership::{Leadership, Peer};
pub use leading::Shift;
pub use pending::{Ack, AckToken};
pub use producers::{ActiveProducer, PRODUCERS_MAX, ProducerError, Producers};
pub use reading::{Bound, EpochError, ReadAsk, ReadRefusal, Reading};
pub use replica::{AppendError, Appended, DeleteError, Identity, Partition, WaitToken};
pub use snapshot::SnapshotError;
pub use transactions::{Guard, Warrant};
