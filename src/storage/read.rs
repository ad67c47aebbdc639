//! Reads of batches that no memory holds any more: from the disk, in pieces of at least 256 KiB, cut at batches.

use std::io;
use std::rc::Rc;

use bytes::Bytes;

use super::StorageError;
use super::cache::ReadAhead;
use super::plan::ReadResult;
use super::run::{BATCH_BYTES_MAX, Rest, Run, Selected};
use super::segment::Handle;
use crate::rt::File;

/// A read takes at least this much: what it was not asked for is the next read's answer.
const READ_BYTES_MIN: usize = 256 << 10;
/// A read takes at most this much at once, but for a larger batch, unless it is to take less.
pub(super) const READ_BYTES_MAX: usize = 1 << 20;

/// What was asked for.
#[derive(Clone, Copy)]
pub(super) struct Ask {
    pub offset: i64,
    pub max_bytes: usize,
    pub limit: i64,
    pub at_least_one: bool,
}

/// A read, with all segments that may answer it.
pub(super) struct DiskRead {
    pub log: u64,
    pub ask: Ask,
    pub segments: Vec<Extent>,
    /// The most that is read at once, but for a larger batch.
    pub piece_bytes: usize,
}

/// The batches of a segment that may be read.
pub(super) struct Extent {
    pub handle: Rc<Handle>,
    /// Where to start, if known; by the segment's index files otherwise.
    pub start: Option<u64>,
    /// Where the largest timestamp is looked for if the segment's own does not count.
    pub largest_from: u64,
    /// The end of the written batches.
    pub end: u64,
    pub max_timestamp: Option<i64>,
}

impl DiskRead {
    #[cfg(test)]
    pub fn of_bytes(bytes: usize) -> DiskRead {
        let segment = Extent {
            handle: Handle::new(std::path::Path::new(""), 0),
            start: None,
            largest_from: 0,
            end: bytes as u64,
            max_timestamp: None,
        };
        DiskRead {
            log: 0,
            ask: Ask {
                offset: 0,
                max_bytes: bytes,
                limit: 0,
                at_least_one: true,
            },
            segments: vec![segment],
            piece_bytes: READ_BYTES_MAX,
        }
    }

    /// A segment may hold nothing at or behind the offset (where compaction left gaps): then the next one answers.
    pub async fn run(self) -> Result<ReadResult, StorageError> {
        for segment in &self.segments {
            match self.read(segment).await {
                Ok(Some(result)) => return Ok(result),
                Ok(None) => {}
                Err(error) if segment.is_late(&error) => return Ok(ReadResult::default()),
                Err(error) => return Err(error),
            }
        }
        Ok(ReadResult::default())
    }

    /// What was asked for, out of a piece that somebody else has read.
    pub fn select_from(&self, ahead: &ReadAhead) -> Option<Selected> {
        let ask = self.ask;
        let is_held =
            ahead.log == self.log && (ahead.run.first_offset()..ahead.run.next_offset()).contains(&ask.offset);
        let select = || ahead.run.select(ask.offset, ask.max_bytes, ask.limit, ask.at_least_one);
        is_held.then(select).flatten()
    }

    /// Bytes that one piece takes.
    pub fn bytes(&self) -> usize {
        let behind = |segment: &Extent| segment.end.saturating_sub(segment.start.unwrap_or(0));
        let there: u64 = self.segments.iter().map(behind).sum();
        self.at_once().min(usize::try_from(there).unwrap_or(usize::MAX))
    }

    fn at_once(&self) -> usize {
        self.ask.max_bytes.min(self.piece_bytes).max(READ_BYTES_MIN)
    }

    async fn read(&self, segment: &Extent) -> Result<Option<ReadResult>, StorageError> {
        let ask = self.ask;
        let position = segment.position(ask.offset).await;
        let mut walk = segment.walk(position, self.at_once()).await?;
        while let Some(run) = walk.next_run().await? {
            if run.next_offset() <= ask.offset {
                continue;
            }
            segment.handle.note_read(ask.offset, run.next_offset(), walk.position);
            let selected = run.select(ask.offset, ask.max_bytes, ask.limit, ask.at_least_one);
            return Ok(Some(ReadResult {
                next_offset: selected.as_ref().map_or(ask.offset, |selected| selected.next_offset),
                batches: selected.map(|selected| selected.bytes).into_iter().collect(),
                aborted: None,
                read_ahead: Some(ReadAhead { log: self.log, run }),
                disk_bytes: walk.read_bytes,
            }));
        }
        Ok(None)
    }
}

