//! Groups: what they have committed against what there is to read, from what coordinators and partitions publish.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::Sources;
use super::json::{Asked, limit};
use super::prometheus::{Served, served};
use crate::metadata::Image;
use crate::metrics::{GroupCells, GroupOffset, Labels, Text};
use crate::model::PartitionId;
use crate::rt::Instant;

/// How long a group may commit nothing, with something to read, before it is said to stand.
const STANDS_AFTER: Duration = Duration::from_secs(5 * 60);
/// Between two looks for that.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A group as it is now.
pub(super) struct Group {
    id: Arc<str>,
    state: &'static str,
    members: i64,
    offsets: Vec<Offset>,
}

struct Offset {
    at: GroupOffset,
    /// None: the partition is not led here, or its topic is gone.
    lag: Option<i64>,
}

impl Group {
    fn new(id: Arc<str>, cells: &GroupCells, image: Option<&Image>, served: &Served) -> Group {
        let lag = |at: &GroupOffset| {
            let topic = image?.topic(&at.topic)?;
            let position = served.get(&PartitionId {
                topic: topic.id,
                index: at.partition,
            })?;
            // The two were published at different times.
            Some(position.high_watermark.saturating_sub(at.committed).max(0))
        };
        Group {
            id,
            state: cells.state(),
            members: cells.members(),
            offsets: cells.offsets().map(|at| Offset { lag: lag(&at), at }).collect(),
        }
    }

    fn lag(&self) -> i64 {
        self.offsets.iter().filter_map(|offset| offset.lag).sum()
    }

    fn committed(&self) -> i64 {
        self.offsets.iter().map(|offset| offset.at.committed).sum()
    }

    /// (committed, lag) by topic.
    fn topics(&self) -> BTreeMap<Arc<str>, (i64, i64)> {
        let mut topics = BTreeMap::<Arc<str>, (i64, i64)>::new();
        for Offset { at, lag } in &self.offsets {
            let sums = topics.entry(at.topic.clone()).or_default();
            sums.0 += at.committed;
            sums.1 += lag.unwrap_or(0);
        }
        topics
    }
}

pub(super) fn groups(sources: &Sources, image: Option<&Image>, served: &Served) -> Vec<Group> {
    let listed = sources.registry.groups().list();
    let group = |(id, cells): (Arc<str>, Arc<GroupCells>)| Group::new(id, &cells, image, served);
    listed.into_iter().map(group).collect()
}

/// Under kafka_exporter's names.
pub(super) fn write_groups(text: &mut Text, groups: &[Group]) {
    text.gauge("kafka_consumergroup_members", "Members of a group.");
    for group in groups {
        text.sample(&Labels::new(&[("consumergroup", &group.id)]), group.members);
    }
    write_offsets(text, groups);
    write_sums(text, groups);
}

fn write_offsets(text: &mut Text, groups: &[Group]) {
    let labels = |group: &Group, at: &GroupOffset| {
        let partition = at.partition.to_string();
        Labels::new(&[
            ("consumergroup", &group.id),
            ("partition", &partition),
            ("topic", &at.topic),
        ])
    };
    let all = || {
        groups
            .iter()
            .flat_map(|group| group.offsets.iter().map(move |offset| (group, offset)))
    };
    let rows: Vec<(Labels, &Offset)> = all()
        .map(|(group, offset)| (labels(group, &offset.at), offset))
        .collect();
    text.gauge(
        "kafka_consumergroup_current_offset",
        "The offset that a group has committed.",
    );
    for (labels, offset) in &rows {
        text.sample(labels, offset.at.committed);
    }
    text.gauge("kafka_consumergroup_lag", "How many offsets a group has still to read.");
    for (labels, lag) in rows.iter().filter_map(|(labels, offset)| Some((labels, offset.lag?))) {
        text.sample(labels, lag);
    }
}

