//! The way into the pump from tasks of its own shard: no lock, no limit of a lane, no `Send`.
//!
//! What is put here is handled in order, after what the lane held. The first message since the pump last looked rings a
//! doorbell through the lane, so the pump waits in one place only. The number of messages is bounded by the requests that
//! the connections admit and by the jobs that the shard has in flight.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use super::mesh::ShardHandle;
use super::message::{Local, Message};
use super::peers::Peers;
use super::throttle::Throttles;
use crate::metadata::{self, Image};
use crate::metrics::{Cells, Spent};
use crate::model::ShardPlace;
use crate::rt::{self, Instant};

pub(super) struct Post {
    queue: Cell<VecDeque<Local>>,
    rung: Cell<bool>,
    closed: Cell<bool>,
    handle: ShardHandle,
    image: Cell<Option<Arc<Image>>>,
    metadata: metadata::Handle,
    peers: Peers,
    /// Of the request that is being polled.
    spent: Cell<Spent>,
    metrics: Cells,
    throttles: Arc<Throttles>,
    place: ShardPlace,
}

impl Post {
    pub(super) fn new(
        handle: ShardHandle,
        image: Arc<Image>,
        metadata: metadata::Handle,
        peers: Peers,
        metrics: Cells,
        throttles: Arc<Throttles>,
        place: ShardPlace,
    ) -> Rc<Post> {
        Rc::new(Post {
            queue: Cell::default(),
            rung: Cell::new(false),
            closed: Cell::new(false),
            handle,
            image: Cell::new(Some(image)),
            metadata,
            peers,
            spent: Cell::default(),
            metrics,
            throttles,
            place,
        })
    }

    pub(super) fn place(&self) -> ShardPlace {
        self.place
    }

    pub(super) fn throttles(&self) -> &Throttles {
        &self.throttles
    }

    /// Once the pump has ended the message is dropped, which tells whoever awaits its answer.
    pub(super) fn push(&self, message: Local) {
        if self.closed.get() {
            return;
        }
        let mut queue = self.queue.take();
        queue.push_back(message);
        self.queue.set(queue);
        // A full lane needs no doorbell: the pump wakes up for what fills it.
        if !self.rung.replace(true) {
            let _ = self.handle.tx.try_send(Message::Doorbell);
        }
    }

    /// Moves everything into `queue`; the next push rings again.
    pub(super) fn take(&self, queue: &mut VecDeque<Local>) {
        self.rung.set(false);
        let mut waiting = self.queue.take();
        queue.append(&mut waiting);
        self.queue.set(waiting);
    }

    /// The pump has ended.
    pub(super) fn close(&self) {
        self.closed.set(true);
        drop(self.queue.take());
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// The newest image that was published to this shard, be it before the pump has looked at it.
    pub(super) fn image(&self) -> Arc<Image> {
        let seen = self.image.take().expect("the image is always put back");
        let image = self.handle.image.newer_than(&seen).unwrap_or(seen);
        self.image.set(Some(image.clone()));
        image
    }

    /// When a question is put, where times are recorded.
    pub(super) fn asked_at(&self) -> Option<Instant> {
        self.metrics.is_timed().then(rt::now)
    }

    pub(super) fn spent(&self) -> &Cell<Spent> {
        &self.spent
    }

    pub(super) fn metrics(&self) -> &Cells {
        &self.metrics
    }

    pub(super) fn peers(&self) -> &Peers {
        &self.peers
    }

    pub(super) fn metadata(&self) -> &metadata::Handle {
        &self.metadata
    }
}
