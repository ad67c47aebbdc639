//! Connections, requests, fetch sessions, topic creation, quotas and metrics.

use super::Key;
use super::row::{boolean, int, long, string};

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
];
