//! What a leader knows of its followers: how far each has come, which are in sync, and which change of that is under way.
//!
//! Synchronous and pure; `now` is always an argument. The high watermark is the least end among the *maximal* ISR: the
//! members that are committed, and those that may have joined without the answer being here yet. One that may have left
//! still counts. So whoever the controller elects from the ISR, as it is known there, has every record below the high
//! watermark.

use std::time::Duration;

use super::{Leadership, Peer};
use crate::model::{BrokerId, LeaderEpoch};
#[cfg(test)]
use crate::rt;
use crate::rt::Instant;

/// A log's end, or start, that a follower has not told yet.
const UNKNOWN: i64 = -1;
/// An epoch that a broker has not told.
const NO_BROKER_EPOCH: i64 = -1;

/// A follower's fetch: everything below the offset is in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerFetch {
    pub broker: BrokerId,
    /// -1: it does not say.
    pub broker_epoch: i64,
    pub offset: i64,
    pub log_start: i64,
}

/// Why a fetch is none of a follower's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowerError {
    #[error("broker has no replica of the partition")]
    NotReplica,
    #[error("broker has registered again since")]
    StaleBroker,
}

/// The ISR that a leader wants, for the controller to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrProposal {
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    /// The members but for the leader, each with its broker's epoch (-1: unknown).
    pub peers: Vec<(BrokerId, i64)>,
}

/// What came of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IsrAnswer {
    Committed {
        partition_epoch: i32,
        isr: Vec<BrokerId>,
    },
    /// Nothing has changed: a member may not join now.
    Rejected,
    /// The metadata has moved on: the image to come says how.
    Outdated,
    /// It may have been committed, or not.
    Unknown,
}

/// How far the change of the ISR is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    None,
    Proposed,
    /// To be proposed again as it was.
    Again,
    /// Nothing is proposed before another image is here.
    Outdated,
}

#[derive(Debug)]
pub(super) struct Followers {
    all: Vec<Follower>,
    epoch: LeaderEpoch,
    partition_epoch: i32,
    /// The end of the leader's log when its epoch began: a follower is not in sync before it has come that far.
    epoch_start: i64,
    change: Change,
    /// A follower whose last contact is longer ago than this is not in sync.
    lag_max: Duration,
}

#[derive(Debug)]
struct Follower {
    broker: BrokerId,
    /// As committed.
    in_sync: bool,
    /// In the ISR that is proposed.
    proposed: bool,
    /// It is out of the ISR and close to joining: the high watermark does not run away from it.
    joining: bool,
    /// The broker epoch that it may join with.
    eligible: Option<i64>,
    /// As of its last fetch.
    broker_epoch: i64,
    end: i64,
    log_start: i64,
    /// When it last fetched, and where the leader's log ended then.
    fetched: Option<(Instant, i64)>,
    /// When it last had everything that the leader had.
    caught_up: Option<Instant>,
}

impl Followers {
    /// At the beginning of a leader's epoch.
    pub fn new(leadership: &Leadership, epoch_start: i64, lag_max: Duration, now: Instant) -> Followers {
        Followers {
            all: leadership.peers.iter().map(|peer| Follower::new(peer, now)).collect(),
            epoch: leadership.epoch,
            partition_epoch: leadership.partition_epoch,
            epoch_start,
            change: Change::None,
            lag_max,
        }
    }

    /// The image has changed within the leader's epoch. What was committed since it was made is newer than it.
    pub fn update(&mut self, leadership: &Leadership, now: Instant) {
        for peer in &leadership.peers {
            if let Some(follower) = self.follower(peer.broker) {
                follower.eligible = peer.epoch;
            }
        }
        if leadership.partition_epoch <= self.partition_epoch {
            return;
        }
        let mut before = std::mem::take(&mut self.all);
        self.all.extend(leadership.peers.iter().map(|peer| {
            let at = before.iter().position(|follower| follower.broker == peer.broker);
            let known = at.map(|at| before.swap_remove(at));
            let mut follower = known.unwrap_or_else(|| Follower::new(peer, now));
            follower.in_sync = peer.in_sync;
            follower
        }));
        self.partition_epoch = leadership.partition_epoch;
        self.settle();
    }

