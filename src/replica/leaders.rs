//! The partitions by leader: a task for each leader that is followed, and its orders.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::ReplicaSpec;
use super::fetcher::Fetcher;
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

/// The way from the supervisor to one task. A leader without partitions keeps its idle task: there is one per broker that
/// was ever followed, and it holds no connection.
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

    fn push(&self, order: Order) {
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
    leaders.tasks.values().for_each(|orders| orders.close());
    drop(leaders);
    // Nothing is ever sent: the lane ends with the last task. One that is about to connect may take longer than a stop may.
    let _ = rt::timeout(END_PATIENCE, ended.recv_burst(&mut Vec::new(), 1)).await;
}

struct Leaders {
    /// Each task holds a clone.
    running: Tx<()>,
    tasks: BTreeMap<BrokerId, Rc<Orders>>,
    /// Whose task has the partition.
    followed: BTreeMap<PartitionId, BrokerId>,
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
        let orders = self.tasks.entry(follow.leader).or_insert_with(|| {
            let (orders, bell) = Orders::new();
            let fetcher = Fetcher::new(spec.clone(), follow.leader, orders.clone(), bell);
            let running = running.clone();
            rt::spawn(async move {
                fetcher.run().await;
                drop(running);
            });
            orders
        });
        orders.push(Order::Begin(follow));
    }

    fn end(&mut self, partition: PartitionId) {
        let leader = self.followed.remove(&partition);
        if let Some(orders) = leader.and_then(|leader| self.tasks.get(&leader)) {
            orders.push(Order::End(partition));
        }
    }
}
