//! Our own Produce and Fetch codec in every version that we serve, byte for byte against the oracle.

use bytes::Bytes;
use kafka_protocol::messages::{
    TopicName, fetch_request as oracle_fetch, fetch_response as oracle_fetched, produce_request as oracle_produce,
    produce_response as oracle_produced,
};
use kafka_protocol::protocol::StrBytes;
use proptest::prelude::*;
use uuid::Uuid;

use super::draw::Entropy;
use super::messages::{oracle_read, oracle_write};
use crate::model::{ShardPlace, TopicId};
use crate::wire::DecodeError;
use crate::wire::fetch::*;
use crate::wire::produce::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    /// A request is written as the oracle writes it, and both read it back.
    #[test]
    fn produce_requests_agree(entropy in prop::collection::vec(any::<u8>(), 0..600)) {
        for version in 3..=12 {
            let ours = draw_produce_request(&mut Entropy(&entropy));
            let theirs = oracle_produce_request(&ours);
            let bytes = joined(&ours.encode(version));
            prop_assert_eq!(&bytes, &oracle_write(&theirs, version), "version {}", version);
            prop_assert_eq!(oracle_read::<oracle_produce::ProduceRequest>(bytes.clone(), version), theirs);
            prop_assert_eq!(ProduceRequest::decode_with_trailing(bytes, version), Ok((ours, 0)));
        }
    }

    /// A response is written as the oracle writes it, and both read it back.
    #[test]
    fn produce_responses_agree(entropy in prop::collection::vec(any::<u8>(), 0..600)) {
        for version in 3..=12 {
            let ours = draw_produce_response(&mut Entropy(&entropy), version);
            let theirs = oracle_produce_response(&ours);
            let bytes = joined(&ours.encode(version).slices);
            prop_assert_eq!(&bytes, &oracle_write(&theirs, version), "version {}", version);
            prop_assert_eq!(oracle_read::<oracle_produced::ProduceResponse>(bytes.clone(), version), theirs);
            prop_assert_eq!(ProduceResponse::decode(bytes, version), Ok(ours));
        }
    }

    /// A request is written as the oracle writes it, and both read it back.
    #[test]
    fn fetch_requests_agree(entropy in prop::collection::vec(any::<u8>(), 0..600)) {
        for version in 4..=17 {
            let ours = draw_fetch_request(&mut Entropy(&entropy), version);
            let theirs = oracle_fetch_request(&ours, version);
            let bytes = joined(&ours.encode(version));
            prop_assert_eq!(&bytes, &oracle_write(&theirs, version), "version {}", version);
            prop_assert_eq!(oracle_read::<oracle_fetch::FetchRequest>(bytes.clone(), version), theirs);
            prop_assert_eq!(FetchRequest::decode_with_trailing(bytes, version), Ok((ours, 0)));
        }
    }

    /// A response is written as the oracle writes it, and both read it back.
    #[test]
    fn fetch_responses_agree(entropy in prop::collection::vec(any::<u8>(), 0..600)) {
        for version in 4..=17 {
            let ours = draw_fetch_response(&mut Entropy(&entropy), version);
            let theirs = oracle_fetch_response(&ours);
            let body = ours.clone().encode(version);
            prop_assert_eq!(body.total_len(), joined(&body.slices).len());
            let bytes = joined(&body.slices);
            prop_assert_eq!(&bytes, &oracle_write(&theirs, version), "version {}", version);
            prop_assert_eq!(oracle_read::<oracle_fetched::FetchResponse>(bytes.clone(), version), theirs);
            prop_assert_eq!(FetchResponse::decode(bytes, version), Ok(with_joined_records(ours)));
        }
    }
}

/// A megabyte of records comes out of the request as a slice of the request's own buffer.
#[test]
fn produced_records_are_not_copied() {
    let records = Bytes::from(vec![7; 1 << 20]);
    let request = produce_of(records.clone());
    for version in 3..=12 {
        let written = request.encode(version);
        assert!(
            written.iter().any(|slice| slice.as_ptr() == records.as_ptr()),
            "version {version}"
        );

        let body = joined(&written);
        let read = ProduceRequest::decode(body.clone(), version).expect("it is a request");
        let read = read.topics[0].partitions[0].records.as_ref().expect("it has records");
        assert_eq!(read.len(), records.len());
        assert!(body.as_ptr_range().contains(&read.as_ptr()), "version {version}");
    }
}

