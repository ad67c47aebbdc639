//! OffsetCommit 10 and OffsetFetch 10, where topics go by their ids: the oracle ends before them, so the bytes are put
//! together by hand from Kafka's published schemas.

use bytes::Bytes;

use crate::model::TopicId;
use crate::wire::messages::*;

const ID: [u8; 16] = [7; 16];

/// What is read from `bytes` in version 10 is written to the same bytes.
fn round_trip<M: Decode + Encode>(bytes: &[u8]) -> M {
    let (message, trailing) = M::decode_with_trailing(Bytes::copy_from_slice(bytes), 10, usize::MAX).unwrap();
    assert_eq!(trailing, 0);
    assert_eq!(message.encode(10).unwrap(), bytes);
    message
}

#[test] // Goal: a commit of one partition, and its answer.
fn commits_name_ids() {
    let partition = [
        &[0, 0, 0, 3][..], // index
        &[0, 0, 0, 0, 0, 0, 0, 9],
        &[0, 0, 0, 2], // leader epoch
        &[2, b'n', 0], // metadata, tags
    ]
    .concat();
    let topic = [&ID[..], &[2], &partition, &[0]].concat();
    let head = [2, b'g', 0, 0, 0, 4, 2, b'm', 0];
    let request: OffsetCommitRequestData = round_trip(&[&head[..], &[2], &topic, &[0]].concat());
    let topic = &request.topics[0];
    assert_eq!((topic_id(topic.topic_id), topic.name.as_str()), (TopicId(ID), ""));
    let partition = &topic.partitions[0];
    assert_eq!((partition.partition_index, partition.committed_offset), (3, 9));

    let answer = [&[0, 0, 0, 0, 2][..], &ID, &[2, 0, 0, 0, 3, 0, 100, 0, 0, 0]].concat();
    let answer: OffsetCommitResponseData = round_trip(&answer);
    assert_eq!(topic_id(answer.topics[0].topic_id), TopicId(ID));
    assert_eq!(answer.topics[0].partitions[0].error_code, 100);
}

#[test] // Goal: the question for one partition of one group, and its answer.
fn fetches_name_ids() {
    let topic = [&ID[..], &[2, 0, 0, 0, 3, 0]].concat();
    let group = [&[2, b'g', 0, 0xff, 0xff, 0xff, 0xff, 2][..], &topic, &[0]].concat();
    let request: OffsetFetchRequestData = round_trip(&[&[2][..], &group, &[1, 0]].concat());
    let group = &request.groups[0];
    assert_eq!((group.group_id.as_str(), group.member_epoch), ("g", -1));
    let topic = &group.topics.as_ref().unwrap()[0];
    assert_eq!(
        (topic_id(topic.topic_id), &topic.partition_indexes),
        (TopicId(ID), &vec![3])
    );

    let partition = [
        &[0, 0, 0, 3][..],
        &[0, 0, 0, 0, 0, 0, 0, 9],
        &[0, 0, 0, 2, 2, b'n', 0, 0, 0],
    ]
    .concat();
    let topic = [&ID[..], &[2], &partition, &[0]].concat();
    let group = [&[2, b'g', 2][..], &topic, &[0, 0, 0]].concat();
    let answer: OffsetFetchResponseData = round_trip(&[&[0, 0, 0, 0, 2][..], &group, &[0]].concat());
    let topic = &answer.groups[0].topics[0];
    assert_eq!(
        (topic_id(topic.topic_id), topic.partitions[0].committed_offset),
        (TopicId(ID), 9)
    );
}
