//! The Kafka protocol, sans-IO: framing, headers, our own Produce and Fetch codec, and the generated messages of everything
//! else behind our names. Knows bytes only: no sockets, no state.

pub mod fetch;
mod frame;
mod header;
pub mod messages;
pub mod produce;
mod response;

pub use frame::{FrameError, frame_len};
pub use header::{ApiKey, HeaderError, RequestHeader};
pub use response::ResponseBody;
