//! Fetch (key 1), versions 4 to 17: borrowing decode; scatter-gather encode in which record data is never copied.
use super::ResponseBody;
use super::produce::DecodeError;
use crate::model::TopicId;
use bytes::Bytes;

#[derive(Debug, Clone)]
pub struct FetchRequest {
    pub replica_id: i32,
    pub replica_epoch: i64,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub isolation_level: i8,
    pub session_id: i32,
    pub session_epoch: i32,
    pub topics: Vec<FetchTopic>,
    pub forgotten: Vec<ForgottenTopic>,
    pub rack_id: Bytes,
    pub cluster_id: Option<Bytes>,
}
/// Below version 13 the name is set and the id is zero; from 13 on the other way round.
#[derive(Debug, Clone)]
pub struct FetchTopic {
    pub name: Bytes,
    pub id: TopicId,
    pub partitions: Vec<FetchPartition>,
}
#[derive(Debug, Clone)]
pub struct FetchPartition {
    pub index: i32,
    pub current_leader_epoch: i32,
    pub fetch_offset: i64,
    pub last_fetched_epoch: i32,
    pub log_start_offset: i64,
    pub max_bytes: i32,
}
#[derive(Debug, Clone)]
pub struct ForgottenTopic {
    pub name: Bytes,
    pub id: TopicId,
    pub partitions: Vec<i32>,
}
impl FetchRequest {
    pub fn decode(body: Bytes, version: i16) -> Result<FetchRequest, DecodeError> {
        let _ = (body, version);
        todo!()
    }
}

#[derive(Debug, Clone)]
pub struct FetchResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub session_id: i32,
    pub topics: Vec<FetchTopicResponse>,
}
#[derive(Debug, Clone)]
pub struct FetchTopicResponse {
    pub name: Bytes,
    pub id: TopicId,
    pub partitions: Vec<FetchPartitionResponse>,
}
#[derive(Debug, Clone)]
pub struct FetchPartitionResponse {
    pub index: i32,
    pub error_code: i16,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    /// (epoch, end offset); tagged, v12+
    pub diverging_epoch: Option<(i32, i64)>,
    /// Some(vec![]) for read_committed, None for read_uncommitted: (producer id, first offset)
    pub aborted_transactions: Option<Vec<(i64, i64)>>,
    pub preferred_read_replica: i32,
    pub records: Vec<Bytes>,
}
impl FetchResponse {
    pub fn encode(self, version: i16) -> ResponseBody {
        let _ = version;
        todo!()
    }
}
