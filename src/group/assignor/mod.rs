//! Assignors: which member of a group is to read which partitions. Pure functions of who reads what and who has what;
//! the same question always has the same answer.

mod range;
#[cfg(test)]
mod tests;
mod uniform;

use std::collections::{BTreeMap, BTreeSet};

use super::classic::MemberId;
use super::record::Assignment;
use crate::model::TopicId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// The same number of partitions for every member, as far as subscriptions allow; moves as few as it can.
    Uniform,
    /// A run of each topic's partitions for every member: topics of equal size stay together.
    Range,
}

/// A member as an assignor sees it.
#[derive(Debug)]
pub struct Subscriber<'a> {
    pub instance_id: Option<&'a str>,
    pub topics: BTreeSet<TopicId>,
    /// What it was to have until now.
    pub target: Option<&'a Assignment>,
}

pub type Subscribers<'a> = BTreeMap<MemberId, Subscriber<'a>>;
pub type Targets = BTreeMap<MemberId, Assignment>;

impl Assignor {
    const ALL: [Assignor; 2] = [Assignor::Uniform, Assignor::Range];

    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    pub fn named(name: &str) -> Option<Assignor> {
        Assignor::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// `counts` has the number of partitions of every topic that anybody reads. Every member has its place in the
    /// answer, and every partition of a topic with a reader one owner.
    pub fn assign(self, subscribers: &Subscribers<'_>, counts: &BTreeMap<TopicId, i32>) -> Targets {
        match self {
            Assignor::Uniform => uniform::assign(subscribers, counts),
            Assignor::Range => range::assign(subscribers, counts),
        }
    }
}
