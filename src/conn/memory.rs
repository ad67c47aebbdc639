//! A shard's memory for requests: a frame is admitted before its body is read, and gives its bytes back when it is answered.
//! Without room the connection waits, unread, so that overload becomes TCP back-pressure.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::metrics::{Cells, Metric};

/// The part of the budget that a small frame takes at most.
const SMALL_SHARE: usize = 64;
/// The part that large frames leave to the small ones.
const RESERVE_SHARE: usize = 4;

/// shard.request.memory.bytes. A frame is as long as it says, and whoever sends it may take his time: so large frames take a part
/// of it only, and small ones do not wait behind them. Among its like each is served in the order in which it came; a large
/// frame that is larger than that part is admitted when no other large one is.
pub struct RequestMemory {
    limit: usize,
    small: Class,
    large: Class,
    metrics: Cells,
}

#[derive(Default)]
struct Class {
    used: Cell<usize>,
    waiting: RefCell<VecDeque<Rc<Waiter>>>,
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
            small: Class::default(),
            large: Class::default(),
            metrics,
        })
    }

    fn class(&self, bytes: usize) -> &Class {
        match bytes <= self.limit / SMALL_SHARE {
            true => &self.small,
            false => &self.large,
        }
    }

    /// A permit at once, if there is room and nobody of its like waits.
    pub fn try_admit(self: &Rc<Self>, bytes: usize) -> Option<Permit> {
        let free = self.class(bytes).waiting.borrow().is_empty() && self.fits(bytes);
        free.then(|| {
            self.take(bytes);
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
        self.class(bytes).waiting.borrow_mut().push_back(waiter.clone());
        Admission {
            memory: self.clone(),
            waiter,
        }
    }

    /// Whether connections wait for memory.
    pub fn is_wanted(&self) -> bool {
        [&self.small, &self.large]
            .iter()
            .any(|class| !class.waiting.borrow().is_empty())
    }

    fn fits(&self, bytes: usize) -> bool {
        let (small, large) = (self.small.used.get(), self.large.used.get());
        let reserve = self.limit / RESERVE_SHARE;
        if std::ptr::eq(self.class(bytes), &self.small) {
            // What they have beyond their part goes to the first large one that waits.
            let room = match self.large.waiting.borrow().is_empty() {
                true => self.limit.saturating_sub(large).max(reserve),
                false => reserve,
            };
            return small == 0 || small + bytes <= room;
        }
        let is_first = large == 0 && small <= reserve;
        is_first || large.saturating_add(bytes).saturating_add(small.max(reserve)) <= self.limit
    }

    fn take(&self, bytes: usize) {
        let used = &self.class(bytes).used;
        used.set(used.get() + bytes);
        self.metrics.add(Metric::RequestMemoryBytes, bytes as i64);
    }

    fn release(&self, bytes: usize) {
        let used = &self.class(bytes).used;
        used.set(used.get().saturating_sub(bytes));
        self.metrics.add(Metric::RequestMemoryBytes, -(bytes as i64));
        self.grant();
    }

    /// Gives room to the waiters at the front: what large frames give back may be for small ones.
    fn grant(&self) {
        self.grant_in(&self.large);
        self.grant_in(&self.small);
    }

    fn grant_in(&self, class: &Class) {
        let mut waiting = class.waiting.borrow_mut();
        while let Some(waiter) = waiting.front().filter(|waiter| self.fits(waiter.bytes)).cloned() {
            waiting.pop_front();
            self.take(waiter.bytes);
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
            let waiting = &self.memory.class(self.waiter.bytes).waiting;
            waiting.borrow_mut().retain(|waiter| !Rc::ptr_eq(waiter, &self.waiter));
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

    impl RequestMemory {
        fn used(&self) -> usize {
            self.small.used.get() + self.large.used.get()
        }
    }

    /// The budget is never passed, except by one frame that is larger than all of it, and the small ones beside it.
    #[test]
    fn the_budget_holds() {
        let memory = memory(640);
        let large = memory.try_admit(1_000).expect("alone");
        assert!(memory.try_admit(11).is_none());
        let beside: Vec<_> = std::iter::from_fn(|| memory.try_admit(10)).collect();
        assert_eq!(beside.len(), 16, "a fourth of it");
        drop((large, beside));
        let first = memory.try_admit(300).expect("room");
        assert!(memory.try_admit(181).is_none());
        let second = memory.try_admit(180).expect("room");
        let small: Vec<_> = std::iter::from_fn(|| memory.try_admit(10)).collect();
        assert_eq!(memory.used(), 640);
        drop((first, second, small));
        assert_eq!((memory.used(), memory.metrics.get(Metric::RequestMemoryBytes)), (0, 0));
        let all_small: Vec<_> = std::iter::from_fn(|| memory.try_admit(10)).collect();
        assert_eq!(all_small.len(), 64, "all of it, where there are no large ones");
        assert!(memory.try_admit(100).is_none());
    }

    /// Who waits longest is served first, among its like; and whoever sends a large frame slowly holds up no small ones.
    #[test]
    fn waiters_are_served_in_order() {
        let memory = memory(640);
        let held = memory.try_admit(400).expect("room");
        let (mut large, mut larger) = (memory.admit(200), memory.admit(80));
        assert!(poll(&mut large).is_none() && poll(&mut larger).is_none());
        assert!(memory.try_admit(20).is_none(), "behind others of its like");
        assert!(memory.try_admit(10).is_some(), "a small one");
        drop(held);
        let permit = poll(&mut large).expect("granted first");
        assert!(poll(&mut larger).is_some());
        drop(permit);
        assert_eq!(memory.used(), 0);
    }

    /// What the small ones have beyond their part is not given to more of them while a large one waits.
    #[test]
    fn small_frames_starve_no_large_one() {
        let memory = memory(640);
        let mut small: Vec<_> = std::iter::from_fn(|| memory.try_admit(10)).collect();
        let mut large = memory.admit(100);
        for _ in 0..9 {
            small.pop();
            assert!(poll(&mut large).is_none() && memory.try_admit(10).is_none());
        }
        small.pop();
        let permit = poll(&mut large).expect("as much was given back");
        assert_eq!(memory.used(), 640);
        drop((permit, small));
        assert_eq!(memory.used(), 0);
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
        assert_eq!(memory.used(), 3);
        drop(granted);
        assert_eq!(memory.used(), 0);
        assert!(!memory.is_wanted());
    }
}
