//! Offsets by time: the first record at or after a timestamp, and the record with the largest one (ListOffsets).

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::StorageError;
use super::read::Extent;
use super::run::{Run, batches};
use crate::record::{BatchError, BatchHeader, Records};

/// What a compressed batch may grow to when it is opened to look at its timestamps.
const OPENED_BYTES_MAX: usize = 128 << 20;
/// Batches are looked at in pieces of this size.
const READ_BYTES: usize = 256 << 10;

pub(super) struct TimeSearch {
    pub wanted: Wanted,
    /// Records below do not count: the log start.
    pub start: i64,
    /// Records from here on do not count.
    pub limit: i64,
    /// The log's segments in offset order; each starts at its front or by its time index.
    pub segments: Vec<Extent>,
    /// What is written and in no segment yet.
    pub unplaced: Option<Run>,
    /// Of the log.
    pub dir: PathBuf,
}

#[derive(Clone, Copy)]
pub(super) enum Wanted {
    At(i64),
    Largest,
}

/// (offset, timestamp)
type Found = Option<(i64, i64)>;

impl TimeSearch {
    pub async fn run(self) -> Result<Found, StorageError> {
        match self.wanted {
            Wanted::At(timestamp) => self.first_at(timestamp).await,
            Wanted::Largest => self.largest().await,
        }
    }

    async fn first_at(&self, timestamp: i64) -> Result<Found, StorageError> {
        for segment in &self.segments {
            if segment.max_timestamp.is_some_and(|max| max >= timestamp) {
                let found = self.first_in(segment, timestamp).await?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        let unplaced = self.unplaced.iter().flat_map(batches);
        for (header, batch) in unplaced.take_while(|(header, _)| header.base_offset < self.limit) {
            let mut records = self.records(&self.dir, &header, batch)?.into_iter();
            if let Some(found) = records.find(|(_, at)| *at >= timestamp) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The segments' own maxima say where to look; one whose largest record does not count is walked through.
    async fn largest(&self) -> Result<Found, StorageError> {
        let mut segments: Vec<&Extent> = self.segments.iter().collect();
        segments.sort_by_key(|segment| std::cmp::Reverse(segment.max_timestamp));
        let mut best: Found = None;
        for segment in segments {
            let Some(max) = segment.max_timestamp else { break };
            if best.is_some_and(|(_, timestamp)| timestamp >= max) {
                break;
            }
            let found = match self.first_in(segment, max).await? {
                Some(found) => Some(found),
                None => self.largest_in(segment).await?,
            };
            best = later(best, found);
        }
        let unplaced = self.unplaced.iter().flat_map(batches);
        for (header, batch) in unplaced.take_while(|(header, _)| header.base_offset < self.limit) {
            best = later(best, self.records(&self.dir, &header, batch)?);
        }
        Ok(best)
    }

    async fn first_in(&self, segment: &Extent, timestamp: i64) -> Result<Found, StorageError> {
        let position = match segment.start {
            Some(start) => start,
            None => segment.handle.indexes(segment.end).await.position_for_time(timestamp),
        };
        let reaches = |header: &BatchHeader| header.max_timestamp >= timestamp;
        let mut walk = segment.walk(position, READ_BYTES).await?;
        while let Some(run) = walk.next_run().await? {
            for (header, batch) in batches(&run) {
                if header.base_offset >= self.limit {
                    return Ok(None);
                }
                if header.last_offset() < self.start || !reaches(&header) {
                    continue;
                }
                let mut records = self.records(&segment.handle.path(), &header, batch)?.into_iter();
                if let Some(found) = records.find(|(_, at)| *at >= timestamp) {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    async fn largest_in(&self, segment: &Extent) -> Result<Found, StorageError> {
        let mut best: Found = None;
        let mut walk = segment.walk(segment.largest_from, READ_BYTES).await?;
        while let Some(run) = walk.next_run().await? {
            for (header, batch) in batches(&run) {
                if header.base_offset >= self.limit {
                    return Ok(best);
                }
                let is_better = best.is_none_or(|(_, timestamp)| header.max_timestamp > timestamp);
                if is_better && header.last_offset() >= self.start {
                    best = later(best, self.records(&segment.handle.path(), &header, batch)?);
                }
            }
        }
        Ok(best)
    }

    /// Offset and timestamp of the records of one batch that count.
    fn records(&self, path: &Path, header: &BatchHeader, batch: Bytes) -> Result<Vec<(i64, i64)>, StorageError> {
        let broken = |error: BatchError| {
            let problem = format!("batch at offset {}: {error}", header.base_offset);
            let path = path.to_owned();
            StorageError::Corrupt { path, problem }
        };
        let mut counted = Vec::new();
        for record in Records::of(header, batch, OPENED_BYTES_MAX).map_err(broken)? {
            let record = record.map_err(broken)?;
            if record.offset >= self.start && record.offset < self.limit {
                counted.push((record.offset, record.timestamp));
            }
        }
        Ok(counted)
    }
}

/// The one with the largest timestamp, and of those the first.
fn later(best: Found, more: impl IntoIterator<Item = (i64, i64)>) -> Found {
    let all = best.into_iter().chain(more);
    all.max_by_key(|(offset, timestamp)| (*timestamp, -offset))
}
