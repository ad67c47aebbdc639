//! The simulated disk: a tree of files, direct and buffered access to them, faults, and what a crash leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

use super::clock::Clock;
use super::fault::{Failing, FaultPlan, WriteFault};
use super::host::Crash;
use super::node::{BLOCK, DirNode, FileChange, FileNode, NameChange, Node, NodeId, Phys};
use super::rng::Rng;
use super::trace::{Event, Trace};

/// After this long the journal has taken note of a change by itself.
pub const JOURNAL_MS: u64 = 5_000;
/// A device may land less than a block when it is stopped in the middle.
const SECTOR: usize = 512;
const LATENCY_NANOS_MIN: u64 = 10_000;
const LATENCY_NANOS_MAX: u64 = 500_000;
/// What a disk says that it holds if the plan does not; nothing fills it.
const CAPACITY_BYTES: u64 = 1 << 40;
const ROOT: NodeId = 0;
/// When a write completes that does not.
pub const NEVER: u64 = u64::MAX;

pub struct Disk {
    rng: Rng,
    plan: FaultPlan,
    clock: Clock,
    medium: Vec<Box<[u8; BLOCK as usize]>>,
    nodes: BTreeMap<NodeId, Node>,
    next_node: NodeId,
    /// The directory that each lies in.
    parents: BTreeMap<NodeId, NodeId>,
    /// Below which directory the medium is bad, and for what.
    failing: Option<(NodeId, Failing)>,
    failures: u64,
    /// Everything takes so many times as long.
    slowness: u64,
    locks: BTreeSet<NodeId>,
    in_flight: BTreeMap<u64, Flight>,
    results: BTreeMap<u64, io::Result<()>>,
    next_flight: u64,
    ops: u64,
    writes: u64,
    syncs: u64,
    is_stopped: bool,
    trace: Trace,
}

/// A direct write that was submitted and has not completed.
#[derive(Clone)]
struct Flight {
    node: NodeId,
    position: u64,
    bytes: Vec<u8>,
    sync: bool,
    due_nanos: u64,
    fault: Option<WriteFault>,
}

impl Disk {
    pub fn new(rng: Rng, plan: FaultPlan, clock: Clock) -> Disk {
        Disk {
            rng,
            plan,
            clock,
            medium: Vec::new(),
            nodes: BTreeMap::from([(ROOT, Node::Dir(DirNode::default()))]),
            next_node: ROOT + 1,
            parents: BTreeMap::new(),
            failing: None,
            failures: 0,
            slowness: 1,
            locks: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            results: BTreeMap::new(),
            next_flight: 0,
            ops: 0,
            writes: 0,
            syncs: 0,
            is_stopped: false,
            trace: Trace::default(),
        }
    }

    pub fn set_plan(&mut self, plan: FaultPlan) {
        self.plan = plan;
        (self.ops, self.writes, self.syncs) = (0, 0, 0);
    }

    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    pub fn ops(&self) -> u64 {
        self.ops
    }

    pub fn trace(&self) -> (u64, Vec<Event>) {
        self.trace.read()
    }

    pub fn latency_nanos(&mut self) -> u64 {
        self.slowness * (LATENCY_NANOS_MIN + self.rng.below(LATENCY_NANOS_MAX - LATENCY_NANOS_MIN))
    }

    /// Time has passed: writes complete that are due.
    pub fn complete_due(&mut self) {
        let now_nanos = self.clock.now_nanos();
        let mut due: Vec<(u64, u64)> = self
            .in_flight
            .iter()
            .map(|(id, flight)| (flight.due_nanos, *id))
            .filter(|(at, _)| *at <= now_nanos)
            .collect();
        due.sort_unstable();
        for (_, id) in due {
            self.complete(id);
        }
        let next = self.in_flight.values().map(|flight| flight.due_nanos).min();
        self.clock.note_due(next.unwrap_or(NEVER));
    }

    // Direct files.

