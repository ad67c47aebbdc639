//! OffsetCommit: how far a group, or a consumer on its own, has come.

use std::rc::Rc;
use std::sync::Arc;

use crate::group::{CommitItem, CommitOffsets, GroupReply, GroupRequest};
use crate::metadata::{Image, Topic};
use crate::model::{ErrorCode, TopicId};
use crate::wire::ApiKey;
use crate::wire::messages::{
    OffsetCommitRequestData, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponseData,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic, body_limit, text, topic_id,
};
use crate::wire::offset_commit_v1;

use super::groups::{ask, mistaken, sender};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::OFFSET_COMMIT,
    name: "OffsetCommit",
    versions: 1..=10,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// From this version on topics are named by their ids. //= KIP-848
const TOPIC_IDS_FROM: i16 = 10;
/// Versions 2 to 4 say how long the offsets are to be kept. //= KIP-211
const RETENTION_VERSIONS: std::ops::RangeInclusive<i16> = 2..=4;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = decode(&cx, request)?;
    let image = cx.image();
    let (items, mut codes) = items(&image, &message, version);
    drop(image);
    let commit = CommitOffsets {
        group: text(&message.group_id),
        sender: sender(
            &message.member_id,
            message.group_instance_id.as_ref(),
            message.generation_id_or_member_epoch,
        ),
        version,
        retention_ms: Some(message.retention_time_ms).filter(|ms| *ms >= 0 && RETENTION_VERSIONS.contains(&version)),
        producer: None,
        items,
    };
    let group = commit.group.clone();
    let committed = match ask(&cx, &group, GroupRequest::CommitOffsets(commit)).await {
        Ok(GroupReply::Committed(committed)) => committed,
        Ok(_) => mistaken(),
        Err(error) => Err(error),
    };
    fill(&mut codes, committed);
    Answer::message(&response(&message, &codes), offset_commit_v1::response_version(version))
}

fn decode(cx: &Context, request: Request) -> Result<OffsetCommitRequestData, Refusal> {
    if request.version() > 1 {
        return request.decode(cx);
    }
    let (message, trailing) = match request.body.len() <= body_limit(ApiKey::OFFSET_COMMIT) {
        true => offset_commit_v1::decode(&request.body)?,
        false => return request.decode(cx),
    };
    cx.count_trailing(trailing);
    Ok(message)
}

/// What can be committed, and the answer's codes in the order of the request: none yet where the coordinator decides.
fn items(image: &Image, message: &OffsetCommitRequestData, version: i16) -> (Vec<CommitItem>, Vec<Option<ErrorCode>>) {
    let (mut items, mut codes) = (Vec::new(), Vec::new());
    for topic in &message.topics {
        let known = topic_of(image, topic, version);
        for partition in &topic.partitions {
            match known.and_then(|known| with_partition(known, partition.partition_index)) {
                Err(error) => codes.push(Some(error)),
                Ok(known) => {
                    codes.push(None);
                    items.push(item(known.name.clone(), known.id, partition));
                }
            }
        }
    }
    (items, codes)
}

fn topic_of<'a>(image: &'a Image, topic: &OffsetCommitRequestTopic, version: i16) -> Result<&'a Topic, ErrorCode> {
    match version {
        TOPIC_IDS_FROM.. => {
            let known = image.topic_by_id(&topic_id(topic.topic_id));
            known.map(AsRef::as_ref).ok_or(ErrorCode::UnknownTopicId)
        }
        _ => {
            let known = image.topic(topic.name.as_str());
            known.map(AsRef::as_ref).ok_or(ErrorCode::UnknownTopicOrPartition)
        }
    }
}

fn with_partition(topic: &Topic, index: i32) -> Result<&Topic, ErrorCode> {
    let topic = topic.has_partition(index).then_some(topic);
    topic.ok_or(ErrorCode::UnknownTopicOrPartition)
}

fn item(topic: Arc<str>, topic_id: TopicId, partition: &OffsetCommitRequestPartition) -> CommitItem {
    CommitItem {
        topic,
        topic_id,
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.as_ref().map(text).unwrap_or_default(),
    }
}

/// An error of the whole request is every partition's, but for those that are unknown anyway.
fn fill(codes: &mut [Option<ErrorCode>], committed: Result<Vec<ErrorCode>, ErrorCode>) {
    let (of_all, mut one_by_one) = match committed {
        Ok(codes) => (ErrorCode::UnknownServerError, codes.into_iter()),
        Err(error) => (error, Vec::new().into_iter()),
    };
    for code in codes.iter_mut().filter(|code| code.is_none()) {
        *code = Some(one_by_one.next().unwrap_or(of_all));
    }
}

fn response(message: &OffsetCommitRequestData, codes: &[Option<ErrorCode>]) -> OffsetCommitResponseData {
    let mut codes = codes.iter().flatten();
    let topics = message.topics.iter().map(|topic| OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .zip(&mut codes)
            .map(|(partition, code)| OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: code.code(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    });
    OffsetCommitResponseData {
        topics: topics.collect(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing;
    use crate::wire::messages::{Encode, kafka_string, kafka_uuid};

    fn request() -> OffsetCommitRequestData {
        let partitions = |indexes: &[i32]| {
            let partition = |index: &i32| OffsetCommitRequestPartition {
                partition_index: *index,
                committed_offset: 5,
                ..Default::default()
            };
            indexes.iter().map(partition).collect()
        };
        let topic = |name: &str, id: u8, indexes: &[i32]| OffsetCommitRequestTopic {
            name: kafka_string(name),
            topic_id: kafka_uuid(TopicId([id; 16])),
            partitions: partitions(indexes),
            ..Default::default()
        };
        OffsetCommitRequestData {
            topics: vec![topic("t", 1, &[0, 7, -1, 1]), topic("none", 9, &[0])],
            ..Default::default()
        }
    }

    fn codes_of(response: &OffsetCommitResponseData) -> Vec<i16> {
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|partition| partition.error_code).collect()
    }

    /// Every partition is answered in its place: unknown ones here, the others by the coordinator.
    #[test]
    fn every_partition_has_its_code() {
        let image = testing::image(&[("t", 2)]);
        let request = request();
        for version in API.versions {
            let unknown = if version >= TOPIC_IDS_FROM { 100 } else { 3 };
            for (committed, expected) in [
                (
                    Ok(vec![ErrorCode::None, ErrorCode::OffsetMetadataTooLarge]),
                    [0, 3, 3, 12, unknown],
                ),
                (Err(ErrorCode::IllegalGeneration), [22, 3, 3, 22, unknown]),
            ] {
                let (items, mut codes) = items(&image, &request, version);
                assert_eq!(items.len(), 2, "version {version}");
                fill(&mut codes, committed);
                let response = response(&request, &codes);
                assert_eq!(codes_of(&response), expected, "version {version}");
                assert_eq!(response.topics[1].topic_id, request.topics[1].topic_id);
                response
                    .encode(offset_commit_v1::response_version(version))
                    .unwrap_or_else(|error| panic!("version {version}: {error}"));
            }
        }
    }
}
