//! Keys that Kafka knew up to some 3.x and 4.3 does not: files carry them for years.

use super::Key;
use super::row::{boolean, int, list, long, password, short, string};

#[rustfmt::skip] // a table: a row is a line of facts and a line of prose
pub(super) const KEYS: &[Key] = &[
    string("zookeeper.connect").old()
        .doc("The ZooKeeper ensemble that kept the cluster's metadata, as host:port lists with an optional path."),
    int("zookeeper.session.timeout.ms").default("18000").old()
        .doc("Milliseconds of silence after which ZooKeeper dropped a broker."),
    int("zookeeper.connection.timeout.ms").old()
        .doc("Milliseconds to wait for a connection to ZooKeeper."),
    int("zookeeper.sync.time.ms").default("2000").old()
        .doc("Milliseconds a ZooKeeper follower could lag behind its leader."),
    int("zookeeper.max.in.flight.requests").default("10").at_least(1).old()
        .doc("Requests to ZooKeeper that could be on their way at once."),
    boolean("zookeeper.set.acl").default("false").old()
        .doc("Whether the znodes got access rules."),
    boolean("zookeeper.metadata.migration.enable").default("false").old()
        .doc("Whether metadata moved from ZooKeeper to the controllers."),
    int("zookeeper.metadata.migration.min.batch.size").default("200").at_least(1).old()
        .doc("Records per batch of the move of metadata from ZooKeeper."),
    string("zookeeper.clientCnxnSocket").old()
        .doc("The Java class of the connection to ZooKeeper."),
    boolean("zookeeper.ssl.client.enable").default("false").old()
        .doc("Whether ZooKeeper was spoken to over TLS."),
    list("zookeeper.ssl.cipher.suites").old()
        .doc("Cipher suites towards ZooKeeper."),
    boolean("zookeeper.ssl.crl.enable").default("false").old()
        .doc("Whether ZooKeeper's certificate was looked up in revocation lists."),
    list("zookeeper.ssl.enabled.protocols").old()
        .doc("TLS versions towards ZooKeeper."),
    string("zookeeper.ssl.endpoint.identification.algorithm").default("HTTPS").old()
        .doc("How ZooKeeper's host name was checked."),
    string("zookeeper.ssl.keystore.location").old()
        .doc("The key store towards ZooKeeper."),
    password("zookeeper.ssl.keystore.password").old()
        .doc("The password of the key store towards ZooKeeper."),
    string("zookeeper.ssl.keystore.type").old()
        .doc("The format of the key store towards ZooKeeper."),
    boolean("zookeeper.ssl.ocsp.enable").default("false").old()
        .doc("Whether ZooKeeper's certificate was checked online."),
    string("zookeeper.ssl.protocol").default("TLSv1.2").old()
        .doc("The TLS version towards ZooKeeper."),
    string("zookeeper.ssl.truststore.location").old()
        .doc("The trust store towards ZooKeeper."),
    password("zookeeper.ssl.truststore.password").old()
        .doc("The password of the trust store towards ZooKeeper."),
    string("zookeeper.ssl.truststore.type").old()
        .doc("The format of the trust store towards ZooKeeper."),
    int("port").default("9092").old()
        .doc("The port to listen on, before listeners."),
    string("host.name").default("").old()
        .doc("The host to listen on, before listeners."),
    int("advertised.port").old()
        .doc("The port that clients were told, before advertised.listeners."),
    string("advertised.host.name").old()
        .doc("The host that clients were told, before advertised.listeners."),
    boolean("broker.id.generation.enable").default("true").old()
        .doc("Whether ZooKeeper gave a broker its number."),
    int("reserved.broker.max.id").default("1000").at_least(0).old()
        .doc("The highest number that was not given out by itself."),
    string("inter.broker.protocol.version").default("3.9-IV0").old()
        .doc("The version that brokers spoke among themselves during an upgrade."),
    string("log.message.format.version").default("3.0-IV1").old()
        .doc("The record format that was written."),
    boolean("log.message.downconversion.enable").default("true").old()
        .doc("Whether records were converted for old consumers."),
    long("log.message.timestamp.difference.max.ms").default("9223372036854775807").at_least(0).old()
        .doc("Milliseconds between a record's timestamp and the broker's clock; now log.message.timestamp.before.max.ms and .after.max.ms."),
    string("control.plane.listener.name").old()
        .doc("The listener for the controller's requests."),
    int("controlled.shutdown.max.retries").default("3").old()
        .doc("Attempts at a controlled shutdown."),
    long("controlled.shutdown.retry.backoff.ms").default("5000").old()
        .doc("Milliseconds between two attempts at a controlled shutdown."),
    int("leader.imbalance.per.broker.percentage").default("10").old()
        .doc("Percent of a broker's leaderships that could be misplaced before they were moved."),
    short("offsets.commit.required.acks").default("-1").old()
        .doc("Acks that an offset commit waited for."),
    password("delegation.token.master.key").old()
        .doc("The older name of delegation.token.secret.key."),
    boolean("auto.include.jmx.reporter").default("true").old()
        .doc("Whether metrics were offered by JMX without being asked for."),
    boolean("alter.config.policy.kraft.compatibility.enable").default("false").old()
        .doc("Which values alter.config.policy.class.name was shown."),
    boolean("eligible.leader.replicas.enable").default("false").old()
        .doc("Whether eligible leader replicas were kept; now a feature level."),
    boolean("group.coordinator.new.enable").default("false").old()
        .doc("Whether the newer group coordinator ran."),
    boolean("group.share.enable").default("false").old()
        .doc("Whether share groups were served; now a feature level."),
    short("group.share.max.groups").default("10").between(1.0, 100.0).old()
        .doc("Share groups per broker."),
    int("metadata.log.segment.min.bytes").default("8388608").at_least(12).old()
        .doc("The lower bound of metadata.log.segment.bytes."),
    password("password.encoder.secret").old()
        .doc("The secret that encrypted passwords in ZooKeeper."),
    password("password.encoder.old.secret").old()
        .doc("The secret that encrypted passwords in ZooKeeper before the last change."),
    string("password.encoder.keyfactory.algorithm").old()
        .doc("How the secret for passwords in ZooKeeper was made into a key."),
    string("password.encoder.cipher.algorithm").default("AES/CBC/PKCS5Padding").old()
        .doc("The cipher of passwords in ZooKeeper."),
    int("password.encoder.key.length").default("128").at_least(8).old()
        .doc("Bits of the key that encrypted passwords in ZooKeeper."),
    int("password.encoder.iterations").default("4096").at_least(1024).old()
        .doc("Rounds of making the key that encrypted passwords in ZooKeeper."),
    long("quota.producer.default").default("9223372036854775807").at_least(1).old()
        .doc("Bytes per second of a producer; quotas are set at run time now."),
    long("quota.consumer.default").default("9223372036854775807").at_least(1).old()
        .doc("Bytes per second of a consumer; quotas are set at run time now."),
];
