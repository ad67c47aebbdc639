//! The resolved keys of replication: how a follower copies, and how a leader judges its followers.

use std::time::Duration;

use super::values::Values;

#[derive(Clone, Debug)]
pub struct ReplicationConfig {
    /// The listener that brokers use among themselves.
    pub listener: String,
    /// Bytes to ask for per partition.
    pub fetch_bytes_max: i32,
    /// Bytes of one whole answer.
    pub response_bytes_max: i32,
    pub fetch_bytes_min: i32,
    /// How long a leader may wait for those.
    pub fetch_wait: Duration,
    /// How long to rest after a failed copy.
    pub backoff: Duration,
    /// How long to wait for a leader's answer.
    pub answer_patience: Duration,
    /// How long a follower may be behind and still count as in sync.
    pub lag_max: Duration,
    /// Bytes per second that throttled replicas may be sent, and may copy; set at run time.
    pub leader_rate: u64,
    pub follower_rate: u64,
    /// Whether consumers that say their rack are sent to a replica there.
    pub reads_by_rack: bool,
}

/// The selector of Kafka's own that sends consumers to their rack. Its other one is what goes without saying.
const RACK_AWARE: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

impl ReplicationConfig {
    pub(super) fn read(values: &Values<'_>) -> ReplicationConfig {
        let millis = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let int = |key| millis(values.int(key).into());
        let rate = |key| u64::try_from(values.long(key)).unwrap_or(0);
        let listener = values.explicit("inter.broker.listener.name");
        let protocol = values.text("security.inter.broker.protocol");
        ReplicationConfig {
            listener: listener.unwrap_or(protocol).to_ascii_uppercase(),
            fetch_bytes_max: values.int("replica.fetch.max.bytes"),
            response_bytes_max: values.int("replica.fetch.response.max.bytes"),
            fetch_bytes_min: values.int("replica.fetch.min.bytes"),
            fetch_wait: int("replica.fetch.wait.max.ms"),
            backoff: int("replica.fetch.backoff.ms"),
            answer_patience: int("replica.socket.timeout.ms"),
            lag_max: millis(values.long("replica.lag.time.max.ms")),
            leader_rate: rate("leader.replication.throttled.rate"),
            follower_rate: rate("follower.replication.throttled.rate"),
            reads_by_rack: values.get("replica.selector.class") == Some(RACK_AWARE),
        }
    }
}
