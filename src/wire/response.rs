//! A response as slices that go out in one vectored write: length, header, body.
use bytes::Bytes;

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
        let _ = (correlation_id, flexible_header);
        todo!()
    }
    pub fn total_len(&self) -> usize {
        self.slices.iter().map(Bytes::len).sum()
    }
}
