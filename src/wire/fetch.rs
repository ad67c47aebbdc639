//! Fetch (key 1), versions 0 to 18, both directions.
//!
//! The broker reads requests and writes responses, clients and followers the other way round. A response is written as
//! `[head bytes][record slices][head bytes]…`: record data is never copied, and because its length is known before it
//! is written, nothing is patched afterwards. The record sets of versions 0 to 3 are of magic 0 and 1
//! ([`crate::record::OldFormat`]).
//!
//! ```text
//! request   replica_id i32 (..14) | max_wait_ms i32 | min_bytes i32 | max_bytes i32 (3+) | isolation_level i8 (4+)
//!           | session_id i32 (7+) | session_epoch i32 (7+)
//!           | [name (..12) or id (13+) | [index i32 | current_leader_epoch i32 (9+) | fetch_offset i64
//!             | last_fetched_epoch i32 (12+) | log_start_offset i64 (5+) | max_bytes i32]]
//!           | [name or id | [index i32]] forgotten (7+) | rack_id (11+) | tag 0 cluster_id, tag 1 replica state (15+)
//! response  throttle_time_ms i32 (1+) | error i16 (7+) | session_id i32 (7+)
//!           | [name or id | [index i32 | error i16 | high_watermark i64 | last_stable_offset i64 (4+)
//!             | log_start_offset i64 (5+) | [aborted] (4+) | preferred_read_replica i32 (11+) | records
//!             | tag 0 diverging_epoch, tag 1 current_leader (12+)]] | tag 0 node_endpoints (16+), tag 17228 shard
//! ```

use bytes::Bytes;

use super::ResponseBody;
use super::primitives::{DecodeError, Reader, Writer, tag_field};
use super::produce::{NodeEndpoint, leader_tag_field, read_leader};
use crate::model::{ShardPlace, TopicId};

/// The session epoch of a request that has, or leaves, no session. //= KIP-227
pub const EPOCH_LAST: i32 = -1;
/// Far from Kafka's, which count from 0.
const SHARD_TAG: u32 = 17_228;

