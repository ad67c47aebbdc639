//! Owned I/O jobs: made by the log, run as a task, and handed back to it as a value.

use std::io;
use std::rc::Rc;

use bytes::Bytes;

use super::cache::ReadAhead;
use super::prepare::{Prepared, Work};
use super::read::DiskRead;
use super::retention::Removal;
use super::stage::FrozenChunk;
use super::time::TimeSearch;
use super::txn_index::AbortedPlan;
use super::{StorageError, segment::Handle};
use crate::rt::{ALIGN, File, Sync};

/// Held by every job that changes files, until it has run. A log whose directory is closed or removed waits for all of
/// them: a late one could otherwise meet the files of a new log of the same name.
pub(super) type InFlight = Rc<()>;

/// A larger write than this is not worth a copy of it.
const APART_BYTES_MAX: usize = 64 << 10;

/// One aligned write of everything staged.
pub struct WriteJob {
    pub(super) handle: Rc<Handle>,
    pub(super) file: File,
    pub(super) chunk: FrozenChunk,
    pub(super) sync: Sync,
    pub(super) in_flight: InFlight,
}

pub struct WriteDone {
    pub(super) chunk: FrozenChunk,
    pub(super) sync: Sync,
    pub(super) result: Result<(), StorageError>,
}

impl WriteJob {
    pub async fn run(self) -> WriteDone {
        let WriteJob {
            handle,
            file,
            chunk,
            sync,
            in_flight: _in_flight,
        } = self;
        let written = match chunk.repeats_a_block() && len(&chunk) <= APART_BYTES_MAX && sync == Sync::No {
            true => write_apart(&file, &chunk).await,
            false => {
                file.write_at(chunk.buf.clone(), 0..len(&chunk), chunk.position, sync)
                    .await
            }
        };
        let result = written.map_err(|source| StorageError::io("write", &handle.path(), source));
        WriteDone { chunk, sync, result }
    }

    /// Bytes that go to the disk, padding and repeated bytes included.
    pub fn bytes(&self) -> usize {
        len(&self.chunk)
    }
}

/// The block that is written already by itself. ext4 takes a write at once where all blocks are written or none is; one
/// that has both goes through a worker of the kernel, which costs more than the copy that this takes.
async fn write_apart(file: &File, chunk: &FrozenChunk) -> io::Result<()> {
    let behind = ALIGN..len(chunk);
    let first = file.write_at(chunk.buf.clone(), 0..ALIGN, chunk.position, Sync::No);
    let others = file.write_at(chunk.buf.clone(), behind, chunk.position + ALIGN as u64, Sync::No);
    let (first, others) = futures_lite::future::zip(first, others).await;
    first.and(others)
}

fn len(chunk: &FrozenChunk) -> usize {
    chunk.buf.as_slice().len()
}

/// File work ahead of, or behind, the writes.
pub struct PrepareJob {
    pub(super) work: Work,
    pub(super) in_flight: InFlight,
}

pub struct PrepareDone {
    pub(super) prepared: Prepared,
}

impl PrepareJob {
    pub async fn run(self) -> PrepareDone {
        let PrepareJob {
            work,
            in_flight: _in_flight,
        } = self;
        PrepareDone {
            prepared: work.run().await,
        }
    }
}

/// Segments that retention took out of the log.
pub struct DeleteJob {
    pub(super) removal: Removal,
    /// The files stay for a while, under another name.
    pub(super) delayed: bool,
    pub(super) in_flight: InFlight,
    pub(super) removing: InFlight,
}

