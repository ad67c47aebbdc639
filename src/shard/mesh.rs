//! What connects the shards with each other and with the control thread: lanes, the newest image, directory claims, throttles.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::claims::Claims;
use super::message::{CheckpointRow, Message, Stopped};
use super::throttle::Throttles;
use crate::metadata::{Image, Published};
use crate::model::ShardId;
use crate::rt::{self, LaneFull, OneshotRx, Rx, Tx};

/// Messages that a shard's inbox holds. A lane below 1,024 costs throughput (a sender that finds it full tries again a
/// millisecond later); it is bounded by memory: a message holds at most one request's part.
pub const INBOX_MAX: usize = 8_192;
/// Between two attempts to put a control message into a full inbox.
const CONTROL_RETRY: Duration = Duration::from_millis(2);

/// The way to a shard from any thread. Cheap to clone.
#[derive(Clone)]
pub struct ShardHandle {
    pub(super) tx: Tx<Message>,
    pub(super) image: Arc<ImageSlot>,
}

/// A shard's end of the mesh: give it to [`super::run`] on the shard's thread.
pub struct Inbox {
    pub(super) id: ShardId,
    pub(super) rx: Rx<Message>,
    pub(super) peers: Vec<ShardHandle>,
    pub(super) claims: Claims,
    pub(super) throttles: Arc<Throttles>,
}

/// Connects `shards` shards, each of which starts with `image`.
pub fn mesh(shards: usize, image: &Arc<Image>) -> (Vec<ShardHandle>, Vec<Inbox>) {
    let (claims, throttles) = (Claims::default(), Arc::<Throttles>::default());
    let (peers, lanes): (Vec<_>, Vec<_>) = (0..shards)
        .map(|_| {
            let (tx, rx) = rt::lane(INBOX_MAX);
            let image = Arc::new(ImageSlot::new(image.clone()));
            (ShardHandle { tx, image }, rx)
        })
        .unzip();
    let inboxes = lanes.into_iter().enumerate().map(|(at, rx)| Inbox {
        id: ShardId(at as u16),
        rx,
        peers: peers.clone(),
        claims: claims.clone(),
        throttles: throttles.clone(),
    });
    let inboxes = inboxes.collect();
    (peers, inboxes)
}

impl Inbox {
    pub fn id(&self) -> ShardId {
        self.id
    }
}

impl ShardHandle {
    /// Gives the shard a new image. Never fails: a full inbox only means that the shard looks at it a little later.
    pub fn publish(&self, published: Published) {
        self.image.set(published.image);
        let _ = self.tx.try_send(Message::Doorbell);
    }

    /// The newest image that the shard was given.
    pub fn image(&self) -> Arc<Image> {
        self.image.newest()
    }

    /// The offsets to checkpoint, of every log of the shard. None: the shard has ended.
    pub async fn checkpoint(&self) -> Option<Vec<CheckpointRow>> {
        let (reply, answer) = rt::oneshot();
        self.ask(Message::Checkpoint { reply }, answer).await
    }

    /// Refuses new work, writes and syncs what is staged and closes every log: it answers then. The shard goes on refusing
    /// until [`ShardHandle::exit`].
    pub async fn shutdown(&self) -> OneshotRx<Stopped> {
        let (reply, answer) = rt::oneshot();
        self.send(Message::Shutdown { reply }).await;
        answer
    }

    /// Ends the pump.
    pub async fn exit(&self) {
        self.send(Message::Exit).await;
    }

    async fn ask<T: Send>(&self, message: Message, answer: OneshotRx<T>) -> Option<T> {
        self.send(message).await;
        answer.await
    }

    async fn send(&self, mut message: Message) {
        while let Err(LaneFull(refused)) = self.tx.try_send(message) {
            if self.tx.is_closed() {
                return;
            }
            message = refused;
            rt::sleep(CONTROL_RETRY).await;
        }
    }
}

/// The newest image for one shard. Its version is read on every pass and request; the lock is taken only when it changed.
#[derive(Debug)]
pub(super) struct ImageSlot {
    version: AtomicU64,
    newest: Mutex<Arc<Image>>,
}

impl ImageSlot {
    fn new(image: Arc<Image>) -> ImageSlot {
        ImageSlot {
            version: AtomicU64::new(image.version()),
            newest: Mutex::new(image),
        }
    }

    fn set(&self, image: Arc<Image>) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if image.version() > newest.version() {
            self.version.store(image.version(), Ordering::Release);
            *newest = image;
        }
    }

    fn newest(&self) -> Arc<Image> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The newest image if it is newer than `seen`, copied so that its reference count is this shard's own: a count that
    /// all shards move on every request would bounce between the cores.
    pub(super) fn newer_than(&self, seen: &Image) -> Option<Arc<Image>> {
        if self.version.load(Ordering::Acquire) <= seen.version() {
            return None;
        }
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::new(Image::clone(&newest)))
    }
}
