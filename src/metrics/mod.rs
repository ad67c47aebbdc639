//! THE tables of metrics and of stages, and the per-shard cells behind them.
//!
//! One row per metric; `metrics.add(Metric::X, n)` at the site; Prometheus text derives from the table. Times go into
//! histograms, by stage and by API; partitions, topics, groups and connections have cells of their own in a directory, and the
//! control thread has its own.
//!
//! Invariants: a shard writes its own cells alone and never waits for a reader; a reader never asks a shard. So a scrape costs
//! the shards nothing, whatever the number of partitions.

mod cells;
mod control;
mod directory;
mod groups;
mod histogram;
mod stage;
mod table;
mod text;

pub use cells::{API_KEYS_MAX, Cells, Registry};
pub use control::{Commits, ControlCells, Elections, QuorumRole, QuorumView};
pub use directory::{
    ConnectionCells, Connections, Directory, Entry, LogPosition, PartitionCells, Partitions, TOPICS_MAX, TopicCells,
    Topics, Traffic,
};
pub use groups::{GroupCells, GroupEntry, GroupOffset, Groups};
pub use histogram::{Histogram, Snapshot};
pub use stage::{STAGES, Spent, Stage};
pub use table::{METRICS, Metric, MetricKind};
pub use text::{Labels, Text};
