//! The generated messages of everything but Produce and Fetch, behind our own two traits.
//!
//! The crate that they come from is named here only. Its decoder is bounded but generous (a few bytes on the wire can
//! become a hundred in memory), so every decode states a limit on the body: [`body_limit`] has one per class of API.
//! Decoded strings share the request's buffer: [`text`] copies what is to outlive the request.

use bytes::{Bytes, BytesMut};
pub use kacrab_protocol::generated::{
    add_offsets_to_txn_request::AddOffsetsToTxnRequestData,
    add_offsets_to_txn_response::AddOffsetsToTxnResponseData,
    add_partitions_to_txn_request::{
        AddPartitionsToTxnRequestData, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
    },
    add_partitions_to_txn_response::{
        AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResponseData, AddPartitionsToTxnResult,
        AddPartitionsToTxnTopicResult,
    },
    add_raft_voter_request::{AddRaftVoterRequestData, Listener as AddRaftVoterListener},
    add_raft_voter_response::AddRaftVoterResponseData,
    alter_configs_request::{AlterConfigsRequestData, AlterConfigsResource, AlterableConfig},
    alter_configs_response::{AlterConfigsResourceResponse, AlterConfigsResponseData},
    alter_partition_reassignments_request::{
        AlterPartitionReassignmentsRequestData, ReassignablePartition, ReassignableTopic,
    },
    alter_partition_reassignments_response::{
        AlterPartitionReassignmentsResponseData, ReassignablePartitionResponse, ReassignableTopicResponse,
    },
    alter_share_group_offsets_request::{
        AlterShareGroupOffsetsRequestData, AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
    },
    alter_share_group_offsets_response::{
        AlterShareGroupOffsetsResponseData, AlterShareGroupOffsetsResponsePartition,
        AlterShareGroupOffsetsResponseTopic,
    },
    api_versions_request::ApiVersionsRequestData,
    api_versions_response::{ApiVersion, ApiVersionsResponseData, FinalizedFeatureKey, SupportedFeatureKey},
    consumer_group_describe_request::ConsumerGroupDescribeRequestData,
    consumer_group_describe_response::{
        Assignment as ConsumerGroupDescribeAssignment, ConsumerGroupDescribeResponseData,
        DescribedGroup as DescribedConsumerGroup, Member as DescribedConsumerGroupMember,
        TopicPartitions as ConsumerGroupDescribeTopicPartitions,
    },
    consumer_group_heartbeat_request::{
        ConsumerGroupHeartbeatRequestData, TopicPartitions as ConsumerGroupHeartbeatRequestTopicPartitions,
    },
    consumer_group_heartbeat_response::{
        Assignment as ConsumerGroupHeartbeatAssignment, ConsumerGroupHeartbeatResponseData,
        TopicPartitions as ConsumerGroupHeartbeatTopicPartitions,
    },
    create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsRequestData, CreatePartitionsTopic},
    create_partitions_response::{CreatePartitionsResponseData, CreatePartitionsTopicResult},
    create_topics_request::{
        CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequestData,
    },
    create_topics_response::{CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponseData},
    delete_groups_request::DeleteGroupsRequestData,
    delete_groups_response::{DeletableGroupResult, DeleteGroupsResponseData},
    delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequestData, DeleteRecordsTopic},
    delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsResponseData, DeleteRecordsTopicResult},
    delete_share_group_offsets_request::{DeleteShareGroupOffsetsRequestData, DeleteShareGroupOffsetsRequestTopic},
    delete_share_group_offsets_response::{DeleteShareGroupOffsetsResponseData, DeleteShareGroupOffsetsResponseTopic},
    delete_share_group_state_request::{
        DeleteShareGroupStateRequestData, DeleteStateData, PartitionData as DeleteStatePartition,
    },
    delete_share_group_state_response::{
        DeleteShareGroupStateResponseData, DeleteStateResult, PartitionResult as DeletedStatePartition,
    },
    delete_topics_request::{DeleteTopicState, DeleteTopicsRequestData},
    delete_topics_response::{DeletableTopicResult, DeleteTopicsResponseData},
    describe_cluster_request::DescribeClusterRequestData,
    describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponseData},
    describe_configs_request::{DescribeConfigsRequestData, DescribeConfigsResource},
    describe_configs_response::{
        DescribeConfigsResourceResult, DescribeConfigsResponseData, DescribeConfigsResult, DescribeConfigsSynonym,
    },
    describe_groups_request::DescribeGroupsRequestData,
    describe_groups_response::{DescribeGroupsResponseData, DescribedGroup, DescribedGroupMember},
    describe_log_dirs_request::{DescribableLogDirTopic, DescribeLogDirsRequestData},
    describe_log_dirs_response::{
        DescribeLogDirsPartition, DescribeLogDirsResponseData, DescribeLogDirsResult, DescribeLogDirsTopic,
    },
    describe_producers_request::{DescribeProducersRequestData, TopicRequest as DescribeProducersTopic},
    describe_producers_response::{
        DescribeProducersResponseData, PartitionResponse as DescribedProducersPartition,
        ProducerState as DescribedProducer, TopicResponse as DescribedProducersTopic,
    },
    describe_quorum_request::{
        DescribeQuorumRequestData, PartitionData as DescribeQuorumPartition, TopicData as DescribeQuorumTopic,
    },
    describe_quorum_response::{
        DescribeQuorumResponseData, Listener as DescribedQuorumListener, Node as DescribedQuorumNode,
        PartitionData as DescribedQuorumPartition, ReplicaState as DescribedQuorumReplica,
        TopicData as DescribedQuorumTopic,
    },
    describe_share_group_offsets_request::{
        DescribeShareGroupOffsetsRequestData, DescribeShareGroupOffsetsRequestGroup,
        DescribeShareGroupOffsetsRequestTopic,
    },
    describe_share_group_offsets_response::{
        DescribeShareGroupOffsetsResponseData, DescribeShareGroupOffsetsResponseGroup,
        DescribeShareGroupOffsetsResponsePartition, DescribeShareGroupOffsetsResponseTopic,
    },
    describe_topic_partitions_request::{
        Cursor as DescribeTopicPartitionsRequestCursor, DescribeTopicPartitionsRequestData, TopicRequest,
    },
    describe_topic_partitions_response::{
        Cursor as DescribeTopicPartitionsResponseCursor, DescribeTopicPartitionsResponseData,
        DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
    },
    describe_transactions_request::DescribeTransactionsRequestData,
    describe_transactions_response::{
        DescribeTransactionsResponseData, TopicData as DescribedTransactionTopic,
        TransactionState as DescribedTransaction,
    },
    elect_leaders_request::{ElectLeadersRequestData, TopicPartitions as ElectLeadersTopic},
    elect_leaders_response::{
        ElectLeadersResponseData, PartitionResult as ElectLeadersPartitionResult, ReplicaElectionResult,
    },
    end_txn_request::EndTxnRequestData,
    end_txn_response::EndTxnResponseData,
    find_coordinator_request::FindCoordinatorRequestData,
    find_coordinator_response::{Coordinator, FindCoordinatorResponseData},
    heartbeat_request::HeartbeatRequestData,
    heartbeat_response::HeartbeatResponseData,
    incremental_alter_configs_request::{
        AlterConfigsResource as IncrementalAlterConfigsResource, AlterableConfig as IncrementalAlterableConfig,
        IncrementalAlterConfigsRequestData,
    },
    incremental_alter_configs_response::{
        AlterConfigsResourceResponse as IncrementalAlterConfigsResourceResponse, IncrementalAlterConfigsResponseData,
    },
    init_producer_id_request::InitProducerIdRequestData,
    init_producer_id_response::InitProducerIdResponseData,
    initialize_share_group_state_request::{
        InitializeShareGroupStateRequestData, InitializeStateData, PartitionData as InitializeStatePartition,
    },
    initialize_share_group_state_response::{
        InitializeShareGroupStateResponseData, InitializeStateResult, PartitionResult as InitializedStatePartition,
    },
    join_group_request::{JoinGroupRequestData, JoinGroupRequestProtocol},
    join_group_response::{JoinGroupResponseData, JoinGroupResponseMember},
    leave_group_request::{LeaveGroupRequestData, MemberIdentity},
    leave_group_response::{LeaveGroupResponseData, MemberResponse},
    list_groups_request::ListGroupsRequestData,
    list_groups_response::{ListGroupsResponseData, ListedGroup},
    list_offsets_request::{ListOffsetsPartition, ListOffsetsRequestData, ListOffsetsTopic},
    list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsResponseData, ListOffsetsTopicResponse},
    list_partition_reassignments_request::{ListPartitionReassignmentsRequestData, ListPartitionReassignmentsTopics},
    list_partition_reassignments_response::{
        ListPartitionReassignmentsResponseData, OngoingPartitionReassignment, OngoingTopicReassignment,
    },
    list_transactions_request::ListTransactionsRequestData,
    list_transactions_response::{ListTransactionsResponseData, TransactionState as ListedTransaction},
    metadata_request::{MetadataRequestData, MetadataRequestTopic},
    metadata_response::{
        MetadataResponseBroker, MetadataResponseData, MetadataResponsePartition, MetadataResponseTopic,
    },
    offset_commit_request::{OffsetCommitRequestData, OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    offset_commit_response::{OffsetCommitResponseData, OffsetCommitResponsePartition, OffsetCommitResponseTopic},
    offset_delete_request::{OffsetDeleteRequestData, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
    offset_delete_response::{OffsetDeleteResponseData, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic},
    offset_fetch_request::{
        OffsetFetchRequestData, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    },
    offset_fetch_response::{
        OffsetFetchResponseData, OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
        OffsetFetchResponseTopic, OffsetFetchResponseTopics,
    },
    offset_for_leader_epoch_request::{
        OffsetForLeaderEpochRequestData, OffsetForLeaderPartition, OffsetForLeaderTopic,
    },
    offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderEpochResponseData, OffsetForLeaderTopicResult},
    read_share_group_state_request::{
        PartitionData as ReadStatePartition, ReadShareGroupStateRequestData, ReadStateData,
    },
    read_share_group_state_response::{
        PartitionResult as ReadStateResultPartition, ReadShareGroupStateResponseData, ReadStateResult,
        StateBatch as ReadStateBatch,
    },
    read_share_group_state_summary_request::{
        PartitionData as StateSummaryPartition, ReadShareGroupStateSummaryRequestData, ReadStateSummaryData,
    },
    read_share_group_state_summary_response::{
        PartitionResult as StateSummaryResultPartition, ReadShareGroupStateSummaryResponseData, ReadStateSummaryResult,
    },
    remove_raft_voter_request::RemoveRaftVoterRequestData,
    remove_raft_voter_response::RemoveRaftVoterResponseData,
    share_acknowledge_request::{
        AcknowledgePartition as ShareAcknowledgePartition, AcknowledgeTopic as ShareAcknowledgeTopic,
        AcknowledgementBatch as ShareAcknowledgementBatch, ShareAcknowledgeRequestData,
    },
    share_acknowledge_response::{
        LeaderIdAndEpoch as ShareAcknowledgeLeader, NodeEndpoint as ShareAcknowledgeNode,
        PartitionData as ShareAcknowledgedPartition, ShareAcknowledgeResponseData,
        ShareAcknowledgeTopicResponse as ShareAcknowledgedTopic,
    },
    share_fetch_request::{
        AcknowledgementBatch as ShareFetchAcknowledgement, FetchPartition as ShareFetchPartition,
        FetchTopic as ShareFetchTopic, ForgottenTopic as ShareForgottenTopic, ShareFetchRequestData,
    },
    share_group_describe_request::ShareGroupDescribeRequestData,
    share_group_describe_response::{
        Assignment as ShareGroupDescribedAssignment, DescribedGroup as ShareGroupDescribed,
        Member as ShareGroupDescribedMember, ShareGroupDescribeResponseData,
        TopicPartitions as ShareGroupDescribedTopic,
    },
    share_group_heartbeat_request::ShareGroupHeartbeatRequestData,
    share_group_heartbeat_response::{
        Assignment as ShareGroupAssignment, ShareGroupHeartbeatResponseData,
        TopicPartitions as ShareGroupTopicPartitions,
    },
    sync_group_request::{SyncGroupRequestAssignment, SyncGroupRequestData},
    sync_group_response::SyncGroupResponseData,
    txn_offset_commit_request::{
        TxnOffsetCommitRequestData, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
    },
    txn_offset_commit_response::{
        TxnOffsetCommitResponseData, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
    },
    unregister_broker_request::UnregisterBrokerRequestData,
    unregister_broker_response::UnregisterBrokerResponseData,
    update_features_request::{FeatureUpdateKey, UpdateFeaturesRequestData},
    update_features_response::{UpdatableFeatureResult, UpdateFeaturesResponseData},
    write_share_group_state_request::{
        PartitionData as WriteStatePartition, StateBatch as WriteStateBatch, WriteShareGroupStateRequestData,
        WriteStateData,
    },
    write_share_group_state_response::{
        PartitionResult as WrittenStatePartition, WriteShareGroupStateResponseData, WriteStateResult,
    },
    write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequestData},
    write_txn_markers_response::{
        WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
        WriteTxnMarkersResponseData,
    },
};
pub use kacrab_protocol::{KafkaString, KafkaUuid};

