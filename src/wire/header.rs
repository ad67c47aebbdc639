//! Request headers, parsed by ourselves before any generated code sees a byte.
use bytes::Bytes;

/// An API key that we know by name. Which keys and versions are served is `api`'s list, not this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiKey(pub i16);
#[derive(Clone, Debug)]
pub struct RequestHeader {
    pub api_key: ApiKey,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<Bytes>,
}
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("request header is cut short")]
    Short,
    #[error("client id is not valid")]
    ClientId,
    #[error("tag section is not valid")]
    Tags,
}
impl RequestHeader {
    /// Key, version and correlation id only: what is needed to decide whether the request is known at all.
    pub fn peek(frame: &[u8]) -> Result<(ApiKey, i16, i32), HeaderError> {
        let _ = frame;
        todo!()
    }
    /// The whole header; `flexible` (from api's list) says whether it is header v2 with a tag section. Returns the body.
    pub fn parse(frame: Bytes, flexible: bool) -> Result<(RequestHeader, Bytes), HeaderError> {
        let _ = (frame, flexible);
        todo!()
    }
}
