//! Incremental fetch sessions: a consumer of many partitions sends only what changed, and gets only what changed. //= KIP-227
//!
//! One cache per shard, bounded by slots and by partitions. A session is found by its id on the shard that made it; a client
//! that comes back on another shard is told that the session is not there, and starts over with a full fetch, as the protocol
//! foresees. Nothing is borrowed while a fetch waits: a fetch takes its plan out, and hands its outcome in under the epoch
//! that it was planned for.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;

use crate::metrics::{Cells, Metric};
use crate::model::{ErrorCode, TopicId};
use crate::rt::Instant;
use crate::wire::fetch::{FetchPartition, FetchPartitionResponse, FetchRequest};

/// A partition as fetch requests name it: by topic name below version 13, by topic id from there on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub name: Bytes,
    pub id: TopicId,
    pub index: i32,
}

/// What a request fetches, and how its answer is to be cut.
#[derive(Debug)]
pub struct FetchPlan {
    pub partitions: Vec<(Key, FetchPartition)>,
    pub reply: ReplyTo,
}

/// Which partitions an answer carries, and under which session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyTo {
    /// All of them, without a session.
    Sessionless,
    /// All of them; a session is made if there is room.
    NewSession,
    /// Those that changed since the last answer.
    Session { id: i32, epoch: i32 },
}

/// Why a session cannot be used; the client starts over with a full fetch.
pub type SessionError = ErrorCode;

pub struct FetchSessions {
    slots: usize,
    metrics: Cells,
    cache: RefCell<Cache>,
}

/// A session that nobody has used for so long may be evicted for a new one, as in Kafka.
const EVICTION_AGE: Duration = Duration::from_secs(120);
/// Partitions in all sessions of a shard together: about 100 bytes each.
const PARTITIONS_MAX: usize = 500_000;
/// Request epochs: the first of a session, and the one that ends or avoids it.
const EPOCH_INITIAL: i32 = 0;
const EPOCH_FINAL: i32 = -1;

impl FetchSessions {
    pub fn new(slots: usize, metrics: Cells) -> FetchSessions {
        FetchSessions {
            slots,
            metrics,
            cache: RefCell::default(),
        }
    }

    /// What `request` asks for, after its changes to the session that it names. `by_id` as of its version.
    pub fn plan(&self, request: &FetchRequest, by_id: bool, now: Instant) -> Result<FetchPlan, SessionError> {
        let reply = match (request.session_id, request.session_epoch) {
            (id, EPOCH_FINAL) => {
                self.close(id);
                ReplyTo::Sessionless
            }
            (id, EPOCH_INITIAL) => {
                self.close(id);
                ReplyTo::NewSession
            }
            (id, epoch) => return self.cache.borrow_mut().plan_incremental(id, epoch, request, by_id, now),
        };
        Ok(FetchPlan {
            partitions: full(request),
            reply,
        })
    }

    /// Cuts `answers`, which are in the order of the plan, to what the client is to see, and gives the session's id.
    /// `new_id` is used for a new session.
    pub fn finish(
        &self,
        plan: FetchPlan,
        answers: Vec<FetchPartitionResponse>,
        by_id: bool,
        new_id: i32,
        now: Instant,
    ) -> (i32, Vec<(Key, FetchPartitionResponse)>) {
        match plan.reply {
            ReplyTo::Sessionless => (0, keyed(plan.partitions, answers)),
            ReplyTo::NewSession => {
                let id = self.open(&plan.partitions, &answers, by_id, new_id, now);
                (id, keyed(plan.partitions, answers))
            }
            ReplyTo::Session { id, epoch } => {
                let answers = keyed(plan.partitions, answers);
                let changed = self.cache.borrow_mut().changed(id, epoch, answers);
                (id, changed)
            }
        }
    }

