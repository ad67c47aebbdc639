//! OffsetFetch: what groups have committed. From version 8 on for several groups at once.

use std::rc::Rc;
use std::sync::Arc;

use crate::group::{FetchOffsets, FetchedOffset, GroupReply, GroupRequest, Sender};
use crate::metadata::Image;
use crate::model::{ErrorCode, TopicId};
use crate::wire::ApiKey;
use crate::wire::messages::{
    KafkaString, OffsetFetchRequestData, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponseData,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics, kafka_string, kafka_uuid, text, topic_id,
};

use super::groups::{ask, by_topic, mistaken};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::OFFSET_FETCH,
    name: "OffsetFetch",
    versions: 1..=10,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// From this version on a request has groups, each with its own answer.
const GROUPS_FROM: i16 = 8;
/// From this version on topics are named by their ids. //= KIP-848
const TOPIC_IDS_FROM: i16 = 10;
/// From this version on an error of the group has a field of its own.
const GROUP_ERROR_FROM: i16 = 2;

/// One group of a request.
struct Asked {
    group: String,
    /// From version 9 on.
    sender: Sender,
    /// None: all that it has committed.
    partitions: Option<Vec<(Arc<str>, i32)>>,
    /// Topics whose ids nobody knows.
    unknown: Vec<(TopicId, Vec<i32>)>,
}

type Fetched = Result<Vec<FetchedOffset>, ErrorCode>;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<OffsetFetchRequestData>(&cx)?;
    // One image for the question and the answer: an id that was understood is the one that is answered.
    let image = cx.image();
    let mut fetched = Vec::new();
    for asked in asked(&image, &message, version) {
        let offsets = fetch(&cx, &asked, message.require_stable).await;
        fetched.push((asked, offsets));
    }
    Answer::message(&response(&image, fetched, version), version)
}

fn asked(image: &Image, message: &OffsetFetchRequestData, version: i16) -> Vec<Asked> {
    match version {
        TOPIC_IDS_FROM.. => message.groups.iter().map(|group| asked_by_ids(image, group)).collect(),
        GROUPS_FROM.. => message.groups.iter().map(asked_by_names).collect(),
        _ => {
            let topics = message.topics.as_deref().map(|topics| {
                topics
                    .iter()
                    .map(|topic| (&topic.name, topic.partition_indexes.as_slice()))
            });
            vec![Asked::all_known(&message.group_id, topics.map(partitions))]
        }
    }
}

fn asked_by_names(group: &OffsetFetchRequestGroup) -> Asked {
    let topics = group.topics.as_deref().map(|topics| {
        topics
            .iter()
            .map(|topic| (&topic.name, topic.partition_indexes.as_slice()))
    });
    Asked {
        sender: sender(group),
        ..Asked::all_known(&group.group_id, topics.map(partitions))
    }
}

/// Versions before 9 do not say who asks.
fn sender(group: &OffsetFetchRequestGroup) -> Sender {
    Sender {
        member_id: group.member_id.as_ref().map(text).unwrap_or_default(),
        instance_id: None,
        epoch: group.member_epoch,
    }
}

fn asked_by_ids(image: &Image, group: &OffsetFetchRequestGroup) -> Asked {
    let mut asked = Asked {
        sender: sender(group),
        ..Asked::all_known(&group.group_id, group.topics.as_ref().map(|_| Vec::new()))
    };
    for OffsetFetchRequestTopics {
        topic_id: id,
        partition_indexes,
        ..
    } in group.topics.iter().flatten()
    {
        let id = topic_id(*id);
        match (image.topic_by_id(&id), &mut asked.partitions) {
            (Some(topic), Some(partitions)) => {
                partitions.extend(partition_indexes.iter().map(|index| (topic.name.clone(), *index)));
            }
            _ => asked.unknown.push((id, partition_indexes.clone())),
        }
    }
    asked
}

fn partitions<'a>(topics: impl Iterator<Item = (&'a KafkaString, &'a [i32])>) -> Vec<(Arc<str>, i32)> {
    let of_topic = |(name, indexes): (&KafkaString, &'a [i32])| {
        let name: Arc<str> = name.as_str().into();
        indexes.iter().map(move |index| (name.clone(), *index))
    };
    topics.flat_map(of_topic).collect()
}

