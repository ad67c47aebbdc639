//! A topic's resolved configuration: its overrides over the broker's log.* values.
use crate::record::{Compression, TimestampType};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    pub delete: bool,
    pub compact: bool,
}
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    pub cleanup_policy: CleanupPolicy,
    pub compression: Option<(Compression, i32)>,
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
    pub segment_bytes: i32,
    pub segment_index_bytes: i32,
    pub segment_ms: i64,
    pub segment_jitter_ms: i64,
    pub unclean_leader_election: bool,
}
impl TopicConfig {
    /// `overrides` over `defaults`; Err is Kafka's message for the first bad key ("Unknown topic config name: x").
    pub fn resolve(defaults: &TopicConfig, overrides: &BTreeMap<String, String>) -> Result<TopicConfig, String> {
        let _ = (defaults, overrides);
        todo!()
    }
}
