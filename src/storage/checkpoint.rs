//! recovery-point-offset-checkpoint and log-start-offset-checkpoint, in Kafka's text format, and the clean-shutdown marker.
use std::collections::BTreeMap;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionCheckpoint {
    pub recovery_point: i64,
    pub log_start: i64,
}
/// A log directory's checkpoints: (topic, partition) to offsets; and whether the last stop was clean.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    pub partitions: BTreeMap<(String, i32), PartitionCheckpoint>,
    pub clean: bool,
}
