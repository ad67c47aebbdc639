//! The topic keys, by name.

use super::Key;
use super::row::{boolean, double, int, list, long, string};
use super::storage::{FLUSH, RETENTION, ROLL, ROLL_JITTER};

#[rustfmt::skip] // a table: a row is a line of facts and a line of prose
pub(super) const KEYS: &[Key] = &[
    list("cleanup.policy").default("delete").choices(&["compact", "delete"]).topic(&["log.cleanup.policy"]).effective()
        .doc("What happens to old segments: delete drops them, compact keeps the newest record of each key; both may be given."),
    int("compression.gzip.level").default("-1").between(1.0, 9.0).choices(&["-1"]).topic(&["compression.gzip.level"]).effective()
        .doc("Effort of gzip, 1 (fast) to 9 (small), or -1 for its own default. Used when compression.type is gzip."),
    int("compression.lz4.level").default("9").between(1.0, 17.0).topic(&["compression.lz4.level"]).effective()
        .doc("Effort of lz4, 1 (fast) to 17 (small). Used when compression.type is lz4."),
    string("compression.type").default("producer").choices(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]).topic(&["compression.type"]).effective()
        .doc("The codec batches are stored in. producer keeps each batch as it was sent, which costs nothing; any other value makes the broker compress again where the codecs differ."),
    int("compression.zstd.level").default("3").between(-131072.0, 22.0).topic(&["compression.zstd.level"]).effective()
        .doc("Effort of zstd, from -131072 (fast) to 22 (small). Used when compression.type is zstd."),
    long("delete.retention.ms").default("86400000").at_least(0).topic(&["log.cleaner.delete.retention.ms"]).effective()
        .doc("Milliseconds for which compaction keeps the tombstone of a deleted key."),
    long("file.delete.delay.ms").default("60000").at_least(0).topic(&["log.segment.delete.delay.ms"]).effective()
        .doc("Milliseconds for which the files of a removed segment stay, renamed to end in .deleted. A full log directory does not wait."),
    long("flush.messages").default("9223372036854775807").at_least(1).topic(&["log.flush.interval.messages"]).effective()
        .doc("1: an acknowledged record survives a power cut, each write is synced. Any other value: no sync per write; an acknowledged record survives a killed process."),
    long("flush.ms").default("9223372036854775807").at_least(0).topic(FLUSH).effective()
        .doc("Milliseconds after which written records are synced in the background, to about two seconds. It does not delay acknowledgements."),
    list("follower.replication.throttled.replicas").default("").topic(&[]).effective()
        .doc("Replicas whose copying is throttled on the follower: partition:broker pairs, or * for all."),
    int("index.interval.bytes").default("4096").at_least(0).topic(&["log.index.interval.bytes"]).effective()
        .doc("Bytes of log between two entries of the offset index."),
    int("internal.segment.bytes").topic(&[]).internal().effective()
        .doc("Bytes of a segment, without the lower bound of segment.bytes: for tests."),
    list("leader.replication.throttled.replicas").default("").topic(&[]).effective()
        .doc("Replicas whose copying is throttled on the leader: partition:broker pairs, or * for all."),
    long("local.retention.bytes").default("-2").at_least(-2).topic(&["log.local.retention.bytes"])
        .doc("With tiered storage: bytes of a partition kept on the broker's own disk. -2: as retention.bytes."),
    long("local.retention.ms").default("-2").at_least(-2).topic(&["log.local.retention.ms"])
        .doc("With tiered storage: milliseconds a segment stays on the broker's own disk. -2: as retention.ms."),
    long("max.compaction.lag.ms").default("9223372036854775807").at_least(1).topic(&["log.cleaner.max.compaction.lag.ms"]).effective()
        .doc("Milliseconds after which a record must have been considered for compaction."),
    int("max.message.bytes").default("1048588").at_least(0).topic(&["message.max.bytes"]).effective()
        .doc("Bytes of the largest record batch that is taken, as compressed by the producer."),
    long("message.timestamp.after.max.ms").default("3600000").at_least(0).topic(&["log.message.timestamp.after.max.ms"]).effective()
        .doc("Milliseconds a record's timestamp may lie ahead of the broker's clock. Not checked with LogAppendTime."),
    long("message.timestamp.before.max.ms").default("9223372036854775807").at_least(0).topic(&["log.message.timestamp.before.max.ms"]).effective()
        .doc("Milliseconds a record's timestamp may lie behind the broker's clock. Not checked with LogAppendTime."),
    string("message.timestamp.type").default("CreateTime").choices(&["CreateTime", "LogAppendTime"]).topic(&["log.message.timestamp.type"]).effective()
        .doc("Whose clock stamps the records: the producer's (CreateTime) or the broker's at the time of appending."),
    double("min.cleanable.dirty.ratio").default("0.5").between(0.0, 1.0).topic(&["log.cleaner.min.cleanable.ratio"]).effective()
        .doc("Share of a log that must be uncompacted before compaction takes it up, 0 to 1."),
    long("min.compaction.lag.ms").default("0").at_least(0).topic(&["log.cleaner.min.compaction.lag.ms"]).effective()
        .doc("Milliseconds for which a record is left alone by compaction."),
    int("min.insync.replicas").default("1").at_least(1).topic(&["min.insync.replicas"]).effective()
        .doc("Replicas, the leader included, that must be in sync for a write with acks=all to be taken."),
    boolean("preallocate").default("false").topic(&["log.preallocate"])
        .doc("Whether segments are allocated at their full size. Corelane always allocates ahead of need."),
    boolean("remote.log.copy.disable").default("false").topic(&[])
        .doc("With tiered storage: stop copying segments away, keep reading those that were."),
    boolean("remote.log.delete.on.disable").default("false").topic(&[])
        .doc("With tiered storage: delete the remote segments when it is switched off for the topic."),
    boolean("remote.storage.enable").default("false").topic(&[])
        .doc("Whether the topic's old segments move to tiered storage."),
    long("retention.bytes").default("-1").topic(&["log.retention.bytes"]).effective()
        .doc("Bytes to which a partition (not the topic) may grow before its oldest segments are deleted. -1: no limit."),
    long("retention.ms").default("604800000").at_least(-1).topic(RETENTION).effective()
        .doc("Milliseconds for which records are kept before their segment is deleted. -1: for ever."),
    int("segment.bytes").default("1073741824").at_least(1048576).topic(&["log.segment.bytes"]).effective()
        .doc("Bytes at which a segment is sealed and the next one begins."),
    int("segment.index.bytes").default("10485760").at_least(4).topic(&["log.index.size.max.bytes"]).effective()
        .doc("Bytes to which a segment's offset index may grow; a full index seals the segment."),
    long("segment.jitter.ms").default("0").at_least(0).topic(ROLL_JITTER).effective()
        .doc("Milliseconds of which a random share is taken off segment.ms, so that segments do not all roll at once."),
    long("segment.ms").default("604800000").at_least(1).topic(ROLL).effective()
        .doc("Milliseconds after which a segment that holds records is sealed, however small."),
    boolean("unclean.leader.election.enable").default("false").topic(&["unclean.leader.election.enable"]).effective()
        .doc("Whether a replica that is out of sync may become leader when no other is left. Acknowledged records can be lost."),
];
