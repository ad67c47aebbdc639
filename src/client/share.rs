//! A member of a share group: reads one topic with others, and answers for what it has read with the next request.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::consumer::{BATCH_BYTES_MAX, consumed};
use super::{ClientError, Cluster, ConsumedRecord, with_coordinator};
use crate::model::{BrokerId, ErrorCode, TopicId};
use crate::record::{BatchHeader, Records};
use crate::rt::{Instant, now, random_u64, tool};
use crate::wire::messages::*;
use crate::wire::share_fetch::{ShareFetchResponse, ShareFetchedPartition};

/// What a member says of all that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareAnswer {
    Accept = 1,
    Release = 2,
    Reject = 3,
}

type Partition = (TopicId, i32);

pub struct ShareConsumer {
    cluster: Cluster,
    group: String,
    topic: String,
    answer: ShareAnswer,
    member_id: String,
    epoch: i32,
    /// When the next heartbeat is due.
    beat_at: Instant,
    assigned: BTreeSet<Partition>,
    sessions: BTreeMap<BrokerId, Session>,
    /// Ranges that were read and are to be answered for.
    unanswered: BTreeMap<Partition, Vec<(i64, i64)>>,
    /// Partitions and offsets of those among them that are for others after all.
    returned: BTreeSet<(i32, i64)>,
    /// Since the last round in which nothing failed.
    failures: usize,
    /// Whom the last heartbeat reached.
    coordinator: Option<BrokerId>,
}

#[derive(Default)]
struct Session {
    epoch: i32,
    partitions: BTreeSet<Partition>,
}

const MAX_WAIT_MS: i32 = 500;
const MAX_BYTES: i32 = 50 << 20;
const RECORDS_MAX: i32 = 500;
const EPOCH_LEAVING: i32 = -1;
const EPOCH_FINAL: i32 = -1;
/// Between two heartbeats until the group says otherwise.
const FIRST_INTERVAL: Duration = Duration::from_millis(100);
/// Failures, each after such an interval, without a round between them in which nothing fails, before the error is shown:
/// half a minute.
const FAILURES_MAX: usize = 300;

impl ShareConsumer {
    pub fn join(cluster: Cluster, group: &str, topic: &str, answer: ShareAnswer) -> Result<ShareConsumer, ClientError> {
        let mut consumer = ShareConsumer {
            cluster,
            group: group.to_owned(),
            topic: topic.to_owned(),
            answer,
            member_id: random_uuid([random_u64(), random_u64()]),
            epoch: 0,
            beat_at: now(),
            assigned: BTreeSet::new(),
            sessions: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            returned: BTreeSet::new(),
            failures: 0,
            coordinator: None,
        };
        consumer.beat()?;
        Ok(consumer)
    }

    /// The next records; none if none came for a while. What the call before brought is answered for with it.
    pub fn poll(&mut self) -> Result<Vec<ConsumedRecord>, ClientError> {
        let before = self.failures;
        let records = self.round()?;
        if self.failures == before {
            self.failures = 0;
        }
        Ok(records)
    }

    fn round(&mut self) -> Result<Vec<ConsumedRecord>, ClientError> {
        if now() >= self.beat_at {
            let beaten = self.beat();
            if self.endure(beaten)?.is_none() {
                self.lose_coordinator();
            }
        }
        let leaders = self.leaders();
        let leaders = self.endure(leaders)?.unwrap_or_default();
        if leaders.is_empty() {
            tool::sleep(FIRST_INTERVAL);
            return Ok(Vec::new());
        }
        let mut records = Vec::new();
        let max_wait_ms = MAX_WAIT_MS / i32::try_from(leaders.len()).unwrap_or(1);
        for (broker, partitions) in leaders {
            let fetched = self.fetch(broker, partitions, max_wait_ms, &mut records);
            if self.endure(fetched)?.is_none() {
                self.lose(broker);
            }
        }
        Ok(records)
    }

    /// `None`: it has failed for a reason that passes, which is put up with for a time.
    fn endure<T>(&mut self, done: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
        match done {
            Ok(done) => Ok(Some(done)),
            Err(problem) if self.failures < FAILURES_MAX && problem.is_passing() => {
                self.failures += 1;
                tool::sleep(FIRST_INTERVAL);
                Ok(None)
            }
            Err(problem) => Err(problem),
        }
    }

    /// It is looked for anew. The connections to others that records come by stay.
    fn lose_coordinator(&mut self) {
        self.cluster.forget_bootstrap();
        if let Some(broker) = self.coordinator.take() {
            self.lose(broker);
        }
        for broker in self.cluster.brokers() {
            if !self.sessions.contains_key(&broker) {
                self.cluster.forget(broker);
            }
        }
    }

    /// The session goes with its connection, and what was read in it and not answered for is offered again.
    fn lose(&mut self, broker: BrokerId) {
        self.cluster.forget(broker);
        for partition in self.sessions.remove(&broker).unwrap_or_default().partitions {
            self.unanswered.remove(&partition);
        }
    }

