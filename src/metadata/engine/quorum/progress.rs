//! How far each node of the quorum has come, as the leader hears of it. The consensus tells what a node has by now; when
//! it last had everything is noted here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use openraft::{Instant, RaftMetrics};

use super::types::{StoredMembership, Types, Voter, directory_of};
use crate::metadata::command::{QuorumMember, QuorumState};
use crate::model::BrokerId;

type Metrics = RaftMetrics<Types>;

/// Cheap to clone; of one control thread.
#[derive(Clone, Default)]
pub struct Progress(Rc<RefCell<Noted>>);

#[derive(Default)]
struct Noted {
    term: u64,
    /// By the numbers of the voters, in wall time.
    caught_up_ms: BTreeMap<u64, i64>,
    observers: BTreeMap<BrokerId, Heard>,
}

/// A node without a vote, when it last asked for news.
struct Heard {
    end: u64,
    heard_ms: i64,
    caught_up_ms: Option<i64>,
}

/// After which one that is silent is not told of any more, as in Kafka.
const OBSERVER_SESSION_MS: i64 = 300_000;

impl Noted {
    fn forget_silent(&mut self, now_ms: i64) {
        let is_here = |heard: &Heard| now_ms.saturating_sub(heard.heard_ms) < OBSERVER_SESSION_MS;
        self.observers.retain(|_, heard| is_here(heard));
    }
}

impl Progress {
    /// Called whenever the consensus shows something new. What was noted in another leadership is forgotten.
    pub fn note(&self, metrics: &Metrics, now_ms: i64) {
        let mut noted = self.0.borrow_mut();
        if noted.term != metrics.current_term || metrics.replication.is_none() {
            noted.caught_up_ms.clear();
            noted.observers.clear();
            noted.term = metrics.current_term;
        }
        for id in metrics.replication.iter().flatten().map(|(id, _)| *id) {
            if log_end(metrics, id) == end(metrics.last_log_index) {
                let had_at_ms = heard_ms(metrics, id, now_ms).unwrap_or(now_ms);
                noted.caught_up_ms.insert(id, had_at_ms);
            }
        }
    }

    /// An observer has as many entries; `has_all`: as many as there are.
    pub fn hear(&self, observer: BrokerId, end: u64, has_all: bool, now_ms: i64) {
        let mut noted = self.0.borrow_mut();
        noted.forget_silent(now_ms);
        let before = noted.observers.get(&observer).and_then(|heard| heard.caught_up_ms);
        let heard = Heard {
            end,
            heard_ms: now_ms,
            caught_up_ms: if has_all { Some(now_ms) } else { before },
        };
        noted.observers.insert(observer, heard);
    }

    /// Without those that have joined since.
    fn observers(&self, membership: &StoredMembership, now_ms: i64) -> Vec<QuorumMember> {
        let mut noted = self.0.borrow_mut();
        noted.forget_silent(now_ms);
        noted
            .observers
            .retain(|observer, _| membership.nodes().all(|(_, voter)| voter.node != *observer));
        let member = |(node, heard): (&BrokerId, &Heard)| QuorumMember {
            node: *node,
            directory: None,
            address: None,
            log_end: Some(heard.end),
            heard_ms: Some(heard.heard_ms),
            caught_up_ms: heard.caught_up_ms,
        };
        noted.observers.iter().map(member).collect()
    }

    /// The quorum as `me` sees it, which leads it.
    pub fn describe(&self, me: BrokerId, metrics: &Metrics, now_ms: i64) -> QuorumState {
        let membership = &metrics.membership_config;
        let voters: Vec<u64> = membership.voter_ids().collect();
        let of_all = membership
            .nodes()
            .map(|(id, voter)| (voters.contains(id), self.member(*id, voter, metrics, now_ms)));
        let (mut voters, mut learners): (Vec<_>, Vec<_>) = of_all.partition(|(votes, _)| *votes);
        let sorted = |members: &mut Vec<(bool, QuorumMember)>| -> Vec<QuorumMember> {
            members.sort_by_key(|(_, member)| member.node);
            members.drain(..).map(|(_, member)| member).collect()
        };
        QuorumState {
            leader: me,
            term: metrics.current_term,
            committed_end: end(metrics.cluster_committed.as_ref().map(|id| id.index())).unwrap_or(0),
            voters: sorted(&mut voters),
            learners: sorted(&mut learners)
                .into_iter()
                .chain(self.observers(membership, now_ms))
                .collect(),
        }
    }

