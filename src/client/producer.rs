//! A producer: records into batches, batches to leaders, several in flight, each written once and in order.
//!
//! Idempotent unless acks=0 (KIP-98): what was in flight when a connection broke is sent again with the same sequence
//! numbers, and the broker drops what it already has.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::{ClientError, Cluster};
use crate::model::{BrokerId, ErrorCode, NO_PRODUCER_ID};
use crate::record::{BatchBuilder, Compression, Header, restamp};
use crate::rt::{Instant, now, random_u64, tool, wall_ms};
use crate::wire::messages::InitProducerIdRequestData;
use crate::wire::produce::{ProducePartition, ProduceRequest, ProduceResponse, ProduceTopic};

/// Produce requests in flight: what an idempotent producer may have (the broker remembers five batches).
const IN_FLIGHT_MAX: usize = 5;

/// How records become requests.
#[derive(Clone, Debug)]
pub struct ProducerSettings {
    /// -1 (all), 1 or 0.
    pub acks: i16,
    pub compression: Compression,
    /// A batch is sent when its uncompressed records reach this size.
    pub batch_bytes: usize,
    /// How long the broker may take over a request.
    pub request_timeout_ms: i32,
    /// How long a record may take until it is acknowledged or given up.
    pub delivery_timeout: Duration,
    pub retry_backoff: Duration,
}

/// A batch that the broker refused, or that could not be delivered in time.
#[derive(Debug)]
pub struct Failure {
    pub records: usize,
    pub bytes: usize,
    pub problem: ClientError,
}

/// Sends records to one topic.
pub struct Producer {
    cluster: Cluster,
    topic: String,
    settings: ProducerSettings,
    partitions: BTreeMap<i32, Partition>,
    /// Where records without a key go until their batch is full.
    sticky: i32,
    in_flight: VecDeque<Sent>,
    producer_id: i64,
    failures: Vec<Failure>,
}

struct Partition {
    leader: Option<BrokerId>,
    open: BatchBuilder,
    next_sequence: i32,
}

struct Sent {
    partition: i32,
    batch: Bytes,
    base_sequence: i32,
    records: usize,
    give_up_at: Instant,
}

impl Default for ProducerSettings {
    /// The defaults of Kafka's producer.
    fn default() -> ProducerSettings {
        ProducerSettings {
            acks: -1,
            compression: Compression::None,
            batch_bytes: 16_384,
            request_timeout_ms: 30_000,
            delivery_timeout: Duration::from_secs(120),
            retry_backoff: Duration::from_millis(100),
        }
    }
}

impl Producer {
    /// Finds the topic's leaders, creating the topic where the broker does so by itself.
    pub fn open(cluster: Cluster, topic: &str, settings: ProducerSettings) -> Result<Producer, ClientError> {
        let mut producer = Producer {
            cluster,
            topic: topic.to_owned(),
            settings,
            partitions: BTreeMap::new(),
            sticky: 0,
            in_flight: VecDeque::new(),
            producer_id: NO_PRODUCER_ID,
            failures: Vec::new(),
        };
        let give_up_at = now().after(producer.settings.delivery_timeout);
        producer.retry(give_up_at, Producer::find_leaders)?;
        producer.retry(give_up_at, Producer::take_producer_id)?;
        Ok(producer)
    }

    /// Adds a record; sends its batch when that is full. Refusals are found in [`Producer::take_failures`].
    pub fn send(
        &mut self,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) -> Result<(), ClientError> {
        let at = match (partition, key) {
            (Some(index), _) => index,
            (None, Some(key)) => self.partition_of(key),
            (None, None) => self.sticky,
        };
        let unknown = ClientError::Kafka {
            code: ErrorCode::UnknownTopicOrPartition,
            message: None,
        };
        let open = &mut self.partitions.get_mut(&at).ok_or(unknown)?.open;
        let record_bytes = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        if !open.is_empty() && open.size() + record_bytes > self.settings.batch_bytes {
            self.dispatch(at)?;
        }
        if let Some(partition) = self.partitions.get_mut(&at) {
            partition.open.push(wall_ms(), key, value, headers);
        }
        Ok(())
    }

    /// Sends everything and waits for every acknowledgement.
    pub fn flush(&mut self) -> Result<(), ClientError> {
        let open: Vec<_> = self
            .partitions
            .iter()
            .filter(|(_, p)| !p.open.is_empty())
            .map(|(at, _)| *at)
            .collect();
        for partition in open {
            self.dispatch(partition)?;
        }
        while !self.in_flight.is_empty() {
            self.collect_oldest()?;
        }
        Ok(())
    }

