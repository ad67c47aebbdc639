//! A compacted segment takes the place of those that it was made from, so that a crash at any moment leaves one or the other.
//!
//! ```text
//!   B.log.cleaned, B.index.cleaned, …      written and synced; a start removes them
//!   B.index.swap, …                        renamed and synced; a start removes them, as long as there is no B.log.swap
//!   B.log.swap                             renamed and synced: from here on a start finishes what follows
//!   older segments inside its range go;  B.index, … take their names;  last of all B.log takes its own
//! ```
//!
//! The names are Kafka's. The range of B.log.swap ends behind its last batch, which compaction keeps at least as a header.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::rt::{Dir, File, Open};
use crate::storage::StorageError;
use crate::storage::layout::{
    CLEANED, INDEX, LOG, SWAP, TIME_INDEX, TXN_INDEX, parse_segment_name, segment_path, with_suffix,
};
use crate::storage::prepare::remove_if_there;
use crate::storage::retention::Removal;
use crate::storage::scan::{Scan, ScanFrom};
use crate::storage::segment::Handle;

/// The file work of one exchange, once the log reads from the new segment.
pub(in crate::storage) struct Swap {
    pub dir: PathBuf,
    pub base_offset: i64,
    /// The segments behind the first one that it takes the place of.
    pub outdated: Vec<Rc<Handle>>,
    pub has_txn_index: bool,
}

impl Swap {
    pub async fn run(self) -> Result<(), StorageError> {
        let dir = &self.dir;
        let mut indexes = vec![INDEX, TIME_INDEX];
        if self.has_txn_index {
            indexes.push(TXN_INDEX);
        }
        for suffix in indexes {
            let path = segment_path(dir, self.base_offset, suffix);
            rename(&with_suffix(&path, CLEANED), &with_suffix(&path, SWAP)).await?;
        }
        sync(dir).await?;
        let path = segment_path(dir, self.base_offset, LOG);
        rename(&with_suffix(&path, CLEANED), &with_suffix(&path, SWAP)).await?;
        sync(dir).await?;
        finish(dir, self.base_offset, self.outdated).await
    }
}

/// Finishes or undoes the exchanges that a crash has interrupted. True if the directory has changed.
pub(in crate::storage) async fn recover(dir: &Path, names: &[(String, bool)]) -> Result<bool, StorageError> {
    let is_left = |name: &&String| name.ends_with(CLEANED) || name.ends_with(SWAP);
    let left: Vec<&String> = names.iter().map(|(name, _)| name).filter(is_left).collect();
    for name in &left {
        let Some(base_offset) = swap_base(name) else { continue };
        let outdated = outdated_by(dir, base_offset, names).await?;
        finish(dir, base_offset, outdated).await?;
        tracing::info!(dir = %dir.display(), base_offset, "interrupted exchange of a compacted segment is finished");
    }
    for name in &left {
        remove_if_there(&dir.join(name)).await?;
    }
    Ok(!left.is_empty())
}

/// The base offset of a segment that is complete and on its way to its name.
fn swap_base(name: &str) -> Option<i64> {
    let (base_offset, suffix) = parse_segment_name(name)?;
    (suffix.strip_suffix(SWAP) == Some(LOG)).then_some(base_offset)
}

/// The segments inside the range of the new one, but for the first, whose name it takes.
async fn outdated_by(dir: &Path, base_offset: i64, names: &[(String, bool)]) -> Result<Vec<Rc<Handle>>, StorageError> {
    let path = with_suffix(&segment_path(dir, base_offset, LOG), SWAP);
    let opened = File::open(&path, Open::Read).await;
    let file = opened.map_err(|source| StorageError::io("open", &path, source))?;
    let len = file
        .len()
        .await
        .map_err(|source| StorageError::io("stat", &path, source))?;
    let scan = Scan {
        file: &file,
        path: &path,
        len,
    };
    let from = ScanFrom {
        position: 0,
        next_offset: base_offset,
        epoch: -1,
        check_crc: false,
    };
    let end = scan.run(from, &mut |_| {}).await?.next_offset;
    let segments = names.iter().filter_map(|(name, _)| match parse_segment_name(name) {
        Some((base, LOG)) => Some(base),
        _ => None,
    });
    let inside = segments.filter(|base| (base_offset + 1..end).contains(base));
    Ok(inside.map(|base| Handle::new(dir, base)).collect())
}

async fn finish(dir: &Path, base_offset: i64, outdated: Vec<Rc<Handle>>) -> Result<(), StorageError> {
    Removal { handles: outdated }.run().await?;
    for suffix in [INDEX, TIME_INDEX, TXN_INDEX] {
        let path = segment_path(dir, base_offset, suffix);
        match rename(&with_suffix(&path, SWAP), &path).await {
            // It has its name already, or there is none.
            Err(StorageError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            result => result?,
        }
    }
    sync(dir).await?;
    let path = segment_path(dir, base_offset, LOG);
    rename(&with_suffix(&path, SWAP), &path).await?;
    sync(dir).await
}

async fn rename(from: &Path, to: &Path) -> Result<(), StorageError> {
    let renamed = Dir::rename(from, to).await;
    renamed.map_err(|source| StorageError::io("rename", from, source))
}

async fn sync(dir: &Path) -> Result<(), StorageError> {
    let synced = Dir::sync(dir).await;
    synced.map_err(|source| StorageError::io("sync directory", dir, source))
}