    /// The new session's id, or 0 where there is no room: the client then goes on with full fetches.
    fn open(
        &self,
        partitions: &[(Key, FetchPartition)],
        answers: &[FetchPartitionResponse],
        by_id: bool,
        new_id: i32,
        now: Instant,
    ) -> i32 {
        let mut cache = self.cache.borrow_mut();
        let room = cache.make_room(self.slots, partitions.len(), now);
        if !room || partitions.is_empty() || new_id <= 0 || cache.sessions.contains_key(&new_id) {
            return 0;
        }
        let mut session = Session {
            epoch: 1,
            by_id,
            used_at: now,
            ..Session::default()
        };
        partitions.iter().for_each(|(key, asked)| session.insert(key, asked));
        for ((key, _), answer) in partitions.iter().zip(answers) {
            session.is_changed(key, answer);
        }
        cache.partitions += session.order.len();
        cache.sessions.insert(new_id, session);
        self.metrics.add(Metric::FetchSessions, 1);
        new_id
    }

    fn close(&self, id: i32) {
        if self.cache.borrow_mut().remove(id) {
            self.metrics.add(Metric::FetchSessions, -1);
        }
    }
}

#[derive(Default)]
struct Cache {
    sessions: HashMap<i32, Session>,
    /// In all sessions together.
    partitions: usize,
}

