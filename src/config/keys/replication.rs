//! Replicas and leaders: fetching from leaders, in-sync rules, elections.

use super::Key;
use super::row::{boolean, int, long, string};

#[rustfmt::skip] // a table: a row is a line of facts and a line of prose
pub(super) const KEYS: &[Key] = &[
    int("min.insync.replicas").default("1").at_least(1).cluster_wide().effective()
        .doc("Replicas, the leader included, that must be in sync for a write with acks=all to be taken."),
    boolean("unclean.leader.election.enable").default("false").cluster_wide().effective()
        .doc("Whether a replica that is out of sync may become leader when no other is left. Acknowledged records can be lost."),
    int("num.replica.fetchers").default("1").at_least(1).cluster_wide()
        .doc("Connections per leader for copying. Corelane copies with one per shard and leader."),
    int("replica.fetch.max.bytes").default("1048576").at_least(0).effective()
        .doc("Bytes to ask for per partition when copying; a larger first batch comes whole."),
    int("replica.fetch.min.bytes").default("1").effective()
        .doc("Bytes that a leader should gather before it answers a follower."),
    int("replica.fetch.wait.max.ms").default("500").effective()
        .doc("Milliseconds a leader may wait for replica.fetch.min.bytes. Keep it below replica.lag.time.max.ms."),
    int("replica.fetch.response.max.bytes").default("10485760").at_least(0).effective()
        .doc("Bytes of one whole answer when copying; a larger first batch comes whole."),
    int("replica.fetch.backoff.ms").default("1000").at_least(0).effective()
        .doc("Milliseconds to rest after a failed copy."),
    long("replica.lag.time.max.ms").default("30000").effective()
        .doc("Milliseconds for which a follower may be behind its leader and still count as in sync."),
    long("replica.high.watermark.checkpoint.interval.ms").default("5000")
        .doc("Milliseconds between two writes of the high watermarks to disk."),
    int("replica.socket.timeout.ms").default("30000").effective()
        .doc("Milliseconds to wait for a leader's answer. Keep it above replica.fetch.wait.max.ms."),
    int("replica.socket.receive.buffer.bytes").default("65536")
        .doc("Bytes of the socket buffer for copying."),
    string("replica.selector.class").effective()
        .doc("org.apache.kafka.common.replica.RackAwareReplicaSelector sends consumers with client.rack to a replica in sync there. No other class runs here."),
    int("num.replica.alter.log.dirs.threads")
        .doc("Threads that move replicas between log directories. Unset: one per directory."),
    boolean("auto.leader.rebalance.enable").default("true").effective()
        .doc("Whether leaderships go back to the preferred replicas by themselves."),
    long("leader.imbalance.check.interval.seconds").default("300").at_least(1).effective()
        .doc("Seconds between two looks for misplaced leaderships."),
    long("unclean.leader.election.interval.ms").default("300000").at_least(1).internal().effective()
        .doc("Milliseconds between two looks for partitions that wait for an unclean election."),
    int("replication.quota.window.num").default("11").at_least(1)
        .doc("Windows over which the rate of copying is measured for its quota."),
    int("replication.quota.window.size.seconds").default("1").at_least(1)
        .doc("Seconds of one window over which the rate of copying is measured."),
    int("alter.log.dirs.replication.quota.window.num").default("11").at_least(1)
        .doc("Windows over which the rate of moves between log directories is measured for its quota."),
    int("alter.log.dirs.replication.quota.window.size.seconds").default("1").at_least(1)
        .doc("Seconds of one window over which the rate of moves between log directories is measured."),
    long("leader.replication.throttled.rate").default("9223372036854775807").at_least(0).cluster_wide().internal().effective()
        .doc("Bytes per second that leaders may send to throttled replicas. Set at run time only."),
    long("follower.replication.throttled.rate").default("9223372036854775807").at_least(0).cluster_wide().internal().effective()
        .doc("Bytes per second that followers may copy for throttled replicas. Set at run time only."),
    long("replica.alter.log.dirs.io.max.bytes.per.second").default("9223372036854775807").at_least(0).cluster_wide().internal()
        .doc("Bytes per second for moves between log directories. Set at run time only."),
];
