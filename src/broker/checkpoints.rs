//! What the log directories' checkpoint files hold, gathered from the shards and written by the control thread.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::error;

use crate::metadata::Image;
use crate::model::{BrokerId, DirId};
use crate::shard::CheckpointRow;
use crate::storage::{Checkpoint, LogDirs};

/// The newest checkpoint of every log directory. Cheap to clone.
#[derive(Clone)]
pub struct Checkpoints {
    dirs: Arc<LogDirs>,
    newest: Arc<Mutex<BTreeMap<DirId, Checkpoint>>>,
}

impl Checkpoints {
    /// Starts from what the files said. Logs that have not been opened yet keep those rows.
    pub fn new(dirs: Arc<LogDirs>, read: BTreeMap<DirId, Checkpoint>) -> Checkpoints {
        Checkpoints {
            dirs,
            newest: Arc::new(Mutex::new(read)),
        }
    }

    /// Takes the shards' rows over, drops those of topics that are gone, and writes every directory's files. The directories
    /// in `clean` are marked as cleanly closed, in a cluster with the epoch of the life that ends.
    pub fn write(&self, rows: Vec<CheckpointRow>, image: &Image, clean: &[DirId]) {
        let me = image.brokers.get(&BrokerId(image.broker.broker_id));
        let epoch = me.filter(|_| image.broker.quorum.is_some()).map(|me| me.epoch);
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let checkpoint = newest.entry(row.dir).or_default();
            checkpoint.put(&row.topic, row.partition, row.checkpoint);
        }
        for dir in self.dirs.dirs.iter().filter(|dir| !dir.is_offline()) {
            let checkpoint = newest.entry(dir.id).or_default();
            checkpoint.retain_topics(|name| image.topic(name).map(|topic| topic.id));
            checkpoint.clean = clean.contains(&dir.id);
            checkpoint.clean_epoch = epoch;
            if let Err(problem) = self.dirs.write_checkpoint(&dir.path, checkpoint) {
                error!(dir = %dir.path.display(), %problem, "checkpoint not written; a restart will scan more");
            }
        }
    }
}
