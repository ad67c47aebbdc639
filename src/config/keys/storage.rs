//! The log: directories, segments, retention, flushing, compaction, and the defaults of topics.

use super::Key;
use super::row::{boolean, double, int, list, long, string};

// What decides one thing, strongest first: the topic keys take their defaults from the same lists.
pub(super) const RETENTION: &[&str] = &["log.retention.ms", "log.retention.minutes", "log.retention.hours"];
pub(super) const ROLL: &[&str] = &["log.roll.ms", "log.roll.hours"];
pub(super) const ROLL_JITTER: &[&str] = &["log.roll.jitter.ms", "log.roll.jitter.hours"];
pub(super) const FLUSH: &[&str] = &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];

#[rustfmt::skip] // a table: a row is a line of facts and a line of prose
pub(super) const KEYS: &[Key] = &[
    list("log.dir").default("/tmp/kafka-logs").effective()
        .doc("The directory that partitions are stored in, when log.dirs is not set."),
    list("log.dirs").effective()
        .doc("The directories that partitions are stored in, one per disk, separated by commas. Unset: log.dir."),
    list("cordoned.log.dirs").default("").per_broker()
        .doc("Log directories that get no new partitions; * for all of them."),
    long("log.dir.failure.timeout.ms").default("30000").at_least(1)
        .doc("Milliseconds for which a broker may fail to tell the controller of a failed log directory before it stops."),
    int("log.segment.bytes").default("1073741824").at_least(1048576).cluster_wide().effective()
        .doc("Bytes at which a segment is sealed and the next one begins."),
    long("log.roll.ms").cluster_wide().synonyms(ROLL).effective()
        .doc("Milliseconds after which a segment that holds records is sealed, however small. Unset: log.roll.hours."),
    int("log.roll.hours").default("168").at_least(1).synonyms(ROLL).effective()
        .doc("Hours after which a segment that holds records is sealed. log.roll.ms wins over it."),
    long("log.roll.jitter.ms").cluster_wide().synonyms(ROLL_JITTER).effective()
        .doc("Milliseconds of which a random share is taken off log.roll.ms. Unset: log.roll.jitter.hours."),
    int("log.roll.jitter.hours").default("0").at_least(0).synonyms(ROLL_JITTER).effective()
        .doc("Hours of which a random share is taken off log.roll.ms. log.roll.jitter.ms wins over it."),
    long("log.retention.ms").cluster_wide().synonyms(RETENTION).effective()
        .doc("Milliseconds for which records are kept; -1: for ever. Wins over log.retention.minutes and log.retention.hours."),
    int("log.retention.minutes").synonyms(RETENTION).effective()
        .doc("Minutes for which records are kept. Wins over log.retention.hours."),
    int("log.retention.hours").default("168").synonyms(RETENTION).effective()
        .doc("Hours for which records are kept, when neither log.retention.ms nor log.retention.minutes is set."),
    long("log.retention.bytes").default("-1").cluster_wide().effective()
        .doc("Bytes to which each partition (not the broker) may grow before its oldest segments are deleted. -1: no limit."),
    long("log.retention.check.interval.ms").default("300000").at_least(1).effective()
        .doc("Milliseconds between two looks for segments that have passed their retention."),
    list("log.cleanup.policy").default("delete").choices(&["compact", "delete"]).cluster_wide().effective()
        .doc("What happens to old segments: delete drops them, compact keeps the newest record of each key; both may be given."),
    long("log.segment.delete.delay.ms").default("60000").at_least(0).cluster_wide().effective()
        .doc("Milliseconds for which the files of a removed segment stay, renamed to end in .deleted. A full log directory does not wait."),
    int("log.index.interval.bytes").default("4096").at_least(0).cluster_wide().effective()
        .doc("Bytes of log between two entries of the offset index."),
    int("log.index.size.max.bytes").default("10485760").at_least(4).cluster_wide().effective()
        .doc("Bytes to which a segment's offset index may grow; a full index seals the segment."),
    long("log.flush.interval.messages").default("9223372036854775807").at_least(1).cluster_wide().effective()
        .doc("1: an acknowledged record survives a power cut, each write is synced. Any other value: no sync per write; an acknowledged record survives a killed process."),
    long("log.flush.interval.ms").cluster_wide().synonyms(FLUSH).effective()
        .doc("Milliseconds after which written records are synced in the background, to about two seconds. Unset: log.flush.scheduler.interval.ms."),
    long("log.flush.scheduler.interval.ms").default("9223372036854775807").synonyms(FLUSH).effective()
        .doc("The default of log.flush.interval.ms. Corelane looks about every two seconds for logs that are due."),
    int("log.flush.offset.checkpoint.interval.ms").default("60000").at_least(0).effective()
        .doc("Milliseconds between two writes of the recovery point: what lies before it is not scanned after a crash."),
    int("log.flush.start.offset.checkpoint.interval.ms").default("60000").at_least(0)
        .doc("Milliseconds between two writes of the log start offsets that DeleteRecords moved."),
    boolean("log.preallocate").default("false").cluster_wide()
        .doc("Whether segments are allocated at their full size. Corelane always allocates ahead of need."),
    string("log.message.timestamp.type").default("CreateTime").choices(&["CreateTime", "LogAppendTime"]).cluster_wide().effective()
        .doc("Whose clock stamps the records: the producer's (CreateTime) or the broker's at the time of appending."),
    long("log.message.timestamp.before.max.ms").default("9223372036854775807").at_least(0).cluster_wide().effective()
        .doc("Milliseconds a record's timestamp may lie behind the broker's clock. Not checked with LogAppendTime."),
    long("log.message.timestamp.after.max.ms").default("3600000").at_least(0).cluster_wide().effective()
        .doc("Milliseconds a record's timestamp may lie ahead of the broker's clock. Not checked with LogAppendTime."),
    int("message.max.bytes").default("1048588").at_least(0).cluster_wide().effective()
        .doc("Bytes of the largest record batch that is taken, as compressed by the producer."),
    string("compression.type").default("producer").choices(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]).cluster_wide().effective()
        .doc("The codec batches are stored in. producer keeps each batch as it was sent, which costs nothing."),
    int("compression.gzip.level").default("-1").between(1.0, 9.0).choices(&["-1"]).cluster_wide().effective()
        .doc("Effort of gzip, 1 (fast) to 9 (small), or -1 for its own default. Used when compression.type is gzip."),
    int("compression.lz4.level").default("9").between(1.0, 17.0).cluster_wide().effective()
        .doc("Effort of lz4, 1 (fast) to 17 (small). Used when compression.type is lz4."),
    int("compression.zstd.level").default("3").between(-131072.0, 22.0).cluster_wide().effective()
        .doc("Effort of zstd, from -131072 (fast) to 22 (small). Used when compression.type is zstd."),
    int("producer.id.expiration.ms").default("86400000").at_least(1).cluster_wide().effective()
        .doc("Milliseconds after its last write for which an idempotent producer's sequence numbers are remembered."),
    int("producer.id.expiration.check.interval.ms").default("600000").at_least(1).internal()
        .doc("Milliseconds between two looks for producers to forget."),
    int("num.recovery.threads.per.data.dir").default("2").at_least(1).cluster_wide()
        .doc("Threads per log directory for recovery. Corelane recovers each partition on the shard that owns it."),
    long("log.initial.task.delay.ms").default("30000").at_least(0).internal()
        .doc("Milliseconds after the start before retention, flush and checkpoints begin."),
    boolean("log.cleaner.enable").default("true").effective()
        .doc("Whether compaction runs at all."),
    int("log.cleaner.threads").default("1").at_least(0).cluster_wide()
        .doc("Threads that compact logs."),
    double("log.cleaner.io.max.bytes.per.second").default("1.7976931348623157E308").cluster_wide().effective()
        .doc("Bytes per second that compaction may read and write, over all shards."),
    long("log.cleaner.dedupe.buffer.size").default("134217728").cluster_wide().effective()
        .doc("Bytes of memory for the keys that compaction compares, over all shards; 64 bytes hold one. A log with more keys is compacted in several rounds."),
    int("log.cleaner.io.buffer.size").default("524288").at_least(0).cluster_wide()
        .doc("Bytes of compaction's I/O buffers, over all its threads."),
    double("log.cleaner.io.buffer.load.factor").default("0.9").cluster_wide()
        .doc("How full the table of keys may become, 0 to 1."),
    long("log.cleaner.backoff.ms").default("15000").at_least(0).cluster_wide().effective()
        .doc("Milliseconds between two looks at whether a log is to be compacted."),
    double("log.cleaner.min.cleanable.ratio").default("0.5").between(0.0, 1.0).cluster_wide().effective()
        .doc("Share of a log that must be uncompacted before compaction takes it up, 0 to 1."),
    long("log.cleaner.delete.retention.ms").default("86400000").at_least(0).cluster_wide().effective()
        .doc("Milliseconds for which compaction keeps the tombstone of a deleted key."),
    long("log.cleaner.min.compaction.lag.ms").default("0").at_least(0).cluster_wide().effective()
        .doc("Milliseconds for which a record is left alone by compaction."),
    long("log.cleaner.max.compaction.lag.ms").default("9223372036854775807").at_least(1).cluster_wide().effective()
        .doc("Milliseconds after which a record must have been considered for compaction."),
];
