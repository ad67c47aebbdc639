//! What must go back to the shard that it came from: memory and wakers.
//!
//! glommio counts the users of its buffers without atomics, so only the thread that made one may clone or drop it. Its
//! task wakers may be used on foreign threads, but not safely: one that is dropped there may find the task freed under
//! it, when the task ends in the same moment. So both travel home untouched: a [`HomeBound`] buffer can be read, and a
//! [`Waiter`] be woken, on any thread; what is left of them goes into the home's queue. The home looks there when its
//! doorbell rings (for wakers), at each tick and before each new buffer.

use std::cell::RefCell;
use std::future::poll_fn;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};

use glommio::io::{DmaBuffer, ReadResult};

use super::pool::{self, Allocated};

/// What glommio hands out and wants back on the same thread.
pub(super) enum Parcel {
    /// A buffer of ours, frozen, shared with the writes in flight; and the bytes that it was allocated with.
    Buffer(Rc<DmaBuffer>, usize),
    /// What a read returned.
    Read(ReadResult),
}

impl Parcel {
    /// At home: a buffer that nobody else uses may serve again.
    fn end(self) {
        if let Parcel::Buffer(buffer, bytes) = self
            && let Ok(memory) = Rc::try_unwrap(buffer)
        {
            pool::keep(Allocated { memory, bytes });
        }
    }
}

/// One shard's queue of what comes back.
pub(super) struct Home {
    returned: Mutex<Returned>,
    /// Set when `returned` may hold something to drop, so that looking costs no lock.
    pending: AtomicBool,
    /// Wakes the shard's [`answer_doorbell`] task, which lives as long as the shard. Kept for ever, so that however many
    /// threads ring, none ever drops the task's last waker.
    doorbell: OnceLock<ManuallyDrop<Waker>>,
}

#[derive(Default)]
struct Returned {
    parcels: Vec<Parcel>,
    /// Wakers of tasks here that were replaced by newer ones.
    unused: Vec<Waker>,
    /// Wakers of tasks here, to be woken.
    rung: Vec<Waker>,
    /// The executor is gone: whoever brings a parcel drops it, under the lock.
    closed: bool,
}

// SAFETY: a parcel reaches a foreign thread only inside a HomeBound, which there is moved whole into `returned` and never
// cloned or otherwise touched. Parcels leave it in two ways: on the home thread (`reclaim`), where all clones of the
// counted pointers inside live; or after `closed` was set, which the home thread does once its executor is gone and it
// will touch no parcel again: from then on every drop happens under the mutex, one thread at a time. Users that the
// executor leaked keep their counts for ever and touch them no more.
unsafe impl Send for Returned {}

thread_local! {
    static HERE: RefCell<Option<Arc<Home>>> = const { RefCell::new(None) };
}

/// Makes this thread a home until the guard goes, which must be after its executor is gone.
pub(super) struct HomeGuard(Arc<Home>);

impl HomeGuard {
    pub(super) fn new() -> HomeGuard {
        let home = Arc::new(Home {
            returned: Mutex::new(Returned::default()),
            pending: AtomicBool::new(false),
            doorbell: OnceLock::new(),
        });
        HERE.with(|here| here.replace(Some(home.clone())));
        HomeGuard(home)
    }
}

impl Drop for HomeGuard {
    fn drop(&mut self) {
        HERE.with(|here| here.replace(None));
        let mut returned = self.0.lock();
        returned.closed = true;
        returned.parcels.clear();
        pool::clear();
        leak(std::mem::take(&mut returned.unused));
        leak(std::mem::take(&mut returned.rung));
    }
}

/// The executor is gone and its tasks with it: their wakers are left alone.
fn leak(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(std::mem::forget);
}

impl Home {
    /// This thread's home; `None` off the shards.
    pub(super) fn here() -> Option<Arc<Home>> {
        HERE.try_with(|here| here.borrow().clone()).ok().flatten()
    }

    fn is_here(&self) -> bool {
        let is_self = |home: &Arc<Home>| std::ptr::eq(Arc::as_ptr(home), self);
        HERE.try_with(|here| here.borrow().as_ref().is_some_and(is_self))
            .unwrap_or(false)
    }

