//! The log directories: lock, meta.properties, free space, offline state. Used by the control thread and at start.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::Checkpoint;
use super::checkpoint::{NO_ENTRIES, SELDOM};
use super::journal::{Entry, Leftover};
use super::layout::{CLEAN_SHUTDOWN, DELETE_DIR, LOCK, META_PROPERTIES};
use crate::model::{DirId, PartitionId};
use crate::rt::blocking::{self, LockFile};
use crate::rt::{self, Instant, random_u64};

/// A directory that was full takes batches again when this many sixteenths of the reserve are free: a little more than
/// where it became full, so that it does not go to and fro.
const FREE_AGAIN_SIXTEENTHS: u64 = 18;
/// The same where there is no reserve, and a write has found the disk full: what a log asks for at least must fit again.
const FREE_AGAIN_BYTES_MIN: u64 = 1 << 20;

/// A refusal counts for so long where free bytes do not say why: inodes or a quota may be used up.
const REFUSAL_HOLDS: Duration = Duration::from_secs(15);

/// One log directory, shared by all shards: its identity, two flags, and what is left of journals.
#[derive(Debug)]
pub struct LogDir {
    pub path: PathBuf,
    pub id: DirId,
    is_full: AtomicBool,
    refusal: Mutex<Option<Refusal>>,
    /// As last looked at.
    free_bytes: AtomicU64,
    total_bytes: AtomicU64,
    is_offline: AtomicBool,
    leftover: Mutex<Leftover>,
}

/// The file system had no space for something.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    holds_until: Instant,
    /// The least that is known to have been free since just before.
    free_bytes: u64,
}

impl LogDir {
    pub fn new(path: PathBuf, id: DirId) -> LogDir {
        LogDir {
            path,
            id,
            is_full: AtomicBool::new(false),
            refusal: Mutex::default(),
            free_bytes: AtomicU64::new(0),
            total_bytes: AtomicU64::new(0),
            is_offline: AtomicBool::new(false),
            leftover: Mutex::default(),
        }
    }

    pub fn is_offline(&self) -> bool {
        self.is_offline.load(Ordering::Relaxed)
    }

    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Free and all bytes of its file system, as last looked at: a disk that hangs is not asked.
    pub fn space(&self) -> (u64, u64) {
        let load = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        (load(&self.free_bytes), load(&self.total_bytes))
    }

    fn set_space(&self, free: u64, total: u64) {
        self.free_bytes.store(free, Ordering::Relaxed);
        self.total_bytes.store(total, Ordering::Relaxed);
    }

    /// For good: what the disk holds after a failed write is not known before it is read again, at a restart.
    pub fn set_offline(&self, why: &str) {
        if !self.is_offline.swap(true, Ordering::Relaxed) {
            tracing::error!(dir = %self.path.display(), why, "log directory is offline");
        }
    }

    /// Looks for journals that an earlier process left. What they hold cannot be done without.
    fn read_journals(&self) {
        match Leftover::read(&self.path) {
            Ok(leftover) => *self.leftover() = leftover,
            Err(error) => self.set_offline(&format!("read the journals: {error}")),
        }
    }

    /// Forgets what journals hold of logs that are no more; without others, the journals go.
    pub fn retain_journaled(&self, is_known: impl Fn(PartitionId) -> bool) {
        let files = self.leftover().retain(is_known);
        for file in files {
            if let Err(error) = blocking::remove_file(&file) {
                self.set_offline(&format!("remove {}: {error}", file.display()));
            }
        }
    }

    /// What journals of an earlier process hold of a log.
    pub(super) fn journaled(&self, partition: PartitionId) -> Vec<Entry> {
        self.leftover().of(partition)
    }

    /// The log has taken what it needs. Gives the files that nobody needs any more.
    pub(super) fn settle_journaled(&self, partition: PartitionId) -> Vec<PathBuf> {
        self.leftover().settle(partition)
    }

