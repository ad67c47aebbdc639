//! One replica's state in memory: offsets, epochs, idempotent producers, waiters. Synchronous; owned by one shard.
//!
//! Not here: the bytes and the disk (`storage`), who asks (`shard`), error codes. `now` is always an argument.
//! Invariant, asserted in release builds too: `log start <= high watermark <= written <= staged`.

mod pending;
mod producers;
mod replica;
mod snapshot;

pub use pending::AckToken;
pub use producers::{PRODUCERS_MAX, Producers, SequenceError};
pub use replica::{
    AppendError, Appended, Bound, DeleteError, EpochError, Identity, Leadership, Partition, ReadAsk, ReadRefusal,
    Reading, WaitToken,
};
pub use snapshot::SnapshotError;
