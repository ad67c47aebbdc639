//! Produce (key 0), versions 0 to 12, both directions.
//!
//! The broker reads requests and writes responses, the small client the other way round. Record data is never copied: a
//! request's records are slices of its body.
//!
//! The record sets of versions 0 to 2 are of magic 0 and 1 ([`crate::record::OldFormat`]); version 13 (topic ids) is not
//! served.
//!
//! ```text
//! request   transactional_id (3+) | acks i16 | timeout_ms i32 | [name | [index i32 | records]]
//! response  [name | [index i32 | error i16 | base_offset i64 | log_append_time i64 (2+) | log_start_offset i64 (5+)
//!           | [record_errors] (8+) | error_message (8+) | tag 0 current_leader (10+)]] | throttle_time_ms i32 (1+)
//!           | tag 0 node_endpoints (10+)
//! ```

use bytes::Bytes;

use super::ResponseBody;
pub use super::primitives::DecodeError;
use super::primitives::{Reader, Writer, tag_field};

/// What a producer asks for. Every slice shares the request's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProduceRequest {
    pub transactional_id: Option<Bytes>,
    pub acks: i16,
    pub timeout_ms: i32,
    pub topics: Vec<ProduceTopic>,
}

/// `name` is UTF-8: the decoder has checked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProduceTopic {
    pub name: Bytes,
    pub partitions: Vec<ProducePartition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducePartition {
    pub index: i32,
    pub records: Option<Bytes>,
}

impl ProduceRequest {
    pub fn decode(body: Bytes, version: i16) -> Result<ProduceRequest, DecodeError> {
        ProduceRequest::decode_with_trailing(body, version).map(|(request, _)| request)
    }

    /// The request, and how many bytes lay behind it: Kafka ignores them, we count them.
    pub fn decode_with_trailing(body: Bytes, version: i16) -> Result<(ProduceRequest, usize), DecodeError> {
        let reader = &mut Reader::new(&body, is_flexible(version)?);
        let transactional_id = match version >= TRANSACTIONS_FROM {
            true => reader.nullable_string()?,
            false => None,
        };
        let acks = reader.i16()?;
        let timeout_ms = reader.i32()?;
        let topics = reader.array(TOPIC_BYTES_MIN, read_topic)?;
        reader.skip_tags()?;
        Ok((
            ProduceRequest {
                transactional_id,
                acks,
                timeout_ms,
                topics,
            },
            reader.remaining(),
        ))
    }

    /// The request's body as slices, records uncopied. The version is one of those above, which the caller has
    /// negotiated.
    pub fn encode(&self, version: i16) -> Vec<Bytes> {
        let head_bytes = 32
            + self
                .topics
                .iter()
                .map(|t| 32 + t.name.len() + 16 * t.partitions.len())
                .sum::<usize>();
        let mut writer = Writer::new(version >= FLEXIBLE_FROM, head_bytes);
        if version >= TRANSACTIONS_FROM {
            writer.nullable_string(self.transactional_id.as_deref());
        }
        writer.i16(self.acks);
        writer.i32(self.timeout_ms);
        writer.array(&self.topics, |writer, topic| {
            writer.string(&topic.name);
            writer.array(&topic.partitions, |writer, partition| {
                writer.i32(partition.index);
                match &partition.records {
                    Some(records) => writer.records([records.clone()], records.len()),
                    None => writer.null_records(),
                }
                writer.no_tags();
            });
            writer.no_tags();
        });
        writer.no_tags();
        writer.finish()
    }
}

fn read_topic(reader: &mut Reader<'_>) -> Result<ProduceTopic, DecodeError> {
    let name = reader.string()?;
    let partitions = reader.array(PARTITION_BYTES_MIN, |reader| {
        let partition = ProducePartition {
            index: reader.i32()?,
            records: reader.nullable_bytes()?,
        };
        reader.skip_tags()?;
        Ok(partition)
    })?;
    reader.skip_tags()?;
    Ok(ProduceTopic { name, partitions })
}

