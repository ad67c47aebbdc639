//! A consumer without a group: reads given partitions from a position on, in order per partition.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::{ClientError, Cluster};
use crate::model::{BrokerId, ErrorCode, NO_EPOCH, TopicId};
use crate::record::{BatchHeader, Header, Record, Records};
use crate::rt::tool;
use crate::wire::fetch::{FetchPartition, FetchPartitionResponse, FetchRequest, FetchTopic};
use crate::wire::messages::{ListOffsetsPartition, ListOffsetsRequestData, ListOffsetsTopic, kafka_string};

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    Earliest,
    Latest,
    Offset(i64),
}

/// What a fetch may wait for and bring; the defaults are those of Kafka's consumer.
#[derive(Clone, Debug)]
pub struct ConsumerSettings {
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub partition_max_bytes: i32,
    pub max_wait_ms: i32,
    pub read_committed: bool,
}

/// A record, and where it stands.
#[derive(Clone, Debug)]
pub struct ConsumedRecord {
    pub partition: i32,
    pub offset: i64,
    pub timestamp: i64,
    /// The timestamp is the broker's, not the producer's.
    pub log_append_time: bool,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

/// Reads one topic.
pub struct Consumer {
    cluster: Cluster,
    topic: String,
    /// None: all partitions.
    only: Option<BTreeSet<i32>>,
    start: Position,
    settings: ConsumerSettings,
    leaders: BTreeMap<i32, BrokerId>,
    /// The next offset of each partition that has been found.
    next: BTreeMap<i32, i64>,
}

/// What a batch may grow to when it is opened.
pub(super) const BATCH_BYTES_MAX: usize = 1 << 30;
const RETRY_BACKOFF: Duration = Duration::from_millis(100);
/// How often a request is tried again before its error is shown: half a minute.
const RETRIES_MAX: usize = 300;

impl Default for ConsumerSettings {
    fn default() -> ConsumerSettings {
        ConsumerSettings {
            min_bytes: 1,
            max_bytes: 50 << 20,
            partition_max_bytes: 1 << 20,
            max_wait_ms: 500,
            read_committed: false,
        }
    }
}

impl Consumer {
    /// Finds the topic's partitions (or only one) and where to begin in each.
    pub fn open(
        cluster: Cluster,
        topic: &str,
        only: Option<i32>,
        start: Position,
        settings: ConsumerSettings,
    ) -> Result<Consumer, ClientError> {
        let mut consumer = Consumer {
            cluster,
            topic: topic.to_owned(),
            only: only.map(|index| BTreeSet::from([index])),
            start,
            settings,
            leaders: BTreeMap::new(),
            next: BTreeMap::new(),
        };
        consumer.with_retries(Consumer::find_partitions)?;
        Ok(consumer)
    }

    /// The next records, of all partitions; none if none came within `max_wait_ms`.
    pub fn poll(&mut self) -> Result<Vec<ConsumedRecord>, ClientError> {
        self.with_retries(Consumer::fetch)
    }

    /// From now on these partitions only. The ones without a position begin where all began.
    pub(super) fn assign(
        &mut self,
        partitions: BTreeSet<i32>,
        positions: BTreeMap<i32, i64>,
    ) -> Result<(), ClientError> {
        self.leaders.clear();
        self.next = positions;
        let is_idle = partitions.is_empty();
        self.only = Some(partitions);
        match is_idle {
            true => Ok(()),
            false => self.with_retries(Consumer::find_partitions),
        }
    }

    /// The next offset of each partition.
    pub(super) fn positions(&self) -> &BTreeMap<i32, i64> {
        &self.next
    }

    /// The last records that were returned are to come again.
    pub(super) fn put_back(&mut self, records: &[ConsumedRecord]) {
        for record in records.iter().rev() {
            self.next.insert(record.partition, record.offset);
        }
    }

    pub(super) fn cluster(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// How long a poll may wait.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.settings.max_wait_ms).unwrap_or(0))
    }

    fn with_retries<T>(&mut self, step: fn(&mut Consumer) -> Result<T, ClientError>) -> Result<T, ClientError> {
        let mut tries = 0;
        loop {
            match step(self) {
                Err(problem) if tries < RETRIES_MAX && problem.is_passing() => {
                    tries += 1;
                    self.leaders.values().for_each(|leader| self.cluster.forget(*leader));
                    self.leaders.clear();
                    self.cluster.forget_bootstrap();
                    tool::sleep(RETRY_BACKOFF);
                }
                done => return done,
            }
        }
    }

    fn find_partitions(&mut self) -> Result<(), ClientError> {
        let topic = self.cluster.topic(&self.topic, true)?;
        let leaderless = || ClientError::Kafka {
            code: ErrorCode::LeaderNotAvailable,
            message: None,
        };
        let mut wanted: Vec<_> = topic.leaders.into_iter().collect();
        if let Some(only) = &self.only {
            wanted.retain(|(index, _)| only.contains(index));
            let is_missing = |index: &&i32| !wanted.iter().any(|(found, _)| found == *index);
            if let Some(missing) = only.iter().find(is_missing) {
                return Err(self.no_partition(*missing));
            }
        }
        for (index, leader) in wanted {
            self.leaders.insert(index, leader.ok_or_else(leaderless)?);
        }
        for index in self.leaders.keys().copied().collect::<Vec<_>>() {
            if !self.next.contains_key(&index) {
                let offset = self.offset_of(index, self.start)?;
                self.next.insert(index, offset);
            }
        }
        Ok(())
    }

    fn no_partition(&self, index: i32) -> ClientError {
        ClientError::Kafka {
            code: ErrorCode::InvalidRequest,
            message: Some(format!("topic {} has no partition {index}", self.topic)),
        }
    }

