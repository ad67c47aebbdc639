//! THE table of metrics, and the per-shard cells behind it.
//!
//! One row per metric; `metrics.add(Metric::X, n)` at the site; Prometheus text derives from the table.

mod cells;
mod table;
mod text;

pub use cells::{Cells, Registry};
pub use table::{METRICS, Metric, MetricKind};
