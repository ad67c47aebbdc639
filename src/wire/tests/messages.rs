//! Every generated message in every version that we serve, against the oracle.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as oracle;
use kafka_protocol::protocol::{Decodable, Encodable};
use proptest::prelude::*;

use super::draw::{Entropy, draw};
use crate::wire::messages::*;
use crate::wire::shape::{self, Shape};
use crate::wire::{ApiKey, is_flexible};

/// A test per API: what the oracle writes, we read to the same fields; what we write, the oracle reads back to the same
/// message with nothing left over. Both for the request and for the response.
macro_rules! agree {
    ($($name:ident: $key:ident, $versions:expr, $($ours:ident = $oracle:ident as $shape:ident),*;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
            $(
                #[test]
                fn $name(entropy in prop::collection::vec(any::<u8>(), 0..600)) {
                    for version in $versions {
                        $(agree::<$ours, oracle::$oracle>(&entropy, ApiKey::$key, &shape::$shape, version);)*
                    }
                }
            )*
        }
    };
}

agree! {
    api_versions_agrees: API_VERSIONS, 0..=4,
        ApiVersionsRequestData = ApiVersionsRequest as API_VERSIONS_REQUEST,
        ApiVersionsResponseData = ApiVersionsResponse as API_VERSIONS_RESPONSE;
    metadata_agrees: METADATA, 0..=13,
        MetadataRequestData = MetadataRequest as METADATA_REQUEST,
        MetadataResponseData = MetadataResponse as METADATA_RESPONSE;
    create_topics_agrees: CREATE_TOPICS, 2..=7,
        CreateTopicsRequestData = CreateTopicsRequest as CREATE_TOPICS_REQUEST,
        CreateTopicsResponseData = CreateTopicsResponse as CREATE_TOPICS_RESPONSE;
    delete_topics_agrees: DELETE_TOPICS, 1..=6,
        DeleteTopicsRequestData = DeleteTopicsRequest as DELETE_TOPICS_REQUEST,
        DeleteTopicsResponseData = DeleteTopicsResponse as DELETE_TOPICS_RESPONSE;
    create_partitions_agrees: CREATE_PARTITIONS, 0..=3,
        CreatePartitionsRequestData = CreatePartitionsRequest as CREATE_PARTITIONS_REQUEST,
        CreatePartitionsResponseData = CreatePartitionsResponse as CREATE_PARTITIONS_RESPONSE;
    describe_cluster_agrees: DESCRIBE_CLUSTER, 0..=2,
        DescribeClusterRequestData = DescribeClusterRequest as DESCRIBE_CLUSTER_REQUEST,
        DescribeClusterResponseData = DescribeClusterResponse as DESCRIBE_CLUSTER_RESPONSE;
    describe_topic_partitions_agrees: DESCRIBE_TOPIC_PARTITIONS, 0..=0,
        DescribeTopicPartitionsRequestData = DescribeTopicPartitionsRequest as DESCRIBE_TOPIC_PARTITIONS_REQUEST,
        DescribeTopicPartitionsResponseData = DescribeTopicPartitionsResponse as DESCRIBE_TOPIC_PARTITIONS_RESPONSE;
    describe_configs_agrees: DESCRIBE_CONFIGS, 1..=4,
        DescribeConfigsRequestData = DescribeConfigsRequest as DESCRIBE_CONFIGS_REQUEST,
        DescribeConfigsResponseData = DescribeConfigsResponse as DESCRIBE_CONFIGS_RESPONSE;
    incremental_alter_configs_agrees: INCREMENTAL_ALTER_CONFIGS, 0..=1,
        IncrementalAlterConfigsRequestData = IncrementalAlterConfigsRequest as INCREMENTAL_ALTER_CONFIGS_REQUEST,
        IncrementalAlterConfigsResponseData = IncrementalAlterConfigsResponse as ALTER_CONFIGS_RESPONSE;
    alter_configs_agrees: ALTER_CONFIGS, 0..=2,
        AlterConfigsRequestData = AlterConfigsRequest as ALTER_CONFIGS_REQUEST,
        AlterConfigsResponseData = AlterConfigsResponse as ALTER_CONFIGS_RESPONSE;
    list_offsets_agrees: LIST_OFFSETS, 1..=10,
        ListOffsetsRequestData = ListOffsetsRequest as LIST_OFFSETS_REQUEST,
        ListOffsetsResponseData = ListOffsetsResponse as LIST_OFFSETS_RESPONSE;
    delete_records_agrees: DELETE_RECORDS, 0..=2,
        DeleteRecordsRequestData = DeleteRecordsRequest as DELETE_RECORDS_REQUEST,
        DeleteRecordsResponseData = DeleteRecordsResponse as DELETE_RECORDS_RESPONSE;
    offset_for_leader_epoch_agrees: OFFSET_FOR_LEADER_EPOCH, 2..=4,
        OffsetForLeaderEpochRequestData = OffsetForLeaderEpochRequest as OFFSET_FOR_LEADER_EPOCH_REQUEST,
        OffsetForLeaderEpochResponseData = OffsetForLeaderEpochResponse as OFFSET_FOR_LEADER_EPOCH_RESPONSE;
    init_producer_id_agrees: INIT_PRODUCER_ID, 0..=5,
        InitProducerIdRequestData = InitProducerIdRequest as INIT_PRODUCER_ID_REQUEST,
        InitProducerIdResponseData = InitProducerIdResponse as INIT_PRODUCER_ID_RESPONSE;
    find_coordinator_agrees: FIND_COORDINATOR, 0..=6,
        FindCoordinatorRequestData = FindCoordinatorRequest as FIND_COORDINATOR_REQUEST,
        FindCoordinatorResponseData = FindCoordinatorResponse as FIND_COORDINATOR_RESPONSE;
    describe_log_dirs_agrees: DESCRIBE_LOG_DIRS, 1..=4,
        DescribeLogDirsRequestData = DescribeLogDirsRequest as DESCRIBE_LOG_DIRS_REQUEST,
        DescribeLogDirsResponseData = DescribeLogDirsResponse as DESCRIBE_LOG_DIRS_RESPONSE;
    list_partition_reassignments_agrees: LIST_PARTITION_REASSIGNMENTS, 0..=0,
        ListPartitionReassignmentsRequestData = ListPartitionReassignmentsRequest as LIST_PARTITION_REASSIGNMENTS_REQUEST,
        ListPartitionReassignmentsResponseData = ListPartitionReassignmentsResponse as LIST_PARTITION_REASSIGNMENTS_RESPONSE;
}

