//! The network between the machines of a world: connections keep their order, and nothing else is certain.
//!
//! A link has a direction. What is sent over one that is cut waits, as what TCP sends again does, and arrives once the link
//! is whole; a connection is not made meanwhile. A process that is killed closes its connections; a machine that loses power
//! says nothing, and answers with a reset whoever speaks to its earlier life.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::host::{Crash, HostId};
use super::{now_nanos, random_u64, sleep, with_current};

const LATENCY_NANOS_MIN: u64 = 50_000;
const LATENCY_NANOS_MAX: u64 = 2_000_000;
/// One message in so many is late.
const LATE_ONE_IN: u64 = 100;
const LATE_NANOS_MAX: u64 = 300_000_000;
/// Between two tries to connect over a link that is cut.
const CONNECT_RETRY: Duration = Duration::from_millis(200);

/// What is cut: the connections of brokers and clients, or the talk with the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plane {
    Data,
    Control,
}

#[derive(Default)]
pub struct Net {
    cuts: RefCell<BTreeSet<(Plane, HostId, HostId)>>,
    down: RefCell<BTreeSet<HostId>>,
    /// Machines whose tasks stand still, and until when.
    still: RefCell<BTreeMap<HostId, u64>>,
    lives: RefCell<BTreeMap<HostId, u64>>,
    /// Whose ends go without a word.
    silent: Cell<Option<HostId>>,
    listeners: RefCell<BTreeMap<SocketAddr, Vec<Rc<Accepting>>>>,
    pipes: RefCell<Vec<Weak<Pipe>>>,
    on_heal: RefCell<Vec<Waker>>,
}

/// From now on nothing comes from one machine to the other on that plane.
pub fn cut(plane: Plane, from: HostId, to: HostId) {
    net().cuts.borrow_mut().insert((plane, from, to));
}

/// What waits on that way arrives.
pub fn mend(plane: Plane, from: HostId, to: HostId) {
    let net = net();
    net.cuts.borrow_mut().remove(&(plane, from, to));
    net.wake();
}

pub fn heal_all() {
    let net = net();
    net.cuts.borrow_mut().clear();
    net.wake();
}

pub fn is_cut(plane: Plane, from: HostId, to: HostId) -> bool {
    let net = net();
    net.is_cut(plane, from, to) || net.is_down(from) || net.is_down(to)
}

pub fn is_still(host: HostId) -> bool {
    now_nanos() < net().still_until(host)
}

/// How long one message is under way.
pub fn latency() -> Duration {
    let most = match random_u64().is_multiple_of(LATE_ONE_IN) {
        true => LATE_NANOS_MAX,
        false => LATENCY_NANOS_MAX,
    };
    Duration::from_nanos(LATENCY_NANOS_MIN + random_u64() % (most - LATENCY_NANOS_MIN))
}

/// Waits until a link is whole again, or a machine is up again.
pub async fn on_heal() {
    let mut is_set = false;
    poll_fn(|cx| match std::mem::replace(&mut is_set, true) {
        true => Poll::Ready(()),
        false => {
            net().on_heal.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        }
    })
    .await;
}

fn net() -> Rc<Net> {
    with_current(|machine| machine.net.clone())
}

impl Net {
    fn is_cut(&self, plane: Plane, from: HostId, to: HostId) -> bool {
        self.cuts.borrow().contains(&(plane, from, to))
    }

    fn is_down(&self, host: HostId) -> bool {
        self.down.borrow().contains(&host)
    }

    pub fn stand_still(&self, host: HostId, until: u64) {
        self.still.borrow_mut().insert(host, until);
    }

    pub fn still_until(&self, host: HostId) -> u64 {
        self.still.borrow().get(&host).copied().unwrap_or(0)
    }

    fn life_of(&self, host: HostId) -> u64 {
        self.lives.borrow().get(&host).copied().unwrap_or(0)
    }

    pub fn go_down(&self, host: HostId, crash: Crash) {
        self.silent.set((crash == Crash::PowerCut).then_some(host));
        *self.lives.borrow_mut().entry(host).or_default() += 1;
        self.down.borrow_mut().insert(host);
        self.still.borrow_mut().remove(&host);
        self.listeners
            .borrow_mut()
            .retain(|address, _| HostId::of(address.ip()) != host);
    }

    pub fn go_up(&self, host: HostId) {
        self.silent.set(None);
        self.down.borrow_mut().remove(&host);
        self.wake();
    }

    /// Whoever waits looks again.
    fn wake(&self) {
        let mut pipes = self.pipes.borrow_mut();
        pipes.retain(|pipe| pipe.strong_count() > 0);
        let pipes: Vec<_> = pipes.iter().filter_map(Weak::upgrade).collect();
        pipes.iter().for_each(|pipe| pipe.wake_reader());
        let waiting = self.on_heal.take();
        waiting.into_iter().for_each(Waker::wake);
    }

    fn pipe(&self, from: HostId, to: HostId) -> Rc<Pipe> {
        let pipe = Rc::new(Pipe {
            from,
            to,
            to_life: self.life_of(to),
            queue: RefCell::default(),
            last_due: Cell::new(0),
            reader: RefCell::default(),
        });
        self.pipes.borrow_mut().push(Rc::downgrade(&pipe));
        pipe
    }
}

/// One direction of a connection.
struct Pipe {
    from: HostId,
    to: HostId,
    to_life: u64,
    queue: RefCell<VecDeque<(u64, Item)>>,
    last_due: Cell<u64>,
    reader: RefCell<Option<Waker>>,
}

enum Item {
    Bytes(Bytes),
    End,
    Reset,
}

