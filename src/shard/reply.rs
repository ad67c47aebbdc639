//! A reply within one shard: given once by the pump, awaited by a connection's task.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::metrics::Spent;

struct Slot<T> {
    value: Cell<Option<T>>,
    spent: Cell<Spent>,
    waker: Cell<Option<Waker>>,
}

/// The end that gives the reply.
pub(super) struct ReplyTx<T>(Rc<Slot<T>>);

/// The end that awaits it: `None` if the other end went away without one.
pub(super) struct ReplyRx<T>(Rc<Slot<T>>);

pub(super) fn reply<T>() -> (ReplyTx<T>, ReplyRx<T>) {
    let slot = Rc::new(Slot {
        value: Cell::new(None),
        spent: Cell::default(),
        waker: Cell::new(None),
    });
    (ReplyTx(slot.clone()), ReplyRx(slot))
}

impl<T> ReplyTx<T> {
    /// Whether somebody would still take it.
    pub(super) fn is_awaited(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }

    pub(super) fn send(self, value: T) {
        self.0.value.set(Some(value));
    }

    /// The same, with where the time until now went.
    pub(super) fn send_after(self, value: T, spent: Spent) {
        self.0.spent.set(spent);
        self.send(value);
    }
}

impl<T> ReplyRx<T> {
    /// Where the time until the reply went.
    pub(super) fn spent(&self) -> Spent {
        self.0.spent.get()
    }
}

impl<T> Drop for ReplyTx<T> {
    fn drop(&mut self) {
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Future for ReplyRx<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        if let Some(value) = self.0.value.take() {
            return Poll::Ready(Some(value));
        }
        if Rc::strong_count(&self.0) == 1 {
            return Poll::Ready(None);
        }
        self.0.waker.set(Some(context.waker().clone()));
        Poll::Pending
    }
}
