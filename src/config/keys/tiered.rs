//! Tiered storage: old segments in a remote store. None of it is served.

use super::Key;
use super::row::long;

#[rustfmt::skip] // a table: a row is a line of facts and a line of prose
pub(super) const KEYS: &[Key] = &[
    long("log.local.retention.bytes").default("-2").at_least(-2).cluster_wide()
        .doc("Bytes of a partition kept on the broker's own disk. -2: as log.retention.bytes."),
    long("log.local.retention.ms").default("-2").at_least(-2).cluster_wide()
        .doc("Milliseconds a segment stays on the broker's own disk. -2: as log.retention.ms."),
];
