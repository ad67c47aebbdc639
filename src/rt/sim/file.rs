//! A direct-I/O file on the simulated disk.

use std::io;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use super::executor::sleep_until;
use super::node::NodeId;
use super::{SharedDisk, current_disk, pause};
use crate::rt::{Frozen, Open, Sync};

#[derive(Clone)]
pub(in crate::rt) struct File {
    disk: SharedDisk,
    node: NodeId,
}

impl File {
    pub(in crate::rt) async fn open(path: &Path, open: Open) -> io::Result<File> {
        pause().await;
        let disk = current_disk();
        let node = match open {
            Open::Read | Open::ReadWrite => disk.lock().open(path)?,
            Open::CreateNew => disk.lock().create(path)?,
        };
        Ok(File { disk, node })
    }

    pub(in crate::rt) async fn write_at(
        &self,
        buf: Frozen,
        range: Range<usize>,
        pos: u64,
        sync: Sync,
    ) -> io::Result<()> {
        let bytes = &buf.as_slice()[range];
        let (write, due_nanos) = self
            .disk
            .lock()
            .submit_write(self.node, pos, bytes, sync == Sync::Data)?;
        sleep_until(due_nanos).await;
        self.disk.lock().take_result(write)
    }

    pub(in crate::rt) async fn read_at(&self, pos: u64, len: usize) -> io::Result<Bytes> {
        pause().await;
        Ok(Bytes::from(self.disk.lock().read(self.node, pos, len)?))
    }

    pub(in crate::rt) async fn preallocate(&self, len: u64) -> io::Result<()> {
        pause().await;
        self.disk.lock().grow(self.node, len)
    }

    pub(in crate::rt) async fn truncate(&self, len: u64) -> io::Result<()> {
        pause().await;
        self.disk.lock().cut(self.node, len)
    }

    pub(in crate::rt) async fn sync(&self) -> io::Result<()> {
        pause().await;
        self.disk.lock().sync(self.node)
    }

    pub(in crate::rt) fn len(&self) -> io::Result<u64> {
        self.disk.lock().len(self.node)
    }
}
