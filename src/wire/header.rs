//! Request and response headers, parsed by ourselves before any generated code sees a byte.
//!
//! ```text
//! request   api_key i16 | api_version i16 | correlation_id i32 | client_id nullable string | tags (flexible versions)
//! response  correlation_id i32 | tags (flexible versions, never ApiVersions)
//! ```
//! The client id keeps its two-byte length in flexible versions too.

use bytes::Bytes;

use super::ApiKey;
use super::primitives::{Reader, Writer};
use super::response::ResponseBody;

/// A request's header. The client id shares the frame's buffer: copy it to keep it longer than the request.
#[derive(Clone, Debug)]
pub struct RequestHeader {
    pub api_key: ApiKey,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<Bytes>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("header is cut short")]
    Short,
    #[error("client id is not valid")]
    ClientId,
    #[error("tag section is not valid")]
    Tags,
}

impl RequestHeader {
    /// Key, version and correlation id only: what is needed to decide whether the request is known at all.
    pub fn peek(frame: &[u8]) -> Result<(ApiKey, i16, i32), HeaderError> {
        let [k0, k1, v0, v1, c0, c1, c2, c3] = *frame.first_chunk::<8>().ok_or(HeaderError::Short)?;
        let key = ApiKey(i16::from_be_bytes([k0, k1]));
        Ok((key, i16::from_be_bytes([v0, v1]), i32::from_be_bytes([c0, c1, c2, c3])))
    }

    /// The whole header, and the body behind it; `flexible` says whether it is header v2, which has a tag section.
    pub fn parse(frame: Bytes, flexible: bool) -> Result<(RequestHeader, Bytes), HeaderError> {
        let (api_key, api_version, correlation_id) = RequestHeader::peek(&frame)?;
        let after_ids = frame.slice(FIXED_BYTES..);
        let mut reader = Reader::new(&after_ids, false);
        let client_id = reader.nullable_string().map_err(|_| HeaderError::ClientId)?;
        let body = skip_header_tags(reader.rest(), flexible)?;
        Ok((
            RequestHeader {
                api_key,
                api_version,
                correlation_id,
                client_id,
            },
            body,
        ))
    }

    /// The frame of a request: length, this header, and the body's slices behind it, none of them copied.
    pub fn frame(&self, flexible: bool, body: Vec<Bytes>) -> Vec<Bytes> {
        let client_id = self.client_id.as_deref();
        let mut writer = Writer::new(false, FIXED_BYTES + 7 + client_id.map_or(0, <[u8]>::len));
        writer.i16(self.api_key.0);
        writer.i16(self.api_version);
        writer.i32(self.correlation_id);
        writer.nullable_string(client_id);
        if flexible {
            writer.i8(NO_TAGS);
        }
        let mut slices = writer.finish();
        slices.extend(body);
        ResponseBody { slices }.prefix_len()
    }
}

/// A response's header: the correlation id, and the body behind it. `flexible` is
/// [`super::is_response_header_flexible`].
pub fn parse_response(frame: Bytes, flexible: bool) -> Result<(i32, Bytes), HeaderError> {
    let correlation_id = i32::from_be_bytes(*frame.first_chunk::<4>().ok_or(HeaderError::Short)?);
    let body = skip_header_tags(frame.slice(4..), flexible)?;
    Ok((correlation_id, body))
}

const FIXED_BYTES: usize = 8;
const NO_TAGS: i8 = 0;

fn skip_header_tags(bytes: Bytes, flexible: bool) -> Result<Bytes, HeaderError> {
    let mut reader = Reader::new(&bytes, flexible);
    reader.skip_tags().map_err(|_| HeaderError::Tags)?;
    Ok(reader.rest())
}
