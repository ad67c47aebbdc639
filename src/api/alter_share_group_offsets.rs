//! AlterShareGroupOffsets: a share group without members, new or not, begins at the offsets that are named.

use std::rc::Rc;

use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{
    AlterShareGroupOffsetsRequestData, AlterShareGroupOffsetsRequestTopic, AlterShareGroupOffsetsResponseData,
    AlterShareGroupOffsetsResponsePartition, AlterShareGroupOffsetsResponseTopic, kafka_uuid, text,
};

use super::cluster_view::known_partition;
use super::share_offsets::{Changes, prepare};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::ALTER_SHARE_GROUP_OFFSETS,
    name: "AlterShareGroupOffsets",
    versions: 0..=0,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<AlterShareGroupOffsetsRequestData>(&cx)?;
    let group = text(&message.group_id);
    let response = match begin(&cx, &group).await {
        Err(error) => AlterShareGroupOffsetsResponseData {
            error_code: error.code(),
            ..Default::default()
        },
        Ok(mut changes) => {
            let mut responses = Vec::with_capacity(message.topics.len());
            for topic in &message.topics {
                responses.push(alter(&cx, &mut changes, topic).await);
            }
            AlterShareGroupOffsetsResponseData {
                responses,
                ..Default::default()
            }
        }
    };
    Answer::message(&response, version)
}

async fn begin<'a>(cx: &'a Rc<Context>, group: &'a str) -> Result<Changes<'a>, ErrorCode> {
    prepare(cx, group).await?;
    Changes::begin(cx, group).await
}

async fn alter(
    cx: &Context,
    changes: &mut Changes<'_>,
    asked: &AlterShareGroupOffsetsRequestTopic,
) -> AlterShareGroupOffsetsResponseTopic {
    let image = cx.image();
    let topic = image.topic(asked.topic_name.as_str());
    let mut partitions = Vec::with_capacity(asked.partitions.len());
    for asked in &asked.partitions {
        let partition = topic
            .ok_or(ErrorCode::UnknownTopicOrPartition)
            .and_then(|topic| known_partition(topic, asked.partition_index));
        let error = match partition {
            Err(error) => error,
            Ok(_) if asked.start_offset < 0 => ErrorCode::InvalidRequest,
            Ok(partition) => changes.begin_at(partition, asked.start_offset).await,
        };
        partitions.push(AlterShareGroupOffsetsResponsePartition {
            partition_index: asked.partition_index,
            error_code: error.code(),
            ..Default::default()
        });
    }
    AlterShareGroupOffsetsResponseTopic {
        topic_name: asked.topic_name.clone(),
        topic_id: topic.map(|topic| kafka_uuid(topic.id)).unwrap_or_default(),
        partitions,
        ..Default::default()
    }
}
