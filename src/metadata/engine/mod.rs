//! What makes decisions durable, and says in which order they hold. The control loop knows this interface only; on one
//! node it is `embedded`, a log of its own. A quorum would deliver other nodes' commits by `next` as well, and would
//! answer `Conflict` where a decision was overtaken.

mod embedded;
mod frame;

use std::future::Future;
use std::io;
use std::path::PathBuf;

use super::image::ImageEpoch;
use super::record::{Record, RecordError};

pub use embedded::{Embedded, SnapshotPolicy};

/// Runs on the control thread only.
pub trait Engine: Send + 'static {
    /// Recovers the durable state: the records that make it, and the epoch that they lead to.
    fn start(&mut self) -> Result<(Vec<Record>, ImageEpoch), StartError>;

    /// Makes the records durable, all or none. `base` is the epoch of the image that the decision saw. After Ok, `next`
    /// delivers everything up to the epoch returned.
    fn commit(&mut self, base: ImageEpoch, records: &[Record])
    -> impl Future<Output = Result<ImageEpoch, CommitError>>;

    /// The next commit, in order and without gaps.
    fn next(&mut self) -> impl Future<Output = Delta>;

    /// Whether enough has been committed since the last snapshot.
    fn wants_snapshot(&self) -> bool;

    /// Takes the records of the image at the last commit in place of all commits so far.
    fn snapshot(&mut self, records: &[Record]) -> io::Result<()>;
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
    /// May be on disk or not, which only a restart can tell. The engine takes no further commits.
    #[error("cannot tell whether the metadata log was written: {0}")]
    Unknown(io::Error),
}
