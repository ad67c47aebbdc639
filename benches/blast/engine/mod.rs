//! The load generator: a workload against a bootstrap address, and what was seen.
//!
//! ```text
//!   run ─┬─ producer threads   schedule → senders (a link each) → answers → recorder
//!        ├─ reader threads     a fetch in flight per link → stamps → delivery, recorder
//!        └─ this thread        phases, probes, progress
//! ```

pub mod arrival;
pub mod batch;
pub mod clock;
pub mod delivery;
mod epoll;
mod link;
pub mod probe;
mod producer;
pub mod random;
mod reader;
pub mod recorder;
mod request;
mod run;
mod sender;
mod shared;
mod stamp;
mod topology;
pub mod workload;

pub use run::{Outcome, Side, run};
pub use topology::Topology;
