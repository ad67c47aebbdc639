//! Producers and consumers, as clients of the brokers that they find.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::cluster::{Cluster, TopicSpec, fetch, fetch_in, read};
use super::node::Node;
use super::oracle::{Ack, batches};
use crate::model::{BrokerId, ErrorCode, PartitionId};
use crate::partition::Warrant;
use crate::record::{BatchBuilder, BatchHeader, Compression, ValidBatch};
use crate::rt::sim::{between_ms, ms, paced};
use crate::rt::{self, random_u64, sleep, wall_ms};
use crate::shard::{Acks, AppendItem, AppendOutcome, Isolation};

/// How long a batch is sent again.
const GIVE_UP_AFTER: Duration = Duration::from_secs(12);
/// Looks before too few brokers have a batch.
const LOOKS: usize = 3;
/// In an epoch whose leader was looked at.
const LOOK_AGAIN_ONE_IN: u64 = 16;
/// How long a producer waits for an answer, beyond the timeout that it asks for.
const ANSWER_PATIENCE: Duration = Duration::from_secs(3);

/// An idempotent producer's place in a partition.
struct Place {
    producer: i64,
    sequence: i32,
}

/// Sends batches with acks=1, each once and whatever happens, so that logs part.
pub async fn chatter(cluster: Rc<Cluster>) {
    while !cluster.is_over.get() {
        sleep(between_ms(random_u64() % 120)).await;
        let partitions = cluster.partitions();
        let (_, id) = partitions[(random_u64() % partitions.len() as u64) as usize];
        let cluster = cluster.clone();
        // Nobody is held up by one who does not answer.
        rt::spawn(async move { send_once(&cluster, id, Acks::Leader).await });
    }
}

/// Sends batches with acks=all until they are acknowledged, and some with acks=1.
pub async fn produce(cluster: Rc<Cluster>, number: i64) {
    let mut places: BTreeMap<PartitionId, Place> = BTreeMap::new();
    let mut producers = number * 1_000;
    while !cluster.is_over.get() {
        sleep(between_ms(random_u64() % 150)).await;
        let partitions = cluster.partitions();
        let (spec, id) = partitions[(random_u64() % partitions.len() as u64) as usize].clone();
        if random_u64().is_multiple_of(4) {
            send_once(&cluster, id, Acks::Leader).await;
            continue;
        }
        let place = places.entry(id).or_insert_with(|| {
            producers += 1;
            Place {
                producer: producers,
                sequence: 0,
            }
        });
        if !send_until_acked(&cluster, &spec, id, place).await {
            // Nobody knows what became of it: another producer goes on.
            places.remove(&id);
        }
    }
}

async fn send_until_acked(cluster: &Rc<Cluster>, spec: &TopicSpec, id: PartitionId, place: &mut Place) -> bool {
    let batch = batch(BatchBuilder::new(Compression::None).producer(place.producer, 0, place.sequence));
    let deadline = rt::now().after(paced(GIVE_UP_AFTER));
    let mut tries = 0;
    while rt::now() < deadline && !cluster.is_over.get() {
        tries += 1;
        // An error may come from a broker that led once, and has not heard that another does.
        if let Some((taken, outcome)) = send(cluster, id, &batch, Acks::All).await
            && outcome.error == ErrorCode::None
        {
            let ack = Ack {
                offset: outcome.base_offset,
                crc: batch.header.crc,
                by: taken.by,
                epoch: taken.epoch,
                is_first: tries == 1,
            };
            acked(cluster, spec, id, ack);
            place.sequence = batch.header.last_sequence() + 1;
            return true;
        }
        sleep(ms(50 + random_u64() % 200)).await;
    }
    false
}

async fn send_once(cluster: &Cluster, id: PartitionId, acks: Acks) {
    send(cluster, id, &a_batch(), acks).await;
}

/// Where a batch was sent.
struct Taken {
    by: BrokerId,
    /// In which leader epoch that broker believed then.
    epoch: i32,
}

/// To whoever is believed to lead, or to anybody. `None`: there was no answer.
async fn send(cluster: &Cluster, id: PartitionId, batch: &ValidBatch, acks: Acks) -> Option<(Taken, AppendOutcome)> {
    let node = match random_u64() % 8 {
        0 => cluster.any_node(),
        _ => cluster.leader_as_seen(id)?,
    };
    let timeout = ms([300, 1_000, 4_000][(random_u64() % 3) as usize]);
    let router = node.router()?;
    let taken = Taken {
        by: node.id,
        epoch: router
            .image()
            .partition(&id)
            .map_or(-1, |(_, state)| state.leader_epoch.0),
    };
    let was_silent = cluster.oracle().is_silent(node.id);
    let answer = router.append(vec![item(id, batch)], acks, timeout);
    let outcome = rt::timeout(timeout + paced(ANSWER_PATIENCE), answer).await?.remove(0);
    assert!(
        !was_silent || outcome.error != ErrorCode::None,
        "broker {} was fenced for its silence, and has taken a batch",
        taken.by.0
    );
    Some((taken, outcome))
}

pub fn item(id: PartitionId, batch: &ValidBatch) -> AppendItem {
    AppendItem {
        partition: id,
        batch: batch.clone(),
        warrant: Warrant::None,
    }
}

/// Like no other.
pub fn a_batch() -> ValidBatch {
    batch(BatchBuilder::new(Compression::None))
}

