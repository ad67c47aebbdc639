//! The resolved keys of transaction coordinators and of the topic that keeps their state.

use std::collections::BTreeMap;
use std::time::Duration;

use super::values::Values;

#[derive(Clone, Debug)]
pub struct TransactionConfig {
    pub timeout_ms_max: i32,
    pub id_expiration_ms: i64,
    /// Whether the coordinator is asked before a batch begins a transaction in a partition.
    pub verify_partitions: bool,
    /// How often, and for how long, the coordinator is asked again while it ends the transaction before.
    pub add_retry_backoff: Duration,
    pub add_retry_max: Duration,
    pub topic_partitions: i32,
    pub topic_replication_factor: i16,
    pub topic_min_insync_replicas: i32,
    pub topic_segment_bytes: i32,
}

impl TransactionConfig {
    pub(super) fn read(values: &Values<'_>) -> TransactionConfig {
        let millis = |key| Duration::from_millis(u64::try_from(values.int(key)).unwrap_or(0));
        TransactionConfig {
            timeout_ms_max: values.int("transaction.max.timeout.ms"),
            id_expiration_ms: values.int("transactional.id.expiration.ms").into(),
            verify_partitions: values.boolean("transaction.partition.verification.enable"),
            add_retry_backoff: millis("add.partitions.to.txn.retry.backoff.ms"),
            add_retry_max: millis("add.partitions.to.txn.retry.backoff.max.ms"),
            topic_partitions: values.int("transaction.state.log.num.partitions"),
            topic_replication_factor: i16::try_from(values.int("transaction.state.log.replication.factor"))
                .unwrap_or(1),
            topic_min_insync_replicas: values.int("transaction.state.log.min.isr"),
            topic_segment_bytes: values.segment_bytes("transaction.state.log.segment.bytes"),
        }
    }

    /// The configs that the topic of the transactions' state is created with.
    pub fn topic_configs(&self) -> BTreeMap<String, Option<String>> {
        let segment_bytes = self.topic_segment_bytes.to_string();
        let min_insync_replicas = self.topic_min_insync_replicas.to_string();
        let configs = [
            ("cleanup.policy", "compact"),
            ("compression.type", "uncompressed"),
            ("min.insync.replicas", &min_insync_replicas),
            ("segment.bytes", &segment_bytes),
            ("unclean.leader.election.enable", "false"),
        ];
        configs
            .map(|(key, value)| (key.to_string(), Some(value.to_string())))
            .into()
    }
}
