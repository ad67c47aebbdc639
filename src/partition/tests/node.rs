//! One replica whose jobs are run at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::config::TopicConfig;
use crate::model::{BrokerId, DirId, Incarnation, LeaderEpoch, PartitionId, TopicId};
use crate::partition::{
    Ack, AckToken, AppendError, Appended, Bound, Fetched, FetchedError, FollowerFetch, Identity, LeaderView,
    Leadership, Partition, Peer, Producers, ReadAsk, ReadRefusal, Reading, Warrant,
};
use crate::record::{BatchBuilder, BatchHeader, Compression, Marker, ValidBatch};
use crate::rt::{Instant, wall_ms};
use crate::storage::testing::{config, split};
use crate::storage::{Cache, Log, LogDir, LogOptions, PartitionCheckpoint, Syncs, Truncated, WriteJob};

pub const LAG_MAX: Duration = Duration::from_secs(10);

pub struct Node {
    pub broker: BrokerId,
    /// `None`: it is down.
    pub partition: Option<Partition>,
    /// What its log directory's files said when they were written last.
    pub checkpoint: Option<PartitionCheckpoint>,
    pub config: TopicConfig,
    cache: Cache,
    lives: u64,
    /// A write in flight.
    writing: Option<WriteJob>,
}

/// What a leader answers to a follower.
#[derive(Debug)]
pub enum FetchAnswer {
    /// Another epoch, or no leader.
    Refused,
    Diverging(i32, i64),
    /// Outside of the leader's log, which is this.
    OutOfRange(i64, i64),
    Records(Bytes, LeaderView),
}

impl Node {
    pub fn new(broker: i32) -> Node {
        Node {
            broker: BrokerId(broker),
            partition: None,
            checkpoint: None,
            config: TopicConfig {
                min_insync_replicas: 2,
                segment_bytes: 6 << 10,
                ..config()
            },
            cache: Cache::new(32 << 10),
            lives: 0,
            writing: None,
        }
    }

    pub async fn open(&mut self, leadership: Leadership, now: Instant) {
        self.lives += 1;
        let root = Path::new("/disk").join(self.broker.0.to_string());
        let id = PartitionId {
            topic: TopicId([7; 16]),
            index: 0,
        };
        let config = Arc::new(self.config.clone());
        let options = LogOptions {
            dir: root.join("t-0"),
            topic: "t".into(),
            index: 0,
            topic_id: id.topic,
            config: config.clone(),
            checkpoint: self.checkpoint,
            log_dir: Arc::new(LogDir::new(root, DirId([1; 16]))),
        };
        let mut producers = Producers::default();
        let opened = Log::open(options, &mut producers).await.expect("opens");
        let identity = Identity {
            id,
            topic: "t".into(),
            incarnation: Incarnation(self.lives),
        };
        self.partition = Some(Partition::new(
            identity, leadership, config, opened.log, producers, LAG_MAX, now,
        ));
    }

    /// Its process is killed: what is only staged, or being written, is gone.
    pub fn kill(&mut self) {
        self.partition = None;
        self.writing = None;
        self.cache = Cache::new(32 << 10);
    }

    pub async fn close(&mut self) {
        let (log, producers) = self.partition.take().expect("up").into_log();
        self.checkpoint = Some(log.close(producers, &Syncs::Each).await.expect("closed"));
    }

    pub fn is_up(&self) -> bool {
        self.partition.is_some()
    }

    pub fn up(&mut self) -> &mut Partition {
        self.partition.as_mut().expect("up")
    }

    /// The next write is given to the disk, and takes its time. Gives the acks of what was done before it.
    pub async fn begin_write(&mut self) -> Vec<AckToken> {
        let mut acked = Vec::new();
        let partition = self.partition.as_mut().expect("up");
        while let Some(job) = partition.take_prepare(wall_ms()) {
            partition.on_prepared(job.run().await, &mut acked).expect("prepared");
        }
        if self.writing.is_none() {
            self.writing = partition.take_write();
        }
        acked
    }

    /// Runs every job that is due, until none is. Gives the acks.
    pub async fn settle(&mut self) -> Vec<AckToken> {
        let mut acked = Vec::new();
        let partition = self.partition.as_mut().expect("up");
        loop {
            if let Some(job) = self.writing.take() {
                let done = job.run().await;
                partition
                    .on_written(done, &mut self.cache, &mut acked)
                    .expect("written");
            }
            if let Some(job) = partition.take_truncation(&mut self.cache) {
                let mut producers = Producers::default();
                let done = job.run(&mut producers).await;
                let truncated = partition.on_truncated(done, producers).expect("cut");
                assert_eq!(truncated, Truncated::Done);
            } else if let Some(job) = partition.take_prepare(wall_ms()) {
                partition.on_prepared(job.run().await, &mut acked).expect("prepared");
            } else {
                self.writing = partition.take_write();
                if self.writing.is_none() {
                    return acked;
                }
            }
        }
    }

    pub fn append(&mut self, batch: Bytes, warrant: Warrant, ack: Ack) -> Result<Appended, AppendError> {
        let batch = ValidBatch {
            header: BatchHeader::parse(&batch).expect("a batch"),
            bytes: batch,
            log_append_time_ms: -1,
        };
        self.up().append(&batch, warrant, ack, wall_ms())
    }

