//! A shard's memory for requests: a frame is admitted before its body is read, and gives its bytes back when it is answered.
//! Without room the connection waits, unread, so that overload becomes TCP back-pressure.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::metrics::{Cells, Metric};

/// shard.request.memory.bytes. Waiters are served in the order in which they came, so that a large frame is not starved by
/// small ones; a frame larger than the whole budget is admitted when nothing else is.
pub struct RequestMemory {
    limit: usize,
    used: Cell<usize>,
    waiting: RefCell<VecDeque<Rc<Waiter>>>,
    metrics: Cells,
}

/// A frame's bytes; given back on drop.
pub struct Permit {
    memory: Rc<RequestMemory>,
    bytes: usize,
}

/// A place in the queue for a permit.
pub struct Admission {
    memory: Rc<RequestMemory>,
    waiter: Rc<Waiter>,
}

struct Waiter {
    bytes: usize,
    granted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl RequestMemory {
    pub fn new(limit: usize, metrics: Cells) -> Rc<RequestMemory> {
        Rc::new(RequestMemory {
            limit,
            used: Cell::new(0),
            waiting: RefCell::default(),
            metrics,
        })
    }

    /// A permit at once, if there is room and nobody waits.
    pub fn try_admit(self: &Rc<Self>, bytes: usize) -> Option<Permit> {
        let free = self.waiting.borrow().is_empty() && self.fits(bytes);
        free.then(|| {
            self.change(bytes as i64);
            Permit {
                memory: self.clone(),
                bytes,
            }
        })
    }

    pub fn admit(self: &Rc<Self>, bytes: usize) -> Admission {
        self.metrics.add(Metric::RequestMemoryWaits, 1);
        let waiter = Rc::new(Waiter {
            bytes,
            granted: Cell::new(false),
            waker: RefCell::default(),
        });
        self.waiting.borrow_mut().push_back(waiter.clone());
        Admission {
            memory: self.clone(),
            waiter,
        }
    }

    /// Whether connections wait for memory.
    pub fn is_wanted(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    fn fits(&self, bytes: usize) -> bool {
        self.used.get() == 0 || self.used.get().saturating_add(bytes) <= self.limit
    }

    fn change(&self, bytes: i64) {
        self.used.set(self.used.get().saturating_add_signed(bytes as isize));
        self.metrics.add(Metric::RequestMemoryBytes, bytes);
    }

    fn release(&self, bytes: usize) {
        self.change(-(bytes as i64));
        self.grant();
    }

    /// Gives room to the waiters at the front.
    fn grant(&self) {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(waiter) = waiting.front().filter(|waiter| self.fits(waiter.bytes)).cloned() {
            waiting.pop_front();
            self.change(waiter.bytes as i64);
            waiter.granted.set(true);
            if let Some(waker) = waiter.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.memory.release(self.bytes);
    }
}

impl Future for Admission {
    type Output = Permit;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        if self.waiter.granted.take() {
            return Poll::Ready(Permit {
                memory: self.memory.clone(),
                bytes: self.waiter.bytes,
            });
        }
        self.waiter.waker.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

/// A connection that goes while it waits leaves the queue, or gives back what it was granted and has not taken.
impl Drop for Admission {
    fn drop(&mut self) {
        if self.waiter.granted.get() {
            self.memory.release(self.waiter.bytes);
        } else {
            self.memory
                .waiting
                .borrow_mut()
                .retain(|waiter| !Rc::ptr_eq(waiter, &self.waiter));
            self.memory.grant();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Registry;

    fn poll(admission: &mut Admission) -> Option<Permit> {
        match Pin::new(admission).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    fn memory(limit: usize) -> Rc<RequestMemory> {
        RequestMemory::new(limit, Registry::new(1).shard(0))
    }

    /// The budget is never passed, except by one frame that is larger than all of it and alone.
    #[test]
    fn the_budget_holds() {
        let memory = memory(10);
        let large = memory.try_admit(100).expect("alone");
        assert!(memory.try_admit(1).is_none());
        drop(large);
        let first = memory.try_admit(6).expect("room");
        assert!(memory.try_admit(5).is_none());
        assert!(memory.try_admit(4).is_some());
        drop(first);
        assert_eq!(
            (memory.used.get(), memory.metrics.get(Metric::RequestMemoryBytes)),
            (0, 0)
        );
    }

    /// Who waits longest is served first; a small frame does not overtake a large one.
    #[test]
    fn waiters_are_served_in_order() {
        let memory = memory(10);
        let held = memory.try_admit(8).expect("room");
        let (mut large, mut small) = (memory.admit(9), memory.admit(1));
        assert!(poll(&mut large).is_none() && poll(&mut small).is_none());
        assert!(memory.try_admit(1).is_none());
        drop(held);
        let permit = poll(&mut large).expect("granted first");
        assert!(poll(&mut small).is_some());
        drop(permit);
        assert_eq!(memory.used.get(), 0);
    }

    /// A waiter that goes away, granted or not, leaves nothing behind and holds nobody up.
    #[test]
    fn abandoned_waits_leave_nothing_behind() {
        let memory = memory(10);
        let held = memory.try_admit(10).expect("room");
        let (large, mut small) = (memory.admit(20), memory.admit(2));
        drop(large);
        drop(held);
        assert!(poll(&mut small).is_some());
        let held = memory.try_admit(10).expect("room");
        let granted = memory.admit(3);
        drop(held);
        assert_eq!(memory.used.get(), 3);
        drop(granted);
        assert_eq!(memory.used.get(), 0);
        assert!(!memory.is_wanted());
    }
}
