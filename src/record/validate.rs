//! What a broker requires of a produced batch (behaviours 16 to 23): Kafka's LogValidator.
//!
//! The plain case, a sound batch on a CreateTime topic that keeps the producer's compression, costs one pass for the
//! checksum, one over the length prefixes of an uncompressed batch, no copy and no allocation.
//!
//! Kafka opens every compressed batch. We open one only where its header cannot decide:
//! - compacted topic: every record needs a key;
//! - another compression is configured;
//! - the header's max timestamp lies beyond the newest allowed (the records say whether it is right, and which);
//! - an oldest timestamp is configured: the header has no minimum (deltas may be negative).
//!
//! So for a compressed batch that is not opened, the offset deltas inside and a max timestamp that understates are
//! taken on trust. That can mislead only the readers of what this producer wrote.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::build::join;
use super::{BatchError, BatchHeader, CodecError, Compression, HEADER_LEN, RecordView, RecordViews};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// The topic's rules, from its config, and the request's.
#[derive(Clone, Debug)]
pub struct Rules {
    pub max_message_bytes: usize,
    pub segment_bytes: usize,
    pub timestamp_type: TimestampType,
    /// How far a record's time may lie behind the broker's; `i64::MAX` = any distance.
    pub timestamp_before_max_ms: i64,
    /// How far a record's time may lie ahead of the broker's.
    pub timestamp_after_max_ms: i64,
    /// cleanup.policy contains compact: every record needs a key.
    pub compacted: bool,
    /// None = "producer": keep the batch as sent.
    pub compression: Option<(Compression, i32 /* level */)>,
    /// Version of the Produce request (zstd needs 7).
    pub produce_version: i16,
}

/// A batch that may be appended. `bytes` are as sent unless a rule rewrote them.
#[derive(Clone, Debug)]
pub struct ValidBatch {
    pub header: BatchHeader,
    pub bytes: Bytes,
    /// -1 for CreateTime
    pub log_append_time_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalid {
    Corrupt(String),
    InvalidRecord {
        message: String,
        records: Vec<InvalidRecord>,
    },
    InvalidTimestamp {
        message: String,
        records: Vec<InvalidRecord>,
    },
    MessageTooLarge(String),
    RecordListTooLarge(String),
    UnsupportedCompression(String),
}

/// One refused record, for the record_errors of the answer (v8+).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidRecord {
    pub batch_index: i32,
    pub message: Option<String>,
}

/// Refused records that are named one by one; a batch of tiny records could otherwise cost far more than its size.
pub const INVALID_RECORDS_MAX: usize = 100;

/// What a batch may grow to when it is opened: this much, or so many times the topic's largest batch.
pub const DECOMPRESSED_BYTES_MAX: usize = 64 * 1024 * 1024;
const DECOMPRESSED_GROWTH_MAX: usize = 8;

/// "No time": exempt from the timestamp rules.
const NO_TIMESTAMP: i64 = -1;
/// The first Produce version that may carry zstd (KIP-110).
const ZSTD_PRODUCE_VERSION_MIN: i16 = 7;

impl ValidBatch {
    /// Checks the records of one partition of a Produce request v3+: exactly one v2 batch. Opens a compressed batch only
    /// where a rule needs it (compacted topic, re-compression, timestamp rules that the header cannot decide).
    pub fn check(records: Bytes, rules: &Rules, now_ms: i64) -> Result<ValidBatch, Invalid> {
        let header = check_single(&records)?;
        let codec = check_compression(&header, rules)?;
        check_size(records.len(), rules)?;
        header
            .check_crc(&records)
            .map_err(|cause| Invalid::Corrupt(cause.to_string()))?;
        check_header(&header)?;

        let target = rules.compression.filter(|(target, _)| *target != codec);
        let plain = match codec {
            Compression::None => Some(Cow::Borrowed(records_of(&records))),
            _ if target.is_some() || rules.must_open(&header, now_ms) => {
                Some(Cow::Owned(open(codec, &records, rules)?))
            }
            _ => None,
        };
        let max_timestamp = match &plain {
            Some(plain) => check_records(&header, plain, rules, now_ms)?,
            None => header.max_timestamp,
        };
        let wanted = match rules.timestamp_type {
            TimestampType::CreateTime => BatchHeader {
                max_timestamp,
                ..header
            },
            TimestampType::LogAppendTime => header.with_log_append_time(now_ms),
        };
        let (header, bytes) = match (target, plain) {
            (Some((codec, level)), Some(plain)) => recompress(wanted, codec, level, &plain)?,
            _ if wanted != header => rewrite(wanted, records),
            _ => (header, records),
        };
        check_size(bytes.len(), rules)?;
        check_segment(bytes.len(), rules)?;
        let log_append_time_ms = match rules.timestamp_type {
            TimestampType::CreateTime => NO_TIMESTAMP,
            TimestampType::LogAppendTime => now_ms,
        };
        Ok(ValidBatch {
            header,
            bytes,
            log_append_time_ms,
        })
    }
}

