//! InitializeShareGroupState: a group's coordinator has share partitions begin anew.

use std::rc::Rc;

use crate::api::{Answer, Api, Context, Refusal, Request};
use crate::share::StateRequest;
use crate::wire::ApiKey;
use crate::wire::messages::{
    InitializeShareGroupStateRequestData, InitializeShareGroupStateResponseData, InitializeStateResult,
    InitializedStatePartition,
};

use super::{answered, ask};

pub const API: Api = Api {
    key: ApiKey::INITIALIZE_SHARE_GROUP_STATE,
    name: "InitializeShareGroupState",
    versions: 0..=0,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<InitializeShareGroupStateRequestData>(&cx)?;
    let mut results = Vec::with_capacity(message.topics.len());
    for topic in &message.topics {
        let asked = topic.partitions.iter().map(|partition| {
            ask(&cx, &message.group_id, (topic.topic_id, partition.partition), |key| {
                StateRequest::Initialize(key, partition.state_epoch, partition.start_offset)
            })
        });
        let partitions = answered(asked.collect(), |partition, error_code| InitializedStatePartition {
            partition,
            error_code,
            ..Default::default()
        });
        results.push(InitializeStateResult {
            topic_id: topic.topic_id,
            partitions: partitions.await,
            ..Default::default()
        });
    }
    let response = InitializeShareGroupStateResponseData {
        results,
        ..Default::default()
    };
    Answer::message(&response, version)
}
