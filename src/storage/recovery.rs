//! Opening a log: what is on the disk, what of it can be trusted, and where it ends.
//!
//! Segments below the recovery point are trusted with their index files. From there on every batch is checked, and the
//! log is cut at the first byte that is not a good batch. Offsets only have to rise: compaction leaves gaps. What lies
//! behind a cut is set aside under another name, never deleted. Then the journal adds what it has. When this is done, everything on the disk is as a clean stop would have left it: segments of exact size,
//! index files, all synced.

use std::io;
use std::path::Path;
use std::rc::Rc;

use super::epochs::LeaderEpochs;
use super::index::{BatchPlace, Indexes};
use super::layout::*;
use super::prepare::{remove_if_there, remove_indexes, sync_dirs_of, write_file, write_indexes};
use super::retention::Removal;
use super::scan::{Scan, ScanFrom, Scanned, Seen, Stop, Visit};
use super::segment::{Handle, Head, Sealed, load_indexes};
use super::txn_index::{self, AbortedTxn};
use super::{LogOptions, PartitionCheckpoint, StorageError};
use crate::record::{BatchHeader, HEADER_LEN};
use crate::rt::{ALIGN, Dir, File, Open};

mod cut;
mod life;
mod redo;

pub(super) use cut::{Cut, CutPlan};
use life::Life;

/// What follows the log while it is opened: the producers' state.
pub trait Replay {
    /// The content of the newest snapshot; comes first, if there is one. False: it is no good, an older one is looked for.
    fn snapshot(&mut self, offset: i64, content: &[u8]) -> bool;

    /// A batch behind the snapshot, in order. Gives the transaction that it aborts, if it is such a marker.
    fn batch(&mut self, header: &BatchHeader, batch: &[u8]) -> Option<AbortedTxn>;
}

/// A log as it lies on the disk now.
pub(super) struct Recovered {
    pub sealed: Vec<Sealed>,
    pub head: Head,
    /// The bytes of the head behind its last block boundary.
    pub tail: Vec<u8>,
    pub end: i64,
    pub log_start: i64,
    pub epochs: LeaderEpochs,
    pub snapshots: Vec<i64>,
    pub cut_bytes: u64,
    /// Which of the log's lives this is.
    pub life: u32,
    /// As far as it counts in this life.
    pub checkpoint: Option<PartitionCheckpoint>,
}

pub(super) async fn recover(options: &LogOptions, replay: &mut dyn Replay) -> Result<Recovered, StorageError> {
    let survey = survey(options).await?;
    let life = Life::load(&options.dir).await?;
    let options = &LogOptions {
        checkpoint: options.checkpoint.map(|at| life::vouched(at, life)),
        ..options.clone()
    };
    let stored_epochs = load_epochs(&options.dir).await?;
    let has_epochs = stored_epochs.is_some();
    let epochs = stored_epochs.unwrap_or_default();
    let mut recovery = Recovery {
        options,
        bases: survey.bases,
        segments: Vec::new(),
        end: 0,
        stored_epochs: epochs.to_text(),
        epochs,
        cut_bytes: 0,
        life: 0,
        txn_indexes: survey.txn_indexes,
    };
    let first_unchecked = recovery.trust().await?;
    if !has_epochs {
        recovery.note_trusted_epochs().await?;
    }
    recovery.check_txn_indexes().await?;
    let checked_from = recovery.bases.get(first_unchecked).copied();
    let upto = checked_from.unwrap_or(recovery.end);
    let replay_from = load_snapshot(&options.dir, &survey.snapshots, upto, replay).await;
    let mut replay_later = |seen: Seen<'_>| {
        if seen.header.base_offset >= replay_from {
            replay.batch(seen.header, seen.batch);
        }
    };
    recovery.show_trusted(replay_from, &mut replay_later).await?;
    recovery.check(first_unchecked, replay).await?;
    recovery.life = recovery.redo(life, replay).await?;
    recovery.finish(survey.snapshots).await
}

/// What a log's directory holds, in order.
#[derive(Default)]
struct Survey {
    bases: Vec<i64>,
    snapshots: Vec<i64>,
    /// Segments that have a transaction index.
    txn_indexes: Vec<i64>,
}

