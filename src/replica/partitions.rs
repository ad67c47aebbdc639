//! What is asked of one leader: its partitions with the ends of our logs, the ones that rest after a failure, and what the
//! leader's fetch session has heard of all that. Pure. //= KIP-227
//!
//! Only what changed since the last request is looked at: an idle session of many partitions costs nothing here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use crate::config::ReplicationConfig;
use crate::model::{BrokerId, ErrorCode, PartitionId};
use crate::rt::Instant;
use crate::shard::{Follow, FollowerLife, LogEnd};
use crate::wire::fetch::{EPOCH_LAST, FetchPartition, FetchRequest, FetchTopic, ForgottenTopic};

/// A session's first request, which names every partition.
const EPOCH_FULL: i32 = 0;
/// No session.
const NO_SESSION: i32 = 0;

/// One partition that is copied.
#[derive(Debug)]
pub(super) struct Copying {
    pub(super) life: FollowerLife,
    pub(super) end: LogEnd,
    /// Not asked for before then.
    rests: Option<Instant>,
    in_session: bool,
}

#[derive(Debug, Default)]
pub(super) struct Partitions {
    copying: BTreeMap<PartitionId, Copying>,
    resting: BTreeSet<(Instant, PartitionId)>,
    /// Their failure was told of, and they have not been copied since.
    failing: BTreeSet<PartitionId>,
    session: Session,
    /// To be told to the session: new, or with another end.
    changed: BTreeSet<PartitionId>,
    /// In the session, and not to be fetched now.
    forgotten: BTreeSet<PartitionId>,
    /// Without a session the request begins behind the partition that brought data last, so that none starves.
    filled: Option<PartitionId>,
}

#[derive(Debug, Default)]
struct Session {
    id: i32,
    epoch: i32,
}

/// Who asks, and how much at a time.
pub(super) struct Asker<'a> {
    pub(super) me: BrokerId,
    pub(super) broker_epoch: i64,
    pub(super) config: &'a ReplicationConfig,
    pub(super) now: Instant,
}

impl Copying {
    /// Not asked for at the moment.
    pub(super) fn rests(&self) -> bool {
        self.rests.is_some()
    }
}

impl Partitions {
    pub(super) fn begin(&mut self, follow: Follow) {
        let id = follow.life.partition;
        let in_session = self.copying.get(&id).is_some_and(|known| known.in_session);
        self.forget_rest(id);
        let copying = Copying {
            life: follow.life,
            end: follow.end,
            rests: None,
            in_session,
        };
        self.failing.remove(&id);
        self.copying.insert(id, copying);
        self.tell(id);
    }

    pub(super) fn end(&mut self, id: PartitionId) {
        self.forget_rest(id);
        self.failing.remove(&id);
        if self.copying.remove(&id).is_some_and(|known| known.in_session) {
            self.forgotten.insert(id);
        }
        self.changed.remove(&id);
    }

    pub(super) fn ids(&self) -> Vec<PartitionId> {
        self.copying.keys().copied().collect()
    }

    pub(super) fn get(&self, id: PartitionId) -> Option<&Copying> {
        self.copying.get(&id)
    }

    /// It was copied, and its log ends here now. True: elsewhere than before.
    pub(super) fn advance(&mut self, id: PartitionId, end: LogEnd) -> bool {
        self.failing.remove(&id);
        self.move_to(id, end)
    }

    /// Its log ends here now, though it was not copied as it should have been. True: elsewhere than before.
    pub(super) fn move_to(&mut self, id: PartitionId, end: LogEnd) -> bool {
        let moved = self.copying.get_mut(&id).filter(|known| known.end != end);
        let Some(known) = moved else {
            return false;
        };
        known.end = end;
        self.filled = Some(id);
        self.tell(id);
        true
    }

    /// After a failure: not asked for until then. True: this is news to whoever reads the log.
    pub(super) fn rest(&mut self, id: PartitionId, until: Instant) -> bool {
        self.leave_out(id, until);
        self.copying.contains_key(&id) && self.failing.insert(id)
    }

    /// Those that do not rest already, and that are to be copied no faster, are not asked for until then.
    pub(super) fn hold(&mut self, until: Instant, is_held: impl Fn(PartitionId) -> bool) {
        let held = self
            .copying
            .iter()
            .filter(|(id, known)| known.rests.is_none() && is_held(**id));
        let held: Vec<PartitionId> = held.map(|(id, _)| *id).collect();
        held.into_iter().for_each(|id| self.leave_out(id, until));
    }

