//! A quorum without its consensus, for simulated clusters: one log of commits, which its nodes come to see late, and one
//! controller at a time, elected by whoever reaches most of them. What is sent between two nodes follows the simulated
//! network: it is late, it waits where the link is cut, and it may arrive when its sender has given up long since.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::or;

use super::{Answered, CommitError, Delta, Engine, Event, NoAnswer, Remote, StartError};
use crate::metadata::command::{AlterPartition, Command};
use crate::metadata::handle::Handle;
use crate::metadata::image::ImageEpoch;
use crate::metadata::record::Record;
use crate::model::BrokerId;
use crate::rt::sim::{HostId, Plane, is_cut, is_still, latency, ms, on_heal, paced};
use crate::rt::{self, Instant, Rx, Tx, lane};

/// How often it is looked whether the controller still reaches most nodes; two failures in a row depose it.
const LOOK_EVERY: Duration = Duration::from_millis(400);
const COMMIT_PATIENCE: Duration = Duration::from_secs(1);
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// One commit in so many is made, and its node does not learn so.
const UNDECIDED_ONE_IN: u64 = 50;
/// How long a message may wait for a link that is cut, whatever its sender does.
const UNDER_WAY_MAX: Duration = Duration::from_secs(20);
/// One change of ISRs in so many is held up for seconds on its way, and what was sent later overtakes it.
const HELD_UP_ONE_IN: u64 = 5;
const HELD_UP_MS_MIN: u64 = 1_000;
const HELD_UP_MS_MAX: u64 = 6_000;
/// How long it takes at most until the controller knows that a process has ended.
const GONE_MS_MAX: u64 = 1_000;
/// How many of the newest commits a node may lack at its start.
const LACKING_MAX: u64 = 3;

/// Cheap to clone.
#[derive(Clone)]
pub struct SimulatedQuorum(Rc<RefCell<Shared>>);

struct Shared {
    nodes: Vec<BrokerId>,
    commits: Vec<Vec<Record>>,
    term: u64,
    controller: Option<BrokerId>,
    /// The processes that run.
    seats: BTreeMap<BrokerId, Seat>,
    /// The others that ran, with the time at which a controller that reaches their machine knows that they have ended.
    gone: BTreeMap<BrokerId, Instant>,
    lives: u64,
    /// The last change of ISRs that was held up.
    held_up: Option<AlterPartition>,
    /// Rung at each commit, and where a change is held up.
    subscribers: Vec<Tx<()>>,
}

#[derive(Clone)]
struct Seat {
    handle: Handle,
    bell: Tx<()>,
    life: u64,
}

/// A broker and its machine have the same number.
fn host(node: BrokerId) -> HostId {
    HostId(node.0 as u8)
}

fn is_link_cut(from: BrokerId, to: BrokerId) -> bool {
    from != to && is_cut(Plane::Control, host(from), host(to))
}

impl SimulatedQuorum {
    pub fn new(nodes: Vec<BrokerId>) -> SimulatedQuorum {
        SimulatedQuorum(Rc::new(RefCell::new(Shared {
            nodes,
            commits: Vec::new(),
            term: 0,
            controller: None,
            seats: BTreeMap::new(),
            gone: BTreeMap::new(),
            lives: 0,
            held_up: None,
            subscribers: Vec::new(),
        })))
    }

    /// Sees to it that there is a controller, for as long as the world lasts.
    pub async fn run(self) {
        let mut failures = 0;
        loop {
            rt::sleep(paced(LOOK_EVERY)).await;
            let controller = self.0.borrow().controller;
            failures = match controller.is_some_and(|node| self.reaches_most(node)) {
                true => 0,
                false => failures + 1,
            };
            if failures > 1 {
                self.elect();
            }
        }
    }

    /// All commits so far.
    pub fn commits(&self) -> usize {
        self.0.borrow().commits.len()
    }

    pub fn commit_at(&self, at: usize) -> Vec<Record> {
        self.0.borrow().commits[at].clone()
    }

    pub fn controller(&self) -> Option<BrokerId> {
        self.0.borrow().controller
    }

    /// A change of ISRs that is under way and will be for a while.
    pub fn take_held_up(&self) -> Option<AlterPartition> {
        self.0.borrow_mut().held_up.take()
    }

    /// Told at once of commits, and of changes that are held up.
    pub fn subscribe(&self) -> Rx<()> {
        let (bell, rung) = lane(1);
        self.0.borrow_mut().subscribers.push(bell);
        rung
    }

    /// The process of the node is gone.
    pub fn leave(&self, node: BrokerId) {
        let known = ms(rt::random_u64() % GONE_MS_MAX);
        let mut shared = self.0.borrow_mut();
        if shared.seats.remove(&node).is_some() {
            shared.gone.insert(node, rt::now().after(known));
            shared.ring();
        }
    }

