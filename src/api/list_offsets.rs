//! ListOffsets: offsets by position or by time, for the consumer's seek and for lag.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::metadata::Image;
use crate::model::{BrokerId, ErrorCode};
use crate::shard::{Isolation, ListOffsetsItem, ListedOffset, OffsetQuery};
use crate::wire::messages::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequestData, ListOffsetsResponseData,
    ListOffsetsTopic, ListOffsetsTopicResponse, MessageError, body_limit,
};
use crate::wire::{ApiKey, list_offsets_v0};

use super::cluster_view::led_by_name;
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::LIST_OFFSETS,
    name: "ListOffsets",
    versions: 0..=10,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    if version == 0 {
        return handle_v0(&cx, request).await;
    }
    let message = request.decode::<ListOffsetsRequestData>(&cx)?;
    let plan = plan(&cx.image(), cx.broker_id(), &message, version);
    let listed = cx.router().list_offsets(plan.items).await;
    Answer::message(&join(plan.topics, listed, version), version)
}

/// In version 0 an offset that is "before a time" is asked for, so where no record is as late as the time, it is the end.
async fn handle_v0(cx: &Context, request: Request) -> Result<Answer, Refusal> {
    let (len, limit) = (request.body.len(), body_limit(ApiKey::LIST_OFFSETS));
    if len > limit {
        return Err(MessageError::TooLarge { len, limit }.into());
    }
    let (message, trailing) = list_offsets_v0::decode(&request.body)?;
    cx.count_trailing(trailing);
    let list = async |message: &ListOffsetsRequestData| {
        let plan = plan(&cx.image(), cx.broker_id(), message, 0);
        join(plan.topics, cx.router().list_offsets(plan.items).await, 0)
    };
    let mut response = list(&message).await;
    if let Some(later) = at_the_end(message, &response) {
        fill_in(&mut response, list(&later).await);
    }
    Ok(Answer::Body(list_offsets_v0::encode(&response)))
}

/// The same request for the end of the log, where a partition has no record as late as the time asked for.
fn at_the_end(
    mut message: ListOffsetsRequestData,
    response: &ListOffsetsResponseData,
) -> Option<ListOffsetsRequestData> {
    let answers = response.topics.iter().flat_map(|topic| &topic.partitions);
    answers.into_iter().find(|answer| is_not_found(answer))?;
    let asked = message.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    asked.for_each(|partition| partition.timestamp = -1);
    Some(message)
}

fn is_not_found(answer: &ListOffsetsPartitionResponse) -> bool {
    answer.error_code == ErrorCode::None.code() && answer.offset < 0
}

/// Both answer the same request, in its order.
fn fill_in(response: &mut ListOffsetsResponseData, later: ListOffsetsResponseData) {
    let later = later.topics.into_iter().flat_map(|topic| topic.partitions);
    let answers = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    for (answer, later) in answers.zip(later).filter(|(answer, _)| is_not_found(answer)) {
        *answer = later;
    }
}

struct Plan {
    items: Vec<ListOffsetsItem>,
    topics: Vec<ListOffsetsTopicResponse>,
}