use super::primitives::{ANSWER_ELEMENTS_MAX, ELEMENTS_MAX, Reader};
use super::{ApiKey, DecodeError, is_flexible, shape};
use crate::model::TopicId;

#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error("body of {len} bytes exceeds the limit of {limit} for this API")]
    TooLarge { len: usize, limit: usize },
    #[error(transparent)]
    Shape(#[from] DecodeError),
    #[error(transparent)]
    Generated(#[from] kacrab_protocol::ProtocolError),
}

/// What a message may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub bytes: usize,
    /// Array elements and tags.
    pub elements: usize,
}

/// Answers come from a broker that the user chose: bounded, but generously.
const ANSWER_LIMITS: Limits = Limits {
    bytes: 256 << 20,
    elements: ANSWER_ELEMENTS_MAX,
};

/// A generated message that can be read. Implemented for each message of the table below.
pub trait Decode: Sized {
    /// The message, and how many bytes lay behind it: Kafka ignores them, we count them.
    fn decode_within(body: Bytes, version: i16, limits: Limits) -> Result<(Self, usize), MessageError>;

    fn decode_with_trailing(body: Bytes, version: i16, limit: usize) -> Result<(Self, usize), MessageError> {
        let elements = ELEMENTS_MAX;
        Self::decode_within(body, version, Limits { bytes: limit, elements })
    }