    /// Starts a direct write; when it completes, and its number for [`Disk::take_result`].
    pub fn submit_write(&mut self, node: NodeId, position: u64, bytes: &[u8], sync: bool) -> io::Result<(u64, u64)> {
        self.step("write", node, position, bytes.len() as u64)?;
        self.writes += 1;
        let mut fault = self.plan.writes.get(&self.writes).copied();
        if sync && self.is_sync_failing(node) {
            fault = Some(WriteFault::Eio);
        }
        let never = matches!(fault, Some(WriteFault::Tear | WriteFault::Lose | WriteFault::Land));
        let latency_nanos = self.latency_nanos();
        let due_nanos = if never {
            NEVER
        } else {
            self.clock.now_nanos() + latency_nanos
        };
        self.clock.note_due(due_nanos);
        let id = self.next_flight;
        self.next_flight += 1;
        let flight = Flight {
            node,
            position,
            bytes: bytes.to_vec(),
            sync,
            due_nanos,
            fault,
        };
        self.in_flight.insert(id, flight);
        Ok((id, due_nanos))
    }

    /// The result of a write that has completed.
    pub fn take_result(&mut self, id: u64) -> io::Result<()> {
        self.results.remove(&id).unwrap_or_else(|| Err(stopped()))
    }

    pub fn read(&mut self, node: NodeId, position: u64, len: usize) -> io::Result<Vec<u8>> {
        self.step("read", node, position, len as u64)?;
        Ok(self.content(node, position, len))
    }

    pub fn grow(&mut self, node: NodeId, len: u64) -> io::Result<()> {
        self.step("grow", node, 0, len)?;
        let before = self.file(node).journal.now.allocated();
        self.need_space(len.next_multiple_of(BLOCK).saturating_sub(before))?;
        if len > self.file(node).journal.now.len {
            self.change(node, FileChange::Grown(len));
        }
        Ok(())
    }

    pub fn cut(&mut self, node: NodeId, len: u64) -> io::Result<()> {
        self.step("cut", node, 0, len)?;
        if len >= self.file(node).journal.now.len {
            if len > self.file(node).journal.now.len {
                self.change(node, FileChange::Grown(len));
            }
            return Ok(());
        }
        self.change(node, FileChange::Cut(len));
        // The rest of the last block is zeroed in place.
        if let Some(phys) = self.file(node).journal.now.blocks.get(&(len / BLOCK)).copied() {
            self.medium[phys][(len % BLOCK) as usize..].fill(0);
        }
        Ok(())
    }

    pub fn sync(&mut self, node: NodeId) -> io::Result<()> {
        self.step("sync", node, 0, 0)?;
        let fails = self.is_sync_failing(node);
        if fails && !self.rng.one_in(2) {
            return Err(eio());
        }
        if let Some(node) = self.nodes.get_mut(&node) {
            node.commit();
        }
        if fails { Err(eio()) } else { Ok(()) }
    }

    /// All files and directories.
    pub fn sync_all(&mut self) -> io::Result<()> {
        self.step("sync", ROOT, 0, 0)?;
        let weakest = self.failing.map_or(ROOT, |(dir, _)| dir);
        if self.is_sync_failing(weakest) {
            return Err(eio());
        }
        self.nodes.values_mut().for_each(Node::commit);
        Ok(())
    }

    pub fn len(&mut self, node: NodeId) -> io::Result<u64> {
        self.step("stat", node, 0, 0)?;
        Ok(self.file(node).journal.now.len)
    }

    // Buffered files.

    /// Adds bytes at the end, into the page cache. A machine that stops here has added some of them.
    pub fn append(&mut self, node: NodeId, bytes: &[u8]) -> io::Result<()> {
        let space = self.file(node).journal.now.len.next_multiple_of(BLOCK) - self.file(node).journal.now.len;
        if let Err(error) = self.step("append", node, self.file(node).journal.now.len, bytes.len() as u64) {
            if !self.was_stopped_before() {
                let part = self.rng.below(bytes.len() as u64 + 1) as usize;
                self.append_now(node, &bytes[..part]);
            }
            return Err(error);
        }
        self.need_space((bytes.len() as u64).saturating_sub(space))?;
        self.append_now(node, bytes);
        Ok(())
    }

    // Names.

