//! The four-byte length before every request and response.

/// A frame length that the connection cannot go on from: whoever meets one closes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("frame length {0} is negative")]
    Negative(i32),
    #[error("frame of {len} bytes exceeds the limit of {limit}")]
    TooLarge { len: i32, limit: i32 },
}

/// The body length announced by a frame's first four bytes, checked against `limit` (socket.request.max.bytes).
pub fn frame_len(prefix: [u8; 4], limit: i32) -> Result<usize, FrameError> {
    let len = i32::from_be_bytes(prefix);
    if len > limit {
        return Err(FrameError::TooLarge { len, limit });
    }
    usize::try_from(len).map_err(|_| FrameError::Negative(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length is taken up to the limit itself; one more, and any negative one, ends the connection.
    #[test]
    fn frame_len_is_held_to_the_limit() {
        assert_eq!(frame_len([0, 0, 0, 0], 100), Ok(0));
        assert_eq!(frame_len([0, 0, 0, 100], 100), Ok(100));
        assert_eq!(
            frame_len([0, 0, 0, 101], 100),
            Err(FrameError::TooLarge { len: 101, limit: 100 })
        );
        assert_eq!(frame_len([0xff; 4], 100), Err(FrameError::Negative(-1)));
        assert_eq!(
            frame_len([0x80, 0, 0, 0], i32::MAX),
            Err(FrameError::Negative(i32::MIN))
        );
        assert_eq!(frame_len([0x7f, 0xff, 0xff, 0xff], i32::MAX), Ok(i32::MAX as usize));
    }
}
