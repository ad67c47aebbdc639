//! The quorum's log on this node's disk: entries behind a base, and the vote. Drawn in FORMAT.md.
//!
//! Invariants: what a call has answered is on disk; entries lie without holes behind the base, on disk as in memory; a log
//! that begins later (`purge`) takes the place of the older one at once, by a rename.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};

use super::super::StartError;
use super::super::frame::{self, Frame, Kind};
use super::codec::{self, Reader};
use super::types::{Commit, Entry, LogId, Payload, Types, Vote};
use crate::rt::blocking::{self, AppendFile};
#[cfg(test)]
use crate::rt::sim::{Rule, is_off};

const LOG: &str = "quorum-log";
const VOTE: &str = "quorum-vote";
/// Of the entries that one message carries; a larger one goes alone.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;

/// Clones are the same log: the consensus reads it from several tasks.
#[derive(Clone)]
pub struct LogStore(Arc<Mutex<Log>>);

struct Log {
    dir: PathBuf,
    file: AppendFile,
    /// The last entry that is not here any more.
    base: Option<LogId>,
    /// Bytes of the frame that says so.
    base_len: u64,
    entries: VecDeque<Held>,
    vote: Option<Vote>,
}

struct Held {
    entry: Entry,
    /// Where it ends in the file.
    end: u64,
}

impl LogStore {
    /// Whether there is a log in `dir`: this node was part of a quorum.
    pub fn exists(dir: &Path) -> io::Result<bool> {
        match blocking::list_dir(dir) {
            Ok(names) => Ok(names.iter().any(|(name, _)| name == LOG)),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads it, or makes an empty one. An entry that was being written when the process ended is cut off.
    pub fn open(dir: &Path) -> Result<LogStore, StartError> {
        let path = dir.join(LOG);
        let fault = |cause| StartError::Io {
            path: path.clone(),
            cause,
        };
        blocking::create_dir_all(dir).map_err(fault)?;
        if !LogStore::exists(dir).map_err(fault)? {
            blocking::write_file_atomic(&path, &base_frame(None)).map_err(fault)?;
            dir.parent().map_or(Ok(()), blocking::sync_dir).map_err(fault)?;
        }
        let bytes = blocking::read_file(&path).map_err(fault)?;
        let (base, base_len, entries) = read(&path, &bytes)?;
        let mut file = AppendFile::open(&path).map_err(fault)?;
        let end = entries.back().map_or(base_len, |held| held.end);
        if end < bytes.len() as u64 {
            let torn = bytes.len() as u64 - end;
            tracing::warn!(path = %path.display(), at = end, bytes = torn, "cut a torn entry off the quorum's log: it was never acknowledged");
            file.truncate(end).map_err(fault)?;
        }
        // What was read may never have been synced, and it counts from now on.
        file.sync().map_err(fault)?;
        Ok(LogStore(Arc::new(Mutex::new(Log {
            dir: dir.to_path_buf(),
            file,
            base,
            base_len,
            entries,
            vote: read_vote(dir)?,
        }))))
    }

    /// The last entry, be it that it is not here any more.
    pub fn last(&self) -> Option<LogId> {
        self.lock().last()
    }

    /// The commits that follow `applied`; `None`: some of them are not here.
    pub fn commits_behind(&self, applied: Option<LogId>) -> Option<Vec<Commit>> {
        let log = self.lock();
        if log.base > applied {
            return None;
        }
        let start = applied.map_or(0, |applied| applied.index() + 1);
        let entries = log.read(start, u64::MAX, u64::MAX).into_iter();
        let commits = entries.filter_map(|entry| match entry.payload {
            Payload::Normal(commit) => Some(commit),
            Payload::Blank | Payload::Membership(_) => None,
        });
        Some(commits.collect())
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn last(&self) -> Option<LogId> {
        self.entries.back().map(|held| held.entry.log_id).or(self.base)
    }

    fn end(&self) -> u64 {
        self.entries.back().map_or(self.base_len, |held| held.end)
    }

    /// Where the entry of that index stands, or would.
    fn position(&self, index: u64) -> usize {
        let first = self.entries.front().map_or(0, |held| held.entry.log_id.index());
        let at = usize::try_from(index.saturating_sub(first)).unwrap_or(usize::MAX);
        at.min(self.entries.len())
    }

    fn append(&mut self, entries: impl IntoIterator<Item = Entry>) -> io::Result<()> {
        let mut frames = Vec::new();
        let begin = self.end();
        for (entry, before) in entries.into_iter().zip(0..) {
            let index = entry.log_id.index();
            if self.last().is_some_and(|last| last.index() + 1 != index) {
                return Err(io::Error::other(format!(
                    "entry {index} would leave a hole in the quorum's log"
                )));
            }
            frames.extend(entry_frame(&entry, before));
            let end = begin + frames.len() as u64;
            self.entries.push_back(Held { entry, end });
        }
        self.file.append(&frames)?;
        #[cfg(test)]
        if is_off(Rule::SyncedLog) {
            return Ok(());
        }
        self.file.sync()
    }

    fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let keep = last.map_or(0, |last| self.position(last.index() + 1));
        self.entries.truncate(keep);
        self.file.truncate(self.end())?;
        self.file.sync()
    }

    /// The entries that stay are few: a snapshot has just taken the place of the others.
    fn purge(&mut self, last: LogId) -> io::Result<()> {
        let gone = self.position(last.index() + 1);
        self.entries.drain(..gone);
        self.base = Some(last);
        let mut bytes = base_frame(self.base.as_ref());
        self.base_len = bytes.len() as u64;
        for held in &mut self.entries {
            bytes.extend(entry_frame(&held.entry, 0));
            held.end = bytes.len() as u64;
        }
        let path = self.dir.join(LOG);
        blocking::write_file_atomic(&path, &bytes)?;
        self.file = AppendFile::open(&path)?;
        Ok(())
    }

    /// The entries from `start` on, before `limit`, with at most so many bytes; at least one, if there is one.
    fn read(&self, start: u64, limit: u64, bytes_max: u64) -> Vec<Entry> {
        let from = self.position(start);
        let begin = match from.checked_sub(1).and_then(|before| self.entries.get(before)) {
            Some(before) => before.end,
            None => self.base_len,
        };
        let wanted = |(at, held): &(usize, &Held)| {
            let index = held.entry.log_id.index();
            (start..limit).contains(&index) && (*at == 0 || held.end - begin <= bytes_max)
        };
        let entries = self.entries.range(from..).enumerate().take_while(wanted);
        entries.map(|(_, held)| held.entry.clone()).collect()
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, io::Error> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let limit = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(limit) => *limit,
            Bound::Unbounded => u64::MAX,
        };
        Ok(self.lock().read(start, limit, u64::MAX))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        Ok(self.lock().read(start, end, MESSAGE_BYTES_MAX))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.lock().vote)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let log = self.lock();
        Ok(LogState {
            last_purged_log_id: log.base,
            last_log_id: log.last(),
        })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let mut log = self.lock();
        #[cfg(test)]
        if is_off(Rule::KeptVote) {
            log.vote = Some(*vote);
            return Ok(());
        }
        let bytes = frame::seal(Kind::Vote, 0, |out| codec::put_vote(out, vote));
        blocking::write_file_atomic(&log.dir.join(VOTE), &bytes)?;
        log.vote = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let written = self.lock().append(entries);
        // An error ends the consensus here, and with it the process: what is on disk is unknown then.
        let told = written
            .as_ref()
            .map_or_else(|error| Err(io::Error::other(error.to_string())), |()| Ok(()));
        callback.io_completed(told);
        written
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        self.lock().truncate_after(last_log_id)
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        self.lock().purge(log_id)
    }
}