/// Fetched records leave as the very slices that they came in, in order, between the heads.
#[test]
fn fetched_records_are_not_copied() {
    let records = [Bytes::from(vec![1; 5000]), Bytes::from(vec![2; 70_000])];
    let partition = FetchPartitionResponse {
        records: records.to_vec(),
        ..Default::default()
    };
    let topic = FetchTopicResponse {
        name: Bytes::from_static(b"t"),
        id: TopicId([9; 16]),
        partitions: vec![partition.clone(), FetchPartitionResponse::default(), partition],
    };
    let response = FetchResponse {
        topics: vec![topic],
        ..Default::default()
    };
    for version in 4..=17 {
        let slices = response.clone().encode(version).slices;
        let pointers: Vec<_> = slices.iter().map(|slice| slice.as_ptr()).collect();
        let [first, second] = [records[0].as_ptr(), records[1].as_ptr()];
        assert_eq!(
            pointers.len(),
            if version < 12 { 6 } else { 7 },
            "heads and records alternate, version {version}"
        );
        assert_eq!(
            [&pointers[1..3], &pointers[4..6]],
            [&[first, second]; 2],
            "version {version}"
        );
    }
}

/// A version that has no codec is an error, not a guess.
#[test]
fn other_versions_are_refused() {
    for version in [-1, 13, i16::MAX] {
        assert_eq!(
            ProduceRequest::decode(Bytes::new(), version),
            Err(DecodeError::Version(version))
        );
    }
    for version in [-1, 19, i16::MAX] {
        assert_eq!(
            FetchRequest::decode(Bytes::new(), version),
            Err(DecodeError::Version(version))
        );
    }
}

/// The published layouts of the versions that the oracle does not know, byte by byte: acks 1 and a timeout of 9 ms, one
/// topic, its partition 3, three bytes of records.
#[test]
fn old_produce_versions_have_their_layout() {
    let records = Bytes::from_static(&[7, 8, 9]);
    let request = ProduceRequest {
        acks: 1,
        timeout_ms: 9,
        ..produce_of(records)
    };
    let body = [
        &[
            0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0, 5, b't', b'o', b'p', b'i', b'c', 0, 0, 0, 1,
        ][..],
        &[0, 0, 0, 3, 0, 0, 0, 3, 7, 8, 9],
    ]
    .concat();
    let partition = ProducePartitionResponse {
        index: 2,
        error_code: 3,
        base_offset: 4,
        log_append_time_ms: -1,
        ..Default::default()
    };
    let response = ProduceResponse {
        topics: vec![ProduceTopicResponse {
            name: Bytes::from_static(b"t"),
            partitions: vec![partition],
        }],
        throttle_time_ms: 5,
        ..Default::default()
    };
    let named = [0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1];
    let (offset, throttle) = ([0, 0, 0, 2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4], [0, 0, 0, 5]);
    let answers = [
        [&named[..], &offset].concat(),
        [&named[..], &offset, &throttle].concat(),
        [&named[..], &offset, &[0xff; 8], &throttle].concat(),
    ];
    for (version, answer) in (0..).zip(answers) {
        assert_eq!(joined(&request.encode(version)), body, "version {version}");
        assert_eq!(
            ProduceRequest::decode(body.clone().into(), version),
            Ok(request.clone())
        );
        assert_eq!(joined(&response.encode(version).slices), answer, "version {version}");
        let read = ProduceResponse::decode(answer.into(), version).expect("it is a response");
        assert_eq!(read.topics, response.topics, "version {version}");
    }
}

