//! The partitions follow the image: logs are opened for those that this shard owns, removed with their topics, and told
//! of new leaderships and configurations.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::claims::Claim;
use super::coordinator::DeletedTopic;
use super::early::Early;
use super::hosted::{Failed, Hosted, Leaving, Open, Opening, Place, position};
use super::message::{ClosingLog, Job, Life};
use super::placement::owner;
use super::state::Shard;
use crate::metadata::{Image, PartitionState, Topic};
use crate::metrics::{Metric, PartitionCells};
use crate::model::{BrokerId, ErrorCode, PartitionId, TopicId};
use crate::partition::{Identity, Leadership, Partition, Peer, Producers, Shift};
use crate::rt::{Instant, Now};
use crate::storage::{LogOptions, Opened, StorageError};

/// Logs that are opened (and so perhaps recovered) at the same time.
const OPENING_MAX: usize = 8;
/// Until a directory's name is tried again that another life of the partition still holds.
const CLAIM_RETRY_NS: u64 = 5_000_000;
/// The first look of retention at a log that was just opened.
const FIRST_RETENTION_MS: i64 = 30_000;

/// Logs that wait for their turn to be opened.
#[derive(Debug, Default)]
pub(super) struct Openings {
    waiting: VecDeque<PartitionId>,
    running: usize,
    /// An alarm is set for those whose directory name is in use.
    retry: Option<Instant>,
    /// Failed for want of space: tried again once there is some.
    without_space: Vec<PartitionId>,
}

impl Openings {
    pub(super) fn is_empty(&self) -> bool {
        self.running == 0 && self.waiting.is_empty()
    }

    /// Whether the alarm that has gone off is the one to try again.
    pub(super) fn take_retry(&mut self, at: Instant) -> bool {
        self.retry.take_if(|retry| *retry == at).is_some()
    }
}

/// What the image says about one partition of this shard.
struct Wanted<'a> {
    id: PartitionId,
    topic: &'a Topic,
    state: &'a PartitionState,
    replica: usize,
}

impl Shard {
    /// The first image.
    pub(super) fn reconcile_all(&mut self, now: Now) {
        let image = self.image.clone();
        for topic in image.topics_by_id.values() {
            self.reconcile_topic(topic, now);
        }
        self.start_openings(now);
        self.count_partitions();
    }

    pub(super) fn reconcile(&mut self, image: Arc<Image>, now: Now) {
        let old = std::mem::replace(&mut self.image, image.clone());
        // Whether a follower may join the ISR depends on its broker.
        let same_brokers = old.brokers == image.brokers;
        let mut changed = Vec::new();
        for topic in image.topics_by_id.values() {
            let known = old.topic_by_id(&topic.id);
            if known.is_some_and(|known| Arc::ptr_eq(known, topic)) {
                if !same_brokers && topic.partitions.iter().any(|state| state.replicas.len() > 1) {
                    self.reconcile_topic(topic, now);
                }
                continue;
            }
            if known.is_none_or(|known| known.partitions.len() != topic.partitions.len()) {
                changed.push(topic.name.clone());
            }
            self.reconcile_topic(topic, now);
        }
        let mut gone = Vec::new();
        for topic in old
            .topics_by_id
            .values()
            .filter(|topic| image.topic_by_id(&topic.id).is_none())
        {
            gone.push(DeletedTopic {
                id: topic.id,
                name: topic.name.to_string(),
            });
            changed.push(topic.name.clone());
            self.leave_topic(topic.id, now);
        }
        self.renew_catalogs(&changed);
        if !gone.is_empty() {
            self.forget_topics(&gone, now);
        }
        self.start_openings(now);
        self.count_partitions();
    }

    fn reconcile_topic(&mut self, topic: &Topic, now: Now) {
        let broker = BrokerId(self.config.broker_id);
        for state in &topic.partitions {
            let id = PartitionId {
                topic: topic.id,
                index: state.index,
            };
            if owner(id, self.shards()) != self.id {
                continue;
            }
            match state.replicas.iter().position(|replica| *replica == broker) {
                None => self.leave(id, now),
                Some(replica) => {
                    let wanted = Wanted {
                        id,
                        topic,
                        state,
                        replica,
                    };
                    self.host(wanted, now);
                    self.settle_coordinator(id, now);
                }
            }
        }
    }

