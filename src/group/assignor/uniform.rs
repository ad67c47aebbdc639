//! As many partitions for one member as for the other, and as few moves as that takes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Subscriber, Subscribers, Targets};
use crate::group::classic::MemberId;
use crate::model::TopicId;

type Partition = (TopicId, i32);

pub(super) fn assign(subscribers: &Subscribers<'_>, counts: &BTreeMap<TopicId, i32>) -> Targets {
    let mut hands = Hands::keep(subscribers, counts);
    let mut subscriptions = subscribers.values().map(|member| &member.topics);
    let first = subscriptions.next();
    match subscriptions.all(|topics| Some(topics) == first) {
        true => hands.level(),
        false => {
            hands.fill();
            hands.balance();
        }
    }
    hands.into_targets()
}

/// What each member holds, in the order of their ids, and what nobody holds.
struct Hands<'a> {
    ids: Vec<&'a MemberId>,
    held: Vec<BTreeSet<Partition>>,
    /// Who reads each topic.
    readers: BTreeMap<TopicId, Vec<usize>>,
    free: BTreeSet<Partition>,
}

impl<'a> Hands<'a> {
    /// Everyone keeps what it has and may still read.
    fn keep(subscribers: &'a Subscribers<'_>, counts: &BTreeMap<TopicId, i32>) -> Hands<'a> {
        let mut readers: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
        for (at, member) in subscribers.values().enumerate() {
            for topic in &member.topics {
                readers.entry(*topic).or_default().push(at);
            }
        }
        let read = counts.iter().filter(|(topic, _)| readers.contains_key(topic));
        let mut free: BTreeSet<Partition> = read
            .flat_map(|(topic, count)| (0..*count).map(|index| (*topic, index)))
            .collect();
        let kept = |member: &Subscriber<'_>| {
            let mine = partitions_of(member).into_iter();
            mine.filter(|partition| member.topics.contains(&partition.0) && free.remove(partition))
                .collect()
        };
        Hands {
            ids: subscribers.keys().collect(),
            held: subscribers.values().map(kept).collect(),
            readers,
            free,
        }
    }

    /// All read the same: each has its share, and those who hold more than that have the shares that are larger by one.
    fn level(&mut self) {
        let members = self.held.len();
        if members == 0 {
            return;
        }
        let total = self.free.len() + self.held.iter().map(BTreeSet::len).sum::<usize>();
        let share = total / members;
        let mut shares = vec![share; members];
        let (rich, poor): (Vec<usize>, Vec<usize>) = (0..members).partition(|at| self.held[*at].len() > share);
        for at in rich.into_iter().chain(poor).take(total % members) {
            shares[at] += 1;
        }
        for (held, share) in self.held.iter_mut().zip(&shares) {
            while held.len() > *share {
                self.free.extend(held.pop_last());
            }
        }
        self.deal(&shares);
    }

    /// Round by round, so that the partitions of a topic spread.
    fn deal(&mut self, shares: &[usize]) {
        let mut at = 0;
        for partition in std::mem::take(&mut self.free) {
            while self.held[at].len() >= shares[at] {
                at = (at + 1) % shares.len();
            }
            self.held[at].insert(partition);
            at = (at + 1) % shares.len();
        }
    }

    /// What nobody holds goes to the reader that holds least; topics with few readers first.
    fn fill(&mut self) {
        let mut free: Vec<Partition> = std::mem::take(&mut self.free).into_iter().collect();
        free.sort_by_key(|(topic, index)| (self.readers[topic].len(), *topic, *index));
        for partition in free {
            let readers = self.readers[&partition.0].iter();
            if let Some(least) = readers.copied().min_by_key(|at| self.held[*at].len()) {
                self.held[least].insert(partition);
            }
        }
    }

    /// Until no single move makes two members more equal. Every move makes the sum of the squares smaller, so it ends.
    fn balance(&mut self) {
        let topics: Vec<TopicId> = self.readers.keys().copied().collect();
        while topics.iter().filter(|topic| self.balance_topic(topic)).count() > 0 {}
    }

    /// True: something was moved.
    fn balance_topic(&mut self, topic: &TopicId) -> bool {
        let mut moved = false;
        while let Some((from, to, partition)) = self.next_move(topic) {
            self.held[from].remove(&partition);
            self.held[to].insert(partition);
            moved = true;
        }
        moved
    }

    fn next_move(&self, topic: &TopicId) -> Option<(usize, usize, Partition)> {
        let readers = &self.readers[topic];
        let len = |at: &usize| self.held[*at].len();
        let last = |at: usize| {
            self.held[at]
                .range((*topic, 0)..=(*topic, i32::MAX))
                .next_back()
                .copied()
        };
        let owners = readers.iter().copied().filter(|at| last(*at).is_some());
        let from = owners.max_by_key(len)?;
        let to = readers.iter().copied().min_by_key(len)?;
        let partition = last(from).filter(|_| len(&from) > len(&to) + 1)?;
        Some((from, to, partition))
    }

    fn into_targets(self) -> Targets {
        let hands = self.ids.into_iter().zip(self.held);
        let target = |(id, held): (&MemberId, BTreeSet<Partition>)| {
            let mut target = BTreeMap::new();
            for (topic, index) in held {
                let of: &mut BTreeSet<i32> = target.entry(topic).or_default();
                of.insert(index);
            }
            (id.clone(), target)
        };
        hands.map(target).collect()
    }
}

fn partitions_of(member: &Subscriber<'_>) -> Vec<Partition> {
    let topics = member.target.into_iter().flatten();
    topics
        .flat_map(|(topic, partitions)| partitions.iter().map(|index| (*topic, *index)))
        .collect()
}