    fn member(&self, id: u64, voter: &Voter, metrics: &Metrics, now_ms: i64) -> QuorumMember {
        let itself = id == metrics.id;
        let heard_ms = match itself {
            true => Some(now_ms),
            false => heard_ms(metrics, id, now_ms),
        };
        let log_end = match itself {
            true => end(metrics.last_log_index),
            false => log_end(metrics, id),
        };
        let has_all = log_end.is_some() && log_end == end(metrics.last_log_index);
        let noted_ms = self.0.borrow().caught_up_ms.get(&id).copied();
        QuorumMember {
            node: voter.node,
            directory: Some(directory_of(id, voter)),
            address: Some((voter.host.clone(), voter.port)),
            log_end,
            heard_ms,
            // What it has it had when it was heard.
            caught_up_ms: heard_ms.filter(|_| has_all).or(noted_ms),
        }
    }
}

pub fn log_end(metrics: &Metrics, id: u64) -> Option<u64> {
    let known = metrics.replication.as_ref()?.get(&id)?;
    end(known.as_ref().map(|last| last.index()))
}

fn end(last: Option<u64>) -> Option<u64> {
    last.map(|index| index + 1)
}

/// When the leader heard of the node last, in wall time.
pub fn heard_ms(metrics: &Metrics, id: u64, now_ms: i64) -> Option<i64> {
    let heard = metrics.heartbeat.as_ref()?.get(&id)?.as_ref()?;
    let ago = i64::try_from(heard.elapsed().as_millis()).unwrap_or(i64::MAX);
    Some(now_ms.saturating_sub(ago))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openraft::type_config::alias::CommittedLeaderIdOf;

    use super::*;
    use crate::metadata::engine::quorum::types::{LogId, Membership};

    /// Node 1 leads with entries up to `last`; voter 2 has entries up to `theirs`; node 3 learns and has nothing.
    fn metrics(last: u64, theirs: u64) -> Metrics {
        let log_id = |index| LogId::new(CommittedLeaderIdOf::<Types>::new(4), index);
        let voter = |node| Voter {
            node: BrokerId(node),
            ..Voter::at("h", 9093)
        };
        let nodes = BTreeMap::from([(10, voter(1)), (20, voter(2)), (30, voter(3))]);
        let membership = Membership::new(vec![[10, 20].into()], nodes).expect("its voters are nodes");
        let mut metrics = Metrics::new_initial(10);
        metrics.current_term = 4;
        metrics.last_log_index = Some(last);
        metrics.cluster_committed = Some(log_id(theirs));
        metrics.membership_config = Arc::new(StoredMembership::new(None, membership));
        metrics.replication = Some(BTreeMap::from([
            (10, Some(log_id(last))),
            (20, Some(log_id(theirs))),
            (30, None),
        ]));
        metrics
    }

    /// A follower that falls behind keeps the time at which it last had everything; another term knows nothing of it.
    #[test]
    fn a_follower_behind_shows_when_it_was_caught_up() {
        let progress = Progress::default();
        progress.note(&metrics(7, 7), 1_000);
        progress.note(&metrics(9, 7), 2_000);
        let state = progress.describe(BrokerId(1), &metrics(9, 7), 3_000);
        let shown = |member: &QuorumMember| (member.node.0, member.log_end, member.caught_up_ms);
        assert_eq!((state.leader, state.term, state.committed_end), (BrokerId(1), 4, 8));
        let voters: Vec<_> = state.voters.iter().map(shown).collect();
        assert_eq!(voters, [(1, Some(10), Some(3_000)), (2, Some(8), Some(1_000))]);
        let learners: Vec<_> = state.learners.iter().map(shown).collect();
        assert_eq!(learners, [(3, None, None)]);
        let mut later = metrics(9, 7);
        later.current_term = 5;
        progress.note(&later, 4_000);
        let state = progress.describe(BrokerId(1), &later, 5_000);
        assert_eq!(state.voters[1].caught_up_ms, None);
    }
}
