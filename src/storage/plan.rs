//! Owned I/O jobs: made by the log, run as a task, and handed back to it as a value.
use super::StorageError;
use bytes::Bytes;

/// One aligned write of everything staged.
pub struct WriteJob {}
pub struct WriteDone {}
impl WriteJob {
    pub async fn run(self) -> WriteDone {
        todo!()
    }
    pub fn bytes(&self) -> usize {
        todo!()
    }
}
pub struct PrepareJob {}
pub struct PrepareDone {}
impl PrepareJob {
    pub async fn run(self) -> PrepareDone {
        todo!()
    }
}
pub struct DeleteJob {}
impl DeleteJob {
    pub async fn run(self) -> Result<(), StorageError> {
        todo!()
    }
}
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("offset out of range")]
    OutOfRange,
    #[error("log is offline")]
    Offline,
}
/// What to read: cached slices (ready at once) and file ranges.
pub struct ReadPlan {}
pub struct ReadResult {
    /// Whole batches in offset order, starting with the one that holds the asked offset.
    pub batches: Vec<Bytes>,
    /// What was read from the disk, for the read-ahead cache: hand to Cache::admit_read.
    pub read_ahead: Option<super::cache::ReadAhead>,
}
impl ReadPlan {
    /// The result at once if no disk is needed; the plan back otherwise.
    pub fn ready(self) -> Result<ReadResult, ReadPlan> {
        todo!()
    }
    pub async fn run(self) -> Result<ReadResult, StorageError> {
        todo!()
    }
}
pub struct TimePlan {}
impl TimePlan {
    /// (offset, timestamp)
    pub async fn run(self) -> Result<Option<(i64, i64)>, StorageError> {
        todo!()
    }
}
