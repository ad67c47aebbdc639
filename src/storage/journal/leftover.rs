//! What the journals of an earlier process hold: read at start, taken by each log when it is opened, removed with the last.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::PREFIX;
use super::frame::{Entry, entries, frames};
use crate::model::PartitionId;
use crate::rt::blocking;

/// The entries of a log directory's journals, by log, and the files that they came from. Where a log's bytes lie twice the
/// order does not matter: an offset is given out once in a log's life.
#[derive(Debug, Default)]
pub(in crate::storage) struct Leftover {
    logs: BTreeMap<PartitionId, Vec<Entry>>,
    files: Vec<PathBuf>,
}

impl Leftover {
    /// Reads every journal in the directory, of whatever shard: their number may be another now.
    pub fn read(dir: &Path) -> io::Result<Leftover> {
        let mut leftover = Leftover::default();
        for (name, is_dir) in blocking::list_dir(dir)? {
            let Some(number) = journal_number(&name).filter(|_| !is_dir) else {
                continue;
            };
            let path = dir.join(name);
            let file = Bytes::from(blocking::read_settled(&path)?);
            for frame in frames(&file, number) {
                let Some(found) = entries(&frame) else {
                    return Err(io::Error::other(format!(
                        "{}: a frame with impossible entries",
                        path.display()
                    )));
                };
                found.into_iter().for_each(|entry| leftover.add(entry));
            }
            leftover.files.push(path);
        }
        Ok(leftover)
    }

    /// A copy of its own: the rest of the file need not stay in memory.
    fn add(&mut self, entry: Entry) {
        let batches = Bytes::copy_from_slice(&entry.batches);
        self.logs
            .entry(entry.partition)
            .or_default()
            .push(Entry { batches, ..entry });
    }

    /// What a log is to look through.
    pub fn of(&self, partition: PartitionId) -> Vec<Entry> {
        self.logs.get(&partition).cloned().unwrap_or_default()
    }

    /// The log has what it needs, and it is durable. Gives the files once that is so for all.
    pub fn settle(&mut self, partition: PartitionId) -> Vec<PathBuf> {
        self.logs.remove(&partition);
        self.take_files()
    }

    /// Forgets the logs that there are no more.
    pub fn retain(&mut self, is_known: impl Fn(PartitionId) -> bool) -> Vec<PathBuf> {
        self.logs.retain(|partition, _| is_known(*partition));
        self.take_files()
    }

    fn take_files(&mut self) -> Vec<PathBuf> {
        match self.logs.is_empty() {
            true => std::mem::take(&mut self.files),
            false => Vec::new(),
        }
    }
}

/// The number in the name of a journal's file; `None` for any other name.
fn journal_number(name: &str) -> Option<u64> {
    let (_, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    u64::from_str_radix(number, 16).ok()
}
