//! Where partitions end for consumers, whoever leads them: other brokers are asked as a client would.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::metadata::Image;
use crate::model::{BrokerId, ErrorCode, PartitionId};
use crate::rt;
use crate::shard::{Isolation, ListOffsetsItem, OffsetQuery};
use crate::wire::ApiKey;
use crate::wire::messages::{
    Decode, Encode, ListOffsetsPartition, ListOffsetsRequestData, ListOffsetsResponseData, ListOffsetsTopic,
    kafka_string,
};

use super::Context;

/// Of ListOffsets, as brokers ask each other.
const VERSION: i16 = 7;
const LATEST: i64 = -1;
/// For one broker's answer. Ends are for people to look at.
const PATIENCE: Duration = Duration::from_secs(5);

/// The ends that can be told now.
pub async fn log_ends(cx: &Context, partitions: impl Iterator<Item = PartitionId>) -> BTreeMap<PartitionId, i64> {
    let mut ends = BTreeMap::new();
    let me = cx.broker_id();
    for (leader, partitions) in by_leader(&cx.image(), partitions) {
        match leader == me {
            true => ends.extend(ends_here(cx, &partitions).await),
            false => ends.extend(ends_at(cx, leader, &partitions).await),
        }
    }
    ends
}

fn by_leader(image: &Image, partitions: impl Iterator<Item = PartitionId>) -> BTreeMap<BrokerId, Vec<PartitionId>> {
    let mut by_leader: BTreeMap<BrokerId, Vec<PartitionId>> = BTreeMap::new();
    for partition in partitions {
        let topic = image.topic_by_id(&partition.topic);
        let at = usize::try_from(partition.index).ok();
        let state = topic.zip(at).and_then(|(topic, at)| topic.partitions.get(at));
        if let Some(leader) = state.and_then(|state| state.leader) {
            by_leader.entry(leader).or_default().push(partition);
        }
    }
    by_leader
}

async fn ends_here(cx: &Context, partitions: &[PartitionId]) -> Vec<(PartitionId, i64)> {
    let item = |partition: &PartitionId| ListOffsetsItem {
        partition: *partition,
        leader_epoch: -1,
        query: OffsetQuery::Latest,
        isolation: Isolation::ReadUncommitted,
    };
    let listed = cx.router().list_offsets(partitions.iter().map(item).collect()).await;
    let known = partitions
        .iter()
        .zip(listed)
        .filter(|(_, listed)| listed.error.is_none());
    known.map(|(partition, listed)| (*partition, listed.offset)).collect()
}

async fn ends_at(cx: &Context, leader: BrokerId, partitions: &[PartitionId]) -> Vec<(PartitionId, i64)> {
    let image = cx.image();
    let Ok(body) = request(&image, partitions).encode(VERSION) else {
        return Vec::new();
    };
    let call = cx
        .router()
        .call_broker(leader, (ApiKey::LIST_OFFSETS, VERSION), vec![body]);
    let answer = match rt::timeout(PATIENCE, call).await {
        Some(Ok(answer)) => ListOffsetsResponseData::decode_answer(answer, VERSION),
        Some(Err(problem)) => {
            tracing::debug!(broker = leader.0, %problem, "no answer about the ends of partitions");
            return Vec::new();
        }
        None => return Vec::new(),
    };
    answer.map_or_else(|_| Vec::new(), |answer| ends_of(&image, &answer))
}

fn request(image: &Image, partitions: &[PartitionId]) -> ListOffsetsRequestData {
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for partition in partitions {
        let Some(topic) = image.topic_by_id(&partition.topic) else {
            continue;
        };
        let asked = ListOffsetsPartition {
            partition_index: partition.index,
            current_leader_epoch: -1,
            timestamp: LATEST,
            ..Default::default()
        };
        match topics.last_mut().filter(|last| last.name.as_str() == &*topic.name) {
            Some(last) => last.partitions.push(asked),
            None => topics.push(ListOffsetsTopic {
                name: kafka_string(&topic.name),
                partitions: vec![asked],
                ..Default::default()
            }),
        }
    }
    ListOffsetsRequestData {
        replica_id: -1,
        topics,
        ..Default::default()
    }
}

fn ends_of(image: &Image, answer: &ListOffsetsResponseData) -> Vec<(PartitionId, i64)> {
    let mut ends = Vec::new();
    for topic in &answer.topics {
        let Some(id) = image.topic(topic.name.as_str()).map(|topic| topic.id) else {
            continue;
        };
        let known = topic
            .partitions
            .iter()
            .filter(|one| one.error_code == ErrorCode::None.code());
        ends.extend(known.map(|one| {
            let partition = PartitionId {
                topic: id,
                index: one.partition_index,
            };
            (partition, one.offset)
        }));
    }
    ends
}
