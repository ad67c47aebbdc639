//! What waits: every staged batch for the high watermark, and the acks that clients wait for, for that or for the leader's
//! own write.

use std::collections::VecDeque;

/// Batches of which nobody waits for an ack are told apart up to this many.
const APART_MAX: usize = 1024;

/// The shard's name for one partition of one produce request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckToken {
    pub request: u64,
    pub slot: u32,
}

/// Who is to be told of a batch, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    None,
    /// Once the leader has written it, be it visible or not (acks=1).
    Written(AckToken),
    /// Once all replicas have that are in sync (acks=all).
    Replicated(AckToken),
}

/// Staged batches above the high watermark, in offset order. Their number is bounded by what the log stages before it
/// refuses with a backlog, by the produce requests that the connections admit, and by [`APART_MAX`] where the high watermark
/// stands still.
#[derive(Debug, Default)]
pub(super) struct Pending {
    entries: VecDeque<Entry>,
    /// Acks for the write alone, in offset order. Where there is one replica nobody waits here: a write is all there is.
    written: VecDeque<(i64, AckToken)>,
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
        if ack.is_none() && self.entries.len() >= APART_MAX && self.join_last(next_offset, bytes) {
            return;
        }
        self.entries.push_back(Entry {
            next_offset,
            bytes: bytes as u64,
            ack,
        });
    }

    fn join_last(&mut self, next_offset: i64, bytes: usize) -> bool {
        let last = self.entries.back_mut().filter(|last| last.ack.is_none());
        last.is_some_and(|last| {
            last.next_offset = next_offset;
            last.bytes += bytes as u64;
            true
        })
    }

    /// A batch that was staged, whose client waits for the write alone.
    pub(super) fn push_written(&mut self, next_offset: i64, ack: AckToken) {
        let at = self.written.partition_point(|(upto, _)| *upto <= next_offset);
        self.written.insert(at, (next_offset, ack));
    }

    /// A duplicate waits for the same as the batch that it repeats.
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

    /// Takes out the acks that waited for a write alone which has been made.
    pub(super) fn advance_written(&mut self, written: i64, acked: &mut Vec<AckToken>) {
        while let Some((_, ack)) = self.written.pop_front_if(|(upto, _)| *upto <= written) {
            acked.push(ack);
        }
    }

    /// Takes out the acks for what the high watermark does not cover yet: nobody waits for it any more.
    pub(super) fn disown(&mut self, disowned: &mut Vec<AckToken>) {
        disowned.extend(self.entries.iter_mut().filter_map(|entry| entry.ack.take()));
    }

    /// Takes out everything: nothing of it will be acknowledged.
    pub(super) fn abandon(&mut self, abandoned: &mut Vec<AckToken>) {
        abandoned.extend(self.entries.drain(..).filter_map(|entry| entry.ack));
        abandoned.extend(self.written.drain(..).map(|(_, ack)| ack));
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

    /// An ack for the write does not wait for the high watermark, nor the other way round.
    #[test]
    fn acks_wait_for_the_write_alone() {
        let (mut pending, mut acked) = (Pending::default(), Vec::new());
        pending.push(3, 100, None);
        pending.push_written(3, token(1));
        pending.push(5, 50, Some(token(2)));
        pending.push_written(3, token(3));
        pending.advance_written(5, &mut acked);
        assert_eq!(acked, [token(1), token(3)]);
        assert_eq!(pending.advance(5, &mut acked), 150);
        assert_eq!(acked, [token(1), token(3), token(2)]);
        pending.push_written(7, token(4));
        pending.abandon(&mut acked);
        assert_eq!(acked.last(), Some(&token(4)));
    }

    /// Whoever waits for the high watermark can be let go; the bytes become visible all the same.
    #[test]
    fn disowned_batches_become_visible() {
        let (mut pending, mut disowned) = (Pending::default(), Vec::new());
        pending.push(3, 100, Some(token(1)));
        pending.push(5, 50, None);
        pending.push_written(5, token(2));
        pending.disown(&mut disowned);
        assert_eq!(disowned, [token(1)]);
        let mut acked = Vec::new();
        assert_eq!(pending.advance(5, &mut acked), 150);
        pending.advance_written(5, &mut acked);
        assert_eq!(acked, [token(2)]);
    }

    /// A high watermark that stands still costs no memory for batches that nobody waits for, and no byte is lost.
    #[test]
    fn batches_without_acks_are_joined() {
        let mut pending = Pending::default();
        for offset in 0..10 * APART_MAX as i64 {
            pending.push(offset + 1, 10, None);
        }
        assert!(pending.entries.len() <= APART_MAX);
        let end = 10 * APART_MAX as i64;
        assert_eq!(pending.advance(end, &mut Vec::new()), 10 * end as u64);
    }
}