    /// What went wrong since the last call.
    pub fn take_failures(&mut self) -> Vec<Failure> {
        std::mem::take(&mut self.failures)
    }

    /// Closes the open batch of a partition and sends it, behind at most [`IN_FLIGHT_MAX`] others.
    fn dispatch(&mut self, index: i32) -> Result<(), ClientError> {
        while self.in_flight.len() >= IN_FLIGHT_MAX {
            self.collect_oldest()?;
        }
        let fresh = BatchBuilder::new(self.settings.compression);
        let Some(partition) = self.partitions.get_mut(&index) else {
            return Ok(());
        };
        let mut open = std::mem::replace(&mut partition.open, fresh);
        let (records, base_sequence) = (open.len(), partition.next_sequence);
        if self.producer_id != NO_PRODUCER_ID {
            open = open.producer(self.producer_id, 0, base_sequence);
            partition.next_sequence = base_sequence.wrapping_add(records as i32) & i32::MAX;
        }
        let give_up_at = now().after(self.settings.delivery_timeout);
        let sent = Sent {
            partition: index,
            batch: open.build(),
            base_sequence,
            records,
            give_up_at,
        };
        if index == self.sticky {
            self.move_on();
        }
        let written = self.write(&sent);
        if self.settings.acks == 0 {
            return written;
        }
        self.in_flight.push_back(sent);
        match written {
            Err(problem) if problem.is_passing() => self.send_again(problem),
            done => done,
        }
    }

    fn write(&mut self, sent: &Sent) -> Result<(), ClientError> {
        let request = ProduceRequest {
            transactional_id: None,
            acks: self.settings.acks,
            timeout_ms: self.settings.request_timeout_ms,
            topics: vec![ProduceTopic {
                name: Bytes::copy_from_slice(self.topic.as_bytes()),
                partitions: vec![ProducePartition {
                    index: sent.partition,
                    records: Some(sent.batch.clone()),
                }],
            }],
        };
        let leader = self.leader_of(sent.partition)?;
        let connection = self.cluster.broker(leader)?;
        if self.settings.acks == 0 {
            connection.send_only(&request)
        } else {
            connection.send(&request)
        }
    }

    /// Waits for the answer to the oldest batch in flight.
    fn collect_oldest(&mut self) -> Result<(), ClientError> {
        let Some(oldest) = self.in_flight.front() else {
            return Ok(());
        };
        let leader = self.leader_of(oldest.partition)?;
        let outcome = self
            .cluster
            .broker(leader)
            .and_then(|connection| connection.receive::<ProduceRequest>());
        match outcome.and_then(|answer| check_answer(&answer)) {
            Ok(()) => {
                self.in_flight.pop_front();
                Ok(())
            }
            Err(problem) if problem.is_passing() => self.send_again(problem),
            Err(problem) => self.give_up_oldest(problem),
        }
    }

    /// After a broken connection or a moved leader: finds the leaders anew and sends all that is in flight, in order.
    fn send_again(&mut self, mut problem: ClientError) -> Result<(), ClientError> {
        loop {
            let Some(oldest) = self.in_flight.front() else {
                return Ok(());
            };
            if now() >= oldest.give_up_at {
                return self.give_up_oldest(problem);
            }
            self.forget_connections();
            tool::sleep(self.settings.retry_backoff);
            match self.find_leaders().and_then(|()| self.write_all_in_flight()) {
                Ok(()) => return Ok(()),
                Err(again) => problem = again,
            }
        }
    }

    /// Drops the oldest batch. The broker expects its sequence numbers next, so what follows starts as a new producer.
    fn give_up_oldest(&mut self, problem: ClientError) -> Result<(), ClientError> {
        if let Some(lost) = self.in_flight.pop_front() {
            self.failures.push(Failure {
                records: lost.records,
                bytes: lost.batch.len(),
                problem,
            });
        }
        self.forget_connections();
        let give_up_at = now().after(self.settings.delivery_timeout);
        self.retry(give_up_at, Producer::find_leaders)?;
        self.retry(give_up_at, Producer::take_producer_id)?;
        match self.write_all_in_flight() {
            Ok(()) => Ok(()),
            Err(problem) => self.send_again(problem),
        }
    }

