//! A direct-I/O file of this shard's executor.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use glommio::io::{DmaFile, OpenOptions};

use super::io_error;
use crate::rt::home::{Home, HomeBound, Parcel};
use crate::rt::{ALIGN, Buf, Frozen, Open, Sync};

/// Permissions of new files, before the umask.
const MODE: u32 = 0o644;

#[derive(Clone)]
pub(in crate::rt) struct File(Rc<Descriptors>);

struct Descriptors {
    plain: DmaFile,
    /// The same file opened again with O_DSYNC, by the first write that asks for it.
    dsync: RefCell<Option<Rc<DmaFile>>>,
}

impl File {
    /// Opened twice: plainly, then by its descriptor for direct I/O. glommio looks at the path again after its own open,
    /// and panics if a rename was quicker.
    pub(in crate::rt) async fn open(path: &Path, open: Open) -> io::Result<File> {
        let path = path.to_owned();
        let opened = glommio::executor().spawn_blocking(move || {
            let mut options = std::fs::OpenOptions::new();
            options
                .read(true)
                .write(open != Open::Read)
                .create_new(open == Open::CreateNew);
            options.mode(MODE).open(path)
        });
        let opened = opened.await?;
        let plain = reopen(opened.as_raw_fd(), open, 0).await?;
        Ok(File(Rc::new(Descriptors {
            plain,
            dsync: RefCell::new(None),
        })))
    }

    pub(in crate::rt) async fn write_at(
        &self,
        buf: Frozen,
        range: Range<usize>,
        pos: u64,
        sync: Sync,
    ) -> io::Result<()> {
        let len = range.len();
        let dsync = match sync {
            Sync::No => None,
            Sync::Data => Some(match self.opened_dsync() {
                Some(file) => file,
                // Once for a file: kept out of what every write is as a task.
                None => Box::pin(self.open_dsync()).await?,
            }),
        };
        let file = dsync.as_deref().unwrap_or(&self.0.plain);
        let whole = (len == buf.as_slice().len()).then(|| buf.whole_at_home()).flatten();
        let written = match whole {
            Some(memory) => file.write_rc_at(memory, pos).await,
            None => file.write_at(copy(&buf.as_slice()[range]).into_memory(), pos).await,
        };
        match written.map_err(io_error)? {
            n if n == len => Ok(()),
            n => Err(io::Error::new(
                io::ErrorKind::WriteZero,
                format!("{n} of {len} bytes written"),
            )),
        }
    }

    fn opened_dsync(&self) -> Option<Rc<DmaFile>> {
        self.0.dsync.borrow().clone()
    }

    async fn open_dsync(&self) -> io::Result<Rc<DmaFile>> {
        let file = Rc::new(reopen(self.fd(), Open::ReadWrite, libc::O_DSYNC).await?);
        // Two first writes at once both open it; the later one stays.
        self.0.dsync.replace(Some(file.clone()));
        Ok(file)
    }

    pub(in crate::rt) async fn read_at(&self, pos: u64, len: usize) -> io::Result<Bytes> {
        let first = self.read_once(pos, len).await?;
        if first.len() == len || first.is_empty() {
            return Ok(first);
        }
        self.read_on(first, pos, len).await
    }

    /// A read came back short: at the end of the file, or (seldom) in the middle. Reads on until it is clear which.
    async fn read_on(&self, first: Bytes, pos: u64, len: usize) -> io::Result<Bytes> {
        let mut all = first;
        while all.len() < len {
            let next_pos = pos + all.len() as u64;
            if next_pos >= self.len()? {
                break;
            }
            let next = self.read_once(next_pos, len - all.len()).await?;
            if next.is_empty() {
                break;
            }
            let mut joined = BytesMut::with_capacity(all.len() + next.len());
            joined.extend_from_slice(&all);
            joined.extend_from_slice(&next);
            all = joined.freeze();
        }
        Ok(all)
    }

    /// One aligned read around the bytes asked for. (glommio's own unaligned read aligns to what another disk of the
    /// same driver wants, and counts bytes past the end of the file in.)
    async fn read_once(&self, pos: u64, len: usize) -> io::Result<Bytes> {
        let Some(home) = Home::here() else {
            return Err(io::Error::other("a file is read on its shard only"));
        };
        let start = pos - pos % ALIGN as u64;
        let skip = (pos - start) as usize;
        let span = (skip + len).next_multiple_of(ALIGN);
        let read = self.0.plain.read_at_aligned(start, span).await.map_err(io_error)?;
        let available = read.len().saturating_sub(skip).min(len);
        if available == 0 {
            return Ok(Bytes::new());
        }
        Ok(Bytes::from_owner(HomeBound::new(Parcel::Read(read), home)).slice(skip..skip + available))
    }

    pub(in crate::rt) async fn preallocate(&self, len: u64) -> io::Result<()> {
        self.0.plain.pre_allocate(len, false).await.map_err(io_error)
    }

    pub(in crate::rt) async fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.plain.truncate(len).await.map_err(io_error)
    }

    pub(in crate::rt) async fn sync(&self) -> io::Result<()> {
        self.0.plain.fdatasync().await.map_err(io_error)
    }

    /// By the descriptor: glommio asks by path, which a rename leaves stale.
    pub(in crate::rt) fn len(&self) -> io::Result<u64> {
        let mut stat = std::mem::MaybeUninit::<libc::stat>::zeroed();
        // SAFETY: the descriptor is open as long as `self` lives; `stat` is valid for the call to fill.
        if unsafe { libc::fstat(self.fd(), stat.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: zeroed is a valid `stat`, and the call has filled it.
        Ok(unsafe { stat.assume_init() }.st_size as u64)
    }

    fn fd(&self) -> RawFd {
        self.0.plain.as_raw_fd()
    }
}

/// Opens the file behind a descriptor again, for direct I/O; whatever its path names by now.
async fn reopen(fd: RawFd, open: Open, flags: i32) -> io::Result<DmaFile> {
    let mut options = OpenOptions::new();
    options.read(true).write(open != Open::Read).custom_flags(flags);
    options.dma_open(format!("/proc/self/fd/{fd}")).await.map_err(io_error)
}

fn copy(bytes: &[u8]) -> Buf {
    let mut buf = Buf::with_capacity(bytes.len());
    buf.append(bytes);
    // One that has served may be larger.
    buf.truncate(bytes.len());
    buf
}
