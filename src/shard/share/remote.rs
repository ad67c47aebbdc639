//! The state of share groups that another broker keeps, by Kafka's own requests from broker to broker. //= KIP-932

use std::sync::Arc;

use crate::model::{BrokerId, ErrorCode, PartitionId, TopicId};
use crate::shard::Router;
use crate::share::{Epochs, Kept, Saved, SavedBatch, SavedDelivery, StateKey, StateReply, StateRequest};
use crate::wire::ApiKey;
use crate::wire::messages::*;

/// The versions that brokers ask each other with; from version 1 on the two say how much is settled. //= KIP-1226
const INITIALIZE: (ApiKey, i16) = (ApiKey::INITIALIZE_SHARE_GROUP_STATE, 0);
const READ: (ApiKey, i16) = (ApiKey::READ_SHARE_GROUP_STATE, 0);
const WRITE: (ApiKey, i16) = (ApiKey::WRITE_SHARE_GROUP_STATE, 1);
const DELETE: (ApiKey, i16) = (ApiKey::DELETE_SHARE_GROUP_STATE, 0);
const SUMMARY: (ApiKey, i16) = (ApiKey::READ_SHARE_GROUP_STATE_SUMMARY, 1);

/// NETWORK_EXCEPTION where there is no answer; else as the coordinator over there says.
pub(super) async fn ask(router: &Router, broker: BrokerId, request: StateRequest) -> Result<StateReply, ErrorCode> {
    match request {
        StateRequest::Initialize(key, epoch, start) => initialize(router, broker, &key, epoch, start).await,
        StateRequest::Read(key, leader_epoch) => read(router, broker, &key, leader_epoch).await,
        StateRequest::Write(key, kept) => write(router, broker, &key, &kept).await,
        StateRequest::Delete(key) => delete(router, broker, &key).await,
        // Asked for by log, because each has its own leader.
        StateRequest::List(_) => Err(ErrorCode::InvalidRequest),
    }
}

/// What these logs keep of the group, without the batches: the partitions of the state's own topic stand for all that they
/// keep.
pub(super) async fn list(
    router: &Router,
    broker: BrokerId,
    state_topic: TopicId,
    logs: &[PartitionId],
    group: &Arc<str>,
) -> Result<Vec<(StateKey, Kept)>, ErrorCode> {
    let partition = |log: &PartitionId| {
        StateSummaryPartition::default()
            .with_partition(log.index)
            .with_leader_epoch(-1)
    };
    let topic = ReadStateSummaryData::default()
        .with_topic_id(kafka_uuid(state_topic))
        .with_partitions(logs.iter().map(partition).collect());
    let request = ReadShareGroupStateSummaryRequestData::default()
        .with_group_id(kafka_string(group))
        .with_topics(vec![topic]);
    let answer: ReadShareGroupStateSummaryResponseData = call(router, broker, SUMMARY, &request).await?;
    let mut kept = Vec::new();
    for topic in &answer.results {
        for partition in &topic.partitions {
            check(partition.error_code)?;
            let key = StateKey {
                group: group.clone(),
                topic: topic_id(topic.topic_id),
                index: partition.partition,
            };
            // The log itself, which has no error.
            if key.topic != state_topic {
                kept.push((key, summary(partition)));
            }
        }
    }
    Ok(kept)
}

fn summary(partition: &StateSummaryResultPartition) -> Kept {
    Kept {
        epochs: Epochs {
            state: partition.state_epoch,
            leader: partition.leader_epoch,
        },
        saved: Saved {
            start: partition.start_offset,
            settled: partition.delivery_complete_count.max(0).into(),
            batches: Vec::new(),
        },
    }
}

async fn initialize(
    router: &Router,
    broker: BrokerId,
    key: &StateKey,
    state_epoch: i32,
    start: i64,
) -> Result<StateReply, ErrorCode> {
    let partition = InitializeStatePartition::default()
        .with_partition(key.index)
        .with_state_epoch(state_epoch)
        .with_start_offset(start);
    let topic = InitializeStateData::default()
        .with_topic_id(kafka_uuid(key.topic))
        .with_partitions(vec![partition]);
    let request = InitializeShareGroupStateRequestData::default()
        .with_group_id(kafka_string(&key.group))
        .with_topics(vec![topic]);
    let answer: InitializeShareGroupStateResponseData = call(router, broker, INITIALIZE, &request).await?;
    let results = answer.results.iter().flat_map(|topic| &topic.partitions);
    done(results.map(|partition| partition.error_code))
}

