//! How soon a follower knows what its leader's readers may see.

use std::time::Duration;

use super::cluster::{Cluster, TopicSpec, fetch};
use super::load::{a_batch, item};
use super::node::{Node, Shape};
use crate::model::PartitionId;
use crate::rt::sim::{FaultPlan, Pace, World, set_pace, switch_off};
use crate::rt::{self, sleep};
use crate::shard::{Acks, Isolation};

const PATIENCE: Duration = Duration::from_secs(30);
/// What a follower's request may wait for at its leader, and the way there and back.
const WAIT_MAX: Duration = Duration::from_millis(500 + 50);
/// A write takes 0.2 to 10 s, which is longer than it takes the followers to copy the batch.
const SLOWNESS: u64 = 20_000;
const BATCHES: usize = 20;

#[test] // Goal: also where the leader's own write ended last: in the answer that the follower waits for already.
fn followers_hear_of_a_write_that_ended_last() {
    switch_off(None);
    set_pace(Pace::AS_WRITTEN);
    World::new(1, FaultPlan::none()).run(async move {
        let cluster = Cluster::start(3, false, Shape::plain(), None).await;
        let topic = TopicSpec {
            name: "slow",
            partitions: 1,
            min_isr: 2,
            flush_messages: i64::MAX,
            is_unclean: false,
        };
        cluster.create(topic).await;
        let (_, id) = cluster.partitions()[0];
        // The first of its replicas.
        let leader = &cluster.nodes[0];
        let followers = [&cluster.nodes[1], &cluster.nodes[2]];
        append(leader, id).await;
        leader.host.slow_disk(SLOWNESS);
        let mut in_time = 0;
        for _ in 0..BATCHES {
            let end = append(leader, id).await;
            let acked = rt::now();
            for follower in followers {
                while high_watermark(follower, id).await < end {
                    sleep(Duration::from_millis(1)).await;
                }
                in_time += usize::from(rt::now().since(acked) < WAIT_MAX);
            }
        }
        // Some messages are late by themselves.
        assert!(in_time > BATCHES * followers.len() * 3 / 4, "only {in_time} in time");
    })
}

/// With acks=all; the end of the log after it.
async fn append(leader: &Node, id: PartitionId) -> i64 {
    loop {
        let batch = a_batch();
        let records = i64::from(batch.header.last_offset_delta) + 1;
        let outcomes = match leader.router() {
            Some(router) => router.append(vec![item(id, &batch)], Acks::All, PATIENCE).await,
            None => Vec::new(),
        };
        match outcomes.first() {
            Some(outcome) if outcome.error.is_none() => return outcome.base_offset + records,
            _ => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn high_watermark(follower: &Node, id: PartitionId) -> i64 {
    match follower.router() {
        Some(router) => fetch(&router, id, 0, Isolation::ReadUncommitted).await.high_watermark,
        None => -1,
    }
}
