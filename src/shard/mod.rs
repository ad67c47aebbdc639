//! The pump, its messages, and the router that api asks.

mod router;
mod types;

pub use router::Router;
pub use types::*;
