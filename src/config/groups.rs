//! The resolved keys of group coordinators and of the topic that keeps their state.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::record::Compression;

use super::values::Values;

/// What a batch of one record takes besides the record's value, with a long key.
const RECORD_OVERHEAD_MAX: usize = 1_024;

#[derive(Clone, Debug)]
pub struct GroupConfig {
    pub consumer: ConsumerGroupConfig,
    pub session_timeout_min: Duration,
    pub session_timeout_max: Duration,
    pub initial_rebalance_delay: Duration,
    /// Members that a group may have.
    pub size_max: usize,
    /// The same of share groups, and how long they wait for a member to be heard of.
    pub share_size_max: usize,
    pub share_session_timeout: Duration,
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
            consumer: ConsumerGroupConfig::read(values),
            session_timeout_min: millis(i64::from(values.int("group.min.session.timeout.ms"))),
            session_timeout_max: millis(i64::from(values.int("group.max.session.timeout.ms"))),
            initial_rebalance_delay: millis(i64::from(values.int("group.initial.rebalance.delay.ms"))),
            size_max: size(values.int("group.max.size")),
            share_size_max: size(values.int("group.share.max.size")),
            share_session_timeout: millis(i64::from(values.int("group.share.session.timeout.ms"))),
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

/// Groups of the consumer protocol.
#[derive(Clone, Debug)]
pub struct ConsumerGroupConfig {
    /// The protocol is offered.
    pub is_served: bool,
    /// Of groups that set none of their own.
    pub settings: ConsumerSettings,
    pub bounds: ConsumerBounds,
    /// Members that a group may have.
    pub size_max: usize,
    /// Names; the first one is the default.
    pub assignors: Vec<String>,
    /// After so long expressions are held against the topics again, whatever has happened.
    pub regex_refresh_ms: i64,
    /// Whether groups with members may come from the classic protocol, and go back to it.
    pub upgrades: bool,
    pub downgrades: bool,
}

/// What the members of a group keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerSettings {
    pub session_timeout: Duration,
    pub heartbeat_interval: Duration,
    /// From one assignment to the next at least.
    pub assignment_interval: Duration,
}

/// The least and the most that a group may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerBounds {
    pub session_timeout: (Duration, Duration),
    pub heartbeat_interval: (Duration, Duration),
    pub assignment_interval: (Duration, Duration),
}

impl ConsumerGroupConfig {
    /// The settings of a group that sets these itself. What it was allowed to set may lie outside of the bounds by now.
    pub fn settings_of(&self, set: &BTreeMap<String, String>) -> ConsumerSettings {
        let own = |key: &str, (min, max): (Duration, Duration), default: Duration| {
            let ms = set.get(key).and_then(|value| value.trim().parse().ok());
            ms.map_or(default, |ms| millis(ms).clamp(min, max.max(min)))
        };
        let ConsumerSettings {
            session_timeout,
            heartbeat_interval,
            assignment_interval,
        } = self.settings;
        let bounds = &self.bounds;
        ConsumerSettings {
            session_timeout: own("consumer.session.timeout.ms", bounds.session_timeout, session_timeout),
            heartbeat_interval: own(
                "consumer.heartbeat.interval.ms",
                bounds.heartbeat_interval,
                heartbeat_interval,
            ),
            assignment_interval: own(
                "consumer.assignment.interval.ms",
                bounds.assignment_interval,
                assignment_interval,
            ),
        }
    }

    fn read(values: &Values<'_>) -> ConsumerGroupConfig {
        let ms = |key: &str| millis(i64::from(values.int(key)));
        let policy = values.text("group.consumer.migration.policy").to_ascii_lowercase();
        ConsumerGroupConfig {
            is_served: values
                .list("group.coordinator.rebalance.protocols")
                .contains(&"consumer"),
            settings: ConsumerSettings {
                session_timeout: ms("group.consumer.session.timeout.ms"),
                heartbeat_interval: ms("group.consumer.heartbeat.interval.ms"),
                assignment_interval: ms("group.consumer.assignment.interval.ms"),
            },
            bounds: ConsumerBounds {
                session_timeout: (
                    ms("group.consumer.min.session.timeout.ms"),
                    ms("group.consumer.max.session.timeout.ms"),
                ),
                heartbeat_interval: (
                    ms("group.consumer.min.heartbeat.interval.ms"),
                    ms("group.consumer.max.heartbeat.interval.ms"),
                ),
                assignment_interval: (
                    ms("group.consumer.min.assignment.interval.ms"),
                    ms("group.consumer.max.assignment.interval.ms"),
                ),
            },
            size_max: size(values.int("group.consumer.max.size")),
            assignors: values
                .list("group.consumer.assignors")
                .into_iter()
                .map(str::to_owned)
                .collect(),
            regex_refresh_ms: i64::from(values.int("group.consumer.regex.refresh.interval.ms")),
            upgrades: matches!(policy.as_str(), "bidirectional" | "upgrade"),
            downgrades: matches!(policy.as_str(), "bidirectional" | "downgrade"),
        }
    }
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn size(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}
