//! Files by direct I/O, and directories. For shards; the control thread and the tools use [`super::blocking`].

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;

#[cfg(test)]
use super::sim;
use super::world::{World, current};
use super::{ALIGN, Frozen, blocking, real};

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    Read,
    ReadWrite,
    /// Read and write; it must not exist yet.
    CreateNew,
}

/// Whether a write waits for the device (O_DSYNC: data, and what is needed to find it again after a power cut).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    No,
    Data,
}

/// An open file; clones share it (it is closed when the last one goes). Not Send.
#[derive(Clone)]
pub struct File(Arm);

#[derive(Clone)]
enum Arm {
    Real(real::file::File),
    #[cfg(test)]
    Sim(sim::File),
}

impl File {
    pub async fn open(path: &Path, open: Open) -> io::Result<File> {
        match current() {
            World::Shard => Ok(File(Arm::Real(real::file::File::open(path, open).await?))),
            World::Control | World::Plain => Err(io::Error::other("files by direct I/O need a shard")),
            #[cfg(test)]
            World::Sim => Ok(File(Arm::Sim(sim::File::open(path, open).await?))),
        }
    }
    /// Writes the bytes `range` of `buf` at `pos`. `range` and `pos` must be multiples of ALIGN. Short writes are errors.
    ///
    /// The whole of a buffer that this shard made goes out without a copy; a part of one, or another shard's, is copied.
    pub async fn write_at(&self, buf: Frozen, range: Range<usize>, pos: u64, sync: Sync) -> io::Result<()> {
        assert_eq!(pos % ALIGN as u64, 0, "unaligned write position");
        assert_eq!(range.start % ALIGN, 0, "unaligned start of a write");
        assert_eq!(range.end % ALIGN, 0, "unaligned end of a write");
        assert!(
            range.start < range.end && range.end <= buf.as_slice().len(),
            "no such range"
        );
        match &self.0 {
            Arm::Real(file) => file.write_at(buf, range, pos, sync).await,
            #[cfg(test)]
            Arm::Sim(file) => file.write_at(buf, range, pos, sync).await,
        }
    }
    /// Reads up to `len` bytes at any `pos`; fewer only at the end of the file.
    pub async fn read_at(&self, pos: u64, len: usize) -> io::Result<Bytes> {
        if len == 0 {
            return Ok(Bytes::new());
        }
        match &self.0 {
            Arm::Real(file) => file.read_at(pos, len).await,
            #[cfg(test)]
            Arm::Sim(file) => file.read_at(pos, len).await,
        }
    }
    /// fallocate mode 0: the size becomes at least `len`, the new space reads as zeros.
    pub async fn preallocate(&self, len: u64) -> io::Result<()> {
        match &self.0 {
            Arm::Real(file) => file.preallocate(len).await,
            #[cfg(test)]
            Arm::Sim(file) => file.preallocate(len).await,
        }
    }
    pub async fn truncate(&self, len: u64) -> io::Result<()> {
        match &self.0 {
            Arm::Real(file) => file.truncate(len).await,
            #[cfg(test)]
            Arm::Sim(file) => file.truncate(len).await,
        }
    }
    /// fdatasync: off the hot path only.
    pub async fn sync(&self) -> io::Result<()> {
        match &self.0 {
            Arm::Real(file) => file.sync().await,
            #[cfg(test)]
            Arm::Sim(file) => file.sync().await,
        }
    }
    pub async fn len(&self) -> io::Result<u64> {
        match &self.0 {
            Arm::Real(file) => file.len(),
            #[cfg(test)]
            Arm::Sim(file) => file.len(),
        }
    }
}

/// Directory operations, each its own call, off the hot path. On a shard they run on its one helper thread, one after
/// the other; never on a path that a client waits for.
pub struct Dir;

impl Dir {
    /// Names (not paths) in the directory, with whether each is a directory.
    pub async fn list(path: &Path) -> io::Result<Vec<(String, bool)>> {
        let path = path.to_owned();
        aside(move || blocking::list_dir(&path)).await
    }
    pub async fn create_all(path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        aside(move || blocking::create_dir_all(&path)).await
    }
    pub async fn rename(from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (from.to_owned(), to.to_owned());
        aside(move || blocking::rename(&from, &to)).await
    }
    pub async fn remove_file(path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        aside(move || blocking::remove_file(&path)).await
    }
    pub async fn remove_all(path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        aside(move || blocking::remove_dir_all(&path)).await
    }
    /// Makes creations, renames and removals in the directory durable.
    pub async fn sync(path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        aside(move || blocking::sync_dir(&path)).await
    }
    /// Reads a whole small file (checkpoints, snapshots, indexes).
    pub async fn read_file(path: &Path) -> io::Result<Vec<u8>> {
        let path = path.to_owned();
        aside(move || blocking::read_file(&path)).await
    }
    /// Writes a whole small file by tmp + fsync + rename + directory sync.
    pub async fn write_file(path: &Path, content: Vec<u8>) -> io::Result<()> {
        let path = path.to_owned();
        aside(move || blocking::write_file_atomic(&path, &content)).await
    }
    /// The same in two steps, for many files: first beside its place, without any sync.
    pub async fn write_beside(path: &Path, content: Vec<u8>) -> io::Result<()> {
        let path = path.to_owned();
        aside(move || blocking::write_file_beside(&path, &content)).await
    }
    /// Then in its place. A sync of the file system belongs before it, and one after it.
    pub async fn put_in_place(path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        aside(move || blocking::put_file_in_place(&path)).await
    }
    /// Makes everything durable that is in the file system of `path` (syncfs(2)).
    pub async fn sync_file_system(path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        aside(move || blocking::sync_file_system(&path)).await
    }
    /// Bytes free to this process, and bytes in all, on the file system of `path`.
    pub async fn space(path: PathBuf) -> io::Result<(u64, u64)> {
        aside(move || blocking::space(&path)).await
    }
}

/// Runs blocking work off the shard's core loop; where there is no shard, at once.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    match current() {
        World::Shard => glommio::executor().spawn_blocking(work).await,
        World::Control | World::Plain => work(),
        #[cfg(test)]
        World::Sim => {
            sim::pause().await;
            work()
        }
    }
}
