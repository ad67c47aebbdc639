//! The resolved keys of group coordinators and of the topic that keeps their state.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::record::Compression;

use super::values::Values;

/// What a batch of one record takes besides the record's value, with a long key.
const RECORD_OVERHEAD_MAX: usize = 1_024;

#[derive(Clone, Debug)]
pub struct GroupConfig {
    pub session_timeout_min: Duration,
    pub session_timeout_max: Duration,
    pub initial_rebalance_delay: Duration,
    /// Members that a group may have.
    pub size_max: usize,
    pub offset_metadata_bytes_max: usize,
    /// How long an answer may wait for what its request has written.
    pub write_timeout: Duration,
    pub offsets_retention_ms: i64,
    pub offsets_retention_check: Duration,
    /// Bytes of the largest record that a coordinator may write.
    pub record_bytes_max: usize,
    /// Bytes read at a time when a coordinator is loaded.
    pub load_bytes: usize,
    /// The codec that coordinators write in.
    pub compression: Compression,
    pub topic_partitions: i32,
    pub topic_replication_factor: i16,
    pub topic_segment_bytes: i32,
}

impl GroupConfig {
    pub(super) fn read(values: &Values<'_>) -> GroupConfig {
        let codec = u8::try_from(values.int("offsets.topic.compression.codec")).unwrap_or(0);
        let retention_check_ms = values.long("offsets.retention.check.interval.ms");
        GroupConfig {
            session_timeout_min: millis(i64::from(values.int("group.min.session.timeout.ms"))),
            session_timeout_max: millis(i64::from(values.int("group.max.session.timeout.ms"))),
            initial_rebalance_delay: millis(i64::from(values.int("group.initial.rebalance.delay.ms"))),
            size_max: size(values.int("group.max.size")),
            offset_metadata_bytes_max: size(values.int("offset.metadata.max.bytes")),
            write_timeout: millis(i64::from(values.int("offsets.commit.timeout.ms"))),
            offsets_retention_ms: i64::from(values.int("offsets.retention.minutes")) * 60_000,
            offsets_retention_check: millis(retention_check_ms),
            record_bytes_max: size(values.int("message.max.bytes")).saturating_sub(RECORD_OVERHEAD_MAX),
            load_bytes: size(values.int("offsets.load.buffer.size")),
            compression: Compression::from_bits(codec).unwrap_or(Compression::None),
            topic_partitions: values.int("offsets.topic.num.partitions"),
            topic_replication_factor: i16::try_from(values.int("offsets.topic.replication.factor")).unwrap_or(1),
            topic_segment_bytes: values.segment_bytes("offsets.topic.segment.bytes"),
        }
    }

    /// The configs that the topic of committed offsets is created with.
    pub fn topic_configs(&self) -> BTreeMap<String, Option<String>> {
        let segment_bytes = self.topic_segment_bytes.to_string();
        let configs = [
            ("cleanup.policy", "compact"),
            ("compression.type", "producer"),
            ("segment.bytes", &segment_bytes),
        ];
        configs
            .map(|(key, value)| (key.to_string(), Some(value.to_string())))
            .into()
    }
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn size(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}
