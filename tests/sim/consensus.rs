//! What the controllers of a run agree by: the simulated quorum, or the real one, whose nodes keep their logs on their own
//! disks and talk over the simulated network. Of the real one, everything that a node is given is looked at:
//!
//! | promise | looked at |
//! |---|---|
//! | every node is given the same commits in the same order, without gaps | as one is given |
//! | what one node was given stays, whatever ends and starts again | the same, since who starts again is given it anew |
//! | a snapshot is what the commits up to it make | once all of those are known |
//! | so is the image of each broker | at the end |
//! | no process ends by itself but for its disk | as it ends |

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use crate::metadata::engine::{CommitError, Delta, Engine, Event, StartError, VoterChange};
use crate::metadata::engine::{Remote, SimulatedQuorum};
use crate::metadata::{AlterPartition, Image, ImageEpoch, NewVoter, QuorumState, Record};
use crate::model::{BrokerId, DirId};
use crate::rt::{Rx, Tx, lane};

/// How a disk tells that it is full, bad, or has stopped with its machine.
const OF_DISK: [&str; 3] = [
    "No space left on device",
    "Input/output error",
    "the machine has stopped",
];

/// Cheap to clone.
#[derive(Clone)]
pub enum Consensus {
    Simulated(SimulatedQuorum),
    Real(Ledger),
}

impl Consensus {
    /// The commits that are known so far.
    pub fn commits(&self) -> usize {
        match self {
            Consensus::Simulated(quorum) => quorum.commits(),
            Consensus::Real(ledger) => ledger.0.borrow().images.len() - 1,
        }
    }

    pub fn commit_at(&self, at: usize) -> Vec<Record> {
        match self {
            Consensus::Simulated(quorum) => quorum.commit_at(at),
            Consensus::Real(ledger) => ledger.0.borrow().commits[&(at as u64 + 1)].clone(),
        }
    }

    /// Told at once of commits, and of changes that are held up.
    pub fn subscribe(&self) -> Rx<()> {
        match self {
            Consensus::Simulated(quorum) => quorum.subscribe(),
            Consensus::Real(ledger) => ledger.subscribe(),
        }
    }

    /// A change of ISRs that is under way and will be for a while.
    pub fn take_held_up(&self) -> Option<AlterPartition> {
        match self {
            Consensus::Simulated(quorum) => quorum.take_held_up(),
            Consensus::Real(_) => None,
        }
    }

    /// The process of the node is gone.
    pub fn leave(&self, node: BrokerId) {
        if let Consensus::Simulated(quorum) = self {
            quorum.leave(node);
        }
    }

    /// The image of a broker, when nothing is broken any more.
    pub fn check(&self, broker: BrokerId, image: &Image) {
        if let Consensus::Real(ledger) = self {
            let known = ledger.0.borrow();
            assert!(known.begun.is_empty(), "commits before a snapshot were given to nobody");
            let made = &known.images[image.epoch.0 as usize];
            let is_same = made.to_records() == image.to_records();
            assert!(is_same, "the image of broker {} is not what the commits make", broker.0);
        }
    }
}

/// What the nodes of the real quorum were given.
#[derive(Clone)]
pub struct Ledger(Rc<RefCell<Known>>);

struct Known {
    /// By the epoch that each leads to.
    commits: BTreeMap<u64, Vec<Record>>,
    /// By epoch, as far as the commits are known without gaps.
    images: Vec<Image>,
    /// From which states nodes have begun whose commits are not all known.
    begun: Vec<(u64, Vec<Record>)>,
    subscribers: Vec<Tx<()>>,
}

impl Ledger {
    /// `image`: nothing has happened in it.
    pub fn new(image: Image) -> Ledger {
        Ledger(Rc::new(RefCell::new(Known {
            commits: BTreeMap::new(),
            images: vec![image],
            begun: Vec::new(),
            subscribers: Vec::new(),
        })))
    }

    /// The engine of a node, whose events are looked at.
    pub fn watch<E: Engine>(&self, node: BrokerId, engine: E) -> Watched<E> {
        Watched {
            node,
            engine,
            ledger: self.clone(),
            epoch: 0,
        }
    }

    fn subscribe(&self) -> Rx<()> {
        let (bell, rung) = lane(1);
        self.0.borrow_mut().subscribers.push(bell);
        rung
    }

