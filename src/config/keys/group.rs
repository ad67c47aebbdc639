//! The keys of single groups, by name. The broker's key of the same matter is the default; two more of them say what a
//! group may set.

use super::Key;
use super::row::int;

#[rustfmt::skip] // a table: a row is a line of facts and a line of prose
pub(super) const KEYS: &[Key] = &[
    int("consumer.assignment.interval.ms").default("1000").at_least(0).topic(&["group.consumer.assignment.interval.ms"]).effective()
        .doc("Milliseconds between two assignments of the group (consumer protocol)."),
    int("consumer.heartbeat.interval.ms").default("5000").at_least(1).topic(&["group.consumer.heartbeat.interval.ms"]).effective()
        .doc("Milliseconds between two heartbeats of a member of the group (consumer protocol)."),
    int("consumer.session.timeout.ms").default("45000").at_least(1).topic(&["group.consumer.session.timeout.ms"]).effective()
        .doc("Milliseconds of silence after which a member of the group is dropped (consumer protocol)."),
];
