//! Lanes: bounded queues into a shard or the control thread, from any thread, and one-shot replies.
//!
//! A mutex around a deque, and the receiver's waker. A sender wakes only a receiver that waits, so a busy receiver costs
//! its senders one short lock per batch and no wake-up. Nothing here awaits while it holds a lock, and nothing calls a
//! waker under it. Any executor will do on either side.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::home::Waiter;

/// The lane holds its limit of messages, or its receiver is gone; the message comes back.
pub struct LaneFull<T>(pub T);

impl<T> fmt::Debug for LaneFull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LaneFull")
    }
}

/// The sending end; clone it for each sender.
pub struct Tx<T>(Arc<Lane<T>>);
/// The receiving end, for one task.
pub struct Rx<T>(Arc<Lane<T>>);

struct Lane<T> {
    limit: usize,
    state: Mutex<State<T>>,
}

struct State<T> {
    queue: VecDeque<T>,
    /// The receiver waits; whoever makes it ready takes this and wakes it.
    waiting: Option<Waiter>,
    senders: usize,
    receiver_gone: bool,
}

impl<T> Lane<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lane that holds at most `limit` messages.
pub fn lane<T: Send>(limit: usize) -> (Tx<T>, Rx<T>) {
    let lane = Arc::new(Lane {
        limit,
        state: Mutex::new(State {
            queue: VecDeque::new(),
            waiting: None,
            senders: 1,
            receiver_gone: false,
        }),
    });
    (Tx(lane.clone()), Rx(lane))
}

impl<T: Send> Tx<T> {
    pub fn try_send(&self, message: T) -> Result<(), LaneFull<T>> {
        let mut state = self.0.lock();
        if state.receiver_gone || state.queue.len() >= self.0.limit {
            return Err(LaneFull(message));
        }
        state.queue.push_back(message);
        wake(state);
        Ok(())
    }
    /// Moves as many messages from the front of `queue` as fit, in order, with one wake-up.
    pub fn try_send_all(&self, queue: &mut VecDeque<T>) {
        let mut state = self.0.lock();
        if state.receiver_gone {
            return;
        }
        let fits = queue.len().min(self.0.limit.saturating_sub(state.queue.len()));
        if fits == 0 {
            return;
        }
        state.queue.extend(queue.drain(..fits));
        wake(state);
    }
    /// All receivers are gone.
    pub fn is_closed(&self) -> bool {
        self.0.lock().receiver_gone
    }
}

/// Wakes the receiver if it waits, once the lock is given back.
fn wake<T>(mut state: MutexGuard<'_, State<T>>) {
    let waiting = state.waiting.take();
    drop(state);
    if let Some(waiter) = waiting {
        waiter.wake();
    }
}

impl<T> Clone for Tx<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Tx(self.0.clone())
    }
}

impl<T> Drop for Tx<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.senders -= 1;
        if state.senders == 0 {
            wake(state);
        }
    }
}

impl<T: Send> Rx<T> {
    /// Waits for at least one message, then takes at most `max`, in order, into `burst`. False when all senders are gone.
    pub async fn recv_burst(&mut self, burst: &mut Vec<T>, max: usize) -> bool {
        poll_fn(|cx| self.poll_burst(cx, burst, max)).await
    }

    /// Takes what is there now, at most `max`, without waiting; the number taken.
    pub fn try_recv_burst(&mut self, burst: &mut Vec<T>, max: usize) -> usize {
        let mut state = self.0.lock();
        let count = max.min(state.queue.len());
        burst.extend(state.queue.drain(..count));
        count
    }

    fn poll_burst(&mut self, cx: &mut Context<'_>, burst: &mut Vec<T>, max: usize) -> Poll<bool> {
        let mut state = self.0.lock();
        if !state.queue.is_empty() {
            let count = max.min(state.queue.len());
            burst.extend(state.queue.drain(..count));
            return Poll::Ready(true);
        }
        if state.senders == 0 {
            return Poll::Ready(false);
        }
        let replaced = register(&mut state.waiting, cx.waker());
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

/// Remembers whom to wake; the one that it replaces is the caller's to drop once it holds no lock.
fn register(waiting: &mut Option<Waiter>, waker: &Waker) -> Option<Waiter> {
    match waiting {
        Some(known) if known.will_wake(waker) => None,
        _ => waiting.replace(Waiter::new(waker)),
    }
}

impl<T> Drop for Rx<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.receiver_gone = true;
        let undelivered = std::mem::take(&mut state.queue);
        let waiting = state.waiting.take();
        drop(state);
        drop((undelivered, waiting)); // their drops may send into this or other lanes: not under the lock
    }
}

/// A reply that is given once, from any thread. `None` when the sender went away.
///
/// One task must not wait on more than 30,000 of these at the same time: each keeps a clone of its waker, and a shard's
/// tasks count their wakers in 16 bits.
pub fn oneshot<T: Send>() -> (OneshotTx<T>, OneshotRx<T>) {
    let slot = Arc::new(Slot(Mutex::new(Reply::Awaited(None))));
    (OneshotTx(Some(slot.clone())), OneshotRx(slot))
}

/// The end that gives the reply; dropping it unused tells the other end so.
pub struct OneshotTx<T>(Option<Arc<Slot<T>>>);
/// The end that awaits the reply.
pub struct OneshotRx<T>(Arc<Slot<T>>);

struct Slot<T>(Mutex<Reply<T>>);

enum Reply<T> {
    Awaited(Option<Waiter>),
    Given(T),
    /// Taken, or never to come.
    Gone,
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, Reply<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, reply: Reply<T>) {
        let before = std::mem::replace(&mut *self.lock(), reply);
        if let Reply::Awaited(Some(waiter)) = before {
            waiter.wake();
        }
    }
}

impl<T: Send> OneshotTx<T> {
    pub fn send(mut self, value: T) {
        if let Some(slot) = self.0.take() {
            slot.settle(Reply::Given(value));
        }
    }
}

impl<T> Drop for OneshotTx<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            slot.settle(Reply::Gone);
        }
    }
}

impl<T: Send> Future for OneshotRx<T> {
    type Output = Option<T>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut reply = self.0.lock();
        if let Reply::Awaited(waiting) = &mut *reply {
            let replaced = register(waiting, cx.waker());
            drop(reply);
            drop(replaced);
            return Poll::Pending;
        }
        match std::mem::replace(&mut *reply, Reply::Gone) {
            Reply::Given(value) => Poll::Ready(Some(value)),
            _ => Poll::Ready(None),
        }
    }
}
