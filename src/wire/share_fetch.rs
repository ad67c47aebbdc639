//! The response of ShareFetch by our own codec: record data goes through as slices. Its request is a generated message.

use bytes::Bytes;

use super::ResponseBody;
use super::primitives::{DecodeError, Reader, Writer};
use super::produce::NodeEndpoint;
use crate::model::TopicId;

/// Bytes of the smallest element of each list: what a reader may count on.
const TOPIC_BYTES_MIN: usize = 18;
const PARTITION_BYTES_MIN: usize = 24;
const ACQUIRED_BYTES_MIN: usize = 19;

/// Versions 1 and 2 are alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShareFetchResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub lock_timeout_ms: i32,
    pub topics: Vec<ShareFetchedTopic>,
    /// Where the leaders named in `leader` can be reached.
    pub node_endpoints: Vec<NodeEndpoint>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareFetchedTopic {
    pub id: TopicId,
    pub partitions: Vec<ShareFetchedPartition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareFetchedPartition {
    pub index: i32,
    pub error_code: i16,
    pub acknowledge_error_code: i16,
    /// (leader id, leader epoch); (-1, -1): nothing is said of it.
    pub leader: (i32, i32),
    /// Whole batches in order, in as many slices as they happen to lie in.
    pub records: Vec<Bytes>,
    /// (first, last, delivery count)
    pub acquired: Vec<(i64, i64, i16)>,
}

impl Default for ShareFetchedPartition {
    fn default() -> Self {
        ShareFetchedPartition {
            index: 0,
            error_code: 0,
            acknowledge_error_code: 0,
            leader: (-1, -1),
            records: Vec::new(),
            acquired: Vec::new(),
        }
    }
}

impl ShareFetchResponse {
    pub fn encode(self) -> ResponseBody {
        let partitions: usize = self.topics.iter().map(|topic| topic.partitions.len()).sum();
        let mut writer = Writer::new(true, 64 + 32 * self.topics.len() + 64 * partitions);
        writer.i32(self.throttle_time_ms);
        writer.i16(self.error_code);
        writer.nullable_string(self.error_message.as_deref().map(str::as_bytes));
        writer.i32(self.lock_timeout_ms);
        writer.array(&self.topics, |writer, topic| {
            writer.uuid(topic.id.0);
            writer.array(&topic.partitions, |writer, partition| partition.write(writer));
            writer.no_tags();
        });
        writer.array(&self.node_endpoints, |writer, node| {
            writer.i32(node.node_id);
            writer.string(node.host.as_bytes());
            writer.i32(node.port);
            writer.nullable_string(node.rack.as_deref().map(str::as_bytes));
            writer.no_tags();
        });
        writer.no_tags();
        ResponseBody {
            slices: writer.finish(),
        }
    }

    pub fn decode(body: Bytes) -> Result<ShareFetchResponse, DecodeError> {
        let reader = &mut Reader::new(&body, true);
        let response = ShareFetchResponse {
            throttle_time_ms: reader.i32()?,
            error_code: reader.i16()?,
            error_message: reader
                .nullable_string()?
                .map(|text| String::from_utf8_lossy(&text).into_owned()),
            lock_timeout_ms: reader.i32()?,
            topics: reader.array(TOPIC_BYTES_MIN, |reader| {
                let topic = ShareFetchedTopic {
                    id: TopicId(reader.uuid()?),
                    partitions: reader.array(PARTITION_BYTES_MIN, ShareFetchedPartition::read)?,
                };
                reader.skip_tags()?;
                Ok(topic)
            })?,
            node_endpoints: NodeEndpoint::read_all(reader)?,
        };
        reader.skip_tags()?;
        Ok(response)
    }
}

impl ShareFetchedPartition {
    fn write(&self, writer: &mut Writer) {
        writer.i32(self.index);
        writer.i16(self.error_code);
        writer.nullable_string(None);
        writer.i16(self.acknowledge_error_code);
        writer.nullable_string(None);
        writer.i32(self.leader.0);
        writer.i32(self.leader.1);
        writer.no_tags();
        let records_bytes = self.records.iter().map(Bytes::len).sum();
        writer.records(self.records.iter().cloned(), records_bytes);
        writer.array(&self.acquired, |writer, (first, last, count)| {
            writer.i64(*first);
            writer.i64(*last);
            writer.i16(*count);
            writer.no_tags();
        });
        writer.no_tags();
    }

    fn read(reader: &mut Reader<'_>) -> Result<ShareFetchedPartition, DecodeError> {
        let index = reader.i32()?;
        let error_code = reader.i16()?;
        reader.nullable_string()?;
        let acknowledge_error_code = reader.i16()?;
        reader.nullable_string()?;
        let leader = (reader.i32()?, reader.i32()?);
        reader.skip_tags()?;
        let records = reader.nullable_bytes()?.into_iter();
        let records = records.filter(|records| !records.is_empty()).collect();
        let acquired = reader.array(ACQUIRED_BYTES_MIN, |reader| {
            let acquired = (reader.i64()?, reader.i64()?, reader.i16()?);
            reader.skip_tags()?;
            Ok(acquired)
        })?;
        reader.skip_tags()?;
        Ok(ShareFetchedPartition {
            index,
            error_code,
            acknowledge_error_code,
            leader,
            records,
            acquired,
        })
    }
}
