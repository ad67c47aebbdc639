//! Produce (key 0), versions 3 to 12: borrowing decode of the request; the response's encode. (0 to 2 are refused.)
use super::ResponseBody;
use bytes::Bytes;

#[derive(Debug, Clone)]
pub struct ProduceRequest {
    pub transactional_id: Option<Bytes>,
    pub acks: i16,
    pub timeout_ms: i32,
    pub topics: Vec<ProduceTopic>,
}
#[derive(Debug, Clone)]
pub struct ProduceTopic {
    pub name: Bytes, /* UTF-8 checked */
    pub partitions: Vec<ProducePartition>,
}
#[derive(Debug, Clone)]
pub struct ProducePartition {
    pub index: i32,
    pub records: Option<Bytes>,
}
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("request is cut short")]
    Short,
    #[error("length {0} is not possible")]
    Length(i64),
    #[error("string is not UTF-8")]
    Utf8,
    #[error("a field that cannot be null is null")]
    Null,
    #[error("tag section is not valid")]
    Tags,
}
impl ProduceRequest {
    pub fn decode(body: Bytes, version: i16) -> Result<ProduceRequest, DecodeError> {
        let _ = (body, version);
        todo!()
    }
}

#[derive(Debug, Clone)]
pub struct ProduceResponse {
    pub topics: Vec<ProduceTopicResponse>,
    pub throttle_time_ms: i32,
}
#[derive(Debug, Clone)]
pub struct ProduceTopicResponse {
    pub name: Bytes,
    pub partitions: Vec<ProducePartitionResponse>,
}
#[derive(Debug, Clone)]
pub struct ProducePartitionResponse {
    pub index: i32,
    pub error_code: i16,
    pub base_offset: i64,
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
    pub record_errors: Vec<(i32, Option<String>)>,
    pub error_message: Option<String>,
}
impl ProduceResponse {
    pub fn encode(&self, version: i16) -> ResponseBody {
        let _ = version;
        todo!()
    }
}
