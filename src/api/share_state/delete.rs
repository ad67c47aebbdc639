//! DeleteShareGroupState: a group's coordinator has it forgotten that the group ever read share partitions.

use std::rc::Rc;

use crate::api::{Answer, Api, Context, Refusal, Request};
use crate::share::StateRequest;
use crate::wire::ApiKey;
use crate::wire::messages::{
    DeleteShareGroupStateRequestData, DeleteShareGroupStateResponseData, DeleteStateResult, DeletedStatePartition,
};

use super::{Asked, ask};

pub const API: Api = Api {
    key: ApiKey::DELETE_SHARE_GROUP_STATE,
    name: "DeleteShareGroupState",
    versions: 0..=0,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<DeleteShareGroupStateRequestData>(&cx)?;
    let mut results = Vec::with_capacity(message.topics.len());
    for topic in &message.topics {
        let asked = topic.partitions.iter().map(|partition| {
            ask(
                &cx,
                &message.group_id,
                (topic.topic_id, partition.partition),
                StateRequest::Delete,
            )
        });
        let asked: Vec<Asked> = asked.collect();
        results.push(DeleteStateResult {
            topic_id: topic.topic_id,
            partitions: answered(asked).await,
            ..Default::default()
        });
    }
    let response = DeleteShareGroupStateResponseData {
        results,
        ..Default::default()
    };
    Answer::message(&response, version)
}

async fn answered(asked: Vec<Asked>) -> Vec<DeletedStatePartition> {
    let mut partitions = Vec::with_capacity(asked.len());
    for one in asked {
        let (partition, error_code) = one.done().await;
        partitions.push(DeletedStatePartition {
            partition,
            error_code,
            ..Default::default()
        });
    }
    partitions
}
