//! A log directory's checkpoint files, in Kafka's text format, and the clean-shutdown marker.
//!
//! Kafka's files (recovery-point-, log-start-, cleaner- and replication-offset-checkpoint) name topics only. A topic that was
//! deleted and created again must not inherit its namesake's offsets, so a file of ours, topic-id-checkpoint, says whose they
//! are. It is written last: rows that it does not vouch for are not used. Another of ours, log-life-checkpoint, says in which
//! of a log's lives its offsets were noted. It is written behind them: offsets must not pass for those of a later life.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::layout::{CLEANED_UPTO, HIGH_WATERMARKS, LIVES, LOG_STARTS, RECOVERY_POINTS, TOPIC_IDS};
use crate::model::{PartitionId, TopicId};

/// The most entries that are read from a file.
const ENTRIES_MAX: usize = 10_000_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionCheckpoint {
    pub recovery_point: i64,
    pub log_start: i64,
    /// Of a log that is compacted: everything below was, once.
    pub clean_upto: Option<i64>,
    /// Of a log that has other replicas: without them everything that is written is visible.
    pub high_watermark: Option<i64>,
    /// Which of the log's lives the offsets are of. Each time the log loses its end another one begins.
    pub life: u32,
}

impl PartitionCheckpoint {
    /// What it says of the log's front, of which `offset` is the end.
    pub(super) fn upto(self, offset: i64) -> PartitionCheckpoint {
        PartitionCheckpoint {
            recovery_point: self.recovery_point.min(offset),
            log_start: self.log_start.min(offset),
            clean_upto: self.clean_upto.map(|upto| upto.min(offset)),
            high_watermark: self.high_watermark.map(|at| at.min(offset)),
            life: self.life,
        }
    }
}

/// A log directory's checkpoints, and whether the last stop was clean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    partitions: BTreeMap<(String, i32), PartitionCheckpoint>,
    /// Whose offsets the rows of a name are.
    topic_ids: BTreeMap<String, TopicId>,
    pub clean: bool,
    /// The broker epoch of the life that ended so: of a broker of a cluster. //= KIP-966
    pub clean_epoch: Option<i64>,
}

impl Checkpoint {
    /// The offsets of a partition of the topic of this name and id.
    pub fn get(&self, topic: &str, id: PartitionId) -> Option<PartitionCheckpoint> {
        let is_its_own = self.topic_ids.get(topic) == Some(&id.topic);
        let row = is_its_own.then(|| self.partitions.get(&(topic.to_owned(), id.index)));
        row.flatten().copied()
    }

    /// Notes a partition's offsets; those of an earlier topic of the name go.
    pub fn put(&mut self, topic: &str, id: PartitionId, at: PartitionCheckpoint) {
        if self.topic_ids.insert(topic.to_owned(), id.topic) != Some(id.topic) {
            self.partitions.retain(|(name, _), _| name != topic);
        }
        self.partitions.insert((topic.to_owned(), id.index), at);
    }

    /// Drops the offsets of topics that are gone, also where another has the name now.
    pub fn retain_topics(&mut self, id_of: impl Fn(&str) -> Option<TopicId>) {
        self.topic_ids.retain(|topic, id| id_of(topic) == Some(*id));
        let known = &self.topic_ids;
        self.partitions.retain(|(topic, _), _| known.contains_key(topic));
    }