impl Extent {
    /// A place at or before the batch that holds `offset`.
    pub async fn position(&self, offset: i64) -> u64 {
        // An index leads to a place before: who reads on would read that again.
        match self.handle.read_end(offset).or(self.start) {
            Some(start) => start,
            None => self.handle.indexes(self.end).await.position(offset),
        }
    }

    /// Retention took the file away between the plan and the read, or a truncation its end: the reader will be told where
    /// the log starts and ends now.
    pub fn is_late(&self, error: &StorageError) -> bool {
        let is_missing = match error {
            StorageError::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
            }
            StorageError::Corrupt { .. } => true,
            StorageError::Offline { .. } => false,
        };
        is_missing && self.handle.retired.get()
    }

    /// Walks over the batches from `position` on, in pieces of `at_once` bytes.
    pub async fn walk(&self, position: u64, at_once: usize) -> Result<Walk<'_>, StorageError> {
        Ok(Walk {
            handle: &self.handle,
            file: self.handle.file().await?,
            position,
            started: position,
            end: self.end,
            at_once,
            want: at_once,
            read_bytes: 0,
        })
    }
}

/// A walk over the whole batches of a segment.
pub(super) struct Walk<'a> {
    handle: &'a Handle,
    file: File,
    position: u64,
    /// Where the walk began: an index entry, which is only a hint.
    started: u64,
    end: u64,
    at_once: usize,
    want: usize,
    read_bytes: usize,
}

impl Walk<'_> {
    /// The next batches; `None` behind the last one.
    pub async fn next_run(&mut self) -> Result<Option<Run>, StorageError> {
        while self.position < self.end {
            let piece = self.read_piece().await?;
            self.read_bytes += piece.len();
            let (run, rest) = Run::parse(&piece);
            if let Some(run) = run {
                self.position += run.bytes().len() as u64;
                self.want = self.at_once;
                return Ok(Some(run));
            }
            self.on_no_batch(&piece, rest)?;
        }
        Ok(None)
    }

    async fn read_piece(&self) -> Result<Bytes, StorageError> {
        let left = self.end - self.position;
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(self.want);
        let read = self.file.read_at(self.position, len).await;
        let read = read.and_then(|piece| match piece.len() == len {
            true => Ok(piece),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        });
        read.map_err(|source| StorageError::io("read", &self.handle.path(), source))
    }

    /// A batch that is larger than the piece is read again, whole; anything else is broken.
    fn on_no_batch(&mut self, piece: &Bytes, rest: Rest) -> Result<(), StorageError> {
        let left = self.end - self.position;
        if let Rest::Partial(Some(len)) = rest
            && len > piece.len()
            && len as u64 <= left
            && len <= BATCH_BYTES_MAX
        {
            self.want = len;
            return Ok(());
        }
        if self.position == self.started && self.started > 0 {
            // The index led to no batch: it does not belong to the segment. The front surely is one.
            self.position = 0;
            self.started = 0;
            return Ok(());
        }
        let problem = match rest {
            Rest::Broken(problem) => problem,
            Rest::Zeros => "zeros where a batch should be".to_owned(),
            Rest::Partial(_) | Rest::Nothing => "the last batch is cut short".to_owned(),
        };
        Err(self.handle.broken(self.position, problem))
    }
}

impl Handle {
    /// The error for a batch that cannot be read; the first one of a segment is logged.
    pub fn broken(&self, position: u64, problem: String) -> StorageError {
        let path = self.path();
        if !self.retired.get() && !self.reported.replace(true) {
            tracing::error!(path = %path.display(), position, problem, "broken batch in a segment: reads of it fail");
        }
        StorageError::Corrupt {
            path,
            problem: format!("position {position}: {problem}"),
        }
    }
}
