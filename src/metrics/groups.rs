//! Groups as others see them without asking: state, members, and what is committed. Their number is bounded, since it is
//! clients that make them up.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicUsize, Ordering};

use super::directory::{Directory, Entry};

/// Every state of every kind of group, by Kafka's names.
const STATES: &[&str] = &[
    "Unknown",
    "Empty",
    "PreparingRebalance",
    "CompletingRebalance",
    "Stable",
    "Assigning",
    "Reconciling",
    "Dead",
];

/// The groups of a broker, by their ids.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    directory: Directory<Arc<str>, GroupCells>,
    /// Groups and offsets in it.
    taken: Arc<AtomicUsize>,
}

/// A group in the directory; leaves it when dropped.
#[derive(Debug)]
pub struct GroupEntry {
    entry: Entry<Arc<str>, GroupCells>,
    rows: usize,
    taken: Arc<AtomicUsize>,
}

/// A group, as its coordinator saw it within the last seconds.
#[derive(Debug)]
pub struct GroupCells {
    state: AtomicU8,
    members: AtomicI64,
    offsets: Box<[OffsetCell]>,
}

#[derive(Debug)]
struct OffsetCell {
    topic: Arc<str>,
    partition: i32,
    committed: AtomicI64,
}

/// What is committed for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOffset {
    pub topic: Arc<str>,
    pub partition: i32,
    pub committed: i64,
}

impl Groups {
    /// None: with it there would be more groups and offsets than `limit`.
    /// `count`: how many the offsets are.
    pub fn enter(
        &self,
        id: &Arc<str>,
        count: usize,
        offsets: impl Iterator<Item = GroupOffset>,
        limit: usize,
    ) -> Option<GroupEntry> {
        let rows = 1 + count;
        let free = |taken: usize| taken.checked_add(rows).filter(|more| *more <= limit);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.taken.fetch_update(set, fetch, free).ok()?;
        let cell = |offset: GroupOffset| OffsetCell {
            topic: offset.topic,
            partition: offset.partition,
            committed: AtomicI64::new(offset.committed),
        };
        let cells = GroupCells {
            state: AtomicU8::new(0),
            members: AtomicI64::new(0),
            offsets: offsets.map(cell).collect(),
        };
        Some(GroupEntry {
            entry: self.directory.enter(id.clone(), cells),
            rows,
            taken: self.taken.clone(),
        })
    }

    /// In the order of their ids.
    pub fn list(&self) -> Vec<(Arc<str>, Arc<GroupCells>)> {
        self.directory.list()
    }
}

impl Drop for GroupEntry {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.rows, Ordering::Relaxed);
    }
}

impl GroupEntry {
    pub fn set(&self, state: &str, members: usize) {
        let state = STATES.iter().position(|known| *known == state).unwrap_or(0);
        self.entry.state.store(state as u8, Ordering::Relaxed);
        self.entry.members.store(members as i64, Ordering::Relaxed);
    }

    /// Brings the offsets up to date. False: they are of other partitions than before, and the group has to be entered anew.
    pub fn set_offsets<'a>(&self, mut offsets: impl Iterator<Item = (&'a Arc<str>, i32, i64)>) -> bool {
        let is_same = self.entry.offsets.iter().all(|cell| {
            let Some((topic, partition, committed)) = offsets.next() else {
                return false;
            };
            cell.committed.store(committed, Ordering::Relaxed);
            cell.partition == partition && (Arc::ptr_eq(&cell.topic, topic) || cell.topic == *topic)
        });
        is_same && offsets.next().is_none()
    }
}

impl GroupCells {
    pub fn state(&self) -> &'static str {
        STATES[usize::from(self.state.load(Ordering::Relaxed))]
    }

    pub fn members(&self) -> i64 {
        self.members.load(Ordering::Relaxed)
    }

    pub fn offsets(&self) -> impl Iterator<Item = GroupOffset> {
        self.offsets.iter().map(|cell| GroupOffset {
            topic: cell.topic.clone(),
            partition: cell.partition,
            committed: cell.committed.load(Ordering::Relaxed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(topic: &str, committed: &[i64]) -> Vec<GroupOffset> {
        let topic: Arc<str> = topic.into();
        let offset = |(partition, committed): (usize, &i64)| GroupOffset {
            topic: topic.clone(),
            partition: partition as i32,
            committed: *committed,
        };
        committed.iter().enumerate().map(offset).collect()
    }

    fn enter(groups: &Groups, id: &str, offsets: Vec<GroupOffset>) -> Option<GroupEntry> {
        groups.enter(&id.into(), offsets.len(), offsets.into_iter(), 5)
    }

    fn set(entry: &GroupEntry, offsets: &[GroupOffset]) -> bool {
        let offsets = offsets.iter();
        entry.set_offsets(offsets.map(|offset| (&offset.topic, offset.partition, offset.committed)))
    }

    /// Offsets move in place; other partitions make another entry.
    #[test]
    fn offsets_move_in_place() {
        let groups = Groups::default();
        let entry = enter(&groups, "g", offsets("t", &[1, 2])).expect("there is room");
        entry.set("Stable", 3);
        assert!(set(&entry, &offsets("t", &[5, 6])));
        let (id, cells) = groups.list().remove(0);
        assert_eq!((&*id, cells.state(), cells.members()), ("g", "Stable", 3));
        assert_eq!(cells.offsets().collect::<Vec<_>>(), offsets("t", &[5, 6]));
        for other in [
            offsets("t", &[5]),
            offsets("t", &[5, 6, 7]),
            offsets("u", &[5, 6]),
            Vec::new(),
        ] {
            assert!(!set(&entry, &other), "{other:?}");
        }
    }

    /// Groups and offsets together are no more than the limit, and leave room behind.
    #[test]
    fn the_number_is_bounded() {
        let groups = Groups::default();
        let first = enter(&groups, "a", offsets("t", &[1, 2]));
        assert!(first.is_some() && enter(&groups, "b", offsets("t", &[1, 2])).is_none());
        let second = enter(&groups, "b", offsets("t", &[1]));
        assert!(second.is_some() && enter(&groups, "c", Vec::new()).is_none());
        drop(first);
        assert_eq!(groups.list().len(), 1);
        assert!(enter(&groups, "a", offsets("t", &[1, 2])).is_some());
    }
}