async fn read(router: &Router, broker: BrokerId, key: &StateKey, leader_epoch: i32) -> Result<StateReply, ErrorCode> {
    let partition = ReadStatePartition::default()
        .with_partition(key.index)
        .with_leader_epoch(leader_epoch);
    let topic = ReadStateData::default()
        .with_topic_id(kafka_uuid(key.topic))
        .with_partitions(vec![partition]);
    let request = ReadShareGroupStateRequestData::default()
        .with_group_id(kafka_string(&key.group))
        .with_topics(vec![topic]);
    let answer: ReadShareGroupStateResponseData = call(router, broker, READ, &request).await?;
    let read = answer.results.iter().flat_map(|topic| &topic.partitions).next();
    let read = read.ok_or(ErrorCode::UnknownServerError)?;
    check(read.error_code)?;
    let epochs = Epochs {
        state: read.state_epoch,
        leader: leader_epoch,
    };
    let batch = |batch: &ReadStateBatch| SavedBatch {
        first: batch.first_offset,
        last: batch.last_offset,
        delivery: SavedDelivery::of_code(batch.delivery_state),
        count: batch.delivery_count,
    };
    let saved = Saved {
        start: read.start_offset,
        // Counted anew by who restores it.
        settled: 0,
        batches: read.state_batches.iter().map(batch).collect(),
    };
    match saved.is_in_order() {
        true => Ok(StateReply::Read(Kept { epochs, saved })),
        false => Err(ErrorCode::UnknownServerError),
    }
}

async fn write(router: &Router, broker: BrokerId, key: &StateKey, kept: &Kept) -> Result<StateReply, ErrorCode> {
    let batch = |batch: &SavedBatch| {
        WriteStateBatch::default()
            .with_first_offset(batch.first)
            .with_last_offset(batch.last)
            .with_delivery_state(batch.delivery.code())
            .with_delivery_count(batch.count)
    };
    let Kept { epochs, saved } = kept;
    let partition = WriteStatePartition::default()
        .with_partition(key.index)
        .with_state_epoch(epochs.state)
        .with_leader_epoch(epochs.leader)
        .with_start_offset(saved.start)
        .with_delivery_complete_count(i32::try_from(saved.settled).unwrap_or(i32::MAX))
        .with_state_batches(saved.batches.iter().map(batch).collect());
    let topic = WriteStateData::default()
        .with_topic_id(kafka_uuid(key.topic))
        .with_partitions(vec![partition]);
    let request = WriteShareGroupStateRequestData::default()
        .with_group_id(kafka_string(&key.group))
        .with_topics(vec![topic]);
    let answer: WriteShareGroupStateResponseData = call(router, broker, WRITE, &request).await?;
    let results = answer.results.iter().flat_map(|topic| &topic.partitions);
    done(results.map(|partition| partition.error_code))
}

async fn delete(router: &Router, broker: BrokerId, key: &StateKey) -> Result<StateReply, ErrorCode> {
    let topic = DeleteStateData::default()
        .with_topic_id(kafka_uuid(key.topic))
        .with_partitions(vec![DeleteStatePartition::default().with_partition(key.index)]);
    let request = DeleteShareGroupStateRequestData::default()
        .with_group_id(kafka_string(&key.group))
        .with_topics(vec![topic]);
    let answer: DeleteShareGroupStateResponseData = call(router, broker, DELETE, &request).await?;
    let results = answer.results.iter().flat_map(|topic| &topic.partitions);
    done(results.map(|partition| partition.error_code))
}

async fn call<A: Decode>(
    router: &Router,
    broker: BrokerId,
    (key, version): (ApiKey, i16),
    request: &impl Encode,
) -> Result<A, ErrorCode> {
    let unreadable = |_| ErrorCode::UnknownServerError;
    let body = vec![request.encode(version).map_err(unreadable)?];
    let answer = router
        .call_broker(broker, (key, version), body)
        .await
        .map_err(|problem| {
            tracing::debug!(broker = broker.0, %problem, "no answer about share groups' state");
            ErrorCode::NetworkException
        })?;
    A::decode_answer(answer, version).map_err(unreadable)
}

/// Of the one partition that was asked about.
fn done(mut codes: impl Iterator<Item = i16>) -> Result<StateReply, ErrorCode> {
    check(codes.next().ok_or(ErrorCode::UnknownServerError)?)?;
    Ok(StateReply::Done)
}

fn check(code: i16) -> Result<(), ErrorCode> {
    match ErrorCode::from_code(code) {
        ErrorCode::None => Ok(()),
        error => Err(error),
    }
}
