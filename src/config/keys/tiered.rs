//! Tiered storage: old segments in a remote store. None of it is served.

use super::Key;
use super::row::{boolean, double, int, long, string};

#[rustfmt::skip] // a table: a row is a line of facts and a line of prose
pub(super) const KEYS: &[Key] = &[
    boolean("remote.log.storage.system.enable").default("false")
        .doc("Whether the broker takes part in tiered storage."),
    long("log.local.retention.bytes").default("-2").at_least(-2).cluster_wide()
        .doc("Bytes of a partition kept on the broker's own disk. -2: as log.retention.bytes."),
    long("log.local.retention.ms").default("-2").at_least(-2).cluster_wide()
        .doc("Milliseconds a segment stays on the broker's own disk. -2: as log.retention.ms."),
    string("remote.log.storage.manager.class.name")
        .doc("The Java class that speaks to the remote store. There is no JVM here to run it."),
    string("remote.log.storage.manager.class.path")
        .doc("Where the class that speaks to the remote store is found."),
    string("remote.log.storage.manager.impl.prefix").default("rsm.config.")
        .doc("How the keys for the class that speaks to the remote store begin."),
    string("remote.log.metadata.manager.class.name").default("org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager")
        .doc("The Java class that keeps track of remote segments. There is no JVM here to run it."),
    string("remote.log.metadata.manager.class.path")
        .doc("Where the class that keeps track of remote segments is found."),
    string("remote.log.metadata.manager.impl.prefix").default("rlmm.config.")
        .doc("How the keys for the class that keeps track of remote segments begin."),
    string("remote.log.metadata.manager.listener.name")
        .doc("The listener of this broker that the class that keeps track of remote segments connects to."),
    int("remote.log.metadata.custom.metadata.max.bytes").default("128").at_least(0)
        .doc("Bytes of notes that the remote store may attach to a segment."),
    long("remote.log.index.file.cache.total.size.bytes").default("1073741824").at_least(1).cluster_wide()
        .doc("Bytes of disk for the indexes of remote segments."),
    long("remote.log.index.file.cache.ttl.ms").default("900000").at_least(-1).internal()
        .doc("Milliseconds for which the unused index of a remote segment is kept. -1: no limit."),
    long("remote.log.manager.task.interval.ms").default("30000").at_least(1)
        .doc("Milliseconds between two rounds of copying and expiring segments."),
    long("remote.log.manager.task.retry.backoff.ms").default("500").at_least(1).internal()
        .doc("Milliseconds before a failed task is tried again."),
    long("remote.log.manager.task.retry.backoff.max.ms").default("30000").at_least(1).internal()
        .doc("Milliseconds to which the wait before a failed task is tried again may grow."),
    double("remote.log.manager.task.retry.jitter").default("0.2").between(0.0, 0.5).internal()
        .doc("Random share added to the wait before a failed task is tried again, 0 to 0.5."),
    int("remote.log.manager.copier.thread.pool.size").default("10").at_least(1).cluster_wide()
        .doc("Threads that copy segments to the remote store."),
    int("remote.log.manager.expiration.thread.pool.size").default("10").at_least(1).cluster_wide()
        .doc("Threads that delete expired remote segments."),
    int("remote.log.manager.follower.thread.pool.size").default("2").at_least(1).cluster_wide()
        .doc("Threads that follow a leader's remote segments."),
    int("remote.log.manager.thread.pool.size").default("2").at_least(1)
        .doc("The older name of remote.log.manager.follower.thread.pool.size."),
    long("remote.log.manager.copy.max.bytes.per.second").default("9223372036854775807").at_least(1).cluster_wide()
        .doc("Bytes per second that may be copied to the remote store."),
    int("remote.log.manager.copy.quota.window.num").default("11").at_least(1)
        .doc("Windows over which the rate of copying to the remote store is measured."),
    int("remote.log.manager.copy.quota.window.size.seconds").default("1").at_least(1)
        .doc("Seconds of one window over which the rate of copying to the remote store is measured."),
    long("remote.log.manager.fetch.max.bytes.per.second").default("9223372036854775807").at_least(1).cluster_wide()
        .doc("Bytes per second that may be read from the remote store."),
    int("remote.log.manager.fetch.quota.window.num").default("11").at_least(1)
        .doc("Windows over which the rate of reading from the remote store is measured."),
    int("remote.log.manager.fetch.quota.window.size.seconds").default("1").at_least(1)
        .doc("Seconds of one window over which the rate of reading from the remote store is measured."),
    int("remote.log.reader.threads").default("10").at_least(1).cluster_wide()
        .doc("Threads that read from the remote store."),
    int("remote.log.reader.max.pending.tasks").default("100").at_least(1)
        .doc("Reads from the remote store that may wait."),
    int("remote.fetch.max.wait.ms").default("500").at_least(1).cluster_wide()
        .doc("Milliseconds for which a fetch waits for the remote store."),
    long("remote.list.offsets.request.timeout.ms").default("30000").at_least(1).cluster_wide()
        .doc("Milliseconds for which a lookup by time waits for the remote store."),
    boolean("follower.fetch.last.tiered.offset.enable").default("false").cluster_wide()
        .doc("Whether an empty follower begins behind what the remote store holds."),
];
