//! OffsetFetch: what groups have committed. From version 8 on for several groups at once.

use std::rc::Rc;
use std::sync::Arc;

use crate::group::{FetchOffsets, FetchedOffset, GroupReply, GroupRequest};
use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{
    KafkaString, OffsetFetchRequestData, OffsetFetchResponseData, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
    kafka_string, text,
};

use super::groups::{ask, by_topic, mistaken};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::OFFSET_FETCH,
    name: "OffsetFetch",
    versions: 1..=9,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// From this version on a request has groups, each with its own answer.
const GROUPS_FROM: i16 = 8;
/// From this version on an error of the group has a field of its own.
const GROUP_ERROR_FROM: i16 = 2;

/// One group of a request.
struct Asked {
    group: String,
    /// None: all that it has committed.
    partitions: Option<Vec<(Arc<str>, i32)>>,
}

type Fetched = Result<Vec<FetchedOffset>, ErrorCode>;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<OffsetFetchRequestData>(&cx)?;
    let mut fetched = Vec::new();
    for asked in asked(&message, version) {
        let offsets = fetch(&cx, &asked, message.require_stable).await;
        fetched.push((asked, offsets));
    }
    Answer::message(&response(fetched, version), version)
}

fn asked(message: &OffsetFetchRequestData, version: i16) -> Vec<Asked> {
    if version < GROUPS_FROM {
        let topics = message.topics.as_deref();
        let topics = topics.map(|topics| {
            topics
                .iter()
                .map(|topic| (&topic.name, topic.partition_indexes.as_slice()))
        });
        return vec![Asked {
            group: text(&message.group_id),
            partitions: topics.map(partitions),
        }];
    }
    let groups = message.groups.iter().map(|group| {
        let topics = group.topics.as_deref();
        let topics = topics.map(|topics| {
            topics
                .iter()
                .map(|topic| (&topic.name, topic.partition_indexes.as_slice()))
        });
        Asked {
            group: text(&group.group_id),
            partitions: topics.map(partitions),
        }
    });
    groups.collect()
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
        partitions: asked.partitions.clone(),
        require_stable,
    };
    match ask(cx, &asked.group, GroupRequest::FetchOffsets(fetch)).await {
        Ok(GroupReply::Fetched(fetched)) => fetched,
        Ok(_) => mistaken(),
        Err(error) => Err(error),
    }
}

fn response(fetched: Vec<(Asked, Fetched)>, version: i16) -> OffsetFetchResponseData {
    if version >= GROUPS_FROM {
        return OffsetFetchResponseData {
            groups: fetched.into_iter().map(group).collect(),
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
    let refuse = |(topic, partition)| FetchedOffset {
        topic,
        partition,
        error,
        offset: -1,
        leader_epoch: -1,
        metadata: String::new(),
    };
    partitions.map(refuse).collect()
}

fn group((asked, fetched): (Asked, Fetched)) -> OffsetFetchResponseGroup {
    let (error, offsets) = match fetched {
        Ok(offsets) => (ErrorCode::None, offsets),
        Err(error) => (error, Vec::new()),
    };
    let topic = |(name, offsets): (Arc<str>, Vec<FetchedOffset>)| OffsetFetchResponseTopics {
        name: kafka_string(&name),
        partitions: offsets.into_iter().map(partition_of_group).collect(),
        ..Default::default()
    };
    OffsetFetchResponseGroup {
        group_id: kafka_string(&asked.group),
        error_code: error.code(),
        topics: by_topic(offsets, |one| one.topic.clone())
            .into_iter()
            .map(topic)
            .collect(),
        ..Default::default()
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
    use crate::wire::messages::{Encode, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics};

    fn request(version: i16) -> OffsetFetchRequestData {
        let name = kafka_string("t");
        let partition_indexes = vec![0, 1];
        match version {
            GROUPS_FROM.. => OffsetFetchRequestData {
                groups: vec![OffsetFetchRequestGroup {
                    group_id: kafka_string("g"),
                    topics: Some(vec![OffsetFetchRequestTopics {
                        name,
                        partition_indexes,
                        ..Default::default()
                    }]),
                    ..Default::default()
                }],
                ..Default::default()
            },
            _ => OffsetFetchRequestData {
                group_id: kafka_string("g"),
                topics: Some(vec![OffsetFetchRequestTopic {
                    name,
                    partition_indexes,
                    ..Default::default()
                }]),
                ..Default::default()
            },
        }
    }

    /// Behaviour 54: each version says in its own place what was found, and what went wrong.
    #[test]
    fn every_version_has_its_place_for_errors() {
        for version in API.versions {
            let ask = || asked(&request(version), version).remove(0);
            assert_eq!(ask().partitions.unwrap().len(), 2);
            let none = refused(ask(), ErrorCode::None);
            let found = response(vec![(ask(), Ok(none))], version);
            let failed = response(vec![(ask(), Err(ErrorCode::NotCoordinator))], version);
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
}
