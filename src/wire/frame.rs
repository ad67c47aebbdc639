//! The four-byte length before every request and response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("frame length {0} is negative")]
    Negative(i32),
    #[error("frame of {len} bytes exceeds the limit of {limit}")]
    TooLarge { len: i32, limit: i32 },
}
/// The body length announced by a frame's first four bytes, checked against `limit` (socket.request.max.bytes).
pub fn frame_len(prefix: [u8; 4], limit: i32) -> Result<usize, FrameError> {
    let _ = (prefix, limit);
    todo!()
}
