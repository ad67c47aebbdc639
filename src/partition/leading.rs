//! A replica that leads: which epoch and role it has, what its followers tell, and what the ISR is to be.

use super::followers::{FollowerError, FollowerFetch, Followers, IsrAnswer, IsrProposal};
use super::following::Following;
use super::{AckToken, Leadership, Partition};
use crate::model::{BrokerId, LeaderEpoch};
#[cfg(test)]
use crate::rt;
use crate::rt::Instant;

/// What a replica is to its partition.
#[derive(Debug)]
pub(super) enum Role {
    /// The only replica: what it has written is all there is to know.
    Alone,
    Leader(Box<Followers>),
    Follower(Following),
}

/// What has followed from another leadership.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shift {
    /// It is another role, or another leader's epoch.
    pub turned: bool,
    pub visible_bytes: u64,
    /// They waited for this replica as the leader.
    pub abandoned: Vec<AckToken>,
}

impl Partition {
    /// What the image says now.
    pub fn set_leadership(&mut self, leadership: Leadership, acked: &mut Vec<AckToken>, now: Instant) -> Shift {
        let mut shift = Shift::default();
        if leadership == self.leadership {
            return shift;
        }
        let was_leader = self.leadership.is_leader;
        shift.turned = leadership.epoch != self.leadership.epoch || leadership.is_leader != was_leader;
        if shift.turned && leadership.is_leader {
            self.log.keep_end();
        }
        self.role = self.role_in(&leadership, shift.turned, now);
        self.leadership = leadership;
        if was_leader && !self.leadership.is_leader {
            self.pending.abandon(&mut shift.abandoned);
        }
        shift.visible_bytes = self.advance(acked);
        shift
    }

    pub(super) fn role_in(&mut self, leadership: &Leadership, is_new: bool, now: Instant) -> Role {
        if leadership.is_alone() {
            return Role::Alone;
        }
        match (std::mem::replace(&mut self.role, Role::Alone), leadership.is_leader) {
            (Role::Leader(mut followers), true) if !is_new => {
                followers.update(leadership, now);
                Role::Leader(followers)
            }
            (_, true) => {
                let followers = Followers::new(leadership, self.log.staged(), self.lag_max, now);
                Role::Leader(Box::new(followers))
            }
            (follower @ Role::Follower(_), false) if !is_new => follower,
            (_, false) => Role::Follower(Following::default()),
        }
    }

    /// How far the high watermark may go: what this replica vouches for; of a leader, what every other member of the ISR
    /// has too; of a follower, what its leader says. It stands still while too few replicas are in sync, so that whoever was
    /// in the ISR before may still be elected without a loss. //= KIP-966
    pub(super) fn high_watermark_bound(&self, promised: i64) -> i64 {
        match &self.role {
            Role::Alone => promised,
            Role::Leader(followers) if self.is_held(followers) => self.high_watermark,
            Role::Leader(followers) => followers.bound(promised),
            Role::Follower(following) => promised.min(following.high_watermark()),
        }
    }

    fn is_held(&self, followers: &Followers) -> bool {
        #[cfg(test)]
        if rt::sim::is_off(rt::sim::Rule::HeldHighWatermark) {
            return false;
        }
        followers.isr_count() < self.required_in_sync()
    }

    /// Whether what is written here with acks=all waits for the broker to copy it: while too few are in sync, for any.
    pub fn waits_for(&self, broker: BrokerId) -> bool {
        match &self.role {
            Role::Leader(followers) => self.is_held(followers) || followers.waits_for(broker),
            Role::Alone | Role::Follower(_) => false,
        }
    }

    /// How many replicas, the leader among them, must be in sync for the high watermark to move on.
    pub fn required_in_sync(&self) -> usize {
        let required = usize::try_from(self.config.min_insync_replicas).unwrap_or(1);
        required.min(self.leadership.replica_count())
    }

    /// As committed, be it that the image does not have it yet.
    pub fn in_sync_count(&self) -> usize {
        match &self.role {
            Role::Leader(followers) => followers.isr_count(),
            Role::Alone | Role::Follower(_) => self.leadership.isr_count(),
        }
    }

    pub fn has_lagging_replica(&self) -> bool {
        self.in_sync_count() < self.leadership.replica_count()
    }

    /// Where the leader's epoch began in its log. Below it the high watermark may be older than what was committed before.
    pub fn epoch_start(&self) -> Option<i64> {
        match &self.role {
            Role::Leader(followers) => Some(followers.epoch_start()),
            Role::Alone | Role::Follower(_) => None,
        }
    }

    /// A follower has fetched, from an offset that this log has and in an epoch that fits: so it has everything below.
    /// Gives the bytes that became visible.
    pub fn on_follower_fetch(
        &mut self,
        fetch: &FollowerFetch,
        acked: &mut Vec<AckToken>,
        now: Instant,
    ) -> Result<u64, FollowerError> {
        let leader_end = self.log.submitted();
        let Role::Leader(followers) = &mut self.role else {
            return Err(FollowerError::NotReplica);
        };
        followers.on_fetch(fetch, leader_end, now)?;
        Ok(self.advance(acked))
    }

    /// Whether the fetch that was just seen lets its follower join the ISR: [`Partition::isr_change`] is due.
    pub fn wants_isr_change(&self) -> bool {
        match &self.role {
            Role::Leader(followers) => followers.has_joiner(self.high_watermark),
            Role::Alone | Role::Follower(_) => false,
        }
    }

    /// To be asked now and then, and when a follower may join: who has not caught up for too long leaves the ISR, who has
    /// caught up joins it. Also gives the bytes that became visible: those who are out of it hold nothing up any more.
    pub fn isr_change(&mut self, acked: &mut Vec<AckToken>, now: Instant) -> (Option<IsrProposal>, u64) {
        let leader_end = self.log.submitted();
        let Role::Leader(followers) = &mut self.role else {
            return (None, 0);
        };
        followers.look_again(leader_end, now);
        let proposal = followers.propose(self.high_watermark, leader_end, now);
        (proposal, self.advance(acked))
    }

    /// `asked`: the epochs of the proposal that this answers. Gives the bytes that became visible.
    pub fn on_isr_answer(&mut self, asked: (LeaderEpoch, i32), answer: IsrAnswer, acked: &mut Vec<AckToken>) -> u64 {
        let (epoch, partition_epoch) = asked;
        match &mut self.role {
            Role::Leader(followers) if epoch == self.leadership.epoch => followers.on_answer(partition_epoch, answer),
            _ => return 0,
        }
        self.advance(acked)
    }

    /// Below it no live replica has records; -1 while one has not told.
    pub fn low_watermark(&self) -> i64 {
        let own = self.log.log_start();
        match &self.role {
            Role::Leader(followers) => followers.least_log_start().map_or(own, |least| least.min(own)),
            Role::Alone | Role::Follower(_) => own,
        }
    }
}
