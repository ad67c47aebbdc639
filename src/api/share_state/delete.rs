//! DeleteShareGroupState: a group's coordinator has it forgotten that the group ever read share partitions.

use std::rc::Rc;

use crate::api::{Answer, Api, Context, Refusal, Request};
use crate::share::StateRequest;
use crate::wire::ApiKey;
use crate::wire::messages::{
    DeleteShareGroupStateRequestData, DeleteShareGroupStateResponseData, DeleteStateResult, DeletedStatePartition,
};

use super::{answered, ask};

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
        let partitions = answered(asked.collect(), |partition, error_code| DeletedStatePartition {
            partition,
            error_code,
            ..Default::default()
        });
        results.push(DeleteStateResult {
            topic_id: topic.topic_id,
            partitions: partitions.await,
            ..Default::default()
        });
    }
    let response = DeleteShareGroupStateResponseData {
        results,
        ..Default::default()
    };
    Answer::message(&response, version)
}
