//! The network between the machines of a world: connections keep their order, and nothing else is certain.
//!
//! A link has a direction. What is sent over one that is cut waits, as what TCP sends again does, and arrives once the link
//! is whole; a connection is not made meanwhile. A process that is killed closes its connections, and its machine refuses
//! new ones; a machine that loses power says nothing, and answers with a reset whoever speaks to its earlier life.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::host::{Crash, HostId};
use super::pace::paced;
use super::{now_nanos, random_u64, sleep, with_current};

const LATENCY_NANOS_MIN: u64 = 50_000;
const LATENCY_NANOS_MAX: u64 = 2_000_000;
/// One message in so many is late.
const LATE_ONE_IN: u64 = 100;
const LATE_NANOS_MAX: u64 = 300_000_000;
/// Between two tries to connect over a link that is cut.
const CONNECT_RETRY: Duration = Duration::from_millis(200);

/// What is cut: the connections of brokers and clients, or the talk of the controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plane {
    Data,
    Control,
}

/// A part of the network. A world has one thread, but what the consensus library holds must be `Send`.
#[derive(Default)]
struct Part<T>(Mutex<T>);

impl<T> Part<T> {
    fn lock(&self) -> MutexGuard<'_, T> {
        match self.0.try_lock() {
            Ok(part) => part,
            Err(TryLockError::Poisoned(part)) => part.into_inner(),
            Err(TryLockError::WouldBlock) => panic!("a part of the network is used within its own use"),
        }
    }
}

#[derive(Default)]
pub struct Net {
    cuts: Part<BTreeSet<(Plane, HostId, HostId)>>,
    /// Over whose links messages take longer, and how many times as long.
    slow: Part<BTreeMap<HostId, u64>>,
    /// Why they are.
    down: Part<BTreeMap<HostId, Crash>>,
    /// Machines whose tasks stand still, and until when.
    still: Part<BTreeMap<HostId, u64>>,
    lives: Part<BTreeMap<HostId, u64>>,
    /// Whose process has ended by itself, and how.
    ended: Part<BTreeMap<HostId, Crash>>,
    /// Whose ends go without a word.
    silent: Part<Option<HostId>>,
    listeners: Part<BTreeMap<SocketAddr, Vec<Arc<Accepting>>>>,
    pipes: Part<Vec<Weak<Pipe>>>,
    on_heal: Part<Vec<Waker>>,
}

/// From now on nothing comes from one machine to the other on that plane.
pub fn cut(plane: Plane, from: HostId, to: HostId) {
    net().cuts.lock().insert((plane, from, to));
}

/// What waits on that way arrives.
pub fn mend(plane: Plane, from: HostId, to: HostId) {
    let net = net();
    net.cuts.lock().remove(&(plane, from, to));
    net.wake();
}

/// From now on messages from that machine and to it take so many times as long, until [`heal_all`].
pub fn slow_link(host: HostId, slowness: u64) {
    net().slow.lock().insert(host, slowness);
}

pub fn heal_all() {
    let net = net();
    net.cuts.lock().clear();
    net.slow.lock().clear();
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
        true => paced(Duration::from_nanos(LATE_NANOS_MAX)).as_nanos() as u64,
        false => LATENCY_NANOS_MAX,
    };
    Duration::from_nanos(LATENCY_NANOS_MIN + random_u64() % (most - LATENCY_NANOS_MIN))
}

/// How long one message is under way that is late by nothing but a slow link.
fn slow_latency(slowness: u64) -> Duration {
    Duration::from_nanos(slowness * (LATENCY_NANOS_MIN + random_u64() % (LATENCY_NANOS_MAX - LATENCY_NANOS_MIN)))
}

/// Waits until a link is whole again, or a machine is up again.
pub async fn on_heal() {
    let mut is_set = false;
    poll_fn(|cx| match std::mem::replace(&mut is_set, true) {
        true => Poll::Ready(()),
        false => {
            net().on_heal.lock().push(cx.waker().clone());
            Poll::Pending
        }
    })
    .await;
}

fn net() -> Arc<Net> {
    with_current(|machine| machine.net.clone())
}