/// What became of a ProduceRequest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProduceResponse {
    pub topics: Vec<ProduceTopicResponse>,
    pub throttle_time_ms: i32,
    /// Where the leaders named in `current_leader` can be reached (version 10 and later).
    pub node_endpoints: Vec<NodeEndpoint>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProduceTopicResponse {
    pub name: Bytes,
    pub partitions: Vec<ProducePartitionResponse>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducePartitionResponse {
    pub index: i32,
    pub error_code: i16,
    pub base_offset: i64,
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
    /// (index of the record in its batch, what is wrong with it)
    pub record_errors: Vec<(i32, Option<String>)>,
    pub error_message: Option<String>,
    /// (leader id, leader epoch), so that the client need not ask for metadata (//= KIP-951); version 10 and later
    pub current_leader: Option<(i32, i32)>,
}

/// A partition that failed before it had an offset: every offset -1.
impl Default for ProducePartitionResponse {
    fn default() -> Self {
        ProducePartitionResponse {
            index: 0,
            error_code: 0,
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: None,
        }
    }
}

/// A broker that a response refers to (//= KIP-951).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEndpoint {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

impl ProduceResponse {
    pub fn encode(&self, version: i16) -> ResponseBody {
        let head_bytes = 32
            + self
                .topics
                .iter()
                .map(|t| 16 + t.name.len() + 48 * t.partitions.len())
                .sum::<usize>();
        let mut writer = Writer::new(version >= FLEXIBLE_FROM, head_bytes);
        writer.array(&self.topics, |writer, topic| {
            writer.string(&topic.name);
            writer.array(&topic.partitions, |writer, partition| partition.write(writer, version));
            writer.no_tags();
        });
        if version >= THROTTLE_FROM {
            writer.i32(self.throttle_time_ms);
        }
        if version >= LEADERS_FROM && !self.node_endpoints.is_empty() {
            writer.tags(&[(0, NodeEndpoint::tag_field(&self.node_endpoints))]);
        } else {
            writer.no_tags();
        }
        ResponseBody {
            slices: writer.finish(),
        }
    }

    pub fn decode(body: Bytes, version: i16) -> Result<ProduceResponse, DecodeError> {
        let reader = &mut Reader::new(&body, is_flexible(version)?);
        let topics = reader.array(TOPIC_BYTES_MIN, |reader| {
            let name = reader.string()?;
            let partitions = reader.array(RESPONSE_PARTITION_BYTES_MIN, |reader| {
                ProducePartitionResponse::read(reader, version)
            })?;
            reader.skip_tags()?;
            Ok(ProduceTopicResponse { name, partitions })
        })?;
        let throttle_time_ms = if version >= THROTTLE_FROM { reader.i32()? } else { 0 };
        let mut node_endpoints = Vec::new();
        reader.tags(|tag, field| {
            if tag == 0 {
                node_endpoints = NodeEndpoint::read_all(field)?;
            }
            Ok(())
        })?;
        Ok(ProduceResponse {
            topics,
            throttle_time_ms,
            node_endpoints,
        })
    }
}

impl ProducePartitionResponse {
    fn write(&self, writer: &mut Writer, version: i16) {
        writer.i32(self.index);
        writer.i16(self.error_code);
        writer.i64(self.base_offset);
        if version >= APPEND_TIME_FROM {
            writer.i64(self.log_append_time_ms);
        }
        if version >= LOG_START_FROM {
            writer.i64(self.log_start_offset);
        }
        if version >= RECORD_ERRORS_FROM {
            writer.array(&self.record_errors, |writer, (index, message)| {
                writer.i32(*index);
                writer.nullable_string(message.as_deref().map(str::as_bytes));
                writer.no_tags();
            });
            writer.nullable_string(self.error_message.as_deref().map(str::as_bytes));
        }
        match self.current_leader {
            Some(leader) if version >= LEADERS_FROM => writer.tags(&[(0, leader_tag_field(leader))]),
            _ => writer.no_tags(),
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16) -> Result<ProducePartitionResponse, DecodeError> {
        let mut partition = ProducePartitionResponse {
            index: reader.i32()?,
            error_code: reader.i16()?,
            base_offset: reader.i64()?,
            ..Default::default()
        };
        if version >= APPEND_TIME_FROM {
            partition.log_append_time_ms = reader.i64()?;
        }
        if version >= LOG_START_FROM {
            partition.log_start_offset = reader.i64()?;
        }
        if version >= RECORD_ERRORS_FROM {
            partition.record_errors = reader.array(RECORD_ERROR_BYTES_MIN, |reader| {
                let error = (reader.i32()?, reader.nullable_string()?.map(owned));
                reader.skip_tags()?;
                Ok(error)
            })?;
            partition.error_message = reader.nullable_string()?.map(owned);
        }
        reader.tags(|tag, field| {
            if tag == 0 {
                partition.current_leader = Some(read_leader(field)?);
            }
            Ok(())
        })?;
        Ok(partition)
    }
}

impl NodeEndpoint {
    pub(super) fn tag_field(endpoints: &[NodeEndpoint]) -> Bytes {
        tag_field(|writer| {
            writer.array(endpoints, |writer, endpoint| {
                writer.i32(endpoint.node_id);
                writer.string(endpoint.host.as_bytes());
                writer.i32(endpoint.port);
                writer.nullable_string(endpoint.rack.as_deref().map(str::as_bytes));
                writer.no_tags();
            });
        })
    }

    pub(super) fn read_all(reader: &mut Reader<'_>) -> Result<Vec<NodeEndpoint>, DecodeError> {
        reader.array(NODE_ENDPOINT_BYTES_MIN, |reader| {
            let endpoint = NodeEndpoint {
                node_id: reader.i32()?,
                host: owned(reader.string()?),
                port: reader.i32()?,
                rack: reader.nullable_string()?.map(owned),
            };
            reader.skip_tags()?;
            Ok(endpoint)
        })
    }
}

/// The tagged structure (leader id, leader epoch), the same in Produce and Fetch.
pub(super) fn leader_tag_field((leader_id, leader_epoch): (i32, i32)) -> Bytes {
    tag_field(|writer| {
        writer.i32(leader_id);
        writer.i32(leader_epoch);
        writer.no_tags();
    })
}

pub(super) fn read_leader(reader: &mut Reader<'_>) -> Result<(i32, i32), DecodeError> {
    Ok((reader.i32()?, reader.i32()?))
}

const VERSION_MIN: i16 = 0;
const VERSION_MAX: i16 = 12;
const THROTTLE_FROM: i16 = 1;
const APPEND_TIME_FROM: i16 = 2;
const TRANSACTIONS_FROM: i16 = 3;
const LOG_START_FROM: i16 = 5;
const RECORD_ERRORS_FROM: i16 = 8;
const FLEXIBLE_FROM: i16 = 9;
const LEADERS_FROM: i16 = 10;

// The fewest bytes that an array's element takes in any version: what a length is held against.
const TOPIC_BYTES_MIN: usize = 3;
const PARTITION_BYTES_MIN: usize = 6;
const RESPONSE_PARTITION_BYTES_MIN: usize = 14;
const RECORD_ERROR_BYTES_MIN: usize = 6;
const NODE_ENDPOINT_BYTES_MIN: usize = 11;

fn is_flexible(version: i16) -> Result<bool, DecodeError> {
    match version {
        VERSION_MIN..=VERSION_MAX => Ok(version >= FLEXIBLE_FROM),
        _ => Err(DecodeError::Version(version)),
    }
}

/// A string that the decoder has already found to be UTF-8, as a string of our own.
fn owned(text: Bytes) -> String {
    String::from_utf8_lossy(&text).into_owned()
}