    fn leftover(&self) -> MutexGuard<'_, Leftover> {
        self.leftover.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file system had no space for something: the directory is full, whatever it says is free.
    pub fn note_refusal(&self) {
        *self.refusal() = Some(Refusal {
            holds_until: rt::now().after(REFUSAL_HOLDS),
            free_bytes: self.space().0,
        });
        self.set_full(true);
    }

    /// Whether a refusal still counts: until some space was freed, or for a while.
    fn is_refused(&self, (free, total): (u64, u64), now: Instant) -> bool {
        let mut refusal = self.refusal();
        *refusal = refusal.filter(|refusal| now < refusal.holds_until);
        refusal.as_mut().is_some_and(|refusal| {
            refusal.free_bytes = refusal.free_bytes.min(free);
            free < refusal.free_bytes + free_again_min(total)
        })
    }

    fn refusal(&self) -> MutexGuard<'_, Option<Refusal>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_full(&self, full: bool) {
        if self.is_full.swap(full, Ordering::Relaxed) != full {
            if full {
                tracing::warn!(dir = %self.path.display(), "log directory is full: batches are refused until there is space");
            } else {
                tracing::info!(dir = %self.path.display(), "log directory has space again");
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LogDirError {
    #[error("{0}")]
    Refused(String),
}

/// All of them, opened and locked at start. Refuses with cause and cure: locked by another process (with its pid), of another broker or cluster, not writable.
#[derive(Debug)]
pub struct LogDirs {
    pub dirs: Vec<Arc<LogDir>>,
    _locks: Vec<LockFile>,
}

impl LogDirs {
    /// `cluster_id`: what meta.properties of the first directory says, or new. Creates what is missing. Makes the 4 KiB probe file.
    /// Reads the journals that a crash left: no log is ever opened without them.
    pub fn open(paths: &[PathBuf], broker_id: i32) -> Result<(LogDirs, String /* cluster id */), LogDirError> {
        LogDirs::open_in_cluster(paths, broker_id, None)
    }

    /// The cluster that meta.properties names, before anything is opened; `None`: no directory says.
    pub fn cluster_id(paths: &[PathBuf], broker_id: i32) -> Result<Option<String>, LogDirError> {
        load_metas(paths, broker_id).map(|(_, known)| known)
    }

    /// The same; where no directory says so, they belong to `cluster_id` from now on.
    pub fn open_in_cluster(
        paths: &[PathBuf],
        broker_id: i32,
        cluster_id: Option<String>,
    ) -> Result<(LogDirs, String), LogDirError> {
        // Once before anything is touched: what belongs to another broker stays as it is.
        load_metas(paths, broker_id)?;
        let mut locks = Vec::new();
        for path in paths {
            make_dir(path)?;
            locks.push(lock(path)?);
        }
        let (metas, known) = load_metas(paths, broker_id)?;
        let cluster_id = known.or(cluster_id);
        let cluster_id = cluster_id.unwrap_or_else(|| URL_SAFE_NO_PAD.encode(random_id()));
        let mut dirs: Vec<Arc<LogDir>> = Vec::new();
        for (path, meta) in paths.iter().zip(metas) {
            let id = settle_meta(path, meta.unwrap_or_default(), broker_id, &cluster_id)?;
            if let Some(twin) = dirs.iter().find(|dir| dir.id == id) {
                return Err(LogDirError::Refused(format!(
                    "log.dirs: {} and {} have the same directory.id {id}: one is a copy of the other; remove the copy from log.dirs",
                    twin.path.display(),
                    path.display()
                )));
            }
            finish_deletions(path).map_err(|error| unusable(path, "is not writable", &error))?;
            let dir = LogDir::new(path.clone(), id);
            dir.read_journals();
            dirs.push(Arc::new(dir));
        }
        Ok((LogDirs { dirs, _locks: locks }, cluster_id))
    }

    /// The checkpoints, and whether there is the clean-shutdown marker.
    pub fn read_checkpoint(&self, dir: &LogDir) -> Checkpoint {
        let text = |name| match blocking::read_file(&dir.path.join(name)) {
            Ok(content) => String::from_utf8_lossy(&content).into_owned(),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                tracing::warn!(dir = %dir.path.display(), file = name, %error, "checkpoint cannot be read: logs are checked whole");
                String::new()
            }
        };
        let (mut checkpoint, broken) = Checkpoint::from_texts(text);
        if let Some(file) = broken {
            tracing::warn!(dir = %dir.path.display(), file, "checkpoint is broken and counts as empty");
        }
        if let Ok(marker) = blocking::read_file(&dir.path.join(CLEAN_SHUTDOWN)) {
            (checkpoint.clean, checkpoint.clean_epoch) = (true, clean_epoch(&marker));
        }
        checkpoint
    }

    /// Takes the marker away: before anything is changed there.
    pub fn mark_in_use(&self, dir: &LogDir) {
        match blocking::remove_file(&dir.path.join(CLEAN_SHUTDOWN)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                dir.set_offline(&format!("remove {CLEAN_SHUTDOWN}: {error}"));
            }
            _ => {}
        }
    }

    pub fn write_checkpoint(&self, dir: &Path, checkpoint: &Checkpoint) -> io::Result<()> {
        for (name, text) in checkpoint.texts() {
            let path = dir.join(name);
            match SELDOM.contains(&name) && text == NO_ENTRIES {
                true => remove_if_there(&path)?,
                false => blocking::write_file_atomic(&path, text.as_bytes())?,
            }
        }
        if checkpoint.clean {
            let epoch = checkpoint
                .clean_epoch
                .map(|epoch| json!({ "version": 0, "brokerEpoch": epoch }).to_string());
            blocking::write_file_atomic(&dir.join(CLEAN_SHUTDOWN), epoch.unwrap_or_default().as_bytes())?;
        }
        Ok(())
    }

    /// Updates every directory's `full` flag against the reserve (log.dir.min.free.bytes), with hysteresis.
    pub fn check_space(&self, min_free: u64) {
        for dir in self.dirs.iter().filter(|dir| !dir.is_offline()) {
            match blocking::space(&dir.path) {
                Ok((free, total)) => {
                    dir.set_space(free, total);
                    let is_refused = dir.is_refused((free, total), rt::now());
                    dir.set_full(is_refused || is_full_at((free, total), min_free, dir.is_full()));
                }
                Err(error) => dir.set_offline(&format!("free space: {error}")),
            }
        }
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match blocking::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What the marker of a clean end says, as Kafka writes it; before Kafka 3.7, and for a broker without a cluster, nothing.
fn clean_epoch(marker: &[u8]) -> Option<i64> {
    let marker: serde_json::Value = serde_json::from_slice(marker).ok()?;
    marker.get("brokerEpoch")?.as_i64()
}

/// Of a small file system less is asked.
fn free_again_min(total: u64) -> u64 {
    FREE_AGAIN_BYTES_MIN.min(total / 16)
}

fn is_full_at((free, total): (u64, u64), min_free: u64, was_full: bool) -> bool {
    let bound = if was_full {
        (min_free / 16 * FREE_AGAIN_SIXTEENTHS).max(free_again_min(total))
    } else {
        min_free
    };
    free < bound
}

fn unusable(path: &Path, problem: &str, error: &io::Error) -> LogDirError {
    LogDirError::Refused(format!(
        "log directory {} {problem}: {error}; make it writable for this user, or take it out of log.dirs",
        path.display()
    ))
}

pub(super) fn make_dir(path: &Path) -> Result<(), LogDirError> {
    blocking::create_dir_all(path).map_err(|error| unusable(path, "cannot be created", &error))
}

fn lock(path: &Path) -> Result<LockFile, LogDirError> {
    let file = path.join(LOCK);
    match LockFile::acquire(file.clone()) {
        Ok(lock) => Ok(lock),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let owner = LockFile::owner(&file).map_or("another process".to_owned(), |pid| format!("process {pid}"));
            Err(LogDirError::Refused(format!(
                "log directory {} is in use by {owner}; stop it, or give this broker a log.dirs of its own",
                path.display()
            )))
        }
        Err(error) => Err(unusable(path, "cannot be locked", &error)),
    }
}

/// What each directory says that it is, and the cluster that they belong to; refuses those of another broker or cluster.
fn load_metas(paths: &[PathBuf], broker_id: i32) -> Result<(Vec<Option<Meta>>, Option<String>), LogDirError> {
    let mut metas = Vec::new();
    let mut cluster_id: Option<String> = None;
    for path in paths {
        let meta = Meta::load(path)?;
        if let Some(meta) = &meta {
            check_meta(path, meta, broker_id, cluster_id.as_deref())?;
            cluster_id = cluster_id.or_else(|| meta.cluster_id.clone());
        }
        metas.push(meta);
    }
    Ok((metas, cluster_id))
}

fn check_meta(path: &Path, meta: &Meta, broker_id: i32, cluster_id: Option<&str>) -> Result<(), LogDirError> {
    if let Some(other) = meta.broker_id.filter(|id| *id != broker_id) {
        return Err(LogDirError::Refused(format!(
            "log directory {} belongs to broker {other}, and this is broker {broker_id}; correct node.id (broker.id), or give this broker a log.dirs of its own",
            path.display()
        )));
    }
    let theirs = meta.cluster_id.as_deref();
    if let (Some(first), Some(other)) = (cluster_id, theirs.filter(|id| Some(*id) != cluster_id)) {
        return Err(LogDirError::Refused(format!(
            "log directory {} belongs to cluster {other}, and the log directories before it to cluster {first}; take one of them out of log.dirs",
            path.display()
        )));
    }
    Ok(())
}

/// The directory's id, and the identity completed on the disk.
pub(super) fn settle_meta(path: &Path, mut meta: Meta, broker_id: i32, cluster_id: &str) -> Result<DirId, LogDirError> {
    let is_complete = meta.broker_id.is_some() && meta.cluster_id.is_some() && meta.directory_id.is_some();
    let id = *meta.directory_id.get_or_insert_with(|| DirId(random_id()));
    if !is_complete {
        meta.broker_id = Some(broker_id);
        meta.cluster_id = Some(cluster_id.to_owned());
        let written = blocking::write_file_atomic(&path.join(META_PROPERTIES), meta.to_text().as_bytes());
        written.map_err(|error| unusable(path, "is not writable", &error))?;
    }
    Ok(id)
}

/// Removes the rest of deletions that a stop interrupted.
fn finish_deletions(path: &Path) -> io::Result<()> {
    for (name, is_dir) in blocking::list_dir(path)? {
        if is_dir && name.ends_with(DELETE_DIR) {
            blocking::remove_dir_all(&path.join(name))?;
        }
    }
    Ok(())
}

fn random_id() -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random_u64().to_be_bytes());
    id[8..].copy_from_slice(&random_u64().to_be_bytes());
    id
}

