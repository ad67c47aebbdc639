//! The engine of a single node: a quorum of one, which needs no set-up and opens no port. It keeps a log of commits and,
//! in place of its older part, a snapshot; the bytes are drawn in FORMAT.md.
//!
//! Invariants: a commit is answered after fdatasync; one commit is one frame, so it is there or not; only the last frame
//! of the log can be torn, since there is one commit in flight. A log is removed only after the snapshot that
//! holds its commits is durable.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::frame::{self, Frame, Kind};
use super::{CommitError, Delta, Engine, Event, Remote, StartError};
use crate::metadata::image::ImageEpoch;
use crate::metadata::record::Record;
use crate::rt::blocking::{self, AppendFile};

/// When the log is long enough to be replaced by a snapshot: either limit.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotPolicy {
    pub frames_max: u64,
    pub bytes_max: u64,
}

impl Default for SnapshotPolicy {
    fn default() -> SnapshotPolicy {
        SnapshotPolicy {
            frames_max: 10_000,
            bytes_max: 16 << 20,
        }
    }
}

pub struct Embedded {
    dir: PathBuf,
    policy: SnapshotPolicy,
    /// The number of the last commit.
    last: u64,
    log: Option<Log>,
    deltas: VecDeque<Delta>,
}

/// The log that is appended to.
struct Log {
    file: AppendFile,
    /// Its end: everything before it is whole and synced.
    len: u64,
    /// Frames and bytes that the next snapshot will replace.
    frames: u64,
    bytes: u64,
    /// A sync failed: what is on disk is unknown.
    failed: bool,
}

/// What the names in the directory say.
#[derive(Default)]
struct Files {
    /// The commit that each snapshot ends with, ascending.
    snapshots: Vec<u64>,
    /// The commit that each log begins with, ascending.
    logs: Vec<u64>,
}

/// What the files hold.
struct Recovered {
    records: Vec<Record>,
    last: u64,
    log_base: u64,
    log_len: u64,
    frames: u64,
    torn_bytes: u64,
}

impl Embedded {
    pub fn new(dir: PathBuf, policy: SnapshotPolicy) -> Embedded {
        Embedded {
            dir,
            policy,
            last: 0,
            log: None,
            deltas: VecDeque::new(),
        }
    }

    /// Whether nothing was ever committed in `dir`: a first start made neither a log nor a snapshot there.
    pub fn is_new(dir: &Path) -> io::Result<bool> {
        match Files::list(dir) {
            Ok(files) => Ok(files.logs.is_empty() && files.snapshots.is_empty()),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Makes a directory that holds the image of that epoch, and on whose log nothing follows.
    pub fn write(dir: &Path, epoch: ImageEpoch, records: &[Record]) -> io::Result<()> {
        blocking::create_dir_all(dir)?;
        let mut new = Embedded::new(dir.to_path_buf(), SnapshotPolicy::default());
        new.last = epoch.0;
        new.snapshot(records)
    }

    /// Takes everything away: it is held elsewhere.
    pub fn remove_files(dir: &Path) -> io::Result<()> {
        let files = Files::list(dir)?;
        let snapshots = files.snapshots.iter().map(|index| snapshot_path(dir, *index));
        let logs = files.logs.iter().map(|base| log_path(dir, *base));
        // The snapshots last: without a log they are refused, and not taken for all there is.
        for path in logs.chain(snapshots) {
            blocking::remove_file(&path)?;
        }
        blocking::sync_dir(dir)
    }

    fn recover(&mut self) -> Result<Vec<Record>, StartError> {
        let fault = |cause| StartError::Io {
            path: self.dir.clone(),
            cause,
        };
        blocking::create_dir_all(&self.dir).map_err(fault)?;
        remove_unfinished(&self.dir).map_err(fault)?;
        let files = Files::list(&self.dir).map_err(fault)?;
        let recovered = read(&self.dir, &files)?;
        let log = self.open_log(&recovered).map_err(fault)?;
        self.sync_names().map_err(fault)?;
        self.remove_replaced(&files, recovered.log_base);
        self.log = Some(log);
        self.last = recovered.last;
        Ok(recovered.records)
    }

    /// Opens the log behind its last whole commit, and cuts what a killed process left after it.
    fn open_log(&self, recovered: &Recovered) -> io::Result<Log> {
        let path = log_path(&self.dir, recovered.log_base);
        let mut file = AppendFile::open(&path)?;
        if recovered.torn_bytes > 0 {
            let (at, bytes) = (recovered.log_len, recovered.torn_bytes);
            tracing::warn!(path = %path.display(), at, bytes, "cut a torn commit off the metadata log: it was never acknowledged");
            file.truncate(at)?;
        }
        // What was read may never have been synced, and it counts from now on.
        file.sync()?;
        let (len, frames) = (recovered.log_len, recovered.frames);
        Ok(Log {
            file,
            len,
            frames,
            bytes: len,
            failed: false,
        })
    }

    /// Commits are synced into the log, but a power cut takes the log with its name if that was made only now.
    fn sync_names(&self) -> io::Result<()> {
        blocking::sync_dir(&self.dir)?;
        self.dir.parent().map_or(Ok(()), blocking::sync_dir)
    }

    /// Snapshots and logs that a newer snapshot holds. They are harmless, so a failure is only noted.
    fn remove_replaced(&self, files: &Files, log_base: u64) {
        let snapshots = files
            .snapshots
            .iter()
            .rev()
            .skip(1)
            .map(|index| snapshot_path(&self.dir, *index));
        let logs = files
            .logs
            .iter()
            .filter(|base| **base != log_base)
            .map(|base| log_path(&self.dir, *base));
        for path in snapshots.chain(logs) {
            if let Err(error) = blocking::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove a replaced metadata file");
            }
        }
    }

    fn append(&mut self, frame: &[u8]) -> Result<(), CommitError> {
        let Some(log) = &mut self.log else {
            return Err(CommitError::Refused(io::Error::other(
                "the engine has not been started",
            )));
        };
        if log.failed {
            return Err(CommitError::Unknown(io::Error::other(
                "an earlier write of the log failed",
            )));
        }
        if let Err(error) = log.file.append(frame) {
            // A part of the frame may be there: it must be gone before the next one follows.
            let cut = log.file.truncate(log.len).and_then(|()| log.file.sync());
            log.failed = cut.is_err();
            return Err(if log.failed {
                CommitError::Unknown(error)
            } else {
                CommitError::Refused(error)
            });
        }
        if let Err(error) = log.file.sync() {
            // The kernel may have dropped the pages: a second sync that succeeds would prove nothing.
            log.failed = true;
            return Err(CommitError::Unknown(error));
        }
        log.len += frame.len() as u64;
        log.bytes += frame.len() as u64;
        log.frames += 1;
        Ok(())
    }
}

impl Engine for Embedded {
    async fn start(&mut self) -> Result<(Vec<Record>, ImageEpoch), StartError> {
        let records = self.recover()?;
        Ok((records, ImageEpoch(self.last)))
    }

