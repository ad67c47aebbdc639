//! The journal: the small appends of many logs in one write.
//!
//! One small write per log and turn is what a disk and a core run out of. So a shard has a file per log directory, of
//! fixed size and written before (thus quick, and lasting where the device's cache is), and the small appends of all its
//! logs there go out as one frame. They count as written when the frame is. The bytes stay in each log's staging buffer,
//! from where they are read, and go to the segment behind it in larger pieces: [`Log::journal_bytes`] has the rule.
//! Space is used again, in a ring, once every log of a frame has placed its bytes.
//!
//! After a crash the next start reads every journal that it finds (`leftover.rs`), and each log takes what lies beyond its
//! end when it is opened. A clean stop leaves none.
//!
//! Not here: which log goes this way in which turn (the shard), and what of a log is placed (the log).
//!
//! [`Log::journal_bytes`]: super::Log::journal_bytes

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::{LogDir, StorageError};
use crate::model::{PartitionId, ShardId};
use crate::rt::{ALIGN, Buf, Dir, File, Frozen, Open, Sync, random_u64};

mod frame;
mod leftover;

pub use frame::FrameBuilder;
pub(super) use frame::{ENTRY_HEADER_BYTES, Entry};
pub(super) use leftover::Leftover;

/// How the names of the files begin; then the shard, and the journal's number in 16 hex digits.
const PREFIX: &str = ".corelane-journal-";
/// The most bytes of one write. Larger ones gain nothing, and what comes meanwhile waits.
const FRAME_BYTES_MAX: usize = 1 << 20;
/// A frame takes at most this share of the ring.
const FRAME_SHARE_MAX: u64 = 8;
/// Space is zeroed in pieces of this size.
const ZEROS_BYTES: usize = 1 << 20;

/// Held by every log that a frame's space is still needed for.
#[derive(Clone, Default)]
pub struct Hold(Rc<()>);

impl Hold {
    fn is_free(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }
}

/// One shard's journal in one log directory.
pub struct Journal {
    dir: Arc<LogDir>,
    path: PathBuf,
    number: u64,
    file: File,
    ring: Ring,
    /// Of the next frame.
    sequence: u64,
    is_writing: bool,
}

/// The journal's file, to be made.
pub struct MakeJournal {
    pub dir: Arc<LogDir>,
    pub shard: ShardId,
    pub bytes: u64,
}

impl MakeJournal {
    /// Makes the file, writes it once and sees to its name, so that no later write needs more than its own blocks.
    pub async fn run(self) -> Result<Journal, StorageError> {
        let number = random_u64();
        let path = self.dir.path.join(format!("{PREFIX}{}-{number:016x}", self.shard.0));
        let bytes = self.bytes - self.bytes % ALIGN as u64;
        let made = make(&path, bytes).await;
        if let Err(error) = &made
            && error.is_disk_full()
        {
            remove(std::slice::from_ref(&path)).await?;
        }
        Ok(Journal {
            dir: self.dir,
            number,
            file: made?,
            path,
            ring: Ring::new(bytes),
            sequence: 1,
            is_writing: false,
        })
    }
}

async fn make(path: &Path, bytes: u64) -> Result<File, StorageError> {
    let failed = |what| move |source| StorageError::io(what, path, source);
    let file = File::open(path, Open::CreateNew).await.map_err(failed("create"))?;
    file.preallocate(bytes).await.map_err(failed("preallocate"))?;
    let zeros = Buf::zeroed(ZEROS_BYTES).freeze();
    let mut at = 0;
    while at < bytes {
        let len = (bytes - at).min(ZEROS_BYTES as u64);
        let written = file.write_at(zeros.clone(), 0..len as usize, at, Sync::No).await;
        written.map_err(failed("write"))?;
        at += len;
    }
    file.sync().await.map_err(failed("sync"))?;
    if let Some(dir) = path.parent() {
        Dir::sync(dir).await.map_err(failed("sync directory of"))?;
    }
    Ok(file)
}

