//! One replica's state in memory: offsets, epochs, producers, transactions, waiters. Synchronous; owned by one shard.
//!
//! Not here: the bytes and the disk (`storage`), who asks (`shard`), error codes. `now` is always an argument.
//! Invariant, asserted in release builds too: `log start <= high watermark <= written <= staged`.

mod pending;
mod producers;
mod replica;
mod snapshot;
mod transactions;

pub use pending::AckToken;
pub use producers::{ActiveProducer, PRODUCERS_MAX, ProducerError, Producers};
pub use replica::{
    AppendError, Appended, Bound, DeleteError, EpochError, Identity, Leadership, Partition, ReadAsk, ReadRefusal,
    Reading, WaitToken,
};
pub use snapshot::SnapshotError;
pub use transactions::{Guard, Warrant};
