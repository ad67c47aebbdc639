//! A shard's bounded cache of recent batches, all partitions together, favouring tails; and catch-up readers' read-ahead.
/// A chunk read ahead from the disk.
pub struct ReadAhead {}
pub struct Cache {}
impl Cache {
    pub fn new(limit_bytes: usize) -> Cache {
        let _ = limit_bytes;
        todo!()
    }
    pub fn bytes(&self) -> usize {
        todo!()
    }
    pub fn admit_read(&mut self, chunk: ReadAhead) {
        let _ = chunk;
        todo!()
    }
}