/// Removes journals' files that nobody needs any more.
pub(super) async fn remove(paths: &[PathBuf]) -> Result<(), StorageError> {
    for path in paths {
        super::prepare::remove_if_there(path).await?;
    }
    if let Some(dir) = paths.first().and_then(|path| path.parent()) {
        let synced = Dir::sync(dir).await;
        synced.map_err(|source| StorageError::io("sync directory", dir, source))?;
    }
    Ok(())
}

impl Journal {
    pub fn is_writing(&self) -> bool {
        self.is_writing
    }

    /// The most bytes of entries that one frame takes.
    pub fn entry_bytes_max(&self) -> usize {
        let share = usize::try_from(self.ring.capacity / FRAME_SHARE_MAX).unwrap_or(usize::MAX);
        share.clamp(ALIGN, FRAME_BYTES_MAX) - frame::HEADER_BYTES
    }

    /// A frame for entries of so many bytes, if there is room for it; then [`Journal::write`] comes next.
    pub fn begin(&mut self, entry_bytes: usize) -> Option<FrameBuilder> {
        assert!(!self.is_writing, "one write at a time");
        let frame_bytes = (frame::HEADER_BYTES + entry_bytes).next_multiple_of(ALIGN);
        self.ring.reclaim();
        self.ring.place(frame_bytes as u64)?;
        Some(FrameBuilder::new(entry_bytes))
    }

    /// The write of a frame, with the logs that have entries in it.
    pub fn write(&mut self, frame: FrameBuilder, owners: Vec<PartitionId>) -> JournalWrite {
        let sync = frame.sync();
        let buf = frame.finish(self.number, self.sequence);
        self.sequence += 1;
        self.is_writing = true;
        let (position, hold) = self.ring.take(buf.as_slice().len() as u64, owners);
        JournalWrite {
            file: self.file.clone(),
            path: self.path.clone(),
            buf,
            position,
            sync,
            hold,
        }
    }

    /// Err: the log directory is offline from here on. Each log of the frame is then told: [`super::Log::on_journaled`].
    pub fn on_written(&mut self, done: JournalDone) -> Result<Frame, StorageError> {
        self.is_writing = false;
        if let Err(error) = &done.result {
            self.dir.set_offline(&error.to_string());
        }
        done.result.map(|()| done.frame)
    }

    /// Where less than half of the ring is free: the logs to place first so that the oldest quarter becomes free. Each
    /// frame's are named once.
    pub fn take_crowded(&mut self) -> Vec<PartitionId> {
        self.ring.reclaim();
        self.ring.take_crowded()
    }

    /// Nothing in it is needed. False while any log has bytes that are not placed.
    pub fn is_empty(&mut self) -> bool {
        self.ring.reclaim();
        self.ring.frames.is_empty() && !self.is_writing
    }

    /// The end of a journal that is empty, as a clean stop wants it.
    pub async fn remove(self) -> Result<(), StorageError> {
        drop(self.file);
        remove(&[self.path]).await
    }
}

/// One frame on its way.
pub struct JournalWrite {
    file: File,
    path: PathBuf,
    buf: Frozen,
    position: u64,
    sync: Sync,
    hold: Hold,
}

pub struct JournalDone {
    frame: Frame,
    result: Result<(), StorageError>,
}

/// A frame that is written.
pub struct Frame {
    pub(super) sync: Sync,
    pub(super) hold: Hold,
}

impl JournalWrite {
    pub async fn run(self) -> JournalDone {
        let len = self.bytes();
        let written = self.file.write_at(self.buf, 0..len, self.position, self.sync).await;
        JournalDone {
            frame: Frame {
                sync: self.sync,
                hold: self.hold,
            },
            result: written.map_err(|source| StorageError::io("write", &self.path, source)),
        }
    }

    pub fn bytes(&self) -> usize {
        self.buf.as_slice().len()
    }
}

/// Which part of the file is needed: from the oldest frame that is held to where the next one goes.
struct Ring {
    capacity: u64,
    next: u64,
    /// Oldest first.
    frames: VecDeque<Slot>,
}

struct Slot {
    start: u64,
    hold: Hold,
    owners: Vec<PartitionId>,
}

