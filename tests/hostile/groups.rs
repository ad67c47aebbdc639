//! Requests of groups that are larger than others may be: answered, whatever is made of them.

use corelane::client::{Address, Connection};
use corelane::model::ErrorCode;
use corelane::wire::messages::{
    FindCoordinatorRequestData, JoinGroupRequestData, JoinGroupRequestProtocol, OffsetCommitRequestData,
    OffsetCommitRequestPartition, OffsetCommitRequestTopic, SyncGroupRequestAssignment, SyncGroupRequestData,
    kafka_string,
};

use crate::support::{Broker, answers_api_versions, wait_until};

const MEBIBYTE: usize = 1 << 20;

fn join(metadata_bytes: usize) -> JoinGroupRequestData {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(kafka_string("range"))
        .with_metadata(vec![0; metadata_bytes].into());
    JoinGroupRequestData::default()
        .with_group_id(kafka_string("g"))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_member_id(kafka_string(""))
        .with_protocol_type(kafka_string("consumer"))
        .with_protocols(vec![protocol])
}

/// A commit of so many partitions with the longest notes that are taken.
fn commit(partitions: i32) -> OffsetCommitRequestData {
    let partition = |index| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(5)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(kafka_string(&"n".repeat(4_096))))
    };
    let topic = OffsetCommitRequestTopic::default()
        .with_name(kafka_string("t"))
        .with_partitions((0..partitions).map(partition).collect());
    OffsetCommitRequestData::default()
        .with_group_id(kafka_string("g"))
        .with_generation_id_or_member_epoch(-1)
        .with_retention_time_ms(-1)
        .with_topics(vec![topic])
}

fn commit_codes(connection: &mut Connection, partitions: i32) -> Vec<ErrorCode> {
    let answer = connection.call(&commit(partitions)).unwrap();
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|one| ErrorCode::from_code(one.error_code)).collect()
}

#[test]
fn large_requests_of_groups_are_answered() {
    const PARTITIONS: i32 = 600;
    let broker = Broker::start(&[("shard.count", "2")]);
    broker.tool("topics", &format!("--create --topic t --partitions {PARTITIONS}"), "");
    let address: Address = broker.bootstrap().parse().unwrap();
    let mut connection = Connection::open(&address, "test").unwrap();
    let find = FindCoordinatorRequestData::default().with_coordinator_keys(vec![kafka_string("g")]);
    connection.call(&find).unwrap();
    // 2.4 MiB, more than one batch may hold.
    wait_until("the coordinator takes commits", || {
        let codes = commit_codes(&mut connection, PARTITIONS);
        assert_eq!(codes.len(), PARTITIONS as usize);
        codes.iter().all(|code| code.is_none())
    });

    for bytes in [MEBIBYTE, 3 * MEBIBYTE, 20 * MEBIBYTE] {
        let joined = connection.call(&join(bytes)).unwrap();
        assert_eq!(
            ErrorCode::from_code(joined.error_code),
            ErrorCode::InvalidRequest,
            "{bytes}"
        );
    }
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(kafka_string("m"))
        .with_assignment(vec![0; 3 * MEBIBYTE].into());
    let sync = SyncGroupRequestData::default()
        .with_group_id(kafka_string("g"))
        .with_generation_id(1)
        .with_member_id(kafka_string("m"))
        .with_protocol_type(Some(kafka_string("consumer")))
        .with_protocol_name(Some(kafka_string("range")))
        .with_assignments(vec![assignment]);
    let synced = connection.call(&sync).unwrap();
    assert_eq!(ErrorCode::from_code(synced.error_code), ErrorCode::UnknownMemberId);
    assert!(answers_api_versions(&broker.bootstrap()));
}
