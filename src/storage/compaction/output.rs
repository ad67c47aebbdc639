//! The segment that compaction writes, under another name until it is complete.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::record::BatchHeader;
use crate::rt::{ALIGN, Buf, File, Open, Sync};
use crate::storage::StorageError;
use crate::storage::index::{BatchPlace, Indexes};
use crate::storage::layout::{CLEANED, INDEX, LOG, TIME_INDEX, TXN_INDEX, segment_path, with_suffix};
use crate::storage::prepare::{remove_if_there, sync_dirs_of, write_file};
use crate::storage::txn_index::{AbortedTxn, to_file};

/// Bytes per write.
const WRITE_BYTES: usize = 256 << 10;

pub(super) struct Output {
    dir: PathBuf,
    base_offset: i64,
    path: PathBuf,
    file: File,
    /// What is not written yet, from `written` on.
    buf: Buf,
    written: u64,
    indexes: Indexes,
    index_interval: u64,
    aborted: Vec<AbortedTxn>,
}

/// A complete segment that waits to take the place of others.
pub(in crate::storage) struct Cleaned {
    pub file: File,
    pub size: u64,
    pub indexes: Rc<Indexes>,
    pub aborted: Rc<Vec<AbortedTxn>>,
    /// There is a file of the aborted transactions, be it empty.
    pub has_txn_index: bool,
}

impl Output {
    pub async fn create(dir: &Path, base_offset: i64, index_interval: u64) -> Result<Output, StorageError> {
        discard(dir, base_offset).await?;
        let path = with_suffix(&segment_path(dir, base_offset, LOG), CLEANED);
        let opened = File::open(&path, Open::CreateNew).await;
        Ok(Output {
            file: opened.map_err(|source| StorageError::io("open", &path, source))?,
            dir: dir.to_owned(),
            base_offset,
            path,
            buf: Buf::with_capacity(WRITE_BYTES),
            written: 0,
            indexes: Indexes::new(base_offset),
            index_interval,
            aborted: Vec::new(),
        })
    }

    pub async fn append(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<(), StorageError> {
        let place = BatchPlace {
            position: self.written + self.filled() as u64,
            len: batch.len(),
            last_offset: header.last_offset(),
            max_timestamp: header.max_timestamp,
        };
        self.indexes.note(place, self.index_interval);
        let mut rest = batch;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(rest.len().min(WRITE_BYTES - self.filled()));
            self.buf.append(piece);
            rest = later;
            if self.filled() == WRITE_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    pub fn note_aborted(&mut self, aborted: AbortedTxn) {
        self.aborted.push(aborted);
    }

    /// Everything is written and synced, the index files too. `with_txn_index`: also where it is empty, because it is to
    /// take the place of one that is not.
    pub async fn finish(mut self, with_txn_index: bool) -> Result<Cleaned, StorageError> {
        let size = self.written + self.filled() as u64;
        self.flush().await?;
        let cut = self.file.truncate(size).await;
        cut.map_err(|source| StorageError::io("truncate", &self.path, source))?;
        let synced = self.file.sync().await;
        synced.map_err(|source| StorageError::io("sync", &self.path, source))?;
        self.write(INDEX, self.indexes.offset_file()).await?;
        self.write(TIME_INDEX, self.indexes.time_file()).await?;
        if with_txn_index {
            self.write(TXN_INDEX, to_file(&self.aborted)).await?;
        }
        sync_dirs_of(&self.dir).await?;
        Ok(Cleaned {
            file: self.file,
            size,
            indexes: Rc::new(self.indexes),
            aborted: Rc::new(self.aborted),
            has_txn_index: with_txn_index,
        })
    }

    fn filled(&self) -> usize {
        self.buf.as_slice().len()
    }

    async fn write(&self, suffix: &str, content: Vec<u8>) -> Result<(), StorageError> {
        let path = with_suffix(&segment_path(&self.dir, self.base_offset, suffix), CLEANED);
        write_file(&path, content).await
    }

    async fn flush(&mut self) -> Result<(), StorageError> {
        let filled = self.filled();
        if filled == 0 {
            return Ok(());
        }
        let len = filled.next_multiple_of(ALIGN);
        let mut buf = std::mem::replace(&mut self.buf, Buf::with_capacity(WRITE_BYTES));
        buf.truncate(len);
        let written = self.file.write_at(buf.freeze(), 0..len, self.written, Sync::No).await;
        written.map_err(|source| StorageError::io("write", &self.path, source))?;
        self.written += filled as u64;
        Ok(())
    }
}

/// Removes what an attempt has left.
pub(super) async fn discard(dir: &Path, base_offset: i64) -> Result<(), StorageError> {
    for suffix in [LOG, INDEX, TIME_INDEX, TXN_INDEX] {
        remove_if_there(&with_suffix(&segment_path(dir, base_offset, suffix), CLEANED)).await?;
    }
    Ok(())
}
