//! What the module's tests share: batches, configs, a log with its cache, driven job by job.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::scan::Seen;
use super::txn_index::Finder;
use super::*;
use crate::config::TopicConfig;
use crate::model::{DirId, LeaderEpoch, TopicId};
use crate::record::{BatchBuilder, BatchHeader, Compression};

/// A directory on the checkout's file system, which takes direct I/O.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).expect("scratch directory")
}

/// A batch of `records` records, `value_bytes` of values in all, with timestamps from `timestamp` on.
pub(crate) fn batch(records: usize, value_bytes: usize, timestamp: i64) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for at in 0..records {
        let value = vec![b'v'; value_bytes / records];
        builder.push(timestamp + at as i64, None, Some(&value), &[]);
    }
    builder.build()
}

/// A batch of one record that is exactly `len` bytes long.
pub(crate) fn batch_of_len(len: usize) -> Bytes {
    (0..80)
        .filter_map(|overhead| len.checked_sub(61 + overhead))
        .map(|value_bytes| batch(1, value_bytes, 1))
        .find(|batch| batch.len() == len)
        .expect("some value gives the length")
}

/// Kafka's defaults, but for segments of 1 MiB that no time ends, and files that go at once.
pub(crate) fn config() -> TopicConfig {
    TopicConfig {
        file_delete_delay_ms: 0,
        retention_ms: -1,
        segment_bytes: 1 << 20,
        segment_ms: i64::MAX,
        ..TopicConfig::default()
    }
}

/// What a log replays when it is opened.
#[derive(Default)]
pub(crate) struct Recorder {
    pub headers: Vec<BatchHeader>,
    pub snapshot: Option<(i64, Vec<u8>)>,
    finder: Finder,
}

impl Replay for Recorder {
    fn snapshot(&mut self, offset: i64, content: &[u8]) -> bool {
        self.snapshot = Some((offset, content.to_vec()));
        true
    }

    fn batch(&mut self, header: &BatchHeader, batch: &[u8]) -> Option<AbortedTxn> {
        self.headers.push(*header);
        self.finder.see(&Seen {
            header,
            batch,
            position: 0,
        })
    }
}

/// A log with its cache, whose jobs are run at once.
pub(crate) struct Rig {
    pub log: Log,
    pub cache: Cache,
    pub now_ms: i64,
    pub observed: Vec<BatchHeader>,
    pub producer_snapshot: Option<(i64, Vec<u8>)>,
    pub cut_bytes: u64,
}

impl Rig {
    pub async fn open(root: &Path, config: TopicConfig, checkpoint: Option<PartitionCheckpoint>) -> Rig {
        Rig::with(options(root, config, checkpoint)).await
    }

    pub async fn with(options: LogOptions) -> Rig {
        Rig::try_with(options).await.expect("opens")
    }

    pub async fn try_with(options: LogOptions) -> Result<Rig, StorageError> {
        let mut replay = Recorder::default();
        let opened = Log::open(options, &mut replay).await?;
        Ok(Rig {
            log: opened.log,
            cache: Cache::new(1 << 20),
            now_ms: 1_000_000,
            observed: replay.headers,
            producer_snapshot: replay.snapshot,
            cut_bytes: opened.cut_bytes,
        })
    }

    pub fn stage(&mut self, batch: &[u8]) -> i64 {
        let header = BatchHeader::parse(batch).expect("a batch");
        self.log
            .stage(batch, &header, LeaderEpoch(3), self.now_ms)
            .expect("staged")
    }

    /// Runs every job that is due, until none is.
    pub async fn settle(&mut self) {
        loop {
            if let Some(job) = self.log.take_prepare(self.now_ms) {
                let done = job.run().await;
                self.log.on_prepared(done).expect("prepared");
            } else if let Some(job) = self.log.take_write() {
                let done = job.run().await;
                self.log.on_written(done, &mut self.cache).expect("written");
            } else {
                break;
            }
        }
        assert_eq!(self.log.staged(), self.log.written());
    }

    pub async fn append(&mut self, batch: &[u8]) -> i64 {
        let offset = self.stage(batch);
        self.settle().await;
        offset
    }

    /// Cuts the log, with all jobs that are due before. Gives what the job replayed.
    pub async fn cut(&mut self) -> Recorder {
        let mut replay = Recorder::default();
        let job = loop {
            if let Some(job) = self.log.take_truncation(&mut self.cache) {
                break job;
            }
            let write = self.log.take_write().expect("something is due before");
            let done = write.run().await;
            self.log.on_written(done, &mut self.cache).expect("written");
        };
        let done = job.run(&mut replay).await;
        assert_eq!(self.log.on_truncated(done).expect("cut"), Truncated::Done);
        replay
    }

    pub async fn truncate(&mut self, offset: i64) -> Recorder {
        self.log.truncate_to(offset);
        self.cut().await
    }

    pub async fn try_read(&mut self, offset: i64, max_bytes: usize, limit: i64) -> Result<Vec<u8>, StorageError> {
        let plan = self
            .log
            .plan_read(offset, max_bytes, limit, true, &mut self.cache)
            .expect("in range");
        let result = match plan.ready() {
            Ok(result) => result,
            Err(plan) => plan.run().await?,
        };
        if let Some(chunk) = result.read_ahead {
            self.cache.admit_read(chunk);
        }
        Ok(result.batches.concat())
    }

    /// (base offset, bytes) of the batches that one read gives.
    pub async fn read(&mut self, offset: i64, max_bytes: usize) -> Vec<(i64, Vec<u8>)> {
        let limit = self.log.written();
        split(&self.try_read(offset, max_bytes, limit).await.expect("read"))
    }

    /// Everything from `offset` to the end, by as many reads as it takes.
    pub async fn read_all(&mut self, mut offset: i64) -> Vec<(i64, Vec<u8>)> {
        let mut all = Vec::new();
        while offset < self.log.written() {
            let batches = self.read(offset, 1 << 20).await;
            let last = batches.last().expect("a batch at every offset");
            offset = BatchHeader::parse(&last.1).expect("a batch").next_offset();
            all.extend(batches);
        }
        all
    }

    /// Forgets what is in memory: reads go to the disk.
    pub fn drop_cache(&mut self) {
        self.cache = Cache::new(1 << 20);
    }
}

pub(crate) fn options(root: &Path, config: TopicConfig, checkpoint: Option<PartitionCheckpoint>) -> LogOptions {
    LogOptions {
        dir: log_path(root),
        topic: "t".into(),
        index: 0,
        topic_id: TopicId([7; 16]),
        config: Arc::new(config),
        checkpoint,
        log_dir: Arc::new(LogDir::new(root.to_owned(), DirId([1; 16]))),
    }
}

pub(crate) fn log_path(root: &Path) -> PathBuf {
    root.join("t-0")
}

pub(crate) fn split(mut bytes: &[u8]) -> Vec<(i64, Vec<u8>)> {
    let mut batches = Vec::new();
    while !bytes.is_empty() {
        let header = BatchHeader::parse(bytes).expect("whole batches");
        let (batch, rest) = bytes.split_at(header.total_len());
        header.check_crc(batch).expect("good batches");
        batches.push((header.base_offset, batch.to_vec()));
        bytes = rest;
    }
    batches
}
