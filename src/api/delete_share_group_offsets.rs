//! DeleteShareGroupOffsets: an empty share group forgets that it ever read a topic.

use std::rc::Rc;

use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{
    DeleteShareGroupOffsetsRequestData, DeleteShareGroupOffsetsResponseData, DeleteShareGroupOffsetsResponseTopic,
    kafka_uuid, text,
};

use super::share_offsets::{Changes, require_empty};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::DELETE_SHARE_GROUP_OFFSETS,
    name: "DeleteShareGroupOffsets",
    versions: 0..=0,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<DeleteShareGroupOffsetsRequestData>(&cx)?;
    let group = text(&message.group_id);
    let response = match begin(&cx, &group).await {
        Err(error) => DeleteShareGroupOffsetsResponseData {
            error_code: error.code(),
            ..Default::default()
        },
        Ok(mut changes) => {
            let mut responses = Vec::with_capacity(message.topics.len());
            for topic in message.topics {
                let error = delete(&cx, &mut changes, topic.topic_name.as_str()).await;
                let id = cx.image().topic(topic.topic_name.as_str()).map(|topic| topic.id);
                responses.push(DeleteShareGroupOffsetsResponseTopic {
                    topic_name: topic.topic_name,
                    topic_id: id.map(kafka_uuid).unwrap_or_default(),
                    error_code: error.code(),
                    ..Default::default()
                });
            }
            DeleteShareGroupOffsetsResponseData {
                responses,
                ..Default::default()
            }
        }
    };
    Answer::message(&response, version)
}

async fn begin<'a>(cx: &'a Context, group: &'a str) -> Result<Changes<'a>, ErrorCode> {
    require_empty(cx, group).await?;
    Changes::begin(cx, group).await
}

/// The first error that one of its partitions gives.
async fn delete(cx: &Context, changes: &mut Changes<'_>, topic: &str) -> ErrorCode {
    let Some(id) = cx.image().topic(topic).map(|topic| topic.id) else {
        return ErrorCode::UnknownTopicOrPartition;
    };
    let mut first = ErrorCode::None;
    for partition in changes.partitions().into_iter().filter(|one| one.topic == id) {
        let error = changes.forget(partition).await;
        if first.is_none() {
            first = error;
        }
    }
    first
}