    fn give(&self, node: BrokerId, delta: &Delta) {
        let mut known = self.0.borrow_mut();
        let epoch = delta.epoch.0;
        let first = known.commits.entry(epoch).or_insert_with(|| delta.records.clone());
        assert!(
            *first == delta.records,
            "broker {} is given another commit {epoch} than others: {:?} instead of {first:?}",
            node.0,
            delta.records
        );
        known.grow();
        // A full lane is rung already.
        known.subscribers.iter().for_each(|bell| drop(bell.try_send(())));
    }

    /// A node begins with that state.
    fn begin(&self, epoch: ImageEpoch, records: &[Record]) {
        let mut known = self.0.borrow_mut();
        known.begun.push((epoch.0, records.to_vec()));
        known.check_begun();
    }
}

impl Known {
    fn grow(&mut self) {
        while let Some(records) = self.commits.get(&(self.images.len() as u64)) {
            let mut image = self.images[self.images.len() - 1].clone();
            image.apply_all(records);
            self.images.push(image);
        }
        self.check_begun();
    }

    fn check_begun(&mut self) {
        let images = &self.images;
        let is_known = |(epoch, _): &mut (u64, Vec<Record>)| *epoch < images.len() as u64;
        for (epoch, records) in self.begun.extract_if(.., is_known) {
            assert!(
                images[epoch as usize].to_records() == records,
                "a node begins at commit {epoch} with another state than the commits make"
            );
        }
    }
}

pub struct Watched<E> {
    node: BrokerId,
    engine: E,
    ledger: Ledger,
    /// Of the last commit that the node was given in this life.
    epoch: u64,
}

impl<E: Engine> Watched<E> {
    fn look(&mut self, event: &Event) {
        match event {
            Event::Delta(delta) => {
                let (node, before, epoch) = (self.node.0, self.epoch, delta.epoch.0);
                assert!(
                    epoch == before + 1,
                    "broker {node} is given commit {epoch} after {before}"
                );
                self.epoch = epoch;
                self.ledger.give(self.node, delta);
            }
            Event::Reset(Delta { epoch, records }) => {
                let (node, before) = (self.node.0, self.epoch);
                assert!(
                    epoch.0 >= before,
                    "broker {node} is taken back from {before} to {}",
                    epoch.0
                );
                self.epoch = epoch.0;
                self.ledger.begin(*epoch, records);
            }
            Event::Fatal(error) => check_ending(self.node, error),
            _ => {}
        }
    }
}

/// A process may end by itself because of its disk only.
pub fn check_ending(node: BrokerId, error: &str) {
    let is_of_disk = OF_DISK.iter().any(|cause| error.contains(cause));
    assert!(is_of_disk, "broker {} ends: {error}", node.0);
}

impl<E: Engine> Engine for Watched<E> {
    async fn start(&mut self) -> Result<(Vec<Record>, ImageEpoch), StartError> {
        let (records, epoch) = self.engine.start().await?;
        self.epoch = epoch.0;
        if epoch.0 > 0 {
            self.ledger.begin(epoch, &records);
        }
        Ok((records, epoch))
    }

    async fn commit(&mut self, base: ImageEpoch, records: &[Record]) -> Result<ImageEpoch, CommitError> {
        self.engine.commit(base, records).await
    }

    async fn next(&mut self) -> Event {
        let event = self.engine.next().await;
        self.look(&event);
        event
    }

    async fn confirm(&self, base: ImageEpoch) -> Result<(), CommitError> {
        self.engine.confirm(base).await
    }

    async fn resign(&mut self) {
        self.engine.resign().await;
    }

    fn quorum(&self) -> Option<QuorumState> {
        self.engine.quorum()
    }

    fn add_voter(&self, new: NewVoter) -> VoterChange {
        self.engine.add_voter(new)
    }

    fn remove_voter(&self, node: BrokerId, directory: DirId) -> VoterChange {
        self.engine.remove_voter(node, directory)
    }

    fn remote(&self) -> Option<Remote> {
        self.engine.remote()
    }

    fn wants_snapshot(&self) -> bool {
        self.engine.wants_snapshot()
    }

    fn snapshot(&mut self, records: &[Record]) -> io::Result<()> {
        self.engine.snapshot(records)
    }
}
