//! What makes decisions durable, and says in which order they hold. The control loop knows this interface only; on one
//! node it is `embedded`, a log of its own, in a cluster `quorum`, which delivers other nodes' commits by `next` as well,
//! and says who may decide.

mod embedded;
mod frame;
mod quorum;
#[cfg(test)]
mod simulated;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use super::command::{CommandError, NewVoter, QuorumState};
use super::image::ImageEpoch;
use super::record::{Record, RecordError};
use crate::model::{BrokerId, DirId, ErrorCode};
use crate::rt::Instant;

pub use embedded::{Embedded, SnapshotPolicy};
pub use quorum::{Answered, Formed, NoAnswer, Observer, Quorum, Remote, Salvage, form, format, is_quorum_dir};
#[cfg(test)]
pub use quorum::{Keeping, form_simulated};
#[cfg(test)]
pub use simulated::SimulatedQuorum;

/// Runs on the control thread only.
pub trait Engine: 'static {
    /// Recovers the durable state: the records that make it, and the epoch that they lead to. It may be an older one than
    /// what others know.
    fn start(&mut self) -> impl Future<Output = Result<(Vec<Record>, ImageEpoch), StartError>>;

    /// Makes the records durable, all or none. `base` is the epoch of the image that the decision saw. After Ok, `next`
    /// delivers everything up to the epoch returned.
    fn commit(&mut self, base: ImageEpoch, records: &[Record])
    -> impl Future<Output = Result<ImageEpoch, CommitError>>;

    /// What has happened, in order and without gaps. A call that is dropped takes nothing.
    fn next(&mut self) -> impl Future<Output = Event>;

    /// Whether this node, which was the controller, still is, and nothing has been committed since the image of epoch `base`:
    /// answers that need no commit rest on it.
    fn confirm(&self, base: ImageEpoch) -> impl Future<Output = Result<(), CommitError>>;

    /// Hands the controllership over, if it has it, and ends.
    fn resign(&mut self) -> impl Future<Output = ()>;

    /// The quorum, as this node sees it while it is the controller; `None`: it keeps the metadata alone.
    fn quorum(&self) -> Option<QuorumState> {
        None
    }

    /// Takes a node that runs, and has nothing, into the quorum, while this one is the controller.
    fn add_voter(&self, _: NewVoter) -> VoterChange {
        not_several()
    }

    /// Takes a node that is gone out of the quorum, while this one is the controller.
    fn remove_voter(&self, _: BrokerId, _: DirId) -> VoterChange {
        not_several()
    }

    /// The way to the controller where another node may be it; `None`: this node always is.
    fn remote(&self) -> Option<Remote>;

    /// Whether enough has been committed since the last snapshot; never where the engine writes its own, or none.
    fn wants_snapshot(&self) -> bool {
        false
    }

    /// Takes the records of the image at the last commit in place of all commits so far.
    fn snapshot(&mut self, _: &[Record]) -> io::Result<()> {
        Ok(())
    }
}

/// What comes of taking a node into the quorum, or out of it.
pub type VoterChange = Pin<Box<dyn Future<Output = Result<(), CommandError>>>>;

fn not_several() -> VoterChange {
    let refusal = CommandError {
        code: ErrorCode::UnsupportedVersion,
        message: "This node keeps its metadata alone: a quorum begins by controller.quorum.bootstrap.servers or \
                  controller.quorum.voters"
            .to_owned(),
    };
    Box::pin(async { Err(refusal) })
}

#[derive(Debug)]
pub enum Event {
    Delta(Delta),
    /// In place of everything so far.
    Reset(Delta),
    /// From now on this node decides. Everything that was decided before has been delivered.
    Controller {
        epoch: u64,
    },
    /// It does no more.
    NotController,
    /// Another node leads, or none.
    Leader(Option<BrokerId>),
    /// Every process of another node has ended by then but for its successor, by incarnation, if there is one.
    Gone {
        node: BrokerId,
        at: Instant,
        successor: Option<[u8; 16]>,
    },
    /// The engine has ended: its disk failed.
    Fatal(String),
}

/// One commit, as it is to be applied to the image.
#[derive(Debug)]
pub struct Delta {
    pub epoch: ImageEpoch,
    pub records: Vec<Record>,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot read the metadata in {path}: {cause}")]
    Io { path: PathBuf, cause: io::Error },
    #[error(
        "the metadata in {path} are damaged at byte {at}, before commits that are intact; nothing was changed. \
         Restore the file from a copy: starting without it would lose acknowledged changes"
    )]
    Damaged { path: PathBuf, at: u64 },
    #[error("the metadata in {path} cannot be read: {cause}")]
    Record { path: PathBuf, cause: RecordError },
    #[error("the metadata in {path} are incomplete: {what}; nothing was changed. Restore the directory from a copy")]
    Incomplete { path: PathBuf, what: String },
    #[error("cannot start the controller quorum: {what}")]
    Quorum { what: String },
}

#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Definitely not done: decide again on the newer image.
    #[error("the image has moved on to {0:?}")]
    Conflict(ImageEpoch),
    /// Definitely not done.
    #[error("{bytes} bytes in one commit, of at most {max}")]
    TooLarge { bytes: usize, max: usize },
    /// Definitely not done: the disk is full or refuses.
    #[error("cannot write the metadata log: {0}")]
    Refused(io::Error),
    /// Definitely not done: another node decides.
    #[error("this node is not the controller any more")]
    NotController,
    /// May be done or not; if it is, `next` will deliver it, and a later commit on the same base is a conflict.
    #[error("cannot tell whether the quorum has taken the change: {0}")]
    Undecided(String),
    /// May be on disk or not, which only a restart can tell. The engine takes no further commits.
    #[error("cannot tell whether the metadata log was written: {0}")]
    Unknown(io::Error),
}