async fn fetch(cx: &Context, asked: &Asked, require_stable: bool) -> Fetched {
    let fetch = FetchOffsets {
        group: asked.group.clone(),
        sender: asked.sender.clone(),
        partitions: asked.partitions.clone(),
        require_stable,
    };
    match ask(cx, &asked.group, GroupRequest::FetchOffsets(fetch)).await {
        Ok(GroupReply::Fetched(fetched)) => fetched,
        Ok(_) => mistaken(),
        Err(error) => Err(error),
    }
}

fn response(image: &Image, fetched: Vec<(Asked, Fetched)>, version: i16) -> OffsetFetchResponseData {
    if version >= GROUPS_FROM {
        return OffsetFetchResponseData {
            groups: fetched
                .into_iter()
                .map(|(asked, fetched)| group(image, asked, fetched, version))
                .collect(),
            ..Default::default()
        };
    }
    let (error, offsets) = match fetched.into_iter().next() {
        None => (ErrorCode::None, Vec::new()),
        Some((_, Ok(offsets))) => (ErrorCode::None, offsets),
        Some((_, Err(error))) if version >= GROUP_ERROR_FROM => (error, Vec::new()),
        Some((asked, Err(error))) => (ErrorCode::None, refused(asked, error)),
    };
    let topic = |(name, offsets): (Arc<str>, Vec<FetchedOffset>)| OffsetFetchResponseTopic {
        name: kafka_string(&name),
        partitions: offsets.into_iter().map(partition).collect(),
        ..Default::default()
    };
    OffsetFetchResponseData {
        error_code: error.code(),
        topics: by_topic(offsets, |one| one.topic.clone())
            .into_iter()
            .map(topic)
            .collect(),
        ..Default::default()
    }
}

/// Version 1 has only the partitions to say it.
fn refused(asked: Asked, error: ErrorCode) -> Vec<FetchedOffset> {
    let partitions = asked.partitions.unwrap_or_default().into_iter();
    partitions
        .map(|(topic, partition)| none(topic, partition, error))
        .collect()
}

fn none(topic: Arc<str>, partition: i32, error: ErrorCode) -> FetchedOffset {
    FetchedOffset {
        topic,
        partition,
        error,
        offset: -1,
        leader_epoch: -1,
        metadata: String::new(),
    }
}

fn group(image: &Image, asked: Asked, fetched: Fetched, version: i16) -> OffsetFetchResponseGroup {
    let (error, offsets) = match fetched {
        Ok(offsets) => (ErrorCode::None, offsets),
        Err(error) => (error, Vec::new()),
    };
    let by_topic = by_topic(offsets, |one| one.topic.clone()).into_iter();
    let known = by_topic.filter_map(|(name, offsets)| topic_of_group(image, &name, offsets, version));
    let unknown = asked.unknown.into_iter().filter(|_| error.is_none());
    OffsetFetchResponseGroup {
        group_id: kafka_string(&asked.group),
        error_code: error.code(),
        topics: known.chain(unknown.map(unknown_topic)).collect(),
        ..Default::default()
    }
}

/// None: a topic that has no id any more, of which the group has committed offsets.
fn topic_of_group(
    image: &Image,
    name: &str,
    offsets: Vec<FetchedOffset>,
    version: i16,
) -> Option<OffsetFetchResponseTopics> {
    let id = image.topic(name).map(|topic| topic.id);
    if id.is_none() && version >= TOPIC_IDS_FROM {
        return None;
    }
    Some(OffsetFetchResponseTopics {
        name: kafka_string(name),
        topic_id: kafka_uuid(id.unwrap_or(TopicId::ZERO)),
        partitions: offsets.into_iter().map(partition_of_group).collect(),
        ..Default::default()
    })
}

fn unknown_topic((id, indexes): (TopicId, Vec<i32>)) -> OffsetFetchResponseTopics {
    let unknown = |index| partition_of_group(none("".into(), index, ErrorCode::UnknownTopicId));
    OffsetFetchResponseTopics {
        topic_id: kafka_uuid(id),
        partitions: indexes.into_iter().map(unknown).collect(),
        ..Default::default()
    }
}

impl Asked {
    fn all_known(group: &KafkaString, partitions: Option<Vec<(Arc<str>, i32)>>) -> Asked {
        Asked {
            group: text(group),
            sender: Sender::nobody(),
            partitions,
            unknown: Vec::new(),
        }
    }
}

fn partition(fetched: FetchedOffset) -> OffsetFetchResponsePartition {
    OffsetFetchResponsePartition {
        partition_index: fetched.partition,
        committed_offset: fetched.offset,
        committed_leader_epoch: fetched.leader_epoch,
        metadata: Some(kafka_string(&fetched.metadata)),
        error_code: fetched.error.code(),
        ..Default::default()
    }
}

