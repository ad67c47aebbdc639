//! Stopping: refuse new work, write what is staged, close every log, then answer.

use std::collections::{BTreeMap, VecDeque};

use super::hosted::{Failed, Hosted, Leaving, Place};
use super::message::{Job, Life, Stopped};
use super::reconcile::closing;
use super::state::Shard;
use crate::model::{DirId, ErrorCode, PartitionId};
use crate::rt::{Now, OneshotTx};
use crate::storage::{LogDir, PartitionCheckpoint, Rounds, StorageError, Syncs};

/// Logs that are closed at the same time.
const CLOSING_MAX: usize = 32;
/// Of more logs than this not each is synced by itself. Of fewer each is: others may have much to write on that file system.
const TOGETHER_MIN: usize = 256;
/// Logs that are closed at the same time then: so many at least share a sync.
const CLOSING_TOGETHER_MAX: usize = 512;

pub(super) struct Stopping {
    /// Taken when the answer is given.
    reply: Option<OneshotTx<Stopped>>,
    stopped: Stopped,
    /// Logs with nothing left to write, that wait for their turn.
    idle: VecDeque<PartitionId>,
    closing: usize,
    /// Of each log directory whose logs are synced together; `None`: each is synced by itself.
    rounds: Option<BTreeMap<DirId, Rounds>>,
}

impl Stopping {
    fn new(reply: OneshotTx<Stopped>, logs: usize) -> Stopping {
        Stopping {
            reply: Some(reply),
            stopped: Stopped::default(),
            idle: VecDeque::new(),
            closing: 0,
            rounds: (logs > TOGETHER_MIN).then(BTreeMap::new),
        }
    }

    fn closing_max(&self) -> usize {
        match self.rounds {
            Some(_) => CLOSING_TOGETHER_MAX,
            None => CLOSING_MAX,
        }
    }

    fn syncs(&mut self, dir: &LogDir) -> Syncs {
        let Some(rounds) = &mut self.rounds else {
            return Syncs::Each;
        };
        let of_dir = rounds.entry(dir.id).or_insert_with(|| Rounds::new(dir.path.clone()));
        Syncs::Together(of_dir.clone())
    }
}

impl Shard {
    pub(super) fn on_shutdown(&mut self, reply: OneshotTx<Stopped>, now: Now) {
        self.stopping = Some(Stopping::new(reply, self.hosted.len()));
        self.stop_coordinators();
        self.stop_shares();
        self.cancel_openings(now);
        let ids: Vec<PartitionId> = self.hosted.keys().copied().collect();
        for id in ids {
            self.forget_compaction(id);
            self.touched.push(id);
            self.follow(id);
            self.close_if_stopping(id);
        }
        self.finish_stop();
    }

    /// Logs whose opening has not begun are left as they lie on the disk.
    fn cancel_openings(&mut self, now: Now) {
        let waiting = |hosted: &Hosted| matches!(hosted, Hosted::Opening(opening) if opening.claim.is_none());
        let ids: Vec<PartitionId> = self
            .hosted
            .iter()
            .filter(|(_, one)| waiting(one))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let Some(Hosted::Opening(opening)) = self.hosted.remove(&id) else {
                continue;
            };
            let dir = opening.place.dir.id;
            let row = opening
                .place
                .checkpoint
                .map(|checkpoint| opening.place.row(id, checkpoint));
            if let Some(stopping) = &mut self.stopping {
                stopping.stopped.checkpoints.extend(row);
                stopping.stopped.add_unclean(dir);
            }
            let parked = opening.parked.into_iter().map(|parked| parked.token);
            self.fail_acks(parked, ErrorCode::NotLeaderOrFollower);
            self.release_early(id, opening.early, now);
        }
    }

    /// Called whenever a partition may have become idle.
    pub(super) fn close_if_stopping(&mut self, id: PartitionId) {
        let Some(stopping) = &mut self.stopping else {
            return;
        };
        if matches!(self.hosted.get(&id), Some(Hosted::Open(open)) if open.is_idle()) {
            stopping.idle.push_back(id);
            self.close_next();
        }
    }

    fn close_next(&mut self) {
        let Some(stopping) = &mut self.stopping else {
            return;
        };
        while stopping.closing < stopping.closing_max() {
            let Some(id) = stopping.idle.pop_front() else {
                return;
            };
            // A job may have been submitted since; the partition comes again when it has ended.
            let Some(Hosted::Open(open)) = self.hosted.remove(&id) else {
                continue;
            };
            if !open.is_idle() {
                self.hosted.insert(id, Hosted::Open(open));
                continue;
            }
            let life = open.life();
            self.hosted
                .insert(id, Hosted::Leaving(Leaving::Ending(life.incarnation)));
            let place = open.place.clone();
            let syncs = stopping.syncs(&place.dir);
            self.jobs.push(Job::Close(life, place, Box::new(closing(*open)), syncs));
            stopping.closing += 1;
        }
    }

    pub(super) fn on_closed(&mut self, life: Life, place: Place, result: Result<PartitionCheckpoint, StorageError>) {
        let Some(stopping) = &mut self.stopping else {
            return;
        };
        stopping.closing -= 1;
        match result {
            Ok(checkpoint) => stopping.stopped.checkpoints.push(place.row(life.partition, checkpoint)),
            Err(error) => {
                let (topic, partition) = (&place.topic, life.partition.index);
                tracing::warn!(%topic, partition, %error, "log was not closed cleanly");
                stopping
                    .stopped
                    .checkpoints
                    .extend(place.checkpoint.map(|known| place.row(life.partition, known)));
                stopping.stopped.add_unclean(place.dir.id);
            }
        }
        self.hosted.remove(&life.partition);
        self.close_next();
        self.finish_stop();
    }

    /// Answers once nothing is left but what never served.
    pub(super) fn finish_stop(&mut self) {
        let Some(stopping) = &mut self.stopping else {
            return;
        };
        if self.hosted.values().any(|hosted| !matches!(hosted, Hosted::Failed(_))) {
            return;
        }
        let journals = self.journals.take_empty();
        if !journals.is_empty() {
            return self.jobs.push(Job::RemoveJournals(journals));
        }
        let Some(reply) = stopping.reply.take() else {
            return;
        };
        let mut stopped = std::mem::take(&mut stopping.stopped);
        for (id, hosted) in &self.hosted {
            stopped.checkpoints.extend(hosted.checkpoint_row(*id));
            if let Hosted::Failed(Failed { place: Some(place), .. }) = hosted {
                stopped.add_unclean(place.dir.id);
            }
        }
        reply.send(stopped);
    }
}

impl Stopped {
    fn add_unclean(&mut self, dir: DirId) {
        if !self.unclean.contains(&dir) {
            self.unclean.push(dir);
        }
    }
}