    fn decode(body: Bytes, version: i16, limit: usize) -> Result<Self, MessageError> {
        Self::decode_with_trailing(body, version, limit).map(|(message, _)| message)
    }

    /// Of an answer to a request of ours.
    fn decode_answer(body: Bytes, version: i16) -> Result<Self, MessageError> {
        Self::decode_within(body, version, ANSWER_LIMITS).map(|(message, _)| message)
    }
}

/// A generated message that can be written. It fails when a field is set that the version does not carry and that must
/// not be dropped silently: `endpoint_type` and `is_fenced` of DescribeCluster, the nodes and directories of
/// DescribeQuorum, `leader_epoch` of ListOffsets, the
/// authorized operations of Metadata, the message and the authorized operations of DescribeGroups, `skip_assignment` of
/// JoinGroup, the members of LeaveGroup, the error of ElectLeaders, and the forms of FindCoordinator, AddPartitionsToTxn and OffsetFetch that the version does not
/// speak. Every other field of a response may be filled in for all versions alike (a test holds the list).
pub trait Encode {
    fn encode(&self, version: i16) -> Result<Bytes, MessageError>;
}

macro_rules! messages {
    ($($message:ident: $key:ident, $shape:ident;)*) => {
        $(
            impl Decode for $message {
                fn decode_within(
                    mut body: Bytes,
                    version: i16,
                    limits: Limits,
                ) -> Result<(Self, usize), MessageError> {
                    if body.len() > limits.bytes {
                        return Err(MessageError::TooLarge { len: body.len(), limit: limits.bytes });
                    }
                    let flexible = is_flexible(ApiKey::$key, version);
                    let reader = Reader::bounded(&body, flexible, limits.elements);
                    let trailing = shape::check(reader, &shape::$shape, version)?;
                    Ok(($message::read(&mut body, version)?, trailing))
                }
            }

            impl Encode for $message {
                fn encode(&self, version: i16) -> Result<Bytes, MessageError> {
                    let mut bytes = BytesMut::with_capacity(self.encoded_len(version)?);
                    self.write(&mut bytes, version)?;
                    Ok(bytes.freeze())
                }
            }
        )*
    };
}

