//! A response as slices that go out in one vectored write: length, header, body.

use bytes::{BufMut, Bytes, BytesMut};

/// The body of a response: slices in order. Record data stays where it lies.
#[derive(Default, Debug)]
pub struct ResponseBody {
    pub slices: Vec<Bytes>,
}

impl ResponseBody {
    pub fn one(bytes: Bytes) -> ResponseBody {
        ResponseBody { slices: vec![bytes] }
    }

    /// Prepends frame length, correlation id and, where `flexible_header`, the empty tag section.
    pub fn frame(self, correlation_id: i32, flexible_header: bool) -> Vec<Bytes> {
        let mut header = BytesMut::with_capacity(LEN_BYTES + 5);
        let header_len = if flexible_header { 5 } else { 4 };
        header.put_slice(&frame_len_prefix(header_len + self.total_len()));
        header.put_i32(correlation_id);
        if flexible_header {
            header.put_u8(0);
        }
        self.behind(header.freeze())
    }

    pub fn total_len(&self) -> usize {
        self.slices.iter().map(Bytes::len).sum()
    }

    /// Prepends the frame length alone, for slices that begin with their header.
    pub(super) fn prefix_len(self) -> Vec<Bytes> {
        let prefix = Bytes::copy_from_slice(&frame_len_prefix(self.total_len()));
        self.behind(prefix)
    }

    fn behind(self, first: Bytes) -> Vec<Bytes> {
        let mut slices = Vec::with_capacity(1 + self.slices.len());
        slices.push(first);
        slices.extend(self.slices);
        slices
    }
}

const LEN_BYTES: usize = 4;

fn frame_len_prefix(len: usize) -> [u8; LEN_BYTES] {
    i32::try_from(len)
        .expect("a message is bounded far below 2 GiB by the limits on what fills it")
        .to_be_bytes()
}
