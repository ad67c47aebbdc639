//! The log directories: lock, meta.properties, free space, offline state. Used by the control thread and at start.
use super::Checkpoint;
use crate::model::DirId;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One log directory, shared by all shards: its identity and two flags.
#[derive(Debug)]
pub struct LogDir {
    pub path: PathBuf,
    pub id: DirId, /* + atomics: full, offline */
}
impl LogDir {
    pub fn is_offline(&self) -> bool {
        todo!()
    }
    pub fn is_full(&self) -> bool {
        todo!()
    }
    pub fn set_offline(&self, why: &str) {
        let _ = why;
        todo!()
    }
    pub fn set_full(&self, full: bool) {
        let _ = full;
        todo!()
    }
}
#[derive(Debug, thiserror::Error)]
pub enum LogDirError {
    #[error("{0}")]
    Refused(String),
}
/// All of them, opened and locked at start. Refuses with cause and cure: locked by another process (with its pid), of another broker or cluster, not writable.
pub struct LogDirs {
    pub dirs: Vec<Arc<LogDir>>,
}
impl LogDirs {
    /// `cluster_id`: what meta.properties of the first directory says, or new. Creates what is missing. Makes the 4 KiB probe file.
    pub fn open(paths: &[PathBuf], broker_id: i32) -> Result<(LogDirs, String /* cluster id */), LogDirError> {
        let _ = (paths, broker_id);
        todo!()
    }
    /// Reads the checkpoints and takes the clean-shutdown marker away (from here on the directory is "in use").
    pub fn take_checkpoint(&self, dir: &LogDir) -> Checkpoint {
        let _ = dir;
        todo!()
    }
    pub fn write_checkpoint(&self, dir: &Path, checkpoint: &Checkpoint) -> std::io::Result<()> {
        let _ = (dir, checkpoint);
        todo!()
    }
    /// Updates every directory's `full` flag against the reserve (log.dir.min.free.bytes), with hysteresis.
    pub fn check_space(&self, min_free: u64) {
        let _ = min_free;
        todo!()
    }
}