    fn write_all_in_flight(&mut self) -> Result<(), ClientError> {
        let in_flight = std::mem::take(&mut self.in_flight);
        let written = in_flight.iter().try_for_each(|sent| self.write(sent));
        self.in_flight = in_flight;
        written
    }

    fn forget_connections(&mut self) {
        for leader in self.partitions.values().filter_map(|partition| partition.leader) {
            self.cluster.forget(leader);
        }
        self.cluster.forget_bootstrap();
    }

    /// A new producer id; sequences start at 0, also those of what is in flight.
    fn take_producer_id(&mut self) -> Result<(), ClientError> {
        if self.settings.acks == 0 {
            return Ok(());
        }
        let request =
            InitProducerIdRequestData::default().with_transaction_timeout_ms(self.settings.request_timeout_ms);
        let answer = self.cluster.ask(&request)?;
        ClientError::check(answer.error_code, None)?;
        self.producer_id = answer.producer_id;
        self.partitions
            .values_mut()
            .for_each(|partition| partition.next_sequence = 0);
        for sent in &mut self.in_flight {
            let Some(partition) = self.partitions.get_mut(&sent.partition) else {
                continue;
            };
            sent.base_sequence = partition.next_sequence;
            sent.batch = restamp(&sent.batch, self.producer_id, 0, sent.base_sequence)
                .map_err(|problem| ClientError::answer("this producer", problem))?;
            partition.next_sequence = sent.base_sequence.wrapping_add(sent.records as i32) & i32::MAX;
        }
        Ok(())
    }

    fn find_leaders(&mut self) -> Result<(), ClientError> {
        let topic = self.cluster.topic(&self.topic, true)?;
        for (index, leader) in topic.leaders {
            let fresh = || Partition {
                leader,
                open: BatchBuilder::new(self.settings.compression),
                next_sequence: 0,
            };
            self.partitions.entry(index).or_insert_with(fresh).leader = leader;
        }
        self.move_on();
        let leaderless = ClientError::Kafka {
            code: ErrorCode::LeaderNotAvailable,
            message: None,
        };
        let all_led = !self.partitions.is_empty() && self.partitions.values().all(|p| p.leader.is_some());
        if all_led { Ok(()) } else { Err(leaderless) }
    }

    fn retry(
        &mut self,
        give_up_at: Instant,
        step: fn(&mut Producer) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        loop {
            match step(self) {
                Err(problem) if problem.is_passing() && now() < give_up_at => {
                    self.forget_connections();
                    tool::sleep(self.settings.retry_backoff);
                }
                done => return done,
            }
        }
    }

    fn leader_of(&self, partition: i32) -> Result<BrokerId, ClientError> {
        let leaderless = ClientError::Kafka {
            code: ErrorCode::LeaderNotAvailable,
            message: None,
        };
        self.partitions
            .get(&partition)
            .and_then(|partition| partition.leader)
            .ok_or(leaderless)
    }

    /// As Kafka's default partitioner: murmur2 of the key, so that a key lies where Kafka's clients put it.
    fn partition_of(&self, key: &[u8]) -> i32 {
        (murmur2(key) & 0x7fff_ffff) as i32 % self.partitions.len().max(1) as i32
    }

    fn move_on(&mut self) {
        self.sticky = (random_u64() % self.partitions.len().max(1) as u64) as i32;
    }
}

fn check_answer(answer: &ProduceResponse) -> Result<(), ClientError> {
    for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
        match ErrorCode::from_code(partition.error_code) {
            // The batch is there already: its acknowledgement was lost.
            ErrorCode::DuplicateSequenceNumber => {}
            _ => ClientError::check(partition.error_code, partition.error_message.as_deref())?,
        }
    }
    Ok(())
}

/// MurmurHash2, 32 bits, with the seed of Kafka's partitioner.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |last, byte| (last << 8) | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::murmur2;

    /// Values of Kafka's own hash function.
    #[test]
    fn keys_hash_as_in_kafkas_partitioner() {
        let signed = |text: &str| murmur2(text.as_bytes()) as i32;
        assert_eq!(signed("21"), -973_932_308);
        assert_eq!(signed("foobar"), -790_332_482);
        assert_eq!(signed("a-little-bit-long-string"), -985_981_536);
        assert_eq!(signed("abc"), 479_470_107);
        assert_eq!(
            (signed("key") & 0x7fff_ffff) % 10,
            1,
            "the notebook's key of ten partitions"
        );
    }
}