fn write_sums(text: &mut Text, groups: &[Group]) {
    let topics = |group: &Group| -> Vec<(Labels, (i64, i64))> {
        let labels = |topic: &str| Labels::new(&[("consumergroup", &group.id), ("topic", topic)]);
        let topics = group.topics().into_iter();
        topics.map(|(topic, sums)| (labels(&topic), sums)).collect()
    };
    let rows: Vec<_> = groups.iter().flat_map(topics).collect();
    text.gauge(
        "kafka_consumergroup_current_offset_sum",
        "The same, summed over the partitions of a topic.",
    );
    for (labels, (committed, _)) in &rows {
        text.sample(labels, *committed);
    }
    text.gauge(
        "kafka_consumergroup_lag_sum",
        "The same, summed over the partitions of a topic.",
    );
    for (labels, (_, lag)) in &rows {
        text.sample(labels, *lag);
    }
}

/// Those that are furthest behind first; of one that is named, its offsets too.
pub(super) fn listed(sources: &Sources, asked: &Asked) -> Result<Value, String> {
    let image = sources.image();
    let mut groups = groups(sources, image.as_deref(), &served(sources));
    if let Some(name) = asked.get("group") {
        let group = groups
            .iter()
            .find(|group| *group.id == **name)
            .ok_or(format!("no group {name}"))?;
        let mut row = row(sources, group);
        row["offsets"] = group.offsets.iter().map(offset).collect();
        return Ok(row);
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.lag()));
    groups.truncate(limit(asked));
    Ok(groups.iter().map(|group| row(sources, group)).collect())
}

fn row(sources: &Sources, group: &Group) -> Value {
    json!({
        "group": group.id.as_ref(),
        "state": group.state,
        "members": group.members,
        "partitions": group.offsets.len(),
        "topics": group.topics().keys().map(AsRef::as_ref).collect::<Vec<&str>>(),
        "committed": group.committed(),
        "lag": group.lag(),
        "wrong": sources.group_watch.wrong(group),
    })
}

fn offset(offset: &Offset) -> Value {
    json!({
        "topic": offset.at.topic.as_ref(),
        "partition": offset.at.partition,
        "committed": offset.at.committed,
        "lag": offset.lag,
    })
}

/// Which groups do not get on, though there is something to read.
#[derive(Default)]
pub struct GroupWatch(Mutex<Watched>);

#[derive(Default)]
struct Watched {
    looked: Option<Instant>,
    groups: BTreeMap<Arc<str>, Seen>,
}

struct Seen {
    committed: i64,
    /// When it last moved, or had nothing to read.
    fine: Instant,
    stands: bool,
}

impl GroupWatch {
    /// To be called often: most calls do nothing.
    pub fn look(&self, sources: &Sources, now: Instant) {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.looked.is_some_and(|looked| now.since(looked) < LOOK_EVERY) {
            return;
        }
        watched.looked = Some(now);
        // An idle broker with many partitions is not to look at each of them for nothing.
        if sources.registry.groups().list().is_empty() {
            return watched.groups.clear();
        }
        let image = sources.image();
        let groups = groups(sources, image.as_deref(), &served(sources));
        watched.take(
            groups
                .iter()
                .map(|group| (group.id.clone(), group.committed(), group.lag())),
            now,
        );
    }

    fn wrong(&self, group: &Group) -> Option<&'static str> {
        match (self.stands(&group.id), group.members) {
            (true, 0) => Some("stands still: it has no members"),
            (true, _) => Some("stands still: its members commit nothing"),
            (false, _) => None,
        }
    }

    fn stands(&self, id: &str) -> bool {
        let watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.groups.get(id).is_some_and(|seen| seen.stands)
    }

    pub fn standing(&self) -> Vec<Arc<str>> {
        let watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = watched.groups.iter().filter(|(_, seen)| seen.stands);
        standing.map(|(id, _)| id.clone()).collect()
    }
}