impl Rules {
    /// Whether only the records can decide; see the top of this file.
    fn must_open(&self, header: &BatchHeader, now_ms: i64) -> bool {
        let by_time = self.timestamp_type == TimestampType::CreateTime
            && (self.timestamp_before_max_ms != i64::MAX || header.max_timestamp > self.newest(now_ms));
        self.compacted || by_time
    }

    fn newest(&self, now_ms: i64) -> i64 {
        now_ms.saturating_add(self.timestamp_after_max_ms)
    }

    fn oldest(&self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(self.timestamp_before_max_ms)
    }

    pub(super) fn decompressed_max(&self) -> usize {
        self.max_message_bytes
            .saturating_mul(DECOMPRESSED_GROWTH_MAX)
            .max(DECOMPRESSED_BYTES_MAX)
    }
}

impl Invalid {
    pub(super) fn record(message: impl Into<String>) -> Invalid {
        Invalid::InvalidRecord {
            message: message.into(),
            records: Vec::new(),
        }
    }
}

/// The batch's header, if `records` holds one whole batch and nothing else.
fn check_single(records: &[u8]) -> Result<BatchHeader, Invalid> {
    let header = BatchHeader::parse(records).map_err(|cause| match cause {
        BatchError::Short => Invalid::record("a produce request must hold one whole batch per partition"),
        BatchError::Magic(_) => Invalid::record(format!("batch format not accepted: {cause}")),
        _ => Invalid::Corrupt(cause.to_string()),
    })?;
    match header.total_len() {
        len if len > records.len() => Err(Invalid::record(format!(
            "batch is cut short: it announces {len} bytes, {} were sent",
            records.len()
        ))),
        len if len < records.len() => Err(Invalid::record(format!(
            "a produce request must hold exactly one batch per partition: {} bytes follow the first",
            records.len() - len
        ))),
        _ => Ok(header),
    }
}

fn check_compression(header: &BatchHeader, rules: &Rules) -> Result<Compression, Invalid> {
    let codec = header
        .compression()
        .map_err(|cause| Invalid::UnsupportedCompression(cause.to_string()))?;
    if codec == Compression::Zstd && rules.produce_version < ZSTD_PRODUCE_VERSION_MIN {
        return Err(Invalid::UnsupportedCompression(format!(
            "zstd needs a produce request of version {ZSTD_PRODUCE_VERSION_MIN} or later, this one has {}",
            rules.produce_version
        )));
    }
    Ok(codec)
}

pub(super) fn check_size(len: usize, rules: &Rules) -> Result<(), Invalid> {
    match rules.max_message_bytes {
        max if len > max => Err(Invalid::MessageTooLarge(format!(
            "batch of {len} bytes is larger than max.message.bytes {max}"
        ))),
        _ => Ok(()),
    }
}

fn check_segment(len: usize, rules: &Rules) -> Result<(), Invalid> {
    match rules.segment_bytes {
        max if len > max => Err(Invalid::RecordListTooLarge(format!(
            "batch of {len} bytes does not fit into a segment of {max} bytes"
        ))),
        _ => Ok(()),
    }
}

/// What the header alone tells: LogValidator's rules for a batch that comes from a client.
fn check_header(header: &BatchHeader) -> Result<(), Invalid> {
    if header.base_offset != 0 {
        return Err(Invalid::record(format!(
            "base offset of a produced batch is {}, not 0",
            header.base_offset
        )));
    }
    if header.record_count <= 0 {
        return Err(Invalid::record(format!(
            "record count {} is not positive",
            header.record_count
        )));
    }
    if i64::from(header.last_offset_delta) + 1 != i64::from(header.record_count) {
        return Err(Invalid::record(format!(
            "last offset delta {} does not agree with record count {}",
            header.last_offset_delta, header.record_count
        )));
    }
    if header.is_control() {
        return Err(Invalid::record("clients may not write control batches"));
    }
    check_producer(header)?;
    if header.is_log_append_time() {
        let message = "producers may not set the timestamp type LogAppendTime".to_string();
        return Err(Invalid::InvalidTimestamp {
            message,
            records: Vec::new(),
        });
    }
    Ok(())
}

fn check_producer(header: &BatchHeader) -> Result<(), Invalid> {
    if !header.has_producer_id() {
        return match header.is_transactional() {
            true => Err(Invalid::record("transactional batch without a producer id")),
            false => Ok(()),
        };
    }
    if header.base_sequence < 0 || header.producer_epoch < 0 {
        return Err(Invalid::record(format!(
            "sequence {} or epoch {} of producer id {} is negative",
            header.base_sequence, header.producer_epoch, header.producer_id
        )));
    }
    Ok(())
}

