//! A Produce request as bytes, encoded once; sending it is a copy and a few patches.

use bytes::Bytes;
use corelane::wire::produce::{ProducePartition, ProduceRequest, ProduceTopic};
use corelane::wire::{ApiKey, RequestHeader, is_flexible};

use super::batch::Batch;
use super::stamp::Stamp;

pub const CLIENT_ID: &[u8] = b"corelane-bench";
/// Where a frame's correlation id stands: behind its length, the API key and the version.
const CORRELATION_AT: usize = 8;
/// The first version whose record sets have a length of one to five bytes instead of four.
const FLEXIBLE_FROM: i16 = 9;

/// What a request is made of.
pub struct Shape<'a> {
    pub topic: &'a str,
    pub version: i16,
    pub acks: i16,
    pub timeout_ms: i32,
}

pub struct Request {
    frame: Vec<u8>,
    batches: Vec<Placed>,
    pub records: u64,
    pub payload_bytes: u64,
}

struct Placed {
    partition_at: usize,
    batch_at: usize,
    batch: Batch,
}

impl Request {
    /// One batch for each of as many different partitions.
    pub fn new(shape: &Shape<'_>, batches: Vec<Batch>) -> Request {
        let partitions = batches.iter().enumerate().map(|(index, batch)| ProducePartition {
            index: index as i32,
            records: Some(Bytes::copy_from_slice(&batch.bytes)),
        });
        let body = ProduceRequest {
            transactional_id: None,
            acks: shape.acks,
            timeout_ms: shape.timeout_ms,
            topics: vec![ProduceTopic {
                name: Bytes::copy_from_slice(shape.topic.as_bytes()),
                partitions: partitions.collect(),
            }],
        };
        let header = RequestHeader {
            api_key: ApiKey::PRODUCE,
            api_version: shape.version,
            correlation_id: 0,
            client_id: Some(Bytes::from_static(CLIENT_ID)),
        };
        let flexible = is_flexible(ApiKey::PRODUCE, shape.version);
        let frame = header.frame(flexible, body.encode(shape.version)).concat();
        let mut from = 0;
        let mut place = |batch: Batch| {
            let batch_at = from + find(&frame[from..], &batch.bytes);
            from = batch_at + batch.bytes.len();
            Placed {
                partition_at: batch_at - length_bytes(shape.version, batch.bytes.len()) - 4,
                batch_at,
                batch,
            }
        };
        let batches: Vec<_> = batches.into_iter().map(&mut place).collect();
        Request {
            records: batches.iter().map(|placed| u64::from(placed.batch.records)).sum(),
            payload_bytes: batches.iter().map(|placed| placed.batch.payload_bytes).sum(),
            frame,
            batches,
        }
    }

    /// How many partitions one request writes to.
    pub fn batches(&self) -> usize {
        self.batches.len()
    }

    /// Puts a copy of the request behind `out`. `stamp_for` is asked once per batch, in order.
    pub fn append_to(&self, out: &mut Vec<u8>, correlation_id: i32, mut stamp_for: impl FnMut(usize) -> (i32, Stamp)) {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        let frame = &mut out[start..];
        frame[CORRELATION_AT..CORRELATION_AT + 4].copy_from_slice(&correlation_id.to_be_bytes());
        for (index, placed) in self.batches.iter().enumerate() {
            let (partition, stamp) = stamp_for(index);
            frame[placed.partition_at..placed.partition_at + 4].copy_from_slice(&partition.to_be_bytes());
            if let Some(stamper) = &placed.batch.stamper {
                let end = placed.batch_at + placed.batch.bytes.len();
                stamper.stamp(&mut frame[placed.batch_at..end], stamp);
            }
        }
    }
}

/// The length of the length before a record set.
fn length_bytes(version: i16, len: usize) -> usize {
    if version < FLEXIBLE_FROM {
        return 4;
    }
    let mut rest = (len + 1) >> 7;
    let mut bytes = 1;
    while rest > 0 {
        rest >>= 7;
        bytes += 1;
    }
    bytes
}

fn find(haystack: &[u8], needle: &[u8]) -> usize {
    let head = &needle[..needle.len().min(64)];
    haystack
        .windows(head.len())
        .enumerate()
        .position(|(at, window)| window == head && haystack[at..].starts_with(needle))
        .expect("a request holds its batches as they are")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::batch::{Recipe, build};
    use crate::engine::stamp::stamp_of;
    use corelane::record::{BatchHeader, Compression};

    fn request(version: i16) -> Request {
        let recipe = |seed| Recipe {
            sizes: vec![200; 3],
            key_bytes: Some(8),
            compression: Compression::None,
            seed,
        };
        let shape = Shape {
            topic: "t",
            version,
            acks: 1,
            timeout_ms: 1_000,
        };
        Request::new(&shape, vec![build(&recipe(1)), build(&recipe(2))])
    }

    #[test]
    fn a_copy_reads_as_the_request_that_was_meant() {
        for version in [3, 8, 9, 12] {
            let mut out = b"before".to_vec();
            request(version).append_to(&mut out, 42, |index| {
                let stamp = Stamp {
                    producer: 5,
                    sequence: 100 + index as u64,
                    intended_ns: 9,
                };
                (70 + index as i32, stamp)
            });
            let frame = Bytes::from(out).slice(6 + 4..);
            let (header, body) = RequestHeader::parse(frame, is_flexible(ApiKey::PRODUCE, version)).unwrap();
            assert_eq!(header.correlation_id, 42);
            let (decoded, trailing) = ProduceRequest::decode_with_trailing(body, version).unwrap();
            assert_eq!(trailing, 0);
            let partitions = &decoded.topics[0].partitions;
            assert_eq!(
                [partitions[0].index, partitions[1].index],
                [70, 71],
                "version {version}"
            );
            for (index, partition) in partitions.iter().enumerate() {
                let batch = partition.records.as_ref().unwrap();
                BatchHeader::parse(batch).unwrap().check_crc(batch).unwrap();
                assert_eq!(stamp_of(batch).unwrap().sequence, 100 + index as u64);
            }
        }
    }
}
