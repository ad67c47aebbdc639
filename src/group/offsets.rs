//! The offsets of one group: committed, and pending in transactions that have not ended.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::record::{OffsetValue, offset_key};
use crate::model::{Entry, ErrorCode};

use super::request::FetchedOffset;

/// By topic, in order. Most groups read one topic or a few, and a map's first node would cost them more than all the rest.
type ByTopic = Vec<(Arc<str>, ByPartition)>;
type ByPartition = BTreeMap<i32, Committed>;

#[derive(Debug, Default)]
pub(super) struct Offsets {
    committed: ByTopic,
    /// By producer id.
    pending: BTreeMap<i64, BTreeMap<(Arc<str>, i32), Committed>>,
}

#[derive(Debug)]
struct Committed {
    value: OffsetValue,
    /// Its place among all commits of the coordinator: of two for one partition the later one counts, also where the
    /// earlier one became visible later, with the end of its transaction.
    order: u64,
}

impl Offsets {
    /// Nothing committed and nothing pending.
    pub(super) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty()
    }

    /// Topic, partition and committed offset, in this order.
    pub(super) fn committed(&self) -> impl Iterator<Item = (&Arc<str>, i32, i64)> {
        let topics = self.committed.iter();
        topics.flat_map(|(topic, of)| {
            of.iter()
                .map(move |(partition, one)| (topic, *partition, one.value.offset))
        })
    }

    pub(super) fn commit(&mut self, topic: &Arc<str>, partition: i32, value: OffsetValue, order: u64) {
        put(&mut self.committed, topic, partition, Committed { value, order });
    }

    /// Commits within the transaction of a producer: visible when that is committed.
    pub(super) fn commit_pending(
        &mut self,
        producer: i64,
        topic: &Arc<str>,
        partition: i32,
        value: OffsetValue,
        order: u64,
    ) {
        let pending = self.pending.entry(producer).or_default();
        pending.insert((topic.clone(), partition), Committed { value, order });
    }

    pub(super) fn end_transaction(&mut self, producer: i64, committed: bool) {
        let pending = self.pending.remove(&producer).unwrap_or_default();
        for ((topic, partition), offset) in pending.into_iter().filter(|_| committed) {
            put(&mut self.committed, &topic, partition, offset);
        }
    }

    /// What a tombstone says: the partition has no offset, and none that an open transaction will bring. True: it had.
    pub(super) fn remove(&mut self, topic: &str, partition: i32) -> bool {
        self.remove_committed(topic, partition) | self.remove_pending(topic, partition)
    }

    fn remove_committed(&mut self, topic: &str, partition: i32) -> bool {
        let Ok(at) = find(&self.committed, topic) else {
            return false;
        };
        let (_, partitions) = &mut self.committed[at];
        let removed = partitions.remove(&partition).is_some();
        if partitions.is_empty() {
            self.committed.remove(at);
        }
        removed
    }

    fn remove_pending(&mut self, topic: &str, partition: i32) -> bool {
        let before = self.pending.values().map(BTreeMap::len).sum::<usize>();
        self.pending.retain(|_, offsets| {
            offsets.retain(|(name, index), _| (&**name, *index) != (topic, partition));
            !offsets.is_empty()
        });
        before > self.pending.values().map(BTreeMap::len).sum::<usize>()
    }

    /// Which of these topics have offsets here.
    pub(super) fn topics_among(&self, wanted: &HashSet<&str>) -> BTreeSet<Arc<str>> {
        let pending = self.pending.values().flat_map(BTreeMap::keys);
        let committed = self.committed.iter();
        let all = committed.map(|(topic, _)| topic).chain(pending.map(|(topic, _)| topic));
        all.filter(|topic| wanted.contains(&***topic)).cloned().collect()
    }

    /// Forgets all offsets of a topic. The partitions that had one.
    pub(super) fn remove_topic(&mut self, topic: &str) -> BTreeSet<i32> {
        let committed = find(&self.committed, topic).map(|at| self.committed.remove(at));
        let committed = committed.map(|(_, partitions)| partitions).unwrap_or_default();
        let mut removed: BTreeSet<i32> = committed.into_keys().collect();
        self.pending.retain(|_, offsets| {
            let of_topic = offsets.extract_if(.., |(name, _), _| **name == *topic);
            removed.extend(of_topic.map(|((_, index), _)| index));
            !offsets.is_empty()
        });
        removed
    }

    fn is_pending(&self, topic: &Arc<str>, partition: i32) -> bool {
        let key = (topic.clone(), partition);
        self.pending.values().any(|offsets| offsets.contains_key(&key))
    }

    //= behaviour 54: a partition without an offset is present, with offset -1 and no error
    pub(super) fn fetch(&self, topic: &Arc<str>, partition: i32, require_stable: bool) -> FetchedOffset {
        let found = find(&self.committed, topic).ok();
        let committed = found.and_then(|at| self.committed[at].1.get(&partition));
        let unstable = require_stable && self.is_pending(topic, partition);
        match committed {
            _ if unstable => FetchedOffset {
                error: ErrorCode::UnstableOffsetCommit,
                ..FetchedOffset::none(topic, partition)
            },
            None => FetchedOffset::none(topic, partition),
            Some(Committed { value, .. }) => FetchedOffset {
                offset: value.offset,
                leader_epoch: value.leader_epoch,
                metadata: value.metadata.clone(),
                ..FetchedOffset::none(topic, partition)
            },
        }
    }

    /// Every partition with an offset, committed or pending.
    pub(super) fn partitions(&self) -> Vec<(Arc<str>, i32)> {
        let committed = self.committed.iter();
        let committed = committed.flat_map(|(topic, of)| of.keys().map(|index| (topic.clone(), *index)));
        let mut all: Vec<_> = committed.collect();
        all.extend(self.pending.values().flat_map(|offsets| offsets.keys().cloned()));
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Removes every committed offset of which `is_over` holds, unless a transaction is about to replace it; the tombstones
    /// go into `entries`.
    pub(super) fn remove_if(
        &mut self,
        group: &str,
        entries: &mut Vec<Entry>,
        is_over: impl Fn(&str, &OffsetValue) -> bool,
    ) {
        let pending = &self.pending;
        let is_pending = |key: &(Arc<str>, i32)| pending.values().any(|offsets| offsets.contains_key(key));
        self.committed.retain_mut(|(topic, partitions)| {
            partitions.retain(|partition, committed| {
                let over = is_over(topic, &committed.value) && !is_pending(&(topic.clone(), *partition));
                if over {
                    entries.push(tombstone(group, topic, *partition));
                }
                !over
            });
            !partitions.is_empty()
        });
    }
}

fn find(committed: &ByTopic, topic: &str) -> Result<usize, usize> {
    committed.binary_search_by(|(known, _)| (**known).cmp(topic))
}

fn put(committed: &mut ByTopic, topic: &Arc<str>, partition: i32, offset: Committed) {
    let at = find(committed, topic).unwrap_or_else(|at| {
        if committed.is_empty() {
            committed.reserve_exact(1);
        }
        committed.insert(at, (topic.clone(), ByPartition::new()));
        at
    });
    let (_, partitions) = &mut committed[at];
    let is_older = |known: &Committed| known.order > offset.order;
    if !partitions.get(&partition).is_some_and(is_older) {
        partitions.insert(partition, offset);
    }
}

pub(super) fn tombstone(group: &str, topic: &str, partition: i32) -> Entry {
    Entry {
        key: offset_key(group, topic, partition),
        value: None,
    }
}

impl FetchedOffset {
    pub(super) fn none(topic: &Arc<str>, partition: i32) -> FetchedOffset {
        FetchedOffset {
            topic: topic.clone(),
            partition,
            error: ErrorCode::None,
            offset: -1,
            leader_epoch: -1,
            metadata: String::new(),
        }
    }
}
