//! A follower's copying: each shard fetches its own partitions from their leaders, with Kafka's own Fetch.
//!
//! Two tasks per leader broker, one for the replicas in sync and one for those behind, have one connection and one request
//! in flight each. What to copy comes from the pump ([`Router::follow_changes`]) after each image; what was fetched goes to
//! the pump as it came, and where the log then ends is where the next request goes on: behind what is written, since the
//! leader takes a follower's fetch offset for what that follower holds. Nothing of a partition's state is shared: a task
//! knows lives and ends of logs, and a life that is over makes the pump refuse what was fetched for it.
//!
//! A leader may let a request wait for records. Partitions that are to be copied from it meanwhile do not wait with it: a second
//! request on the same connection tells it to answer now ([`BrokerConnection::call_until`](crate::shard::BrokerConnection)),
//! which costs one way there and back and leaves the fetch session as it is.
//!
//! Not here: what a leader makes of its followers (`partition`), how bytes reach the log and how it is cut (`storage`).
//!
//! | file | what |
//! |---|---|
//! | leaders | the partitions by leader and by standing; the tasks and their orders |
//! | fetcher | the loop of one task: request, answer, rest |
//! | partitions | what is asked for, as the leader's fetch session knows it; pure |
//! | answer | what becomes of each partition of an answer; pure |
//! | ends | where the leader's log begins and ends, for a follower outside of it |

mod answer;
mod ends;
mod fetcher;
mod leaders;
mod partitions;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::config::BrokerConfig;
use crate::model::{BrokerId, ShardId};
use crate::shard::Router;

/// What one shard's copying is built from.
#[derive(Clone)]
pub struct ReplicaSpec {
    pub shard: ShardId,
    pub router: Router,
    pub config: Arc<BrokerConfig>,
}

impl ReplicaSpec {
    fn me(&self) -> BrokerId {
        BrokerId(self.config.broker_id)
    }
}

/// Copies until the pump has ended; returns once every connection is closed. To be polled on the shard's own executor.
pub async fn run(spec: ReplicaSpec) {
    leaders::supervise(spec).await;
}