    fn host(&mut self, wanted: Wanted<'_>, now: Now) {
        let leadership = leadership(wanted.state, BrokerId(self.config.broker_id), &self.image);
        let config = &wanted.topic.config;
        match self.hosted.get_mut(&wanted.id) {
            None => self.begin_opening(&wanted, leadership, now),
            Some(Hosted::Opening(opening)) => {
                opening.leadership = leadership;
                opening.config = config.clone();
            }
            Some(Hosted::Open(open)) => {
                let shift = open.partition.set_leadership(leadership, &mut self.acked, now.instant);
                if open.partition.config() != config {
                    open.partition.set_config(config.clone());
                    open.retention_ms = i64::MIN;
                    open.compaction_ms = i64::MIN;
                }
                let life = open.life();
                self.on_shift(life, shift, now);
            }
            Some(Hosted::Failed(failed)) => {
                let is_nowhere = failed.place.is_none();
                if is_nowhere && self.place(&wanted).is_some() {
                    // The metadata have given it a directory of this broker.
                    self.begin_opening(&wanted, leadership, now);
                }
            }
            // Looked at again once it has left.
            Some(Hosted::Leaving(_)) => {}
        }
    }

    /// What the image says of the partition's leader and followers has taken effect.
    fn on_shift(&mut self, life: Life, shift: Shift, now: Now) {
        let id = life.partition;
        self.fail_acks(shift.abandoned, ErrorCode::NotLeaderOrFollower);
        self.on_advanced(life, Ok(shift.visible_bytes), now);
        let Some(Hosted::Open(open)) = self.hosted.get(&id).filter(|_| shift.turned) else {
            return;
        };
        let (topic, partition) = (&open.place.topic, id.index);
        let leadership = open.partition.leadership();
        let (epoch, leader) = (leadership.epoch.0, leadership.leader.map(|broker| broker.0));
        tracing::debug!(%topic, partition, epoch, ?leader, "leadership of the partition has turned");
        let waiters = open.partition.waiters().to_vec();
        if !leadership.is_leader {
            self.drop_shares(id, ErrorCode::NotLeaderOrFollower);
        }
        // Those who wait ask again, and learn it.
        self.notify_all(waiters);
        self.settle_deletions(id);
        self.follow(id);
        self.upkeep.must_count = true;
    }

    fn begin_opening(&mut self, wanted: &Wanted<'_>, leadership: Leadership, now: Now) {
        if self.stopping.is_some() {
            return;
        }
        let Some(place) = self.place(wanted) else {
            return self.fail(wanted.id, None, None, "its log directory is not one of this broker's");
        };
        if place.dir.is_offline() {
            return self.fail(wanted.id, Some(place), None, "its log directory is offline");
        }
        let opening = Opening {
            incarnation: self.next_incarnation(),
            place,
            leadership,
            config: wanted.topic.config.clone(),
            claim: None,
            doomed: false,
            parked: VecDeque::new(),
            early: Early::new(now),
        };
        self.hosted.insert(wanted.id, Hosted::Opening(opening));
        self.openings.waiting.push_back(wanted.id);
    }

    fn place(&self, wanted: &Wanted<'_>) -> Option<Place> {
        let dir = wanted.state.directories.get(wanted.replica)?;
        let dir = self.dirs.iter().find(|known| known.id == *dir)?;
        let file = self.checkpoints.get(&dir.id);
        Some(Place {
            topic: wanted.topic.name.clone(),
            dir: dir.clone(),
            checkpoint: file.and_then(|file| file.get(&wanted.topic.name, wanted.id)),
        })
    }

    fn fail(&mut self, id: PartitionId, place: Option<Place>, claim: Option<Claim>, why: &str) {
        let topic = self.image.topic_by_id(&id.topic).map_or("", |topic| &topic.name);
        tracing::error!(topic, partition = id.index, why, "partition is not served");
        let checkpoint = place.as_ref().and_then(|place| place.checkpoint);
        let failed = Failed {
            place,
            checkpoint,
            claim,
        };
        self.hosted.insert(id, Hosted::Failed(failed));
    }

    /// Opens as many logs as may be opened at a time. One whose directory name is still in use goes to the back.
    pub(super) fn start_openings(&mut self, now: Now) {
        let mut blocked = false;
        for _ in 0..self.openings.waiting.len() {
            if self.openings.running >= OPENING_MAX {
                break;
            }
            let Some(id) = self.openings.waiting.pop_front() else {
                break;
            };
            blocked |= !self.start_opening(id);
        }
        if blocked && self.openings.retry.is_none() {
            let at = Instant(now.instant.0 + CLAIM_RETRY_NS);
            self.openings.retry = Some(at);
            self.jobs.push(Job::Alarm(at));
        }
    }