impl Net {
    fn is_cut(&self, plane: Plane, from: HostId, to: HostId) -> bool {
        self.cuts.lock().contains(&(plane, from, to))
    }

    fn latency(&self, from: HostId, to: HostId) -> Duration {
        let slowness = {
            let slow = self.slow.lock();
            [from, to].iter().filter_map(|host| slow.get(host)).max().copied()
        };
        slowness.map_or_else(latency, slow_latency)
    }

    fn is_down(&self, host: HostId) -> bool {
        self.down.lock().contains_key(&host)
    }

    /// A machine that is up refuses a connection that nobody listens for.
    fn has_power(&self, host: HostId) -> bool {
        self.down.lock().get(&host) != Some(&Crash::PowerCut)
    }

    pub fn stand_still(&self, host: HostId, until: u64) {
        self.still.lock().insert(host, until);
    }

    pub fn still_until(&self, host: HostId) -> u64 {
        self.still.lock().get(&host).copied().unwrap_or(0)
    }

    fn life_of(&self, host: HostId) -> u64 {
        self.lives.lock().get(&host).copied().unwrap_or(0)
    }

    pub fn go_down(&self, host: HostId, crash: Crash) {
        *self.silent.lock() = (crash == Crash::PowerCut).then_some(host);
        *self.lives.lock().entry(host).or_default() += 1;
        self.down.lock().insert(host, crash);
        self.still.lock().remove(&host);
        self.listeners
            .lock()
            .retain(|address, _| HostId::of(address.ip()) != host);
    }

    pub fn go_up(&self, host: HostId) {
        *self.silent.lock() = None;
        self.down.lock().remove(&host);
        self.ended.lock().remove(&host);
        self.wake();
    }

    pub fn end_process(&self, host: HostId, how: Crash) {
        self.go_down(host, how);
        self.ended.lock().insert(host, how);
    }

    pub fn ended(&self, host: HostId) -> Option<Crash> {
        self.ended.lock().get(&host).copied()
    }

    /// Whoever waits looks again.
    fn wake(&self) {
        let mut pipes = self.pipes.lock();
        pipes.retain(|pipe| pipe.strong_count() > 0);
        let pipes: Vec<_> = pipes.iter().filter_map(Weak::upgrade).collect();
        pipes.iter().for_each(|pipe| pipe.wake_reader());
        let waiting = std::mem::take(&mut *self.on_heal.lock());
        waiting.into_iter().for_each(Waker::wake);
    }

    fn pipe(&self, plane: Plane, from: HostId, to: HostId) -> Arc<Pipe> {
        let pipe = Arc::new(Pipe {
            plane,
            from,
            to,
            to_life: self.life_of(to),
            queue: Part::default(),
            last_due: Part::default(),
            reader: Part::default(),
        });
        self.pipes.lock().push(Arc::downgrade(&pipe));
        pipe
    }
}

/// One direction of a connection.
struct Pipe {
    plane: Plane,
    from: HostId,
    to: HostId,
    to_life: u64,
    queue: Part<VecDeque<(u64, Item)>>,
    last_due: Part<u64>,
    reader: Part<Option<Waker>>,
}

enum Item {
    Bytes(Bytes),
    End,
    Reset,
}

impl Pipe {
    fn send(&self, item: Item) {
        // At the end of a world there is no clock any more, and nobody who reads.
        let under_way = || (now_nanos(), net().latency(self.from, self.to));
        let Some((now, latency)) = super::try_current(under_way) else {
            return;
        };
        let mut last_due = self.last_due.lock();
        *last_due = (*last_due).max(now + latency.as_nanos() as u64);
        self.queue.lock().push_back((*last_due, item));
        self.wake_reader();
    }