/// What `meta.properties` says; lines that are not ours are kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) broker_id: Option<i32>,
    pub(super) cluster_id: Option<String>,
    pub(super) directory_id: Option<DirId>,
    others: BTreeMap<String, String>,
}

impl Meta {
    /// Of a new directory, which gets the rest of its identity afterwards.
    pub(super) fn begin(path: &Path, id: DirId) -> Result<(), LogDirError> {
        let meta = Meta {
            directory_id: Some(id),
            ..Meta::default()
        };
        make_dir(path)?;
        let written = blocking::write_file_atomic(&path.join(META_PROPERTIES), meta.to_text().as_bytes());
        written.map_err(|error| unusable(path, "is not writable", &error))
    }

    /// `None` where there is no file yet.
    pub(super) fn load(path: &Path) -> Result<Option<Meta>, LogDirError> {
        let file = path.join(META_PROPERTIES);
        match blocking::read_file(&file) {
            Ok(content) => match Meta::parse(&String::from_utf8_lossy(&content)) {
                Some(meta) => Ok(Some(meta)),
                None => Err(LogDirError::Refused(format!(
                    "{} cannot be understood; restore it from a backup, or, if the directory is empty, remove it",
                    file.display()
                ))),
            },
            // What stands in the way of a directory is told by who makes it.
            Err(missing) if matches!(missing.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(unusable(path, "cannot be read", &error)),
        }
    }

    fn parse(text: &str) -> Option<Meta> {
        let mut meta = Meta::default();
        for line in text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (key, value) = line.split_once('=')?;
            match (key.trim(), value.trim()) {
                ("version", "0" | "1") => {}
                ("version", _) => return None,
                ("node.id" | "broker.id", id) => meta.broker_id = Some(id.parse().ok()?),
                ("cluster.id", id) => meta.cluster_id = Some(id.to_owned()),
                ("directory.id", id) => meta.directory_id = Some(id.parse().ok()?),
                (key, value) => {
                    meta.others.insert(key.to_owned(), value.to_owned());
                }
            }
        }
        Some(meta)
    }

