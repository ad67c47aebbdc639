//! OffsetDelete: committed offsets of topics that the group does not read.

use std::rc::Rc;
use std::sync::Arc;

use crate::group::{DeleteOffsets, GroupReply, GroupRequest};
use crate::metadata::Image;
use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{
    OffsetDeleteRequestData, OffsetDeleteResponseData, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic, text,
};

use super::groups::{ask, mistaken};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::OFFSET_DELETE,
    name: "OffsetDelete",
    versions: 0..=0,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<OffsetDeleteRequestData>(&cx)?;
    let group = text(&message.group_id);
    let image = cx.image();
    let delete = DeleteOffsets {
        group: group.clone(),
        partitions: known(&image, &message),
    };
    let deleted = match ask(&cx, &group, GroupRequest::DeleteOffsets(delete)).await {
        Ok(GroupReply::OffsetsDeleted(deleted)) => deleted,
        Ok(_) => mistaken(),
        Err(error) => Err(error),
    };
    Answer::message(&response(&image, &message, deleted), version)
}

fn is_known(image: &Image, topic: &str, index: i32) -> bool {
    image.topic(topic).is_some_and(|topic| topic.has_partition(index))
}

fn known(image: &Image, message: &OffsetDeleteRequestData) -> Vec<(Arc<str>, i32)> {
    let mut partitions = Vec::new();
    for topic in &message.topics {
        let name: Arc<str> = topic.name.as_str().into();
        let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
        let known = indexes.filter(|index| is_known(image, &name, *index));
        partitions.extend(known.map(|index| (name.clone(), index)));
    }
    partitions
}

/// An error of the group stands alone.
fn response(
    image: &Image,
    message: &OffsetDeleteRequestData,
    deleted: Result<Vec<ErrorCode>, ErrorCode>,
) -> OffsetDeleteResponseData {
    let mut codes = match deleted {
        Ok(codes) => codes.into_iter(),
        Err(error) => {
            return OffsetDeleteResponseData {
                error_code: error.code(),
                ..Default::default()
            };
        }
    };
    let topics = message.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let index = partition.partition_index;
            let code = match is_known(image, topic.name.as_str(), index) {
                true => codes.next().unwrap_or(ErrorCode::UnknownServerError),
                false => ErrorCode::UnknownTopicOrPartition,
            };
            OffsetDeleteResponsePartition {
                partition_index: index,
                error_code: code.code(),
                ..Default::default()
            }
        });
        OffsetDeleteResponseTopic {
            name: topic.name.clone(),
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    OffsetDeleteResponseData {
        topics: topics.collect(),
        ..Default::default()
    }
}