    fn lock(&self) -> MutexGuard<'_, Returned> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_back(&self, parcel: Parcel) {
        let mut returned = self.lock();
        if returned.closed {
            drop(parcel); // still under the lock: see the SAFETY note of Returned
        } else {
            returned.parcels.push(parcel);
            self.pending.store(true, Ordering::Release);
        }
    }

    fn take_back_waker(&self, waker: Waker) {
        let mut returned = self.lock();
        if returned.closed {
            return leak(vec![waker]);
        }
        returned.unused.push(waker);
        self.pending.store(true, Ordering::Release);
    }

    /// Has the home wake a task of its own. Only the first waker in the queue rings: the home takes all at once.
    fn ring(&self, waker: Waker) {
        let mut returned = self.lock();
        if returned.closed {
            return leak(vec![waker]);
        }
        let is_first = returned.rung.is_empty();
        returned.rung.push(waker);
        drop(returned);
        // Not set yet: the shard is starting, and looks into the queue right after it has set it.
        if is_first && let Some(doorbell) = self.doorbell.get() {
            doorbell.wake_by_ref();
        }
    }

    fn wake_rung(&self) {
        let rung = std::mem::take(&mut self.lock().rung);
        rung.into_iter().for_each(Waker::wake);
    }
}

/// A shard's task that wakes the tasks that other threads want woken. It never ends.
pub(super) async fn answer_doorbell() {
    let Some(home) = Home::here() else { return };
    poll_fn(|cx| {
        home.doorbell.get_or_init(|| ManuallyDrop::new(cx.waker().clone()));
        home.wake_rung();
        Poll::<()>::Pending
    })
    .await;
}

/// Drops what other threads gave back to this shard.
pub(super) fn reclaim() {
    let Some(home) = Home::here() else { return };
    if home.pending.swap(false, Ordering::Acquire) {
        let mut returned = home.lock();
        let parcels = std::mem::take(&mut returned.parcels);
        let unused = std::mem::take(&mut returned.unused);
        drop(returned);
        drop(unused);
        parcels.into_iter().for_each(Parcel::end);
    }
}

/// A task's waker that any thread may use or drop, once.
pub(super) struct Waiter {
    /// `None` only within `drop`.
    waker: Option<Waker>,
    /// `None` for tasks off the shards, whose wakers need no such care.
    home: Option<Arc<Home>>,
}

impl Waiter {
    /// For a task of this thread.
    pub(super) fn new(waker: &Waker) -> Waiter {
        Waiter {
            waker: Some(waker.clone()),
            home: Home::here(),
        }
    }

    /// Whether waking this is as good as waking `waker`.
    pub(super) fn will_wake(&self, waker: &Waker) -> bool {
        self.waker.as_ref().is_some_and(|own| own.will_wake(waker))
    }

    pub(super) fn wake(mut self) {
        let Some(waker) = self.waker.take() else { return };
        match &self.home {
            Some(home) if !home.is_here() => home.ring(waker),
            _ => waker.wake(),
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let Some(waker) = self.waker.take() else { return };
        match &self.home {
            Some(home) if !home.is_here() => home.take_back_waker(waker),
            _ => drop(waker),
        }
    }
}

/// Immutable bytes of a parcel, readable and droppable on any thread.
pub(super) struct HomeBound {
    parcel: ManuallyDrop<Parcel>,
    home: Arc<Home>,
    /// Cached, so that reading never goes through the parcel.
    start: *const u8,
    len: usize,
}

// SAFETY: other threads only read the bytes, which nobody writes any more (a DmaBuffer behind an Rc has no mutable
// access; a read's buffer is filled before it is handed out) and which stay allocated as long as the parcel lives.
// The parcel itself is touched on its home thread only (`buffer_at_home` checks), or moved to its home's queue (Drop).
unsafe impl Send for HomeBound {}
// SAFETY: as above.
unsafe impl Sync for HomeBound {}

impl HomeBound {
    /// Takes over a parcel that was made on this thread, which must be `home`'s.
    pub(super) fn new(parcel: Parcel, home: Arc<Home>) -> HomeBound {
        assert!(home.is_here());
        let bytes: &[u8] = match &parcel {
            Parcel::Buffer(buffer, _) => buffer.as_bytes(),
            Parcel::Read(read) => read,
        };
        let (start, len) = (bytes.as_ptr(), bytes.len());
        HomeBound {
            parcel: ManuallyDrop::new(parcel),
            home,
            start,
            len,
        }
    }

    /// The buffer itself, to be written without a copy; `None` on a foreign thread or for what was read.
    pub(super) fn buffer_at_home(&self) -> Option<Rc<DmaBuffer>> {
        if !self.home.is_here() {
            return None;
        }
        match &*self.parcel {
            Parcel::Buffer(buffer, _) => Some(buffer.clone()),
            Parcel::Read(_) => None,
        }
    }
}

impl Deref for HomeBound {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: `start` and `len` describe the parcel's initialised bytes, alive and unchanged as long as it is.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl AsRef<[u8]> for HomeBound {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for HomeBound {
    fn drop(&mut self) {
        // SAFETY: taken once, here; nothing uses it afterwards.
        let parcel = unsafe { ManuallyDrop::take(&mut self.parcel) };
        if self.home.is_here() {
            parcel.end();
        } else {
            self.home.take_back(parcel);
        }
    }
}