fn batch(mut builder: BatchBuilder) -> ValidBatch {
    for _ in 0..1 + random_u64() % 3 {
        let value: Vec<u8> = (0..1 + random_u64() % 40)
            .flat_map(|_| random_u64().to_le_bytes())
            .collect();
        builder.push(wall_ms(), None, Some(&value), &[]);
    }
    let bytes = builder.build();
    ValidBatch {
        header: BatchHeader::parse(&bytes).expect("the builder builds whole batches"),
        bytes,
        log_append_time_ms: -1,
    }
}

fn acked(cluster: &Rc<Cluster>, spec: &TopicSpec, id: PartitionId, ack: Ack) {
    cluster.oracle().acked(id, ack);
    if random_u64().is_multiple_of(2) {
        rt::spawn(check_holders(cluster.clone(), spec.clone(), id, ack));
    }
}

/// At least min.insync.replicas replicas have it, or are down, or do not answer.
async fn check_holders(cluster: Rc<Cluster>, spec: TopicSpec, id: PartitionId, ack: Ack) {
    // A replica may be taken from a broker and given to one that was looked at before.
    for _ in 0..LOOKS {
        if holders(&cluster, id, ack).await >= spec.min_isr {
            return;
        }
        sleep(ms(20)).await;
    }
    assert!(
        !cluster.oracle().is_valid(id, ack.epoch),
        "{}-{}: {} was acknowledged by {}, and fewer than {} have it",
        spec.name,
        id.index,
        ack.offset,
        ack.by.0,
        spec.min_isr
    );
}

/// The replicas but for those that surely do not have it.
async fn holders(cluster: &Cluster, id: PartitionId, ack: Ack) -> usize {
    let replicas = cluster
        .oracle()
        .image()
        .partition(&id)
        .expect("there")
        .1
        .replicas
        .clone();
    let mut holders = replicas.len();
    for replica in replicas {
        holders -= usize::from(lacks(cluster.node(replica), id, ack).await);
    }
    holders
}

async fn lacks(node: &Node, id: PartitionId, ack: Ack) -> bool {
    let Some(router) = node.router() else { return false };
    let reading = fetch(&router, id, ack.offset, Isolation::LogEnd);
    let Some(fetched) = rt::timeout(ms(50), reading).await else {
        return false;
    };
    let log = batches(&fetched.records.concat());
    let has_another = log.first().is_none_or(|first| first.crc != ack.crc);
    match fetched.error {
        ErrorCode::None => has_another,
        ErrorCode::OffsetOutOfRange => true,
        _ => false,
    }
}

/// Reads one partition after the other from one broker, from where it has come to there. In each epoch that it meets, and now
/// and then, it looks whether the leader has what was promised.
pub async fn consume(cluster: Rc<Cluster>, from: BrokerId) {
    let node: &Node = cluster.node(from);
    let mut positions: BTreeMap<PartitionId, i64> = BTreeMap::new();
    let mut looked_at: BTreeMap<PartitionId, i32> = BTreeMap::new();
    while !cluster.is_over.get() {
        sleep(between_ms(20 + random_u64() % 200)).await;
        let partitions = cluster.partitions();
        let (_, id) = partitions[(random_u64() % partitions.len() as u64) as usize].clone();
        let known = looked_at.get(&id).copied().unwrap_or(-1);
        looked_at.insert(id, check_leader(&cluster, id, known).await);
        let Some(router) = node.router() else { continue };
        let position = positions.entry(id).or_default();
        let reading = read(&router, id, *position, Isolation::ReadUncommitted);
        let lives = node.lives();
        let term = cluster.oracle().term(id, node.id, lives);
        if let Some((batches, high_watermark)) = rt::timeout(paced(ANSWER_PATIENCE), reading).await {
            let mut oracle = cluster.oracle();
            oracle.shown(id, node.id, &batches);
            let term = term.filter(|term| oracle.term(id, node.id, lives) == Some(*term));
            if let Some(term) = term.filter(|_| high_watermark >= 0) {
                oracle.high_watermark(id, node.id, term, high_watermark);
            }
            *position = batches.last().map_or(*position, |last| last.offset + 1);
        }
    }
}

/// The leader of the newest epoch has a batch that was promised, where it was, whether or not it may show it already. Gives the
/// last epoch whose leader has answered so.
async fn check_leader(cluster: &Cluster, id: PartitionId, known: i32) -> i32 {
    let promised = cluster.oracle().promised(id, random_u64());
    let Some(promised) = promised.filter(|one| one.epoch > known || random_u64().is_multiple_of(LOOK_AGAIN_ONE_IN))
    else {
        return known;
    };
    let Some(router) = cluster.node(promised.leader).router() else {
        return known;
    };
    let reading = fetch_in(&router, id, Some(promised.epoch), promised.offset, Isolation::LogEnd);
    let Some(fetched) = rt::timeout(paced(ANSWER_PATIENCE), reading).await else {
        return known;
    };
    if !matches!(fetched.error, ErrorCode::None | ErrorCode::OffsetOutOfRange) {
        return known;
    }
    let log = batches(&fetched.records.concat());
    let found = log.first().map(|batch| (batch.offset, batch.crc));
    assert!(
        found == Some((promised.offset, promised.crc)),
        "{}-{}: {} was promised, {:08x}, and broker {}, which leads in epoch {}, has {found:x?} there",
        cluster.oracle().name(id),
        id.index,
        promised.offset,
        promised.crc,
        promised.leader.0,
        promised.epoch
    );
    promised.epoch
}
