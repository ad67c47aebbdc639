//! The pump, its messages, and the router that api asks.
//!
//! A shard owns its partitions alone; nobody borrows them across an await. Tasks of connections ask through [`Router`],
//! which puts one message into the shard's own pump; the pump splits a request by the owners of its partitions, sends one
//! message to each other shard at the end of its turn, and joins the answers. Whatever needs the kernel is a [`message::Job`]:
//! a task that owns its files and buffers, and comes back as a message with the partition's incarnation.
//!
//! | file | what |
//! |---|---|
//! | mesh, post, reply | lanes between shards; the queue from tasks of the own shard; a reply within the shard |
//! | message, types | what is asked, answered and given out as work; the part that `api` knows |
//! | state, pump | the shard, one message at a time; the loop around it |
//! | join, long_poll | the connection's side of a request: split, gather, wait, trim |
//! | append, refusals, acks, read, waits, query, deletions | the owner's side |
//! | journals | which small appends go out in one write |
//! | coordinator | the coordinators of groups, on their partitions' owners |
//! | share | share groups' side of the partitions |
//! | early | questions that come before their log is open |
//! | catchup, pace, read_ahead, fetch_memory | reads from the disk in turn and at a pace, some ahead of the reader; the memory for what they bring |
//! | throttle | how fast throttled replicas are copied |
//! | following, isr | the follower's side of replication; what the leader asks of the controller for its followers |
//! | connection, peers | requests to other brokers |
//! | hosted, reconcile, claims, placement | which partitions are here, and how they come and go |
//! | upkeep, compact, stop, timers | what the clock asks for; the end |

mod acks;
mod append;
mod catchup;
mod claims;
mod compact;
mod connection;
mod coordinator;
mod deletions;
mod early;
mod fetch_memory;
mod following;
mod hosted;
mod isr;
mod join;
mod journals;
mod long_poll;
mod mesh;
mod message;
mod pace;
mod peers;
mod placement;
mod post;
mod pump;
mod query;
mod read;
mod read_ahead;
mod reconcile;
mod refusals;
mod reply;
mod router;
mod share;
mod state;
mod stop;
mod throttle;
mod timers;
mod types;
mod upkeep;
mod waits;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::config::BrokerConfig;
use crate::metadata::{self, Image};
use crate::metrics::Cells;
use crate::model::DirId;
use crate::model::ShardPlace;
use crate::storage::{Checkpoint, LogDir};

pub use connection::{BrokerConnection, CallProblem, Manner};
pub use coordinator::{CoordinatorReply, CoordinatorRequest};
pub use following::{Copied, CopyOutcomes, Cut, CutLog, Fetched, Follow, FollowChange, FollowerLife, LogEnd};
pub use mesh::{INBOX_MAX, Inbox, ShardHandle, mesh};
pub use message::{CheckpointRow, Message, Stopped};
pub use peers::endpoint;
pub use placement::owner;
pub use router::Router;
pub use share::{ShareAction, ShareAsk, ShareBegin, ShareReply, ask_keeper, kept_of_group, list_here, log_of};
pub use throttle::{Throttle, Throttles};
pub use types::*;

/// What one shard is built from, on its own thread.
pub struct ShardSpec {
    pub inbox: Inbox,
    pub config: Arc<BrokerConfig>,
    /// Every log directory, in the order of the configuration.
    pub dirs: Vec<Arc<LogDir>>,
    /// What each directory's checkpoint files said at start.
    pub checkpoints: Arc<BTreeMap<DirId, Checkpoint>>,
    pub metadata: metadata::Handle,
    /// The image that the mesh was built with, or a newer one.
    pub image: Arc<Image>,
    pub metrics: Cells,
    /// Counts the ticks that went through the pump: the watchdog's sign of life, about ten a second.
    /// [`metadata::BEAT_ENDED`] at the end.
    pub liveness: Arc<AtomicU64>,
}

/// A shard: the way to ask it, and its pump, which runs until [`ShardHandle::exit`]. To be called, and the pump to be
/// polled, on the shard's own executor. Logs are opened once the pump runs; partitions serve as they finish.
pub fn run(spec: ShardSpec) -> (Router, impl Future<Output = ()> + 'static) {
    let Inbox {
        id,
        rx,
        peers,
        claims,
        throttles,
    } = spec.inbox;
    // A copy whose reference count is this shard's own.
    let image = Arc::new(Image::clone(&spec.image));
    let place = ShardPlace {
        index: id.0,
        count: u16::try_from(peers.len()).unwrap_or(u16::MAX),
    };
    let post = post::Post::new(
        peers[usize::from(id.0)].clone(),
        image.clone(),
        spec.metadata,
        peers::Peers::new(spec.config.clone()),
        spec.metrics.clone(),
        throttles,
        place,
    );
    let shard = state::Shard::new(state::Parts {
        id,
        config: spec.config,
        dirs: spec.dirs,
        checkpoints: spec.checkpoints,
        image,
        metrics: spec.metrics,
        liveness: spec.liveness,
        peers,
        claims,
    });
    (Router::new(post.clone()), pump::pump(shard, rx, post))
}
