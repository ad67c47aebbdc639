//! What waits for the high watermark: every staged batch, and the acks that its clients wait for.

use std::collections::VecDeque;

/// The shard's name for one partition of one produce request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckToken {
    pub request: u64,
    pub slot: u32,
}

/// Staged batches above the high watermark, in offset order. Its length is bounded by what the log stages before it
/// refuses with a backlog, and by the produce requests that the connections admit.
#[derive(Debug, Default)]
pub(super) struct Pending {
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Visible, and acknowledged, once the high watermark is here.
    next_offset: i64,
    /// 0 for a duplicate, which waits with the original.
    bytes: u64,
    ack: Option<AckToken>,
}

impl Pending {
    /// A batch that was staged behind all others.
    pub(super) fn push(&mut self, next_offset: i64, bytes: usize, ack: Option<AckToken>) {
        debug_assert!(self.entries.back().is_none_or(|last| last.next_offset <= next_offset));
        self.entries.push_back(Entry {
            next_offset,
            bytes: bytes as u64,
            ack,
        });
    }

    /// A duplicate waits for the write of the batch that it repeats.
    pub(super) fn push_duplicate(&mut self, next_offset: i64, ack: AckToken) {
        let at = self.entries.partition_point(|entry| entry.next_offset <= next_offset);
        let entry = Entry {
            next_offset,
            bytes: 0,
            ack: Some(ack),
        };
        self.entries.insert(at, entry);
    }

    /// Takes out what `high_watermark` covers: the acks into `acked`; returns the bytes that became visible.
    pub(super) fn advance(&mut self, high_watermark: i64, acked: &mut Vec<AckToken>) -> u64 {
        let mut bytes = 0;
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.next_offset <= high_watermark) {
            bytes += entry.bytes;
            acked.extend(entry.ack);
        }
        bytes
    }

    /// Takes out everything: nothing of it will be written.
    pub(super) fn abandon(&mut self, abandoned: &mut Vec<AckToken>) {
        abandoned.extend(self.entries.drain(..).filter_map(|entry| entry.ack));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(request: u64) -> AckToken {
        AckToken { request, slot: 0 }
    }

    /// Acks come in offset order, exactly when the high watermark covers their last record; duplicates with the original.
    #[test]
    fn acks_wait_for_the_high_watermark() {
        let (mut pending, mut acked) = (Pending::default(), Vec::new());
        pending.push(3, 100, Some(token(1)));
        pending.push(5, 50, None);
        pending.push(9, 70, Some(token(2)));
        pending.push_duplicate(3, token(3));
        assert_eq!(pending.advance(2, &mut acked), 0);
        assert_eq!(acked, []);
        assert_eq!(pending.advance(5, &mut acked), 150);
        assert_eq!(acked, [token(1), token(3)]);
        pending.abandon(&mut acked);
        assert_eq!(acked, [token(1), token(3), token(2)]);
        assert_eq!(pending.advance(9, &mut acked), 0);
    }
}