/// The same for Fetch: a consumer waits 9 ms for one byte of partition 2 of `t` from offset 4 on, at most 6 bytes.
#[test]
fn old_fetch_versions_have_their_layout() {
    let partition = FetchPartition {
        index: 2,
        fetch_offset: 4,
        max_bytes: 6,
        ..Default::default()
    };
    let request = FetchRequest {
        max_wait_ms: 9,
        min_bytes: 1,
        topics: vec![FetchTopic {
            name: Bytes::from_static(b"t"),
            id: TopicId::ZERO,
            partitions: vec![partition],
        }],
        ..Default::default()
    };
    let named = [0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 2];
    let asked = [&named[..], &[0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 6]].concat();
    let wait = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 9, 0, 0, 0, 1];
    let response = FetchResponse {
        throttle_time_ms: 5,
        topics: vec![FetchTopicResponse {
            name: Bytes::from_static(b"t"),
            id: TopicId::ZERO,
            partitions: vec![FetchPartitionResponse {
                index: 2,
                high_watermark: 8,
                records: vec![Bytes::from_static(&[7, 8]), Bytes::from_static(&[9])],
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    let fetched = [&named[..], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 3, 7, 8, 9]].concat();
    for version in 0..=3 {
        let max_bytes: &[u8] = if version == 3 { &[0x7f, 0xff, 0xff, 0xff] } else { &[] };
        let body = Bytes::from([&wait[..], max_bytes, &asked].concat());
        assert_eq!(joined(&request.encode(version)), body, "version {version}");
        assert_eq!(FetchRequest::decode(body, version), Ok(request.clone()));
        let throttle: &[u8] = if version > 0 { &[0, 0, 0, 5] } else { &[] };
        let answer = Bytes::from([throttle, &fetched].concat());
        assert_eq!(
            joined(&response.clone().encode(version).slices),
            answer,
            "version {version}"
        );
        let read = FetchResponse::decode(answer, version).expect("it is a response");
        assert_eq!(
            read.topics,
            with_joined_records(response.clone()).topics,
            "version {version}"
        );
    }
}

/// Bytes behind a request are counted and otherwise ignored, as Kafka's parser does.
#[test]
fn trailing_bytes_are_counted() {
    let mut body = joined(&produce_of(Bytes::from_static(b"records")).encode(9)).to_vec();
    body.extend_from_slice(b"more");
    let (_, trailing) = ProduceRequest::decode_with_trailing(body.into(), 9).expect("it is a request");
    assert_eq!(trailing, 4);
}

/// A tag of a release to come is skipped wherever it stands.
#[test]
fn unknown_tags_are_skipped() {
    let ours = FetchRequest {
        topics: vec![draw_fetch_topic(&mut Entropy(&[1; 64]), 17)],
        ..Default::default()
    };
    let mut theirs = oracle_fetch_request(&ours, 17);
    let tag = || [(77, Bytes::from_static(b"later"))].into_iter().collect();
    theirs.unknown_tagged_fields = tag();
    theirs.topics[0].unknown_tagged_fields = tag();
    theirs.topics[0].partitions[0].unknown_tagged_fields = tag();
    theirs.topics[0].partitions[0].replica_directory_id = Uuid::from_bytes([5; 16]);
    assert_eq!(
        FetchRequest::decode_with_trailing(oracle_write(&theirs, 17), 17),
        Ok((ours, 0))
    );
}

fn produce_of(records: Bytes) -> ProduceRequest {
    let partitions = vec![ProducePartition {
        index: 3,
        records: Some(records),
    }];
    let topics = vec![ProduceTopic {
        name: Bytes::from_static(b"topic"),
        partitions,
    }];
    ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 30_000,
        topics,
    }
}

pub(super) fn joined(slices: &[Bytes]) -> Bytes {
    slices.concat().into()
}

/// What a decoder makes of a response: the records of a partition are one slice, whatever they were made of.
fn with_joined_records(mut response: FetchResponse) -> FetchResponse {
    for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        let records = joined(&partition.records);
        partition.records = if records.is_empty() { Vec::new() } else { vec![records] };
    }
    response
}

pub(super) fn draw_produce_request(entropy: &mut Entropy<'_>) -> ProduceRequest {
    ProduceRequest {
        transactional_id: entropy.maybe(name),
        acks: entropy.i16(),
        timeout_ms: entropy.i32(),
        topics: entropy.several(|entropy| ProduceTopic {
            name: name(entropy),
            partitions: entropy.several(|entropy| ProducePartition {
                index: entropy.i32(),
                records: entropy.maybe(name),
            }),
        }),
    }
}

pub(super) fn draw_produce_response(entropy: &mut Entropy<'_>, version: i16) -> ProduceResponse {
    ProduceResponse {
        throttle_time_ms: entropy.i32(),
        node_endpoints: if version >= 10 {
            draw_endpoints(entropy)
        } else {
            Vec::new()
        },
        topics: entropy.several(|entropy| ProduceTopicResponse {
            name: name(entropy),
            partitions: entropy.several(|entropy| draw_produce_partition(entropy, version)),
        }),
    }
}

fn draw_produce_partition(entropy: &mut Entropy<'_>, version: i16) -> ProducePartitionResponse {
    let mut partition = ProducePartitionResponse {
        index: entropy.i32(),
        error_code: entropy.i16(),
        base_offset: entropy.i64(),
        log_append_time_ms: entropy.i64(),
        ..Default::default()
    };
    if version >= 5 {
        partition.log_start_offset = entropy.i64();
    }
    if version >= 8 {
        partition.record_errors = entropy.several(|entropy| (entropy.i32(), entropy.maybe(Entropy::text)));
        partition.error_message = entropy.maybe(Entropy::text);
    }
    if version >= 10 {
        partition.current_leader = entropy.maybe(|entropy| (entropy.i32(), entropy.i32() & 0xffff));
    }
    partition
}

pub(super) fn draw_fetch_request(entropy: &mut Entropy<'_>, version: i16) -> FetchRequest {
    let mut request = FetchRequest {
        replica_id: entropy.i32(),
        max_wait_ms: entropy.i32(),
        min_bytes: entropy.i32(),
        max_bytes: entropy.i32(),
        isolation_level: entropy.byte() as i8,
        topics: entropy.several(|entropy| draw_fetch_topic(entropy, version)),
        ..Default::default()
    };
    if version >= 7 {
        request.session_id = entropy.i32();
        request.session_epoch = entropy.i32();
        request.forgotten = entropy.several(|entropy| {
            let (name, id) = topic_key(entropy, version);
            ForgottenTopic {
                name,
                id,
                partitions: entropy.several(Entropy::i32),
            }
        });
    }
    if version >= 11 {
        request.rack_id = name(entropy);
    }
    if version >= 12 {
        request.cluster_id = entropy.maybe(name);
    }
    if version >= 15 {
        request.replica_epoch = entropy.i64();
    }
    request
}

fn draw_fetch_topic(entropy: &mut Entropy<'_>, version: i16) -> FetchTopic {
    let (name, id) = topic_key(entropy, version);
    let partitions = entropy.several(|entropy| FetchPartition {
        index: entropy.i32(),
        current_leader_epoch: if version >= 9 { entropy.i32() } else { -1 },
        fetch_offset: entropy.i64(),
        last_fetched_epoch: if version >= 12 { entropy.i32() } else { -1 },
        log_start_offset: if version >= 5 { entropy.i64() } else { -1 },
        max_bytes: entropy.i32(),
    });
    FetchTopic { name, id, partitions }
}

pub(super) fn draw_fetch_response(entropy: &mut Entropy<'_>, version: i16) -> FetchResponse {
    FetchResponse {
        throttle_time_ms: entropy.i32(),
        error_code: if version >= 7 { entropy.i16() } else { 0 },
        session_id: if version >= 7 { entropy.i32() } else { 0 },
        node_endpoints: if version >= 16 {
            draw_endpoints(entropy)
        } else {
            Vec::new()
        },
        shard: None,
        topics: entropy.several(|entropy| {
            let (name, id) = topic_key(entropy, version);
            FetchTopicResponse {
                name,
                id,
                partitions: entropy.several(|entropy| draw_fetch_partition(entropy, version)),
            }
        }),
    }
}

/// A field of ours, beside Kafka's: what Kafka would skip.
#[test]
fn an_answer_says_on_which_shard_it_was_asked() {
    let response = FetchResponse {
        shard: Some(ShardPlace {
            index: 3,
            count: 40_000,
        }),
        ..Default::default()
    };
    let bytes = response.clone().encode(17).slices.concat();
    assert_eq!(FetchResponse::decode(bytes.into(), 17).unwrap(), response);
}

fn draw_fetch_partition(entropy: &mut Entropy<'_>, version: i16) -> FetchPartitionResponse {
    let mut partition = FetchPartitionResponse {
        index: entropy.i32(),
        error_code: entropy.i16(),
        high_watermark: entropy.i64(),
        last_stable_offset: entropy.i64(),
        aborted_transactions: entropy.maybe(|entropy| entropy.several(|entropy| (entropy.i64(), entropy.i64()))),
        records: entropy.several(name),
        ..Default::default()
    };
    if version >= 5 {
        partition.log_start_offset = entropy.i64();
    }
    if version >= 11 {
        partition.preferred_read_replica = entropy.i32();
    }
    if version >= 12 {
        partition.diverging_epoch = entropy.maybe(|entropy| (entropy.i32(), entropy.i64() & 0xffff));
        partition.current_leader = entropy.maybe(|entropy| (entropy.i32(), entropy.i32() & 0xffff));
    }
    partition
}

fn draw_endpoints(entropy: &mut Entropy<'_>) -> Vec<NodeEndpoint> {
    entropy.several(|entropy| NodeEndpoint {
        node_id: entropy.i32(),
        host: entropy.text(),
        port: entropy.i32(),
        rack: entropy.maybe(Entropy::text),
    })
}

fn topic_key(entropy: &mut Entropy<'_>, version: i16) -> (Bytes, TopicId) {
    if version >= 13 {
        (Bytes::new(), TopicId(entropy.id()))
    } else {
        (name(entropy), TopicId::ZERO)
    }
}

fn name(entropy: &mut Entropy<'_>) -> Bytes {
    Bytes::from(entropy.text())
}

fn oracle_produce_request(ours: &ProduceRequest) -> oracle_produce::ProduceRequest {
    let topics = ours.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            oracle_produce::PartitionProduceData::default()
                .with_index(partition.index)
                .with_records(partition.records.clone())
        });
        oracle_produce::TopicProduceData::default()
            .with_name(topic_name(&topic.name))
            .with_partition_data(partitions.collect())
    });
    oracle_produce::ProduceRequest::default()
        .with_transactional_id(ours.transactional_id.as_ref().map(|id| str_bytes(id).into()))
        .with_acks(ours.acks)
        .with_timeout_ms(ours.timeout_ms)
        .with_topic_data(topics.collect())
}

