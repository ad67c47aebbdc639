//! The partitions by leader: two tasks for each leader that is followed, and their orders.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::ReplicaSpec;
use super::fetcher::{Desk, Fetcher};
use crate::metadata::Image;
use crate::model::{BrokerId, PartitionId};
use crate::rt::{self, Rx, Stream, Tx};
use crate::shard::{Follow, FollowChange};

/// How long the tasks' ends are waited for.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// What a task is to copy from now on.
pub(super) enum Order {
    Begin(Follow),
    End(PartitionId),
}

/// What a task copies. Replicas in sync do not share a connection with those that lack much: what producers wait for would
/// wait for what the leader reads from its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    InSync,
    Behind,
}

impl Standing {
    /// Of this broker's replica, as far as the image has it.
    pub(super) fn of(id: &PartitionId, image: &Image, me: BrokerId) -> Option<Standing> {
        let (_, state) = image.partition(id)?;
        Some(match state.isr.contains(&me) {
            true => Standing::InSync,
            false => Standing::Behind,
        })
    }
}

/// The way to one task, from the supervisor and from the other task of the same leader. A task without partitions stays, idle
/// and without a connection: there are two per broker that was ever followed.
pub(super) struct Orders {
    waiting: Cell<Vec<Order>>,
    closed: Cell<bool>,
    bell: Tx<()>,
    stream: Cell<Option<Stream>>,
}

impl Orders {
    pub(super) fn new() -> (Rc<Orders>, Rx<()>) {
        let (bell, rung) = rt::lane(1);
        let orders = Orders {
            waiting: Cell::default(),
            closed: Cell::new(false),
            bell,
            stream: Cell::default(),
        };
        (Rc::new(orders), rung)
    }

    pub(super) fn push(&self, order: Order) {
        let mut waiting = self.waiting.take();
        waiting.push(order);
        self.waiting.set(waiting);
        // A bell that was not heard yet is as good as a second one.
        let _ = self.bell.try_send(());
    }

    pub(super) fn are_waiting(&self) -> bool {
        let waiting = self.waiting.take();
        let some = !waiting.is_empty();
        self.waiting.set(waiting);
        some
    }

    pub(super) fn take(&self) -> Vec<Order> {
        self.waiting.take()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// The connection that a close is to end, also while an answer is awaited on it.
    pub(super) fn set_stream(&self, stream: Option<Stream>) {
        self.stream.set(stream);
    }

    fn close(&self) {
        self.closed.set(true);
        if let Some(stream) = self.stream.take() {
            stream.shutdown();
        }
        let _ = self.bell.try_send(());
    }
}

/// Hands the pump's changes to the leaders' tasks, until the pump has ended; then ends them.
pub(super) async fn supervise(spec: ReplicaSpec) {
    let (running, mut ended) = rt::lane::<()>(1);
    let mut leaders = Leaders {
        running,
        tasks: BTreeMap::new(),
        followed: BTreeMap::new(),
    };
    while let Some(changes) = spec.router.follow_changes().await {
        for change in changes {
            match change {
                FollowChange::Begin(follow) => leaders.begin(&spec, follow),
                FollowChange::End(partition) => leaders.end(partition),
            }
        }
    }
    leaders.tasks.values().for_each(Pair::close);
    drop(leaders);
    // Nothing is ever sent: the lane ends with the last task. One that is about to connect may take longer than a stop may.
    let _ = rt::timeout(END_PATIENCE, ended.recv_burst(&mut Vec::new(), 1)).await;
}

struct Leaders {
    /// Each task holds a clone.
    running: Tx<()>,
    tasks: BTreeMap<BrokerId, Pair>,
    /// Whose tasks have the partition.
    followed: BTreeMap<PartitionId, BrokerId>,
}

/// The tasks of one leader.
struct Pair {
    in_sync: Rc<Orders>,
    behind: Rc<Orders>,
}

impl Pair {
    fn spawn(spec: &ReplicaSpec, leader: BrokerId, running: &Tx<()>) -> Pair {
        let (in_sync, in_sync_bell) = Orders::new();
        let (behind, behind_bell) = Orders::new();
        let of_in_sync = Desk {
            standing: Standing::InSync,
            orders: in_sync.clone(),
            bell: in_sync_bell,
            other: behind.clone(),
        };
        let of_behind = Desk {
            standing: Standing::Behind,
            orders: behind.clone(),
            bell: behind_bell,
            other: in_sync.clone(),
        };
        for desk in [of_in_sync, of_behind] {
            let fetcher = Fetcher::new(spec.clone(), leader, desk);
            let running = running.clone();
            rt::spawn(async move {
                fetcher.run().await;
                drop(running);
            });
        }
        Pair { in_sync, behind }
    }

    /// It may be with either: they hand partitions over to each other.
    fn end(&self, partition: PartitionId) {
        self.in_sync.push(Order::End(partition));
        self.behind.push(Order::End(partition));
    }

    fn begin(&self, follow: Follow, standing: Standing) {
        self.end(follow.life.partition);
        match standing {
            Standing::InSync => self.in_sync.push(Order::Begin(follow)),
            Standing::Behind => self.behind.push(Order::Begin(follow)),
        }
    }

    fn close(&self) {
        self.in_sync.close();
        self.behind.close();
    }
}

impl Leaders {
    fn begin(&mut self, spec: &ReplicaSpec, follow: Follow) {
        let partition = follow.life.partition;
        if self
            .followed
            .get(&partition)
            .is_some_and(|leader| *leader != follow.leader)
        {
            self.end(partition);
        }
        self.followed.insert(partition, follow.leader);
        let running = &self.running;
        let pair = self
            .tasks
            .entry(follow.leader)
            .or_insert_with(|| Pair::spawn(spec, follow.leader, running));
        let standing = Standing::of(&partition, &spec.router.image(), spec.me());
        pair.begin(follow, standing.unwrap_or(Standing::Behind));
    }

    fn end(&mut self, partition: PartitionId) {
        let leader = self.followed.remove(&partition);
        if let Some(pair) = leader.and_then(|leader| self.tasks.get(&leader)) {
            pair.end(partition);
        }
    }
}
