//! The way to the controller where another node is it: whom the quorum follows, and connections to him.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::codec::Reader;
use super::link::Link;
use super::message::{ANYONE, Identity, Kind};
use super::types::Voter;
use crate::metadata::command::{Command, CommandError, Reply, answer_from_bytes};
use crate::metadata::image::ImageEpoch;
use crate::model::BrokerId;
use crate::rt::{self, Instant};

/// Commands of clients on their way at a time, each on a connection of its own.
const ASKING_MAX: usize = 32;
/// Connections that are kept for the next command.
const IDLE_LINKS_MAX: usize = 8;
/// After it the other end may have closed the connection.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// An answer, and the epoch of the image that it rests on.
pub type Answered = (Result<Reply, CommandError>, ImageEpoch);

/// Cheap to clone; of one control thread.
#[derive(Clone)]
pub struct Remote {
    me: Arc<Identity>,
    configured: Arc<[Voter]>,
    shared: Rc<RefCell<Shared>>,
    /// Clients' commands that are on their way.
    asking: Rc<Cell<usize>>,
    /// In the place of connections.
    #[cfg(test)]
    simulated: Option<Ask>,
}

#[cfg(test)]
pub type Ask = Rc<dyn Fn(BrokerId, &Command, Duration) -> std::pin::Pin<Box<dyn Future<Output = Asked>>>>;
#[cfg(test)]
type Asked = Result<Answered, NoAnswer>;

#[derive(Default)]
struct Shared {
    leader: Option<BrokerId>,
    /// Voters that the quorum, or others, have named.
    named: Vec<Voter>,
    /// Connections that wait, each with the time since which it does.
    idle: BTreeMap<BrokerId, Vec<(Link, Instant)>>,
}

/// One of them, while it is.
struct Asking(Rc<Cell<usize>>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Why there is no answer.
pub enum NoAnswer {
    /// Surely not carried out.
    Unreachable(io::Error),
    /// Perhaps carried out.
    Unknown(io::Error),
}

impl Remote {
    pub fn new(me: Arc<Identity>, configured: Arc<[Voter]>) -> Remote {
        Remote {
            me,
            configured,
            shared: Rc::default(),
            asking: Rc::default(),
            #[cfg(test)]
            simulated: None,
        }
    }

    pub fn me(&self) -> &Arc<Identity> {
        &self.me
    }

    /// Where the configuration finds the node.
    pub fn configured(&self, node: BrokerId) -> Option<Voter> {
        self.configured.iter().find(|voter| voter.node == node).cloned()
    }

    /// The same, or where others say that it is.
    pub fn address(&self, node: BrokerId) -> Option<Voter> {
        let named = || {
            self.shared
                .borrow()
                .named
                .iter()
                .find(|voter| voter.node == node)
                .cloned()
        };
        self.configured(node).or_else(named)
    }

    pub fn named(&self) -> Vec<Voter> {
        self.shared.borrow().named.clone()
    }

    pub fn set_named(&self, voters: Vec<Voter>) {
        self.shared.borrow_mut().named = voters;
    }

    #[cfg(test)]
    pub fn simulated(me: BrokerId, ask: Ask) -> Remote {
        Remote {
            simulated: Some(ask),
            ..Remote::new(Arc::new(Identity::new(me, ANYONE, [1; 16])), Arc::default())
        }
    }

    /// Whom the quorum follows; it may be this node, before it knows that it has everything.
    pub fn leader(&self) -> Option<BrokerId> {
        self.shared.borrow().leader
    }

    pub fn set_leader(&self, leader: Option<BrokerId>) {
        self.shared.borrow_mut().leader = leader;
    }

    pub async fn ask(&self, node: BrokerId, command: &Command, within: Duration) -> Result<Answered, NoAnswer> {
        #[cfg(test)]
        if let Some(ask) = &self.simulated {
            return ask(node, command, within).await;
        }
        let _asking = self.enter(command).map_err(NoAnswer::Unreachable)?;
        let mut link = self.take(node).map_err(NoAnswer::Unreachable)?;
        link.ensure_connected().await.map_err(NoAnswer::Unreachable)?;
        let bytes = command.to_bytes();
        let called = link
            .call(Kind::Command, within, |out| out.extend_from_slice(&bytes))
            .await;
        let answered = called.and_then(answered).map_err(NoAnswer::Unknown)?;
        self.put_back(node, link);
        Ok(answered)
    }

    /// Heartbeats never wait for what clients ask for.
    fn enter(&self, command: &Command) -> io::Result<Option<Asking>> {
        if matches!(command, Command::Heartbeat(_) | Command::RegisterBroker(_)) {
            return Ok(None);
        }
        if self.asking.get() >= ASKING_MAX {
            return Err(io::Error::other("many commands are on their way already"));
        }
        self.asking.set(self.asking.get() + 1);
        Ok(Some(Asking(self.asking.clone())))
    }

    fn take(&self, node: BrokerId) -> io::Result<Link> {
        if let Some(idle) = self.take_idle(node) {
            return Ok(idle);
        }
        let voter = self.address(node);
        let voter = voter.ok_or_else(|| io::Error::other(format!("no address is known of node {}", node.0)))?;
        Ok(Link::new(self.me.clone(), voter, ANYONE))
    }

    fn take_idle(&self, node: BrokerId) -> Option<Link> {
        let now = rt::now();
        let mut shared = self.shared.borrow_mut();
        let idle = shared.idle.entry(node).or_default();
        while let Some((link, since)) = idle.pop() {
            // That the other end is gone by now must not be learned from a command that it may have carried out.
            if now.since(since) < IDLE_MAX && link.is_open() {
                return Some(link);
            }
        }
        None
    }

    fn put_back(&self, node: BrokerId, link: Link) {
        let mut shared = self.shared.borrow_mut();
        let idle = shared.idle.entry(node).or_default();
        if idle.len() < IDLE_LINKS_MAX {
            idle.push((link, rt::now()));
        }
    }
}

fn answered(body: Bytes) -> io::Result<Answered> {
    let mut reader = Reader::new(body);
    let epoch = ImageEpoch(reader.u64()?);
    let answer = answer_from_bytes(&reader.rest()).map_err(io::Error::other)?;
    Ok((answer, epoch))
}
