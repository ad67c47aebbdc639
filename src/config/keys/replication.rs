//! Replicas and leaders: fetching from leaders, in-sync rules, elections.

use super::Key;
use super::row::{boolean, int};

#[rustfmt::skip] // a table: a row is a line of facts and a line of prose
pub(super) const KEYS: &[Key] = &[
    int("min.insync.replicas").default("1").at_least(1).cluster_wide().effective()
        .doc("Replicas, the leader included, that must be in sync for a write with acks=all to be taken."),
    boolean("unclean.leader.election.enable").default("false").cluster_wide()
        .doc("Whether a replica that is out of sync may become leader when no other is left. Acknowledged records can be lost."),
];
