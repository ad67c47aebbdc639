//! Who this broker is, what it listens on, and its place in the cluster: ids, listeners, controller quorum, metadata log.

use super::Key;
use super::row::{boolean, class, int, list, long, string};

#[rustfmt::skip] // a table: a row is a line of facts and a line of prose
pub(super) const KEYS: &[Key] = &[
    int("broker.id").default("-1").effective()
        .doc("This broker's number, different on each broker. The same as node.id, under its older name; -1: not set."),
    int("node.id").at_least(0).effective()
        .doc("This broker's number, different on each broker. Unset: broker.id, or 0 if that is not set either."),
    list("process.roles").choices(&["broker", "controller"]).effective()
        .doc("The roles of this process. broker,controller is the same as unset; broker: it follows the controllers of controller.quorum.voters and is none of them; controller: it keeps the metadata with the others and holds no partitions."),
    string("broker.rack").effective()
        .doc("The rack or zone this broker stands in, for placing replicas apart."),
    // Kafka can also change listeners and their map at run time; here that needs a restart, and says so.
    list("listeners").default("PLAINTEXT://:9092").effective()
        .doc("The addresses to listen on: name://host:port, separated by commas, each name and port once. An empty host: all addresses."),
    list("advertised.listeners").effective()
        .doc("The addresses that clients are told to connect to, one per listener. Unset: as listeners, with this host's name for an empty host."),
    string("listener.security.protocol.map").default("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT").effective()
        .doc("Which protocol each listener name speaks, as name:protocol pairs. Only PLAINTEXT listeners are served so far."),
    list("early.start.listeners")
        .doc("Listeners that open before the authorizer is ready."),
    string("inter.broker.listener.name").effective()
        .doc("The listener that brokers use among themselves. Unset: the one that security.inter.broker.protocol names."),
    string("security.inter.broker.protocol").default("PLAINTEXT").choices(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
        .doc("The protocol that brokers speak among themselves. Not to be set together with inter.broker.listener.name."),
    list("controller.listener.names").effective()
        .doc("The listener of the controller quorum; clients do not get it. A node that keeps its metadata alone does not open it; where process.roles is broker it names the controllers' listener, and is not in listeners."),
    list("controller.quorum.voters").default("").effective()
        .doc("The controllers of a cluster, as id@host:port, the same on each node; host and port are those of their controller listeners. Unset, or only this node: it keeps its metadata alone, unless controller.quorum.bootstrap.servers is set."),
    list("controller.quorum.bootstrap.servers").default("").effective()
        .doc("Where a node finds controllers, as host:port, in place of controller.quorum.voters, beside which it has no effect: they name the others. A controller that finds only itself begins a quorum, to which others are added by kafka-metadata-quorum.sh add-controller; one that finds others waits to be added."),
    boolean("controller.quorum.auto.join.enable").default("false")
        .doc("Whether a new controller joins the quorum by itself."),
    int("controller.quorum.election.timeout.ms").default("1000").at_least(0).effective()
        .doc("Milliseconds without word from the quorum's leader before an election."),
    int("controller.quorum.election.backoff.max.ms").default("1000").at_least(0)
        .doc("Milliseconds of the longest pause between two elections."),
    int("controller.quorum.fetch.timeout.ms").default("2000").at_least(0)
        .doc("Milliseconds after which a controller that cannot fetch stands for election, and a leader that nobody fetches from resigns."),
    int("controller.quorum.fetch.max.bytes").default("1048576").at_least(1)
        .doc("Bytes of metadata log per fetch within the quorum."),
    int("controller.quorum.fetch.snapshot.max.bytes").default("1048576").at_least(1)
        .doc("Bytes of snapshot per fetch within the quorum."),
    int("controller.quorum.request.timeout.ms").default("2000").at_least(0).effective()
        .doc("Milliseconds to wait for an answer within the quorum."),
    int("controller.quorum.retry.backoff.ms").default("20").at_least(0)
        .doc("Milliseconds before a request within the quorum is tried again."),
    int("controller.quorum.append.linger.ms").default("25").at_least(0)
        .doc("Milliseconds for which the quorum's leader gathers records before it writes them."),
    int("controller.socket.timeout.ms").default("30000")
        .doc("Milliseconds to wait for an answer between controller and brokers."),
    long("controller.performance.sample.period.ms").default("60000").at_least(100).internal()
        .doc("Milliseconds between two log lines on the controller's performance."),
    long("controller.performance.always.log.threshold.ms").default("2000").at_least(0).internal()
        .doc("Milliseconds above which a controller event is logged by itself."),
    int("broker.heartbeat.interval.ms").default("2000").effective()
        .doc("Milliseconds between two heartbeats of a broker to the controller."),
    int("broker.session.timeout.ms").default("9000").effective()
        .doc("Milliseconds without a heartbeat after which the controller takes a broker's leaderships away; where its process has ended it does so at once. A shard that stands still for a third of it stops the heartbeat."),
    int("initial.broker.registration.timeout.ms").default("60000")
        .doc("Milliseconds a starting broker tries to register before it gives up."),
    long("server.max.startup.time.ms").default("9223372036854775807").at_least(0).internal()
        .doc("Milliseconds a start may take."),
    boolean("controlled.shutdown.enable").default("true").effective()
        .doc("Whether a stopping broker first hands its leaderships over."),
    string("metadata.log.dir").effective()
        .doc("The directory of the metadata log. Unset: the first log directory."),
    int("metadata.log.segment.bytes").default("1073741824").at_least(8388608)
        .doc("Bytes of a segment of the metadata log."),
    long("metadata.log.segment.ms").default("604800000")
        .doc("Milliseconds after which a segment of the metadata log is sealed."),
    long("metadata.log.max.record.bytes.between.snapshots").default("20971520").at_least(1)
        .doc("Bytes of metadata records after which a snapshot is due."),
    long("metadata.log.max.snapshot.interval.ms").default("3600000").at_least(0)
        .doc("Milliseconds after which a snapshot is due, if anything changed. 0: never by time."),
    int("metadata.max.idle.interval.ms").default("500").at_least(0)
        .doc("Milliseconds without a record after which the quorum's leader writes an empty one. 0: never."),
    long("metadata.max.retention.bytes").default("104857600")
        .doc("Bytes of metadata log and snapshots to keep."),
    long("metadata.max.retention.ms").default("604800000")
        .doc("Milliseconds for which metadata log and snapshots are kept."),
    int("internal.metadata.log.segment.bytes").internal()
        .doc("Bytes of a segment of the metadata log, without a lower bound: for tests."),
    int("internal.metadata.max.batch.size.in.bytes").default("8388608").internal()
        .doc("Bytes of the largest batch in the metadata log."),
    long("internal.metadata.delete.delay.millis").default("60000").internal()
        .doc("Milliseconds between giving up a file of the metadata log and removing it."),
    boolean("unstable.api.versions.enable").default("false").internal()
        .doc("Whether unfinished versions of the protocol are offered."),
    boolean("unstable.feature.versions.enable").default("false").internal()
        .doc("Whether unfinished feature levels may be chosen."),
    class("create.topic.policy.class.name")
        .doc("A Java class that may refuse new topics. There is no JVM here to run it."),
    class("alter.config.policy.class.name")
        .doc("A Java class that may refuse changes of configuration. There is no JVM here to run it."),
];
