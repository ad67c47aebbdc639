//! Which requests this client sends, in which versions, and what answers them: one row each.

use bytes::Bytes;

use crate::wire::ApiKey;
use crate::wire::fetch::{FetchRequest, FetchResponse};
use crate::wire::messages::*;
use crate::wire::produce::{ProduceRequest, ProduceResponse};
use crate::wire::share_fetch::ShareFetchResponse;

use super::ClientError;

/// A request with its API key, the versions that this client speaks, and the type of its answer.
pub trait Request {
    const KEY: ApiKey;
    const OLDEST: i16;
    const NEWEST: i16;
    type Response;

    fn encode_body(&self, version: i16) -> Result<Vec<Bytes>, ClientError>;
    fn decode_answer(body: Bytes, version: i16) -> Result<Self::Response, ClientError>;
}

macro_rules! requests {
    ($($request:ident => $response:ident, $key:ident $oldest:literal to $newest:literal;)*) => {$(
        impl Request for $request {
            const KEY: ApiKey = ApiKey::$key;
            const OLDEST: i16 = $oldest;
            const NEWEST: i16 = $newest;
            type Response = $response;

            fn encode_body(&self, version: i16) -> Result<Vec<Bytes>, ClientError> {
                Ok(vec![self.encode(version)?])
            }

            fn decode_answer(body: Bytes, version: i16) -> Result<$response, ClientError> {
                Ok(<$response as Decode>::decode_answer(body, version)?)
            }
        }
    )*};
}

requests! {
    ApiVersionsRequestData => ApiVersionsResponseData, API_VERSIONS 0 to 4;
    MetadataRequestData => MetadataResponseData, METADATA 1 to 12;
    CreateTopicsRequestData => CreateTopicsResponseData, CREATE_TOPICS 2 to 7;
    DeleteTopicsRequestData => DeleteTopicsResponseData, DELETE_TOPICS 1 to 5;
    CreatePartitionsRequestData => CreatePartitionsResponseData, CREATE_PARTITIONS 0 to 3;
    DescribeConfigsRequestData => DescribeConfigsResponseData, DESCRIBE_CONFIGS 1 to 4;
    IncrementalAlterConfigsRequestData => IncrementalAlterConfigsResponseData, INCREMENTAL_ALTER_CONFIGS 0 to 1;
    DescribeClusterRequestData => DescribeClusterResponseData, DESCRIBE_CLUSTER 0 to 2;
    DescribeQuorumRequestData => DescribeQuorumResponseData, DESCRIBE_QUORUM 0 to 2;
    UnregisterBrokerRequestData => UnregisterBrokerResponseData, UNREGISTER_BROKER 0 to 0;
    UpdateFeaturesRequestData => UpdateFeaturesResponseData, UPDATE_FEATURES 1 to 2;
    AddRaftVoterRequestData => AddRaftVoterResponseData, ADD_RAFT_VOTER 0 to 1;
    RemoveRaftVoterRequestData => RemoveRaftVoterResponseData, REMOVE_RAFT_VOTER 0 to 0;
    ElectLeadersRequestData => ElectLeadersResponseData, ELECT_LEADERS 0 to 2;
    AlterPartitionReassignmentsRequestData => AlterPartitionReassignmentsResponseData, ALTER_PARTITION_REASSIGNMENTS 0 to 1;
    ListPartitionReassignmentsRequestData => ListPartitionReassignmentsResponseData, LIST_PARTITION_REASSIGNMENTS 0 to 0;
    DescribeLogDirsRequestData => DescribeLogDirsResponseData, DESCRIBE_LOG_DIRS 1 to 4;
    ListOffsetsRequestData => ListOffsetsResponseData, LIST_OFFSETS 1 to 7;
    InitProducerIdRequestData => InitProducerIdResponseData, INIT_PRODUCER_ID 0 to 4;
    FindCoordinatorRequestData => FindCoordinatorResponseData, FIND_COORDINATOR 4 to 6;
    WriteTxnMarkersRequestData => WriteTxnMarkersResponseData, WRITE_TXN_MARKERS 1 to 1;
    DescribeProducersRequestData => DescribeProducersResponseData, DESCRIBE_PRODUCERS 0 to 0;
    DescribeTransactionsRequestData => DescribeTransactionsResponseData, DESCRIBE_TRANSACTIONS 0 to 0;
    ListTransactionsRequestData => ListTransactionsResponseData, LIST_TRANSACTIONS 0 to 2;
    JoinGroupRequestData => JoinGroupResponseData, JOIN_GROUP 5 to 9;
    SyncGroupRequestData => SyncGroupResponseData, SYNC_GROUP 3 to 5;
    HeartbeatRequestData => HeartbeatResponseData, HEARTBEAT 3 to 4;
    LeaveGroupRequestData => LeaveGroupResponseData, LEAVE_GROUP 3 to 5;
    OffsetCommitRequestData => OffsetCommitResponseData, OFFSET_COMMIT 2 to 9;
    OffsetFetchRequestData => OffsetFetchResponseData, OFFSET_FETCH 2 to 7;
    OffsetDeleteRequestData => OffsetDeleteResponseData, OFFSET_DELETE 0 to 0;
    DescribeGroupsRequestData => DescribeGroupsResponseData, DESCRIBE_GROUPS 0 to 6;
    ConsumerGroupDescribeRequestData => ConsumerGroupDescribeResponseData, CONSUMER_GROUP_DESCRIBE 0 to 1;
    ListGroupsRequestData => ListGroupsResponseData, LIST_GROUPS 0 to 5;
    DeleteGroupsRequestData => DeleteGroupsResponseData, DELETE_GROUPS 0 to 2;
    ShareGroupHeartbeatRequestData => ShareGroupHeartbeatResponseData, SHARE_GROUP_HEARTBEAT 1 to 1;
    ShareAcknowledgeRequestData => ShareAcknowledgeResponseData, SHARE_ACKNOWLEDGE 1 to 1;
    ShareGroupDescribeRequestData => ShareGroupDescribeResponseData, SHARE_GROUP_DESCRIBE 1 to 1;
    DescribeShareGroupOffsetsRequestData => DescribeShareGroupOffsetsResponseData, DESCRIBE_SHARE_GROUP_OFFSETS 0 to 1;
    AlterShareGroupOffsetsRequestData => AlterShareGroupOffsetsResponseData, ALTER_SHARE_GROUP_OFFSETS 0 to 0;
    DeleteShareGroupOffsetsRequestData => DeleteShareGroupOffsetsResponseData, DELETE_SHARE_GROUP_OFFSETS 0 to 0;
    DescribeTopicPartitionsRequestData => DescribeTopicPartitionsResponseData, DESCRIBE_TOPIC_PARTITIONS 0 to 0;
}

