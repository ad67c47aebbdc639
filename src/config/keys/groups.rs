//! Groups and transactions: coordinators, their topics, share and streams groups.

use super::Key;
use super::row::{boolean, int, list, long, short, string};

#[rustfmt::skip] // a table: a row is a line of facts and a line of prose
pub(super) const KEYS: &[Key] = &[
    list("group.coordinator.rebalance.protocols").default("classic,consumer,streams").choices(&["consumer", "classic", "share", "streams"]).effective()
        .doc("The group protocols that are served."),
    int("group.coordinator.threads").default("4").at_least(1)
        .doc("Threads that serve groups. Corelane has none: shards do that work."),
    int("group.coordinator.background.threads").default("2").at_least(1)
        .doc("Threads for the coordinator's side work. Corelane has none: shards do that work."),
    int("group.coordinator.append.linger.ms").default("-1").at_least(-1)
        .doc("Milliseconds for which a coordinator gathers records before it writes them. -1: as the load suggests."),
    int("group.coordinator.cached.buffer.max.bytes").default("1048588").at_least(524288).cluster_wide()
        .doc("Bytes of the largest write buffer that a coordinator keeps for reuse."),
    int("group.min.session.timeout.ms").default("6000").effective()
        .doc("Milliseconds of the shortest session timeout that a member may ask for (classic protocol)."),
    int("group.max.session.timeout.ms").default("1800000").effective()
        .doc("Milliseconds of the longest session timeout that a member may ask for (classic protocol)."),
    int("group.initial.rebalance.delay.ms").default("3000").effective()
        .doc("Milliseconds for which a new group waits for more members before its first assignment (classic protocol)."),
    int("group.max.size").default("2147483647").at_least(1).effective()
        .doc("Members that a group may have (classic protocol)."),
    int("group.consumer.session.timeout.ms").default("45000").at_least(1).effective()
        .doc("Milliseconds of silence after which a member is dropped (consumer protocol)."),
    int("group.consumer.min.session.timeout.ms").default("45000").at_least(1).effective()
        .doc("Milliseconds of the shortest session timeout that a group may set (consumer protocol)."),
    int("group.consumer.max.session.timeout.ms").default("60000").at_least(1).effective()
        .doc("Milliseconds of the longest session timeout that a group may set (consumer protocol)."),
    int("group.consumer.heartbeat.interval.ms").default("5000").at_least(1).effective()
        .doc("Milliseconds between two heartbeats of a member (consumer protocol)."),
    int("group.consumer.min.heartbeat.interval.ms").default("5000").at_least(1).effective()
        .doc("Milliseconds of the shortest heartbeat interval that a group may set (consumer protocol)."),
    int("group.consumer.max.heartbeat.interval.ms").default("15000").at_least(1).effective()
        .doc("Milliseconds of the longest heartbeat interval that a group may set (consumer protocol)."),
    int("group.consumer.assignment.interval.ms").default("1000").at_least(0).cluster_wide().effective()
        .doc("Milliseconds between two assignments of a group (consumer protocol)."),
    int("group.consumer.min.assignment.interval.ms").default("0").at_least(0).effective()
        .doc("Milliseconds of the shortest assignment interval that a group may set (consumer protocol)."),
    int("group.consumer.max.assignment.interval.ms").default("15000").at_least(0).effective()
        .doc("Milliseconds of the longest assignment interval that a group may set (consumer protocol)."),
    int("group.consumer.max.size").default("2147483647").at_least(1).effective()
        .doc("Members that a group may have (consumer protocol)."),
    list("group.consumer.assignors").default("uniform,range").choices(&["uniform", "range"]).effective()
        .doc("The assignors offered, the default one first (consumer protocol): uniform, range."),
    string("group.consumer.migration.policy").default("bidirectional").choices(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]).any_case().effective()
        .doc("Which groups with members may change protocol: upgrade (classic to consumer), downgrade, bidirectional or disabled."),
    int("group.consumer.regex.refresh.interval.ms").default("600000").at_least(10000).internal().effective()
        .doc("Milliseconds after which a subscription by pattern is matched again."),
    int("group.share.session.timeout.ms").default("45000").at_least(1).effective()
        .doc("Milliseconds of silence after which a share group's member is dropped."),
    int("group.share.min.session.timeout.ms").default("45000").at_least(1)
        .doc("Milliseconds of the shortest session timeout that a share group may set."),
    int("group.share.max.session.timeout.ms").default("60000").at_least(1)
        .doc("Milliseconds of the longest session timeout that a share group may set."),
    int("group.share.heartbeat.interval.ms").default("5000").at_least(1).effective()
        .doc("Milliseconds between two heartbeats of a share group's member."),
    int("group.share.min.heartbeat.interval.ms").default("5000").at_least(1)
        .doc("Milliseconds of the shortest heartbeat interval that a share group may set."),
    int("group.share.max.heartbeat.interval.ms").default("15000").at_least(1)
        .doc("Milliseconds of the longest heartbeat interval that a share group may set."),
    int("group.share.assignment.interval.ms").default("1000").at_least(0).cluster_wide()
        .doc("Milliseconds between two assignments of a share group."),
    int("group.share.min.assignment.interval.ms").default("0").at_least(0)
        .doc("Milliseconds of the shortest assignment interval that a share group may set."),
    int("group.share.max.assignment.interval.ms").default("15000").at_least(0)
        .doc("Milliseconds of the longest assignment interval that a share group may set."),
    int("group.share.max.size").default("200").between(1.0, 1000.0).effective()
        .doc("Members that a share group may have."),
    list("group.share.assignors").default("simple")
        .doc("The assignor of share groups: simple."),
    int("group.share.delivery.count.limit").default("5").between(2.0, 10.0).effective()
        .doc("Times that a record is offered to a share group before it is given up."),
    int("group.share.min.delivery.count.limit").default("2").between(2.0, 5.0).effective()
        .doc("Lowest limit of deliveries that a share group may set."),
    int("group.share.max.delivery.count.limit").default("10").between(5.0, 25.0).effective()
        .doc("Highest limit of deliveries that a share group may set."),
    int("group.share.record.lock.duration.ms").default("30000").between(1000.0, 3600000.0).effective()
        .doc("Milliseconds for which a record belongs to the member that was offered it."),
    int("group.share.min.record.lock.duration.ms").default("15000").between(1000.0, 30000.0).effective()
        .doc("Milliseconds of the shortest record lock that a share group may set."),
    int("group.share.max.record.lock.duration.ms").default("60000").between(30000.0, 3600000.0).effective()
        .doc("Milliseconds of the longest record lock that a share group may set."),
    int("group.share.partition.max.record.locks").default("2000").between(100.0, 10000.0).effective()
        .doc("Records of one partition that a share group may hold at once."),
    int("group.share.min.partition.max.record.locks").default("100").between(100.0, 2000.0).effective()
        .doc("Lowest limit of locked records per partition that a share group may set."),
    int("group.share.max.partition.max.record.locks").default("4000").between(2000.0, 10000.0).effective()
        .doc("Highest limit of locked records per partition that a share group may set."),
    int("group.share.max.share.sessions").default("2000").at_least(1).effective()
        .doc("Share sessions that the broker remembers."),
    int("group.share.initialize.retry.interval.ms").default("30000").at_least(1).internal()
        .doc("Milliseconds before a share group's state is asked to be set up again."),
    string("group.share.persister.class.name").default("org.apache.kafka.server.share.persister.DefaultStatePersister").internal()
        .doc("The Java class that keeps a share group's state. There is no JVM here to run it."),
    int("group.streams.session.timeout.ms").default("45000").at_least(1)
        .doc("Milliseconds of silence after which a streams group's member is dropped."),
    int("group.streams.min.session.timeout.ms").default("45000").at_least(1)
        .doc("Milliseconds of the shortest session timeout that a streams group may set."),
    int("group.streams.max.session.timeout.ms").default("60000").at_least(1)
        .doc("Milliseconds of the longest session timeout that a streams group may set."),
    int("group.streams.heartbeat.interval.ms").default("5000").at_least(1)
        .doc("Milliseconds between two heartbeats of a streams group's member."),
    int("group.streams.min.heartbeat.interval.ms").default("5000").at_least(1)
        .doc("Milliseconds of the shortest heartbeat interval that a streams group may set."),
    int("group.streams.max.heartbeat.interval.ms").default("15000").at_least(1)
        .doc("Milliseconds of the longest heartbeat interval that a streams group may set."),
    int("group.streams.assignment.interval.ms").default("1000").at_least(0).cluster_wide()
        .doc("Milliseconds between two assignments of a streams group."),
    int("group.streams.min.assignment.interval.ms").default("0").at_least(0)
        .doc("Milliseconds of the shortest assignment interval that a streams group may set."),
    int("group.streams.max.assignment.interval.ms").default("15000").at_least(0)
        .doc("Milliseconds of the longest assignment interval that a streams group may set."),
    int("group.streams.initial.rebalance.delay.ms").default("3000").at_least(0)
        .doc("Milliseconds for which a new streams group waits for more members before its first assignment."),
    int("group.streams.max.size").default("2147483647").at_least(1)
        .doc("Members that a streams group may have."),
    int("group.streams.num.standby.replicas").default("0").at_least(0)
        .doc("Standby copies of each task's state."),
    int("group.streams.max.standby.replicas").default("2").at_least(0)
        .doc("Most standby copies that a streams group may set."),
    int("offset.metadata.max.bytes").default("4096").effective()
        .doc("Bytes of the note that a client may store with a committed offset."),
    int("offsets.topic.num.partitions").default("50").at_least(1).effective()
        .doc("Partitions of the topic that keeps committed offsets. Not to be changed once it exists."),
    short("offsets.topic.replication.factor").default("3").at_least(1).effective()
        .doc("Replicas of the topic that keeps committed offsets. It cannot be created until as many brokers are there."),
    int("offsets.topic.segment.bytes").default("104857600").at_least(1).effective()
        .doc("Segment bytes of the topic that keeps committed offsets."),
    int("offsets.topic.compression.codec").default("0").effective()
        .doc("The codec of the topic that keeps committed offsets, by its number: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."),
    int("offsets.commit.timeout.ms").default("5000").at_least(1).effective()
        .doc("Milliseconds for which an offset commit waits for its replicas."),
    int("offsets.load.buffer.size").default("5242880").at_least(1).effective()
        .doc("Bytes to read at a time when offsets are loaded."),
    int("offsets.retention.minutes").default("10080").at_least(1).effective()
        .doc("Minutes for which an idle group's offsets are kept."),
    long("offsets.retention.check.interval.ms").default("600000").at_least(1).effective()
        .doc("Milliseconds between two looks for committed offsets that have passed their retention."),
    int("transaction.state.log.num.partitions").default("50").at_least(1).effective()
        .doc("Partitions of the topic that keeps the transactions' state. Not to be changed once it exists."),
    short("transaction.state.log.replication.factor").default("3").at_least(1).effective()
        .doc("Replicas of the topic that keeps the transactions' state. It cannot be created until as many brokers are there."),
    int("transaction.state.log.min.isr").default("2").at_least(1).effective()
        .doc("Replicas of the topic that keeps the transactions' state that must be in sync for a write."),
    int("transaction.state.log.segment.bytes").default("104857600").at_least(1).effective()
        .doc("Segment bytes of the topic that keeps the transactions' state."),
    int("transaction.state.log.load.buffer.size").default("5242880").at_least(1)
        .doc("Bytes to read at a time when transactions are loaded."),
    int("transaction.max.timeout.ms").default("900000").at_least(1).effective()
        .doc("Milliseconds of the longest transaction timeout that a producer may ask for."),
    int("transactional.id.expiration.ms").default("604800000").at_least(1).effective()
        .doc("Milliseconds of silence after which a transactional id is forgotten."),
    int("transaction.abort.timed.out.transaction.cleanup.interval.ms").default("10000").at_least(1)
        .doc("Milliseconds between two looks for transactions to abort. Corelane does not look: it aborts when the time has come."),
    int("transaction.remove.expired.transaction.cleanup.interval.ms").default("3600000").at_least(1)
        .doc("Milliseconds between two looks for transactional ids to forget. Corelane does not look: it forgets when the time has come."),
    boolean("transaction.partition.verification.enable").default("true").cluster_wide().effective()
        .doc("Whether a write is checked to belong to an open transaction."),
    boolean("transaction.two.phase.commit.enable").default("false")
        .doc("Whether producers may leave the outcome of a transaction to an outside coordinator."),
    int("add.partitions.to.txn.retry.backoff.ms").default("20").at_least(1).effective()
        .doc("Milliseconds before the broker tries again to add a partition to a transaction."),
    int("add.partitions.to.txn.retry.backoff.max.ms").default("100").at_least(0).effective()
        .doc("Milliseconds for which the broker goes on trying to add a partition to a transaction."),
    int("share.coordinator.threads").default("1").at_least(1)
        .doc("Threads that keep share groups' state."),
    int("share.coordinator.append.linger.ms").default("-1").at_least(-1)
        .doc("Milliseconds for which share groups' state is gathered before it is written. -1: as the load suggests."),
    int("share.coordinator.cached.buffer.max.bytes").default("1048588").at_least(524288).cluster_wide()
        .doc("Bytes of the largest write buffer that the share coordinator keeps for reuse."),
    int("share.coordinator.load.buffer.size").default("5242880").at_least(1)
        .doc("Bytes to read at a time when share groups' state is loaded."),
    int("share.coordinator.write.timeout.ms").default("5000").at_least(1).effective()
        .doc("Milliseconds for which a write of share groups' state waits for its replicas."),
    int("share.coordinator.snapshot.update.records.per.snapshot").default("500").between(0.0, 500.0)
        .doc("Updates between two snapshots of the state of a share group's partition."),
    int("share.coordinator.cold.partition.snapshot.interval.ms").default("300000").at_least(1).internal()
        .doc("Milliseconds after which a share group's state of a quiet partition is written again."),
    int("share.coordinator.state.topic.num.partitions").default("50").at_least(1).effective()
        .doc("Partitions of the topic that keeps share groups' state. Not to be changed once it exists."),
    short("share.coordinator.state.topic.replication.factor").default("3").at_least(1).effective()
        .doc("Replicas of the topic that keeps share groups' state. It cannot be created until as many brokers are there."),
    short("share.coordinator.state.topic.min.isr").default("2").at_least(1).effective()
        .doc("Replicas of the topic that keeps share groups' state that must be in sync for a write."),
    int("share.coordinator.state.topic.segment.bytes").default("104857600").at_least(1).effective()
        .doc("Segment bytes of the topic that keeps share groups' state."),
    int("share.coordinator.state.topic.compression.codec").default("0").effective()
        .doc("The codec of the topic that keeps share groups' state, by its number: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."),
    int("share.coordinator.state.topic.prune.interval.ms").default("300000").at_least(1).internal()
        .doc("Milliseconds between two cuts of the old records of the topic that keeps share groups' state."),
];
