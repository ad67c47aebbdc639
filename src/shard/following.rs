//! The follower's side: which partitions are copied from whom, and what their copying brings.
//!
//! The copying tasks stand above the shard and hold no state of it. They are told of each life that a partition begins and
//! ends as a follower, with where its log ends; what they bring names the life that it was fetched for, and is refused once
//! that is over. An answer says where the log ends then, and is given when what was appended is written: the next request
//! tells the leader that offset, which counts as held from then on.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::hosted::{Hosted, Open, open_at};
use super::message::{Job, Life};
use super::reply::ReplyTx;
use super::state::Shard;
use crate::metrics::Metric;
use crate::model::{BrokerId, Incarnation, LeaderEpoch, PartitionId};
use crate::partition::{FetchPosition, FetchedError, LeaderView, Producers};
use crate::rt::Now;
use crate::storage::{Cache, TruncateDone};

/// One life of a partition as a follower: under one leader epoch, with one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerLife {
    pub partition: PartitionId,
    pub incarnation: Incarnation,
    pub leader_epoch: LeaderEpoch,
}

/// What a follower's next request says of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    pub offset: i64,
    /// The leader epoch of the last batch; -1: there is none.
    pub last_epoch: i32,
    pub log_start: i64,
}

/// A partition to copy, and from whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follow {
    pub life: FollowerLife,
    pub leader: BrokerId,
    pub end: LogEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowChange {
    /// In the place of an earlier life of the partition, if there was one.
    Begin(Follow),
    End(PartitionId),
}

/// What a leader answered to a request from `offset` on: whole batches, or none, and its own offsets.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub life: FollowerLife,
    pub offset: i64,
    pub records: Bytes,
    pub high_watermark: i64,
    pub log_start: i64,
}

/// How a log is to be cut before it can be copied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The leader's log has this epoch end here, and ours leaves it. //= KIP-595
    Diverging { epoch: i32, end_offset: i64 },
    /// The leader's log ends below ours.
    LeaderEnd(i64),
    /// The leader's log begins above our end.
    StartAt(i64),
}

#[derive(Clone, Copy, Debug)]
pub struct CutLog {
    pub life: FollowerLife,
    pub cut: Cut,
}

/// Where the log ends now, be it after a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    pub end: LogEnd,
    pub failure: Option<String>,
}

/// One outcome per item, in order; `None`: that life is over.
pub type CopyOutcomes = Vec<Option<Copied>>;

#[derive(Default)]
pub(super) struct Following {
    /// What the copying was told last.
    told: BTreeMap<PartitionId, (FollowerLife, BrokerId)>,
    /// What it is to be told; the last word of each partition counts.
    changes: BTreeMap<PartitionId, FollowChange>,
    listener: Option<ReplyTx<Vec<FollowChange>>>,
    /// Followers whose log's end is not known yet: writes or a truncation are under way.
    unsettled: BTreeSet<PartitionId>,
    steps: u64,
    gathers: BTreeMap<u64, Gather>,
    /// Items whose writes or truncations are under way: one per partition, as each is copied by one task.
    awaited: BTreeMap<PartitionId, Awaited>,
}

struct Gather {
    outcomes: CopyOutcomes,
    missing: usize,
    reply: ReplyTx<CopyOutcomes>,
}

struct Awaited {
    life: FollowerLife,
    gather: u64,
    slot: usize,
    failure: Option<String>,
}

/// What became of an item at once.
type Step = Result<Option<String>, Over>;

/// The life that an item names is over.
struct Over;

impl Shard {
    pub(super) fn on_follow_changes(&mut self, reply: ReplyTx<Vec<FollowChange>>) {
        self.following.listener = Some(reply);
        self.following.tell();
    }