    pub fn epoch_start(&self) -> i64 {
        self.epoch_start
    }

    pub fn set_epoch_start(&mut self, offset: i64) {
        self.epoch_start = offset;
    }

    /// Committed members, the leader among them.
    pub fn isr_count(&self) -> usize {
        1 + self.all.iter().filter(|follower| follower.in_sync).count()
    }

    /// The least log start of the followers whose brokers live; -1 where one has not told its own.
    pub fn least_log_start(&self) -> Option<i64> {
        let live = self.all.iter().filter(|follower| follower.eligible.is_some());
        live.map(|follower| follower.log_start).min()
    }

    /// How far the high watermark may go, of a leader that vouches for everything below `own`.
    pub fn bound(&self, own: i64) -> i64 {
        let counted = self.all.iter().filter(|follower| self.counts(follower));
        counted.map(|follower| follower.end).fold(own, i64::min)
    }

    /// Whether the high watermark does not pass what the broker's replica holds.
    pub fn waits_for(&self, broker: BrokerId) -> bool {
        let of = |follower: &&Follower| follower.broker == broker;
        self.all.iter().find(of).is_some_and(|follower| self.counts(follower))
    }

    fn counts(&self, follower: &Follower) -> bool {
        #[cfg(test)]
        if rt::sim::is_off(rt::sim::Rule::MaximalIsr) {
            return follower.in_sync;
        }
        let may_have_joined = self.change != Change::None && follower.proposed;
        follower.in_sync || may_have_joined || follower.joining
    }

    /// `leader_end`: of the log that is read.
    pub fn on_fetch(&mut self, fetch: &FollowerFetch, leader_end: i64, now: Instant) -> Result<(), FollowerError> {
        let lag_max = self.lag_max;
        let follower = self.follower(fetch.broker).ok_or(FollowerError::NotReplica)?;
        if fetch.broker_epoch != NO_BROKER_EPOCH && fetch.broker_epoch < follower.broker_epoch {
            return Err(FollowerError::StaleBroker);
        }
        follower.on_fetch(fetch, leader_end, now);
        follower.joining = follower.is_joining(leader_end, lag_max, now);
        Ok(())
    }

    /// Time has passed: those that are close to joining may have stopped to be.
    pub fn look_again(&mut self, leader_end: i64, now: Instant) {
        for follower in &mut self.all {
            follower.joining = follower.is_joining(leader_end, self.lag_max, now);
        }
    }

    /// Somebody may join, and nothing is under way.
    pub fn has_joiner(&self, high_watermark: i64) -> bool {
        let may_join = |follower: &Follower| !follower.in_sync && self.has_all(follower, high_watermark);
        self.change == Change::None && self.all.iter().any(may_join)
    }

    fn wants_change(&self, high_watermark: i64, leader_end: i64, now: Instant) -> bool {
        let belongs = |follower: &Follower| self.belongs(follower, high_watermark, leader_end, now);
        match self.change {
            Change::Proposed | Change::Outdated => false,
            Change::Again => true,
            Change::None => self.all.iter().any(|follower| belongs(follower) != follower.in_sync),
        }
    }

    /// The ISR as it should be, if that is another one. It is under way from here on.
    pub fn propose(&mut self, high_watermark: i64, leader_end: i64, now: Instant) -> Option<IsrProposal> {
        if !self.wants_change(high_watermark, leader_end, now) {
            return None;
        }
        if self.change == Change::None {
            let belong = self
                .all
                .iter()
                .map(|one| self.belongs(one, high_watermark, leader_end, now));
            let belong: Vec<bool> = belong.collect();
            for (follower, belongs) in self.all.iter_mut().zip(belong) {
                follower.proposed = belongs;
            }
        }
        self.change = Change::Proposed;
        let members = self.all.iter().filter(|follower| follower.proposed);
        Some(IsrProposal {
            leader_epoch: self.epoch,
            partition_epoch: self.partition_epoch,
            peers: members
                .map(|follower| (follower.broker, follower.broker_epoch))
                .collect(),
        })
    }

