//! ReadShareGroupState: the leader of share partitions reads what it goes on from. Those who led before may not write any more.

use std::rc::Rc;

use crate::api::{Answer, Api, Context, Refusal, Request};
use crate::model::ErrorCode;
use crate::share::{Kept, SavedBatch, StateAnswer, StateReply, StateRequest};
use crate::wire::ApiKey;
use crate::wire::messages::{
    ReadShareGroupStateRequestData, ReadShareGroupStateResponseData, ReadStateBatch, ReadStateResult,
    ReadStateResultPartition,
};

use super::{Asked, ask};

pub const API: Api = Api {
    key: ApiKey::READ_SHARE_GROUP_STATE,
    name: "ReadShareGroupState",
    versions: 0..=0,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<ReadShareGroupStateRequestData>(&cx)?;
    let mut results = Vec::with_capacity(message.topics.len());
    for topic in &message.topics {
        let asked = topic.partitions.iter().map(|partition| {
            ask(&cx, &message.group_id, (topic.topic_id, partition.partition), |key| {
                StateRequest::Read(key, partition.leader_epoch)
            })
        });
        let asked: Vec<Asked> = asked.collect();
        let mut partitions = Vec::with_capacity(asked.len());
        for Asked { index, answer } in asked {
            partitions.push(answered(index, answer.await));
        }
        results.push(ReadStateResult {
            topic_id: topic.topic_id,
            partitions,
            ..Default::default()
        });
    }
    let response = ReadShareGroupStateResponseData {
        results,
        ..Default::default()
    };
    Answer::message(&response, version)
}

fn answered(index: i32, answer: StateAnswer) -> ReadStateResultPartition {
    let refused = |error: ErrorCode| ReadStateResultPartition {
        partition: index,
        error_code: error.code(),
        ..Default::default()
    };
    match answer {
        Ok(StateReply::Read(Kept { epochs, saved })) => ReadStateResultPartition {
            state_epoch: epochs.state,
            start_offset: saved.start,
            state_batches: saved.batches.iter().map(batch).collect(),
            ..refused(ErrorCode::None)
        },
        Ok(_) => refused(ErrorCode::UnknownServerError),
        Err(error) => refused(error),
    }
}

fn batch(saved: &SavedBatch) -> ReadStateBatch {
    ReadStateBatch {
        first_offset: saved.first,
        last_offset: saved.last,
        delivery_state: saved.delivery.code(),
        delivery_count: saved.count,
        ..Default::default()
    }
}
