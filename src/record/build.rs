//! Builds a v2 batch: for the command line's producer, the conversion of old formats, and tests.

use bytes::Bytes;

use super::batch::{CONTROL_FLAG, TRANSACTIONAL_FLAG};
use super::{BatchError, BatchHeader, Compression, HEADER_LEN, Header};

/// Collects records; the header is filled in last. The batch has base offset 0, as a producer sends it.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    compression: Compression,
    level: Option<i32>,
    header: BatchHeader,
    /// Room for the header, then the records.
    plain: Vec<u8>,
    /// The record being put together: its size goes before it.
    body: Vec<u8>,
}

impl BatchBuilder {
    pub fn new(compression: Compression) -> BatchBuilder {
        let header = BatchHeader {
            base_offset: 0,
            batch_length: 0,
            leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: i16::from(compression.bits()),
            last_offset_delta: -1,
            base_timestamp: -1,
            max_timestamp: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: 0,
        };
        BatchBuilder {
            compression,
            level: None,
            header,
            plain: vec![0; HEADER_LEN],
            body: Vec::new(),
        }
    }

    /// The codec's level; `None`, as at first, is its default.
    pub fn level(mut self, level: Option<i32>) -> BatchBuilder {
        self.level = level;
        self
    }

    /// Producer id, epoch and base sequence.
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> BatchBuilder {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Part of its producer's transaction.
    pub fn transactional(mut self) -> BatchBuilder {
        self.header.attributes |= TRANSACTIONAL_FLAG;
        self
    }

    /// A control batch; those of transactions are the only ones.
    pub(super) fn control(mut self) -> BatchBuilder {
        self.header.attributes |= TRANSACTIONAL_FLAG | CONTROL_FLAG;
        self
    }

    pub fn push(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header]) {
        if self.is_empty() {
            self.header.base_timestamp = timestamp;
        }
        self.header.max_timestamp = self.header.max_timestamp.max(timestamp);
        self.header.last_offset_delta += 1;
        self.header.record_count += 1;

        let body = &mut self.body;
        body.clear();
        body.push(0); // attributes: none are defined
        put_varlong(body, timestamp.wrapping_sub(self.header.base_timestamp));
        put_varlong(body, i64::from(self.header.last_offset_delta));
        put_nullable(body, key);
        put_nullable(body, value);
        put_varlong(body, headers.len() as i64);
        for header in headers {
            put_nullable(body, Some(&header.key));
            put_nullable(body, header.value.as_deref());
        }
        put_varlong(&mut self.plain, body.len() as i64);
        self.plain.extend_from_slice(body);
    }

    /// Records so far.
    pub fn len(&self) -> usize {
        self.header.record_count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.header.record_count == 0
    }

    /// Uncompressed size so far in bytes, header included.
    pub fn size(&self) -> usize {
        self.plain.len()
    }

    pub fn build(self) -> Bytes {
        let mut batch = match self.compression {
            Compression::None => self.plain,
            codec => {
                let packed = codec.compress(self.level, &self.plain[HEADER_LEN..]);
                join(&packed.expect("compressing into memory does not fail"))
            }
        };
        self.header.seal(&mut batch);
        batch.into()
    }
}

/// The same batch from another producer: id, epoch and base sequence changed, checksum renewed. The batch is a whole one.
pub fn restamp(batch: &Bytes, producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Result<Bytes, BatchError> {
    let header = BatchHeader {
        producer_id,
        producer_epoch,
        base_sequence,
        ..BatchHeader::parse(batch)?
    };
    let mut stamped = batch.to_vec();
    header.seal(&mut stamped);
    Ok(stamped.into())
}

/// Room for a header, then `records`: what `BatchHeader::seal` makes a batch of.
pub(super) fn join(records: &[u8]) -> Vec<u8> {
    let mut batch = Vec::with_capacity(HEADER_LEN + records.len());
    batch.resize(HEADER_LEN, 0);
    batch.extend_from_slice(records);
    batch
}

pub(super) fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varlong(out, -1),
        Some(bytes) => {
            put_varlong(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}

/// Zigzag, 7 bits a byte, lowest first; 32-bit varints come out the same.
pub(super) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}