impl Request for ProduceRequest {
    const KEY: ApiKey = ApiKey::PRODUCE;
    const OLDEST: i16 = 3;
    const NEWEST: i16 = 12;
    type Response = ProduceResponse;

    fn encode_body(&self, version: i16) -> Result<Vec<Bytes>, ClientError> {
        Ok(self.encode(version))
    }

    fn decode_answer(body: Bytes, version: i16) -> Result<ProduceResponse, ClientError> {
        Ok(ProduceResponse::decode(body, version)?)
    }
}

/// Up to version 12, the last that names topics by their names.
impl Request for FetchRequest {
    const KEY: ApiKey = ApiKey::FETCH;
    const OLDEST: i16 = 4;
    const NEWEST: i16 = 12;
    type Response = FetchResponse;

    fn encode_body(&self, version: i16) -> Result<Vec<Bytes>, ClientError> {
        Ok(self.encode(version))
    }

    fn decode_answer(body: Bytes, version: i16) -> Result<FetchResponse, ClientError> {
        Ok(FetchResponse::decode(body, version)?)
    }
}

impl Request for ShareFetchRequestData {
    const KEY: ApiKey = ApiKey::SHARE_FETCH;
    const OLDEST: i16 = 1;
    const NEWEST: i16 = 1;
    type Response = ShareFetchResponse;

    fn encode_body(&self, version: i16) -> Result<Vec<Bytes>, ClientError> {
        Ok(vec![self.encode(version)?])
    }

    fn decode_answer(body: Bytes, _version: i16) -> Result<ShareFetchResponse, ClientError> {
        Ok(ShareFetchResponse::decode(body)?)
    }
}