    /// False: the name is in use.
    fn start_opening(&mut self, id: PartitionId) -> bool {
        let Some(Hosted::Opening(opening)) = self.hosted.get_mut(&id) else {
            return true;
        };
        if opening.is_begun() {
            // It had left and come back, and so waited twice.
            return true;
        }
        opening.claim = self.claims.take(&opening.place.topic, id.index);
        if opening.claim.is_none() {
            self.openings.waiting.push_back(id);
            return false;
        }
        let life = Life {
            partition: id,
            incarnation: opening.incarnation,
        };
        let place = &opening.place;
        let options = LogOptions {
            dir: place.directory(id),
            topic: place.topic.clone(),
            index: id.index,
            topic_id: id.topic,
            config: opening.config.clone(),
            checkpoint: place.checkpoint,
            log_dir: place.dir.clone(),
        };
        self.openings.running += 1;
        self.jobs.push(Job::Open(life, Box::new(options)));
        true
    }

    pub(super) fn on_opened(&mut self, life: Life, result: Result<Box<(Opened, Producers)>, StorageError>, now: Now) {
        self.openings.running -= 1;
        self.upkeep.must_count = true;
        self.start_openings(now);
        let Some(mut opening) = self.take_opening(life) else {
            return;
        };
        let early = opening.early.take();
        match result {
            Err(error) => {
                self.refuse_parked(opening.parked, ErrorCode::KafkaStorageError, now);
                // Where it failed for another reason, the directory may be another topic's.
                let claim = opening.claim.filter(|_| error.is_disk_full());
                if claim.is_some() {
                    self.openings.without_space.push(life.partition);
                }
                self.fail(life.partition, Some(opening.place), claim, &error.to_string());
                if opening.doomed {
                    self.leave(life.partition, now);
                    self.host_again(life.partition, now);
                }
            }
            Ok(opened) => self.serve(life, opening, *opened, now),
        }
        self.release_early(life.partition, early, now);
        self.close_if_stopping(life.partition);
        self.finish_stop();
    }

    /// It may be wanted again by now.
    fn host_again(&mut self, id: PartitionId, now: Now) {
        let topic = self.image.topic_by_id(&id.topic).cloned();
        if let Some(topic) = topic.filter(|_| !self.hosted.contains_key(&id)) {
            self.reconcile_topic(&topic, now);
            self.start_openings(now);
        }
    }

    /// Logs that there was no space for are opened where there is some.
    pub(super) fn open_where_space(&mut self, now: Now) {
        if self.openings.without_space.is_empty() || self.stopping.is_some() {
            return;
        }
        let mut topics = BTreeSet::new();
        for id in std::mem::take(&mut self.openings.without_space) {
            match self.hosted.get(&id) {
                Some(Hosted::Failed(failed)) if failed.is_without_space() => self.openings.without_space.push(id),
                Some(Hosted::Failed(_)) => {
                    self.hosted.remove(&id);
                    topics.insert(id.topic);
                }
                _ => {}
            }
        }
        let image = self.image.clone();
        for topic in topics.iter().filter_map(|id| image.topic_by_id(id)) {
            self.reconcile_topic(topic, now);
        }
        self.start_openings(now);
        self.count_partitions();
    }

    fn take_opening(&mut self, life: Life) -> Option<Opening> {
        match self.hosted.remove(&life.partition)? {
            Hosted::Opening(opening) if opening.incarnation == life.incarnation => Some(opening),
            other => {
                self.hosted.insert(life.partition, other);
                None
            }
        }
    }

