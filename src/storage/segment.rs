//! The segments of a log in memory: the heads that are being filled, and the sealed ones behind them.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::StorageError;
use super::index::Indexes;
use super::layout::{DELETED, INDEX, LOG, TIME_INDEX, TXN_INDEX, segment_path, with_suffix};
use super::stage::FrozenChunk;
use super::txn_index::{self, ABORTED_PER_SEGMENT_MAX, AbortedTxn};
use crate::config::TopicConfig;
use crate::record::{BatchHeader, HEADER_LEN};
use crate::rt::{ALIGN, Dir, File, Open};

/// What reads of one segment share: its name, and its file and indexes once a read has loaded them. The log drops what
/// has not been read for a while, so that old data costs neither memory nor file descriptors.
pub(super) struct Handle {
    pub dir: PathBuf,
    pub base_offset: i64,
    pub file: OnceCell<File>,
    pub indexes: OnceCell<Rc<Indexes>>,
    pub aborted: OnceCell<Rc<Vec<AbortedTxn>>>,
    /// The segment was taken out of the log: a read that comes now is late, not broken.
    pub retired: Cell<bool>,
    /// It was, but its files stay for a while: under their own name until they are renamed.
    pub lingers: Cell<bool>,
    /// A broken batch was reported: once is enough.
    pub reported: Cell<bool>,
    /// Read since the last look.
    pub used: Cell<bool>,
    /// Where the last reads ended: the offset behind them, and its position.
    read_ends: RefCell<VecDeque<(i64, u64)>>,
}

/// As many readers of one segment find where they go on.
const READ_ENDS_MAX: usize = 8;

impl Handle {
    pub fn new(dir: &Path, base_offset: i64) -> Rc<Handle> {
        Rc::new(Handle {
            dir: dir.to_owned(),
            base_offset,
            file: OnceCell::new(),
            indexes: OnceCell::new(),
            aborted: OnceCell::new(),
            retired: Cell::new(false),
            lingers: Cell::new(false),
            reported: Cell::new(false),
            used: Cell::new(false),
            read_ends: RefCell::default(),
        })
    }

    /// A read from `offset` has taken all up to `next_offset`, which is at `position`. What a segment holds stays where it is.
    pub fn note_read(&self, offset: i64, next_offset: i64, position: u64) {
        let mut ends = self.read_ends.borrow_mut();
        // The reader's own is replaced.
        ends.retain(|(known, _)| ![offset, next_offset].contains(known));
        ends.truncate(READ_ENDS_MAX - 1);
        ends.push_front((next_offset, position));
    }

    /// The position of the first batch at or behind `offset`, if a read has ended there lately.
    pub fn read_end(&self, offset: i64) -> Option<u64> {
        let ends = self.read_ends.borrow();
        let end = ends.iter().find(|(known, _)| *known == offset);
        end.map(|(_, position)| *position)
    }

    pub fn path(&self) -> PathBuf {
        segment_path(&self.dir, self.base_offset, LOG)
    }

    /// The segment's file, opened by the first read.
    pub async fn file(&self) -> Result<File, StorageError> {
        self.used.set(true);
        if let Some(file) = self.file.get() {
            return Ok(file.clone());
        }
        let path = self.path();
        if self.retired.get() && !self.lingers.get() {
            // The name may stand for a new log's segment by now.
            return Err(StorageError::io("open", &path, io::ErrorKind::NotFound.into()));
        }
        let opened = match File::open(&path, Open::Read).await {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound && self.lingers.get() => {
                File::open(&with_suffix(&path, DELETED), Open::Read).await
            }
            opened => opened,
        };
        let file = opened.map_err(|source| StorageError::io("open", &path, source))?;
        Ok(self.file.get_or_init(|| file).clone())
    }