fn oracle_produce_response(ours: &ProduceResponse) -> oracle_produced::ProduceResponse {
    let topics = ours.topics.iter().map(|topic| {
        oracle_produced::TopicProduceResponse::default()
            .with_name(topic_name(&topic.name))
            .with_partition_responses(topic.partitions.iter().map(oracle_produce_partition).collect())
    });
    let endpoints = ours.node_endpoints.iter().map(|endpoint| {
        oracle_produced::NodeEndpoint::default()
            .with_node_id(endpoint.node_id.into())
            .with_host(endpoint.host.clone().into())
            .with_port(endpoint.port)
            .with_rack(endpoint.rack.clone().map(StrBytes::from))
    });
    oracle_produced::ProduceResponse::default()
        .with_responses(topics.collect())
        .with_throttle_time_ms(ours.throttle_time_ms)
        .with_node_endpoints(endpoints.collect())
}

fn oracle_produce_partition(ours: &ProducePartitionResponse) -> oracle_produced::PartitionProduceResponse {
    let errors = ours.record_errors.iter().map(|(index, message)| {
        oracle_produced::BatchIndexAndErrorMessage::default()
            .with_batch_index(*index)
            .with_batch_index_error_message(message.clone().map(StrBytes::from))
    });
    let leader = ours.current_leader.map(|(id, epoch)| {
        oracle_produced::LeaderIdAndEpoch::default()
            .with_leader_id(id.into())
            .with_leader_epoch(epoch)
    });
    oracle_produced::PartitionProduceResponse::default()
        .with_index(ours.index)
        .with_error_code(ours.error_code)
        .with_base_offset(ours.base_offset)
        .with_log_append_time_ms(ours.log_append_time_ms)
        .with_log_start_offset(ours.log_start_offset)
        .with_record_errors(errors.collect())
        .with_error_message(ours.error_message.clone().map(StrBytes::from))
        .with_current_leader(leader.unwrap_or_default())
}