/// Lists the directory, or makes it; finishes deletions that a crash interrupted.
async fn survey(options: &LogOptions) -> Result<Survey, StorageError> {
    let dir = &options.dir;
    let names = match Dir::list(dir).await {
        Ok(names) => names,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(StorageError::io("list", dir, source)),
    };
    check_topic_id(options, names.iter().any(|(name, _)| name == PARTITION_METADATA)).await?;
    let has_changed = super::compaction::recover(dir, &names).await?;
    let names = match has_changed {
        true => Dir::list(dir)
            .await
            .map_err(|source| StorageError::io("list", dir, source))?,
        false => names,
    };
    let mut survey = Survey::default();
    for (name, _) in names.iter().filter(|(_, is_dir)| !is_dir) {
        if name.ends_with(DELETED) {
            remove_if_there(&dir.join(name)).await?;
        }
        match parse_segment_name(name) {
            Some((base_offset, LOG)) => survey.bases.push(base_offset),
            Some((offset, SNAPSHOT)) => survey.snapshots.push(offset),
            Some((base_offset, TXN_INDEX)) => survey.txn_indexes.push(base_offset),
            _ => {}
        }
    }
    survey.bases.sort_unstable();
    survey.snapshots.sort_unstable();
    Ok(survey)
}

/// A directory that belongs to another topic of the same name must not be taken for this one's (KIP-516).
async fn check_topic_id(options: &LogOptions, is_there: bool) -> Result<(), StorageError> {
    let path = options.dir.join(PARTITION_METADATA);
    if is_there {
        let content = Dir::read_file(&path)
            .await
            .map_err(|source| StorageError::io("read", &path, source))?;
        match parse_partition_metadata(&String::from_utf8_lossy(&content)) {
            Some(id) if id == options.topic_id => return Ok(()),
            Some(id) => {
                let problem = format!("the directory belongs to topic id {id}, not to {}", options.topic_id);
                return Err(StorageError::Corrupt { path, problem });
            }
            None => set_aside(&path, "not a partition.metadata").await?,
        }
    }
    let made = Dir::create_all(&options.dir).await;
    made.map_err(|source| StorageError::io("create", &options.dir, source))?;
    write_file(&path, partition_metadata(options.topic_id).into_bytes()).await
}

/// `None`: there is no readable file.
async fn load_epochs(dir: &Path) -> Result<Option<LeaderEpochs>, StorageError> {
    let path = dir.join(LEADER_EPOCHS);
    match Dir::read_file(&path).await {
        Ok(content) => match LeaderEpochs::parse(&String::from_utf8_lossy(&content)) {
            Some(epochs) => Ok(Some(epochs)),
            None => {
                set_aside(&path, "not a leader epoch checkpoint").await?;
                Ok(None)
            }
        },
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StorageError::io("read", &path, source)),
    }
}

/// Replays the newest good producer snapshot at or below `offset`; gives where the replay goes on.
async fn load_snapshot(dir: &Path, snapshots: &[i64], offset: i64, replay: &mut dyn Replay) -> i64 {
    for at in snapshots.iter().rev().filter(|at| **at <= offset) {
        let path = segment_path(dir, *at, SNAPSHOT);
        match Dir::read_file(&path).await {
            Ok(content) if replay.snapshot(*at, &content) => return *at,
            Ok(_) => {}
            Err(error) => tracing::warn!(path = %path.display(), %error, "producer snapshot is skipped"),
        }
    }
    0
}

async fn set_aside(path: &Path, reason: &str) -> Result<(), StorageError> {
    let aside = with_suffix(path, CORRUPT);
    tracing::warn!(path = %path.display(), aside = %aside.display(), reason, "file is set aside");
    let renamed = Dir::rename(path, &aside).await;
    renamed.map_err(|source| StorageError::io("rename", path, source))?;
    match path.parent() {
        Some(dir) => Dir::sync(dir)
            .await
            .map_err(|source| StorageError::io("sync directory", dir, source)),
        None => Ok(()),
    }
}

/// A segment that is as a clean stop leaves it.
struct Good {
    base_offset: i64,
    size: u64,
    indexes: Indexes,
    has_aborted: bool,
}

/// A segment whose batches were looked at one by one.
struct Checked {
    segment: OpenSegment,
    scanned: Scanned,
    indexes: Indexes,
    aborted: Vec<AbortedTxn>,
    /// Nothing is missing at its end. What a power cut takes shows as zeros before the end of the file, or as a file that
    /// was not sealed.
    is_complete: bool,
}