    fn serve(&mut self, life: Life, opening: Opening, (opened, producers): (Opened, Producers), now: Now) {
        let (topic, partition) = (opening.place.topic.clone(), life.partition.index);
        let end_offset = opened.log.written();
        if opened.cut_bytes > 0 {
            let cut_bytes = opened.cut_bytes;
            tracing::warn!(%topic, partition, cut_bytes, end_offset, "torn tail of the log was cut");
        }
        let identity = Identity {
            id: life.partition,
            topic,
            incarnation: life.incarnation,
        };
        let claim = opening.claim.expect("a log is opened under a claim");
        let partition = Partition::new(
            identity,
            opening.leadership,
            opening.config,
            opened.log,
            producers,
            self.config.replication.lag_max,
            now.instant,
        );
        let dir = opening.place.dir.path.to_string_lossy().into();
        let cells = PartitionCells::new(self.id, dir, position(&partition));
        let open = Box::new(Open {
            shown: self.metrics.partitions().enter(life.partition, cells),
            partition,
            place: opening.place,
            claim,
            jobs: 0,
            told_end: end_offset,
            retention_ms: now.wall_ms + FIRST_RETENTION_MS.min(self.config.log_retention_check_interval_ms),
            compaction_ms: now.wall_ms + self.config.compaction.backoff_ms,
        });
        if opening.doomed {
            return self.remove_log(open);
        }
        self.hosted.insert(life.partition, Hosted::Open(open));
        self.touched.push(life.partition);
        self.unpark(opening.parked, now);
        self.settle_coordinator(life.partition, now);
        self.follow(life.partition);
    }

    fn leave_topic(&mut self, topic: TopicId, now: Now) {
        let [first, last] = [i32::MIN, i32::MAX].map(|index| PartitionId { topic, index });
        let ids: Vec<PartitionId> = self.hosted.range(first..=last).map(|(id, _)| *id).collect();
        for id in ids {
            self.leave(id, now);
        }
    }

    /// The partition is no longer this broker's: those who wait for it learn so, and its log is removed.
    fn leave(&mut self, id: PartitionId, now: Now) {
        self.forget_compaction(id);
        match self.hosted.remove(&id) {
            None => {}
            Some(Hosted::Failed(failed)) => self.discard(id, failed),
            Some(Hosted::Leaving(leaving)) => {
                self.hosted.insert(id, Hosted::Leaving(leaving));
            }
            Some(Hosted::Opening(mut opening)) => {
                let parked = std::mem::take(&mut opening.parked);
                let early = opening.early.take();
                match opening.is_begun() {
                    true => {
                        opening.doomed = true;
                        self.hosted.insert(id, Hosted::Opening(opening));
                    }
                    false => self.discard_unopened(id, opening.place),
                }
                let tokens = parked.into_iter().map(|parked| parked.token);
                self.fail_acks(tokens, ErrorCode::UnknownTopicOrPartition);
                self.release_early(id, early, now);
            }
            Some(Hosted::Open(mut open)) => {
                self.unseat(id, ErrorCode::NotCoordinator);
                self.drop_shares(id, ErrorCode::UnknownTopicOrPartition);
                let mut abandoned = Vec::new();
                open.partition.abandon(&mut abandoned);
                let waiters = open.partition.waiters().to_vec();
                if open.jobs == 0 {
                    self.remove_log(open);
                } else {
                    self.hosted.insert(id, Hosted::Leaving(Leaving::Draining(open)));
                }
                self.fail_acks(abandoned, ErrorCode::UnknownTopicOrPartition);
                self.notify_all(waiters);
                self.settle_deletions(id);
                self.follow(id);
            }
        }
    }

    /// What lies on a directory that is offline stays there, and is a stray of the next start.
    fn discard(&mut self, id: PartitionId, failed: Failed) {
        let (Some(place), Some(claim)) = (failed.place, failed.claim) else {
            return;
        };
        if place.dir.is_offline() {
            return;
        }
        let life = Life {
            partition: id,
            incarnation: self.next_incarnation(),
        };
        self.hosted
            .insert(id, Hosted::Leaving(Leaving::Ending(life.incarnation)));
        self.jobs.push(Job::Discard(life, place, claim));
    }

    /// What an earlier start left of it, if anything; where another life of the partition uses the name, whatever is there stays.
    fn discard_unopened(&mut self, id: PartitionId, place: Place) {
        let failed = Failed {
            claim: self.claims.take(&place.topic, id.index),
            checkpoint: place.checkpoint,
            place: Some(place),
        };
        self.discard(id, failed);
    }

    fn remove_log(&mut self, open: Box<Open>) {
        let life = open.life();
        self.hosted
            .insert(life.partition, Hosted::Leaving(Leaving::Ending(life.incarnation)));
        self.jobs.push(Job::Remove(life, Box::new(closing(*open))));
    }

