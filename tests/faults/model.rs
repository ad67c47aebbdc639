//! What a log must hold: every batch that was staged, and how far each promise goes.

use bytes::Bytes;

/// A batch as it must lie in the log.
#[derive(Clone)]
pub struct Batch {
    pub base_offset: i64,
    pub next_offset: i64,
    pub epoch: i32,
    pub bytes: Bytes,
}

/// One log's history, over all its processes. Offsets are dense from 0.
#[derive(Default)]
pub struct Model {
    pub batches: Vec<Batch>,
    /// The written cursor: acknowledged, so it survives a killed process.
    pub written: i64,
    /// Survives a power cut.
    pub durable: i64,
    /// The log start: what lies below may be gone.
    pub start: i64,
    /// Since the log was last opened.
    pub power_was_cut: bool,
}

impl Model {
    pub fn end(&self) -> i64 {
        self.batches.last().map_or(0, |batch| batch.next_offset)
    }

    /// Below this offset everything must be there at the next opening.
    pub fn promised(&self) -> i64 {
        if self.power_was_cut { self.durable } else { self.written }
    }

    /// What was staged behind the end that a recovery found never was.
    pub fn recovered(&mut self, end: i64) {
        self.batches.retain(|batch| batch.next_offset <= end);
        self.written = end;
        self.durable = end;
        self.power_was_cut = false;
    }

    /// The log is being cut to end at `offset` at most: nothing behind it is promised any more, but it may still be there.
    pub fn cutting(&mut self, offset: i64) {
        let kept = self.batches.iter().rfind(|batch| batch.next_offset <= offset);
        let end = kept.map_or(0, |batch| batch.next_offset);
        self.written = self.written.min(end);
        self.durable = self.durable.min(end);
        self.start = self.start.min(offset);
    }

    pub fn between(&self, from: i64, to: i64) -> impl Iterator<Item = &Batch> {
        let inside = move |batch: &&Batch| batch.next_offset > from && batch.base_offset < to;
        self.batches.iter().filter(inside)
    }

    /// The end offset of an epoch: where the next larger one begins.
    pub fn end_of_epoch(&self, epoch: i32) -> i64 {
        let next = self.batches.iter().find(|batch| batch.epoch > epoch);
        next.map_or(self.written, |batch| batch.base_offset.min(self.written))
    }

    /// Stands for the producers' state at an offset: changes with every batch below.
    pub fn producers_at(&self, offset: i64) -> Vec<u8> {
        let below = self.batches.iter().filter(|batch| batch.next_offset <= offset);
        let crc = below.fold(0, |crc, batch| crc32c::crc32c_append(crc, &batch.bytes));
        format!("{offset} {crc}").into_bytes()
    }
}