impl Ring {
    fn new(capacity: u64) -> Ring {
        Ring {
            capacity,
            next: 0,
            frames: VecDeque::new(),
        }
    }

    fn reclaim(&mut self) {
        while self.frames.front().is_some_and(|frame| frame.hold.is_free()) {
            self.frames.pop_front();
        }
    }

    /// Where a frame of `len` bytes goes; none is split at the file's end.
    fn place(&self, len: u64) -> Option<u64> {
        let (next, end) = (self.next, self.capacity);
        match self.frames.front().map(|oldest| oldest.start) {
            None if next + len <= end => Some(next),
            None => (len <= end).then_some(0),
            Some(oldest) if next > oldest && next + len <= end => Some(next),
            Some(oldest) if next > oldest => (len <= oldest).then_some(0),
            Some(oldest) => (next + len <= oldest).then_some(next),
        }
    }

    fn take(&mut self, len: u64, owners: Vec<PartitionId>) -> (u64, Hold) {
        let start = self.place(len).expect("there is room for what was begun");
        self.next = start + len;
        let hold = Hold::default();
        self.frames.push_back(Slot {
            start,
            hold: hold.clone(),
            owners,
        });
        (start, hold)
    }

    fn used(&self) -> u64 {
        match self.frames.front().map(|oldest| oldest.start) {
            None => 0,
            Some(oldest) if self.next > oldest => self.next - oldest,
            Some(oldest) => self.capacity - oldest + self.next,
        }
    }

    fn take_crowded(&mut self) -> Vec<PartitionId> {
        let mut owners = Vec::new();
        if self.used() <= self.capacity / 2 {
            return owners;
        }
        let Some(first) = self.frames.front().map(|oldest| oldest.start) else {
            return owners;
        };
        let age = |start: u64| (start + self.capacity - first) % self.capacity;
        for frame in &mut self.frames {
            if age(frame.start) >= self.capacity / 4 {
                break;
            }
            owners.append(&mut frame.owners);
        }
        owners.sort_unstable();
        owners.dedup();
        owners
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::TopicId;

    fn owner(index: usize) -> PartitionId {
        PartitionId {
            topic: TopicId([1; 16]),
            index: index as i32,
        }
    }

    #[test] // Goal: a ring that fills up names the owners of its oldest frames, once; space comes back from the front only.
    fn a_crowded_ring_asks_for_its_oldest_frames() {
        let mut ring = Ring::new(1600);
        let mut holds: VecDeque<Hold> = (0..8).map(|at| ring.take(100, vec![owner(at)]).1).collect();
        assert!(ring.take_crowded().is_empty());
        holds.push_back(ring.take(100, vec![owner(8)]).1);
        assert_eq!(ring.take_crowded(), [0, 1, 2, 3].map(owner));
        assert!(ring.take_crowded().is_empty());
        drop(holds.remove(1));
        ring.reclaim();
        assert_eq!(ring.used(), 900);
        drop(holds.pop_front());
        ring.reclaim();
        assert_eq!(ring.used(), 700);
    }

    proptest! {
        #[test] // Goal: no frame is ever put where one lies that is still held.
        fn held_frames_are_never_written_over(steps in prop::collection::vec((1..20_u64, any::<prop::sample::Index>(), 0..3), 1..300)) {
            let mut ring = Ring::new(64);
            let mut held: Vec<(u64, u64, Hold)> = Vec::new();
            for (len, at, drops) in steps {
                ring.reclaim();
                if ring.place(len).is_some() {
                    let (start, hold) = ring.take(len, Vec::new());
                    prop_assert!(start + len <= 64);
                    for (other, end, _) in &held {
                        prop_assert!(start + len <= *other || start >= *end, "{start}+{len} in {other}..{end}");
                    }
                    held.push((start, start + len, hold));
                } else {
                    prop_assert!(!held.is_empty(), "an empty ring has room");
                }
                for _ in 0..drops {
                    if !held.is_empty() {
                        held.remove(at.index(held.len()));
                    }
                }
            }
        }
    }
}
