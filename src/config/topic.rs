//! A topic's resolved configuration: its overrides over the broker's log.* values.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::record::{Compression, TimestampType};

use super::keys::{self, TOPIC_KEYS, topic_key};
use super::values::Values;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    pub delete: bool,
    pub compact: bool,
}

/// The efforts of the codecs that have any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressionLevels {
    pub gzip: i32,
    pub lz4: i32,
    pub zstd: i32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    pub cleanup_policy: CleanupPolicy,
    /// The codec to store in, with its level; None = producer: batches stay as they were sent.
    pub compression: Option<(Compression, i32)>,
    /// Kept for topics that override the codec and not its level.
    pub compression_levels: CompressionLevels,
    pub delete_retention_ms: i64,
    pub file_delete_delay_ms: i64,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub index_interval_bytes: i32,
    pub max_message_bytes: i32,
    pub timestamp_type: TimestampType,
    pub timestamp_before_max_ms: i64,
    pub timestamp_after_max_ms: i64,
    pub min_insync_replicas: i32,
    pub retention_ms: i64,
    pub retention_bytes: i64,
    /// Share of a log that must not be compacted yet before it is.
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub segment_bytes: i32,
    pub segment_index_bytes: i32,
    pub segment_ms: i64,
    pub segment_jitter_ms: i64,
    pub unclean_leader_election: bool,
    /// Replicas that are copied no faster than a rate: from those that lead, and by those that follow.
    pub leader_throttled: ThrottledReplicas,
    pub follower_throttled: ThrottledReplicas,
}

/// Which replicas of a topic are copied no faster than a rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ThrottledReplicas {
    All,
    /// Partitions, and the brokers that have them.
    Some(Vec<(i32, i32)>),
}

/// Kafka's defaults: a topic without overrides on a broker with an empty file.
impl Default for TopicConfig {
    fn default() -> TopicConfig {
        TopicConfig::of_broker(&Values::of_file(&BTreeMap::new()))
    }
}

impl TopicConfig {
    /// `overrides` over `defaults`; Err is Kafka's message for the first bad key ("Unknown topic config name: x").
    pub fn resolve(defaults: &TopicConfig, overrides: &BTreeMap<String, String>) -> Result<TopicConfig, String> {
        check_topic_configs(overrides)?;
        Ok(TopicConfig::read(overrides, defaults))
    }

    /// What a topic without overrides gets from this broker.
    pub(super) fn of_broker(values: &Values<'_>) -> TopicConfig {
        let default = |key: &keys::Key| Some((key.name.to_string(), values.topic_default(key)?));
        TopicConfig::read(&TOPIC_KEYS.iter().filter_map(default).collect(), &BLANK)
    }

    /// Takes what `set` says, and the rest from `base`.
    fn read(set: &BTreeMap<String, String>, base: &TopicConfig) -> TopicConfig {
        let compression_levels = CompressionLevels {
            gzip: number(set, "compression.gzip.level", base.compression_levels.gzip),
            lz4: number(set, "compression.lz4.level", base.compression_levels.lz4),
            zstd: number(set, "compression.zstd.level", base.compression_levels.zstd),
        };
        let codec = match text(set, "compression.type") {
            Some("producer") => None,
            Some(name) => Compression::from_name(name),
            None => base.compression.map(|(codec, _)| codec),
        };
        let segment_bytes = number(set, "segment.bytes", base.segment_bytes);
        TopicConfig {
            cleanup_policy: text(set, "cleanup.policy").map_or(base.cleanup_policy, CleanupPolicy::parse),
            compression: codec.map(|codec| (codec, compression_levels.of(codec))),
            compression_levels,
            delete_retention_ms: number(set, "delete.retention.ms", base.delete_retention_ms),
            file_delete_delay_ms: number(set, "file.delete.delay.ms", base.file_delete_delay_ms),
            flush_messages: number(set, "flush.messages", base.flush_messages),
            flush_ms: number(set, "flush.ms", base.flush_ms),
            index_interval_bytes: number(set, "index.interval.bytes", base.index_interval_bytes),
            max_message_bytes: number(set, "max.message.bytes", base.max_message_bytes),
            timestamp_type: text(set, "message.timestamp.type").map_or(base.timestamp_type, timestamp_type),
            timestamp_before_max_ms: number(set, "message.timestamp.before.max.ms", base.timestamp_before_max_ms),
            timestamp_after_max_ms: number(set, "message.timestamp.after.max.ms", base.timestamp_after_max_ms),
            min_insync_replicas: number(set, "min.insync.replicas", base.min_insync_replicas),
            retention_ms: number(set, "retention.ms", base.retention_ms),
            retention_bytes: number(set, "retention.bytes", base.retention_bytes),
            min_cleanable_dirty_ratio: number(set, "min.cleanable.dirty.ratio", base.min_cleanable_dirty_ratio),
            min_compaction_lag_ms: number(set, "min.compaction.lag.ms", base.min_compaction_lag_ms),
            max_compaction_lag_ms: number(set, "max.compaction.lag.ms", base.max_compaction_lag_ms),
            segment_bytes: number(set, "internal.segment.bytes", segment_bytes),
            segment_index_bytes: number(set, "segment.index.bytes", base.segment_index_bytes),
            segment_ms: number(set, "segment.ms", base.segment_ms),
            segment_jitter_ms: number(set, "segment.jitter.ms", base.segment_jitter_ms),
            unclean_leader_election: text(set, "unclean.leader.election.enable")
                .and_then(keys::parse_bool)
                .unwrap_or(base.unclean_leader_election),
            leader_throttled: text(set, "leader.replication.throttled.replicas")
                .map_or(base.leader_throttled.clone(), ThrottledReplicas::parse),
            follower_throttled: text(set, "follower.replication.throttled.replicas")
                .map_or(base.follower_throttled.clone(), ThrottledReplicas::parse),
        }
    }
}

