//! OffsetCommit version 1, which the generated messages begin after: librdkafka before 2.11 will not join a group where
//! it is not served, and clients of 0.8.2 send it.
//!
//! ```text
//!   request    group string │ generation i32 │ member string
//!              │ topics: name string │ partitions: index i32 │ offset i64 │ timestamp i64 │ metadata string?
//!   response   as version 2
//! ```

use bytes::Bytes;

use super::messages::{
    KafkaString, OffsetCommitRequestData, OffsetCommitRequestPartition, OffsetCommitRequestTopic, kafka_string,
};
use super::primitives::{DecodeError, Reader};

const VERSION: i16 = 1;
/// Bytes of a topic with an empty name and no partitions, and of a partition without metadata.
const TOPIC_BYTES_MIN: usize = 6;
const PARTITION_BYTES_MIN: usize = 22;

/// The request in the form of the later versions, and the bytes behind it. The time of each offset is left out, as Kafka
/// does: the time of the commit is the broker's.
pub fn decode(body: &Bytes) -> Result<(OffsetCommitRequestData, usize), DecodeError> {
    let mut reader = Reader::new(body, false);
    let mut request = OffsetCommitRequestData {
        group_id: text(&reader.string()?)?,
        generation_id_or_member_epoch: reader.i32()?,
        member_id: text(&reader.string()?)?,
        ..Default::default()
    };
    request.topics = reader.array(TOPIC_BYTES_MIN, |reader| {
        Ok(OffsetCommitRequestTopic {
            name: text(&reader.string()?)?,
            partitions: reader.array(PARTITION_BYTES_MIN, partition)?,
            ..Default::default()
        })
    })?;
    Ok((request, reader.remaining()))
}

fn partition(reader: &mut Reader<'_>) -> Result<OffsetCommitRequestPartition, DecodeError> {
    let (partition_index, committed_offset) = (reader.i32()?, reader.i64()?);
    reader.i64()?;
    let metadata = reader.nullable_string()?;
    Ok(OffsetCommitRequestPartition {
        partition_index,
        committed_offset,
        committed_leader_epoch: -1,
        committed_metadata: metadata.as_ref().map(text).transpose()?,
        ..Default::default()
    })
}

fn text(bytes: &Bytes) -> Result<KafkaString, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::Utf8)?;
    Ok(kafka_string(text))
}

/// The version whose response has the same form.
pub const fn response_version(version: i16) -> i16 {
    if version == VERSION { VERSION + 1 } else { version }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published layout, byte by byte; every shorter body is refused.
    #[test]
    fn version_one_is_read() {
        let body = [
            &[0, 1, b'g', 0, 0, 0, 4, 0, 1, b'm', 0, 0, 0, 1][..],
            &[0, 1, b't', 0, 0, 0, 2],
            &[0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 8, 0, 1, b'n'],
            &[0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 0xff, 0xff],
        ]
        .concat();
        let (request, trailing) = decode(&Bytes::from(body.clone())).unwrap();
        assert_eq!((request.group_id.as_str(), trailing), ("g", 0));
        assert_eq!(
            (request.generation_id_or_member_epoch, request.member_id.as_str()),
            (4, "m")
        );
        let offsets: Vec<_> = request.topics[0]
            .partitions
            .iter()
            .map(|one| (one.partition_index, one.committed_offset))
            .collect();
        assert_eq!(offsets, [(3, 9), (5, 7)]);
        for len in 0..body.len() {
            assert!(decode(&Bytes::copy_from_slice(&body[..len])).is_err(), "{len} bytes");
        }
    }
}
