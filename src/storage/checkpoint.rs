//! recovery-point-offset-checkpoint, log-start-offset-checkpoint and cleaner-offset-checkpoint, in Kafka's text format, and the clean-shutdown marker.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The most entries that are read from a file.
const ENTRIES_MAX: usize = 10_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionCheckpoint {
    pub recovery_point: i64,
    pub log_start: i64,
    /// Of a log that is compacted: everything below was, once.
    pub clean_upto: Option<i64>,
}

/// A log directory's checkpoints: (topic, partition) to offsets; and whether the last stop was clean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    pub partitions: BTreeMap<(String, i32), PartitionCheckpoint>,
    pub clean: bool,
}

impl Checkpoint {
    /// From the texts of the files. Broken ones count as empty (they only say what need not be looked at); the second
    /// value then says which.
    pub(super) fn from_texts(
        recovery_points: &str,
        log_starts: &str,
        clean_upto: &str,
    ) -> (Checkpoint, Option<&'static str>) {
        let parsed = (parse(recovery_points), parse(log_starts), parse(clean_upto));
        let broken = match &parsed {
            (None, _, _) => Some(super::layout::RECOVERY_POINTS),
            (_, None, _) => Some(super::layout::LOG_STARTS),
            (_, _, None) => Some(super::layout::CLEANED_UPTO),
            _ => None,
        };
        let (recovery_points, log_starts) = (parsed.0.unwrap_or_default(), parsed.1.unwrap_or_default());
        let mut partitions = BTreeMap::new();
        let none = PartitionCheckpoint {
            recovery_point: 0,
            log_start: 0,
            clean_upto: None,
        };
        for (key, offset) in recovery_points {
            partitions.entry(key).or_insert(none).recovery_point = offset;
        }
        for (key, offset) in log_starts {
            partitions.entry(key).or_insert(none).log_start = offset;
        }
        for (key, offset) in parsed.2.unwrap_or_default() {
            partitions.entry(key).or_insert(none).clean_upto = Some(offset);
        }
        (
            Checkpoint {
                partitions,
                clean: false,
            },
            broken,
        )
    }

    pub(super) fn recovery_points_text(&self) -> String {
        text(self.partitions.iter().map(|(key, at)| (key, at.recovery_point)))
    }

    /// Only logs that are compacted are named.
    pub(super) fn clean_upto_text(&self) -> String {
        let clean = self
            .partitions
            .iter()
            .filter_map(|(key, at)| Some((key, at.clean_upto?)));
        text(clean)
    }

    /// Only logs that do not start at 0 are named.
    pub(super) fn log_starts_text(&self) -> String {
        let starts = self.partitions.iter().map(|(key, at)| (key, at.log_start));
        text(starts.filter(|(_, start)| *start > 0))
    }
}

fn text<'a>(entries: impl Iterator<Item = (&'a (String, i32), i64)>) -> String {
    let mut lines = String::new();
    let mut count = 0;
    for ((topic, index), offset) in entries {
        let _ = writeln!(lines, "{topic} {index} {offset}");
        count += 1;
    }
    format!("0\n{count}\n{lines}")
}

/// Version 0, the number of entries, then a line for each; an empty text has none.
fn parse(text: &str) -> Option<Vec<((String, i32), i64)>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let mut lines = text.lines();
    if lines.next()?.trim() != "0" {
        return None;
    }
    let count: usize = lines.next()?.trim().parse().ok()?;
    let entries: Option<Vec<_>> = lines.take(ENTRIES_MAX).map(parse_entry).collect();
    entries.filter(|entries| entries.len() == count)
}

fn parse_entry(line: &str) -> Option<((String, i32), i64)> {
    let mut words = line.split_ascii_whitespace();
    let (topic, index, offset) = (words.next()?, words.next()?, words.next()?);
    let offset: i64 = offset.parse().ok().filter(|offset| *offset >= 0)?;
    words
        .next()
        .is_none()
        .then_some(((topic.to_owned(), index.parse().ok()?), offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // Goal: both texts are Kafka's, and are read back.
    fn golden_texts() {
        let mut checkpoint = Checkpoint::default();
        let mut put = |topic: &str, index, recovery_point, log_start| {
            let at = PartitionCheckpoint {
                recovery_point,
                log_start,
                clean_upto: (log_start > 0).then_some(6),
            };
            checkpoint.partitions.insert((topic.to_owned(), index), at);
        };
        put("orders", 0, 1234, 0);
        put("orders", 11, 7, 5);
        let (recovery_points, log_starts) = (checkpoint.recovery_points_text(), checkpoint.log_starts_text());
        assert_eq!(recovery_points, "0\n2\norders 0 1234\norders 11 7\n");
        assert_eq!(log_starts, "0\n1\norders 11 5\n");
        let clean_upto = checkpoint.clean_upto_text();
        assert_eq!(clean_upto, "0\n1\norders 11 6\n");
        assert_eq!(
            Checkpoint::from_texts(&recovery_points, &log_starts, &clean_upto),
            (checkpoint, None)
        );
    }

    #[test] // Goal: a text that is not a checkpoint counts as empty and is named, whatever the other holds.
    fn broken_texts_count_as_empty() {
        for broken in [
            "x",
            "0\n2\norders 0 1\n",
            "1\n0\n",
            "0\n1\norders 0 1 2\n",
            "0\n1\norders x 1\n",
            "0\n1\nt 0 -5\n",
        ] {
            let (checkpoint, named) = Checkpoint::from_texts(broken, "0\n1\nt 3 4\n", "");
            assert_eq!(named, Some(super::super::layout::RECOVERY_POINTS), "{broken:?}");
            assert_eq!(checkpoint.partitions.len(), 1);
        }
        assert_eq!(Checkpoint::from_texts("", "", ""), (Checkpoint::default(), None));
    }
}