// Message: the API that it belongs to, its shape.
messages! {
    AddOffsetsToTxnRequestData: ADD_OFFSETS_TO_TXN, ADD_OFFSETS_TO_TXN_REQUEST;
    AddOffsetsToTxnResponseData: ADD_OFFSETS_TO_TXN, ADD_OFFSETS_TO_TXN_RESPONSE;
    AddPartitionsToTxnRequestData: ADD_PARTITIONS_TO_TXN, ADD_PARTITIONS_TO_TXN_REQUEST;
    AddPartitionsToTxnResponseData: ADD_PARTITIONS_TO_TXN, ADD_PARTITIONS_TO_TXN_RESPONSE;
    AlterPartitionReassignmentsRequestData: ALTER_PARTITION_REASSIGNMENTS, ALTER_PARTITION_REASSIGNMENTS_REQUEST;
    AlterPartitionReassignmentsResponseData: ALTER_PARTITION_REASSIGNMENTS, ALTER_PARTITION_REASSIGNMENTS_RESPONSE;
    AlterConfigsRequestData: ALTER_CONFIGS, ALTER_CONFIGS_REQUEST;
    AlterConfigsResponseData: ALTER_CONFIGS, ALTER_CONFIGS_RESPONSE;
    ApiVersionsRequestData: API_VERSIONS, API_VERSIONS_REQUEST;
    ApiVersionsResponseData: API_VERSIONS, API_VERSIONS_RESPONSE;
    ConsumerGroupDescribeRequestData: CONSUMER_GROUP_DESCRIBE, CONSUMER_GROUP_DESCRIBE_REQUEST;
    ConsumerGroupDescribeResponseData: CONSUMER_GROUP_DESCRIBE, CONSUMER_GROUP_DESCRIBE_RESPONSE;
    ConsumerGroupHeartbeatRequestData: CONSUMER_GROUP_HEARTBEAT, CONSUMER_GROUP_HEARTBEAT_REQUEST;
    ConsumerGroupHeartbeatResponseData: CONSUMER_GROUP_HEARTBEAT, CONSUMER_GROUP_HEARTBEAT_RESPONSE;
    CreatePartitionsRequestData: CREATE_PARTITIONS, CREATE_PARTITIONS_REQUEST;
    CreatePartitionsResponseData: CREATE_PARTITIONS, CREATE_PARTITIONS_RESPONSE;
    CreateTopicsRequestData: CREATE_TOPICS, CREATE_TOPICS_REQUEST;
    CreateTopicsResponseData: CREATE_TOPICS, CREATE_TOPICS_RESPONSE;
    DeleteGroupsRequestData: DELETE_GROUPS, DELETE_GROUPS_REQUEST;
    DeleteGroupsResponseData: DELETE_GROUPS, DELETE_GROUPS_RESPONSE;
    DeleteRecordsRequestData: DELETE_RECORDS, DELETE_RECORDS_REQUEST;
    DeleteRecordsResponseData: DELETE_RECORDS, DELETE_RECORDS_RESPONSE;
    DeleteTopicsRequestData: DELETE_TOPICS, DELETE_TOPICS_REQUEST;
    DeleteTopicsResponseData: DELETE_TOPICS, DELETE_TOPICS_RESPONSE;
    DescribeClusterRequestData: DESCRIBE_CLUSTER, DESCRIBE_CLUSTER_REQUEST;
    DescribeClusterResponseData: DESCRIBE_CLUSTER, DESCRIBE_CLUSTER_RESPONSE;
    DescribeConfigsRequestData: DESCRIBE_CONFIGS, DESCRIBE_CONFIGS_REQUEST;
    DescribeConfigsResponseData: DESCRIBE_CONFIGS, DESCRIBE_CONFIGS_RESPONSE;
    DescribeGroupsRequestData: DESCRIBE_GROUPS, DESCRIBE_GROUPS_REQUEST;
    DescribeGroupsResponseData: DESCRIBE_GROUPS, DESCRIBE_GROUPS_RESPONSE;
    DescribeLogDirsRequestData: DESCRIBE_LOG_DIRS, DESCRIBE_LOG_DIRS_REQUEST;
    DescribeLogDirsResponseData: DESCRIBE_LOG_DIRS, DESCRIBE_LOG_DIRS_RESPONSE;
    DescribeProducersRequestData: DESCRIBE_PRODUCERS, DESCRIBE_PRODUCERS_REQUEST;
    DescribeProducersResponseData: DESCRIBE_PRODUCERS, DESCRIBE_PRODUCERS_RESPONSE;
    DescribeQuorumRequestData: DESCRIBE_QUORUM, DESCRIBE_QUORUM_REQUEST;
    DescribeQuorumResponseData: DESCRIBE_QUORUM, DESCRIBE_QUORUM_RESPONSE;
    DescribeTopicPartitionsRequestData: DESCRIBE_TOPIC_PARTITIONS, DESCRIBE_TOPIC_PARTITIONS_REQUEST;
    DescribeTopicPartitionsResponseData: DESCRIBE_TOPIC_PARTITIONS, DESCRIBE_TOPIC_PARTITIONS_RESPONSE;
    DescribeTransactionsRequestData: DESCRIBE_TRANSACTIONS, DESCRIBE_TRANSACTIONS_REQUEST;
    DescribeTransactionsResponseData: DESCRIBE_TRANSACTIONS, DESCRIBE_TRANSACTIONS_RESPONSE;
    ElectLeadersRequestData: ELECT_LEADERS, ELECT_LEADERS_REQUEST;
    ElectLeadersResponseData: ELECT_LEADERS, ELECT_LEADERS_RESPONSE;
    EndTxnRequestData: END_TXN, END_TXN_REQUEST;
    EndTxnResponseData: END_TXN, END_TXN_RESPONSE;
    FindCoordinatorRequestData: FIND_COORDINATOR, FIND_COORDINATOR_REQUEST;
    FindCoordinatorResponseData: FIND_COORDINATOR, FIND_COORDINATOR_RESPONSE;
    HeartbeatRequestData: HEARTBEAT, HEARTBEAT_REQUEST;
    HeartbeatResponseData: HEARTBEAT, HEARTBEAT_RESPONSE;
    IncrementalAlterConfigsRequestData: INCREMENTAL_ALTER_CONFIGS, INCREMENTAL_ALTER_CONFIGS_REQUEST;
    IncrementalAlterConfigsResponseData: INCREMENTAL_ALTER_CONFIGS, ALTER_CONFIGS_RESPONSE;
    InitProducerIdRequestData: INIT_PRODUCER_ID, INIT_PRODUCER_ID_REQUEST;
    InitProducerIdResponseData: INIT_PRODUCER_ID, INIT_PRODUCER_ID_RESPONSE;
    JoinGroupRequestData: JOIN_GROUP, JOIN_GROUP_REQUEST;
    JoinGroupResponseData: JOIN_GROUP, JOIN_GROUP_RESPONSE;
    LeaveGroupRequestData: LEAVE_GROUP, LEAVE_GROUP_REQUEST;
    LeaveGroupResponseData: LEAVE_GROUP, LEAVE_GROUP_RESPONSE;
    ListGroupsRequestData: LIST_GROUPS, LIST_GROUPS_REQUEST;
    ListGroupsResponseData: LIST_GROUPS, LIST_GROUPS_RESPONSE;
    ListOffsetsRequestData: LIST_OFFSETS, LIST_OFFSETS_REQUEST;
    ListOffsetsResponseData: LIST_OFFSETS, LIST_OFFSETS_RESPONSE;
    ListPartitionReassignmentsRequestData: LIST_PARTITION_REASSIGNMENTS, LIST_PARTITION_REASSIGNMENTS_REQUEST;
    ListPartitionReassignmentsResponseData: LIST_PARTITION_REASSIGNMENTS, LIST_PARTITION_REASSIGNMENTS_RESPONSE;
    ListTransactionsRequestData: LIST_TRANSACTIONS, LIST_TRANSACTIONS_REQUEST;
    ListTransactionsResponseData: LIST_TRANSACTIONS, LIST_TRANSACTIONS_RESPONSE;
    MetadataRequestData: METADATA, METADATA_REQUEST;
    MetadataResponseData: METADATA, METADATA_RESPONSE;
    OffsetCommitRequestData: OFFSET_COMMIT, OFFSET_COMMIT_REQUEST;
    OffsetCommitResponseData: OFFSET_COMMIT, OFFSET_COMMIT_RESPONSE;
    OffsetDeleteRequestData: OFFSET_DELETE, OFFSET_DELETE_REQUEST;
    OffsetDeleteResponseData: OFFSET_DELETE, OFFSET_DELETE_RESPONSE;
    OffsetFetchRequestData: OFFSET_FETCH, OFFSET_FETCH_REQUEST;
    OffsetFetchResponseData: OFFSET_FETCH, OFFSET_FETCH_RESPONSE;
    OffsetForLeaderEpochRequestData: OFFSET_FOR_LEADER_EPOCH, OFFSET_FOR_LEADER_EPOCH_REQUEST;
    OffsetForLeaderEpochResponseData: OFFSET_FOR_LEADER_EPOCH, OFFSET_FOR_LEADER_EPOCH_RESPONSE;
    AlterShareGroupOffsetsRequestData: ALTER_SHARE_GROUP_OFFSETS, ALTER_SHARE_GROUP_OFFSETS_REQUEST;
    AlterShareGroupOffsetsResponseData: ALTER_SHARE_GROUP_OFFSETS, ALTER_SHARE_GROUP_OFFSETS_RESPONSE;
    DeleteShareGroupOffsetsRequestData: DELETE_SHARE_GROUP_OFFSETS, DELETE_SHARE_GROUP_OFFSETS_REQUEST;
    DeleteShareGroupOffsetsResponseData: DELETE_SHARE_GROUP_OFFSETS, DELETE_SHARE_GROUP_OFFSETS_RESPONSE;
    DescribeShareGroupOffsetsRequestData: DESCRIBE_SHARE_GROUP_OFFSETS, DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST;
    DescribeShareGroupOffsetsResponseData: DESCRIBE_SHARE_GROUP_OFFSETS, DESCRIBE_SHARE_GROUP_OFFSETS_RESPONSE;
    InitializeShareGroupStateRequestData: INITIALIZE_SHARE_GROUP_STATE, INITIALIZE_SHARE_GROUP_STATE_REQUEST;
    InitializeShareGroupStateResponseData: INITIALIZE_SHARE_GROUP_STATE, INITIALIZE_SHARE_GROUP_STATE_RESPONSE;
    ReadShareGroupStateRequestData: READ_SHARE_GROUP_STATE, READ_SHARE_GROUP_STATE_REQUEST;
    ReadShareGroupStateResponseData: READ_SHARE_GROUP_STATE, READ_SHARE_GROUP_STATE_RESPONSE;
    WriteShareGroupStateRequestData: WRITE_SHARE_GROUP_STATE, WRITE_SHARE_GROUP_STATE_REQUEST;
    WriteShareGroupStateResponseData: WRITE_SHARE_GROUP_STATE, WRITE_SHARE_GROUP_STATE_RESPONSE;
    DeleteShareGroupStateRequestData: DELETE_SHARE_GROUP_STATE, DELETE_SHARE_GROUP_STATE_REQUEST;
    DeleteShareGroupStateResponseData: DELETE_SHARE_GROUP_STATE, DELETE_SHARE_GROUP_STATE_RESPONSE;
    ReadShareGroupStateSummaryRequestData: READ_SHARE_GROUP_STATE_SUMMARY, READ_SHARE_GROUP_STATE_SUMMARY_REQUEST;
    ReadShareGroupStateSummaryResponseData: READ_SHARE_GROUP_STATE_SUMMARY, READ_SHARE_GROUP_STATE_SUMMARY_RESPONSE;
    AddRaftVoterRequestData: ADD_RAFT_VOTER, ADD_RAFT_VOTER_REQUEST;
    AddRaftVoterResponseData: ADD_RAFT_VOTER, ADD_RAFT_VOTER_RESPONSE;
    RemoveRaftVoterRequestData: REMOVE_RAFT_VOTER, REMOVE_RAFT_VOTER_REQUEST;
    RemoveRaftVoterResponseData: REMOVE_RAFT_VOTER, REMOVE_RAFT_VOTER_RESPONSE;
    ShareAcknowledgeRequestData: SHARE_ACKNOWLEDGE, SHARE_ACKNOWLEDGE_REQUEST;
    ShareAcknowledgeResponseData: SHARE_ACKNOWLEDGE, SHARE_ACKNOWLEDGE_RESPONSE;
    ShareFetchRequestData: SHARE_FETCH, SHARE_FETCH_REQUEST;
    ShareGroupDescribeRequestData: SHARE_GROUP_DESCRIBE, SHARE_GROUP_DESCRIBE_REQUEST;
    ShareGroupDescribeResponseData: SHARE_GROUP_DESCRIBE, SHARE_GROUP_DESCRIBE_RESPONSE;
    ShareGroupHeartbeatRequestData: SHARE_GROUP_HEARTBEAT, SHARE_GROUP_HEARTBEAT_REQUEST;
    ShareGroupHeartbeatResponseData: SHARE_GROUP_HEARTBEAT, SHARE_GROUP_HEARTBEAT_RESPONSE;
    SyncGroupRequestData: SYNC_GROUP, SYNC_GROUP_REQUEST;
    SyncGroupResponseData: SYNC_GROUP, SYNC_GROUP_RESPONSE;
    TxnOffsetCommitRequestData: TXN_OFFSET_COMMIT, TXN_OFFSET_COMMIT_REQUEST;
    TxnOffsetCommitResponseData: TXN_OFFSET_COMMIT, TXN_OFFSET_COMMIT_RESPONSE;
    UnregisterBrokerRequestData: UNREGISTER_BROKER, UNREGISTER_BROKER_REQUEST;
    UnregisterBrokerResponseData: UNREGISTER_BROKER, UNREGISTER_BROKER_RESPONSE;
    UpdateFeaturesRequestData: UPDATE_FEATURES, UPDATE_FEATURES_REQUEST;
    UpdateFeaturesResponseData: UPDATE_FEATURES, UPDATE_FEATURES_RESPONSE;
    WriteTxnMarkersRequestData: WRITE_TXN_MARKERS, WRITE_TXN_MARKERS_REQUEST;
    WriteTxnMarkersResponseData: WRITE_TXN_MARKERS, WRITE_TXN_MARKERS_RESPONSE;
}