    /// A member stays while it keeps up; another joins once it has everything that may be visible.
    fn belongs(&self, follower: &Follower, high_watermark: i64, leader_end: i64, now: Instant) -> bool {
        match follower.in_sync {
            true => follower.keeps_up(leader_end, self.lag_max, now),
            false => self.has_all(follower, high_watermark) && follower.is_heard(self.lag_max, now),
        }
    }

    /// Everything that may be visible, and the end of what this leader began with.
    fn has_all(&self, follower: &Follower, high_watermark: i64) -> bool {
        follower.is_eligible() && follower.end >= high_watermark.max(self.epoch_start)
    }

    /// `asked`: the partition's epoch in the proposal that this answers.
    pub fn on_answer(&mut self, asked: i32, answer: IsrAnswer) {
        if asked != self.partition_epoch || self.change != Change::Proposed {
            return;
        }
        match answer {
            IsrAnswer::Committed { partition_epoch, isr } => {
                for follower in &mut self.all {
                    follower.in_sync = isr.contains(&follower.broker);
                }
                self.partition_epoch = self.partition_epoch.max(partition_epoch);
                self.settle();
            }
            IsrAnswer::Rejected => self.settle(),
            IsrAnswer::Outdated => self.change = Change::Outdated,
            IsrAnswer::Unknown => self.change = Change::Again,
        }
    }

    fn settle(&mut self) {
        self.change = Change::None;
        for follower in &mut self.all {
            follower.proposed = false;
            follower.joining &= !follower.in_sync;
        }
    }

    fn follower(&mut self, broker: BrokerId) -> Option<&mut Follower> {
        self.all.iter_mut().find(|follower| follower.broker == broker)
    }
}

impl Follower {
    /// A member of the ISR gets the time to make itself known.
    fn new(peer: &Peer, now: Instant) -> Follower {
        Follower {
            broker: peer.broker,
            in_sync: peer.in_sync,
            proposed: false,
            joining: false,
            eligible: peer.epoch,
            broker_epoch: NO_BROKER_EPOCH,
            end: UNKNOWN,
            log_start: UNKNOWN,
            fetched: None,
            caught_up: peer.in_sync.then_some(now),
        }
    }

    /// Caught up is who has everything; and, as of its last fetch, who has everything that there was then: under a steady
    /// load nobody ever has everything.
    fn on_fetch(&mut self, fetch: &FollowerFetch, leader_end: i64, now: Instant) {
        if fetch.offset >= leader_end {
            self.caught_up = Some(now);
        } else if let Some((at, _)) = self.fetched.filter(|(_, end)| fetch.offset >= *end) {
            self.caught_up = self.caught_up.max(Some(at));
        }
        self.fetched = Some((now, leader_end));
        self.broker_epoch = fetch.broker_epoch;
        self.end = fetch.offset;
        self.log_start = fetch.log_start;
    }

    fn keeps_up(&self, leader_end: i64, lag_max: Duration, now: Instant) -> bool {
        self.end == leader_end || self.caught_up.is_some_and(|at| now.since(at) <= lag_max)
    }

    /// It has fetched lately: who is silent does not join, however little there is to have.
    fn is_heard(&self, lag_max: Duration, now: Instant) -> bool {
        self.fetched.is_some_and(|(at, _)| now.since(at) <= lag_max)
    }

    fn is_joining(&self, leader_end: i64, lag_max: Duration, now: Instant) -> bool {
        !self.in_sync && self.is_eligible() && self.keeps_up(leader_end, lag_max, now)
    }

    /// The broker may join, and it is the one that has fetched.
    fn is_eligible(&self) -> bool {
        let is_known = |epoch| self.broker_epoch == NO_BROKER_EPOCH || self.broker_epoch == epoch;
        self.end != UNKNOWN && self.eligible.is_some_and(is_known)
    }
}

#[cfg(test)]
mod tests;