impl Cache {
    fn plan_incremental(
        &mut self,
        id: i32,
        epoch: i32,
        request: &FetchRequest,
        by_id: bool,
        now: Instant,
    ) -> Result<FetchPlan, SessionError> {
        let session = self.sessions.get_mut(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.by_id != by_id {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        let before = session.order.len();
        session.forget(request);
        let room = PARTITIONS_MAX.saturating_sub(self.partitions);
        if full_len(request) > room {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        full(request).iter().for_each(|(key, asked)| session.insert(key, asked));
        session.used_at = now;
        session.epoch = next_epoch(epoch);
        self.partitions = (self.partitions + session.order.len()).saturating_sub(before);
        let partitions = session
            .order
            .values()
            .map(|cached| (cached.key.clone(), cached.asked.clone()))
            .collect();
        Ok(FetchPlan {
            partitions,
            reply: ReplyTo::Session {
                id,
                epoch: session.epoch,
            },
        })
    }

    /// The answers that tell the client something new. A session that has moved on in the meantime keeps its own view, and
    /// this answer, which its client no longer waits for, stays whole.
    fn changed(
        &mut self,
        id: i32,
        epoch: i32,
        answers: Vec<(Key, FetchPartitionResponse)>,
    ) -> Vec<(Key, FetchPartitionResponse)> {
        match self.sessions.get_mut(&id).filter(|session| session.epoch == epoch) {
            Some(session) => answers
                .into_iter()
                .filter(|(key, answer)| session.is_changed(key, answer))
                .collect(),
            None => answers,
        }
    }

    /// Whether one more session of `partitions` fits, after evicting the one that was used least recently if it is old.
    fn make_room(&mut self, slots: usize, partitions: usize, now: Instant) -> bool {
        let fits = |cache: &Cache| {
            cache.sessions.len() < slots && cache.partitions.saturating_add(partitions) <= PARTITIONS_MAX
        };
        if !fits(self) {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.used_at);
            let evicted = oldest
                .filter(|(_, session)| now.since(session.used_at) > EVICTION_AGE)
                .map(|(id, _)| *id);
            evicted.map(|id| self.remove(id));
        }
        fits(self)
    }

    fn remove(&mut self, id: i32) -> bool {
        let removed = self.sessions.remove(&id);
        self.partitions -= removed.as_ref().map_or(0, |session| session.order.len());
        removed.is_some()
    }
}

/// Partitions in the order in which they are fetched: one that brought data goes to the end, so that none starves.
struct Session {
    epoch: i32,
    by_id: bool,
    used_at: Instant,
    order: BTreeMap<u64, Cached>,
    places: HashMap<Key, u64>,
    next_place: u64,
}

impl Default for Session {
    fn default() -> Session {
        Session {
            epoch: 1,
            by_id: false,
            used_at: Instant(0),
            order: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        }
    }
}

struct Cached {
    key: Key,
    asked: FetchPartition,
    /// As the client last heard them.
    high_watermark: i64,
    log_start_offset: i64,
}

impl Session {
    fn insert(&mut self, key: &Key, asked: &FetchPartition) {
        if let Some(cached) = self.places.get(key).and_then(|place| self.order.get_mut(place)) {
            // A replica that follows in another epoch has heard nothing in it yet.
            if cached.asked.current_leader_epoch != asked.current_leader_epoch {
                cached.high_watermark = -1;
            }
            cached.asked = asked.clone();
            return;
        }
        // The names of a request share its buffer; a session outlives it.
        let key = Key {
            name: Bytes::copy_from_slice(&key.name),
            ..key.clone()
        };
        let cached = Cached {
            key: key.clone(),
            asked: asked.clone(),
            high_watermark: -1,
            log_start_offset: -1,
        };
        self.places.insert(key, self.next_place);
        self.order.insert(self.next_place, cached);
        self.next_place += 1;
    }

    fn forget(&mut self, request: &FetchRequest) {
        for topic in &request.forgotten {
            for &index in &topic.partitions {
                let key = Key {
                    name: topic.name.clone(),
                    id: topic.id,
                    index,
                };
                if let Some(place) = self.places.remove(&key) {
                    self.order.remove(&place);
                }
            }
        }
    }

    /// Whether the client needs `answer`, noting what it then knows. After an error, or an answer that sends it to cut its
    /// log, it is told the high watermark again: from those it takes none.
    fn is_changed(&mut self, key: &Key, answer: &FetchPartitionResponse) -> bool {
        let Some(place) = self.places.get(key).copied() else {
            return true;
        };
        let Some(cached) = self.order.get_mut(&place) else {
            return true;
        };
        let has_error = answer.error_code != ErrorCode::None.code();
        let is_diverging = answer.diverging_epoch.is_some();
        let has_data = answer.records.iter().any(|slice| !slice.is_empty());
        let moved =
            cached.high_watermark != answer.high_watermark || cached.log_start_offset != answer.log_start_offset;
        cached.high_watermark = match has_error || is_diverging {
            true => -1,
            false => answer.high_watermark,
        };
        cached.log_start_offset = answer.log_start_offset;
        if has_data {
            self.move_to_end(place);
        }
        has_data || has_error || moved || is_diverging || answer.preferred_read_replica >= 0
    }

    fn move_to_end(&mut self, place: u64) {
        if let Some(cached) = self.order.remove(&place) {
            self.places.insert(cached.key.clone(), self.next_place);
            self.order.insert(self.next_place, cached);
            self.next_place += 1;
        }
    }
}

/// Epochs run from 1 to the largest number, then from 1 again.
fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

fn full_len(request: &FetchRequest) -> usize {
    request.topics.iter().map(|topic| topic.partitions.len()).sum()
}

/// The partitions that a request lists itself.
fn full(request: &FetchRequest) -> Vec<(Key, FetchPartition)> {
    let mut partitions = Vec::with_capacity(full_len(request));
    for topic in &request.topics {
        partitions.extend(topic.partitions.iter().map(|partition| {
            let key = Key {
                name: topic.name.clone(),
                id: topic.id,
                index: partition.index,
            };
            (key, partition.clone())
        }));
    }
    partitions
}

fn keyed(
    partitions: Vec<(Key, FetchPartition)>,
    answers: Vec<FetchPartitionResponse>,
) -> Vec<(Key, FetchPartitionResponse)> {
    partitions.into_iter().map(|(key, _)| key).zip(answers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Registry;
    use crate::wire::fetch::{FetchTopic, ForgottenTopic};

    const T0: Instant = Instant(1_000_000_000);

    fn sessions(slots: usize) -> FetchSessions {
        FetchSessions::new(slots, Registry::new(1).shard(0))
    }

    fn request(session_id: i32, session_epoch: i32, partitions: &[i32]) -> FetchRequest {
        let partition = |&index: &i32| FetchPartition {
            index,
            current_leader_epoch: -1,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            max_bytes: 1 << 20,
        };
        let topic = FetchTopic {
            name: "a".into(),
            id: TopicId::ZERO,
            partitions: partitions.iter().map(partition).collect(),
        };
        FetchRequest {
            replica_id: -1,
            replica_epoch: -1,
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: 1 << 20,
            isolation_level: 0,
            session_id,
            session_epoch,
            topics: if partitions.is_empty() { vec![] } else { vec![topic] },
            forgotten: vec![],
            rack_id: Bytes::new(),
            cluster_id: None,
        }
    }

    fn answer(high_watermark: i64, data: &'static str) -> FetchPartitionResponse {
        let records = vec![Bytes::from_static(data.as_bytes())];
        FetchPartitionResponse {
            high_watermark,
            log_start_offset: 0,
            records,
            ..Default::default()
        }
    }

    /// Runs one request to its end and gives the session's id and the partitions of the answer.
    fn fetch(sessions: &FetchSessions, request: &FetchRequest, answers: &[(i64, &'static str)]) -> (i32, Vec<i32>) {
        let plan = sessions.plan(request, false, T0).expect("the session is valid");
        assert_eq!(plan.partitions.len(), answers.len());
        let mut answers: Vec<_> = answers.iter().map(|&(hw, data)| answer(hw, data)).collect();
        for ((key, _), answer) in plan.partitions.iter().zip(&mut answers) {
            answer.index = key.index;
        }
        let (id, answers) = sessions.finish(plan, answers, false, 77, T0);
        (id, answers.into_iter().map(|(key, _)| key.index).collect())
    }

    fn error(sessions: &FetchSessions, request: &FetchRequest, by_id: bool) -> ErrorCode {
        sessions.plan(request, by_id, T0).expect_err("the session is not valid")
    }

    /// Behaviour 36: a full fetch makes a session; then only what changed is asked for and answered.
    #[test]
    fn incremental_answers_carry_changes_only() {
        let sessions = sessions(10);
        assert_eq!(
            fetch(&sessions, &request(0, 0, &[0, 1, 2]), &[(5, "x"), (5, ""), (5, "")]),
            (77, vec![0, 1, 2])
        );
        // Partition 0 brought data and went to the end.
        assert_eq!(
            fetch(&sessions, &request(77, 1, &[]), &[(5, ""), (5, ""), (5, "")]),
            (77, vec![])
        );
        assert_eq!(
            fetch(&sessions, &request(77, 2, &[]), &[(6, ""), (5, "y"), (5, "")]),
            (77, vec![1, 2])
        );
        let mut forgetting = request(77, 3, &[3]);
        forgetting.forgotten = vec![ForgottenTopic {
            name: "a".into(),
            id: TopicId::ZERO,
            partitions: vec![1],
        }];
        assert_eq!(
            fetch(&sessions, &forgetting, &[(5, ""), (5, ""), (0, "")]),
            (77, vec![3])
        );
    }

    /// Behaviour 36: wrong epochs, unknown sessions, and a change between names and ids have their codes.
    #[test]
    fn session_errors_have_kafkas_codes() {
        let sessions = sessions(10);
        fetch(&sessions, &request(0, 0, &[0]), &[(5, "")]);
        assert_eq!(
            error(&sessions, &request(77, 2, &[]), false),
            ErrorCode::InvalidFetchSessionEpoch
        );
        assert_eq!(
            error(&sessions, &request(78, 1, &[]), false),
            ErrorCode::FetchSessionIdNotFound
        );
        assert_eq!(
            error(&sessions, &request(77, 1, &[]), true),
            ErrorCode::FetchSessionTopicIdError
        );
        assert_eq!(fetch(&sessions, &request(77, 1, &[]), &[(5, "")]).0, 77);
        assert_eq!(
            error(&sessions, &request(77, 1, &[]), false),
            ErrorCode::InvalidFetchSessionEpoch
        );
    }

    /// Epoch -1 ends a session or does without one.
    #[test]
    fn final_epoch_closes_the_session() {
        let sessions = sessions(10);
        fetch(&sessions, &request(0, 0, &[0]), &[(5, "")]);
        assert_eq!(fetch(&sessions, &request(77, -1, &[0]), &[(5, "")]), (0, vec![0]));
        assert_eq!(
            error(&sessions, &request(77, 1, &[]), false),
            ErrorCode::FetchSessionIdNotFound
        );
        assert_eq!(sessions.cache.borrow().partitions, 0);
        assert_eq!(sessions.metrics.get(Metric::FetchSessions), 0);
    }

    /// A full cache answers with id 0 until a session has not been used for two minutes.
    #[test]
    fn a_full_cache_evicts_by_age_only() {
        let sessions = sessions(1);
        fetch(&sessions, &request(0, 0, &[0]), &[(5, "")]);
        let open = |id, now| {
            let plan = sessions
                .plan(&request(0, 0, &[0]), false, now)
                .expect("a full fetch needs no session");
            sessions.finish(plan, vec![answer(5, "")], false, id, now).0
        };
        assert_eq!(open(78, T0.after(EVICTION_AGE)), 0);
        assert_eq!(open(79, T0.after(EVICTION_AGE + Duration::from_secs(1))), 79);
        assert_eq!(
            error(&sessions, &request(77, 1, &[]), false),
            ErrorCode::FetchSessionIdNotFound
        );
    }

    /// An error is always told, and the high watermark again after it.
    #[test]
    fn errors_are_always_told() {
        let sessions = sessions(10);
        fetch(&sessions, &request(0, 0, &[0]), &[(5, "")]);
        for epoch in 1..3 {
            let plan = sessions.plan(&request(77, epoch, &[]), false, T0).expect("valid");
            let failed = FetchPartitionResponse {
                error_code: 6,
                ..Default::default()
            };
            assert_eq!(sessions.finish(plan, vec![failed], false, 0, T0).1.len(), 1);
        }
        assert_eq!(fetch(&sessions, &request(77, 3, &[]), &[(5, "")]), (77, vec![0]));
        assert_eq!(fetch(&sessions, &request(77, 4, &[]), &[(5, "")]), (77, vec![]));
        assert_eq!((next_epoch(7), next_epoch(i32::MAX)), (8, 1));
    }

    /// A follower that was sent to cut its log, or follows in another epoch, hears the high watermark though it has not moved.
    #[test]
    fn a_follower_that_starts_over_is_told_the_high_watermark() {
        let sessions = sessions(10);
        fetch(&sessions, &request(0, 0, &[0]), &[(5, "")]);
        let plan = sessions.plan(&request(77, 1, &[]), false, T0).expect("valid");
        let diverging = FetchPartitionResponse {
            diverging_epoch: Some((3, 4)),
            ..answer(5, "")
        };
        assert_eq!(sessions.finish(plan, vec![diverging], false, 0, T0).1.len(), 1);
        assert_eq!(fetch(&sessions, &request(77, 2, &[0]), &[(5, "")]), (77, vec![0]));
        assert_eq!(fetch(&sessions, &request(77, 3, &[0]), &[(5, "")]), (77, vec![]));
        let mut later = request(77, 4, &[0]);
        later.topics[0].partitions[0].current_leader_epoch += 1;
        assert_eq!(fetch(&sessions, &later, &[(5, "")]), (77, vec![0]));
    }
}