    /// To be called whenever what the partition is, or where its log ends, may have changed.
    pub(super) fn follow(&mut self, id: PartitionId) {
        self.settle_awaited(id);
        let wanted = self.wanted_follow(id);
        let following = &mut self.following;
        match wanted {
            Some((life, leader, end)) => {
                let is_known = following.told.get(&id) == Some(&(life, leader));
                match end {
                    _ if is_known => {}
                    Some(end) => following.begin(Follow { life, leader, end }),
                    None => following.end(id),
                }
                match end.is_some() || is_known {
                    true => following.unsettled.remove(&id),
                    false => following.unsettled.insert(id),
                };
            }
            None => {
                following.end(id);
                following.unsettled.remove(&id);
            }
        }
        following.tell();
    }

    /// A write or another job of the partition has ended.
    pub(super) fn follow_on(&mut self, id: PartitionId) {
        if self.following.unsettled.contains(&id) || self.following.awaited.contains_key(&id) {
            self.follow(id);
        }
    }

    fn wanted_follow(&self, id: PartitionId) -> Option<(FollowerLife, BrokerId, Option<LogEnd>)> {
        let Some(Hosted::Open(open)) = self.hosted.get(&id) else {
            return None;
        };
        let life = open.follower_life().filter(|_| self.stopping.is_none())?;
        let leader = open.partition.leadership().leader?;
        Some((life, leader, open.log_end()))
    }

    pub(super) fn on_append_fetched(&mut self, items: Vec<Fetched>, reply: ReplyTx<CopyOutcomes>, now: Now) {
        let named = items.into_iter().map(|item| (item.life, item)).collect();
        self.step(named, reply, |shard, item| shard.append_fetched(&item, now));
    }

    pub(super) fn on_cut_logs(&mut self, items: Vec<CutLog>, reply: ReplyTx<CopyOutcomes>) {
        let named = items.into_iter().map(|item| (item.life, item)).collect();
        self.step(named, reply, |shard, item| shard.cut_log(&item));
    }

    /// Takes each item; answers once the log of every one has its end.
    fn step<I>(
        &mut self,
        items: Vec<(FollowerLife, I)>,
        reply: ReplyTx<CopyOutcomes>,
        mut take: impl FnMut(&mut Shard, I) -> Step,
    ) {
        self.following.steps += 1;
        let gather = self.following.steps;
        let entry = Gather {
            outcomes: vec![None; items.len()],
            missing: items.len() + 1,
            reply,
        };
        self.following.gathers.insert(gather, entry);
        for (slot, (life, item)) in items.into_iter().enumerate() {
            match take(self, item) {
                Err(Over) => self.following.settle(gather, slot, None),
                Ok(failure) => {
                    let awaited = Awaited {
                        life,
                        gather,
                        slot,
                        failure,
                    };
                    if let Some(earlier) = self.following.awaited.insert(life.partition, awaited) {
                        self.following.settle(earlier.gather, earlier.slot, None);
                    }
                    self.settle_awaited(life.partition);
                }
            }
        }
        self.following.missed(gather);
    }

    fn append_fetched(&mut self, item: &Fetched, now: Now) -> Step {
        let id = item.life.partition;
        let open = self.following_open(&item.life)?;
        let view = LeaderView {
            epoch: item.life.leader_epoch,
            high_watermark: item.high_watermark,
            log_start: item.log_start,
        };
        match open.log_end() {
            Some(end) if end.offset == item.offset => {}
            _ => return Ok(Some("the log's end moved meanwhile".to_owned())),
        }
        let (appended, life) = (
            open.partition.append_fetched(&item.records, &view, now.wall_ms),
            open.life(),
        );
        self.touched.push(id);
        self.metrics.add(Metric::ReplicationBytesIn, item.records.len() as i64);
        match appended {
            Ok(fetched) => {
                self.on_advanced(life, Ok(fetched.visible_bytes), now);
                Ok(None)
            }
            Err(FetchedError::Fenced) => Err(Over),
            Err(error) => Ok(Some(error.to_string())),
        }
    }