    /// The record is not used, and is offered to others.
    pub fn give_back(&mut self, record: &ConsumedRecord) {
        self.returned.insert((record.partition, record.offset));
    }

    /// Answers for all that was read, and leaves the group.
    pub fn close(mut self) -> Result<(), ClientError> {
        let sessions = std::mem::take(&mut self.sessions);
        for (broker, session) in sessions {
            let request = ShareAcknowledgeRequestData::default()
                .with_group_id(Some(kafka_string(&self.group)))
                .with_member_id(Some(kafka_string(&self.member_id)))
                .with_share_session_epoch(EPOCH_FINAL)
                .with_topics(self.answers(&session.partitions));
            let answered = self.cluster.broker(broker).and_then(|broker| broker.call(&request));
            match answered {
                // Its broker is gone, and the session with it.
                Err(problem) if problem.is_passing() => self.cluster.forget(broker),
                answered => match ErrorCode::from_code(answered?.error_code) {
                    ErrorCode::None | ErrorCode::ShareSessionNotFound => {}
                    error => ClientError::check(error.code(), None)?,
                },
            }
        }
        self.epoch = EPOCH_LEAVING;
        self.beat()
    }

    fn beat(&mut self) -> Result<(), ClientError> {
        let mut request = ShareGroupHeartbeatRequestData::default()
            .with_group_id(kafka_string(&self.group))
            .with_member_id(kafka_string(&self.member_id))
            .with_member_epoch(self.epoch);
        if self.epoch == 0 {
            request = request.with_subscribed_topic_names(Some(vec![kafka_string(&self.topic)]));
        }
        let asked = with_coordinator(&mut self.cluster, &self.group, &request, |answer| answer.error_code);
        let (answer, coordinator) = asked?;
        self.coordinator = Some(coordinator);
        match ErrorCode::from_code(answer.error_code) {
            // The group has forgotten this member: it joins again.
            ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch if self.epoch > 0 => {
                self.epoch = 0;
                return self.beat();
            }
            _ => ClientError::check(answer.error_code, None)?,
        }
        self.epoch = answer.member_epoch;
        let interval = u64::try_from(answer.heartbeat_interval_ms).unwrap_or(0);
        self.beat_at = now().after(Duration::from_millis(interval).max(FIRST_INTERVAL));
        if let Some(assignment) = answer.assignment {
            let topics = assignment.topic_partitions.iter();
            let partitions = topics.flat_map(|topic| {
                let id = topic_id(topic.topic_id);
                topic.partitions.iter().map(move |index| (id, *index))
            });
            self.assigned = partitions.collect();
        }
        if self.assigned.is_empty() {
            self.beat_at = now().after(FIRST_INTERVAL);
        }
        Ok(())
    }

    /// The assigned partitions by their leaders.
    fn leaders(&mut self) -> Result<BTreeMap<BrokerId, BTreeSet<Partition>>, ClientError> {
        let mut by_leader: BTreeMap<BrokerId, BTreeSet<Partition>> = BTreeMap::new();
        if self.assigned.is_empty() {
            return Ok(by_leader);
        }
        let topic = self.cluster.topic(&self.topic, false)?;
        for partition in &self.assigned {
            if let Some(Some(leader)) = topic.leaders.get(&partition.1) {
                by_leader.entry(*leader).or_default().insert(*partition);
            }
        }
        Ok(by_leader)
    }

    fn fetch(
        &mut self,
        broker: BrokerId,
        wanted: BTreeSet<Partition>,
        max_wait_ms: i32,
        records: &mut Vec<ConsumedRecord>,
    ) -> Result<(), ClientError> {
        let request = self.fetch_request(broker, &wanted, max_wait_ms);
        let answer: ShareFetchResponse = self.cluster.broker(broker)?.call(&request)?;
        match ErrorCode::from_code(answer.error_code) {
            ErrorCode::ShareSessionNotFound | ErrorCode::InvalidShareSessionEpoch => {
                self.sessions.remove(&broker);
                return Ok(());
            }
            _ => ClientError::check(answer.error_code, answer.error_message.as_deref())?,
        }
        let session = self.sessions.entry(broker).or_default();
        session.epoch = session.epoch.checked_add(1).unwrap_or(1);
        session.partitions = wanted;
        for topic in answer.topics {
            for partition in topic.partitions {
                self.take(topic.id, partition, records)?;
            }
        }
        Ok(())
    }

