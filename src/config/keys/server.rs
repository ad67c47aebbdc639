//! Connections, requests, fetch sessions, topic creation, quotas and metrics.

use super::Key;
use super::row::{boolean, class, int, list, long, string};

#[rustfmt::skip] // a table: a row is a line of facts and a line of prose
pub(super) const KEYS: &[Key] = &[
    boolean("auto.create.topics.enable").default("true").effective()
        .doc("Whether a client that names an unknown topic creates it, with num.partitions and default.replication.factor."),
    int("num.partitions").default("1").at_least(1).effective()
        .doc("Partitions of a topic that is created without a count."),
    int("default.replication.factor").default("1").effective()
        .doc("Replicas of a topic that is created without a factor."),
    boolean("delete.topic.enable").default("true").effective()
        .doc("Whether topics may be deleted; otherwise the request is refused."),
    long("connections.max.idle.ms").default("600000").effective()
        .doc("Milliseconds of silence after which a connection is closed. A negative value: never."),
    int("max.connections").default("2147483647").at_least(0).cluster_wide().effective()
        .doc("Connections that the broker serves at once."),
    int("max.connections.per.ip").default("2147483647").at_least(0).cluster_wide().effective()
        .doc("Connections that one client address may hold at once."),
    string("max.connections.per.ip.overrides").default("").cluster_wide()
        .doc("Other limits for single addresses, as host:count pairs."),
    int("max.connection.creation.rate").default("2147483647").at_least(0).cluster_wide()
        .doc("New connections per second that the broker takes."),
    int("socket.send.buffer.bytes").default("102400").effective()
        .doc("Bytes of a client socket's send buffer. -1: as the system decides."),
    int("socket.receive.buffer.bytes").default("102400").effective()
        .doc("Bytes of a client socket's receive buffer. -1: as the system decides."),
    int("socket.request.max.bytes").default("104857600").at_least(1).effective()
        .doc("Bytes of the largest request; a connection that announces more is closed."),
    int("socket.listen.backlog.size").default("50").at_least(1)
        .doc("Connections that may wait to be accepted."),
    int("fetch.max.bytes").default("57671680").at_least(1024).effective()
        .doc("Bytes of the largest answer to a fetch, except that its first batch always goes out whole."),
    int("max.incremental.fetch.session.cache.slots").default("1000").at_least(0).effective()
        .doc("Fetch sessions that the broker remembers; clients beyond them send full requests."),
    int("num.network.threads").default("3").at_least(1).cluster_wide()
        .doc("Threads for the network. Corelane has none: shards do that work, see shard.count."),
    int("num.io.threads").default("8").at_least(1).cluster_wide()
        .doc("Threads that handle requests. Corelane has none: shards do that work, see shard.count."),
    int("background.threads").default("10").at_least(1).cluster_wide()
        .doc("Threads for housekeeping. Corelane has none: each shard keeps its own house."),
    int("queued.max.requests").default("500").at_least(1)
        .doc("Requests that may wait to be handled. Corelane counts their bytes instead, see shard.request.memory.bytes."),
    long("queued.max.request.bytes").default("-1")
        .doc("Bytes of requests that may wait to be handled; -1: no limit. Corelane's limit is shard.request.memory.bytes."),
    int("max.request.partition.size.limit").default("2000").at_least(1)
        .doc("Partitions that one DescribeTopicPartitions answer may hold."),
    int("request.timeout.ms").default("30000")
        .doc("Milliseconds to wait for the answer to a request that this broker sends."),
    long("socket.connection.setup.timeout.ms").default("10000")
        .doc("Milliseconds to wait for a connection that this broker opens, at the first attempt."),
    long("socket.connection.setup.timeout.max.ms").default("30000")
        .doc("Milliseconds to which the wait for a connection may grow over repeated attempts."),
    int("fetch.purgatory.purge.interval.requests").default("1000")
        .doc("Finished fetches after which waiting ones are tidied up. Corelane forgets each as it finishes."),
    int("producer.purgatory.purge.interval.requests").default("1000")
        .doc("Finished produce requests after which waiting ones are tidied up. Corelane forgets each as it finishes."),
    int("delete.records.purgatory.purge.interval.requests").default("1")
        .doc("Finished DeleteRecords requests after which waiting ones are tidied up. Corelane forgets each as it finishes."),
    int("share.fetch.purgatory.purge.interval.requests").default("1000")
        .doc("Finished share fetches after which waiting ones are tidied up."),
    int("quota.window.num").default("11").at_least(1)
        .doc("Windows over which a client's rate is measured for its quota."),
    int("quota.window.size.seconds").default("1").at_least(1)
        .doc("Seconds of one window over which a client's rate is measured."),
    int("controller.quota.window.num").default("11").at_least(1)
        .doc("Windows over which the rate of topic changes is measured for its quota."),
    int("controller.quota.window.size.seconds").default("1").at_least(1)
        .doc("Seconds of one window over which the rate of topic changes is measured."),
    class("client.quota.callback.class")
        .doc("A Java class that decides quotas. There is no JVM here to run it."),
    list("metric.reporters").default("org.apache.kafka.common.metrics.JmxReporter").cluster_wide()
        .doc("Java classes that receive metrics. There is no JVM here to run them; metrics are served over HTTP."),
    int("metrics.num.samples").default("2").at_least(1)
        .doc("Samples that a metric's rate is taken over."),
    long("metrics.sample.window.ms").default("30000").at_least(1)
        .doc("Milliseconds of one sample of a metric's rate."),
    string("metrics.recording.level").default("INFO")
        .doc("How much is measured: INFO, DEBUG or TRACE."),
    list("kafka.metrics.reporters").default("")
        .doc("Java classes that receive the older metrics. There is no JVM here to run them."),
    int("kafka.metrics.polling.interval.secs").default("10").at_least(1)
        .doc("Seconds between two reports to the classes of kafka.metrics.reporters."),
    int("telemetry.max.bytes").default("1048576").at_least(1)
        .doc("Bytes of one push of metrics from a client, as compressed."),
    list("config.providers").default("").cluster_wide()
        .doc("Names of Java classes that look values up elsewhere. There is no JVM here to run them."),
];
