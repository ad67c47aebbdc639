//! The partitions of a shard, each in one stage of its life.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::claims::Claim;
use super::early::Early;
use super::message::{CheckpointRow, Life};
use super::types::{Acks, AppendItem};
use crate::config::TopicConfig;
use crate::metrics::{Entry, LogPosition, PartitionCells};
use crate::model::{ErrorCode, Incarnation, PartitionId};
use crate::partition::{AckToken, Leadership, Partition};
use crate::storage::{LogDir, PartitionCheckpoint};

/// Appends that wait for one log to open; beyond it they are refused with a retriable error.
pub(super) const PARKED_MAX: usize = 1_024;

pub(super) enum Hosted {
    /// The log is being recovered, or waits for its turn or for its directory's name.
    Opening(Opening),
    Open(Box<Open>),
    /// The topic is gone, or the shard stops: the log is about to be removed or closed.
    Leaving(Leaving),
    /// The log could not be opened, or its directory is offline.
    Failed(Failed),
}

/// Where a partition lies and what it is called: constant through its life.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) topic: Arc<str>,
    pub(super) dir: Arc<LogDir>,
    /// As read at start, for a log that was never opened in this process.
    pub(super) checkpoint: Option<PartitionCheckpoint>,
}

pub(super) struct Opening {
    pub(super) incarnation: Incarnation,
    pub(super) place: Place,
    pub(super) leadership: Leadership,
    pub(super) config: Arc<TopicConfig>,
    /// Held while the job runs.
    pub(super) claim: Option<Claim>,
    /// The topic was deleted meanwhile: remove the log once it is open.
    pub(super) doomed: bool,
    pub(super) parked: VecDeque<Parked>,
    /// What else waits for the log.
    pub(super) early: Early,
}

/// An append that waits for its log.
pub(super) struct Parked {
    pub(super) token: AckToken,
    pub(super) item: AppendItem,
    pub(super) acks: Acks,
}

pub(super) struct Open {
    pub(super) partition: Partition,
    pub(super) place: Place,
    pub(super) claim: Claim,
    /// Jobs that use the log's files.
    pub(super) jobs: u32,
    /// Where the log ended when the followers that wait for more were woken last.
    pub(super) told_end: i64,
    /// When retention looks at it next.
    pub(super) retention_ms: i64,
    /// When compaction looks at it next.
    pub(super) compaction_ms: i64,
    /// What others may know of it without asking; its place among the partitions that are served.
    pub(super) shown: Entry<PartitionId, PartitionCells>,
}

pub(super) enum Leaving {
    /// The topic is gone; jobs in flight are awaited, because they use the directory that is to be removed.
    Draining(Box<Open>),
    /// A job owns the log, and the claim on its directory's name.
    Ending(Incarnation),
}

pub(super) struct Failed {
    /// Unknown where the metadata names a directory that this broker does not have.
    pub(super) place: Option<Place>,
    pub(super) checkpoint: Option<PartitionCheckpoint>,
    /// Of a log that there was no space for, and whose directory is its own.
    pub(super) claim: Option<Claim>,
}

impl Opening {
    /// Its log is being opened: until then it waits for its turn.
    pub(super) fn is_begun(&self) -> bool {
        self.claim.is_some()
    }

    /// Whether an append may wait for the log.
    pub(super) fn takes_appends(&self) -> bool {
        !self.doomed && self.leadership.is_leader && self.parked.len() < PARKED_MAX
    }
}

impl Failed {
    /// Whether its log directory still is.
    pub(super) fn is_without_space(&self) -> bool {
        self.place.as_ref().is_some_and(|place| place.dir.is_full())
    }
}

impl Hosted {
    /// The partition if it serves, or the error that its clients get.
    pub(super) fn serving(&mut self) -> Result<&mut Open, ErrorCode> {
        match self {
            Hosted::Opening(opening) if opening.doomed => Err(ErrorCode::UnknownTopicOrPartition),
            Hosted::Opening(_) => Err(ErrorCode::NotLeaderOrFollower),
            Hosted::Leaving(_) => Err(ErrorCode::UnknownTopicOrPartition),
            Hosted::Failed(_) => Err(ErrorCode::KafkaStorageError),
            Hosted::Open(open) if open.place.dir.is_offline() => Err(ErrorCode::KafkaStorageError),
            Hosted::Open(open) if !open.partition.leadership().is_leader => Err(ErrorCode::NotLeaderOrFollower),
            Hosted::Open(open) => Ok(open),
        }
    }

    /// As [`Hosted::serving`], also where this replica follows.
    pub(super) fn readable(&mut self) -> Result<&mut Open, ErrorCode> {
        match self {
            Hosted::Open(open) if open.place.dir.is_offline() => Err(ErrorCode::KafkaStorageError),
            Hosted::Open(open) => Ok(open),
            Hosted::Opening(_) | Hosted::Leaving(_) | Hosted::Failed(_) => self.serving(),
        }
    }

    /// The log directory of a log that is or was open here, be the directory offline.
    pub(super) fn dir(&self) -> Option<&Path> {
        match self {
            Hosted::Opening(_) | Hosted::Leaving(_) => None,
            Hosted::Open(open) => Some(&open.place.dir.path),
            Hosted::Failed(failed) => Some(&failed.place.as_ref()?.dir.path),
        }
    }

    /// The row for the checkpoint files. A log that is not open keeps the offsets that it was found with.
    pub(super) fn checkpoint_row(&self, id: PartitionId) -> Option<CheckpointRow> {
        match self {
            Hosted::Opening(opening) => Some(opening.place.row(id, opening.place.checkpoint?)),
            Hosted::Open(open) => Some(open.place.row(id, open.partition.checkpoint())),
            Hosted::Leaving(_) => None,
            Hosted::Failed(failed) => Some(failed.place.as_ref()?.row(id, failed.checkpoint?)),
        }
    }
}

impl Open {
    pub(super) fn life(&self) -> Life {
        let identity = self.partition.identity();
        Life {
            partition: identity.id,
            incarnation: identity.incarnation,
        }
    }

    /// Brings what is shown up to date.
    pub(super) fn show(&self) {
        self.shown.set(position(&self.partition));
    }

    /// No job uses the files, and nothing is staged that will yet be written, or placed.
    pub(super) fn is_idle(&self) -> bool {
        let log = self.partition.log();
        self.jobs == 0 && (log.staged() == log.placed() || self.place.dir.is_offline())
    }
}

pub(super) fn position(partition: &Partition) -> LogPosition {
    let log = partition.log();
    LogPosition {
        log_start: log.log_start(),
        high_watermark: partition.high_watermark(),
        log_end: log.written(),
        size_bytes: log.size_bytes(),
        lag: partition.lag(),
    }
}

impl Place {
    /// `<topic>-<index>` in its log directory.
    pub(super) fn directory(&self, id: PartitionId) -> PathBuf {
        self.dir.path.join(format!("{}-{}", self.topic, id.index))
    }

    pub(super) fn row(&self, id: PartitionId, checkpoint: PartitionCheckpoint) -> CheckpointRow {
        CheckpointRow {
            dir: self.dir.id,
            topic: self.topic.clone(),
            partition: id,
            checkpoint,
        }
    }
}

/// The open partition that a job belongs to, if it still lives the same life.
pub(super) fn open_at(hosted: &mut BTreeMap<PartitionId, Hosted>, life: Life) -> Option<&mut Open> {
    match hosted.get_mut(&life.partition)? {
        Hosted::Open(open) if open.life() == life => Some(open),
        _ => None,
    }
}
