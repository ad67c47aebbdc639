//! Cuts the end off a log that is open, in an order in which a crash does no harm, and opens what is left of it.
//!
//! 1. What is left must not need the journal, so everything is synced.
//! 2. Another life begins, and is durable before a byte goes: neither the journal nor a checkpoint from before counts
//!    behind the cut.
//! 3. Segments go from the back, so that at every moment what is there is a log; then the end of the one that holds the
//!    cut goes.
//! 4. What is left is opened as at a start: checked from the cut segment on, the indexes, epochs and producers as they
//!    follow from it.
//!
//! A crash leaves the old end, the new one or one in between. None of it is ever acknowledged again as it was, and the next
//! truncation mends it.

use super::*;

/// Where a log is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) struct Cut {
    /// Batches go that end behind it.
    pub offset: i64,
    /// All go, and the log begins there.
    pub is_restart: bool,
}

pub(in crate::storage) struct CutPlan {
    pub options: LogOptions,
    pub cut: Cut,
    /// In the segment with this base offset the cut lies behind this position.
    pub hint: Option<(i64, u64)>,
    pub unsynced: Vec<(Rc<Handle>, File)>,
}

impl CutPlan {
    pub async fn run(self, replay: &mut dyn Replay) -> Result<Recovered, StorageError> {
        self.sync().await?;
        Life::begin(&self.options.dir, self.cut.offset).await?;
        let survey = survey(&self.options).await?;
        let kept = match self.cut.is_restart {
            true => 0,
            false => survey.bases.partition_point(|base| *base < self.cut.offset),
        };
        self.remove(survey.bases.get(kept..).unwrap_or_default()).await?;
        match kept.checked_sub(1).and_then(|last| survey.bases.get(last)) {
            Some(last) => self.cut_segment(*last).await?,
            None => self.begin_empty(&survey).await?,
        }
        recover(&self.options, replay).await
    }

    async fn sync(&self) -> Result<(), StorageError> {
        for (handle, file) in &self.unsynced {
            let synced = file.sync().await;
            synced.map_err(|source| StorageError::io("sync", &handle.path(), source))?;
        }
        sync_dirs_of(&self.options.dir).await
    }

    /// One by one from the back.
    async fn remove(&self, bases: &[i64]) -> Result<(), StorageError> {
        for base_offset in bases.iter().rev() {
            let handles = vec![Handle::new(&self.options.dir, *base_offset)];
            Removal { handles }.run().await?;
        }
        self.sync_dir().await
    }

    /// The segment's batches up to the cut stay. Without its index files it does not look sealed meanwhile.
    async fn cut_segment(&self, base_offset: i64) -> Result<(), StorageError> {
        let segment = OpenSegment::open(&self.options.dir, base_offset).await?;
        let position = self.position_in(&segment).await?;
        remove_indexes(&segment.handle).await?;
        self.sync_dir().await?;
        let cut = segment.file.truncate(position).await;
        cut.map_err(|source| StorageError::io("truncate", &segment.path, source))?;
        let synced = segment.file.sync().await;
        synced.map_err(|source| StorageError::io("sync", &segment.path, source))
    }

    /// Where the first batch begins that goes.
    async fn position_in(&self, segment: &OpenSegment) -> Result<u64, StorageError> {
        let base_offset = segment.handle.base_offset;
        let hint = self.hint.filter(|(base, _)| *base == base_offset);
        let near = match (hint, load_indexes(&self.options.dir, base_offset, segment.len).await) {
            (Some((_, position)), _) => position,
            (None, Some(indexes)) => indexes.position(self.cut.offset),
            (None, None) => 0,
        };
        // An index is a hint: where it leads to no batch, the front surely is one.
        match self.look_from(segment, near).await? {
            Some(position) => Ok(position),
            None => Ok(self.look_from(segment, 0).await?.unwrap_or(0)),
        }
    }

    /// `None`: there is no batch at `position`.
    async fn look_from(&self, segment: &OpenSegment, position: u64) -> Result<Option<u64>, StorageError> {
        let from = ScanFrom {
            position,
            next_offset: segment.handle.base_offset,
            epoch: -1,
            check_crc: false,
        };
        let mut first = None;
        let mut visit = |seen: Seen<'_>| {
            if seen.header.next_offset() > self.cut.offset {
                first.get_or_insert(seen.position);
            }
        };
        let scanned = segment.scan().run(from, &mut visit).await?;
        let is_lost = matches!(scanned.stop, Stop::Bad(_)) && scanned.position == position;
        Ok((!is_lost).then_some(first.unwrap_or(scanned.position)))
    }

    /// Without a batch the log is an empty segment's name. What is known of producers and epochs goes too, unless the log
    /// only loses what came after.
    async fn begin_empty(&self, survey: &Survey) -> Result<(), StorageError> {
        let (dir, offset) = (&self.options.dir, self.cut.offset);
        let is_behind = survey.bases.first().is_some_and(|first| *first == offset) && !self.cut.is_restart;
        if !is_behind {
            for snapshot in &survey.snapshots {
                remove_if_there(&segment_path(dir, *snapshot, SNAPSHOT)).await?;
            }
            remove_if_there(&dir.join(LEADER_EPOCHS)).await?;
        }
        self.sync_dir().await?;
        if offset > 0 {
            let path = segment_path(dir, offset, LOG);
            let made = File::open(&path, Open::CreateNew).await;
            made.map_err(|source| StorageError::io("create", &path, source))?;
        }
        sync_dirs_of(dir).await
    }

    async fn sync_dir(&self) -> Result<(), StorageError> {
        let synced = Dir::sync(&self.options.dir).await;
        synced.map_err(|source| StorageError::io("sync directory", &self.options.dir, source))
    }
}
