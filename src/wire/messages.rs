//! The generated messages, behind our own two functions, with a cap on the body size.
//! Re-exports of the message structs that `api` uses live here, one `pub use` line per API.
use bytes::Bytes;

#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error("request body of {len} bytes exceeds the limit of {limit} for this API")]
    TooLarge { len: usize, limit: usize },
    #[error("{0}")]
    Broken(String),
}
/// A generated request that can be read. Implemented for each re-exported request by one macro row.
pub trait Decode: Sized {
    fn decode(body: Bytes, version: i16, limit: usize) -> Result<Self, MessageError>;
}
/// A generated message that can be written.
pub trait Encode {
    fn encode(&self, version: i16) -> Result<Bytes, MessageError>;
}