/// The largest request body that an API is decoded from. Produce may fill a whole frame, and Fetch may be longer than
/// the rest: both are read by our own codec, which takes less memory for a byte. What members of groups say may fill a
/// frame too: it is bytes rather than elements, whose number is limited for itself; what is too much of it is for the
/// coordinator to say.
pub const fn body_limit(key: ApiKey) -> usize {
    match key {
        ApiKey::PRODUCE => i32::MAX as usize,
        ApiKey::JOIN_GROUP | ApiKey::SYNC_GROUP => i32::MAX as usize,
        ApiKey::OFFSET_COMMIT | ApiKey::TXN_OFFSET_COMMIT | ApiKey::OFFSET_FETCH => i32::MAX as usize,
        ApiKey::FETCH => BODY_BYTES_MAX_FETCH,
        ApiKey::API_VERSIONS | ApiKey::INIT_PRODUCER_ID | ApiKey::DESCRIBE_CLUSTER => BODY_BYTES_MAX_FIXED,
        _ => BODY_BYTES_MAX,
    }
}

/// A fetch of a few hundred thousand partitions.
pub const BODY_BYTES_MAX_FETCH: usize = 8 << 20;
/// Requests that list topics, partitions or configs: enough for some ten thousand of them.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Requests that list nothing: a handful of fields.
pub const BODY_BYTES_MAX_FIXED: usize = 64 << 10;

/// A string for a message, copied.
pub fn kafka_string(text: &str) -> KafkaString {
    KafkaString::from(text.to_owned())
}

/// A message's string as our own: it no longer holds on to the request's buffer.
pub fn text(string: &KafkaString) -> String {
    string.as_str().to_owned()
}

pub fn kafka_uuid(id: TopicId) -> KafkaUuid {
    KafkaUuid::from_uuid(uuid::Uuid::from_bytes(id.0))
}

/// A random UUID (version 4) out of random numbers, as text.
pub fn random_uuid(numbers: [u64; 2]) -> String {
    let bytes = (u128::from(numbers[0]) << 64 | u128::from(numbers[1])).to_be_bytes();
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

pub fn topic_id(uuid: KafkaUuid) -> TopicId {
    TopicId(uuid.to_bytes())
}
