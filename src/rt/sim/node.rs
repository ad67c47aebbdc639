//! Files and directories: as they are now, as a power cut would leave them, and the changes in between.

use std::collections::BTreeMap;

use super::rng::Rng;

pub const BLOCK: u64 = 4096;
pub type NodeId = u64;
/// A block of the medium.
pub type Phys = usize;

pub enum Node {
    File(FileNode),
    Dir(DirNode),
}

impl Node {
    pub fn commit(&mut self) {
        match self {
            Node::File(file) => file.journal.commit(),
            Node::Dir(dir) => dir.journal.commit(),
        }
    }

    /// The journal's timer: what was changed by then survives a power cut.
    pub fn commit_until(&mut self, nanos: u64) {
        match self {
            Node::File(file) => file.journal.commit_until(nanos),
            Node::Dir(dir) => dir.journal.commit_until(nanos),
        }
    }

    pub fn power_cut(&mut self, rng: &mut Rng) {
        match self {
            Node::File(file) => file.power_cut(rng),
            Node::Dir(dir) => dir.power_cut(rng),
        }
    }
}

/// A state, as it is now and as it is durable, and the changes from the one to the other.
pub struct Journal<S: State> {
    pub now: S,
    durable: S,
    pending: Vec<(u64, S::Change)>,
}

pub trait State: Clone + Default {
    type Change;
    fn apply(&mut self, change: &Self::Change);
}

impl<S: State> Default for Journal<S> {
    fn default() -> Journal<S> {
        Journal {
            now: S::default(),
            durable: S::default(),
            pending: Vec::new(),
        }
    }
}

impl<S: State> Journal<S> {
    pub fn change(&mut self, at_nanos: u64, change: S::Change) {
        self.now.apply(&change);
        self.pending.push((at_nanos, change));
    }

    /// Everything so far survives a power cut.
    pub fn commit(&mut self) {
        self.commit_first(self.pending.len());
    }

    fn commit_until(&mut self, nanos: u64) {
        self.commit_first(self.pending.partition_point(|(at, _)| *at <= nanos));
    }

    fn commit_first(&mut self, count: usize) {
        for (_, change) in self.pending.drain(..count) {
            self.durable.apply(&change);
        }
    }

    /// The power goes: none, some or all of what is pending has become durable. Gives the first change that has not.
    fn power_cut(&mut self, rng: &mut Rng) -> Option<S::Change> {
        let kept = match rng.below(4) {
            0 => self.pending.len(),
            1 => rng.below(self.pending.len() as u64 + 1) as usize,
            _ => 0,
        };
        self.commit_first(kept);
        let next = self.pending.drain(..).next().map(|(_, change)| change);
        self.now = self.durable.clone();
        next
    }
}

#[derive(Default)]
pub struct FileNode {
    pub journal: Journal<Extents>,
}

/// Which blocks of the medium a file's blocks are. What is not named was never written and reads as zeros.
#[derive(Clone, Default)]
pub struct Extents {
    pub len: u64,
    pub blocks: BTreeMap<u64, Phys>,
}

#[derive(Clone, Debug)]
pub enum FileChange {
    /// Direct writes into space that was never written.
    Written(Vec<(u64, Phys)>),
    Grown(u64),
    Cut(u64),
    /// Bytes in the page cache, up to this length, in blocks that the medium does not have yet.
    Appended {
        to: u64,
        blocks: Vec<(u64, Phys)>,
    },
}

impl State for Extents {
    type Change = FileChange;
    fn apply(&mut self, change: &FileChange) {
        match change {
            FileChange::Written(blocks) => self.blocks.extend(blocks.iter().copied()),
            FileChange::Grown(len) => self.len = self.len.max(*len),
            FileChange::Cut(len) => {
                self.len = *len;
                self.blocks.retain(|at, _| at * BLOCK < *len);
            }
            FileChange::Appended { to, blocks } => {
                self.len = self.len.max(*to);
                self.blocks.extend(blocks.iter().copied());
            }
        }
    }
}

impl Extents {
    pub fn allocated(&self) -> u64 {
        self.len.next_multiple_of(BLOCK)
    }
}

impl FileNode {
    /// Of the first change that is not kept whole, a part may be.
    fn power_cut(&mut self, rng: &mut Rng) {
        let durable = &mut self.journal;
        match durable.power_cut(rng) {
            Some(FileChange::Written(blocks)) if rng.one_in(2) => {
                let some = blocks.into_iter().filter(|_| rng.one_in(2)).collect();
                durable.change(0, FileChange::Written(some));
            }
            Some(FileChange::Appended { to, blocks }) => {
                // The length may have been quicker than the bytes.
                let added = to.saturating_sub(durable.now.len);
                let len = durable.now.len + rng.below(added + 1);
                let with_bytes = !rng.one_in(4);
                let blocks = blocks.into_iter().filter(|(at, _)| with_bytes && at * BLOCK < len);
                let blocks = blocks.collect();
                durable.change(0, FileChange::Appended { to: len, blocks });
            }
            _ => {}
        }
        durable.commit();
    }
}

#[derive(Default)]
pub struct DirNode {
    pub journal: Journal<Names>,
}

#[derive(Clone, Default)]
pub struct Names(pub BTreeMap<String, NodeId>);

#[derive(Clone, Debug)]
pub enum NameChange {
    Add(String, NodeId),
    Remove(String),
    Rename(String, String),
}

impl State for Names {
    type Change = NameChange;
    fn apply(&mut self, change: &NameChange) {
        match change {
            NameChange::Add(name, node) => {
                self.0.insert(name.clone(), *node);
            }
            NameChange::Remove(name) => {
                self.0.remove(name);
            }
            NameChange::Rename(from, to) => {
                if let Some(node) = self.0.remove(from) {
                    self.0.insert(to.clone(), node);
                }
            }
        }
    }
}

impl DirNode {
    fn power_cut(&mut self, rng: &mut Rng) {
        self.journal.power_cut(rng);
    }
}