fn base_frame(base: Option<&LogId>) -> Vec<u8> {
    frame::seal(Kind::Base, 0, |out| codec::put_log_id(out, base))
}

/// `before`: how many entries stand before it in the same write.
fn entry_frame(entry: &Entry, before: u32) -> Vec<u8> {
    frame::seal(Kind::Entry, entry.log_id.index(), |out| {
        codec::put_u32(out, before);
        codec::put_entry(out, entry);
    })
}

type Contents = (Option<LogId>, u64, VecDeque<Held>);

fn read(path: &Path, bytes: &[u8]) -> Result<Contents, StartError> {
    let damaged = |at: usize| StartError::Damaged {
        path: path.to_path_buf(),
        at: at as u64,
    };
    let first = frame::decode(bytes).filter(|frame| frame.kind == Kind::Base);
    let first = first.ok_or_else(|| damaged(0))?;
    let base = Reader::copy(first.payload).log_id().map_err(|_| damaged(0))?;
    let mut at = first.len;
    let mut entries: VecDeque<Held> = VecDeque::new();
    let mut expected = base.map(|base| base.index() + 1);
    while let Some(frame) = entry_at(&bytes[at..], expected) {
        let (_, entry) = parse(&frame).map_err(|_| damaged(at))?;
        expected = Some(frame.index + 1);
        at += frame.len;
        let end = at as u64;
        entries.push_back(Held { entry, end });
    }
    // What follows can be a write that was under way when the process was killed. Then nothing but itself is behind it.
    let next = expected.unwrap_or(0);
    let rest = &bytes[at..];
    let is_later = |frame: Frame<'_>| parse(&frame).is_ok_and(|(before, _)| frame.index - u64::from(before) > next);
    if frame::frames_in(rest, next + 1..next + rest.len() as u64).any(is_later) {
        return Err(damaged(at));
    }
    Ok((base, first.len as u64, entries))
}

fn parse(frame: &Frame<'_>) -> io::Result<(u32, Entry)> {
    let mut payload = Reader::copy(frame.payload);
    let before = payload.u32()?;
    if u64::from(before) > frame.index {
        return Err(codec::broken());
    }
    Ok((before, payload.entry(frame.index)?))
}

/// The entry at the start of `bytes`, if it is that of the index. The first entry of all may have any.
fn entry_at(bytes: &[u8], index: Option<u64>) -> Option<Frame<'_>> {
    let is_next = |frame: &Frame<'_>| frame.kind == Kind::Entry && index.is_none_or(|index| frame.index == index);
    frame::decode(bytes).filter(is_next)
}

fn read_vote(dir: &Path) -> Result<Option<Vote>, StartError> {
    let path = dir.join(VOTE);
    let Some(mut payload) = read_sealed(&path, Kind::Vote)? else {
        return Ok(None);
    };
    payload.vote().map(Some).map_err(|cause| StartError::Io { path, cause })
}

/// The payload of a file that is one frame; `None` where there is no such file.
pub fn read_sealed(path: &Path, kind: Kind) -> Result<Option<Reader>, StartError> {
    let path_buf = || path.to_path_buf();
    match blocking::read_file(path) {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(StartError::Io {
            path: path_buf(),
            cause,
        }),
        Ok(bytes) => match frame::decode(&bytes) {
            Some(frame) if frame.kind == kind && frame.len == bytes.len() => Ok(Some(Reader::copy(frame.payload))),
            _ => Err(StartError::Damaged {
                path: path_buf(),
                at: 0,
            }),
        },
    }
}