    pub fn open(&mut self, path: &Path) -> io::Result<NodeId> {
        self.step("open", ROOT, 0, 0)?;
        let node = self.find(path)?;
        match self.nodes.get(&node) {
            Some(Node::File(_)) => Ok(node),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// A new, empty file.
    pub fn create(&mut self, path: &Path) -> io::Result<NodeId> {
        self.add(path, Node::File(FileNode::default()))
    }

    pub fn create_dir(&mut self, path: &Path) -> io::Result<NodeId> {
        self.add(path, Node::Dir(DirNode::default()))
    }

    /// The names of a directory, in no particular order.
    pub fn list(&mut self, path: &Path) -> io::Result<Vec<(String, bool)>> {
        let node = self.find(path)?;
        self.step("list", node, 0, 0)?;
        let names = self.dir(node)?.journal.now.0.clone();
        let is_dir = |node: &NodeId| matches!(self.nodes.get(node), Some(Node::Dir(_)));
        let mut names: Vec<(String, bool)> = names.into_iter().map(|(name, node)| (name, is_dir(&node))).collect();
        self.rng.shuffle(&mut names);
        Ok(names)
    }

    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.parent_and_name(path)?;
        let node = self.child(dir, &name)?;
        self.step("remove", node, 0, 0)?;
        self.change_name(dir, NameChange::Remove(name))
    }

    /// Within one directory, as everything here does it.
    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_dir, from_name) = self.parent_and_name(from)?;
        let (to_dir, to_name) = self.parent_and_name(to)?;
        let node = self.child(from_dir, &from_name)?;
        self.step("rename", node, from_dir, to_dir)?;
        if from_dir != to_dir {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.change_name(from_dir, NameChange::Rename(from_name, to_name))
    }

