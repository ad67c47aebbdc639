//! Walking over a segment whose end is not known: batch by batch, up to the first byte that is none.

use std::path::Path;

use bytes::Bytes;

use super::StorageError;
use super::run::{Rest, next_header};
use crate::record::BatchHeader;
use crate::rt::File;

/// Bytes per read.
const READ_BYTES: usize = 1 << 20;

/// Where a scan begins, and what it expects there.
#[derive(Clone, Copy)]
pub(super) struct ScanFrom {
    pub position: u64,
    /// No batch has an offset below.
    pub next_offset: i64,
    /// No batch has an epoch below (-1 is none).
    pub epoch: i32,
    /// Whether each batch's checksum is checked.
    pub check_crc: bool,
}

/// Where a scan ended.
pub(super) struct Scanned {
    /// Behind the last good batch.
    pub position: u64,
    pub next_offset: i64,
    pub epoch: i32,
    pub stop: Stop,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    EndOfFile,
    /// Preallocated space: the usual end of a segment that was not sealed.
    Zeros,
    Bad(String),
}

/// A good batch and where it lies.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub header: &'a BatchHeader,
    pub batch: &'a [u8],
    pub position: u64,
}

pub(super) type Visit<'a> = &'a mut dyn FnMut(Seen<'_>);

/// A file that is looked at.
pub(super) struct Scan<'a> {
    pub file: &'a File,
    pub path: &'a Path,
    pub len: u64,
}

impl Scan<'_> {
    /// Shows `visit` every good batch.
    pub async fn run(&self, from: ScanFrom, visit: Visit<'_>) -> Result<Scanned, StorageError> {
        let mut at = Scanned {
            position: from.position,
            next_offset: from.next_offset,
            epoch: from.epoch,
            stop: Stop::EndOfFile,
        };
        let mut want = READ_BYTES;
        while at.position < self.len {
            let piece = self.read(at.position, want).await?;
            let before = at.position;
            let rest = take_batches(&piece, from.check_crc, &mut at, visit);
            let is_last = before + piece.len() as u64 >= self.len;
            want = READ_BYTES;
            match rest {
                Rest::Nothing => {}
                Rest::Partial(Some(len)) if at.position + len as u64 <= self.len => want = len.max(READ_BYTES),
                Rest::Partial(None) if !is_last => {}
                Rest::Partial(_) => {
                    let left = piece.get((at.position - before) as usize..).unwrap_or_default();
                    let is_zero = left.iter().all(|byte| *byte == 0);
                    at.stop = if is_zero {
                        Stop::Zeros
                    } else {
                        Stop::Bad("batch is cut short".to_owned())
                    };
                    return Ok(at);
                }
                Rest::Zeros => {
                    at.stop = Stop::Zeros;
                    return Ok(at);
                }
                Rest::Broken(reason) => {
                    at.stop = Stop::Bad(reason);
                    return Ok(at);
                }
            }
        }
        Ok(at)
    }

    /// Bytes from `position` to the last one that is not zero. It stops looking at a whole piece of zeros.
    pub async fn data_bytes(&self, position: u64) -> Result<u64, StorageError> {
        let (mut at, mut end) = (position, position);
        while at < self.len {
            let piece = self.read(at, READ_BYTES).await?;
            let Some(last) = piece.iter().rposition(|byte| *byte != 0) else {
                break;
            };
            end = at + last as u64 + 1;
            at += piece.len() as u64;
        }
        Ok(end - position)
    }

    async fn read(&self, position: u64, len: usize) -> Result<Bytes, StorageError> {
        let len = usize::try_from(self.len - position).unwrap_or(usize::MAX).min(len);
        let read = self.file.read_at(position, len).await;
        let read = read.and_then(|bytes| {
            if bytes.is_empty() {
                Err(std::io::ErrorKind::UnexpectedEof.into())
            } else {
                Ok(bytes)
            }
        });
        read.map_err(|source| StorageError::io("read", self.path, source))
    }
}

/// Moves `at` over the good batches at the front of `piece`; gives what follows them.
fn take_batches(piece: &Bytes, check_crc: bool, at: &mut Scanned, visit: Visit<'_>) -> Rest {
    let mut rest = &piece[..];
    loop {
        let header = match next_header(rest) {
            Ok(header) => header,
            Err(stop) => return stop,
        };
        if let Some(problem) = misplaced(&header, at) {
            return Rest::Broken(problem);
        }
        let Some((batch, later)) = rest.split_at_checked(header.total_len()) else {
            return Rest::Partial(Some(header.total_len()));
        };
        if check_crc && let Err(error) = header.check_crc(batch) {
            return Rest::Broken(error.to_string());
        }
        visit(Seen {
            header: &header,
            batch,
            position: at.position,
        });
        at.position += batch.len() as u64;
        at.next_offset = header.next_offset();
        at.epoch = at.epoch.max(header.leader_epoch);
        rest = later;
    }
}

/// Why the batch cannot be the next one here.
fn misplaced(header: &BatchHeader, at: &Scanned) -> Option<String> {
    if header.base_offset < at.next_offset {
        return Some(format!("offset {} where {} is due", header.base_offset, at.next_offset));
    }
    if header.leader_epoch >= 0 && header.leader_epoch < at.epoch {
        return Some(format!("leader epoch {} after {}", header.leader_epoch, at.epoch));
    }
    None
}