struct Recovery<'a> {
    options: &'a LogOptions,
    bases: Vec<i64>,
    segments: Vec<Good>,
    /// Of the segments so far.
    end: i64,
    epochs: LeaderEpochs,
    /// What the file of the epochs holds.
    stored_epochs: String,
    cut_bytes: u64,
    life: u32,
    txn_indexes: Vec<i64>,
}

impl Recovery<'_> {
    /// Takes the segments that need no check; gives the position in `bases` of the first that does.
    async fn trust(&mut self) -> Result<usize, StorageError> {
        let recovery_point = self.options.checkpoint.map_or(0, |at| at.recovery_point);
        let next_bases: Vec<i64> = self.bases.iter().skip(1).copied().collect();
        for (at, base_offset) in self.bases.clone().into_iter().enumerate() {
            let (segment, end) = match next_bases.get(at) {
                Some(next_base) if *next_base <= recovery_point => (self.trust_sealed(base_offset).await?, *next_base),
                Some(_) => return Ok(at),
                None => match self.trust_last(base_offset, recovery_point).await? {
                    Some(segment) if segment.size == 0 => (segment, base_offset),
                    Some(segment) => (segment, recovery_point),
                    None => return Ok(at),
                },
            };
            self.segments.push(segment);
            self.end = end;
        }
        Ok(self.bases.len())
    }

    /// A segment below the recovery point, whose index files are made again if need be. It is never cut: what is broken
    /// in it is found by whoever reads it.
    async fn trust_sealed(&self, base_offset: i64) -> Result<Good, StorageError> {
        let segment = OpenSegment::open(&self.options.dir, base_offset).await?;
        if let Some(indexes) = load_indexes(&self.options.dir, base_offset, segment.len).await {
            return Ok(Good {
                base_offset,
                size: segment.len,
                indexes,
                has_aborted: self.has_txn_index(base_offset),
            });
        }
        let mut indexes = Indexes::new(base_offset);
        let interval = self.index_interval();
        let from = ScanFrom {
            position: 0,
            next_offset: base_offset,
            epoch: -1,
            check_crc: false,
        };
        let mut index = |seen: Seen<'_>| indexes.note(place(&seen), interval);
        let scanned = segment.scan().run(from, &mut index).await?;
        if let Stop::Bad(reason) = &scanned.stop {
            let position = scanned.position;
            tracing::error!(path = %segment.handle.path().display(), position, reason, "broken batch in a sealed segment");
            return Ok(Good {
                base_offset,
                size: segment.len,
                indexes,
                has_aborted: self.has_txn_index(base_offset),
            });
        }
        segment.finish(scanned.position, &indexes).await?;
        tracing::info!(path = %segment.handle.path().display(), "index files are made again");
        Ok(Good {
            base_offset,
            size: scanned.position,
            indexes,
            has_aborted: self.has_txn_index(base_offset),
        })
    }

    /// The newest segment, if a clean stop left it: good batches from its last index entry exactly to the end of the
    /// file, and the offset behind them is the recovery point.
    async fn trust_last(&self, base_offset: i64, recovery_point: i64) -> Result<Option<Good>, StorageError> {
        let segment = OpenSegment::open(&self.options.dir, base_offset).await?;
        let Some(mut indexes) = load_indexes(&self.options.dir, base_offset, segment.len).await else {
            return Ok(None);
        };
        let position = indexes.position(i64::MAX);
        let from = ScanFrom {
            position,
            next_offset: base_offset,
            epoch: -1,
            check_crc: true,
        };
        let scanned = segment.scan().run(from, &mut |_| {}).await?;
        let is_whole = scanned.stop == Stop::EndOfFile && scanned.next_offset == recovery_point;
        indexes.resume(segment.len);
        Ok((is_whole || segment.len == 0).then_some(Good {
            base_offset,
            size: segment.len,
            indexes,
            has_aborted: self.has_txn_index(base_offset),
        }))
    }

    /// Without its file, the history of epochs is read off the batches.
    async fn note_trusted_epochs(&mut self) -> Result<(), StorageError> {
        let mut epochs = LeaderEpochs::default();
        let mut note = |seen: Seen<'_>| epochs.note(seen.header.leader_epoch, seen.header.base_offset);
        self.show_trusted(0, &mut note).await?;
        self.epochs = epochs;
        Ok(())
    }

    /// A damaged transaction index of a trusted segment: all of them are made again, from the batches.
    async fn check_txn_indexes(&mut self) -> Result<(), StorageError> {
        for good in self.segments.iter().filter(|good| good.has_aborted) {
            match txn_index::load(&self.options.dir, good.base_offset).await {
                Ok(_) => {}
                Err(StorageError::Corrupt { path, problem }) => {
                    set_aside(&path, &problem).await?;
                    return self.remake_txn_indexes().await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn remake_txn_indexes(&mut self) -> Result<(), StorageError> {
        let mut finder = txn_index::Finder::default();
        for good in &mut self.segments {
            let mut aborted = Vec::new();
            let mut see = |seen: Seen<'_>| aborted.extend(finder.see(&seen));
            show(&self.options.dir, good, 0, &mut see).await?;
            txn_index::write(&self.options.dir, good.base_offset, &aborted).await?;
            good.has_aborted = !aborted.is_empty();
        }
        Ok(())
    }

    /// Shows the batches of trusted segments from `from` on, and some before.
    async fn show_trusted(&self, from: i64, visit: Visit<'_>) -> Result<(), StorageError> {
        let first = self
            .segments
            .partition_point(|segment| segment.base_offset <= from)
            .saturating_sub(1);
        for good in self.segments.iter().skip(first).filter(|_| from < self.end) {
            show(&self.options.dir, good, from, visit).await?;
        }
        Ok(())
    }

    /// Checks every batch of the segments from `first` on, up to the first that is not good.
    async fn check(&mut self, first: usize, replay: &mut dyn Replay) -> Result<(), StorageError> {
        let unchecked = self.bases.split_off(first);
        if let Some(base_offset) = unchecked.first() {
            self.epochs.truncate(*base_offset);
        }
        for (at, base_offset) in unchecked.iter().copied().enumerate() {
            let later = unchecked.get(at + 1..).unwrap_or_default();
            let checked = self.check_segment(base_offset, replay).await?;
            let is_cut = checked.is_cut_before(later.first().copied());
            if is_cut {
                // Before the segment looks whole, and from the back: what a crash leaves undone is done by the next start.
                for behind in later.iter().rev() {
                    self.set_segment_aside(*behind).await?;
                }
            }
            self.keep(checked).await?;
            if is_cut {
                break;
            }
        }
        Ok(())
    }

    async fn check_segment(&mut self, base_offset: i64, replay: &mut dyn Replay) -> Result<Checked, StorageError> {
        let segment = OpenSegment::open(&self.options.dir, base_offset).await?;
        let is_sealed = segment.is_sealed().await;
        segment.outwait_the_dead().await?;
        let mut indexes = Indexes::new(base_offset);
        let interval = self.index_interval();
        let from = ScanFrom {
            position: 0,
            next_offset: self.end.max(base_offset),
            epoch: self.epochs.latest().unwrap_or(-1),
            check_crc: true,
        };
        let mut aborted = Vec::new();
        let epochs = &mut self.epochs;
        let mut visit = |seen: Seen<'_>| {
            indexes.note(place(&seen), interval);
            epochs.note(seen.header.leader_epoch, seen.header.base_offset);
            aborted.extend(replay.batch(seen.header, seen.batch));
        };
        let scanned = segment.scan().run(from, &mut visit).await?;
        Ok(Checked {
            is_complete: is_sealed && scanned.stop == Stop::EndOfFile,
            segment,
            scanned,
            indexes,
            aborted,
        })
    }

    /// Takes the good batches of a segment into the log.
    async fn keep(&mut self, checked: Checked) -> Result<(), StorageError> {
        let Checked {
            segment,
            scanned,
            indexes,
            aborted,
            ..
        } = checked;
        if let Stop::Bad(reason) = &scanned.stop {
            self.report_cut(&segment, scanned.position, reason).await?;
            if scanned.position == 0 {
                return set_aside(&segment.handle.path(), "no good batch at its front").await;
            }
        }
        segment.finish(scanned.position, &indexes).await?;
        txn_index::write(&self.options.dir, segment.handle.base_offset, &aborted).await?;
        self.end = scanned.next_offset;
        self.segments.push(Good {
            base_offset: segment.handle.base_offset,
            size: scanned.position,
            indexes,
            has_aborted: !aborted.is_empty(),
        });
        Ok(())
    }

    async fn report_cut(&mut self, segment: &OpenSegment, position: u64, reason: &str) -> Result<(), StorageError> {
        let bytes = segment.scan().data_bytes(position).await?;
        self.cut_bytes += bytes;
        let path = segment.handle.path();
        tracing::warn!(path = %path.display(), position, reason, bytes, "log is cut at a broken batch");
        Ok(())
    }

    /// A segment behind a cut. One that never got a batch was made ahead of need and just goes.
    async fn set_segment_aside(&mut self, base_offset: i64) -> Result<(), StorageError> {
        let segment = OpenSegment::open(&self.options.dir, base_offset).await?;
        let bytes = segment.scan().data_bytes(0).await?;
        if bytes == 0 {
            let handles = vec![segment.handle];
            Removal { handles }.run().await?;
            let synced = Dir::sync(&self.options.dir).await;
            return synced.map_err(|source| StorageError::io("sync directory", &self.options.dir, source));
        }
        self.cut_bytes += bytes;
        set_aside(&segment.handle.path(), "the log is cut before it").await?;
        remove_indexes(&segment.handle).await
    }

    async fn finish(mut self, mut snapshots: Vec<i64>) -> Result<Recovered, StorageError> {
        let dir = &self.options.dir;
        let mut log_start = self.options.checkpoint.map_or(0, |at| at.log_start);
        if let Some(first) = self.segments.first() {
            log_start = log_start.max(first.base_offset);
        }
        if log_start > self.end {
            // Everything left was deleted by its users; the log goes on where it started.
            let handles = self
                .segments
                .drain(..)
                .map(|good| Handle::new(dir, good.base_offset))
                .collect();
            Removal { handles }.run().await?;
            self.end = log_start;
        }
        for offset in snapshots.extract_if(.., |offset| *offset > self.end) {
            remove_if_there(&segment_path(dir, offset, SNAPSHOT)).await?;
        }
        self.epochs.truncate(self.end);
        self.make_durable().await?;
        let (head, tail) = match self.segments.pop() {
            Some(last) => self.resume_head(last).await?,
            None => (Head::new(Handle::new(dir, self.end), 0), Vec::new()),
        };
        Ok(Recovered {
            sealed: self.segments.into_iter().map(|good| good.into_sealed(dir)).collect(),
            head,
            tail,
            end: self.end,
            log_start,
            epochs: self.epochs,
            snapshots,
            cut_bytes: self.cut_bytes,
            life: self.life,
            checkpoint: self.options.checkpoint,
        })
    }

    /// A checkpoint may name this end as the recovery point from now on, and the next start trusts what is below. The
    /// process before this one may have died between making a file and syncing its name.
    async fn make_durable(&self) -> Result<(), StorageError> {
        let epochs = self.epochs.to_text();
        if epochs != self.stored_epochs {
            write_file(&self.options.dir.join(LEADER_EPOCHS), epochs.into_bytes()).await?;
        }
        sync_dirs_of(&self.options.dir).await
    }

    /// The newest segment goes on being filled.
    async fn resume_head(&self, last: Good) -> Result<(Head, Vec<u8>), StorageError> {
        let mut head = Head::new(Handle::new(&self.options.dir, last.base_offset), 0);
        head.exists = true;
        head.dirs_synced = true;
        head.written = last.size;
        head.staged = last.size;
        head.preallocated = last.size;
        head.indexes = last.indexes;
        if last.has_aborted {
            head.aborted = Rc::new(txn_index::load(&self.options.dir, last.base_offset).await?);
        }
        if last.size == 0 {
            return Ok((head, Vec::new()));
        }
        let segment = OpenSegment::open(&self.options.dir, last.base_offset).await?;
        let front = segment.read(0, HEADER_LEN as u64).await?;
        let first = BatchHeader::parse(&front).ok().map(|header| header.max_timestamp);
        head.first_timestamp = first.filter(|at| *at >= 0);
        let tail = segment
            .read(last.size - last.size % ALIGN as u64, last.size % ALIGN as u64)
            .await?;
        Ok((head, tail))
    }

    fn has_txn_index(&self, base_offset: i64) -> bool {
        self.txn_indexes.contains(&base_offset)
    }

    fn index_interval(&self) -> u64 {
        u64::try_from(self.options.config.index_interval_bytes).unwrap_or(0)
    }
}

impl Good {
    fn into_sealed(self, dir: &Path) -> Sealed {
        Sealed {
            handle: Handle::new(dir, self.base_offset),
            size: self.size,
            max_timestamp: self.indexes.max_timestamp(),
            has_aborted: self.has_aborted,
            unsealed: None,
            swapping: false,
        }
    }
}

/// Shows the batches of a trusted segment from `from` on, and some before.
async fn show(dir: &Path, good: &Good, from: i64, visit: Visit<'_>) -> Result<(), StorageError> {
    let mut segment = OpenSegment::open(dir, good.base_offset).await?;
    segment.len = good.size;
    let start = ScanFrom {
        position: good.indexes.position(from),
        next_offset: good.base_offset,
        epoch: -1,
        check_crc: false,
    };
    segment.scan().run(start, visit).await?;
    Ok(())
}

fn place(seen: &Seen<'_>) -> BatchPlace {
    let header = seen.header;
    BatchPlace {
        position: seen.position,
        len: header.total_len(),
        last_offset: header.last_offset(),
        max_timestamp: header.max_timestamp,
    }
}

impl Checked {
    /// Whether the log ends here, though there is a segment that begins at `next_base`.
    fn is_cut_before(&self, next_base: Option<i64>) -> bool {
        // Compaction leaves gaps between complete segments.
        let has_gap = next_base.is_some_and(|next_base| self.scanned.next_offset < next_base);
        matches!(self.scanned.stop, Stop::Bad(_)) || (has_gap && !self.is_complete)
    }
}

/// A segment's file while recovery looks at it.
struct OpenSegment {
    handle: Rc<Handle>,
    file: File,
    path: std::path::PathBuf,
    len: u64,
}

impl OpenSegment {
    async fn open(dir: &Path, base_offset: i64) -> Result<OpenSegment, StorageError> {
        let handle = Handle::new(dir, base_offset);
        let path = handle.path();
        let opened = File::open(&path, Open::ReadWrite).await;
        let file = opened.map_err(|source| StorageError::io("open", &path, source))?;
        let len = file
            .len()
            .await
            .map_err(|source| StorageError::io("stat", &path, source))?;
        Ok(OpenSegment {
            handle,
            file,
            path,
            len,
        })
    }

    /// The file was cut to its batches: it has index files, or a length that preallocation does not give. Whoever fills it
    /// again takes both back first.
    async fn is_sealed(&self) -> bool {
        let is_exact = !self.len.is_multiple_of(ALIGN as u64);
        is_exact
            || load_indexes(&self.handle.dir, self.handle.base_offset, self.len)
                .await
                .is_some()
    }

    /// Waits for direct writes that a killed process left in flight: they must not land on what is appended after the scan.
    /// Allocating space that the file has already changes nothing, but ext4 and XFS first let such writes finish.
    async fn outwait_the_dead(&self) -> Result<(), StorageError> {
        if self.len == 0 {
            return Ok(());
        }
        match self.file.preallocate(self.len).await {
            // Only a file with holes asks for space here; the wait came first.
            Err(problem) if problem.kind() != std::io::ErrorKind::StorageFull => {
                Err(StorageError::io("wait for writes to", &self.path, problem))
            }
            _ => Ok(()),
        }
    }

    fn scan(&self) -> Scan<'_> {
        Scan {
            file: &self.file,
            path: &self.path,
            len: self.len,
        }
    }

    async fn read(&self, position: u64, len: u64) -> Result<Vec<u8>, StorageError> {
        let read = self.file.read_at(position, len as usize).await;
        Ok(read
            .map_err(|source| StorageError::io("read", &self.path, source))?
            .to_vec())
    }

    /// Cuts the file to `size`, syncs it and writes its index files.
    async fn finish(&self, size: u64, indexes: &Indexes) -> Result<(), StorageError> {
        if size != self.len {
            let cut = self.file.truncate(size).await;
            cut.map_err(|source| StorageError::io("truncate", &self.path, source))?;
        }
        let synced = self.file.sync().await;
        synced.map_err(|source| StorageError::io("sync", &self.path, source))?;
        if size == 0 {
            return remove_indexes(&self.handle).await;
        }
        write_indexes(&self.handle.dir, self.handle.base_offset, indexes).await
    }
}
