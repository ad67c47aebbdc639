//! The Kafka protocol, sans-IO: bytes to messages and back.
//!
//! Framing, headers, our own Produce and Fetch codec, and the generated messages of everything else behind our names.
//! Knows bytes only: no sockets, no state, no meaning of a request.

mod api_key;
pub mod fetch;
mod frame;
mod header;
pub mod list_offsets_v0;
pub mod messages;
pub mod offset_commit_v1;
pub mod primitives;
pub mod produce;
mod response;
mod shape;
pub mod share_fetch;
#[cfg(test)]
mod tests;

pub use api_key::{ApiKey, is_flexible, is_response_header_flexible};
pub use frame::{FrameError, frame_len};
pub use header::{HeaderError, RequestHeader, parse_response};
pub use primitives::DecodeError;
pub use response::ResponseBody;