    pub fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut node = ROOT;
        for name in names_of(path) {
            node = self.child(node, &name?)?;
        }
        Ok(node)
    }

    pub fn is_dir(&self, path: &Path) -> bool {
        self.find(path)
            .is_ok_and(|node| matches!(self.nodes.get(&node), Some(Node::Dir(_))))
    }

    /// Free and total bytes.
    pub fn space(&self) -> (u64, u64) {
        let total = self.plan.capacity_bytes.unwrap_or(CAPACITY_BYTES);
        (total.saturating_sub(self.used_below(ROOT)), total)
    }

    /// From now on it holds what it does and so many bytes more.
    pub fn fill(&mut self, spare: u64) {
        self.plan.capacity_bytes = Some(self.used_below(ROOT) + spare);
    }

    /// What is below the directory is bad from now on, for these operations.
    pub fn fail(&mut self, path: &Path, what: Failing) -> io::Result<()> {
        self.failing = Some((self.find(path)?, what));
        Ok(())
    }

    /// How many operations have met a bad medium.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// From now on everything takes so many times as long as by a disk that is well.
    pub fn slow_down(&mut self, slowness: u64) {
        self.slowness = slowness;
    }

    /// It is neither full nor bad nor slow nor about to stop.
    pub fn clear(&mut self) {
        self.slowness = 1;
        (self.plan.capacity_bytes, self.plan.stop_at_op, self.failing) = (None, None, None);
    }

    /// The machine stops at that operation from now on.
    pub fn stop_in(&mut self, operation: u64) {
        self.plan.stop_at_op = Some(self.ops + operation);
    }

    /// False if somebody holds it.
    pub fn try_lock(&mut self, node: NodeId) -> bool {
        self.locks.insert(node)
    }

    pub fn unlock(&mut self, node: NodeId) {
        self.locks.remove(&node);
    }

    // Crashes.

    /// The disk as the next process finds it.
    pub fn after(&mut self, crash: Crash) -> Disk {
        let flights = std::mem::take(&mut self.in_flight);
        for (_, flight) in flights {
            self.land_part(flight, crash);
        }
        if crash == Crash::PowerCut {
            self.cut_power();
        }
        let note = match crash {
            Crash::Kill => "kill",
            Crash::PowerCut => "power cut",
        };
        self.note(note, ROOT, 0, 0);
        Disk {
            rng: self.rng.fork(),
            medium: std::mem::take(&mut self.medium),
            nodes: std::mem::take(&mut self.nodes),
            next_node: self.next_node,
            parents: std::mem::take(&mut self.parents),
            trace: std::mem::take(&mut self.trace),
            ..Disk::new(Rng::new(0), FaultPlan::none(), self.clock())
        }
    }

    pub fn flip_bit(&mut self, path: &Path, position: u64, bit: u8) {
        let node = self.find(path).expect("no such file");
        let phys = self.file(node).journal.now.blocks.get(&(position / BLOCK)).copied();
        let phys = phys.expect("nothing was written there");
        self.medium[phys][(position % BLOCK) as usize] ^= 1 << bit;
        self.note("flip", node, position, u64::from(bit));
    }

    fn cut_power(&mut self) {
        if let Some(nanos) = self.clock.now_nanos().checked_sub(JOURNAL_MS * 1_000_000) {
            self.nodes.values_mut().for_each(|node| node.commit_until(nanos));
        }
        for node in self.nodes.values_mut() {
            node.power_cut(&mut self.rng);
        }
    }

    /// A write that was in flight at the crash.
    fn land_part(&mut self, flight: Flight, crash: Crash) {
        let sectors = flight.bytes.len() / SECTOR;
        let mut landed = vec![false; sectors];
        let fault = flight.fault;
        match (fault, self.rng.below(4)) {
            (Some(WriteFault::Lose | WriteFault::Lie), _) => {}
            (Some(WriteFault::Land), _) => landed.fill(true),
            (Some(WriteFault::Tear), _) => {
                let whole_blocks = self.rng.one_in(2);
                self.tear(&mut landed, whole_blocks);
            }
            (_, 0) => {}
            (_, 1) => landed.fill(true),
            (_, 2) => self.tear(&mut landed, true),
            (_, _) => self.tear(&mut landed, false),
        }
        let is_whole = landed.iter().all(|landed| *landed);
        self.note(
            "torn",
            flight.node,
            flight.position,
            landed.iter().filter(|x| **x).count() as u64,
        );
        match crash {
            // The kernel goes on; only the process is gone.
            Crash::Kill => self.land(&flight, &landed),
            Crash::PowerCut => {
                let converted = is_whole && flight.sync && self.rng.one_in(2);
                if converted {
                    self.land(&flight, &landed);
                    self.file_mut(flight.node).journal.commit();
                } else {
                    self.land_on_written(&flight, &landed);
                }
            }
        }
    }

    /// Some, but neither all nor none, if there are two; in pieces of whole blocks or of sectors.
    fn tear(&mut self, landed: &mut [bool], whole_blocks: bool) {
        let piece = if whole_blocks { BLOCK as usize / SECTOR } else { 1 };
        let pieces = landed.len().div_ceil(piece) as u64;
        let (yes, no) = (self.rng.below(pieces), self.rng.below(pieces));
        for (at, piece) in landed.chunks_mut(piece).enumerate() {
            let lands = (self.rng.one_in(2) || at as u64 == yes) && at as u64 != no;
            piece.fill(lands);
        }
    }

    fn complete(&mut self, id: u64) {
        let Some(flight) = self.in_flight.remove(&id) else {
            return;
        };
        let sectors = flight.bytes.len() / SECTOR;
        let result = match flight.fault {
            Some(WriteFault::Lie) => Ok(()),
            Some(WriteFault::Eio) => {
                let landed: Vec<bool> = (0..sectors).map(|_| self.rng.one_in(2)).collect();
                self.land(&flight, &landed);
                Err(eio())
            }
            _ => {
                self.land(&flight, &vec![true; sectors]);
                if flight.sync {
                    self.file_mut(flight.node).journal.commit();
                }
                Ok(())
            }
        };
        self.note("written", flight.node, flight.position, flight.bytes.len() as u64);
        self.results.insert(id, result);
    }

    /// Sectors reach the medium and are seen by readers.
    fn land(&mut self, flight: &Flight, landed: &[bool]) {
        let mut new_blocks = Vec::new();
        for (at, piece) in flight.bytes.chunks(BLOCK as usize).enumerate() {
            let block = flight.position / BLOCK + at as u64;
            let sectors = &landed[at * BLOCK as usize / SECTOR..][..piece.len() / SECTOR];
            if !sectors.contains(&true) {
                continue;
            }
            let phys = match self.file(flight.node).journal.now.blocks.get(&block) {
                Some(phys) => *phys,
                None => {
                    let phys = self.new_block();
                    new_blocks.push((block, phys));
                    phys
                }
            };
            land_sectors(&mut self.medium[phys][..], piece, sectors);
        }
        if !new_blocks.is_empty() {
            self.change(flight.node, FileChange::Written(new_blocks));
        }
        let end = flight.position + flight.bytes.len() as u64;
        if landed.contains(&true) && end > self.file(flight.node).journal.now.len {
            self.change(flight.node, FileChange::Grown(end));
        }
    }

    /// Sectors of blocks that the medium has already; the rest was space that still counts as unwritten.
    fn land_on_written(&mut self, flight: &Flight, landed: &[bool]) {
        for (at, piece) in flight.bytes.chunks(BLOCK as usize).enumerate() {
            let block = flight.position / BLOCK + at as u64;
            let sectors = &landed[at * BLOCK as usize / SECTOR..][..piece.len() / SECTOR];
            if let Some(phys) = self.file(flight.node).journal.now.blocks.get(&block).copied() {
                land_sectors(&mut self.medium[phys][..], piece, sectors);
            }
        }
    }

    fn append_now(&mut self, node: NodeId, bytes: &[u8]) {
        let from = self.file(node).journal.now.len;
        let mut blocks = Vec::new();
        let (mut at, mut rest) = (from, bytes);
        while !rest.is_empty() {
            let (block, skip) = (at / BLOCK, (at % BLOCK) as usize);
            let (piece, later) = rest.split_at(rest.len().min(BLOCK as usize - skip));
            // A block of its own: the medium keeps the old one until the page cache is written back.
            let phys = self.new_block();
            if let Some(old) = self.file(node).journal.now.blocks.get(&block).copied() {
                self.medium[phys] = self.medium[old].clone();
            }
            self.medium[phys][skip..skip + piece.len()].copy_from_slice(piece);
            blocks.push((block, phys));
            at += piece.len() as u64;
            rest = later;
        }
        self.change(node, FileChange::Appended { to: at, blocks });
    }

    fn content(&self, node: NodeId, position: u64, len: usize) -> Vec<u8> {
        let file = &self.file(node).journal.now;
        let end = file.len.min(position.saturating_add(len as u64));
        let mut bytes = Vec::with_capacity(end.saturating_sub(position) as usize);
        let mut at = position;
        while at < end {
            let skip = (at % BLOCK) as usize;
            let take = (end - at).min(BLOCK - skip as u64) as usize;
            match file.blocks.get(&(at / BLOCK)) {
                Some(phys) => bytes.extend_from_slice(&self.medium[*phys][skip..skip + take]),
                None => bytes.resize(bytes.len() + take, 0),
            }
            at += take as u64;
        }
        bytes
    }

    /// Counts an operation; fails it where the plan says so.
    fn step(&mut self, what: &'static str, node: NodeId, from: u64, len: u64) -> io::Result<()> {
        self.ops += 1;
        if self.plan.stop_at_op.is_some_and(|at| self.ops >= at) {
            self.is_stopped = true;
            return Err(stopped());
        }
        self.note(what, node, from, len);
        if operation(what) != Failing::Syncs && self.is_failing(operation(what), node) {
            return Err(eio());
        }
        if self.plan.eio_per_mille > 0 && self.rng.below(1000) < self.plan.eio_per_mille {
            return Err(eio());
        }
        Ok(())
    }

    /// Whether operations had failed before this one because the machine stands still.
    fn was_stopped_before(&self) -> bool {
        self.plan.stop_at_op != Some(self.ops)
    }

    fn is_sync_failing(&mut self, node: NodeId) -> bool {
        self.syncs += 1;
        self.plan.syncs.contains(&self.syncs) || self.is_failing(Failing::Syncs, node)
    }

    fn is_failing(&mut self, operation: Failing, node: NodeId) -> bool {
        let Some((dir, _)) = self.failing.filter(|(_, what)| *what == operation) else {
            return false;
        };
        let mut above = Some(node);
        while above.is_some_and(|node| node != dir) {
            above = above.and_then(|node| self.parents.get(&node).copied());
        }
        self.failures += u64::from(above.is_some());
        above.is_some()
    }

    fn note(&mut self, what: &'static str, node: NodeId, from: u64, len: u64) {
        self.trace.note(Event {
            at_nanos: self.clock.now_nanos(),
            what,
            node,
            from,
            len,
        });
    }

    fn add(&mut self, path: &Path, node: Node) -> io::Result<NodeId> {
        let (dir, name) = self.parent_and_name(path)?;
        let id = self.next_node;
        self.parents.insert(id, dir);
        self.step("create", id, dir, 0)?;
        if self.dir(dir)?.journal.now.0.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.need_space(BLOCK)?;
        self.next_node += 1;
        self.nodes.insert(id, node);
        self.change_name(dir, NameChange::Add(name, id))?;
        Ok(id)
    }

    fn need_space(&self, bytes: u64) -> io::Result<()> {
        if self.plan.capacity_bytes.is_some() && bytes > self.space().0 {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        Ok(())
    }

    fn used_below(&self, node: NodeId) -> u64 {
        match self.nodes.get(&node) {
            Some(Node::File(file)) => file.journal.now.allocated(),
            Some(Node::Dir(dir)) => {
                BLOCK
                    + dir
                        .journal
                        .now
                        .0
                        .values()
                        .map(|node| self.used_below(*node))
                        .sum::<u64>()
            }
            None => 0,
        }
    }

    fn new_block(&mut self) -> Phys {
        self.medium.push(Box::new([0; BLOCK as usize]));
        self.medium.len() - 1
    }

    fn change(&mut self, node: NodeId, change: FileChange) {
        let now_nanos = self.clock.now_nanos();
        self.file_mut(node).journal.change(now_nanos, change);
    }

    fn change_name(&mut self, dir: NodeId, change: NameChange) -> io::Result<()> {
        let now_nanos = self.clock.now_nanos();
        match self.nodes.get_mut(&dir) {
            Some(Node::Dir(dir)) => {
                dir.journal.change(now_nanos, change);
                Ok(())
            }
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn file(&self, node: NodeId) -> &FileNode {
        match self.nodes.get(&node) {
            Some(Node::File(file)) => file,
            _ => panic!("node {node} is no file of this disk: a handle from before a crash?"),
        }
    }

    fn file_mut(&mut self, node: NodeId) -> &mut FileNode {
        match self.nodes.get_mut(&node) {
            Some(Node::File(file)) => file,
            _ => panic!("node {node} is no file of this disk: a handle from before a crash?"),
        }
    }

    fn dir(&self, node: NodeId) -> io::Result<&DirNode> {
        match self.nodes.get(&node) {
            Some(Node::Dir(dir)) => Ok(dir),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn child(&self, dir: NodeId, name: &str) -> io::Result<NodeId> {
        let found = self.dir(dir)?.journal.now.0.get(name).copied();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn parent_and_name(&self, path: &Path) -> io::Result<(NodeId, String)> {
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let name = path.file_name().and_then(|name| name.to_str());
        Ok((self.find(parent)?, name.ok_or(io::ErrorKind::InvalidInput)?.to_owned()))
    }
}

fn operation(what: &str) -> Failing {
    match what {
        "read" | "list" | "stat" | "open" => Failing::Reads,
        "sync" => Failing::Syncs,
        _ => Failing::Writes,
    }
}

fn names_of(path: &Path) -> impl Iterator<Item = io::Result<String>> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(
            name.to_str()
                .map(str::to_owned)
                .ok_or_else(|| io::ErrorKind::InvalidInput.into()),
        ),
        Component::ParentDir => Some(Err(io::ErrorKind::InvalidInput.into())),
        _ => None,
    })
}

fn land_sectors(block: &mut [u8], bytes: &[u8], landed: &[bool]) {
    let pairs = block.chunks_mut(SECTOR).zip(bytes.chunks(SECTOR));
    for ((old, new), _) in pairs.zip(landed).filter(|(_, landed)| **landed) {
        old.copy_from_slice(new);
    }
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

fn stopped() -> io::Error {
    io::Error::other("the machine has stopped")
}