/// Partitions that go to a shard hold no error yet; [`join`] fills them in order.
fn plan(image: &Image, me: BrokerId, request: &ListOffsetsRequestData, version: i16) -> Plan {
    let isolation = isolation(request.replica_id, request.isolation_level);
    let duplicates = duplicates(&request.topics);
    let mut items = Vec::new();
    let topics = request.topics.iter().map(|topic| {
        let name = topic.name.as_str();
        let partitions = topic.partitions.iter().map(|partition| {
            let item = match duplicates.contains(&(name, partition.partition_index)) {
                true => Err(ErrorCode::InvalidRequest),
                false => item(image, me, name, partition, isolation, version),
            };
            let error = match item {
                Ok(Query::Ask(item)) => {
                    items.push(item);
                    ErrorCode::None
                }
                Ok(Query::Nothing) => NOTHING_THERE,
                Err(error) => error,
            };
            unknown_offset(partition.partition_index, error)
        });
        ListOffsetsTopicResponse {
            name: topic.name.clone(),
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    let topics = topics.collect();
    Plan { items, topics }
}

enum Query {
    Ask(ListOffsetsItem),
    /// Known to be empty without asking: (-1, -1) and no error.
    Nothing,
}

/// Stands for "no error, and no offset either" between plan and join; no client sees it.
const NOTHING_THERE: ErrorCode = ErrorCode::UnknownServerError;

fn item(
    image: &Image,
    me: BrokerId,
    topic: &str,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
    version: i16,
) -> Result<Query, ErrorCode> {
    let partition = led_by_name(image, topic, asked.partition_index, me)?;
    let Some(query) = query(asked.timestamp, version)? else {
        return Ok(Query::Nothing);
    };
    Ok(Query::Ask(ListOffsetsItem {
        partition,
        leader_epoch: asked.current_leader_epoch,
        query,
        isolation,
    }))
}

/// `None`: the latest tiered offset, which a broker without tiered storage does not have.
fn query(timestamp: i64, version: i16) -> Result<Option<OffsetQuery>, ErrorCode> {
    match timestamp {
        0.. => Ok(Some(OffsetQuery::Timestamp(timestamp))),
        -1 => Ok(Some(OffsetQuery::Latest)),
        // Everything is local here, so the earliest local offset (KIP-405) is the earliest one.
        -2 => Ok(Some(OffsetQuery::Earliest)),
        -4 if version >= 8 => Ok(Some(OffsetQuery::Earliest)),
        -3 if version >= 7 => Ok(Some(OffsetQuery::MaxTimestamp)),
        -5 if version >= 9 => Ok(None),
        _ => Err(ErrorCode::UnsupportedVersion),
    }
}

/// //= protocol: replica_id -1 is a consumer; replicas and the debugging consumer (-2) see the log's end
fn isolation(replica_id: i32, isolation_level: i8) -> Isolation {
    match (replica_id, isolation_level) {
        (-1, 1) => Isolation::ReadCommitted,
        (-1, _) => Isolation::ReadUncommitted,
        _ => Isolation::LogEnd,
    }
}

fn duplicates(topics: &[ListOffsetsTopic]) -> BTreeSet<(&str, i32)> {
    let mut seen = BTreeSet::new();
    let all = topics.iter().flat_map(|topic| {
        topic
            .partitions
            .iter()
            .map(move |partition| (topic.name.as_str(), partition.partition_index))
    });
    all.filter(|key| !seen.insert(*key)).collect()
}

fn unknown_offset(index: i32, error: ErrorCode) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse {
        partition_index: index,
        error_code: error.code(),
        timestamp: -1,
        offset: -1,
        leader_epoch: -1,
        ..Default::default()
    }
}

fn join(mut topics: Vec<ListOffsetsTopicResponse>, listed: Vec<ListedOffset>, version: i16) -> ListOffsetsResponseData {
    let mut listed = listed.into_iter();
    for partition in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if partition.error_code == NOTHING_THERE.code() {
            partition.error_code = ErrorCode::None.code();
        } else if partition.error_code == ErrorCode::None.code() {
            match listed.next() {
                Some(listed) => fill(partition, &listed, version),
                None => partition.error_code = ErrorCode::NotLeaderOrFollower.code(),
            }
        }
    }
    ListOffsetsResponseData {
        topics,
        ..Default::default()
    }
}

fn fill(partition: &mut ListOffsetsPartitionResponse, listed: &ListedOffset, version: i16) {
    // Clients below version 5 do not know the newer code.
    let error = match listed.error {
        ErrorCode::OffsetNotAvailable if version < 5 => ErrorCode::LeaderNotAvailable,
        error => error,
    };
    partition.error_code = error.code();
    if error.is_none() {
        partition.offset = listed.offset;
        partition.timestamp = listed.timestamp;
        partition.leader_epoch = if version >= 4 { listed.leader_epoch } else { -1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing;
    use crate::wire::messages::{Encode, kafka_string};

    fn request(partitions: &[(i32, i64)]) -> ListOffsetsRequestData {
        let partition = |&(partition_index, timestamp): &(i32, i64)| ListOffsetsPartition {
            partition_index,
            timestamp,
            current_leader_epoch: -1,
            ..Default::default()
        };
        let topic = ListOffsetsTopic {
            name: kafka_string("a"),
            partitions: partitions.iter().map(partition).collect(),
            ..Default::default()
        };
        ListOffsetsRequestData {
            replica_id: -1,
            topics: vec![topic],
            ..Default::default()
        }
    }

    fn found(offset: i64) -> ListedOffset {
        ListedOffset {
            error: ErrorCode::None,
            offset,
            timestamp: 5,
            leader_epoch: 2,
        }
    }

    /// Behaviour 42: which special timestamps exist from which version on; other negative ones are not supported.
    #[test]
    fn special_timestamps_depend_on_the_version() {
        assert_eq!(query(-1, 1), Ok(Some(OffsetQuery::Latest)));
        assert_eq!(query(-2, 1), Ok(Some(OffsetQuery::Earliest)));
        assert_eq!(
            (query(-3, 6), query(-3, 7)),
            (Err(ErrorCode::UnsupportedVersion), Ok(Some(OffsetQuery::MaxTimestamp)))
        );
        assert_eq!(
            (query(-4, 7), query(-4, 8)),
            (Err(ErrorCode::UnsupportedVersion), Ok(Some(OffsetQuery::Earliest)))
        );
        assert_eq!(
            (query(-5, 8), query(-5, 9)),
            (Err(ErrorCode::UnsupportedVersion), Ok(None))
        );
        assert_eq!(query(-6, 10), Err(ErrorCode::UnsupportedVersion));
        assert_eq!(query(0, 1), Ok(Some(OffsetQuery::Timestamp(0))));
    }

    /// Behaviour 42: a partition asked for twice is an invalid request, the others are answered, each from its own outcome.
    #[test]
    fn duplicate_partitions_are_refused_and_outcomes_find_their_places() {
        let image = testing::image(&[("a", 3)]);
        let plan = plan(
            &image,
            BrokerId(1),
            &request(&[(0, -1), (1, -1), (0, -2), (2, -5), (2000, -1), (1, 7)]),
            9,
        );
        assert!(plan.items.is_empty());
        let plan = super::plan(&image, BrokerId(1), &request(&[(0, -1), (5, -1), (2, -5), (1, -2)]), 9);
        assert_eq!(plan.items.len(), 2);
        let response = join(plan.topics, vec![found(10), found(20)], 9);
        let got: Vec<_> = response.topics[0]
            .partitions
            .iter()
            .map(|p| (p.error_code, p.offset))
            .collect();
        assert_eq!(got, [(0, 10), (3, -1), (0, -1), (0, 20)]);
    }

    /// A timestamp behind the last record is (-1, -1) without an error, and every version encodes.
    #[test]
    fn every_version_encodes() {
        let image = testing::image(&[("a", 1)]);
        for version in API.versions {
            let plan = plan(&image, BrokerId(1), &request(&[(0, 1 << 50)]), version);
            let none = ListedOffset {
                error: ErrorCode::None,
                offset: -1,
                timestamp: -1,
                leader_epoch: 4,
            };
            let response = join(plan.topics, vec![none], version);
            assert_eq!(
                (
                    response.topics[0].partitions[0].error_code,
                    response.topics[0].partitions[0].offset
                ),
                (0, -1)
            );
            if version > 0 {
                response
                    .encode(version)
                    .unwrap_or_else(|error| panic!("version {version}: {error}"));
            }
        }
    }

    /// Version 0 knows no "not found": the end of the log is the offset before any later time. Other answers stay.
    #[test]
    fn version_0_answers_the_end_for_a_time_behind_the_last_record() {
        let asked = request(&[(0, 5), (1, 1 << 50), (9, 1)]);
        let image = testing::image(&[("a", 2)]);
        let answers = |message: &ListOffsetsRequestData, found: Vec<ListedOffset>| {
            join(plan(&image, BrokerId(1), message, 0).topics, found, 0)
        };
        let mut response = answers(&asked, vec![found(3), found(-1)]);
        let later = at_the_end(asked.clone(), &response).expect("one is not found");
        assert!(later.topics[0].partitions.iter().all(|asked| asked.timestamp == -1));
        fill_in(&mut response, answers(&later, vec![found(70), found(80)]));
        let got = response.topics[0].partitions.iter().map(|p| (p.error_code, p.offset));
        assert_eq!(got.collect::<Vec<_>>(), [(0, 3), (0, 80), (3, -1)]);
        assert!(at_the_end(asked, &response).is_none());
    }

    /// Just after an election: the code that the version knows.
    #[test]
    fn offset_not_available_is_leader_not_available_before_version_5() {
        let image = testing::image(&[("a", 1)]);
        for (version, code) in [(4, ErrorCode::LeaderNotAvailable), (5, ErrorCode::OffsetNotAvailable)] {
            let plan = plan(&image, BrokerId(1), &request(&[(0, -1)]), version);
            let answer = ListedOffset {
                error: ErrorCode::OffsetNotAvailable,
                ..found(1)
            };
            let partition = &join(plan.topics, vec![answer], version).topics[0].partitions[0];
            assert_eq!((partition.error_code, partition.offset), (code.code(), -1));
        }
    }
}