    pub(super) fn on_removed(&mut self, life: Life, result: Result<(), StorageError>, now: Now) {
        if let Err(error) = result {
            let index = life.partition.index;
            tracing::warn!(topic_id = %life.partition.topic, partition = index, %error, "directory was not removed");
        }
        if !self.is_ending(life) {
            return;
        }
        self.hosted.remove(&life.partition);
        self.host_again(life.partition, now);
        self.count_partitions();
        self.finish_stop();
    }

    fn is_ending(&self, life: Life) -> bool {
        matches!(self.hosted.get(&life.partition), Some(Hosted::Leaving(Leaving::Ending(known))) if *known == life.incarnation)
    }

    /// A job that used the log's files has ended: there may be more to do, or the log was only waiting for it.
    pub(super) fn finish_job(&mut self, life: Life) {
        match self.hosted.get_mut(&life.partition) {
            Some(Hosted::Open(open)) if open.life() == life => {
                open.jobs -= 1;
                self.touched.push(life.partition);
                self.follow_on(life.partition);
                self.close_if_stopping(life.partition);
            }
            Some(Hosted::Leaving(Leaving::Draining(open))) if open.life() == life => {
                open.jobs -= 1;
                if open.jobs == 0
                    && let Some(Hosted::Leaving(Leaving::Draining(open))) = self.hosted.remove(&life.partition)
                {
                    self.remove_log(open);
                }
            }
            _ => {}
        }
    }

    pub(super) fn count_partitions(&self) {
        let mut counted = Counted::default();
        for (id, hosted) in &self.hosted {
            match hosted {
                Hosted::Open(open) => {
                    counted.failed += i64::from(open.place.dir.is_offline());
                    if open.partition.leadership().is_leader {
                        counted.add_led(&open.partition, || self.adding(id));
                    }
                }
                Hosted::Opening(_) => counted.opening += 1,
                Hosted::Failed(_) => counted.failed += 1,
                Hosted::Leaving(_) => {}
            }
        }
        let all = self.hosted.len() as i64;
        for (metric, value) in [
            (Metric::Partitions, all),
            (Metric::Leaders, counted.leaders),
            (Metric::UnderReplicated, counted.under_replicated),
            (Metric::UnderMinIsr, counted.under_min_isr),
            (Metric::AtMinIsr, counted.at_min_isr),
            (Metric::PartitionsOpening, counted.opening),
            (Metric::PartitionsFailed, counted.failed),
            (Metric::OfflineReplicas, counted.failed),
        ] {
            self.metrics.set(metric, value);
        }
    }

    /// Replicas that a reassignment adds.
    fn adding(&self, id: &PartitionId) -> usize {
        self.image.partition(id).map_or(0, |(_, state)| state.adding.len())
    }
}

/// Partitions, by what they are.
#[derive(Default)]
struct Counted {
    leaders: i64,
    under_replicated: i64,
    under_min_isr: i64,
    at_min_isr: i64,
    opening: i64,
    failed: i64,
}

impl Counted {
    /// A partition that is led here; `adding` is asked only where replicas are missing.
    fn add_led(&mut self, partition: &Partition, adding: impl FnOnce() -> usize) {
        let (in_sync, required) = (partition.in_sync_count(), partition.required_in_sync());
        let missing = partition.leadership().replica_count().saturating_sub(in_sync);
        self.leaders += 1;
        self.under_replicated += i64::from(missing > 0 && missing > adding());
        self.under_min_isr += i64::from(in_sync < required);
        self.at_min_isr += i64::from(in_sync == required);
    }
}

pub(super) fn closing(open: Open) -> ClosingLog {
    let (log, producer_snapshot) = open.partition.into_log();
    ClosingLog {
        log,
        producer_snapshot,
        claim: open.claim,
    }
}

fn leadership(state: &PartitionState, me: BrokerId, image: &Image) -> Leadership {
    let others = state.replicas.iter().filter(|replica| **replica != me);
    Leadership {
        epoch: state.leader_epoch,
        partition_epoch: state.partition_epoch,
        leader: state.leader,
        is_leader: state.leader == Some(me),
        is_in_sync: state.isr.contains(&me),
        is_recovering: state.leader_recovering,
        peers: others.map(|replica| peer(state, *replica, image)).collect(),
    }
}

fn peer(state: &PartitionState, broker: BrokerId, image: &Image) -> Peer {
    let known = image.brokers.get(&broker);
    let may_join = known.filter(|known| known.is_active() && !image.is_full(state, broker));
    Peer {
        broker,
        in_sync: state.isr.contains(&broker),
        epoch: may_join.map(|known| known.epoch),
    }
}