impl DeleteJob {
    pub async fn run(self) -> Result<(), StorageError> {
        let DeleteJob {
            removal,
            delayed,
            in_flight: _in_flight,
            removing: _removing,
        } = self;
        match delayed {
            true => removal.rename().await,
            false => removal.run().await,
        }
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
pub struct ReadPlan {
    pub(super) source: Source,
    /// Of a read of committed data.
    pub(super) aborted: Option<AbortedPlan>,
}

pub(super) enum Source {
    /// The batches and the offset behind them.
    Memory(Vec<Bytes>, i64),
    Disk(DiskRead),
}

#[derive(Default)]
pub struct ReadResult {
    /// Whole batches in offset order, starting with the one that holds the asked offset.
    pub batches: Vec<Bytes>,
    /// The offset behind them, if there are any.
    pub next_offset: i64,
    /// (producer id, first offset) of the aborted transactions among them; `None` if nobody asked.
    pub aborted: Option<Vec<(i64, i64)>>,
    /// What was read from the disk, for the read-ahead cache: hand to Cache::admit_read.
    pub read_ahead: Option<ReadAhead>,
    /// Bytes that were read; the batches keep them in memory.
    pub disk_bytes: usize,
}

impl ReadPlan {
    pub(super) fn new(source: Source) -> ReadPlan {
        ReadPlan { source, aborted: None }
    }

    /// The same read for a reader of committed data, who is to be told which transactions were aborted.
    pub fn with_aborted(mut self, aborted: AbortedPlan) -> ReadPlan {
        self.aborted = Some(aborted);
        self
    }

    /// The same read, with at most so much from the disk at once, but for a larger batch.
    pub fn in_pieces_of(mut self, bytes: usize) -> ReadPlan {
        if let Source::Disk(read) = &mut self.source {
            read.piece_bytes = read.piece_bytes.min(bytes);
        }
        self
    }

    /// A read of as many bytes, from no file.
    #[cfg(test)]
    pub fn of_disk_bytes(bytes: usize) -> ReadPlan {
        ReadPlan::new(Source::Disk(DiskRead::of_bytes(bytes)))
    }

    /// The result at once if no disk is needed; the plan back otherwise.
    pub fn ready(self) -> Result<ReadResult, ReadPlan> {
        let is_loaded = self.aborted.as_ref().is_none_or(AbortedPlan::is_loaded);
        match self.source {
            Source::Memory(batches, next_offset) if is_loaded => {
                Ok(ReadResult::of(batches, next_offset).with_aborted(self.aborted))
            }
            _ => Err(self),
        }
    }

    /// Where a read of the disk begins.
    pub fn disk_offset(&self) -> Option<i64> {
        match &self.source {
            Source::Memory(..) => None,
            Source::Disk(read) => Some(read.ask.offset),
        }
    }

    /// The result, if what was read ahead meanwhile holds it; the plan back otherwise.
    pub fn ready_from(self, ahead: &ReadAhead) -> Result<ReadResult, ReadPlan> {
        let is_loaded = self.aborted.as_ref().is_none_or(AbortedPlan::is_loaded);
        match &self.source {
            Source::Disk(read) if is_loaded => match read.select_from(ahead) {
                Some(selected) => {
                    Ok(ReadResult::of(vec![selected.bytes], selected.next_offset).with_aborted(self.aborted))
                }
                None => Err(self),
            },
            _ => Err(self),
        }
    }

    /// What a read of the disk takes; more only for a batch that is larger.
    pub fn disk_bytes(&self) -> usize {
        match &self.source {
            Source::Memory(..) => 0,
            Source::Disk(read) => read.bytes(),
        }
    }

    pub async fn run(self) -> Result<ReadResult, StorageError> {
        if let Some(aborted) = &self.aborted
            && !aborted.load().await?
        {
            return Ok(ReadResult::default().with_aborted(self.aborted));
        }
        let result = match self.source {
            Source::Memory(batches, next_offset) => ReadResult::of(batches, next_offset),
            Source::Disk(read) => read.run().await?,
        };
        Ok(result.with_aborted(self.aborted))
    }
}

impl ReadResult {
    fn of(batches: Vec<Bytes>, next_offset: i64) -> ReadResult {
        ReadResult {
            batches,
            next_offset,
            ..ReadResult::default()
        }
    }

    fn with_aborted(mut self, plan: Option<AbortedPlan>) -> ReadResult {
        self.aborted = plan.map(|plan| match self.batches.is_empty() {
            true => Vec::new(),
            false => plan.find(self.next_offset),
        });
        self
    }
}

pub struct TimePlan {
    pub(super) search: TimeSearch,
}

impl TimePlan {
    /// (offset, timestamp)
    pub async fn run(self) -> Result<Option<(i64, i64)>, StorageError> {
        self.search.run().await
    }
}
