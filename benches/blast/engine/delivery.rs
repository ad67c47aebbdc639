//! Proof that what was acknowledged arrived once and in order: every reader follows the numbers of every producer in
//! every partition, and the offsets.

use std::collections::HashMap;

/// What one reader has seen of the batches of one producer in one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    next: u64,
    received: u64,
    /// Numbers that were jumped over when their turn was due.
    skipped: u64,
    /// Numbers that came when a later one had come: repeated or out of order.
    backwards: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// By group of readers, producer and partition.
    rows: HashMap<(usize, u32, i32), Row>,
    /// Offsets that did not follow on the one before.
    pub offset_breaks: u64,
    pub bad_checksums: u64,
}

/// The verdict over all readers of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Batches acknowledged, times the readers that should have seen each.
    pub expected: u64,
    pub received: u64,
    pub missing: u64,
    pub skipped: u64,
    pub backwards: u64,
    pub offset_breaks: u64,
    pub bad_checksums: u64,
}

impl Seen {
    pub fn on_batch(&mut self, group: usize, producer: u32, partition: i32, sequence: u64) {
        let row = self.rows.entry((group, producer, partition)).or_default();
        row.received += 1;
        if sequence < row.next {
            row.backwards += 1;
            return;
        }
        row.skipped += sequence - row.next;
        row.next = sequence + 1;
    }

    /// Numbers do not begin at 0 for a reader that begins in the middle.
    pub fn begin_anywhere(&mut self, group: usize, producer: u32, partition: i32, sequence: u64) {
        self.rows.entry((group, producer, partition)).or_insert(Row {
            next: sequence,
            ..Row::default()
        });
    }
}

impl Delivery {
    /// `acked`: batches per (producer, partition); `fan_out`: how many readers had to see each of them.
    pub fn judge(acked: &HashMap<(u32, i32), u64>, fan_out: usize, seen: &[Seen]) -> Delivery {
        let mut verdict = Delivery::default();
        let mut received: HashMap<(u32, i32), u64> = HashMap::new();
        for seen in seen {
            verdict.offset_breaks += seen.offset_breaks;
            verdict.bad_checksums += seen.bad_checksums;
            for ((_, producer, partition), row) in &seen.rows {
                verdict.received += row.received;
                verdict.skipped += row.skipped;
                verdict.backwards += row.backwards;
                *received.entry((*producer, *partition)).or_default() += row.received - row.backwards;
            }
        }
        for (key, count) in acked {
            let expected = count * fan_out as u64;
            verdict.expected += expected;
            verdict.missing += expected.saturating_sub(received.get(key).copied().unwrap_or(0));
        }
        verdict
    }

    pub fn is_clean(&self) -> bool {
        let Delivery {
            missing,
            skipped,
            backwards,
            offset_breaks,
            bad_checksums,
            ..
        } = *self;
        [missing, skipped, backwards, offset_breaks, bad_checksums] == [0; 5]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All readers on one thread, which is how they share a table.
    fn seen(readers: &[&[u64]]) -> Seen {
        let mut seen = Seen::default();
        for (group, sequences) in readers.iter().enumerate() {
            sequences
                .iter()
                .for_each(|sequence| seen.on_batch(group, 1, 0, *sequence));
        }
        seen
    }

    fn judge(acked: u64, readers: &[&[u64]]) -> Delivery {
        let acked = HashMap::from([((1, 0), acked)]);
        Delivery::judge(&acked, readers.len(), &[seen(readers)])
    }

    #[test]
    fn every_number_once_and_in_order_is_clean() {
        assert!(judge(3, &[&[0, 1, 2], &[0, 1, 2]]).is_clean());
    }

    #[test]
    fn loss_repetition_and_disorder_are_each_found() {
        assert_eq!(judge(3, &[&[0, 2]]).missing, 1);
        assert_eq!(judge(3, &[&[0, 2]]).skipped, 1);
        assert_eq!(judge(3, &[&[0, 1]]).missing, 1);
        assert_eq!(judge(3, &[&[0, 1, 1, 2]]).backwards, 1);
        assert_eq!(judge(3, &[&[0, 2, 1]]).backwards, 1);
        assert_eq!(judge(2, &[&[0, 1], &[0]]).missing, 1);
    }
}
