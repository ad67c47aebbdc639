//! One log on one disk: segments in Kafka's format, direct writes, index, cache, recovery, retention.

mod cache;
mod checkpoint;
mod dirs;
mod index;
mod layout;
mod log;
mod plan;
mod recovery;
mod retention;
mod segment;

pub use cache::Cache;
pub use checkpoint::{Checkpoint, PartitionCheckpoint};
pub use dirs::{LogDir, LogDirError, LogDirs};
pub use log::{Log, LogOptions, Opened, StageError, StorageError};
pub use plan::{DeleteJob, PrepareDone, PrepareJob, ReadError, ReadPlan, ReadResult, TimePlan, WriteDone, WriteJob};
