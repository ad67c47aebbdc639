//! What [`crate::rt::blocking`] does on the simulated disk: the same steps, each of which a crash can be the last.

use std::io;
use std::path::{Path, PathBuf};

use super::node::NodeId;
use super::{SharedDisk, current_disk};

pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let disk = current_disk();
    let mut disk = disk.lock();
    let node = disk.open(path)?;
    disk.read(node, 0, usize::MAX >> 1)
}

pub fn write_file_atomic(path: &Path, tmp: &Path, content: &[u8]) -> io::Result<()> {
    let node = write_file(tmp, content)?;
    let disk = current_disk();
    let mut disk = disk.lock();
    disk.sync(node)?;
    disk.rename(tmp, path)?;
    let parent = disk.find(path.parent().unwrap_or(Path::new("/")))?;
    disk.sync(parent)
}

/// Into the page cache.
pub fn write_file(path: &Path, content: &[u8]) -> io::Result<NodeId> {
    let disk = current_disk();
    let mut disk = disk.lock();
    let node = match disk.open(path) {
        Ok(node) => {
            disk.cut(node, 0)?;
            node
        }
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => disk.create(path)?,
        Err(error) => return Err(error),
    };
    disk.append(node, content)?;
    Ok(node)
}

pub fn sync_all() -> io::Result<()> {
    current_disk().lock().sync_all()
}

pub fn create_dir_all(path: &Path) -> io::Result<()> {
    let disk = current_disk();
    let mut disk = disk.lock();
    let mut ancestors: Vec<&Path> = path.ancestors().collect();
    ancestors.reverse();
    for dir in ancestors.into_iter().filter(|dir| dir.file_name().is_some()) {
        if !disk.is_dir(dir) {
            disk.create_dir(dir)?;
        }
    }
    Ok(())
}

pub fn list_dir(path: &Path) -> io::Result<Vec<(String, bool)>> {
    current_disk().lock().list(path)
}

pub fn remove_file(path: &Path) -> io::Result<()> {
    current_disk().lock().remove(path)
}

pub fn remove_dir_all(path: &Path) -> io::Result<()> {
    for (name, is_dir) in list_dir(path)? {
        if is_dir {
            remove_dir_all(&path.join(name))?;
        } else {
            remove_file(&path.join(name))?;
        }
    }
    remove_file(path)
}

pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    current_disk().lock().rename(from, to)
}

pub fn sync_dir(path: &Path) -> io::Result<()> {
    let disk = current_disk();
    let mut disk = disk.lock();
    let node = disk.find(path)?;
    disk.sync(node)
}

pub fn space(path: &Path) -> io::Result<(u64, u64)> {
    let disk = current_disk();
    let disk = disk.lock();
    disk.find(path)?;
    Ok(disk.space())
}

/// An append-only file.
pub struct AppendFile {
    disk: SharedDisk,
    node: NodeId,
}

impl AppendFile {
    /// The file, and whether it is new.
    pub fn open(path: &Path) -> io::Result<(AppendFile, bool)> {
        let shared = current_disk();
        let mut disk = shared.lock();
        let (node, is_new) = match disk.open(path) {
            Ok(node) => (node, false),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => (disk.create(path)?, true),
            Err(error) => return Err(error),
        };
        drop(disk);
        Ok((AppendFile { disk: shared, node }, is_new))
    }
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.lock().append(self.node, bytes)
    }
    pub fn sync(&mut self) -> io::Result<()> {
        self.disk.lock().sync(self.node)
    }
    pub fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.disk.lock().cut(self.node, len)
    }
    pub fn len(&self) -> io::Result<u64> {
        self.disk.lock().len(self.node)
    }
}

/// A lock that a crash frees.
pub struct LockFile {
    disk: SharedDisk,
    node: NodeId,
}

impl std::fmt::Debug for LockFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LockFile({})", self.node)
    }
}

impl LockFile {
    pub fn acquire(path: PathBuf) -> io::Result<LockFile> {
        let (file, _) = AppendFile::open(&path)?;
        let AppendFile { disk, node } = file;
        if !disk.lock().try_lock(node) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let owner = format!("{}\n", std::process::id());
        let mut locked = disk.lock();
        locked.cut(node, 0)?;
        locked.append(node, owner.as_bytes())?;
        drop(locked);
        Ok(LockFile { disk, node })
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        self.disk.lock().unlock(self.node);
    }
}