    fn fetch_request(
        &mut self,
        broker: BrokerId,
        wanted: &BTreeSet<Partition>,
        max_wait_ms: i32,
    ) -> ShareFetchRequestData {
        let known = self.sessions.get(&broker).map(|session| session.partitions.clone());
        let epoch = self.sessions.get(&broker).map_or(0, |session| session.epoch);
        let known = known.unwrap_or_default();
        let mut topics: BTreeMap<TopicId, Vec<ShareFetchPartition>> = BTreeMap::new();
        for (topic, index) in wanted {
            let ranges = self.unanswered.remove(&(*topic, *index)).filter(|_| epoch > 0);
            if ranges.is_none() && known.contains(&(*topic, *index)) {
                continue;
            }
            let batch = |(first, last): (i64, i64)| {
                ShareFetchAcknowledgement::default()
                    .with_first_offset(first)
                    .with_last_offset(last)
                    .with_acknowledge_types(self.kinds(*index, first, last))
            };
            let partition = ShareFetchPartition::default()
                .with_partition_index(*index)
                .with_acknowledgement_batches(ranges.into_iter().flatten().map(batch).collect());
            topics.entry(*topic).or_default().push(partition);
        }
        let topic = |(id, partitions): (TopicId, Vec<ShareFetchPartition>)| {
            ShareFetchTopic::default()
                .with_topic_id(kafka_uuid(id))
                .with_partitions(partitions)
        };
        ShareFetchRequestData::default()
            .with_group_id(Some(kafka_string(&self.group)))
            .with_member_id(Some(kafka_string(&self.member_id)))
            .with_share_session_epoch(epoch)
            .with_max_wait_ms(max_wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(MAX_BYTES)
            .with_max_records(RECORDS_MAX)
            .with_batch_size(RECORDS_MAX)
            .with_topics(topics.into_iter().map(topic).collect())
            .with_forgotten_topics_data(forgotten(&known, wanted))
    }

    /// Only what was acquired is for this member.
    fn take(
        &mut self,
        topic: TopicId,
        partition: ShareFetchedPartition,
        records: &mut Vec<ConsumedRecord>,
    ) -> Result<(), ClientError> {
        if is_passing(partition.error_code) {
            self.cluster.forget_bootstrap();
            return Ok(());
        }
        ClientError::check(partition.error_code, None)?;
        let acquired: Vec<(i64, i64)> = partition
            .acquired
            .iter()
            .map(|(first, last, _)| (*first, *last))
            .collect();
        let is_own = |offset: i64| acquired.iter().any(|(first, last)| (*first..=*last).contains(&offset));
        let mut rest: Bytes = partition.records.concat().into();
        while let Ok(header) = BatchHeader::parse(&rest) {
            if rest.len() < header.total_len() {
                break;
            }
            let batch = rest.split_to(header.total_len());
            let broken =
                |problem| ClientError::answer("the broker", format!("batch at {}: {problem}", header.base_offset));
            header.check_crc(&batch).map_err(broken)?;
            if header.is_control() {
                continue;
            }
            for record in Records::of(&header, batch, BATCH_BYTES_MAX).map_err(broken)? {
                let record = record.map_err(broken)?;
                if is_own(record.offset) {
                    records.push(consumed(partition.index, &header, record));
                }
            }
        }
        self.unanswered
            .entry((topic, partition.index))
            .or_default()
            .extend(acquired);
        Ok(())
    }

    /// One answer for the range, or one for each of its offsets.
    fn kinds(&self, index: i32, first: i64, last: i64) -> Vec<i8> {
        let is_returned = |offset: i64| self.returned.contains(&(index, offset));
        if !(first..=last).any(is_returned) {
            return vec![self.answer as i8];
        }
        let kind = |offset| match is_returned(offset) {
            true => ShareAnswer::Release as i8,
            false => self.answer as i8,
        };
        (first..=last).map(kind).collect()
    }

    fn answers(&mut self, partitions: &BTreeSet<Partition>) -> Vec<ShareAcknowledgeTopic> {
        let mut topics: BTreeMap<TopicId, Vec<ShareAcknowledgePartition>> = BTreeMap::new();
        for (topic, index) in partitions {
            let Some(ranges) = self.unanswered.remove(&(*topic, *index)) else {
                continue;
            };
            let batch = |(first, last): (i64, i64)| {
                ShareAcknowledgementBatch::default()
                    .with_first_offset(first)
                    .with_last_offset(last)
                    .with_acknowledge_types(self.kinds(*index, first, last))
            };
            let partition = ShareAcknowledgePartition::default()
                .with_partition_index(*index)
                .with_acknowledgement_batches(ranges.into_iter().map(batch).collect());
            topics.entry(*topic).or_default().push(partition);
        }
        let topic = |(id, partitions): (TopicId, Vec<ShareAcknowledgePartition>)| {
            ShareAcknowledgeTopic::default()
                .with_topic_id(kafka_uuid(id))
                .with_partitions(partitions)
        };
        topics.into_iter().map(topic).collect()
    }
}

/// What the session has and the member reads no more.
fn forgotten(known: &BTreeSet<Partition>, wanted: &BTreeSet<Partition>) -> Vec<ShareForgottenTopic> {
    let mut topics: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
    for (topic, index) in known.difference(wanted) {
        topics.entry(*topic).or_default().push(*index);
    }
    let topic = |(id, indexes): (TopicId, Vec<i32>)| {
        ShareForgottenTopic::default()
            .with_topic_id(kafka_uuid(id))
            .with_partitions(indexes)
    };
    topics.into_iter().map(topic).collect()
}

fn is_passing(code: i16) -> bool {
    matches!(
        ErrorCode::from_code(code),
        ErrorCode::NotLeaderOrFollower | ErrorCode::UnknownTopicOrPartition | ErrorCode::KafkaStorageError
    )
}
