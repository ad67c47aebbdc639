//! Memory that must go back to the shard that it came from.
//!
//! glommio's buffers count their users without atomics, so only the thread that made one may clone or drop it. A
//! [`HomeBound`] holds such a buffer, can be read and dropped anywhere, and on a foreign thread goes into its home's
//! return queue, which the home empties at each tick and before each new buffer.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use glommio::io::{DmaBuffer, ReadResult};

/// What glommio hands out and wants back on the same thread.
pub(super) enum Parcel {
    /// A buffer of ours, frozen; shared with the writes in flight.
    Buffer(Rc<DmaBuffer>),
    /// What a read returned.
    Read(ReadResult),
}

/// One shard's return queue.
pub(super) struct Home {
    strays: Mutex<Strays>,
    /// Set when `strays` may hold something, so that looking costs no lock.
    pending: AtomicBool,
}

struct Strays {
    parcels: Vec<Parcel>,
    /// The executor is gone: whoever brings a parcel drops it, under the lock.
    closed: bool,
}

// SAFETY: a parcel reaches a foreign thread only inside a HomeBound, which there is moved whole into `strays` and never
// cloned or otherwise touched. Parcels leave `strays` in two ways: on the home thread (`reclaim`), where all clones of
// the counted pointers inside live; or after `closed` was set, which the home thread does once its executor is gone and
// it will touch no parcel again: from then on every drop happens under the mutex, one thread at a time. Users that the
// executor leaked keep their counts for ever and touch them no more.
unsafe impl Send for Strays {}

thread_local! {
    static HERE: RefCell<Option<Arc<Home>>> = const { RefCell::new(None) };
}

/// Makes this thread a home until the guard goes, which must be after its executor is gone.
pub(super) struct HomeGuard(Arc<Home>);

impl HomeGuard {
    pub(super) fn new() -> HomeGuard {
        let home = Arc::new(Home {
            strays: Mutex::new(Strays {
                parcels: Vec::new(),
                closed: false,
            }),
            pending: AtomicBool::new(false),
        });
        HERE.with(|here| here.replace(Some(home.clone())));
        HomeGuard(home)
    }
}

impl Drop for HomeGuard {
    fn drop(&mut self) {
        HERE.with(|here| here.replace(None));
        let mut strays = self.0.lock();
        strays.closed = true;
        strays.parcels.clear();
    }
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

    fn lock(&self) -> MutexGuard<'_, Strays> {
        self.strays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_back(&self, parcel: Parcel) {
        let mut strays = self.lock();
        if strays.closed {
            drop(parcel); // still under the lock: see the SAFETY note of Strays
        } else {
            strays.parcels.push(parcel);
            self.pending.store(true, Ordering::Release);
        }
    }
}

/// Frees what other threads gave back to this shard.
pub(super) fn reclaim() {
    let Some(home) = Home::here() else { return };
    if home.pending.swap(false, Ordering::Acquire) {
        let parcels = std::mem::take(&mut home.lock().parcels);
        drop(parcels);
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
            Parcel::Buffer(buffer) => buffer.as_bytes(),
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
        match &*self.parcel {
            Parcel::Buffer(buffer) if self.home.is_here() => Some(buffer.clone()),
            _ => None,
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
            drop(parcel);
        } else {
            self.home.take_back(parcel);
        }
    }
}