    async fn commit(&mut self, base: ImageEpoch, records: &[Record]) -> Result<ImageEpoch, CommitError> {
        if base.0 != self.last {
            return Err(CommitError::Conflict(ImageEpoch(self.last)));
        }
        let index = self.last + 1;
        let frame = frame::encode(Kind::Commit, index, records);
        if frame.len() > frame::FRAME_BYTES_MAX {
            return Err(CommitError::TooLarge {
                bytes: frame.len(),
                max: frame::FRAME_BYTES_MAX,
            });
        }
        self.append(&frame)?;
        self.last = index;
        let epoch = ImageEpoch(index);
        self.deltas.push_back(Delta {
            epoch,
            records: records.to_vec(),
        });
        Ok(epoch)
    }

    async fn next(&mut self) -> Event {
        match self.deltas.pop_front() {
            Some(delta) => Event::Delta(delta),
            None => std::future::pending().await,
        }
    }

    async fn confirm(&self, _: ImageEpoch) -> Result<(), CommitError> {
        Ok(())
    }

    async fn resign(&mut self) {}

    fn remote(&self) -> Option<Remote> {
        None
    }

    fn wants_snapshot(&self) -> bool {
        let due = |log: &Log| log.frames >= self.policy.frames_max || log.bytes >= self.policy.bytes_max;
        self.log.as_ref().is_some_and(due)
    }

    /// First the snapshot, then the new log, then the old files go: a crash between any two leaves a whole state.
    fn snapshot(&mut self, records: &[Record]) -> io::Result<()> {
        if let Some(log) = &mut self.log {
            // Counted anew whatever comes, so that a full disk is not tried again at each commit.
            (log.frames, log.bytes) = (0, 0);
        }
        let files = Files::list(&self.dir)?;
        let frame = frame::encode(Kind::Snapshot, self.last, records);
        blocking::write_file_atomic(&snapshot_path(&self.dir, self.last), &frame)?;
        let base = self.last + 1;
        let file = AppendFile::open(&log_path(&self.dir, base))?;
        blocking::sync_dir(&self.dir)?;
        self.log = Some(Log {
            file,
            len: 0,
            frames: 0,
            bytes: 0,
            failed: false,
        });
        for index in files.snapshots.iter().filter(|index| **index < self.last) {
            blocking::remove_file(&snapshot_path(&self.dir, *index))?;
        }
        for earlier in files.logs.iter().filter(|earlier| **earlier != base) {
            blocking::remove_file(&log_path(&self.dir, *earlier))?;
        }
        Ok(())
    }
}

const SNAPSHOT_PREFIX: &str = "snapshot-";
const LOG_PREFIX: &str = "log-";

fn snapshot_path(dir: &Path, index: u64) -> PathBuf {
    dir.join(format!("{SNAPSHOT_PREFIX}{index:020}"))
}

fn log_path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{LOG_PREFIX}{base:020}"))
}