fn oracle_fetch_request(ours: &FetchRequest, version: i16) -> oracle_fetch::FetchRequest {
    let topics = ours.topics.iter().map(|topic| {
        oracle_fetch::FetchTopic::default()
            .with_topic(topic_name(&topic.name))
            .with_topic_id(Uuid::from_bytes(topic.id.0))
            .with_partitions(topic.partitions.iter().map(oracle_fetch_partition).collect())
    });
    let forgotten = ours.forgotten.iter().map(|topic| {
        oracle_fetch::ForgottenTopic::default()
            .with_topic(topic_name(&topic.name))
            .with_topic_id(Uuid::from_bytes(topic.id.0))
            .with_partitions(topic.partitions.clone())
    });
    let theirs = oracle_fetch::FetchRequest::default()
        .with_cluster_id(ours.cluster_id.as_ref().map(str_bytes))
        .with_max_wait_ms(ours.max_wait_ms)
        .with_min_bytes(ours.min_bytes)
        .with_max_bytes(ours.max_bytes)
        .with_isolation_level(ours.isolation_level)
        .with_session_id(ours.session_id)
        .with_session_epoch(ours.session_epoch)
        .with_topics(topics.collect())
        .with_forgotten_topics_data(forgotten.collect())
        .with_rack_id(str_bytes(&ours.rack_id));
    if version < 15 {
        return theirs.with_replica_id(ours.replica_id.into());
    }
    let state = oracle_fetch::ReplicaState::default()
        .with_replica_id(ours.replica_id.into())
        .with_replica_epoch(ours.replica_epoch);
    theirs.with_replica_state(state)
}