    /// The engine of a process that begins there.
    pub fn engine(&self, me: BrokerId, handle: &Handle) -> SimulatedEngine {
        let (bell, rung) = lane(1);
        let mut shared = self.0.borrow_mut();
        shared.lives += 1;
        let seat = Seat {
            handle: handle.clone(),
            bell,
            life: shared.lives,
        };
        shared.seats.insert(me, seat);
        shared.gone.remove(&me);
        drop(shared);
        let quorum = self.clone();
        let ask = move |node, command: &Command, within| -> std::pin::Pin<Box<dyn Future<Output = _>>> {
            Box::pin(quorum.clone().ask(me, node, command.clone(), within))
        };
        SimulatedEngine {
            quorum: self.clone(),
            me,
            remote: Remote::simulated(me, Rc::new(ask)),
            rung,
            cursor: 0,
            due: None,
            decides: None,
            leader: None,
            told_gone: BTreeMap::new(),
        }
    }

    fn elect(&self) {
        let able: Vec<BrokerId> = {
            let shared = self.0.borrow();
            shared
                .nodes
                .iter()
                .copied()
                .filter(|node| self.reaches_most(*node))
                .collect()
        };
        if !able.is_empty() {
            let elected = able[(rt::random_u64() % able.len() as u64) as usize];
            let mut shared = self.0.borrow_mut();
            shared.term += 1;
            shared.controller = Some(elected);
            shared.ring();
        }
    }

    fn reaches_most(&self, node: BrokerId) -> bool {
        let shared = self.0.borrow();
        let lives = |node: &BrokerId| shared.seats.contains_key(node) && !is_still(host(*node));
        let is_reached = |other: &&BrokerId| lives(other) && !is_link_cut(node, **other) && !is_link_cut(**other, node);
        lives(&node) && 2 * shared.nodes.iter().filter(is_reached).count() > shared.nodes.len()
    }

    fn seat(&self, node: BrokerId) -> Option<Seat> {
        self.0.borrow().seats.get(&node).cloned()
    }

    /// A command of one node to another, and the answer back.
    async fn ask(self, me: BrokerId, node: BrokerId, command: Command, within: Duration) -> Result<Answered, NoAnswer> {
        let deadline = rt::now().after(within);
        self.hold_up(&command).await;
        if let Err(error) = cross(me, node, deadline).await {
            // It is still under way.
            rt::spawn(async move {
                if cross(me, node, rt::now().after(paced(UNDER_WAY_MAX))).await.is_ok()
                    && let Some(seat) = self.seat(node)
                {
                    drop(seat.handle.submit_here(command).await);
                }
            });
            return Err(NoAnswer::Unknown(error));
        }
        let refused = || NoAnswer::Unreachable(io::ErrorKind::ConnectionRefused.into());
        let seat = self.seat(node).ok_or_else(refused)?;
        let answer = rt::timeout(deadline.since(rt::now()), seat.handle.submit_here(command)).await;
        let answered = answer.ok_or_else(|| NoAnswer::Unknown(io::ErrorKind::TimedOut.into()))?;
        if self.seat(node).is_none_or(|now| now.life != seat.life) {
            return Err(NoAnswer::Unknown(io::ErrorKind::ConnectionReset.into()));
        }
        cross(node, me, deadline).await.map_err(NoAnswer::Unknown)?;
        Ok(answered)
    }

    fn note_held_up(&self, change: &AlterPartition) {
        let mut shared = self.0.borrow_mut();
        shared.held_up = Some(change.clone());
        shared.ring();
    }

    async fn hold_up(&self, command: &Command) {
        let Command::AlterPartition(change) = command else {
            return;
        };
        if rt::random_u64().is_multiple_of(HELD_UP_ONE_IN) {
            self.note_held_up(change);
            let longer_ms = rt::random_u64() % (HELD_UP_MS_MAX - HELD_UP_MS_MIN);
            rt::sleep(ms(HELD_UP_MS_MIN + longer_ms)).await;
        }
    }
}

