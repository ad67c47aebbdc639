//! Corelane's own keys: shards, their memory, and the disk's reserve. Kafka ignores them.

use super::Key;
use super::row::{boolean, int, list, long, string};

#[rustfmt::skip] // a table: a row is a line of facts and a line of prose
pub(super) const KEYS: &[Key] = &[
    int("shard.count").at_least(1).own()
        .doc("Shards of this broker, one thread and one core each. Unset: one per core that the process may use."),
    list("shard.cpus").own()
        .doc("The cores to pin the shards to, as in 0-3,5. Unset: the cores of the process's affinity mask."),
    list("shard.nodes.listeners").own()
        .doc("Listeners on which each shard is a node of its own besides, on the ports behind the listener's (9092: shard 0 on 9093, shard 1 on 9094): clients send what they ask of a partition to the core that owns it. Clients must reach those ports."),
    long("shard.io.memory.bytes").default("8388608").at_least(262144).own()
        .doc("Bytes of registered I/O buffers per shard, locked in memory: the sum over all shards must fit into RLIMIT_MEMLOCK."),
    long("shard.cache.bytes").at_least(0).own()
        .doc("Bytes of recent batches that a shard keeps in memory for readers, at most. What was written has 32 MiB at first, and more, for good, as readers come for what had to leave it; an eighth of the whole is for what is read ahead. Unset: the shards share an eighth of the memory that the machine or the control group has, 64 MiB each at least."),
    long("shard.request.memory.bytes").default("134217728").at_least(1048576).own()
        .doc("Bytes of request bodies a shard admits at once; beyond them it stops reading from its connections. A fourth of it is kept for bodies of up to a 64th."),
    long("shard.fetch.memory.bytes").default("67108864").at_least(1048576).own()
        .doc("Bytes of fetched batches that a shard holds until they are sent; beyond them fetches get less, and reads from the disk wait."),
    int("shard.catchup.reads.max").default("8").at_least(1).own()
        .doc("Reads from the disk that a shard has in flight for consumers and replicas; more wait in turn."),
    long("shard.catchup.bytes.per.second").default("67108864").at_least(0).own()
        .doc("Bytes a second of those reads while the same shard writes, and more where producers append more than half of it; where nothing is written there is no limit. 0: never a limit."),
    long("shard.catchup.replica.bytes.per.second").default("8388608").at_least(0).own()
        .doc("The same for replicas that are behind, as those of a broker that comes back: apart from consumers, and from replicas that producers wait for. Each broker reads faster than producers append to what it lacks, and at least once a second."),
    long("shard.hang.abort.ms").default("10000").at_least(100).own()
        .doc("Milliseconds a shard may stand still before the process aborts, so that other brokers take over."),
    long("log.dir.min.free.bytes").default("1073741824").at_least(0).own()
        .doc("Bytes to leave free in each log directory; below them produce is refused with a retriable error and fetches go on. 0: no reserve."),
    long("journal.bytes").default("67108864").at_least(0).own()
        .doc("Bytes of the journal that each shard has in each log directory, made once several partitions have small batches at the same time: these go out in one write. 0: none, every partition is written by itself."),
    boolean("log.dir.volatile.enable").default("false").own()
        .doc("Whether a log directory may lie on a file system in memory (tmpfs, ramfs), which a reboot empties. For tests."),
    string("tuning.profile").default("auto").choices(&["auto", "prod", "latency", "container", "dev", "none"]).own()
        .doc("Which rows of tuning/knobs.tsv are looked at when the broker starts, a warning for each that is wrong. auto: dev on loopback alone, else by where it runs."),
    string("admin.listener").default("127.0.0.1:9644").own()
        .doc("Address, as host:port, of the HTTP port for metrics, health and the status page. It asks for no password: keep it on loopback or behind a firewall. Empty or port 0: no such port."),
    boolean("metrics.histograms.enable").default("true").own()
        .doc("Whether the time of requests is measured, by stage. Costs a few clock readings per request."),
    string("log.level").default("info").own()
        .doc("What is logged: error, warn, info, debug or trace, and other levels for single loggers, as in info,corelane.storage=debug. CORELANE_LOG in the environment goes over it."),
    int("metrics.partitions.max").default("20000").at_least(0).own()
        .doc("Partitions that have metrics of their own; those beyond are left out, and counted as such."),
    int("metrics.group.offsets.max").default("20000").at_least(0).own()
        .doc("Groups, and partitions that they have committed offsets of, that have metrics of their own; those beyond are left out, and counted as such."),
    long("request.slow.log.ms").default("1000").at_least(0).own()
        .doc("Milliseconds from which a request is logged with the time of its stages, a long poll's wait not counted. 0: never."),
];
