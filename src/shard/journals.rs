//! The shard's journals, one per log directory: which appends of a turn go out in one frame.
//!
//! Where several logs have a little to write, they share a frame; where one has, its segment is as good. What is staged
//! while a frame is in flight waits for the next one: there the batches gather. A journal is made when there is use for it
//! for the first time, beside everything else; where there is none, or no room in it, the segments are written.

use std::sync::Arc;

use super::hosted::{Hosted, Open, open_at};
use super::message::{Job, Life};
use super::state::Shard;
use crate::config::BrokerConfig;
use crate::metrics::Metric;
use crate::model::PartitionId;
use crate::rt::Now;
use crate::storage::{Journal, JournalDone, LogDir, MakeJournal, StorageError};

/// From this many logs on one frame is better than a write to each segment.
const LOGS_PER_FRAME_MIN: usize = 2;
/// A journal is worth its space once so many logs have a little to write in the same turn.
const LOGS_TO_BEGIN: usize = 4;
/// Between two attempts to make a journal.
const RETRY_MS: i64 = 60_000;

/// In the order of the shard's log directories.
pub(super) struct Journals(Vec<Slot>);

struct Slot {
    dir: Arc<LogDir>,
    state: State,
    /// Logs whose batches are to go into the next frame, if there is one.
    offered: Vec<PartitionId>,
}

enum State {
    /// Not before this time of the wall clock.
    Missing(i64),
    Making,
    Ready(Journal),
    /// journal.bytes is 0, or the directory is offline.
    Off,
}

impl Journals {
    pub(super) fn new(dirs: &[Arc<LogDir>], config: &BrokerConfig) -> Journals {
        let slot = |dir: &Arc<LogDir>| Slot {
            dir: dir.clone(),
            state: match config.journal_bytes {
                0 => State::Off,
                _ => State::Missing(i64::MIN),
            },
            offered: Vec::new(),
        };
        Journals(dirs.iter().map(slot).collect())
    }

    /// False: the partition's batches are to be written to its segment at once.
    pub(super) fn offer(&mut self, id: PartitionId, open: &Open) -> bool {
        let slot = self.0.iter_mut().find(|slot| slot.dir.id == open.place.dir.id);
        match slot.filter(|slot| !matches!(slot.state, State::Off)) {
            Some(slot) if open.partition.journal_bytes().is_some() => {
                slot.offered.push(id);
                true
            }
            _ => false,
        }
    }

    /// Those that nothing is in, at the end; the others stay for the next start.
    pub(super) fn take_empty(&mut self) -> Vec<Journal> {
        let mut empty = Vec::new();
        for slot in &mut self.0 {
            if let State::Ready(mut journal) = std::mem::replace(&mut slot.state, State::Off)
                && journal.is_empty()
                && !slot.dir.is_offline()
            {
                empty.push(journal);
            }
        }
        empty
    }
}

impl Shard {
    /// The end of a turn, once every log that was touched has been looked at.
    pub(super) fn write_offered(&mut self, now: Now) {
        for at in 0..self.journals.0.len() {
            self.write_frame(at, now);
        }
    }

    fn write_frame(&mut self, at: usize, now: Now) {
        let slot = &mut self.journals.0[at];
        if slot.offered.is_empty() || matches!(&slot.state, State::Ready(journal) if journal.is_writing()) {
            return;
        }
        let mut offered = std::mem::take(&mut slot.offered);
        offered.sort_unstable();
        offered.dedup();
        let is_ready = matches!(slot.state, State::Ready(_));
        if is_ready && offered.len() >= LOGS_PER_FRAME_MIN && self.stopping.is_none() {
            self.fill_frame(at, &mut offered);
        } else {
            self.make_journal(at, offered.len(), now);
        }
        // What has no place in a frame.
        for id in offered {
            if let Some(Hosted::Open(open)) = self.hosted.get_mut(&id) {
                open.submit_write(&mut self.jobs);
            }
        }
    }

    /// Takes out of `offered` what is on its way, or waits for the frame after this one.
    fn fill_frame(&mut self, at: usize, offered: &mut Vec<PartitionId>) {
        let slot = &mut self.journals.0[at];
        let State::Ready(journal) = &mut slot.state else { return };
        let (mut entry_bytes, mut taken) = (0, Vec::new());
        offered.retain(|id| {
            let Some(Hosted::Open(open)) = self.hosted.get(id) else {
                return false;
            };
            // It may have rolled, or been written, since it was offered.
            let Some(bytes) = open.partition.journal_bytes() else {
                return true;
            };
            if entry_bytes + bytes > journal.entry_bytes_max() {
                slot.offered.push(*id);
            } else {
                entry_bytes += bytes;
                taken.push(*id);
            }
            false
        });
        let Some(mut frame) = journal.begin(entry_bytes).filter(|_| !taken.is_empty()) else {
            offered.append(&mut taken);
            offered.append(&mut slot.offered);
            return;
        };
        let mut lives = Vec::with_capacity(taken.len());
        for id in &taken {
            if let Some(Hosted::Open(open)) = self.hosted.get_mut(id) {
                open.partition.take_entry(&mut frame);
                lives.push(open.life());
            }
        }
        self.metrics.add(Metric::JournalEntries, lives.len() as i64);
        self.jobs.push(Job::Journal(at, lives, journal.write(frame, taken)));
    }

    pub(super) fn on_journaled(&mut self, at: usize, lives: Vec<Life>, done: JournalDone, now: Now) {
        let State::Ready(journal) = &mut self.journals.0[at].state else {
            return;
        };
        let frame = journal.on_written(done);
        let crowded = journal.take_crowded();
        for life in lives {
            if let Some(open) = open_at(&mut self.hosted, life) {
                let advanced = open.partition.on_journaled(frame.as_ref().ok(), &mut self.acked);
                self.touched.push(life.partition);
                self.on_promised(life, advanced, now);
            }
        }
        if frame.is_err() {
            self.journals.0[at].state = State::Off;
        }
        for id in crowded {
            if let Some(Hosted::Open(open)) = self.hosted.get_mut(&id) {
                open.partition.place_soon();
                self.touched.push(id);
            }
        }
    }

    fn make_journal(&mut self, at: usize, logs: usize, now: Now) {
        let slot = &mut self.journals.0[at];
        let State::Missing(not_before_ms) = slot.state else {
            return;
        };
        let bytes = self.config.journal_bytes;
        let (free, _) = slot.dir.space();
        let is_wanted = logs >= LOGS_TO_BEGIN && now.wall_ms >= not_before_ms && self.stopping.is_none();
        if !is_wanted || slot.dir.is_full() || free < self.config.log_dir_min_free_bytes.saturating_add(bytes) {
            return;
        }
        slot.state = State::Making;
        let dir = slot.dir.clone();
        let shard = self.id;
        self.jobs.push(Job::MakeJournal(at, MakeJournal { dir, shard, bytes }));
    }

    pub(super) fn on_journal_made(&mut self, at: usize, result: Result<Journal, StorageError>, now: Now) {
        let slot = &mut self.journals.0[at];
        slot.state = match result {
            Ok(journal) => State::Ready(journal),
            Err(error) if error.is_disk_full() => State::Missing(now.wall_ms.saturating_add(RETRY_MS)),
            Err(error) => {
                slot.dir.set_offline(&error.to_string());
                State::Off
            }
        };
    }
}
