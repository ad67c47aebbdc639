//! Builds a v2 batch: for the command line's producer, re-compression and tests.

use bytes::Bytes;

use super::{Compression, Header};

pub struct BatchBuilder {}
impl BatchBuilder {
    pub fn new(compression: Compression) -> BatchBuilder {
        let _ = compression;
        todo!()
    }
    /// Producer id, epoch and base sequence.
    pub fn producer(self, id: i64, epoch: i16, base_sequence: i32) -> BatchBuilder {
        let _ = (id, epoch, base_sequence);
        todo!()
    }
    pub fn push(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header]) {
        let _ = (timestamp, key, value, headers);
        todo!()
    }
    pub fn len(&self) -> usize {
        todo!()
    } // records
    pub fn is_empty(&self) -> bool {
        todo!()
    }
    /// Uncompressed size so far in bytes.
    pub fn size(&self) -> usize {
        todo!()
    }
    pub fn build(self) -> Bytes {
        todo!()
    }
}