fn partition_of_group(fetched: FetchedOffset) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: fetched.partition,
        committed_offset: fetched.offset,
        committed_leader_epoch: fetched.leader_epoch,
        metadata: Some(kafka_string(&fetched.metadata)),
        error_code: fetched.error.code(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing;
    use crate::wire::messages::{Encode, OffsetFetchRequestTopic};

    fn topic(name: &str, id: u8) -> OffsetFetchRequestTopics {
        OffsetFetchRequestTopics {
            name: kafka_string(name),
            topic_id: kafka_uuid(TopicId([id; 16])),
            partition_indexes: vec![0, 1],
            ..Default::default()
        }
    }

    fn request(version: i16, topics: Vec<OffsetFetchRequestTopics>) -> OffsetFetchRequestData {
        if version >= GROUPS_FROM {
            let group = OffsetFetchRequestGroup {
                group_id: kafka_string("g"),
                topics: Some(topics),
                ..Default::default()
            };
            return OffsetFetchRequestData {
                groups: vec![group],
                ..Default::default()
            };
        }
        let topic = |topic: OffsetFetchRequestTopics| OffsetFetchRequestTopic {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..Default::default()
        };
        OffsetFetchRequestData {
            group_id: kafka_string("g"),
            topics: Some(topics.into_iter().map(topic).collect()),
            ..Default::default()
        }
    }

    /// Behaviour 54: each version says in its own place what was found, and what went wrong.
    #[test]
    fn every_version_has_its_place_for_errors() {
        let image = testing::image(&[("t", 2)]);
        for version in API.versions {
            let ask = || asked(&image, &request(version, vec![topic("t", 1)]), version).remove(0);
            assert_eq!(ask().partitions.unwrap().len(), 2);
            let none = refused(ask(), ErrorCode::None);
            let found = response(&image, vec![(ask(), Ok(none))], version);
            let failed = response(&image, vec![(ask(), Err(ErrorCode::NotCoordinator))], version);
            match version {
                GROUPS_FROM.. => {
                    assert_eq!(found.groups[0].topics[0].partitions.len(), 2);
                    assert_eq!((failed.groups[0].error_code, failed.groups[0].topics.len()), (16, 0));
                }
                GROUP_ERROR_FROM.. => {
                    assert_eq!(found.topics[0].partitions[1].committed_offset, -1);
                    assert_eq!((failed.error_code, failed.topics.len()), (16, 0));
                }
                _ => assert!(failed.topics[0].partitions.iter().all(|one| one.error_code == 16)),
            }
            for response in [found, failed] {
                response
                    .encode(version)
                    .unwrap_or_else(|error| panic!("version {version}: {error}"));
            }
        }
    }

    /// An id that nobody knows is answered as such; of all that a group has committed, what has no id is left out.
    #[test]
    fn topics_go_by_their_ids() {
        let image = testing::image(&[("t", 2)]);
        let ask = |topics| asked(&image, &request(TOPIC_IDS_FROM, topics), TOPIC_IDS_FROM).remove(0);
        let mixed = ask(vec![topic("", 9), topic("", 1)]);
        let offsets = refused(ask(vec![topic("", 1)]), ErrorCode::None);
        assert_eq!(offsets.iter().filter(|one| &*one.topic == "t").count(), 2);
        let answer = response(&image, vec![(mixed, Ok(offsets))], TOPIC_IDS_FROM);
        let codes = |topic: &OffsetFetchResponseTopics| {
            let codes = topic.partitions.iter().map(|one| one.error_code).collect::<Vec<_>>();
            (topic_id(topic.topic_id), codes)
        };
        let answered: Vec<_> = answer.groups[0].topics.iter().map(codes).collect();
        assert_eq!(
            answered,
            [(TopicId([1; 16]), vec![0, 0]), (TopicId([9; 16]), vec![100, 100])]
        );

        let all = OffsetFetchRequestData {
            groups: vec![OffsetFetchRequestGroup::default()],
            ..Default::default()
        };
        let mut all = asked(&image, &all, TOPIC_IDS_FROM).remove(0);
        all.partitions = None;
        let offsets = ["gone", "t"].map(|name| none(name.into(), 0, ErrorCode::None));
        let answer = response(&image, vec![(all, Ok(offsets.to_vec()))], TOPIC_IDS_FROM);
        let answered: Vec<_> = answer.groups[0].topics.iter().map(codes).collect();
        assert_eq!(answered, [(TopicId([1; 16]), vec![0])]);
    }
}