fn agree<Ours, Oracle>(entropy: &[u8], key: ApiKey, shape: &Shape, version: i16)
where
    Ours: Decode + Encode + Debug,
    Oracle: Encodable + Decodable + Debug + PartialEq,
{
    let drawn = draw(&mut Entropy(entropy), shape, is_flexible(key, version), version).freeze();
    let theirs: Oracle = oracle_read(drawn.clone(), version);
    let their_bytes = oracle_write(&theirs, version);
    assert_eq!(
        their_bytes, drawn,
        "the oracle writes what was drawn, version {version}"
    );

    let (ours, trailing) =
        Ours::decode_with_trailing(their_bytes, version, usize::MAX).expect("we read what the oracle writes");
    assert_eq!(trailing, 0, "version {version}");
    assert_eq!(fields(&ours), fields(&theirs), "version {version}");

    let our_bytes = ours.encode(version).expect("what was read can be written");
    assert_eq!(oracle_read::<Oracle>(our_bytes, version), theirs, "version {version}");
}

pub(super) fn oracle_read<M: Decodable>(mut bytes: Bytes, version: i16) -> M {
    let message = M::decode(&mut bytes, version).expect("the oracle reads it");
    assert!(
        bytes.is_empty(),
        "the oracle leaves {} bytes over, version {version}",
        bytes.len()
    );
    message
}

pub(super) fn oracle_write<M: Encodable>(message: &M, version: i16) -> Bytes {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).expect("the oracle writes it");
    bytes.freeze()
}

/// The names and values of a message's fields, as its debug print has them, without what is only the dress of a type:
/// `name: Some(KafkaString { inner: b"a" })` and `name: Some(TopicName("a"))` are both `name: "a"`. Null and empty count as
/// the same, because the two implementations differ in what a field that the version does not carry reads as; where the
/// version does carry it, the comparison of what each writes tells null from empty.
fn fields(message: &impl Debug) -> Vec<String> {
    let print = format!("{message:?}").replace("b\"", "\"").replace("{ inner: ", "{ ");
    let print = UNSHARED.iter().fold(print, |print, field| print.replace(field, ""));
    let print = print
        .replace("\"\"", "None")
        .replace("[]", "None")
        .replace('[', " [ ")
        .replace(']', " ] ");
    let tokens = print
        .split([' ', ',', '(', ')', '{', '}'])
        .filter(|token| !token.is_empty());
    tokens.filter(|token| !is_dress(token)).map(str::to_owned).collect()
}

/// Fields that only one of the two has: the tags that neither knows, and those of releases that the oracle is behind.
const UNSHARED: [&str; 6] = [
    "_unknown_tagged_fields: []",
    "unknown_tagged_fields: {}",
    "is_cordoned: false",
    "enable2_pc: false",
    "enable_2_pc: false",
    "keep_prepared_txn: false",
];

fn is_dress(token: &str) -> bool {
    token.starts_with(|first: char| first.is_ascii_uppercase()) && token != "None"
}