    /// The segment's indexes, loaded by the first lookup. Without usable files a lookup starts at the segment's front.
    pub async fn indexes(&self, segment_bytes: u64) -> Rc<Indexes> {
        if let Some(indexes) = self.indexes.get() {
            return indexes.clone();
        }
        let mut loaded = load_indexes(&self.dir, self.base_offset, segment_bytes).await;
        if loaded.is_none() && self.lingers.get() {
            loaded = load_index_files(&self.dir, self.base_offset, segment_bytes, DELETED).await;
        }
        let indexes = Rc::new(loaded.unwrap_or_else(|| Indexes::new(self.base_offset)));
        self.indexes.get_or_init(|| indexes).clone()
    }

    /// The segment's aborted transactions, loaded by the first read of committed data. Only of a segment that has some.
    pub async fn aborted(&self) -> Result<Rc<Vec<AbortedTxn>>, StorageError> {
        self.used.set(true);
        if let Some(aborted) = self.aborted.get() {
            return Ok(aborted.clone());
        }
        let mut loaded = txn_index::load(&self.dir, self.base_offset).await;
        if loaded.is_err() && self.lingers.get() {
            let path = segment_path(&self.dir, self.base_offset, TXN_INDEX);
            loaded = txn_index::load_from(with_suffix(&path, DELETED), self.base_offset).await;
        }
        let aborted = Rc::new(loaded?);
        Ok(self.aborted.get_or_init(|| aborted).clone())
    }
}

/// The index files of a segment; `None` when one is missing or cannot be the segment's.
pub(super) async fn load_indexes(dir: &Path, base_offset: i64, segment_bytes: u64) -> Option<Indexes> {
    load_index_files(dir, base_offset, segment_bytes, "").await
}

/// The same, from files whose names end in `suffix`.
async fn load_index_files(dir: &Path, base_offset: i64, segment_bytes: u64, suffix: &str) -> Option<Indexes> {
    let path = |kind| with_suffix(&segment_path(dir, base_offset, kind), suffix);
    let offsets = Dir::read_file(&path(INDEX)).await.ok()?;
    let times = Dir::read_file(&path(TIME_INDEX)).await.ok()?;
    Indexes::from_files(base_offset, &offsets, &times, segment_bytes)
}

/// A segment that no batch is added to any more.
pub(super) struct Sealed {
    pub handle: Rc<Handle>,
    pub size: u64,
    pub max_timestamp: Option<i64>,
    /// There is a transaction index.
    pub has_aborted: bool,
    /// The file still has its preallocated length and no index files: a seal job is due or under way.
    pub unsealed: Option<Unsealed>,
    /// Compacted, and about to get its name on the disk: everything is read through the open file until then.
    pub swapping: bool,
}

pub(super) struct Unsealed {
    pub file: File,
    pub indexes: Rc<Indexes>,
    pub aborted: Rc<Vec<AbortedTxn>>,
}

impl Sealed {
    pub fn base_offset(&self) -> i64 {
        self.handle.base_offset
    }

    /// Lets go of the file and the indexes if nothing has read them since the last call.
    pub fn rest(&mut self) {
        let holds = self.handle.file.get().is_some() || self.handle.aborted.get().is_some();
        if self.unsealed.is_some() || self.swapping || self.handle.used.replace(false) || !holds {
            return;
        }
        self.handle = Handle::new(&self.handle.dir, self.handle.base_offset);
    }
}

/// A segment that is being filled: batches are staged to the newest head and written to the oldest.
pub(super) struct Head {
    pub handle: Rc<Handle>,
    /// The name exists on disk. Lost after a crash it would take the log's end with it.
    pub exists: bool,
    /// Open for writing; nothing is opened before it is needed.
    pub file: Option<File>,
    /// The length of the file: writes never go past it.
    pub preallocated: u64,
    /// Its name and the directory's survive a power cut.
    pub dirs_synced: bool,
    /// Bytes of batches on disk.
    pub written: u64,
    /// Bytes of batches, staged ones included.
    pub staged: u64,
    /// Of the written batches.
    pub indexes: Indexes,
    /// Transactions whose abort marker was staged here.
    pub aborted: Rc<Vec<AbortedTxn>>,
    /// When the segment got its first batch: by the batch's timestamp, or by our clock where it has none.
    pub first_timestamp: Option<i64>,
    /// Part of segment.jitter.ms, so that partitions do not all roll at the same moment.
    pub jitter_ms: i64,
}