    pub(super) fn to_text(&self) -> String {
        let mut lines = vec!["version=1".to_owned()];
        lines.extend(self.cluster_id.iter().map(|id| format!("cluster.id={id}")));
        lines.extend(self.broker_id.iter().map(|id| format!("node.id={id}")));
        lines.extend(self.directory_id.iter().map(|id| format!("directory.id={id}")));
        lines.extend(self.others.iter().map(|(key, value)| format!("{key}={value}")));
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PartitionId, TopicId};
    use crate::storage::{PartitionCheckpoint, testing::scratch};

    #[test] // Goal: a new directory gets an identity, and keeps it.
    fn identities_are_made_once() {
        let scratch = scratch();
        let paths = [scratch.path().join("a"), scratch.path().join("b")];
        let (dirs, cluster) = LogDirs::open(&paths, 7).expect("opens");
        let ids: Vec<DirId> = dirs.dirs.iter().map(|dir| dir.id).collect();
        assert_ne!(ids[0], ids[1]);
        assert_eq!(cluster.len(), 22);
        let text =
            String::from_utf8(blocking::read_file(&paths[0].join(META_PROPERTIES)).expect("there")).expect("text");
        assert_eq!(
            text,
            format!("version=1\ncluster.id={cluster}\nnode.id=7\ndirectory.id={}\n", ids[0])
        );
        drop(dirs);
        let (dirs, again) = LogDirs::open(&paths, 7).expect("opens again");
        assert_eq!(again, cluster);
        assert_eq!(dirs.dirs.iter().map(|dir| dir.id).collect::<Vec<_>>(), ids);
    }

