//! Consumer groups (KIP-848): the coordinator decides who reads what, and brings each member there step by step, by the
//! answers to its heartbeats.
//!
//! ```text
//!   subscription changes, member comes or goes, topic changes ──► group epoch + 1
//!   group epoch > assignment epoch ──► an assignor makes the targets; assignment epoch = group epoch
//!   member's epoch < assignment epoch, at its heartbeat:
//!       it has what is another's now ──► told to give that up, stays in its epoch (UnrevokedPartitions)
//!       it has given it up           ──► assignment epoch, with all of its target that nobody else still has;
//!                                        the rest follows when it is free (UnreleasedPartitions), or it is Stable
//! ```
//!
//! Every change is a [`Change`]: written to the log, and applied to the state by the same function that replays the log.
//! So a coordinator that loads has the state that it was written from.
//!
//! Invariants: a partition is assigned to one member at a time, and to the next one only when the first has confirmed
//! that it gave it up, or is gone; epochs grow.
//!
//! | file | what |
//! |---|---|
//! | change | the changes, their records, and what they do |
//! | member | one member: what it said, what it has, until when it must be heard of |
//! | heartbeat | the one request of members, and who may send it |
//! | target | group epochs, and the targets that go with them |
//! | reconcile | from what a member has towards its target |
//! | leave | members that go, are fenced, or are silent for too long |
//! | regex | subscriptions by regular expressions |
//! | classic | members that speak the classic protocol, and groups that come from it or go back to it |
//! | commit | who may commit and fetch offsets |
//! | describe | what others see of the group |

mod change;
mod classic;
mod commit;
mod describe;
mod heartbeat;
mod leave;
mod member;
mod reconcile;
mod regex;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) use change::Change;
pub use regex::{Pattern, Search};

use member::Member;

use super::classic::MemberId;
use super::record::{Assignment, EpochValue, RegexValue, TargetEpochValue};
use crate::model::TopicId;

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) id: Arc<str>,
    epoch: EpochValue,
    assigned: TargetEpochValue,
    members: BTreeMap<MemberId, Member>,
    /// Static members, by their instance ids.
    instances: BTreeMap<String, MemberId>,
    targets: BTreeMap<MemberId, Assignment>,
    /// How many members have each partition, or have yet to give it up: one at most, but for moments while a log that was
    /// compacted is replayed.
    owners: BTreeMap<(TopicId, i32), usize>,
    /// Topics that the expressions match, as far as they have been looked for.
    regexes: BTreeMap<String, RegexValue>,
    /// The log has a record of the topics' sizes, as older brokers write it.
    has_old_topics: bool,
    /// A topic that is read may have changed since the epoch was made.
    is_stale: bool,
    /// Topics that expressions match are being looked for.
    is_searching: bool,
    /// There are topics that the expressions were not held against.
    has_new_topics: bool,
}

impl Consumer {
    pub(super) fn new(id: Arc<str>) -> Consumer {
        Consumer {
            id,
            epoch: EpochValue::default(),
            assigned: TargetEpochValue::default(),
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            targets: BTreeMap::new(),
            owners: BTreeMap::new(),
            regexes: BTreeMap::new(),
            has_old_topics: false,
            is_stale: false,
            is_searching: false,
            has_new_topics: false,
        }
    }

    /// Nothing of it is in the log.
    pub(super) fn is_blank(&self) -> bool {
        self.epoch.epoch == 0 && self.members.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn member_count(&self) -> usize {
        self.members.len()
    }

    pub(super) fn state_name(&self) -> &'static str {
        let is_there = |member: &Member| member.is_reconciled_to(self.assigned.epoch);
        match () {
            () if self.members.is_empty() => "Empty",
            () if self.epoch.epoch > self.assigned.epoch => "Assigning",
            () if self.members.values().all(is_there) => "Stable",
            () => "Reconciling",
        }
    }

    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| self.reads(member, topic))
    }

    fn reads(&self, member: &Member, topic: &str) -> bool {
        let matched = self.matched(member).is_some_and(|topics| topics.contains(topic));
        matched || member.about.topics.contains(topic)
    }

    /// What the member's expression matches, if it has one and that has been looked for.
    fn matched(&self, member: &Member) -> Option<&BTreeSet<String>> {
        let regex = member.about.regex.as_ref()?;
        self.regexes.get(regex).map(|value| &value.topics)
    }

    /// The names of all that the member reads.
    fn topics_of<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a str> {
        let matched = self.matched(member).into_iter().flatten();
        matched.chain(&member.about.topics).map(String::as_str)
    }

    /// The cluster's topics have changed.
    pub(super) fn on_topics_changed(&mut self, changed: &[Arc<str>]) {
        self.has_new_topics |= !changed.is_empty();
        self.is_stale |= changed.iter().any(|topic| self.is_subscribed_to(topic));
    }

    /// What each member has or has yet to give up.
    #[cfg(test)]
    pub(super) fn held(&self) -> BTreeMap<String, Vec<(TopicId, i32)>> {
        let members = self.members.iter();
        members
            .map(|(id, member)| (id.to_string(), member.partitions()))
            .collect()
    }

    fn is_owned(&self, topic: &TopicId, partition: i32) -> bool {
        self.owners.contains_key(&(*topic, partition))
    }
}