/// What a consumer or a follower asks for. Every slice shares the request's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// -1 for a consumer, -2 for one of a tool that compares replicas, else a follower's broker id
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchTopic {
    pub name: Bytes,
    pub id: TopicId,
    pub partitions: Vec<FetchPartition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchPartition {
    pub index: i32,
    pub current_leader_epoch: i32,
    pub fetch_offset: i64,
    pub last_fetched_epoch: i32,
    pub log_start_offset: i64,
    pub max_bytes: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgottenTopic {
    pub name: Bytes,
    pub id: TopicId,
    pub partitions: Vec<i32>,
}

/// A consumer's sessionless fetch of nothing yet: what a version does not carry reads as these values.
impl Default for FetchRequest {
    fn default() -> Self {
        FetchRequest {
            replica_id: -1,
            replica_epoch: -1,
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: i32::MAX,
            isolation_level: 0,
            session_id: 0,
            session_epoch: -1,
            topics: Vec::new(),
            forgotten: Vec::new(),
            rack_id: Bytes::new(),
            cluster_id: None,
        }
    }
}

impl Default for FetchPartition {
    fn default() -> Self {
        FetchPartition {
            index: 0,
            current_leader_epoch: -1,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            max_bytes: 0,
        }
    }
}

impl FetchRequest {
    pub fn decode(body: Bytes, version: i16) -> Result<FetchRequest, DecodeError> {
        FetchRequest::decode_with_trailing(body, version).map(|(request, _)| request)
    }

    /// The request, and how many bytes lay behind it: Kafka ignores them, we count them.
    pub fn decode_with_trailing(body: Bytes, version: i16) -> Result<(FetchRequest, usize), DecodeError> {
        let reader = &mut Reader::new(&body, is_flexible(version)?);
        let mut request = FetchRequest::default();
        if version < REPLICA_STATE_FROM {
            request.replica_id = reader.i32()?;
        }
        request.max_wait_ms = reader.i32()?;
        request.min_bytes = reader.i32()?;
        if version >= MAX_BYTES_FROM {
            request.max_bytes = reader.i32()?;
        }
        if version >= ISOLATION_FROM {
            request.isolation_level = reader.i8()?;
        }
        if version >= SESSIONS_FROM {
            request.session_id = reader.i32()?;
            request.session_epoch = reader.i32()?;
        }
        request.topics = reader.array(TOPIC_BYTES_MIN, |reader| {
            let (name, id) = read_topic_key(reader, version)?;
            let partitions = reader.array(PARTITION_BYTES_MIN, |reader| FetchPartition::read(reader, version))?;
            reader.skip_tags()?;
            Ok(FetchTopic { name, id, partitions })
        })?;
        if version >= SESSIONS_FROM {
            request.forgotten = reader.array(TOPIC_BYTES_MIN, |reader| {
                let (name, id) = read_topic_key(reader, version)?;
                let partitions = reader.array(4, Reader::i32)?;
                reader.skip_tags()?;
                Ok(ForgottenTopic { name, id, partitions })
            })?;
        }
        if version >= RACK_FROM {
            request.rack_id = reader.string()?;
        }
        reader.tags(|tag, field| request.read_tag(tag, field, version))?;
        Ok((request, reader.remaining()))
    }

    /// The request's body. The version is one of those above, which the caller has negotiated.
    pub fn encode(&self, version: i16) -> Vec<Bytes> {
        let head_bytes = 64
            + self
                .topics
                .iter()
                .map(|t| 32 + t.name.len() + 40 * t.partitions.len())
                .sum::<usize>();
        let mut writer = Writer::new(version >= FLEXIBLE_FROM, head_bytes);
        if version < REPLICA_STATE_FROM {
            writer.i32(self.replica_id);
        }
        writer.i32(self.max_wait_ms);
        writer.i32(self.min_bytes);
        if version >= MAX_BYTES_FROM {
            writer.i32(self.max_bytes);
        }
        if version >= ISOLATION_FROM {
            writer.i8(self.isolation_level);
        }
        if version >= SESSIONS_FROM {
            writer.i32(self.session_id);
            writer.i32(self.session_epoch);
        }
        writer.array(&self.topics, |writer, topic| {
            write_topic_key(writer, version, &topic.name, topic.id);
            writer.array(&topic.partitions, |writer, partition| partition.write(writer, version));
            writer.no_tags();
        });
        if version >= SESSIONS_FROM {
            writer.array(&self.forgotten, |writer, topic| {
                write_topic_key(writer, version, &topic.name, topic.id);
                writer.array(&topic.partitions, |writer, index| writer.i32(*index));
                writer.no_tags();
            });
        }
        if version >= RACK_FROM {
            writer.string(&self.rack_id);
        }
        if version >= FLEXIBLE_FROM {
            writer.tags(&self.tags(version));
        }
        writer.finish()
    }

    fn read_tag(&mut self, tag: u32, field: &mut Reader<'_>, version: i16) -> Result<(), DecodeError> {
        match tag {
            0 => self.cluster_id = field.nullable_string()?,
            1 if version >= REPLICA_STATE_FROM => {
                self.replica_id = field.i32()?;
                self.replica_epoch = field.i64()?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The tagged fields that differ from their defaults, as Kafka writes them.
    fn tags(&self, version: i16) -> Vec<(u32, Bytes)> {
        let mut tags = Vec::new();
        if let Some(cluster_id) = &self.cluster_id {
            tags.push((0, tag_field(|writer| writer.string(cluster_id))));
        }
        if version >= REPLICA_STATE_FROM && (self.replica_id, self.replica_epoch) != (-1, -1) {
            let state = tag_field(|writer| {
                writer.i32(self.replica_id);
                writer.i64(self.replica_epoch);
                writer.no_tags();
            });
            tags.push((1, state));
        }
        tags
    }
}

impl FetchPartition {
    fn read(reader: &mut Reader<'_>, version: i16) -> Result<FetchPartition, DecodeError> {
        let mut partition = FetchPartition {
            index: reader.i32()?,
            ..Default::default()
        };
        if version >= LEADER_EPOCH_FROM {
            partition.current_leader_epoch = reader.i32()?;
        }
        partition.fetch_offset = reader.i64()?;
        if version >= FLEXIBLE_FROM {
            partition.last_fetched_epoch = reader.i32()?;
        }
        if version >= LOG_START_FROM {
            partition.log_start_offset = reader.i64()?;
        }
        partition.max_bytes = reader.i32()?;
        reader.skip_tags()?;
        Ok(partition)
    }

    fn write(&self, writer: &mut Writer, version: i16) {
        writer.i32(self.index);
        if version >= LEADER_EPOCH_FROM {
            writer.i32(self.current_leader_epoch);
        }
        writer.i64(self.fetch_offset);
        if version >= FLEXIBLE_FROM {
            writer.i32(self.last_fetched_epoch);
        }
        if version >= LOG_START_FROM {
            writer.i64(self.log_start_offset);
        }
        writer.i32(self.max_bytes);
        writer.no_tags();
    }
}

/// What a fetch brings back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub session_id: i32,
    pub topics: Vec<FetchTopicResponse>,
    /// Where the leaders named in `current_leader` can be reached (version 16 and later).
    pub node_endpoints: Vec<NodeEndpoint>,
    /// On which shard of the broker the connection lies, for a follower that asks for nothing; tagged, and of ours only.
    pub shard: Option<ShardPlace>,
}

/// Keyed by name below version 13, by id from there on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchTopicResponse {
    pub name: Bytes,
    pub id: TopicId,
    pub partitions: Vec<FetchPartitionResponse>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchPartitionResponse {
    pub index: i32,
    pub error_code: i16,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    /// (epoch, end offset); tagged, v12+
    pub diverging_epoch: Option<(i32, i64)>,
    /// (leader id, leader epoch), so that the client need not ask for metadata (//= KIP-951); tagged, v12+
    pub current_leader: Option<(i32, i32)>,
    /// Some(vec![]) for read_committed, None for read_uncommitted: (producer id, first offset)
    pub aborted_transactions: Option<Vec<(i64, i64)>>,
    pub preferred_read_replica: i32,
    /// Whole batches in order, in as many slices as they happen to lie in.
    pub records: Vec<Bytes>,
}

/// A partition that failed: no data, and every offset -1 (behaviour of Kafka: clients take -1 as "not known").
impl Default for FetchPartitionResponse {
    fn default() -> Self {
        FetchPartitionResponse {
            index: 0,
            error_code: 0,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            current_leader: None,
            aborted_transactions: None,
            preferred_read_replica: -1,
            records: Vec::new(),
        }
    }
}

impl FetchResponse {
    pub fn encode(self, version: i16) -> ResponseBody {
        let head_bytes = 32
            + self
                .topics
                .iter()
                .map(|t| 32 + t.name.len() + 64 * t.partitions.len())
                .sum::<usize>();
        let mut writer = Writer::new(version >= FLEXIBLE_FROM, head_bytes);
        if version >= THROTTLE_FROM {
            writer.i32(self.throttle_time_ms);
        }
        if version >= SESSIONS_FROM {
            writer.i16(self.error_code);
            writer.i32(self.session_id);
        }
        writer.array(&self.topics, |writer, topic| {
            write_topic_key(writer, version, &topic.name, topic.id);
            writer.array(&topic.partitions, |writer, partition| partition.write(writer, version));
            writer.no_tags();
        });
        match version >= FLEXIBLE_FROM {
            true => writer.tags(&self.tags(version)),
            false => writer.no_tags(),
        }
        ResponseBody {
            slices: writer.finish(),
        }
    }

    pub fn decode(body: Bytes, version: i16) -> Result<FetchResponse, DecodeError> {
        let reader = &mut Reader::new(&body, is_flexible(version)?);
        let mut response = FetchResponse::default();
        if version >= THROTTLE_FROM {
            response.throttle_time_ms = reader.i32()?;
        }
        if version >= SESSIONS_FROM {
            response.error_code = reader.i16()?;
            response.session_id = reader.i32()?;
        }
        response.topics = reader.array(TOPIC_BYTES_MIN, |reader| {
            let (name, id) = read_topic_key(reader, version)?;
            let partitions = reader.array(RESPONSE_PARTITION_BYTES_MIN, |reader| {
                FetchPartitionResponse::read(reader, version)
            })?;
            reader.skip_tags()?;
            Ok(FetchTopicResponse { name, id, partitions })
        })?;
        reader.tags(|tag, field| {
            match tag {
                0 if version >= NODE_ENDPOINTS_FROM => response.node_endpoints = NodeEndpoint::read_all(field)?,
                SHARD_TAG => {
                    let (index, count) = (field.i16()? as u16, field.i16()? as u16);
                    response.shard = Some(ShardPlace { index, count });
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(response)
    }

    fn tags(&self, version: i16) -> Vec<(u32, Bytes)> {
        let mut tags = Vec::new();
        if version >= NODE_ENDPOINTS_FROM && !self.node_endpoints.is_empty() {
            tags.push((0, NodeEndpoint::tag_field(&self.node_endpoints)));
        }
        if let Some(ShardPlace { index, count }) = self.shard {
            let place = tag_field(|writer| {
                writer.i16(index as i16);
                writer.i16(count as i16);
            });
            tags.push((SHARD_TAG, place));
        }
        tags
    }
}

impl FetchPartitionResponse {
    fn write(&self, writer: &mut Writer, version: i16) {
        writer.i32(self.index);
        writer.i16(self.error_code);
        writer.i64(self.high_watermark);
        if version >= ISOLATION_FROM {
            self.write_transactions(writer, version);
        }
        if version >= RACK_FROM {
            writer.i32(self.preferred_read_replica);
        }
        let records_bytes = self.records.iter().map(Bytes::len).sum();
        writer.records(self.records.iter().cloned(), records_bytes);
        if version >= FLEXIBLE_FROM {
            writer.tags(&self.tags());
        }
    }

    fn write_transactions(&self, writer: &mut Writer, version: i16) {
        writer.i64(self.last_stable_offset);
        if version >= LOG_START_FROM {
            writer.i64(self.log_start_offset);
        }
        writer.nullable_array(
            self.aborted_transactions.as_deref(),
            |writer, (producer_id, first_offset)| {
                writer.i64(*producer_id);
                writer.i64(*first_offset);
                writer.no_tags();
            },
        );
    }

    fn read_transactions(&mut self, reader: &mut Reader<'_>, version: i16) -> Result<(), DecodeError> {
        self.last_stable_offset = reader.i64()?;
        if version >= LOG_START_FROM {
            self.log_start_offset = reader.i64()?;
        }
        self.aborted_transactions = reader.nullable_array(ABORTED_BYTES_MIN, |reader| {
            let aborted = (reader.i64()?, reader.i64()?);
            reader.skip_tags()?;
            Ok(aborted)
        })?;
        Ok(())
    }

    fn read(reader: &mut Reader<'_>, version: i16) -> Result<FetchPartitionResponse, DecodeError> {
        let mut partition = FetchPartitionResponse {
            index: reader.i32()?,
            error_code: reader.i16()?,
            high_watermark: reader.i64()?,
            ..Default::default()
        };
        if version >= ISOLATION_FROM {
            partition.read_transactions(reader, version)?;
        }
        if version >= RACK_FROM {
            partition.preferred_read_replica = reader.i32()?;
        }
        partition.records = reader
            .nullable_bytes()?
            .into_iter()
            .filter(|records| !records.is_empty())
            .collect();
        reader.tags(|tag, field| {
            match tag {
                0 => partition.diverging_epoch = Some((field.i32()?, field.i64()?)),
                1 => partition.current_leader = Some(read_leader(field)?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(partition)
    }

    fn tags(&self) -> Vec<(u32, Bytes)> {
        let diverging_epoch = self.diverging_epoch.map(|(epoch, end_offset)| {
            tag_field(|writer| {
                writer.i32(epoch);
                writer.i64(end_offset);
                writer.no_tags();
            })
        });
        let current_leader = self.current_leader.map(leader_tag_field);
        let fields = [(0, diverging_epoch), (1, current_leader)];
        fields
            .into_iter()
            .filter_map(|(tag, field)| Some((tag, field?)))
            .collect()
    }
}

fn read_topic_key(reader: &mut Reader<'_>, version: i16) -> Result<(Bytes, TopicId), DecodeError> {
    if version >= TOPIC_IDS_FROM {
        Ok((Bytes::new(), TopicId(reader.uuid()?)))
    } else {
        Ok((reader.string()?, TopicId::ZERO))
    }
}

fn write_topic_key(writer: &mut Writer, version: i16, name: &[u8], id: TopicId) {
    if version >= TOPIC_IDS_FROM {
        writer.uuid(id.0);
    } else {
        writer.string(name);
    }
}

const VERSION_MIN: i16 = 0;
const VERSION_MAX: i16 = 18;
const THROTTLE_FROM: i16 = 1;
const MAX_BYTES_FROM: i16 = 3;
const ISOLATION_FROM: i16 = 4;
const LOG_START_FROM: i16 = 5;
const SESSIONS_FROM: i16 = 7;
const LEADER_EPOCH_FROM: i16 = 9;
const RACK_FROM: i16 = 11;
const FLEXIBLE_FROM: i16 = 12;
const TOPIC_IDS_FROM: i16 = 13;
const REPLICA_STATE_FROM: i16 = 15;
const NODE_ENDPOINTS_FROM: i16 = 16;

// The fewest bytes that an array's element takes in any version: what a length is held against.
const TOPIC_BYTES_MIN: usize = 3;
const PARTITION_BYTES_MIN: usize = 16;
const RESPONSE_PARTITION_BYTES_MIN: usize = 18;
const ABORTED_BYTES_MIN: usize = 16;

fn is_flexible(version: i16) -> Result<bool, DecodeError> {
    match version {
        VERSION_MIN..=VERSION_MAX => Ok(version >= FLEXIBLE_FROM),
        _ => Err(DecodeError::Version(version)),
    }
}
