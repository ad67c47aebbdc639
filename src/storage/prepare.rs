//! File work around the writes: opening and preallocating segments ahead of them, sealing, syncing, producer snapshots
//! and unlinking behind them.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::StorageError;
use super::index::Indexes;
use super::layout::{INDEX, LEADER_EPOCHS, SNAPSHOT, TIME_INDEX, TXN_INDEX, segment_path};
use super::retention::Removal;
use super::segment::Handle;
use super::syncs::Syncs;
use super::txn_index::{self, AbortedTxn};
use crate::rt::{ALIGN, Buf, Dir, File, Open, Sync};

pub(super) enum Work {
    /// Opens a head for writing, makes it if need be, and gives it space.
    Open {
        handle: Rc<Handle>,
        len: u64,
        sync_dirs: bool,
        tail: Option<Tail>,
    },
    Extend {
        handle: Rc<Handle>,
        file: File,
        len: u64,
    },
    Seal(Seal),
    Sync {
        handle: Rc<Handle>,
        file: File,
        upto: i64,
    },
    Snapshot {
        dir: PathBuf,
        offset: i64,
        content: Vec<u8>,
        outdated: Vec<i64>,
    },
    /// Segments that were renamed when they left the log.
    Unlink(Removal),
}

/// The last bytes of a segment that goes on in the middle of a block.
pub(super) struct Tail {
    pub position: u64,
    pub bytes: Vec<u8>,
}

/// What makes a segment complete: exact size, index files, everything synced.
pub(super) struct Seal {
    pub handle: Rc<Handle>,
    pub file: File,
    pub size: u64,
    pub indexes: Rc<Indexes>,
    pub aborted: Rc<Vec<AbortedTxn>>,
    pub epochs: String,
    /// Everything below is synced once the segment is.
    pub upto: i64,
}

pub(super) enum Prepared {
    Opened {
        base_offset: i64,
        dirs_synced: bool,
        result: Result<(File, u64), StorageError>,
    },
    Extended {
        base_offset: i64,
        result: Result<u64, StorageError>,
    },
    Sealed {
        base_offset: i64,
        upto: i64,
        result: Result<(), StorageError>,
    },
    Synced {
        base_offset: i64,
        upto: i64,
        result: Result<(), StorageError>,
    },
    Snapshot {
        offset: i64,
        result: Result<(), StorageError>,
    },
    Unlinked {
        result: Result<(), StorageError>,
    },
}

impl Work {
    pub async fn run(self) -> Prepared {
        match self {
            Work::Open {
                handle,
                len,
                sync_dirs,
                tail,
            } => Prepared::Opened {
                base_offset: handle.base_offset,
                dirs_synced: sync_dirs,
                result: open(&handle, len, sync_dirs, tail).await,
            },
            Work::Extend { handle, file, len } => Prepared::Extended {
                base_offset: handle.base_offset,
                result: preallocate(&handle, &file, len).await,
            },
            Work::Seal(seal) => Prepared::Sealed {
                base_offset: seal.handle.base_offset,
                upto: seal.upto,
                result: seal.run(&Syncs::Each).await,
            },
            Work::Sync { handle, file, upto } => Prepared::Synced {
                base_offset: handle.base_offset,
                upto,
                result: sync(&handle, &file).await,
            },
            Work::Snapshot {
                dir,
                offset,
                content,
                outdated,
            } => Prepared::Snapshot {
                offset,
                result: write_snapshot(&dir, offset, content, outdated, &Syncs::Each).await,
            },
            Work::Unlink(removal) => Prepared::Unlinked {
                result: removal.unlink().await,
            },
        }
    }
}

impl Seal {
    /// The index files come after the sync: they tell that nothing of the segment is missing.
    pub async fn run(self, syncs: &Syncs) -> Result<(), StorageError> {
        let (path, dir, base_offset) = (self.handle.path(), &self.handle.dir, self.handle.base_offset);
        let cut = self.file.truncate(self.size).await;
        cut.map_err(|source| StorageError::io("truncate", &path, source))?;
        syncs.file(&self.file, &path).await?;
        let mut files = Vec::new();
        if self.size > 0 {
            files.extend(index_files(dir, base_offset, &self.indexes));
        }
        match txn_index::file(dir, base_offset, &self.aborted) {
            (path, None) => remove_if_there(&path).await?,
            (path, Some(content)) => files.push((path, content)),
        }
        files.push((dir.join(LEADER_EPOCHS), self.epochs.into_bytes()));
        syncs.write(files).await?;
        syncs.dirs_of(dir).await
    }
}