fn oracle_fetch_partition(ours: &FetchPartition) -> oracle_fetch::FetchPartition {
    oracle_fetch::FetchPartition::default()
        .with_partition(ours.index)
        .with_current_leader_epoch(ours.current_leader_epoch)
        .with_fetch_offset(ours.fetch_offset)
        .with_last_fetched_epoch(ours.last_fetched_epoch)
        .with_log_start_offset(ours.log_start_offset)
        .with_partition_max_bytes(ours.max_bytes)
}

fn oracle_fetch_response(ours: &FetchResponse) -> oracle_fetched::FetchResponse {
    let topics = ours.topics.iter().map(|topic| {
        oracle_fetched::FetchableTopicResponse::default()
            .with_topic(topic_name(&topic.name))
            .with_topic_id(Uuid::from_bytes(topic.id.0))
            .with_partitions(topic.partitions.iter().map(oracle_fetched_partition).collect())
    });
    let endpoints = ours.node_endpoints.iter().map(|endpoint| {
        oracle_fetched::NodeEndpoint::default()
            .with_node_id(endpoint.node_id.into())
            .with_host(endpoint.host.clone().into())
            .with_port(endpoint.port)
            .with_rack(endpoint.rack.clone().map(StrBytes::from))
    });
    oracle_fetched::FetchResponse::default()
        .with_throttle_time_ms(ours.throttle_time_ms)
        .with_error_code(ours.error_code)
        .with_session_id(ours.session_id)
        .with_responses(topics.collect())
        .with_node_endpoints(endpoints.collect())
}

fn oracle_fetched_partition(ours: &FetchPartitionResponse) -> oracle_fetched::PartitionData {
    let aborted = |(producer_id, first_offset): &(i64, i64)| {
        oracle_fetched::AbortedTransaction::default()
            .with_producer_id((*producer_id).into())
            .with_first_offset(*first_offset)
    };
    let diverging_epoch = ours.diverging_epoch.map(|(epoch, end_offset)| {
        oracle_fetched::EpochEndOffset::default()
            .with_epoch(epoch)
            .with_end_offset(end_offset)
    });
    let leader = ours.current_leader.map(|(id, epoch)| {
        oracle_fetched::LeaderIdAndEpoch::default()
            .with_leader_id(id.into())
            .with_leader_epoch(epoch)
    });
    oracle_fetched::PartitionData::default()
        .with_partition_index(ours.index)
        .with_error_code(ours.error_code)
        .with_high_watermark(ours.high_watermark)
        .with_last_stable_offset(ours.last_stable_offset)
        .with_log_start_offset(ours.log_start_offset)
        .with_diverging_epoch(diverging_epoch.unwrap_or_default())
        .with_current_leader(leader.unwrap_or_default())
        .with_aborted_transactions(
            ours.aborted_transactions
                .as_ref()
                .map(|all| all.iter().map(aborted).collect()),
        )
        .with_preferred_read_replica(ours.preferred_read_replica.into())
        .with_records(Some(joined(&ours.records)))
}

fn topic_name(name: &Bytes) -> TopicName {
    str_bytes(name).into()
}

fn str_bytes(text: &Bytes) -> StrBytes {
    StrBytes::from_utf8(text.clone()).expect("names are drawn as text")
}
