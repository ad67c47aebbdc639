//! Files by direct I/O, and directories. For shards; the control thread and the tools use [`super::blocking`].

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::Frozen;

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
pub struct File {}

impl File {
    pub async fn open(path: &Path, open: Open) -> io::Result<File> {
        let _ = (path, open);
        todo!()
    }
    /// Writes the bytes `range` of `buf` at `pos`. `range` and `pos` must be multiples of ALIGN. Short writes are errors.
    pub async fn write_at(&self, buf: Frozen, range: std::ops::Range<usize>, pos: u64, sync: Sync) -> io::Result<()> {
        let _ = (buf, range, pos, sync);
        todo!()
    }
    /// Reads up to `len` bytes at any `pos`; fewer only at the end of the file.
    pub async fn read_at(&self, pos: u64, len: usize) -> io::Result<Bytes> {
        let _ = (pos, len);
        todo!()
    }
    /// fallocate mode 0: the size becomes at least `len`, the new space reads as zeros.
    pub async fn preallocate(&self, len: u64) -> io::Result<()> {
        let _ = len;
        todo!()
    }
    pub async fn truncate(&self, len: u64) -> io::Result<()> {
        let _ = len;
        todo!()
    }
    /// fdatasync: off the hot path only.
    pub async fn sync(&self) -> io::Result<()> {
        todo!()
    }
    pub async fn len(&self) -> io::Result<u64> {
        todo!()
    }
}

/// Directory operations, each its own call, off the hot path.
pub struct Dir;

impl Dir {
    /// Names (not paths) in the directory, with whether each is a directory.
    pub async fn list(path: &Path) -> io::Result<Vec<(String, bool)>> {
        let _ = path;
        todo!()
    }
    pub async fn create_all(path: &Path) -> io::Result<()> {
        let _ = path;
        todo!()
    }
    pub async fn rename(from: &Path, to: &Path) -> io::Result<()> {
        let _ = (from, to);
        todo!()
    }
    pub async fn remove_file(path: &Path) -> io::Result<()> {
        let _ = path;
        todo!()
    }
    pub async fn remove_all(path: &Path) -> io::Result<()> {
        let _ = path;
        todo!()
    }
    /// Makes creations, renames and removals in the directory durable.
    pub async fn sync(path: &Path) -> io::Result<()> {
        let _ = path;
        todo!()
    }
    /// Reads a whole small file (checkpoints, snapshots, indexes).
    pub async fn read_file(path: &Path) -> io::Result<Vec<u8>> {
        let _ = path;
        todo!()
    }
    /// Writes a whole small file by tmp + fsync + rename + directory sync.
    pub async fn write_file(path: &Path, content: Vec<u8>) -> io::Result<()> {
        let _ = (path, content);
        todo!()
    }
    /// Bytes free to this process on the file system of `path`.
    pub async fn free_space(path: PathBuf) -> io::Result<u64> {
        let _ = path;
        todo!()
    }
}
