//! The open connections of a shard: closing idle ones by one sweep for all, and all of them on the way out.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::metrics::{Cells, Metric};
use crate::rt::{self, Instant, Stream};

use super::Shared;

pub struct OpenConnections {
    handles: RefCell<HashMap<u64, Rc<Handle>>>,
    next_id: Cell<u64>,
    draining: Cell<bool>,
    /// connections.max.idle.ms; `None` for a negative value: never.
    idle_max: Option<Duration>,
    metrics: Cells,
}

/// What others may do to a connection, and what they need to know for it.
pub struct Handle {
    id: u64,
    stream: Stream,
    state: Cell<State>,
    active_at: Cell<Instant>,
    closed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The client's: to send a request, or to take its responses.
    Client,
    /// The client's: to send the rest of a frame whose memory is held for it.
    Upload,
    /// Ours: a request is in flight, or waits for memory. Such a connection is not idle.
    Broker,
}

const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// A half-sent frame that does not move for so long gives its memory to those who wait for it.
const UPLOAD_STALL_MAX: Duration = Duration::from_secs(30);

impl OpenConnections {
    pub fn new(idle_max_ms: i64, metrics: Cells) -> OpenConnections {
        OpenConnections {
            handles: RefCell::default(),
            next_id: Cell::new(0),
            draining: Cell::new(false),
            idle_max: u64::try_from(idle_max_ms).ok().map(Duration::from_millis),
            metrics,
        }
    }

    pub fn len(&self) -> usize {
        self.handles.borrow().len()
    }

    pub fn enter(&self, stream: Stream) -> Rc<Handle> {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let handle = Rc::new(Handle {
            id,
            stream,
            state: Cell::new(State::Client),
            active_at: Cell::new(rt::now()),
            closed: Cell::new(false),
            waker: RefCell::default(),
        });
        self.handles.borrow_mut().insert(id, handle.clone());
        self.metrics.add(Metric::Connections, 1);
        handle
    }

    pub fn leave(&self, handle: &Handle) {
        if self.handles.borrow_mut().remove(&handle.id).is_some() {
            self.metrics.add(Metric::Connections, -1);
        }
    }

    /// Whether connections are to end as soon as nothing is in flight.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub fn drain(&self) {
        self.draining.set(true);
        self.handles.borrow().values().for_each(|handle| handle.wake());
    }

    pub fn close_all(&self) {
        self.handles.borrow().values().for_each(|handle| handle.close());
    }

    fn close_idle(&self, now: Instant, memory_is_wanted: bool) {
        for handle in self.handles.borrow().values() {
            let quiet = now.since(handle.active_at.get());
            if is_overdue(handle.state.get(), quiet, self.idle_max, memory_is_wanted) {
                self.metrics.add(Metric::ConnectionsIdleClosed, 1);
                handle.close();
            }
        }
    }
}

fn is_overdue(state: State, quiet: Duration, idle_max: Option<Duration>, memory_is_wanted: bool) -> bool {
    match state {
        State::Broker => false,
        State::Upload if memory_is_wanted && quiet > UPLOAD_STALL_MAX => true,
        State::Upload | State::Client => idle_max.is_some_and(|max| quiet > max),
    }
}

/// One timer for all connections; ends with the server.
pub async fn sweep(shared: Rc<Shared>) {
    while !shared.open.is_draining() {
        rt::sleep(SWEEP_INTERVAL).await;
        shared.open.close_idle(rt::now(), shared.memory.is_wanted());
    }
}

impl Handle {
    /// The client has done something, at the time that this returns.
    pub fn on_activity(&self) -> Instant {
        let now = rt::now();
        self.active_at.set(now);
        now
    }

    pub fn set_state(&self, state: State) {
        self.state.set(state);
    }

    /// Whether the connection is to end at once; if not, its task is woken when that changes, or when draining begins.
    pub fn poll_closed(&self, cx: &mut Context<'_>) -> bool {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        self.closed.get()
    }

    fn close(&self) {
        self.closed.set(true);
        self.stream.shutdown();
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Behaviour 6: idle is who owes us something; a request that we work on keeps its connection.
    #[test]
    fn only_the_client_can_be_idle() {
        let minute = Duration::from_secs(60);
        let overdue = |state, quiet| is_overdue(state, quiet, Some(minute), false);
        assert!(!overdue(State::Client, minute) && overdue(State::Client, minute * 2));
        assert!(overdue(State::Upload, minute * 2));
        assert!(!overdue(State::Broker, minute * 1000));
        assert!(!is_overdue(State::Client, minute * 1000, None, false));
    }

    /// A half-sent frame goes earlier when others wait for its memory.
    #[test]
    fn stalled_uploads_go_when_memory_is_wanted() {
        let overdue = |wanted| is_overdue(State::Upload, Duration::from_secs(40), None, wanted);
        assert!(overdue(true) && !overdue(false));
        assert!(!is_overdue(State::Client, Duration::from_secs(40), None, true));
    }
}