impl Pipe {
    fn send(&self, item: Item) {
        // At the end of a world there is no clock any more, and nobody who reads.
        let Some((now, latency)) = super::try_current(|| (now_nanos(), latency())) else {
            return;
        };
        let due = self.last_due.get().max(now + latency.as_nanos() as u64);
        self.last_due.set(due);
        self.queue.borrow_mut().push_back((due, item));
        self.wake_reader();
    }

    fn wake_reader(&self) {
        let reader = self.reader.borrow_mut().take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn poll_read(&self, net: &Net, buf: &mut [u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        *self.reader.borrow_mut() = Some(cx.waker().clone());
        let mut queue = self.queue.borrow_mut();
        let Some((due, item)) = queue.front_mut() else {
            return Poll::Pending;
        };
        if net.is_cut(Plane::Data, self.from, self.to) {
            return Poll::Pending;
        }
        if *due > now_nanos() {
            let (due, waker) = (*due, cx.waker().clone());
            with_current(|machine| machine.executor.set_timer(due, waker));
            return Poll::Pending;
        }
        let bytes = match item {
            Item::End => return Poll::Ready(Ok(0)),
            Item::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Item::Bytes(bytes) => bytes,
        };
        let part = bytes.split_to(buf.len().min(bytes.len()));
        if bytes.is_empty() {
            queue.pop_front();
        }
        buf[..part.len()].copy_from_slice(&part);
        Poll::Ready(Ok(part.len()))
    }
}

/// Clones share it.
#[derive(Clone)]
pub struct Stream(Rc<End>);

struct End {
    net: Rc<Net>,
    incoming: Rc<Pipe>,
    outgoing: Rc<Pipe>,
    peer: SocketAddr,
    is_shut: Cell<bool>,
}

impl Stream {
    pub async fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Stream> {
        let (net, me) = with_current(|machine| (machine.net.clone(), machine.id));
        let there = HostId::of(address.ip());
        let deadline = now_nanos().saturating_add(timeout.as_nanos() as u64);
        sleep(latency()).await;
        while is_cut(Plane::Data, me, there) || is_cut(Plane::Data, there, me) {
            if now_nanos() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            sleep(CONNECT_RETRY).await;
        }
        let accepting = {
            let listeners = net.listeners.borrow();
            let listening = listeners.get(&address).filter(|listening| !listening.is_empty());
            let listening = listening.ok_or(io::ErrorKind::ConnectionRefused)?;
            listening[(random_u64() % listening.len() as u64) as usize].clone()
        };
        let (to, from) = (net.pipe(me, there), net.pipe(there, me));
        let port = 40_000 + (random_u64() % 20_000) as u16;
        let end = |incoming: &Rc<Pipe>, outgoing: &Rc<Pipe>, peer| {
            Stream(Rc::new(End {
                net: net.clone(),
                incoming: incoming.clone(),
                outgoing: outgoing.clone(),
                peer,
                is_shut: Cell::new(false),
            }))
        };
        let theirs = end(&to, &from, SocketAddr::new(me.address(), port));
        accepting.queue.borrow_mut().push_back(theirs);
        accepting.wake();
        Ok(end(&from, &to, address))
    }

    pub fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| {
            let end = &self.0;
            if end.is_shut.get() {
                return Poll::Ready(Ok(0));
            }
            end.incoming.poll_read(&end.net, buf, cx)
        })
        .await
    }

    pub async fn write_all(&self, slices: &[Bytes]) -> io::Result<()> {
        let end = &self.0;
        if end.is_shut.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let (net, to) = (&end.net, &end.outgoing);
        if net.life_of(to.to) == to.to_life {
            to.send(Item::Bytes(slices.concat().into()));
        } else if !net.is_down(to.to) && !net.is_cut(Plane::Data, to.from, to.to) {
            end.incoming.send(Item::Reset);
        }
        Ok(())
    }

    pub fn shutdown(&self) {
        self.0.shut();
    }
}

impl End {
    fn shut(&self) {
        if !self.is_shut.replace(true) && self.net.silent.get() != Some(self.outgoing.from) {
            self.outgoing.send(Item::End);
        }
        self.incoming.wake_reader();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.shut();
    }
}

/// What a listener has not accepted yet.
#[derive(Default)]
struct Accepting {
    queue: RefCell<VecDeque<Stream>>,
    waiting: RefCell<Option<Waker>>,
    is_closed: Cell<bool>,
}

impl Accepting {
    fn wake(&self) {
        let waiting = self.waiting.borrow_mut().take();
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

pub struct Listener {
    net: Rc<Net>,
    address: SocketAddr,
    accepting: Rc<Accepting>,
}

impl Listener {
    pub fn bind(address: SocketAddr) -> Listener {
        let net = net();
        let accepting = Rc::<Accepting>::default();
        let mut listeners = net.listeners.borrow_mut();
        listeners.entry(address).or_default().push(accepting.clone());
        drop(listeners);
        Listener {
            net,
            address,
            accepting,
        }
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    pub async fn accept(&self) -> io::Result<Stream> {
        poll_fn(|cx| {
            if self.accepting.is_closed.get() {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            }
            match self.accepting.queue.borrow_mut().pop_front() {
                Some(stream) => Poll::Ready(Ok(stream)),
                None => {
                    *self.accepting.waiting.borrow_mut() = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    pub fn close(&self) {
        self.accepting.is_closed.set(true);
        if let Some(listening) = self.net.listeners.borrow_mut().get_mut(&self.address) {
            listening.retain(|one| !Rc::ptr_eq(one, &self.accepting));
        }
        self.accepting.wake();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}
