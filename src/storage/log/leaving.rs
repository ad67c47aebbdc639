//! The end of a log: closed with everything in its place, or deleted.

use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::{Log, LogOptions, settle_journals};
use crate::model::{PartitionId, TopicId};
use crate::rt::{Dir, random_u64, sleep};
use crate::storage::layout::{DELETE_DIR, PARTITION_METADATA, aside_dir_name, parse_partition_metadata};
use crate::storage::prepare::{Seal, write_snapshot};
use crate::storage::retention::Removal;
use crate::storage::segment::Head;
use crate::storage::{LogDir, PartitionCheckpoint, StorageError, Syncs};

/// How often a log that goes away looks whether its last jobs have ended.
const IN_FLIGHT_POLL: Duration = Duration::from_millis(1);

impl Log {
    /// Waits for jobs in flight, whose outcome does not count any more. Writes snapshot + index, cuts the active segment to its size, syncs. The log is gone after.
    ///
    /// Batches that are staged only are dropped: nobody was told that they are there. What is in the journal must be placed.
    pub async fn close(
        mut self,
        producer_snapshot: Vec<u8>,
        syncs: &Syncs,
    ) -> Result<PartitionCheckpoint, StorageError> {
        self.jobs_ended().await;
        if self.is_offline() {
            return Err(StorageError::Offline { path: self.options.dir });
        }
        if self.is_torn() {
            // The next start finds the log's end, as after a crash.
            return Ok(self.checkpoint());
        }
        let closed = self.close_files(producer_snapshot, syncs).await;
        self.offline_on_error(closed)?;
        Ok(self.checkpoint())
    }

    /// Removes the directory (renamed first to `<name>.<uuid>-delete`, as Kafka does), once no job is in flight.
    pub async fn delete(self) -> Result<(), StorageError> {
        self.sealed.iter().for_each(|segment| segment.handle.retired.set(true));
        self.heads.iter().for_each(|head| head.handle.retired.set(true));
        let departed = self.departed.iter().flat_map(|departed| &departed.handles);
        departed.for_each(|handle| handle.lingers.set(false));
        self.jobs_ended().await;
        let LogOptions { dir, topic, index, .. } = &self.options;
        remove_directory(dir, topic, *index).await
    }

    /// The same for a log that is not open; there may be no directory, and one that names another topic stays. A full disk may
    /// have no space for the other name either.
    pub async fn discard(dir: &Path, log_dir: &LogDir, topic: &str, id: PartitionId) -> Result<(), StorageError> {
        if owner(dir).await.is_some_and(|owner| owner != id.topic) {
            return settle_journals(log_dir, id).await;
        }
        let removed = match remove_directory(dir, topic, id.index).await {
            Err(full) if full.is_disk_full() => {
                let removed = Dir::remove_all(dir).await;
                removed.map_err(|source| StorageError::io("remove", dir, source))
            }
            Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        settle_journals(log_dir, id).await?;
        removed
    }

    async fn jobs_ended(&self) {
        while Rc::strong_count(&self.in_flight) > 1 {
            sleep(IN_FLIGHT_POLL).await;
        }
    }

    async fn close_files(&mut self, producer_snapshot: Vec<u8>, syncs: &Syncs) -> Result<(), StorageError> {
        assert_eq!(self.placed, self.written, "closed with batches in the journal only");
        self.retire_full_heads();
        while let Some(seal) = self.next_seal() {
            let base_offset = seal.handle.base_offset;
            seal.run(syncs).await?;
            if let Some(segment) = self
                .sealed
                .iter_mut()
                .find(|segment| segment.base_offset() == base_offset)
            {
                segment.unsealed = None;
            }
        }
        // Segments made ahead for batches that are dropped now.
        let handles = self.heads.iter().skip(1).map(|head| head.handle.clone()).collect();
        Removal { handles }.run().await?;
        while let Some(departed) = self.departed.pop_front() {
            let handles = departed.handles;
            Removal { handles }.unlink().await?;
        }
        self.heads.truncate(1);
        (self.staged, self.submitted) = (self.written, self.written);
        self.epochs.truncate(self.written);
        if let Some(head) = self.heads.pop_front() {
            self.close_head(head, syncs).await?;
        }
        self.advance_synced(self.written);
        let is_new = self.written > 0 && !self.snapshots.contains(&self.written);
        if is_new {
            let outdated = self.take_outdated_snapshots(self.written);
            write_snapshot(&self.options.dir, self.written, producer_snapshot, outdated, syncs).await?;
        }
        Ok(())
    }

    /// A head that was not opened is as recovery left it.
    async fn close_head(&self, head: Head, syncs: &Syncs) -> Result<(), StorageError> {
        let mut head = head;
        let Some(file) = head.file else { return Ok(()) };
        // Markers that were staged only are gone.
        Rc::make_mut(&mut head.aborted).retain(|one| one.last_offset < self.written);
        let seal = Seal {
            handle: head.handle,
            file,
            size: head.written,
            indexes: Rc::new(head.indexes),
            aborted: head.aborted,
            epochs: self.epochs.to_text(),
            upto: self.written,
        };
        seal.run(syncs).await
    }
}

async fn remove_directory(dir: &Path, topic: &str, index: i32) -> Result<(), StorageError> {
    let unique = u128::from(random_u64()) << 64 | u128::from(random_u64());
    let away = dir.with_file_name(aside_dir_name(topic, index, unique, DELETE_DIR));
    let renamed = Dir::rename(dir, &away).await;
    renamed.map_err(|source| StorageError::io("rename", dir, source))?;
    if let Some(parent) = dir.parent() {
        let synced = Dir::sync(parent).await;
        synced.map_err(|source| StorageError::io("sync directory", parent, source))?;
    }
    let removed = Dir::remove_all(&away).await;
    removed.map_err(|source| StorageError::io("remove", &away, source))
}

/// Whose directory it is, where that can be read.
async fn owner(dir: &Path) -> Option<TopicId> {
    let content = Dir::read_file(&dir.join(PARTITION_METADATA)).await.ok()?;
    parse_partition_metadata(&String::from_utf8_lossy(&content))
}