impl Watched {
    /// (group, committed, lag)
    fn take(&mut self, groups: impl Iterator<Item = (Arc<str>, i64, i64)>, now: Instant) {
        let mut before = std::mem::take(&mut self.groups);
        for (id, committed, lag) in groups {
            let known = before.remove(&id).filter(|seen| seen.committed == committed && lag > 0);
            let fine = known.map_or(now, |seen| seen.fine);
            let stands = now.since(fine) >= STANDS_AFTER;
            self.groups.insert(
                id,
                Seen {
                    committed,
                    fine,
                    stands,
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::testing;
    use crate::metrics::{LogPosition, PartitionCells};
    use crate::model::ShardId;

    const MINUTE: u64 = 60_000_000_000;

    /// What is committed in partitions 0 and 1 of the topic.
    fn offsets(topic: &str, committed: [i64; 2]) -> Vec<GroupOffset> {
        let offset = |(partition, committed)| GroupOffset {
            topic: topic.into(),
            partition,
            committed,
        };
        (0..).zip(committed).map(offset).collect()
    }

    /// Lag is what lies between the commit and the high watermark, never less than nothing; where the end is not known there is
    /// none, and the commit is shown.
    #[test]
    fn lag_is_what_is_left_to_read() {
        let (sources, _) = testing::sources(&[("a", 2)]);
        let topic = sources.image().expect("published").topic("a").expect("made").id;
        let end = LogPosition {
            log_start: 0,
            high_watermark: 100,
            log_end: 100,
            size_bytes: 0,
            lag: 0,
        };
        let cells = |_| PartitionCells::new(ShardId(0), "/d".into(), end);
        let _served: Vec<_> = (0..2)
            .map(|index| {
                sources
                    .registry
                    .partitions()
                    .enter(PartitionId { topic, index }, cells(index))
            })
            .collect();
        let enter = |id: &str, offsets: Vec<GroupOffset>| {
            let groups = sources.registry.groups();
            groups
                .enter(&id.into(), offsets.len(), offsets.into_iter(), 100)
                .expect("there is room")
        };
        let group = enter("g", offsets("a", [70, 105]));
        group.set("Stable", 2);
        let _gone = enter("h", offsets("gone", [7, 8]));
        let text = super::super::prometheus::text(&sources);
        for line in [
            "kafka_consumergroup_members{consumergroup=\"g\"} 2",
            "kafka_consumergroup_current_offset{consumergroup=\"g\",partition=\"0\",topic=\"a\"} 70",
            "kafka_consumergroup_lag{consumergroup=\"g\",partition=\"0\",topic=\"a\"} 30",
            "kafka_consumergroup_lag{consumergroup=\"g\",partition=\"1\",topic=\"a\"} 0",
            "kafka_consumergroup_current_offset_sum{consumergroup=\"g\",topic=\"a\"} 175",
            "kafka_consumergroup_lag_sum{consumergroup=\"g\",topic=\"a\"} 30",
            "kafka_consumergroup_current_offset{consumergroup=\"h\",partition=\"0\",topic=\"gone\"} 7",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line} in {text}");
        }
        assert!(!text.contains("kafka_consumergroup_lag{consumergroup=\"h\""));

        let all = listed(&sources, &Asked::new()).expect("a list");
        assert_eq!(
            (&all[0]["group"], &all[0]["lag"], &all[0]["state"]),
            (&json!("g"), &json!(30), &json!("Stable"))
        );
        let one = listed(&sources, &Asked::from([("group".to_owned(), "g".to_owned())])).expect("it is there");
        assert_eq!(one["offsets"][0]["lag"], 30);
        assert!(listed(&sources, &Asked::from([("group".to_owned(), "x".to_owned())])).is_err());
    }

    /// A group stands when it commits nothing for a while with something to read; one that has read everything does not.
    #[test]
    fn a_group_stands_when_it_commits_nothing() {
        let watch = GroupWatch::default();
        let look = |minute: u64, committed: i64, lag: i64| {
            let mut watched = watch.0.lock().unwrap_or_else(PoisonError::into_inner);
            let groups = [("g".into(), committed, lag), ("idle".into(), 9, 0)];
            watched.take(groups.into_iter(), Instant(minute * MINUTE));
        };
        for minute in 0..=4 {
            look(minute, 5, 10 + minute as i64);
            assert!(!watch.stands("g"), "minute {minute}");
        }
        look(5, 5, 15);
        assert_eq!(watch.standing(), ["g".into()]);
        look(6, 6, 14);
        assert!(watch.standing().is_empty(), "it moves");
        look(11, 6, 0);
        look(12, 6, 1);
        assert!(watch.standing().is_empty(), "there was nothing to read");
    }
}