fn index_files(dir: &Path, base_offset: i64, indexes: &Indexes) -> [(PathBuf, Vec<u8>); 2] {
    [
        (segment_path(dir, base_offset, INDEX), indexes.offset_file()),
        (segment_path(dir, base_offset, TIME_INDEX), indexes.time_file()),
    ]
}

/// Writes both index files of a segment that is complete and synced, and not empty.
pub(super) async fn write_indexes(dir: &Path, base_offset: i64, indexes: &Indexes) -> Result<(), StorageError> {
    Syncs::Each.write(index_files(dir, base_offset, indexes).into()).await
}

pub(super) async fn remove_indexes(handle: &Handle) -> Result<(), StorageError> {
    for suffix in [INDEX, TIME_INDEX, TXN_INDEX] {
        remove_if_there(&segment_path(&handle.dir, handle.base_offset, suffix)).await?;
    }
    Ok(())
}

pub(super) async fn write_file(path: &Path, content: Vec<u8>) -> Result<(), StorageError> {
    let written = Dir::write_file(path, content).await;
    written.map_err(|source| StorageError::io("write", path, source))
}

pub(super) async fn write_snapshot(
    dir: &Path,
    offset: i64,
    content: Vec<u8>,
    outdated: Vec<i64>,
    syncs: &Syncs,
) -> Result<(), StorageError> {
    syncs
        .write(vec![(segment_path(dir, offset, SNAPSHOT), content)])
        .await?;
    for offset in outdated {
        remove_if_there(&segment_path(dir, offset, SNAPSHOT)).await?;
    }
    Ok(())
}

pub(super) async fn remove_if_there(path: &Path) -> Result<(), StorageError> {
    match Dir::remove_file(path).await {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StorageError::io("remove", path, source)),
        _ => Ok(()),
    }
}

/// The head's file and its length; an attempt that failed half-way left a file that is taken up again.
async fn open(handle: &Handle, len: u64, sync_dirs: bool, tail: Option<Tail>) -> Result<(File, u64), StorageError> {
    let path = handle.path();
    let (opened, is_filled_again) = match File::open(&path, Open::ReadWrite).await {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => (File::open(&path, Open::CreateNew).await, false),
        opened => (opened, len > 0),
    };
    let file = opened.map_err(|source| StorageError::io("open", &path, source))?;
    if is_filled_again {
        remove_indexes(handle).await?;
    }
    if let Some(tail) = tail {
        clear_behind(handle, &file, tail).await?;
    }
    if len > 0 {
        preallocate(handle, &file, len).await?;
    }
    if is_filled_again {
        // Its old length must not come back in a power cut either: the segment would look sealed, with its end missing.
        let synced = file.sync().await;
        synced.map_err(|source| StorageError::io("sync", &path, source))?;
    }
    if sync_dirs {
        sync_dirs_of(&handle.dir).await?;
    }
    Ok((file, len))
}

/// A power cut may have left batches in the last block that the file's length did not cover any more. More space would
/// bring them back as if they followed.
async fn clear_behind(handle: &Handle, file: &File, tail: Tail) -> Result<(), StorageError> {
    let mut block = Buf::zeroed(ALIGN);
    block.as_mut_slice()[..tail.bytes.len()].copy_from_slice(&tail.bytes);
    let written = file.write_at(block.freeze(), 0..ALIGN, tail.position, Sync::No).await;
    written.map_err(|source| StorageError::io("write", &handle.path(), source))
}

async fn preallocate(handle: &Handle, file: &File, len: u64) -> Result<u64, StorageError> {
    let given = file.preallocate(len).await;
    given.map_err(|source| StorageError::io("preallocate", &handle.path(), source))?;
    Ok(len)
}

async fn sync(handle: &Handle, file: &File) -> Result<(), StorageError> {
    let synced = file.sync().await;
    synced.map_err(|source| StorageError::io("sync", &handle.path(), source))?;
    sync_dirs_of(&handle.dir).await
}

/// The segment's name in the log's directory, and that directory's in the log directory.
pub(super) async fn sync_dirs_of(dir: &Path) -> Result<(), StorageError> {
    for dir in [Some(dir), dir.parent()].into_iter().flatten() {
        let synced = Dir::sync(dir).await;
        synced.map_err(|source| StorageError::io("sync directory", dir, source))?;
    }
    Ok(())
}