/// The bytes after the header; `check_single` has seen that there is one.
fn records_of(batch: &[u8]) -> &[u8] {
    batch.get(HEADER_LEN..).unwrap_or_default()
}

fn open(codec: Compression, batch: &[u8], rules: &Rules) -> Result<Vec<u8>, Invalid> {
    codec
        .decompress(records_of(batch), rules.decompressed_max())
        .map_err(refuse_packed)
}

/// The refusal of records that do not decompress.
pub(super) fn refuse_packed(cause: CodecError) -> Invalid {
    match cause {
        // A producer answers this code by splitting the batch, which is the cure.
        CodecError::TooLarge(_) => Invalid::MessageTooLarge(cause.to_string()),
        _ => Invalid::record(cause.to_string()),
    }
}

/// Checks every record; returns the largest timestamp among them.
fn check_records(header: &BatchHeader, plain: &[u8], rules: &Rules, now_ms: i64) -> Result<i64, Invalid> {
    let mut max_timestamp = NO_TIMESTAMP;
    let mut refused = Refused::default();
    for (index, view) in (0i32..).zip(RecordViews::new(plain, header.record_count)) {
        let view = view.map_err(|cause| Invalid::record(format!("at record {index}: {cause}")))?;
        if view.offset_delta != index {
            return Err(Invalid::record(format!(
                "record {index} has offset delta {}",
                view.offset_delta
            )));
        }
        max_timestamp = max_timestamp.max(view.timestamp(header));
        if let Some(why) = check_record(header, &view, rules, now_ms) {
            refused.note(index, why);
        }
    }
    refused.into_result().map(|()| max_timestamp)
}

/// Why a record is refused by a rule of the topic.
enum Why {
    NoKey,
    Timestamp(i64),
}

fn check_record(header: &BatchHeader, view: &RecordView<'_>, rules: &Rules, now_ms: i64) -> Option<Why> {
    if rules.compacted && view.key.is_none() {
        return Some(Why::NoKey);
    }
    let timestamp = view.timestamp(header);
    if rules.timestamp_type == TimestampType::LogAppendTime || timestamp == NO_TIMESTAMP {
        return None;
    }
    let allowed = rules.oldest(now_ms)..=rules.newest(now_ms);
    (!allowed.contains(&timestamp)).then_some(Why::Timestamp(timestamp))
}

/// The refused records of one batch: all are counted, the first ones named.
#[derive(Default)]
struct Refused {
    count: usize,
    by_time: bool,
    named: Vec<InvalidRecord>,
}

impl Refused {
    fn note(&mut self, batch_index: i32, why: Why) {
        self.count += 1;
        self.by_time |= matches!(why, Why::Timestamp(_));
        if self.named.len() < INVALID_RECORDS_MAX {
            let message = match why {
                Why::NoKey => "a compacted topic takes no record without a key".to_string(),
                Why::Timestamp(timestamp) => format!("timestamp {timestamp} is out of the range that the topic allows"),
            };
            self.named.push(InvalidRecord {
                batch_index,
                message: Some(message),
            });
        }
    }

    /// A wrong time outweighs a missing key, as in Kafka.
    fn into_result(self) -> Result<(), Invalid> {
        let records = self.named;
        match (self.count, self.by_time) {
            (0, _) => Ok(()),
            (count, true) => Err(Invalid::InvalidTimestamp {
                message: format!("{count} records refused, at least one for its timestamp"),
                records,
            }),
            (count, false) => Err(Invalid::InvalidRecord {
                message: format!("{count} records refused for want of a key"),
                records,
            }),
        }
    }
}

/// Producer id, epoch, sequence, attributes and times stay; the codec's bits change with the bytes.
fn recompress(
    header: BatchHeader,
    codec: Compression,
    level: i32,
    plain: &[u8],
) -> Result<(BatchHeader, Bytes), Invalid> {
    let packed = codec
        .compress(Some(level), plain)
        .map_err(|cause| Invalid::UnsupportedCompression(cause.to_string()))?;
    let mut batch = join(&packed);
    let header = header.with_compression(codec).seal(&mut batch);
    Ok((header, batch.into()))
}

/// Writes a changed header over the batch's own: in place if nobody else holds these bytes, else in a copy.
fn rewrite(header: BatchHeader, batch: Bytes) -> (BatchHeader, Bytes) {
    let mut batch = batch
        .try_into_mut()
        .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    let header = header.seal(&mut batch);
    (header, batch.freeze())
}