    fn offset_of(&mut self, index: i32, position: Position) -> Result<i64, ClientError> {
        let timestamp = match position {
            Position::Offset(offset) => return Ok(offset),
            Position::Latest => -1,
            Position::Earliest => -2,
        };
        let partition = ListOffsetsPartition::default()
            .with_partition_index(index)
            .with_current_leader_epoch(NO_EPOCH)
            .with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default()
            .with_name(kafka_string(&self.topic))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequestData::default()
            .with_replica_id(CONSUMER)
            .with_isolation_level(self.settings.read_committed.into())
            .with_topics(vec![topic]);
        let answer = self.cluster.broker(self.leader_of(index)?)?.call(&request)?;
        let found = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
        let found = found.ok_or_else(|| ClientError::answer("the broker", "ListOffsets names no partition"))?;
        ClientError::check(found.error_code, None)?;
        Ok(found.offset)
    }

    fn fetch(&mut self) -> Result<Vec<ConsumedRecord>, ClientError> {
        if self.leaders.is_empty() {
            self.find_partitions()?;
        }
        let mut brokers: Vec<_> = self.leaders.values().copied().collect();
        brokers.sort_unstable();
        brokers.dedup();
        let mut records = Vec::new();
        for broker in &brokers {
            // With several brokers none may hold up the others.
            let max_wait_ms = self.settings.max_wait_ms / brokers.len() as i32;
            let request = self.fetch_request(*broker, max_wait_ms);
            let answer = self.cluster.broker(*broker)?.call(&request)?;
            ClientError::check(answer.error_code, None)?;
            for partition in answer.topics.into_iter().flat_map(|topic| topic.partitions) {
                self.take_records(partition, &mut records)?;
            }
        }
        Ok(records)
    }

    fn fetch_request(&self, broker: BrokerId, max_wait_ms: i32) -> FetchRequest {
        let here = self.leaders.iter().filter(|(_, leader)| **leader == broker);
        let partitions = here.filter_map(|(index, _)| Some((*index, *self.next.get(index)?)));
        FetchRequest {
            replica_id: CONSUMER,
            replica_epoch: -1,
            max_wait_ms,
            min_bytes: self.settings.min_bytes,
            max_bytes: self.settings.max_bytes,
            isolation_level: self.settings.read_committed.into(),
            session_id: 0,
            session_epoch: -1,
            topics: vec![FetchTopic {
                name: Bytes::copy_from_slice(self.topic.as_bytes()),
                id: TopicId::ZERO,
                partitions: partitions
                    .map(|(index, fetch_offset)| FetchPartition {
                        index,
                        current_leader_epoch: NO_EPOCH,
                        fetch_offset,
                        last_fetched_epoch: NO_EPOCH,
                        log_start_offset: -1,
                        max_bytes: self.settings.partition_max_bytes,
                    })
                    .collect(),
            }],
            forgotten: Vec::new(),
            rack_id: Bytes::new(),
            cluster_id: None,
        }
    }

    fn take_records(
        &mut self,
        partition: FetchPartitionResponse,
        records: &mut Vec<ConsumedRecord>,
    ) -> Result<(), ClientError> {
        let index = partition.index;
        if ErrorCode::from_code(partition.error_code) == ErrorCode::OffsetOutOfRange {
            // As auto.offset.reset: retention may have taken what was to be read.
            let again = if self.start == Position::Latest {
                Position::Latest
            } else {
                Position::Earliest
            };
            let offset = self.offset_of(index, again)?;
            self.next.insert(index, offset);
            return Ok(());
        }
        ClientError::check(partition.error_code, None)?;
        let mut rest = match <[Bytes; 1]>::try_from(partition.records) {
            Ok([whole]) => whole,
            Err(slices) => slices.concat().into(),
        };
        while !rest.is_empty() {
            let Ok(header) = BatchHeader::parse(&rest) else { break };
            if rest.len() < header.total_len() {
                break; // The answer ends inside a batch.
            }
            let batch = rest.split_to(header.total_len());
            self.take_batch(index, &header, batch, records)?;
        }
        Ok(())
    }

    fn take_batch(
        &mut self,
        index: i32,
        header: &BatchHeader,
        batch: Bytes,
        records: &mut Vec<ConsumedRecord>,
    ) -> Result<(), ClientError> {
        let broken = |problem| ClientError::answer("the broker", format!("batch at {}: {problem}", header.base_offset));
        header.check_crc(&batch).map_err(broken)?;
        let next = self.next.get(&index).copied().unwrap_or_default();
        if !header.is_control() {
            for record in Records::of(header, batch, BATCH_BYTES_MAX).map_err(broken)? {
                let record = record.map_err(broken)?;
                if record.offset >= next {
                    records.push(consumed(index, header, record));
                }
            }
        }
        self.next.insert(index, next.max(header.next_offset()));
        Ok(())
    }

    fn leader_of(&self, index: i32) -> Result<BrokerId, ClientError> {
        let leaderless = ClientError::Kafka {
            code: ErrorCode::LeaderNotAvailable,
            message: None,
        };
        self.leaders.get(&index).copied().ok_or(leaderless)
    }
}

/// The replica id of a consumer.
const CONSUMER: i32 = -1;

pub(super) fn consumed(partition: i32, header: &BatchHeader, record: Record) -> ConsumedRecord {
    ConsumedRecord {
        partition,
        offset: record.offset,
        timestamp: if header.is_log_append_time() {
            header.max_timestamp
        } else {
            record.timestamp
        },
        log_append_time: header.is_log_append_time(),
        key: record.key,
        value: record.value,
        headers: record.headers,
    }
}
