//! ListOffsets version 0, which the generated messages begin after: clients of 0.8 and 0.9 send it.
//!
//! ```text
//!   request    replica_id i32 │ topics: name string │ partitions: index i32 │ timestamp i64 │ max_num_offsets i32
//!   response   topics: name string │ partitions: index i32 │ error i16 │ offsets: i64
//! ```

use bytes::Bytes;

use super::ResponseBody;
use super::messages::{
    KafkaString, ListOffsetsPartition, ListOffsetsRequestData, ListOffsetsResponseData, ListOffsetsTopic, kafka_string,
};
use super::primitives::{DecodeError, Reader, Writer};

/// Bytes of a topic with an empty name and no partitions, and of a partition.
const TOPIC_BYTES_MIN: usize = 6;
const PARTITION_BYTES_MIN: usize = 16;

/// The request in the form of the later versions, and the bytes behind it. How many offsets may come is left out: one
/// always does, or none, and every client asks for one at least.
pub fn decode(body: &Bytes) -> Result<(ListOffsetsRequestData, usize), DecodeError> {
    let mut reader = Reader::new(body, false);
    let mut request = ListOffsetsRequestData {
        replica_id: reader.i32()?,
        ..Default::default()
    };
    request.topics = reader.array(TOPIC_BYTES_MIN, |reader| {
        Ok(ListOffsetsTopic {
            name: text(&reader.string()?)?,
            partitions: reader.array(PARTITION_BYTES_MIN, partition)?,
            ..Default::default()
        })
    })?;
    Ok((request, reader.remaining()))
}

fn partition(reader: &mut Reader<'_>) -> Result<ListOffsetsPartition, DecodeError> {
    let (partition_index, timestamp) = (reader.i32()?, reader.i64()?);
    reader.i32()?;
    Ok(ListOffsetsPartition {
        partition_index,
        timestamp,
        current_leader_epoch: -1,
        ..Default::default()
    })
}

fn text(bytes: &Bytes) -> Result<KafkaString, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::Utf8)?;
    Ok(kafka_string(text))
}

/// An unknown offset, -1 in the later versions, is an empty list in this one.
pub fn encode(response: &ListOffsetsResponseData) -> ResponseBody {
    let mut writer = Writer::new(false, 64);
    writer.array(&response.topics, |writer, topic| {
        writer.string(topic.name.as_str().as_bytes());
        writer.array(&topic.partitions, |writer, partition| {
            writer.i32(partition.partition_index);
            writer.i16(partition.error_code);
            let offset = [partition.offset];
            let known: &[i64] = if partition.offset >= 0 { &offset } else { &[] };
            writer.array(known, |writer, offset| writer.i64(*offset));
        });
    });
    ResponseBody {
        slices: writer.finish(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};

    /// The published layout, byte by byte; every shorter body is refused.
    #[test]
    fn requests_are_read() {
        let body = [
            &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1][..],
            &[0, 0, 0, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 1],
        ]
        .concat();
        let (request, trailing) = decode(&Bytes::from(body.clone())).unwrap();
        let asked = &request.topics[0].partitions[0];
        assert_eq!(
            (request.replica_id, request.topics[0].name.as_str(), trailing),
            (-1, "t", 0)
        );
        assert_eq!((asked.partition_index, asked.timestamp), (3, -2));
        for len in 0..body.len() {
            assert!(decode(&Bytes::copy_from_slice(&body[..len])).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn responses_are_written() {
        let partition = |partition_index, error_code, offset| ListOffsetsPartitionResponse {
            partition_index,
            error_code,
            offset,
            ..Default::default()
        };
        let topic = ListOffsetsTopicResponse {
            name: kafka_string("t"),
            partitions: vec![partition(1, 0, 9), partition(2, 3, -1)],
            ..Default::default()
        };
        let response = ListOffsetsResponseData {
            topics: vec![topic],
            ..Default::default()
        };
        let expected = [
            &[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2][..],
            &[0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9],
            &[0, 0, 0, 2, 0, 3, 0, 0, 0, 0],
        ]
        .concat();
        assert_eq!(encode(&response).slices.concat(), expected);
    }
}
