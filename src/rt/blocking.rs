//! Plain synchronous files and sockets, for the control thread and the command line; never on a shard.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The whole file. `NotFound` where there is none.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let _ = path;
    todo!()
}
/// The whole file replaced at once: tmp + fsync + rename + directory sync.
pub fn write_file_atomic(path: &Path, content: &[u8]) -> io::Result<()> {
    let _ = (path, content);
    todo!()
}
pub fn create_dir_all(path: &Path) -> io::Result<()> {
    let _ = path;
    todo!()
}
/// Names (not paths) in a directory, with whether each is a directory.
pub fn list_dir(path: &Path) -> io::Result<Vec<(String, bool)>> {
    let _ = path;
    todo!()
}
pub fn remove_file(path: &Path) -> io::Result<()> {
    let _ = path;
    todo!()
}
pub fn remove_dir_all(path: &Path) -> io::Result<()> {
    let _ = path;
    todo!()
}
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let _ = (from, to);
    todo!()
}
pub fn sync_dir(path: &Path) -> io::Result<()> {
    let _ = path;
    todo!()
}
/// Free and total bytes of the file system that holds `path`.
pub fn space(path: &Path) -> io::Result<(u64, u64)> {
    let _ = path;
    todo!()
}

/// An append-only file, for the metadata log: `append` then `sync`, `truncate` to cut a torn tail.
pub struct AppendFile {}
impl AppendFile {
    pub fn open(path: &Path) -> io::Result<AppendFile> {
        let _ = path;
        todo!()
    }
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let _ = bytes;
        todo!()
    }
    pub fn sync(&mut self) -> io::Result<()> {
        todo!()
    }
    pub fn truncate(&mut self, len: u64) -> io::Result<()> {
        let _ = len;
        todo!()
    }
    pub fn len(&self) -> io::Result<u64> {
        todo!()
    }
}

/// An advisory lock on a file (flock), held until dropped; the file holds the owner's pid.
pub struct LockFile {}
impl LockFile {
    /// `Err(WouldBlock)` when another process holds it.
    pub fn acquire(path: PathBuf) -> io::Result<LockFile> {
        let _ = path;
        todo!()
    }
}

/// A blocking TCP connection with a read and connect timeout.
pub struct TcpStream {}
impl TcpStream {
    pub fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
        let _ = (host, port, timeout);
        todo!()
    }
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        let _ = timeout;
        todo!()
    }
    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let _ = bytes;
        todo!()
    }
    pub fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let _ = bytes;
        todo!()
    }
}
