//! How the last files of a log come onto the device: each by itself, or together with those of many others.
//!
//! A shard that closes thousands of logs would wait for seven syncs of each, one after the other. A sync of the whole file
//! system (syncfs(2)) takes little longer than one of them, and is good for all who have written something before it.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::StorageError;
use super::prepare::{sync_dirs_of, write_file};
use crate::rt::{self, Dir, File, OneshotTx};

#[derive(Clone)]
pub enum Syncs {
    Each,
    Together(Rounds),
}

impl Syncs {
    /// What is in an open file. Where logs are synced together, [`Syncs::write`] comes after it and does that.
    pub(super) async fn file(&self, file: &File, path: &Path) -> Result<(), StorageError> {
        match self {
            Syncs::Each => file
                .sync()
                .await
                .map_err(|source| StorageError::io("sync", path, source)),
            Syncs::Together(_) => Ok(()),
        }
    }

    /// Whole files, one after the other. None of them is there before what was written earlier is durable, and all are
    /// durable at the end.
    pub(super) async fn write(&self, files: Vec<(PathBuf, Vec<u8>)>) -> Result<(), StorageError> {
        let Syncs::Together(rounds) = self else {
            for (path, content) in files {
                write_file(&path, content).await?;
            }
            return Ok(());
        };
        let mut paths = Vec::with_capacity(files.len());
        for (path, content) in files {
            let written = Dir::write_beside(&path, content).await;
            written.map_err(|source| StorageError::io("write", &path, source))?;
            paths.push(path);
        }
        rounds.sync().await?;
        for path in paths {
            let placed = Dir::put_in_place(&path).await;
            placed.map_err(|source| StorageError::io("rename", &path, source))?;
        }
        rounds.sync().await
    }

    /// Names in a log's directory, and that directory's own. Where logs are synced together, [`Syncs::write`] has done it.
    pub(super) async fn dirs_of(&self, dir: &Path) -> Result<(), StorageError> {
        match self {
            Syncs::Each => sync_dirs_of(dir).await,
            Syncs::Together(_) => Ok(()),
        }
    }
}

/// The syncs of one log directory's file system, one after the other. Cheap to clone.
#[derive(Clone)]
pub struct Rounds(Rc<Shared>);

struct Shared {
    dir: PathBuf,
    /// Those for whom the next one is.
    waiting: RefCell<Vec<OneshotTx<io::Result<()>>>>,
    is_running: Cell<bool>,
}

impl Rounds {
    pub fn new(dir: PathBuf) -> Rounds {
        Rounds(Rc::new(Shared {
            dir,
            waiting: RefCell::default(),
            is_running: Cell::new(false),
        }))
    }

    /// Waits for one that has not begun yet.
    async fn sync(&self) -> Result<(), StorageError> {
        let (done, outcome) = rt::oneshot();
        self.0.waiting.borrow_mut().push(done);
        if !self.0.is_running.replace(true) {
            rt::spawn(self.clone().run());
        }
        let ended = || Err(io::Error::other("the task that syncs has ended"));
        let synced = outcome.await.unwrap_or_else(ended);
        synced.map_err(|source| StorageError::io("sync the file system of", &self.0.dir, source))
    }

    /// Until nobody waits any more.
    async fn run(self) {
        loop {
            let waiting = self.0.waiting.take();
            if waiting.is_empty() {
                return self.0.is_running.set(false);
            }
            let outcome = Dir::sync_file_system(&self.0.dir).await;
            for one in waiting {
                one.send(outcome.as_ref().copied().map_err(again));
            }
        }
    }
}

/// The same error, for one more.
fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