    #[test] // Goal: directories that are new belong to the cluster that is named; those that are not keep theirs.
    fn new_directories_join_the_cluster_that_is_named() {
        let scratch = scratch();
        let paths = [scratch.path().join("a")];
        assert_eq!(LogDirs::cluster_id(&paths, 7).expect("nothing there"), None);
        let open = |cluster: &str| {
            LogDirs::open_in_cluster(&paths, 7, Some(cluster.to_owned()))
                .expect("opens")
                .1
        };
        assert_eq!([open("first"), open("second")], ["first", "first"]);
        assert_eq!(
            LogDirs::cluster_id(&paths, 7).expect("readable").as_deref(),
            Some("first")
        );
    }

    #[test] // Goal: the marker of a clean end carries the epoch of the life that ended, once; others say nothing of it.
    fn a_clean_end_names_the_life_that_ended() {
        let scratch = scratch();
        let (dirs, _) = LogDirs::open(&[scratch.path().join("a")], 7).expect("opens");
        let dir = dirs.dirs[0].clone();
        let mut checkpoint = Checkpoint::default();
        (checkpoint.clean, checkpoint.clean_epoch) = (true, Some(42));
        dirs.write_checkpoint(&dir.path, &checkpoint).expect("written");
        let marker = blocking::read_file(&dir.path.join(CLEAN_SHUTDOWN)).expect("there");
        assert_eq!(marker, br#"{"brokerEpoch":42,"version":0}"#);
        assert_eq!(dirs.read_checkpoint(&dir).clean_epoch, Some(42));
        dirs.mark_in_use(&dir);
        assert_eq!(dirs.read_checkpoint(&dir).clean_epoch, None);
        checkpoint.clean_epoch = None;
        dirs.write_checkpoint(&dir.path, &checkpoint).expect("written");
        assert_eq!(blocking::read_file(&dir.path.join(CLEAN_SHUTDOWN)).expect("there"), b"");
    }

    #[test] // Goal: a directory in use, of another broker or of another cluster is refused with the cause.
    fn foreign_directories_are_refused() {
        let scratch = scratch();
        let path = |name: &str| scratch.path().join(name);
        let refusal = |paths: &[PathBuf], id| LogDirs::open(paths, id).expect_err("refused").to_string();
        let (open, _) = LogDirs::open(&[path("a")], 7).expect("opens");
        let in_use = refusal(&[path("a")], 7);
        assert!(
            in_use.contains(&format!("in use by process {}", std::process::id())),
            "{in_use}"
        );
        drop(open);
        assert!(refusal(&[path("a")], 8).contains("belongs to broker 7"));
        LogDirs::open(&[path("b")], 7).expect("opens");
        assert!(refusal(&[path("a"), path("b")], 7).contains("belongs to cluster"));
        blocking::write_file_atomic(&path("b").join(META_PROPERTIES), b"garbage").expect("written");
        assert!(refusal(&[path("b")], 7).contains("cannot be understood"));
        blocking::write_file_atomic(&path("file"), b"").expect("written");
        assert!(refusal(&[path("file").join("c")], 7).contains("cannot be created"));
    }

    #[test] // Goal: checkpoints come back, and "clean" is said until the directory is in use.
    fn checkpoints_are_read_back() {
        let scratch = scratch();
        let (dirs, _) = LogDirs::open(&[scratch.path().to_owned()], 1).expect("opens");
        let dir = dirs.dirs[0].clone();
        assert_eq!(dirs.read_checkpoint(&dir), Checkpoint::default());
        let at = PartitionCheckpoint {
            recovery_point: 10,
            log_start: 3,
            clean_upto: Some(7),
            high_watermark: Some(8),
            life: 9,
        };
        let mut checkpoint = Checkpoint::default();
        let id = PartitionId {
            topic: TopicId([1; 16]),
            index: 0,
        };
        checkpoint.put("t", id, at);
        checkpoint.clean = true;
        dirs.write_checkpoint(&dir.path, &checkpoint).expect("written");
        assert_eq!(dirs.read_checkpoint(&dir), checkpoint);
        dirs.mark_in_use(&dir);
        dirs.mark_in_use(&dir);
        assert!(!dirs.read_checkpoint(&dir).clean);
    }

    #[test] // Goal: a directory is full below the reserve, and free again a little above it.
    fn full_has_hysteresis() {
        let is_full = |free, min_free, was_full| is_full_at((free, 3200), min_free, was_full);
        assert!(is_full(1599, 1600, false));
        assert!(!is_full(1600, 1600, false));
        assert!(is_full(1700, 1600, true));
        assert!(!is_full(1800, 1600, true));
        assert!(!is_full(0, 0, false));
        assert!(is_full(199, 0, true));
        assert!(!is_full(200, 0, true));
    }

    /// A refusal counts where bytes are free: inodes may be used up. Otherwise the directory would be full and not full in
    /// turn.
    #[test]
    fn a_refusal_holds_until_something_is_freed() {
        let dir = LogDir::new("/nowhere".into(), DirId([1; 16]));
        let now = rt::now();
        let is_refused = |free, now| dir.is_refused((free, 8 << 30), now);
        dir.set_space(2 << 30, 8 << 30);
        assert!(!is_refused(2 << 30, now));
        dir.note_refusal();
        assert!(dir.is_full());
        assert!(is_refused(2 << 30, now));
        assert!(is_refused(1 << 30, now), "somebody else took more");
        assert!(is_refused((1 << 30) + 1, now), "that is not enough for a log");
        assert!(!is_refused((1 << 30) + FREE_AGAIN_BYTES_MIN, now));
        dir.note_refusal();
        assert!(is_refused(2 << 30, now), "another one");
        assert!(!is_refused(2 << 30, now.after(2 * REFUSAL_HOLDS)), "for a while");
        assert!(!is_refused(2 << 30, now), "it is over");
    }
}
