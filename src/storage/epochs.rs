//! The leader epochs of a log and where each began, in Kafka's `leader-epoch-checkpoint` text. Pure.
//!
//! The file is written when a segment is sealed and at close: recovery finds the epochs of what came later in the batches.

use std::fmt::Write as _;

/// The most entries that are read from a file.
const ENTRIES_MAX: usize = 1_000_000;

/// Epochs and their start offsets, both strictly increasing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LeaderEpochs(Vec<(i32, i64)>);

impl LeaderEpochs {
    pub fn latest(&self) -> Option<i32> {
        self.0.last().map(|(epoch, _)| *epoch)
    }

    /// Notes that the batch at `offset` has `epoch`.
    pub fn note(&mut self, epoch: i32, offset: i64) {
        if epoch >= 0 && self.latest().is_none_or(|latest| epoch > latest) {
            self.0.push((epoch, offset));
        }
    }

    /// The largest epoch at or below `epoch` and the offset at which the next one begins, or `log_end`.
    ///
    //= KIP-101, KIP-279: an epoch above the latest is unknown; one before the first ends where the first begins.
    pub fn end_offset(&self, epoch: i32, log_end: i64) -> Option<(i32, i64)> {
        let latest = self.latest()?;
        if epoch < 0 || epoch > latest {
            return None;
        }
        let next = self.0.partition_point(|(at, _)| *at <= epoch);
        let end = self.0.get(next).map_or(log_end, |(_, start)| *start);
        let found = next
            .checked_sub(1)
            .and_then(|at| self.0.get(at))
            .map_or(epoch, |(at, _)| *at);
        Some((found, end.min(log_end)))
    }

    /// Forgets the epochs that began at or after `offset`.
    pub fn truncate(&mut self, offset: i64) {
        self.0.retain(|(_, start)| *start < offset);
    }

    pub fn to_text(&self) -> String {
        let mut text = format!("0\n{}\n", self.0.len());
        for (epoch, start) in &self.0 {
            let _ = writeln!(text, "{epoch} {start}");
        }
        text
    }

    /// `None` when the text is not of this form.
    pub fn parse(text: &str) -> Option<LeaderEpochs> {
        let mut lines = text.lines();
        if lines.next()?.trim() != "0" {
            return None;
        }
        let count: usize = lines.next()?.trim().parse().ok()?;
        let mut entries = Vec::new();
        for line in lines.take(ENTRIES_MAX) {
            let (epoch, start) = line.split_once(' ')?;
            entries.push((epoch.parse().ok()?, start.trim().parse().ok()?));
        }
        let sound = entries.len() == count && entries.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1);
        sound.then_some(LeaderEpochs(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // Goal: the text is Kafka's and is read back; anything else is refused.
    fn golden_text() {
        let mut epochs = LeaderEpochs::default();
        assert_eq!(epochs.to_text(), "0\n0\n");
        epochs.note(0, 0);
        epochs.note(0, 5);
        epochs.note(3, 17);
        assert_eq!(epochs.to_text(), "0\n2\n0 0\n3 17\n");
        assert_eq!(LeaderEpochs::parse(&epochs.to_text()), Some(epochs));
        for broken in ["", "1\n0\n", "0\n2\n0 0\n", "0\n1\nx 0\n", "0\n2\n3 17\n0 0\n"] {
            assert_eq!(LeaderEpochs::parse(broken), None, "{broken:?}");
        }
    }

    #[test] // Goal: an epoch ends where the next one that was written begins.
    fn epochs_end_where_the_next_begins() {
        let mut epochs = LeaderEpochs::default();
        assert_eq!(epochs.end_offset(0, 0), None);
        epochs.note(2, 10);
        epochs.note(5, 20);
        assert_eq!(epochs.end_offset(1, 30), Some((1, 10)));
        assert_eq!(epochs.end_offset(2, 30), Some((2, 20)));
        assert_eq!(epochs.end_offset(4, 30), Some((2, 20)));
        assert_eq!(epochs.end_offset(5, 30), Some((5, 30)));
        assert_eq!(epochs.end_offset(6, 30), None);
        epochs.truncate(20);
        assert_eq!(epochs.latest(), Some(2));
    }
}
