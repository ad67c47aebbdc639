//! Group epochs, and the targets that go with them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Consumer;
use super::change::Change;
use super::member::Member;
use crate::group::assignor::{Assignor, Subscriber};
use crate::group::catalog::CatalogTopic;
use crate::group::record::{EpochValue, TargetEpochValue};
use crate::group::turn::Turn;
use crate::model::TopicId;

impl Consumer {
    /// A new epoch if the caller has a reason for one, or the topics that are read are not what they were.
    pub(super) fn renew_epoch(&mut self, is_due: bool, turn: &mut Turn<'_>) {
        let is_due = is_due || self.epoch.epoch == 0;
        if !is_due && !self.is_stale {
            return;
        }
        self.is_stale = false;
        let topics_hash = hash(&self.read_topics(turn));
        if is_due || topics_hash != self.epoch.topics_hash {
            let epoch = self.epoch.epoch.saturating_add(1);
            tracing::info!(group = %self.id, epoch, members = self.members.len(), "consumer group has a new epoch");
            let value = EpochValue { epoch, topics_hash };
            self.change(Change::Epoch(Some(value)), turn);
        }
    }

    /// The topics that any member reads, as far as there are such topics.
    fn read_topics<'a>(&'a self, turn: &Turn<'_>) -> BTreeMap<&'a str, CatalogTopic> {
        let names = self.members.values().flat_map(|member| self.topics_of(member));
        let names: BTreeSet<&str> = names.collect();
        let topics = names.into_iter();
        topics
            .filter_map(|name| turn.catalog.topic(name).map(|topic| (name, topic)))
            .collect()
    }

    /// New targets if the epoch asks for them; of epochs that follow each other fast only the last one gets them.
    pub(super) fn renew_targets(&mut self, turn: &mut Turn<'_>) {
        let interval = turn.catalog.consumer_settings(&self.id).assignment_interval;
        if self.epoch.epoch <= self.assigned.epoch || !self.may_assign(interval, turn) {
            return;
        }
        let topics = self.read_topics(turn);
        let counts: BTreeMap<TopicId, i32> = topics.values().map(|topic| (topic.id, topic.partitions)).collect();
        let subscribers = self.members.iter().map(|(id, member)| {
            let subscriber = Subscriber {
                instance_id: member.about.instance_id.as_deref(),
                topics: self.readable(member, turn),
                target: self.targets.get(id),
            };
            (id.clone(), subscriber)
        });
        let assignor = self.assignor(turn);
        let targets = assignor.assign(&subscribers.collect(), &counts);
        tracing::info!(
            group = %self.id, epoch = self.epoch.epoch, assignor = assignor.name(), members = targets.len(),
            "consumer group has new targets"
        );
        for (id, target) in targets {
            if self.targets.get(&id) != Some(&target) {
                self.change(Change::Target(id, Some(target)), turn);
            }
        }
        let value = TargetEpochValue {
            epoch: self.epoch.epoch,
            assigned_ms: turn.now.wall_ms,
        };
        self.change(Change::TargetEpoch(Some(value)), turn);
    }

    fn may_assign(&self, interval: Duration, turn: &Turn<'_>) -> bool {
        let since_ms = turn.now.wall_ms.saturating_sub(self.assigned.assigned_ms);
        // A clock that was set back must not hold up the group.
        let is_held = u128::try_from(since_ms).is_ok_and(|since_ms| since_ms < interval.as_millis());
        self.assigned.assigned_ms == 0 || !is_held
    }

    /// The one that most members ask for; of several the broker's preference decides, as it does where nobody asks.
    pub(super) fn assignor(&self, turn: &Turn<'_>) -> Assignor {
        let votes = |assignor: &Assignor| {
            let asks = |member: &&Member| member.about.assignor.as_deref() == Some(assignor.name());
            self.members.values().filter(asks).count()
        };
        let known = assignors(turn);
        // The last of the largest ones is taken.
        known.into_iter().rev().max_by_key(votes).unwrap_or(Assignor::Uniform)
    }
}

/// The assignors that the broker offers, the default one first.
pub(in crate::group) fn assignors(turn: &Turn<'_>) -> Vec<Assignor> {
    let names = turn.config.consumer.assignors.iter();
    names.filter_map(|name| Assignor::named(name)).collect()
}

/// FNV-1a over names, ids and sizes: it is only ever compared with the one before. 0 is left to "not known".
fn hash(topics: &BTreeMap<&str, CatalogTopic>) -> i64 {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    if topics.is_empty() {
        return 0;
    }
    let add = |hash: u64, bytes: &[u8]| {
        bytes
            .iter()
            .fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
    };
    let hash = topics.iter().fold(START, |hash, (name, topic)| {
        let hash = add(add(hash, name.as_bytes()), &topic.id.0);
        add(hash, &topic.partitions.to_be_bytes())
    });
    match hash {
        0 => 1,
        hash => hash.cast_signed(),
    }
}