    fn wake_reader(&self) {
        let reader = self.reader.lock().take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn poll_read(&self, net: &Net, buf: &mut [u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        *self.reader.lock() = Some(cx.waker().clone());
        let mut queue = self.queue.lock();
        let Some((due, item)) = queue.front_mut() else {
            return Poll::Pending;
        };
        if net.is_cut(self.plane, self.from, self.to) {
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
pub struct Stream(Arc<End>);

struct End {
    net: Arc<Net>,
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
    peer: SocketAddr,
    is_shut: AtomicBool,
}

impl Stream {
    pub async fn connect(plane: Plane, address: SocketAddr, timeout: Duration) -> io::Result<Stream> {
        let (net, me) = with_current(|machine| (machine.net.clone(), machine.id));
        let there = HostId::of(address.ip());
        let deadline = now_nanos().saturating_add(timeout.as_nanos() as u64);
        sleep(net.latency(me, there)).await;
        while net.is_cut(plane, me, there) || net.is_cut(plane, there, me) || !net.has_power(there) {
            if now_nanos() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            sleep(CONNECT_RETRY).await;
        }
        let accepting = {
            let listeners = net.listeners.lock();
            let listening = listeners.get(&address).filter(|listening| !listening.is_empty());
            let listening = listening.ok_or(io::ErrorKind::ConnectionRefused)?;
            listening[(random_u64() % listening.len() as u64) as usize].clone()
        };
        let (to, from) = (net.pipe(plane, me, there), net.pipe(plane, there, me));
        let port = 40_000 + (random_u64() % 20_000) as u16;
        let end = |incoming: &Arc<Pipe>, outgoing: &Arc<Pipe>, peer| {
            Stream(Arc::new(End {
                net: net.clone(),
                incoming: incoming.clone(),
                outgoing: outgoing.clone(),
                peer,
                is_shut: AtomicBool::new(false),
            }))
        };
        let theirs = end(&to, &from, SocketAddr::new(me.address(), port));
        accepting.queue.lock().push_back(theirs);
        accepting.wake();
        Ok(end(&from, &to, address))
    }

    pub fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| {
            let end = &self.0;
            if end.is_shut.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(0));
            }
            end.incoming.poll_read(&end.net, buf, cx)
        })
        .await
    }

    /// Fills `buf`. `UnexpectedEof` where the other side closed before.
    pub async fn read_exact(&self, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read(buf).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => buf = &mut buf[count..],
            }
        }
        Ok(())
    }

    pub async fn write_all(&self, slices: &[Bytes]) -> io::Result<()> {
        let end = &self.0;
        if end.is_shut.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let (net, to) = (&end.net, &end.outgoing);
        if net.life_of(to.to) == to.to_life {
            to.send(Item::Bytes(slices.concat().into()));
        } else if !net.is_down(to.to) && !net.is_cut(to.plane, to.from, to.to) {
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
        let was_shut = self.is_shut.swap(true, Ordering::Relaxed);
        if !was_shut && *self.net.silent.lock() != Some(self.outgoing.from) {
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
    queue: Part<VecDeque<Stream>>,
    waiting: Part<Option<Waker>>,
    is_closed: AtomicBool,
}

impl Accepting {
    fn wake(&self) {
        let waiting = self.waiting.lock().take();
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

pub struct Listener {
    net: Arc<Net>,
    address: SocketAddr,
    accepting: Arc<Accepting>,
}

impl Listener {
    pub fn bind(address: SocketAddr) -> Listener {
        let net = net();
        let accepting = Arc::<Accepting>::default();
        let mut listeners = net.listeners.lock();
        listeners.entry(address).or_default().push(accepting.clone());
        drop(listeners);
        Listener {
            net,
            address,
            accepting,
        }
    }

    /// Where nobody listens yet.
    pub fn bind_alone(address: SocketAddr) -> io::Result<Listener> {
        let taken = net()
            .listeners
            .lock()
            .get(&address)
            .is_some_and(|there| !there.is_empty());
        match taken {
            true => Err(io::ErrorKind::AddrInUse.into()),
            false => Ok(Listener::bind(address)),
        }
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    pub async fn accept(&self) -> io::Result<Stream> {
        poll_fn(|cx| {
            if self.accepting.is_closed.load(Ordering::Relaxed) {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            }
            match self.accepting.queue.lock().pop_front() {
                Some(stream) => Poll::Ready(Ok(stream)),
                None => {
                    *self.accepting.waiting.lock() = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    pub fn close(&self) {
        self.accepting.is_closed.store(true, Ordering::Relaxed);
        if let Some(listening) = self.net.listeners.lock().get_mut(&self.address) {
            listening.retain(|one| !Arc::ptr_eq(one, &self.accepting));
        }
        self.accepting.wake();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}