/// One message goes over the link, unless that takes too long.
async fn cross(from: BrokerId, to: BrokerId, deadline: Instant) -> io::Result<()> {
    rt::sleep(latency()).await;
    while is_link_cut(from, to) {
        if rt::timeout(deadline.since(rt::now()), on_heal()).await.is_none() {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}

impl Shared {
    fn ring(&self) {
        // A full lane is rung already.
        let bells = self.seats.values().map(|seat| &seat.bell);
        bells.chain(&self.subscribers).for_each(|bell| drop(bell.try_send(())));
    }
}

pub struct SimulatedEngine {
    quorum: SimulatedQuorum,
    me: BrokerId,
    remote: Remote,
    rung: Rx<()>,
    /// The commits that were delivered.
    cursor: usize,
    /// When the next one arrives.
    due: Option<Instant>,
    /// The term in which it was told that it decides.
    decides: Option<u64>,
    leader: Option<BrokerId>,
    /// The processes of whose end it was told in this term.
    told_gone: BTreeMap<BrokerId, Instant>,
}

enum Look {
    Event(Event),
    /// Something is under way.
    At(Instant),
    Nothing,
}

impl SimulatedEngine {
    fn look(&mut self) -> Look {
        let quorum = self.quorum.clone();
        let shared = quorum.0.borrow();
        let is_controller = shared.controller == Some(self.me);
        let hears = shared.controller.is_some_and(|node| !is_link_cut(node, self.me));
        if !hears {
            return Look::Nothing;
        }
        if self.decides.is_some_and(|term| !is_controller || term != shared.term) {
            self.decides = None;
            return Look::Event(Event::NotController);
        }
        if let Some(records) = shared.commits.get(self.cursor) {
            let own = if is_controller { Duration::ZERO } else { latency() };
            let due = *self.due.get_or_insert_with(|| rt::now().after(own));
            if rt::now() < due {
                return Look::At(due);
            }
            self.due = None;
            self.cursor += 1;
            return Look::Event(Event::Delta(Delta {
                epoch: ImageEpoch(self.cursor as u64),
                records: records.clone(),
            }));
        }
        if self.leader != shared.controller {
            self.leader = shared.controller;
            self.remote.set_leader(self.leader);
            return Look::Event(Event::Leader(self.leader));
        }
        if is_controller && self.decides.is_none() {
            self.decides = Some(shared.term);
            self.told_gone.clear();
            return Look::Event(Event::Controller { epoch: shared.term });
        }
        match is_controller {
            true => self.look_for_gone(&shared),
            false => Look::Nothing,
        }
    }

    fn look_for_gone(&mut self, shared: &Shared) -> Look {
        let is_news = |(node, known): &(&BrokerId, &Instant)| {
            self.told_gone.get(*node) != Some(*known) && !is_link_cut(self.me, **node) && !is_link_cut(**node, self.me)
        };
        let next = shared.gone.iter().filter(is_news).min_by_key(|(_, known)| **known);
        let Some((node, known)) = next.map(|(node, known)| (*node, *known)) else {
            return Look::Nothing;
        };
        let at = rt::now();
        if at < known {
            return Look::At(known);
        }
        self.told_gone.insert(node, known);
        Look::Event(Event::Gone {
            node,
            at,
            successor: None,
        })
    }

    fn is_controller(&self) -> bool {
        let shared = self.quorum.0.borrow();
        shared.controller == Some(self.me) && self.decides == Some(shared.term)
    }
}

impl Engine for SimulatedEngine {
    async fn start(&mut self) -> Result<(Vec<Record>, ImageEpoch), StartError> {
        let shared = self.quorum.0.borrow();
        let lacking = rt::random_u64() % (LACKING_MAX + 1);
        self.cursor = shared.commits.len().saturating_sub(lacking as usize);
        let records = shared.commits[..self.cursor].concat();
        Ok((records, ImageEpoch(self.cursor as u64)))
    }

    async fn commit(&mut self, base: ImageEpoch, records: &[Record]) -> Result<ImageEpoch, CommitError> {
        let deadline = rt::now().after(paced(COMMIT_PATIENCE));
        rt::sleep(latency()).await;
        while !self.quorum.reaches_most(self.me) {
            if rt::now() > deadline {
                return Err(CommitError::Undecided("most nodes do not answer".to_owned()));
            }
            rt::sleep(RETRY_PAUSE).await;
        }
        if !self.is_controller() {
            return Err(CommitError::NotController);
        }
        let mut shared = self.quorum.0.borrow_mut();
        let known = ImageEpoch(shared.commits.len() as u64);
        if base != known {
            return Err(CommitError::Conflict(known));
        }
        shared.commits.push(records.to_vec());
        shared.ring();
        match rt::random_u64().is_multiple_of(UNDECIDED_ONE_IN) {
            true => Err(CommitError::Undecided("the answer was lost".to_owned())),
            false => Ok(ImageEpoch(known.0 + 1)),
        }
    }

    async fn next(&mut self) -> Event {
        loop {
            let until = match self.look() {
                Look::Event(event) => return event,
                Look::At(due) => Some(due),
                Look::Nothing => None,
            };
            let mut rung = Vec::new();
            let ring = async {
                self.rung.recv_burst(&mut rung, 1).await;
            };
            let rung = or(ring, on_heal());
            match until {
                Some(due) => or(rung, rt::sleep(due.since(rt::now()))).await,
                None => rung.await,
            }
        }
    }

    async fn confirm(&self, _: ImageEpoch) -> Result<(), CommitError> {
        match self.is_controller() && self.quorum.reaches_most(self.me) {
            true => Ok(()),
            false => Err(CommitError::NotController),
        }
    }

    async fn resign(&mut self) {
        self.quorum.leave(self.me);
        if self.is_controller() {
            self.quorum.elect();
        }
    }

    fn remote(&self) -> Option<Remote> {
        Some(self.remote.clone())
    }
}