/// Checks the overrides of a topic as CreateTopics, AlterConfigs and IncrementalAlterConfigs must: names, values, and
/// the rules over several keys. Err is Kafka's message for the first that fails.
pub fn check_topic_configs(overrides: &BTreeMap<String, String>) -> Result<(), String> {
    if let Some(name) = overrides.keys().find(|name| topic_key(name).is_none()) {
        return Err(format!("Unknown topic config name: {name}"));
    }
    for (name, value) in overrides {
        topic_key(name).map_or(Ok(()), |key| key.check(value))?;
        if name.ends_with(".replication.throttled.replicas") {
            check_throttled_replicas(name, value)?;
        }
    }
    let (least, most) = ("min.compaction.lag.ms", "max.compaction.lag.ms");
    let (least_ms, most_ms) = (number(overrides, least, 0), number(overrides, most, i64::MAX));
    if least_ms > most_ms {
        return Err(format!(
            "conflict topic config setting {least} ({least_ms}) > {most} ({most_ms})"
        ));
    }
    Ok(())
}

/// `*`, or pairs of partition and broker.
fn check_throttled_replicas(name: &str, value: &str) -> Result<(), String> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_pair = |item: &&str| {
        item.split_once(':')
            .is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
    };
    let items: Vec<&str> = keys::list_items(value).collect();
    if items == ["*"] || items.iter().all(is_pair) {
        return Ok(());
    }
    let items = items.join(", ");
    Err(format!(
        "Invalid value [{items}] for configuration {name}: {name} must be the literal '*' or a list of replicas in the \
         following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
    ))
}

impl ThrottledReplicas {
    /// What [`check_throttled_replicas`] lets pass.
    fn parse(value: &str) -> ThrottledReplicas {
        if value == "*" {
            return ThrottledReplicas::All;
        }
        let pair = |item: &str| {
            let (partition, broker) = item.split_once(':')?;
            Some((partition.parse().ok()?, broker.parse().ok()?))
        };
        ThrottledReplicas::Some(keys::list_items(value).filter_map(pair).collect())
    }

    pub fn has(&self, partition: i32, broker: i32) -> bool {
        match self {
            ThrottledReplicas::All => true,
            ThrottledReplicas::Some(pairs) => pairs.contains(&(partition, broker)),
        }
    }
}

impl CleanupPolicy {
    fn parse(value: &str) -> CleanupPolicy {
        let names = |policy| keys::list_items(value).any(|item| item == policy);
        CleanupPolicy {
            delete: names("delete"),
            compact: names("compact"),
        }
    }
}

impl CompressionLevels {
    fn of(self, codec: Compression) -> i32 {
        match codec {
            Compression::Gzip => self.gzip,
            Compression::Lz4 => self.lz4,
            Compression::Zstd => self.zstd,
            Compression::None | Compression::Snappy => 0,
        }
    }
}

fn timestamp_type(value: &str) -> TimestampType {
    match value {
        "LogAppendTime" => TimestampType::LogAppendTime,
        _ => TimestampType::CreateTime,
    }
}

fn text<'a>(set: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    set.get(name).map(|value| value.trim())
}

fn number<N: FromStr>(set: &BTreeMap<String, String>, name: &str, default: N) -> N {
    text(set, name).and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Ground for `of_broker`, where the table has a default for every field.
const BLANK: TopicConfig = TopicConfig {
    cleanup_policy: CleanupPolicy {
        delete: false,
        compact: false,
    },
    compression: None,
    compression_levels: CompressionLevels {
        gzip: 0,
        lz4: 0,
        zstd: 0,
    },
    delete_retention_ms: 0,
    file_delete_delay_ms: 0,
    flush_messages: 0,
    flush_ms: 0,
    index_interval_bytes: 0,
    max_message_bytes: 0,
    timestamp_type: TimestampType::CreateTime,
    timestamp_before_max_ms: 0,
    timestamp_after_max_ms: 0,
    min_insync_replicas: 0,
    retention_ms: 0,
    retention_bytes: 0,
    min_cleanable_dirty_ratio: 0.0,
    min_compaction_lag_ms: 0,
    max_compaction_lag_ms: 0,
    segment_bytes: 0,
    segment_index_bytes: 0,
    segment_ms: 0,
    segment_jitter_ms: 0,
    unclean_leader_election: false,
    leader_throttled: ThrottledReplicas::Some(Vec::new()),
    follower_throttled: ThrottledReplicas::Some(Vec::new()),
};