    /// As the leader, to a follower that believes in `epoch`.
    pub async fn answer(
        &mut self,
        fetch: &FollowerFetch,
        epoch: LeaderEpoch,
        last_epoch: i32,
        now: Instant,
    ) -> (FetchAnswer, Vec<AckToken>) {
        let mut acked = Vec::new();
        let partition = self.partition.as_mut().expect("up");
        if !partition.leadership().is_leader || partition.check_epoch(epoch.0).is_err() {
            return (FetchAnswer::Refused, acked);
        }
        let ask = ReadAsk {
            offset: fetch.offset,
            max_bytes: 3000,
            at_least_one: true,
            last_fetched_epoch: last_epoch,
            bound: Bound::LogEnd,
        };
        let plan = match partition.plan_read(&ask, &mut self.cache) {
            Ok(Reading::Diverging(epoch, end_offset)) => return (FetchAnswer::Diverging(epoch, end_offset), acked),
            Err(ReadRefusal::OutOfRange) => {
                let (start, end) = (partition.log().log_start(), partition.log().written());
                return (FetchAnswer::OutOfRange(start, end), acked);
            }
            Err(refusal) => panic!("{refusal}"),
            Ok(Reading::Plan(plan)) => plan,
        };
        if partition.on_follower_fetch(fetch, &mut acked, now).is_err() {
            return (FetchAnswer::Refused, acked);
        }
        let view = LeaderView {
            epoch,
            high_watermark: partition.high_watermark(),
            log_start: partition.log().log_start(),
        };
        let batches = plan.run().await.expect("read").batches.concat();
        (FetchAnswer::Records(batches.into(), view), acked)
    }

    /// As a follower.
    pub fn take(&mut self, answer: FetchAnswer) -> Result<Fetched, FetchedError> {
        let partition = self.up();
        match answer {
            FetchAnswer::Refused => {}
            FetchAnswer::Diverging(epoch, end_offset) => _ = partition.diverged(epoch, end_offset),
            FetchAnswer::OutOfRange(_, end) if end < partition.log().written() => partition.truncate_to(end),
            FetchAnswer::OutOfRange(start, _) => partition.restart_at(start),
            FetchAnswer::Records(records, view) => return partition.append_fetched(&records, &view, wall_ms()),
        }
        Ok(Fetched::default())
    }

    /// What a reader of committed data hears of the aborted transactions: producer and first offset.
    pub async fn aborted(&mut self) -> Vec<(i64, i64)> {
        let partition = self.partition.as_mut().expect("up");
        let ask = ReadAsk {
            offset: partition.log().log_start(),
            max_bytes: 1 << 20,
            at_least_one: true,
            last_fetched_epoch: -1,
            bound: Bound::LastStable,
        };
        let Ok(Reading::Plan(plan)) = partition.plan_read(&ask, &mut self.cache) else {
            panic!("nothing is read");
        };
        plan.run().await.expect("read").aborted.expect("asked for")
    }

    /// (base offset, bytes) of the batches from the log's start up to a bound.
    pub async fn batches(&mut self, bound: Bound) -> Vec<(i64, Vec<u8>)> {
        let partition = self.partition.as_mut().expect("up");
        let (mut offset, end) = (partition.log().log_start(), partition.bound(bound));
        let mut all = Vec::new();
        while offset < end {
            let ask = ReadAsk {
                offset,
                max_bytes: 1 << 20,
                at_least_one: true,
                last_fetched_epoch: -1,
                bound,
            };
            let Ok(Reading::Plan(plan)) = partition.plan_read(&ask, &mut self.cache) else {
                panic!("nothing is read at {offset}");
            };
            let result = plan.run().await.expect("read");
            let some = split(&result.batches.concat());
            let Some(last) = some.last() else { break };
            offset = BatchHeader::parse(&last.1).expect("a batch").next_offset();
            all.extend(some);
        }
        all
    }
}

/// A batch that no other is like: of its own producer.
pub fn batch(number: u64) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None).producer(number as i64, 0, 0);
    for at in 0..1 + number % 3 {
        let value = [number as u8; 250];
        builder.push(
            wall_ms(),
            Some(&[at as u8]),
            Some(&value[..(number % 250) as usize]),
            &[],
        );
    }
    builder.build()
}

/// One batch of a transaction.
pub fn transactional(producer_id: i64) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None)
        .producer(producer_id, 0, 0)
        .transactional();
    builder.push(wall_ms(), None, Some(b"value"), &[]);
    builder.build()
}

pub fn marker(commit: bool) -> Marker {
    Marker {
        commit,
        coordinator_epoch: 0,
    }
}

/// What the image says to the replica on `me`: the brokers up to `count` have one, those in `isr` are in sync, all live.
pub fn leadership(me: i32, epoch: i32, partition_epoch: i32, leader: i32, isr: &[i32], count: i32) -> Leadership {
    let peers = (0..count).filter(|broker| *broker != me);
    Leadership {
        epoch: LeaderEpoch(epoch),
        partition_epoch,
        leader: Some(BrokerId(leader)),
        is_leader: leader == me,
        is_in_sync: isr.contains(&me),
        is_recovering: false,
        peers: peers
            .map(|broker| Peer {
                broker: BrokerId(broker),
                in_sync: isr.contains(&broker),
                epoch: Some(0),
            })
            .collect(),
    }
}
