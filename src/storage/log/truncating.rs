//! Cutting off the log's end: a follower has batches that its leader does not have, or its log ends before the leader's
//! begins.
//!
//! What is to be cut waits until no job is under way and nothing is in the journal only; nothing is staged meanwhile. From
//! the moment the job begins the log ends at the cut for whoever asks. The job ends with the log as it lies on the disk
//! then, opened as a start opens it: `recovery/cut.rs` has the order of its steps, and why no crash between them does harm.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use super::{Log, NEXT_ID, SPACE_STEP_MIN, Staging, Unplaced};
use crate::rt::File;
use crate::storage::plan::InFlight;
use crate::storage::recovery::{Cut, CutPlan, Recovered, Replay};
use crate::storage::segment::Handle;
use crate::storage::{Cache, LogOptions, StorageError};

#[derive(Default)]
pub(super) struct Truncation {
    due: Option<Cut>,
    running: Option<Cut>,
    /// A job has begun, and none since has ended well: the files are no more what the log remembers of them.
    is_torn: bool,
}

/// The log's files are cut; nothing else uses them meanwhile.
pub struct TruncateJob {
    plan: CutPlan,
    in_flight: InFlight,
}

pub struct TruncateDone {
    result: Result<Recovered, StorageError>,
}

/// What became of a truncation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truncated {
    Done,
    /// The disk had no space for the little that it takes: another job will be given.
    Again,
}

impl TruncateJob {
    /// `replay` sees what a start would show it: the newest producer snapshot that is left, and the batches behind it.
    pub async fn run(self, replay: &mut dyn Replay) -> TruncateDone {
        let TruncateJob {
            plan,
            in_flight: _in_flight,
        } = self;
        TruncateDone {
            result: plan.run(replay).await,
        }
    }
}

impl Log {
    /// Asks that the log end at `offset`, or before the batch that holds it.
    pub fn truncate_to(&mut self, offset: i64) {
        let is_restart = false;
        self.truncation.due = Some(Cut { offset, is_restart });
        self.stop_compaction();
    }

    /// Asks that everything go and the log begin at `offset`, behind or before what it has now.
    pub fn restart_at(&mut self, offset: i64) {
        let is_restart = true;
        self.truncation.due = Some(Cut { offset, is_restart });
        self.stop_compaction();
    }

    /// A truncation that has not begun is not wanted any more.
    pub fn keep_end(&mut self) {
        if !self.truncation.is_torn {
            self.truncation.due = None;
        }
    }

    /// One is due or under way.
    pub fn is_truncating(&self) -> bool {
        self.truncation.due.is_some() || self.truncation.running.is_some()
    }

    pub(super) fn is_torn(&self) -> bool {
        self.truncation.is_torn
    }

    /// Only what is in the journal alone is written yet: there it goes with the cut.
    pub(super) fn holds_writes(&self) -> bool {
        self.is_truncating() && self.placed == self.written
    }

    /// The job, once one is due and no other is under way. From here on the log ends where it will be cut.
    pub fn take_truncation(&mut self, cache: &mut Cache) -> Option<TruncateJob> {
        let cut = self.truncation.due?;
        self.place_soon();
        if self.is_offline() || self.is_busy() || self.waits_for_space() {
            return None;
        }
        self.truncation.due = None;
        self.truncation.running = Some(cut);
        let plan = CutPlan {
            options: LogOptions {
                checkpoint: Some(self.checkpoint().upto(cut.offset)),
                ..self.options.clone()
            },
            hint: self
                .heads
                .front()
                .map(|head| (head.base_offset(), head.indexes.position(cut.offset))),
            unsynced: self.unsynced_files(),
            cut,
        };
        self.end_at(cut, cache);
        Some(TruncateJob {
            plan,
            in_flight: self.in_flight.clone(),
        })
    }

    /// Err: the log (and its directory) is offline from here on.
    pub fn on_truncated(&mut self, done: TruncateDone) -> Result<Truncated, StorageError> {
        let cut = self.truncation.running.take().expect("a truncation is under way");
        match done.result {
            Err(error) if error.is_disk_full() => {
                self.truncation.due.get_or_insert(cut);
                self.retry_later();
                Ok(Truncated::Again)
            }
            result => {
                let recovered = self.offline_on_error(result)?;
                self.adopt(recovered);
                Ok(Truncated::Done)
            }
        }
    }

    /// A job is under way, or its outcome is not known yet, or the journal has what the segments have not.
    fn is_busy(&self) -> bool {
        let has_jobs = Rc::strong_count(&self.in_flight) > 1 || self.is_compacting();
        let has_outcomes = self.is_writing || self.preparing.is_some() || self.is_finishing;
        has_jobs || has_outcomes || self.truncation.running.is_some() || self.placed < self.written
    }

    /// Files of segments that are not sealed.
    fn unsynced_files(&self) -> Vec<(Rc<Handle>, File)> {
        let rolled = self.sealed.iter().filter_map(|segment| {
            let unsealed = segment.unsealed.as_ref()?;
            Some((segment.handle.clone(), unsealed.file.clone()))
        });
        let heads = self.heads.iter();
        let heads = heads.filter_map(|head| Some((head.handle.clone(), head.file.clone()?)));
        rolled.chain(heads).collect()
    }

    /// Reads that are under way find the log changed under them, and are told so instead of that it is broken.
    fn end_at(&mut self, cut: Cut, cache: &mut Cache) {
        let sealed = self.sealed.iter().map(|segment| &segment.handle);
        let handles = sealed.chain(self.heads.iter().map(|head| &head.handle));
        handles.for_each(|handle| handle.retired.set(true));
        self.leave_cache_below(i64::MAX, cache);
        self.truncation.is_torn = true;
        self.staging = Staging::new(Vec::new());
        self.unplaced = Unplaced::default();
        let end = match cut.is_restart {
            true => cut.offset,
            false => cut.offset.min(self.written),
        };
        self.set_end(end);
        self.log_start = self.log_start.min(end);
        if cut.is_restart {
            self.log_start = end;
        }
        self.truncate_clean(end);
    }

    fn set_end(&mut self, end: i64) {
        self.staged = end;
        self.submitted = end;
        self.placed = end;
        self.written = end;
        self.synced = end;
        self.synced_writes_from = end;
        self.dirty_since_ms = None;
        self.high_watermark = self.high_watermark.map(|at| at.min(end));
        self.assert_cursors();
    }

    /// The log is what recovery found of it. Reads that were planned meanwhile have read on to the old end of the files, and
    /// leave that in the cache under the number that the log had then.
    fn adopt(&mut self, recovered: Recovered) {
        self.id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        self.truncation.is_torn = false;
        self.set_end(recovered.end);
        self.log_start = recovered.log_start;
        self.sealed = recovered.sealed.into();
        self.heads = [recovered.head].into();
        self.staging = Staging::new(recovered.tail);
        self.life = recovered.life;
        self.epochs = recovered.epochs;
        self.snapshots = recovered.snapshots;
        (self.snapshot, self.snapshot_due) = (None, None);
        // Their files went with the survey.
        let departed = self.departed.drain(..).flat_map(|departed| departed.handles);
        departed.for_each(|handle| handle.lingers.set(false));
        self.space_step = SPACE_STEP_MIN;
        self.truncate_clean(recovered.end);
    }
}
