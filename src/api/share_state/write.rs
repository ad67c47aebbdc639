//! WriteShareGroupState: the leader of share partitions saves all that is to be known of them.

use std::rc::Rc;

use crate::api::{Answer, Api, Context, Refusal, Request};
use crate::share::{Epochs, Kept, Saved, SavedBatch, SavedDelivery, StateRequest};
use crate::wire::ApiKey;
use crate::wire::messages::{
    WriteShareGroupStateRequestData, WriteShareGroupStateResponseData, WriteStateBatch, WriteStatePartition,
    WriteStateResult, WrittenStatePartition,
};

use super::{answered, ask};

pub const API: Api = Api {
    key: ApiKey::WRITE_SHARE_GROUP_STATE,
    name: "WriteShareGroupState",
    versions: 0..=1,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<WriteShareGroupStateRequestData>(&cx)?;
    let mut results = Vec::with_capacity(message.topics.len());
    for topic in &message.topics {
        let asked = topic.partitions.iter().map(|partition| {
            ask(&cx, &message.group_id, (topic.topic_id, partition.partition), |key| {
                StateRequest::Write(key, kept(partition))
            })
        });
        let partitions = answered(asked.collect(), |partition, error_code| WrittenStatePartition {
            partition,
            error_code,
            ..Default::default()
        });
        results.push(WriteStateResult {
            topic_id: topic.topic_id,
            partitions: partitions.await,
            ..Default::default()
        });
    }
    let response = WriteShareGroupStateResponseData {
        results,
        ..Default::default()
    };
    Answer::message(&response, version)
}

/// From version 1 on it is said how much is settled. //= KIP-1226
fn kept(partition: &WriteStatePartition) -> Kept {
    let batch = |batch: &WriteStateBatch| SavedBatch {
        first: batch.first_offset,
        last: batch.last_offset,
        delivery: SavedDelivery::of_code(batch.delivery_state),
        count: batch.delivery_count.max(0),
    };
    Kept {
        epochs: Epochs {
            state: partition.state_epoch,
            leader: partition.leader_epoch,
        },
        saved: Saved {
            start: partition.start_offset,
            settled: partition.delivery_complete_count.max(0).into(),
            batches: partition.state_batches.iter().map(batch).collect(),
        },
    }
}