    fn leave_out(&mut self, id: PartitionId, until: Instant) {
        self.forget_rest(id);
        let Some(known) = self.copying.get_mut(&id) else {
            return;
        };
        known.rests = Some(until);
        self.resting.insert((until, id));
        self.changed.remove(&id);
        if known.in_session {
            self.forgotten.insert(id);
        }
    }

    /// Those that have rested are asked for again.
    pub(super) fn wake(&mut self, now: Instant) {
        while let Some((until, id)) = self.resting.first().copied()
            && until <= now
        {
            self.forget_rest(id);
            self.tell(id);
        }
    }

    fn forget_rest(&mut self, id: PartitionId) {
        if let Some(until) = self.copying.get_mut(&id).and_then(|known| known.rests.take()) {
            self.resting.remove(&(until, id));
        }
    }

    fn tell(&mut self, id: PartitionId) {
        self.forgotten.remove(&id);
        self.changed.insert(id);
    }

    /// How many have not been copied since they failed.
    pub(super) fn failing(&self) -> usize {
        self.failing.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.copying.is_empty()
    }

    /// When the next one has rested, if all do.
    pub(super) fn all_rest_until(&self) -> Option<Instant> {
        let all = self.resting.len() == self.copying.len();
        self.resting.first().filter(|_| all).map(|(until, _)| *until)
    }

    /// The next request; what it says counts as heard.
    pub(super) fn request(&mut self, asker: &Asker<'_>) -> FetchRequest {
        let config = asker.config;
        let (topics, forgotten) = if self.session.epoch == EPOCH_FULL {
            (self.all(config), Vec::new())
        } else {
            (self.news(config), by_topic_forgotten(&self.forgotten))
        };
        self.changed.clear();
        self.forgotten.clear();
        FetchRequest {
            replica_id: asker.me.0,
            replica_epoch: asker.broker_epoch,
            max_wait_ms: self.wait_ms(asker),
            min_bytes: config.fetch_bytes_min,
            max_bytes: config.response_bytes_max,
            session_id: self.session.id,
            session_epoch: self.session.epoch,
            topics,
            forgotten,
            ..Default::default()
        }
    }

    /// Ends the session, where there is one.
    pub(super) fn last_request(&self, me: BrokerId) -> Option<FetchRequest> {
        (self.session.id != NO_SESSION).then(|| FetchRequest {
            replica_id: me.0,
            session_id: self.session.id,
            session_epoch: EPOCH_LAST,
            ..Default::default()
        })
    }

    /// No longer than until the next one has rested.
    fn wait_ms(&self, asker: &Asker<'_>) -> i32 {
        let most = asker.config.fetch_wait;
        let rested = self.resting.first().map(|(until, _)| until.since(asker.now));
        let wait = rested.map_or(most, |rested| rested.min(most));
        i32::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
    }

    fn all(&mut self, config: &ReplicationConfig) -> Vec<FetchTopic> {
        let behind = self.filled.map_or(Unbounded, Excluded);
        let after: Vec<PartitionId> = self.copying.range((behind, Unbounded)).map(|(id, _)| *id).collect();
        let before: Vec<PartitionId> = match self.filled {
            Some(filled) => self.copying.range(..=filled).map(|(id, _)| *id).collect(),
            None => Vec::new(),
        };
        let ids: Vec<PartitionId> = after.into_iter().chain(before).collect();
        for known in self.copying.values_mut() {
            known.in_session = known.rests.is_none();
        }
        self.by_topic(ids.into_iter(), config)
    }

    fn news(&mut self, config: &ReplicationConfig) -> Vec<FetchTopic> {
        let changed = std::mem::take(&mut self.changed);
        for id in &changed {
            if let Some(known) = self.copying.get_mut(id) {
                known.in_session = true;
            }
        }
        for id in &self.forgotten {
            if let Some(known) = self.copying.get_mut(id) {
                known.in_session = false;
            }
        }
        self.by_topic(changed.into_iter(), config)
    }

    fn by_topic(&self, ids: impl Iterator<Item = PartitionId>, config: &ReplicationConfig) -> Vec<FetchTopic> {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for id in ids {
            let Some(known) = self.copying.get(&id).filter(|known| known.rests.is_none()) else {
                continue;
            };
            let asked = FetchPartition {
                index: id.index,
                current_leader_epoch: known.life.leader_epoch.0,
                fetch_offset: known.end.offset,
                last_fetched_epoch: known.end.last_epoch,
                log_start_offset: known.end.log_start,
                max_bytes: config.fetch_bytes_max,
            };
            match topics.last_mut().filter(|topic| topic.id == id.topic) {
                Some(topic) => topic.partitions.push(asked),
                None => topics.push(FetchTopic {
                    name: Default::default(),
                    id: id.topic,
                    partitions: vec![asked],
                }),
            }
        }
        topics
    }

