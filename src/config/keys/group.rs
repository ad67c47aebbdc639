//! The keys of single groups, by name. The broker's key of the same matter is the default; two more of them say what a
//! group may set.

use super::Key;
use super::row::{boolean, int, string};

#[rustfmt::skip] // a table: a row is a line of facts and a line of prose
pub(super) const KEYS: &[Key] = &[
    int("consumer.assignment.interval.ms").default("1000").at_least(0).topic(&["group.consumer.assignment.interval.ms"]).effective()
        .doc("Milliseconds between two assignments of the group (consumer protocol)."),
    int("consumer.heartbeat.interval.ms").default("5000").at_least(1).topic(&["group.consumer.heartbeat.interval.ms"]).effective()
        .doc("Milliseconds between two heartbeats of a member of the group (consumer protocol)."),
    int("consumer.session.timeout.ms").default("45000").at_least(1).topic(&["group.consumer.session.timeout.ms"]).effective()
        .doc("Milliseconds of silence after which a member of the group is dropped (consumer protocol)."),
    string("share.auto.offset.reset").default("latest").topic(&[]).effective()
        .doc("Where a share group begins to read a partition: earliest, latest, or by_duration: and an ISO 8601 duration."),
    int("share.delivery.count.limit").default("5").at_least(2).topic(&["group.share.delivery.count.limit"]).effective()
        .doc("Times that a record is offered to the share group before it is given up."),
    string("share.isolation.level").default("read_uncommitted").choices(&["read_uncommitted", "read_committed"]).topic(&[]).effective()
        .doc("Whether the share group reads records of transactions that are not committed."),
    int("share.partition.max.record.locks").default("2000").at_least(100).topic(&["group.share.partition.max.record.locks"]).effective()
        .doc("Records of one partition that the share group may hold at once."),
    int("share.record.lock.duration.ms").default("30000").at_least(1000).topic(&["group.share.record.lock.duration.ms"]).effective()
        .doc("Milliseconds for which a record belongs to the member that was offered it."),
    boolean("share.renew.acknowledge.enable").default("true").topic(&[]).effective()
        .doc("Whether members of the share group may ask for more time for a record."),
];