impl Head {
    pub fn new(handle: Rc<Handle>, jitter_ms: i64) -> Head {
        Head {
            indexes: Indexes::new(handle.base_offset),
            handle,
            exists: false,
            file: None,
            preallocated: 0,
            dirs_synced: false,
            written: 0,
            staged: 0,
            aborted: Rc::default(),
            first_timestamp: None,
            jitter_ms,
        }
    }

    pub fn base_offset(&self) -> i64 {
        self.handle.base_offset
    }

    /// Where the segment's file must reach so that everything staged can be written.
    pub fn bytes_needed(&self) -> u64 {
        write_end(self.staged)
    }

    /// Kafka's rules: the batch does not fit, the segment is old enough, an index is full, the offset is too far away.
    pub fn must_roll(&self, batch: &BatchHeader, last_offset: i64, config: &TopicConfig, now_wall_ms: i64) -> bool {
        if self.staged == 0 {
            return false;
        }
        let at = if batch.max_timestamp >= 0 {
            batch.max_timestamp
        } else {
            now_wall_ms
        };
        let age_ms = at.saturating_sub(self.first_timestamp.unwrap_or(at));
        let age_ms_max = match config.cleanup_policy.compact {
            // The active segment is not compacted: it must not stay active for longer than that.
            true => config.segment_ms.min(config.max_compaction_lag_ms),
            false => config.segment_ms,
        };
        self.staged + batch.total_len() as u64 > u64::try_from(config.segment_bytes).unwrap_or(0)
            || age_ms > age_ms_max.saturating_sub(self.jitter_ms)
            || self
                .indexes
                .is_full(usize::try_from(config.segment_index_bytes).unwrap_or(0))
            || self.aborted.len() >= ABORTED_PER_SEGMENT_MAX
            || last_offset - self.base_offset() > i64::from(i32::MAX)
    }

    /// Counts a staged batch.
    pub fn on_staged(&mut self, batch: &BatchHeader, now_wall_ms: i64) {
        let at = if batch.max_timestamp >= 0 {
            batch.max_timestamp
        } else {
            now_wall_ms
        };
        self.first_timestamp.get_or_insert(at);
        self.staged += batch.total_len() as u64;
    }

    /// Counts and indexes written batches.
    pub fn on_written(&mut self, chunk: &FrozenChunk, config: &TopicConfig) {
        let interval_bytes = u64::try_from(config.index_interval_bytes).unwrap_or(0);
        for batch in chunk.batches() {
            assert_eq!(
                batch.position, self.written,
                "a batch is written elsewhere than it was staged"
            );
            self.indexes.note(batch, interval_bytes);
            self.written += batch.len as u64;
        }
        assert!(self.written <= self.staged, "more is written than was staged");
        assert!(
            write_end(self.written) <= self.preallocated,
            "a write past the prepared space"
        );
    }

    /// No batch will be added: the segment is read like the sealed ones from here on.
    pub fn into_sealed(self) -> Sealed {
        let indexes = Rc::new(self.indexes);
        let _ = self.handle.indexes.set(indexes.clone());
        let aborted = self.aborted;
        if !aborted.is_empty() {
            let _ = self.handle.aborted.set(aborted.clone());
        }
        Sealed {
            max_timestamp: indexes.max_timestamp(),
            size: self.written,
            has_aborted: !aborted.is_empty(),
            unsealed: self.file.map(|file| Unsealed { file, indexes, aborted }),
            swapping: false,
            handle: self.handle,
        }
    }
}

/// Where a write ends whose batches end at `position`: whole blocks, with room for one header of zeros behind the last
/// batch. Recovery stops at such a header, so it never meets what an earlier life of the blocks left behind.
pub(super) fn write_end(position: u64) -> u64 {
    (position + HEADER_LEN as u64).next_multiple_of(ALIGN as u64)
}