    /// From the texts of the files, by their names; one that is missing is empty. Broken ones count as empty (they only say
    /// what need not be looked at); the second value then names one.
    pub(super) fn from_texts(text_of: impl Fn(&'static str) -> String) -> (Checkpoint, Option<&'static str>) {
        let mut broken = None;
        let mut offsets = |file| {
            let rows = parse(&text_of(file), parse_offset);
            rows.unwrap_or_else(|| {
                broken = Some(file);
                Vec::new()
            })
        };
        let mut partitions: BTreeMap<_, PartitionCheckpoint> = BTreeMap::new();
        for (key, offset) in offsets(RECOVERY_POINTS) {
            partitions.entry(key).or_default().recovery_point = offset;
        }
        for (key, offset) in offsets(LOG_STARTS) {
            partitions.entry(key).or_default().log_start = offset;
        }
        for (key, offset) in offsets(CLEANED_UPTO) {
            partitions.entry(key).or_default().clean_upto = Some(offset);
        }
        for (key, offset) in offsets(HIGH_WATERMARKS) {
            partitions.entry(key).or_default().high_watermark = Some(offset);
        }
        for (key, life) in offsets(LIVES) {
            partitions.entry(key).or_default().life = u32::try_from(life).unwrap_or(0);
        }
        let topic_ids = parse(&text_of(TOPIC_IDS), parse_topic_id);
        let broken = broken.or(topic_ids.is_none().then_some(TOPIC_IDS));
        let checkpoint = Checkpoint {
            partitions,
            topic_ids: topic_ids.unwrap_or_default().into_iter().collect(),
            clean: false,
            clean_epoch: None,
        };
        (checkpoint, broken)
    }

    /// The files' names and texts, in the order in which they are to be written.
    pub(super) fn texts(&self) -> [(&'static str, String); 6] {
        let rows = || self.partitions.iter();
        // Only logs that do not start at 0 are named, and only those that are compacted, have replicas, were ever cut.
        let starts = rows().filter(|(_, at)| at.log_start > 0);
        let clean = rows().filter_map(|(key, at)| Some((key, at.clean_upto?)));
        let watermarks = rows().filter_map(|(key, at)| Some((key, at.high_watermark?)));
        let lives = rows().filter(|(_, at)| at.life > 0);
        let lives = lives.map(|(key, at)| (key, i64::from(at.life)));
        [
            (
                RECOVERY_POINTS,
                text(rows().map(|(key, at)| offset_line((key, at.recovery_point)))),
            ),
            (
                LOG_STARTS,
                text(starts.map(|(key, at)| offset_line((key, at.log_start)))),
            ),
            (CLEANED_UPTO, text(clean.map(offset_line))),
            (HIGH_WATERMARKS, text(watermarks.map(offset_line))),
            (LIVES, text(lives.map(offset_line))),
            (
                TOPIC_IDS,
                text(self.topic_ids.iter().map(|(topic, id)| format!("{topic} {id}"))),
            ),
        ]
    }
}

/// Files that are there only where they have something to say.
pub(super) const SELDOM: [&str; 2] = [HIGH_WATERMARKS, LIVES];
/// The text of a file without entries.
pub(super) const NO_ENTRIES: &str = "0\n0\n";

fn offset_line(((topic, index), offset): (&(String, i32), i64)) -> String {
    format!("{topic} {index} {offset}")
}

fn text(entries: impl Iterator<Item = String>) -> String {
    let mut lines = String::new();
    let mut count = 0;
    for entry in entries {
        let _ = writeln!(lines, "{entry}");
        count += 1;
    }
    format!("0\n{count}\n{lines}")
}

/// Version 0, the number of entries, then a line for each; an empty text has none.
fn parse<T>(text: &str, parse_entry: fn(&str) -> Option<T>) -> Option<Vec<T>> {
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

fn parse_topic_id(line: &str) -> Option<(String, TopicId)> {
    let (topic, id) = line.split_once(' ')?;
    Some((topic.to_owned(), id.parse().ok()?))
}

fn parse_offset(line: &str) -> Option<((String, i32), i64)> {
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

    fn id(topic: u8, index: i32) -> PartitionId {
        PartitionId {
            topic: TopicId([topic; 16]),
            index,
        }
    }

    fn at(recovery_point: i64, log_start: i64) -> PartitionCheckpoint {
        PartitionCheckpoint {
            recovery_point,
            log_start,
            clean_upto: (log_start > 0).then_some(log_start + 1),
            high_watermark: (log_start > 0).then_some(log_start + 2),
            life: log_start as u32,
        }
    }

    #[test] // Goal: the texts of offsets are Kafka's, and all are read back.
    fn golden_texts() {
        let mut checkpoint = Checkpoint::default();
        checkpoint.put("orders", id(0, 0), at(1234, 0));
        checkpoint.put("orders", id(0, 11), at(7, 5));
        let texts = checkpoint.texts();
        let golden = [
            (RECOVERY_POINTS, "0\n2\norders 0 1234\norders 11 7\n"),
            (LOG_STARTS, "0\n1\norders 11 5\n"),
            (CLEANED_UPTO, "0\n1\norders 11 6\n"),
            (HIGH_WATERMARKS, "0\n1\norders 11 7\n"),
            (LIVES, "0\n1\norders 11 5\n"),
            (TOPIC_IDS, "0\n1\norders AAAAAAAAAAAAAAAAAAAAAA\n"),
        ];
        assert_eq!(texts, golden.map(|(name, text)| (name, text.to_owned())));
        let read = |file| BTreeMap::from(texts.clone())[file].clone();
        assert_eq!(Checkpoint::from_texts(read), (checkpoint, None));
    }

    #[test] // Goal: a topic never gets the offsets of another that had its name.
    fn namesakes_inherit_nothing() {
        let mut checkpoint = Checkpoint::default();
        checkpoint.put("t", id(1, 0), at(100, 50));
        checkpoint.put("t", id(1, 7), at(100, 50));
        assert_eq!(checkpoint.get("t", id(1, 7)), Some(at(100, 50)));
        assert_eq!(checkpoint.get("t", id(2, 7)), None);
        checkpoint.put("t", id(2, 0), at(3, 0));
        assert_eq!(checkpoint.get("t", id(2, 7)), None);
        assert_eq!(checkpoint.get("t", id(2, 0)), Some(at(3, 0)));
        checkpoint.retain_topics(|_| Some(TopicId([3; 16])));
        assert_eq!(checkpoint, Checkpoint::default());
    }

    #[test] // Goal: a text that is not a checkpoint counts as empty and is named, whatever the others hold.
    fn broken_texts_count_as_empty() {
        for broken in [
            "x",
            "0\n2\norders 0 1\n",
            "1\n0\n",
            "0\n1\norders 0 1 2\n",
            "0\n1\norders x 1\n",
            "0\n1\nt 0 -5\n",
        ] {
            for file in [
                RECOVERY_POINTS,
                LOG_STARTS,
                CLEANED_UPTO,
                HIGH_WATERMARKS,
                LIVES,
                TOPIC_IDS,
            ] {
                let text_of = |name| if name == file { broken.to_owned() } else { String::new() };
                assert_eq!(
                    Checkpoint::from_texts(text_of),
                    (Checkpoint::default(), Some(file)),
                    "{broken:?}"
                );
            }
        }
        let none = Checkpoint::from_texts(|_| String::new());
        assert_eq!(none, (Checkpoint::default(), None));
    }
}
