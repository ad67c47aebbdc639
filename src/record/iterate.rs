//! The records inside a batch, bounded on hostile input.

use bytes::Bytes;

use super::{BatchError, BatchHeader};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub key: Bytes,
    pub value: Option<Bytes>,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}
/// Iterates over one batch; decompresses once, into one buffer of at most `max_len` bytes.
pub struct Records {}
impl Records {
    pub fn of(header: &BatchHeader, batch: Bytes, max_len: usize) -> Result<Records, BatchError> {
        let _ = (header, batch, max_len);
        todo!()
    }
}
impl Iterator for Records {
    type Item = Result<Record, BatchError>;
    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}