impl Files {
    fn list(dir: &Path) -> io::Result<Files> {
        let mut files = Files::default();
        for (name, _) in blocking::list_dir(dir)? {
            // Names that do not parse are not ours.
            if let Some(index) = name.strip_prefix(SNAPSHOT_PREFIX).and_then(|index| index.parse().ok()) {
                files.snapshots.push(index);
            } else if let Some(base) = name.strip_prefix(LOG_PREFIX).and_then(|base| base.parse().ok()) {
                files.logs.push(base);
            }
        }
        files.snapshots.sort_unstable();
        files.logs.sort_unstable();
        Ok(files)
    }
}

/// A snapshot that was being written when the process was killed.
fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for (name, _) in blocking::list_dir(dir)? {
        if name.starts_with(SNAPSHOT_PREFIX) && name.ends_with(".tmp") {
            blocking::remove_file(&dir.join(name))?;
        }
    }
    Ok(())
}

fn read(dir: &Path, files: &Files) -> Result<Recovered, StartError> {
    let (mut records, snapshot) = match files.snapshots.last() {
        Some(index) => (read_snapshot(dir, *index)?, *index),
        None => (Vec::new(), 0),
    };
    let incomplete = |what: &str| StartError::Incomplete {
        path: dir.to_path_buf(),
        what: what.to_owned(),
    };
    if files.logs.last().is_some_and(|base| *base > snapshot + 1) {
        return Err(incomplete("a log begins after the last snapshot"));
    }
    if files.logs.is_empty() && !files.snapshots.is_empty() {
        return Err(incomplete("the log that follows the last snapshot is missing"));
    }
    // More than one where a snapshot was not finished. Then only one of them goes on behind the snapshot, and it need
    // not be the newer one; if none does, the newer one is to be used.
    let mut furthest = Recovered::nothing(snapshot);
    for base in &files.logs {
        let recovered = read_log(dir, *base, snapshot)?;
        if recovered.last >= furthest.last {
            furthest = recovered;
        }
    }
    records.append(&mut furthest.records);
    Ok(Recovered { records, ..furthest })
}

impl Recovered {
    /// A log that is still to be made.
    fn nothing(snapshot: u64) -> Recovered {
        Recovered {
            records: Vec::new(),
            last: snapshot,
            log_base: snapshot + 1,
            log_len: 0,
            frames: 0,
            torn_bytes: 0,
        }
    }
}

fn read_snapshot(dir: &Path, index: u64) -> Result<Vec<Record>, StartError> {
    let path = snapshot_path(dir, index);
    let bytes = blocking::read_file(&path).map_err(|cause| StartError::Io {
        path: path.clone(),
        cause,
    })?;
    match frame::decode(&bytes) {
        Some(frame) if frame.kind == Kind::Snapshot && frame.index == index && frame.len == bytes.len() => {
            frame.records().map_err(|cause| StartError::Record { path, cause })
        }
        _ => Err(StartError::Incomplete {
            path,
            what: "the snapshot's checksum does not hold".to_owned(),
        }),
    }
}

/// The commits of one log that the snapshot does not hold.
fn read_log(dir: &Path, base: u64, snapshot: u64) -> Result<Recovered, StartError> {
    let path = log_path(dir, base);
    let bytes = match blocking::read_file(&path) {
        Err(cause) => return Err(StartError::Io { path, cause }),
        Ok(bytes) => bytes,
    };
    let mut records = Vec::new();
    let mut expected = base;
    let mut rest = bytes.as_slice();
    while let Some(frame) = commit_at(rest, expected) {
        if frame.index > snapshot {
            let of_frame = frame.records().map_err(|cause| StartError::Record {
                path: path.clone(),
                cause,
            })?;
            records.extend(of_frame);
        }
        rest = &rest[frame.len..];
        expected += 1;
    }
    let log_len = (bytes.len() - rest.len()) as u64;
    // What follows can be a commit that was being written when the process was killed. Then nothing is behind it.
    if frame::holds_frame(rest, expected..expected + rest.len() as u64) {
        return Err(StartError::Damaged { path, at: log_len });
    }
    if expected <= snapshot {
        let what = format!("its log ends with commit {}, before that of the snapshot", expected - 1);
        return Err(StartError::Incomplete { path, what });
    }
    Ok(Recovered {
        records,
        last: expected - 1,
        log_base: base,
        log_len,
        frames: expected - base,
        torn_bytes: rest.len() as u64,
    })
}

/// The frame at the start of `bytes`, if it is the commit of that number.
fn commit_at(bytes: &[u8], index: u64) -> Option<Frame<'_>> {
    frame::decode(bytes).filter(|frame| frame.kind == Kind::Commit && frame.index == index)
}

#[cfg(test)]
mod tests;