    fn cut_log(&mut self, item: &CutLog) -> Step {
        let id = item.life.partition;
        let open = self.following_open(&item.life)?;
        match item.cut {
            Cut::Diverging { epoch, end_offset } => {
                open.partition.diverged(epoch, end_offset);
            }
            Cut::LeaderEnd(offset) => open.partition.truncate_to(offset),
            Cut::StartAt(offset) => open.partition.restart_at(offset),
        }
        self.touched.push(id);
        Ok(None)
    }

    /// The open partition that lives this life.
    fn following_open(&mut self, life: &FollowerLife) -> Result<&mut Open, Over> {
        let is_stopping = self.stopping.is_some();
        match self.hosted.get_mut(&life.partition) {
            Some(Hosted::Open(open)) if !is_stopping && open.follower_life() == Some(*life) => Ok(open),
            _ => Err(Over),
        }
    }

    /// Answers the item that waits for the partition, once its log has its end or its life is over.
    fn settle_awaited(&mut self, id: PartitionId) {
        let Some(life) = self.following.awaited.get(&id).map(|awaited| awaited.life) else {
            return;
        };
        let end = match self.following_open(&life) {
            Ok(open) => match open.log_end() {
                Some(end) => Some(end),
                None => return,
            },
            Err(Over) => None,
        };
        if let Some(awaited) = self.following.awaited.remove(&id) {
            let failure = awaited.failure;
            let outcome = end.map(|end| Copied { end, failure });
            self.following.settle(awaited.gather, awaited.slot, outcome);
        }
    }

    pub(super) fn on_truncated(&mut self, life: Life, done: TruncateDone, producers: Producers) {
        let truncated = match open_at(&mut self.hosted, life) {
            Some(open) => open.partition.on_truncated(done, producers).map(drop),
            None => Ok(()),
        };
        if let Err(error) = truncated {
            self.fail_log(life, &error);
        }
        self.finish_job(life);
    }
}

impl Following {
    fn begin(&mut self, follow: Follow) {
        let id = follow.life.partition;
        self.told.insert(id, (follow.life, follow.leader));
        self.changes.insert(id, FollowChange::Begin(follow));
    }

    fn end(&mut self, id: PartitionId) {
        if self.told.remove(&id).is_some() {
            self.changes.insert(id, FollowChange::End(id));
        }
    }

    fn tell(&mut self) {
        if !self.changes.is_empty()
            && let Some(listener) = self.listener.take()
        {
            listener.send(std::mem::take(&mut self.changes).into_values().collect());
        }
    }

    fn settle(&mut self, gather: u64, slot: usize, outcome: Option<Copied>) {
        if let Some(place) = self
            .gathers
            .get_mut(&gather)
            .and_then(|known| known.outcomes.get_mut(slot))
        {
            *place = outcome;
        }
        self.missed(gather);
    }

    /// One less to wait for.
    fn missed(&mut self, gather: u64) {
        let Some(known) = self.gathers.get_mut(&gather) else {
            return;
        };
        known.missing -= 1;
        if known.missing == 0
            && let Some(done) = self.gathers.remove(&gather)
        {
            done.reply.send(done.outcomes);
        }
    }
}

impl Open {
    /// The life as a follower, if it is one and its directory serves.
    fn follower_life(&self) -> Option<FollowerLife> {
        let leadership = self.partition.leadership();
        let identity = self.partition.identity();
        (!leadership.is_leader && !self.place.dir.is_offline()).then_some(FollowerLife {
            partition: identity.id,
            incarnation: identity.incarnation,
            leader_epoch: leadership.epoch,
        })
    }

    /// Unknown while writes or a truncation are under way.
    fn log_end(&self) -> Option<LogEnd> {
        let FetchPosition {
            offset,
            last_epoch,
            log_start,
        } = self.partition.fetch_position()?;
        Some(LogEnd {
            offset,
            last_epoch,
            log_start,
        })
    }

    pub(super) fn submit_truncation(&mut self, jobs: &mut Vec<Job>, cache: &mut Cache) {
        if let Some(job) = self.partition.take_truncation(cache) {
            self.jobs += 1;
            jobs.push(Job::Truncate(self.life(), Box::new(job)));
        }
    }
}