    /// The leader answered within this session; 0: it has no room for one.
    pub(super) fn on_answer(&mut self, session_id: i32) {
        self.session = match (session_id, self.session.epoch) {
            (NO_SESSION, _) => Session::default(),
            (id, epoch) => Session {
                id,
                epoch: if epoch == i32::MAX { 1 } else { epoch + 1 },
            },
        };
        if self.session.id == NO_SESSION {
            self.start_over();
        }
    }

    /// The leader does not know the session, or not at this point. True: a new one is asked for at once.
    pub(super) fn on_refusal(&mut self, error: ErrorCode) -> bool {
        let id = match error {
            ErrorCode::FetchSessionIdNotFound => NO_SESSION,
            ErrorCode::InvalidFetchSessionEpoch | ErrorCode::FetchSessionTopicIdError => self.session.id,
            _ => return false,
        };
        self.start_over();
        self.session.id = id;
        true
    }

    /// Whether the last request was heard is not known, or a new connection may lead to another shard of the leader.
    pub(super) fn on_lost_connection(&mut self) {
        self.start_over();
    }

    fn start_over(&mut self) {
        self.session = Session::default();
        self.forgotten.clear();
        self.copying.values_mut().for_each(|known| known.in_session = false);
    }
}

fn by_topic_forgotten(ids: &BTreeSet<PartitionId>) -> Vec<ForgottenTopic> {
    let mut topics: Vec<ForgottenTopic> = Vec::new();
    for id in ids {
        match topics.last_mut().filter(|topic| topic.id == id.topic) {
            Some(topic) => topic.partitions.push(id.index),
            None => topics.push(ForgottenTopic {
                name: Default::default(),
                id: id.topic,
                partitions: vec![id.index],
            }),
        }
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerConfig;
    use crate::model::{Incarnation, LeaderEpoch, TopicId};

    fn id(index: i32) -> PartitionId {
        PartitionId {
            topic: TopicId([7; 16]),
            index,
        }
    }

    fn follow(index: i32, leader_epoch: i32, offset: i64) -> Follow {
        Follow {
            life: FollowerLife {
                partition: id(index),
                incarnation: Incarnation(1),
                leader_epoch: LeaderEpoch(leader_epoch),
            },
            leader: BrokerId(2),
            end: end(offset),
        }
    }

    fn end(offset: i64) -> LogEnd {
        LogEnd {
            offset,
            last_epoch: 0,
            log_start: 0,
        }
    }

    fn request(partitions: &mut Partitions) -> FetchRequest {
        partitions.request(&asker(&config()))
    }

    fn config() -> ReplicationConfig {
        BrokerConfig::embedded(std::path::Path::new("unused")).replication
    }

    fn asker(config: &ReplicationConfig) -> Asker<'_> {
        Asker {
            me: BrokerId(1),
            broker_epoch: 9,
            config,
            now: Instant(0),
        }
    }

    /// (session, its epoch, partitions with their offsets, forgotten ones)
    type Said = ((i32, i32), Vec<(i32, i64)>, Vec<i32>);

    fn said(partitions: &mut Partitions) -> Said {
        let request = request(partitions);
        let asked = request.topics.iter().flat_map(|topic| &topic.partitions);
        (
            (request.session_id, request.session_epoch),
            asked.map(|one| (one.index, one.fetch_offset)).collect(),
            request
                .forgotten
                .iter()
                .flat_map(|topic| topic.partitions.clone())
                .collect(),
        )
    }

    /// A replica says who it is, and in which epochs.
    #[test]
    fn requests_carry_the_epochs_that_fence() {
        let mut partitions = Partitions::default();
        partitions.begin(follow(3, 5, 40));
        let request = request(&mut partitions);
        assert_eq!((request.replica_id, request.replica_epoch), (1, 9));
        let asked = &request.topics[0].partitions[0];
        assert_eq!((asked.current_leader_epoch, asked.last_fetched_epoch), (5, 0));
        assert_eq!((asked.max_bytes, request.max_bytes), (1 << 20, 10 << 20));
    }

    /// In a session only changes are said: a moved end, a partition that came, one that went or rests, one that has rested.
    #[test]
    fn a_session_hears_what_changed() {
        let mut partitions = Partitions::default();
        (0..3).for_each(|index| partitions.begin(follow(index, 0, 0)));
        assert_eq!(said(&mut partitions), ((0, 0), vec![(0, 0), (1, 0), (2, 0)], vec![]));
        partitions.on_answer(77);
        assert_eq!(said(&mut partitions), ((77, 1), vec![], vec![]));
        partitions.on_answer(77);
        partitions.advance(id(1), end(8));
        partitions.begin(follow(4, 0, 2));
        partitions.end(id(0));
        assert_eq!(said(&mut partitions), ((77, 2), vec![(1, 8), (4, 2)], vec![0]));
        partitions.on_answer(77);
        assert!(partitions.rest(id(2), Instant(50)), "said once");
        assert_eq!(said(&mut partitions), ((77, 3), vec![], vec![2]));
        partitions.on_answer(77);
        partitions.wake(Instant(49));
        assert_eq!(said(&mut partitions).1, vec![]);
        partitions.on_answer(77);
        partitions.wake(Instant(50));
        assert_eq!(said(&mut partitions), ((77, 5), vec![(2, 0)], vec![]));
        assert!(!partitions.rest(id(2), Instant(90)), "not said twice");
    }

    /// What is copied too fast is left out for a while, which is no failure.
    #[test]
    fn held_partitions_are_left_out_for_a_while() {
        let mut partitions = Partitions::default();
        (0..3).for_each(|index| partitions.begin(follow(index, 0, 0)));
        assert_eq!(request(&mut partitions).max_wait_ms, 500);
        partitions.on_answer(77);
        partitions.rest(id(2), Instant(90));
        partitions.hold(Instant(50), |id| id.index > 0);
        assert_eq!(partitions.wait_ms(&asker(&config())), 1, "not beyond the end of a rest");
        assert_eq!(said(&mut partitions), ((77, 1), vec![], vec![1, 2]));
        partitions.on_answer(77);
        partitions.wake(Instant(50));
        assert_eq!(
            said(&mut partitions).1,
            vec![(1, 0)],
            "a rest after a failure is not cut short"
        );
        assert!(partitions.rest(id(1), Instant(60)), "its first failure");
    }

    /// A session that the leader lost is asked for anew with everything; one at another point is closed by that request.
    #[test]
    fn a_lost_session_is_begun_anew() {
        let mut partitions = Partitions::default();
        (0..2).for_each(|index| partitions.begin(follow(index, 0, 0)));
        let all = vec![(0, 0), (1, 0)];
        said(&mut partitions);
        partitions.on_answer(5);
        assert!(partitions.on_refusal(ErrorCode::FetchSessionIdNotFound));
        assert_eq!(said(&mut partitions), ((0, 0), all.clone(), vec![]));
        partitions.on_answer(6);
        assert!(partitions.on_refusal(ErrorCode::InvalidFetchSessionEpoch));
        assert_eq!(said(&mut partitions), ((6, 0), all.clone(), vec![]));
        partitions.on_answer(8);
        partitions.on_lost_connection();
        assert_eq!(said(&mut partitions), ((0, 0), all, vec![]));
        assert!(!partitions.on_refusal(ErrorCode::UnknownServerError));
    }

    /// Without a session every request names everything, and begins behind the partition that was filled last.
    #[test]
    fn none_starves_without_a_session() {
        let mut partitions = Partitions::default();
        (0..3).for_each(|index| partitions.begin(follow(index, 0, 0)));
        said(&mut partitions);
        partitions.on_answer(0);
        partitions.advance(id(0), end(10));
        assert_eq!(said(&mut partitions).1, vec![(1, 0), (2, 0), (0, 10)]);
        partitions.on_answer(0);
        partitions.advance(id(1), end(4));
        assert_eq!(said(&mut partitions).1, vec![(2, 0), (0, 10), (1, 4)]);
    }

    /// A partition that begins again is told although its end is the same, and one that rests meanwhile does so no more.
    #[test]
    fn a_new_life_is_told() {
        let mut partitions = Partitions::default();
        partitions.begin(follow(0, 0, 7));
        said(&mut partitions);
        partitions.on_answer(5);
        partitions.rest(id(0), Instant(1_000));
        assert_eq!(partitions.all_rest_until(), Some(Instant(1_000)));
        partitions.begin(follow(0, 1, 7));
        assert_eq!(partitions.all_rest_until(), None);
        assert_eq!(said(&mut partitions).1, vec![(0, 7)]);
    }
}
