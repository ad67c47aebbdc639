//! One log of a simulated process, driven as the pump drives it: jobs run as tasks, and report back.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::model::{Batch, Model};
use crate::config::TopicConfig;
use crate::model::{LeaderEpoch, PartitionId, ShardId, TopicId};
use crate::record::{BatchBuilder, BatchHeader, Compression, patch};
use crate::rt::{Rx, Tx, lane, random_u64, spawn, wall_ms};
use crate::storage::testing::Recorder;
use crate::storage::{
    Cache, Checkpoint, Journal, JournalDone, Log, LogDir, LogDirError, LogDirs, LogOptions, MakeJournal, PrepareDone,
    ReadError, Rounds, StageError, StorageError, Syncs, TruncateDone, Truncated, WriteDone,
};

pub const LOG_DIR: &str = "/disk/data";
const TOPIC: &str = "t";
const PARTITION: PartitionId = PartitionId {
    topic: TopicId([7; 16]),
    index: 0,
};
const CACHE_BYTES: usize = 256 << 10;
const READ_BYTES: usize = 64 << 10;
/// Jobs that may have ended since the last look.
const ENDED_MAX: usize = 10_000;

pub struct Rig {
    /// `None` only once it is closed.
    log: Option<Log>,
    cache: Cache,
    config: Arc<TopicConfig>,
    dirs: LogDirs,
    model: Rc<RefCell<Model>>,
    done: Rc<RefCell<VecDeque<Done>>>,
    jobs: Rc<Cell<usize>>,
    ended: (Tx<()>, Rx<()>),
    epoch: i32,
    /// `None` once it is removed, too.
    journal: Option<Journal>,
    /// A batch that may go to the journal goes to the segment now and then.
    pub mixes: bool,
    pub cut_bytes: u64,
    pub found_clean: bool,
}

enum Done {
    Written(WriteDone),
    Journaled(JournalDone),
    Prepared(Box<PrepareDone>),
    Deleted(Result<(), StorageError>),
    Truncated(Box<(TruncateDone, Recorder)>),
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Dirs(#[from] LogDirError),
    #[error(transparent)]
    Log(#[from] StorageError),
}

impl Rig {
    /// Starts a process on the disk, and holds what its log recovers against what was promised before the crash.
    pub async fn open(config: TopicConfig, model: Rc<RefCell<Model>>, journal_bytes: u64) -> Result<Rig, OpenError> {
        let (dirs, _) = LogDirs::open(&[LOG_DIR.into()], 1)?;
        let checkpoint = dirs.read_checkpoint(&dirs.dirs[0]);
        dirs.mark_in_use(&dirs.dirs[0]);
        let mut replay = Recorder::default();
        let config = Arc::new(config);
        let options = options(config.clone(), &checkpoint, dirs.dirs[0].clone());
        let opened = Log::open(options, &mut replay).await?;
        let mut rig = Rig {
            log: Some(opened.log),
            cache: Cache::new(CACHE_BYTES),
            config,
            dirs,
            model,
            done: Rc::default(),
            jobs: Rc::default(),
            ended: lane(ENDED_MAX),
            epoch: 0,
            journal: None,
            mixes: false,
            cut_bytes: opened.cut_bytes,
            found_clean: checkpoint.clean,
        };
        rig.check_recovered(&replay.headers, replay.snapshot);
        rig.read_all().await?;
        if journal_bytes > 0 {
            rig.make_journal(journal_bytes).await?;
        }
        Ok(rig)
    }

    async fn make_journal(&mut self, bytes: u64) -> Result<(), StorageError> {
        let (dir, shard) = (self.dirs.dirs[0].clone(), ShardId(0));
        self.journal = match (MakeJournal { dir, shard, bytes }).run().await {
            Ok(journal) => Some(journal),
            Err(error) if error.is_disk_full() => None,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    pub fn log(&mut self) -> &mut Log {
        self.log.as_mut().expect("open")
    }

    pub fn dir(&self) -> &LogDir {
        &self.dirs.dirs[0]
    }

    /// What the control thread does every few seconds.
    pub fn check_space(&self, min_free: u64) {
        self.dirs.check_space(min_free);
    }

    pub fn jobs(&self) -> usize {
        self.jobs.get()
    }

    /// Stages a batch of its own bytes, about `len` long.
    pub fn stage(&mut self, len: usize) -> Result<i64, StageError> {
        let batch = random_batch(len);
        let header = BatchHeader::parse(&batch).expect("a batch");
        let (epoch, now_ms) = (LeaderEpoch(self.epoch), wall_ms());
        let base_offset = self.log().stage(&batch, &header, epoch, now_ms)?;
        self.note_staged(batch, &header, base_offset);
        Ok(base_offset)
    }

    /// Asks that the log be cut, as a follower of the next leader is.
    pub fn truncate_to(&mut self, offset: i64) {
        self.log().truncate_to(offset);
    }

    fn start_truncation(&mut self) {
        let log = self.log.as_mut().expect("open");
        let Some(job) = log.take_truncation(&mut self.cache) else {
            return;
        };
        self.model.borrow_mut().cutting(log.written());
        self.start(async move {
            let mut replay = Recorder::default();
            let done = job.run(&mut replay).await;
            Done::Truncated(Box::new((done, replay)))
        });
    }

    fn on_truncated(&mut self, done: TruncateDone, replay: Recorder) -> Result<(), StorageError> {
        let log = self.log.as_mut().expect("open");
        let cut_to = log.written();
        if log.on_truncated(done)? == Truncated::Done {
            assert!(log.written() <= cut_to, "the log ends behind the cut");
            self.check_recovered(&replay.headers, replay.snapshot);
        }
        self.epoch += 1;
        Ok(())
    }

    /// A leader's next epoch.
    pub fn next_epoch(&mut self) {
        self.epoch += 1;
    }

    /// Starts every job that is due.
    pub fn start_jobs(&mut self) {
        self.start_truncation();
        while let Some(job) = self.log().take_prepare(wall_ms()) {
            self.start(async move { Done::Prepared(Box::new(job.run().await)) });
        }
        if self.start_frame() {
            return;
        }
        if let Some(job) = self.log().take_write() {
            self.start(async move { Done::Written(job.run().await) });
        }
    }

    /// False: what is staged is to be written to the segment.
    fn start_frame(&mut self) -> bool {
        let (Some(log), Some(journal)) = (&mut self.log, &mut self.journal) else {
            return false;
        };
        let is_direct = self.mixes && random_u64().is_multiple_of(4);
        let bytes = log.journal_bytes().filter(|bytes| *bytes <= journal.entry_bytes_max());
        let Some(bytes) = bytes.filter(|_| !is_direct) else {
            return false;
        };
        let Some(mut frame) = journal.begin(bytes) else {
            return false;
        };
        log.take_entry(&mut frame);
        let job = journal.write(frame, vec![PARTITION]);
        self.start(async move { Done::Journaled(job.run().await) });
        true
    }

    fn on_journaled(&mut self, done: JournalDone) -> Result<(), StorageError> {
        let log = self.log.as_mut().expect("open");
        let journal = self.journal.as_mut().expect("it wrote");
        let frame = journal.on_written(done);
        let told = log.on_journaled(frame.as_ref().ok());
        if !journal.take_crowded().is_empty() {
            log.place_soon();
        }
        frame.and(told)
    }

    pub fn start_retention(&mut self) {
        let (now_ms, high_watermark) = (wall_ms(), self.log().written());
        let job = self.log().take_retention(now_ms, high_watermark);
        self.note_cursors();
        if let Some(job) = job {
            self.start(async move { Done::Deleted(job.run().await) });
        }
    }

    /// Hands the log what its jobs have done. Err: it is offline.
    pub fn take_done(&mut self) -> Result<(), StorageError> {
        loop {
            let Some(done) = self.done.borrow_mut().pop_front() else {
                return Ok(());
            };
            let log = self.log.as_mut().expect("open");
            let result = match done {
                Done::Journaled(done) => self.on_journaled(done),
                Done::Written(done) => log.on_written(done, &mut self.cache),
                Done::Prepared(done) => log.on_prepared(*done),
                Done::Deleted(result) => result,
                Done::Truncated(done) => {
                    let (done, replay) = *done;
                    self.on_truncated(done, replay)
                }
            };
            self.note_cursors();
            result?;
        }
    }

    /// Turns until no job is due or under way.
    pub async fn settle(&mut self) -> Result<(), StorageError> {
        loop {
            self.take_done()?;
            self.start_jobs();
            if self.jobs() == 0 && self.done.borrow().is_empty() {
                return Ok(());
            }
            self.ended.1.recv_burst(&mut Vec::new(), ENDED_MAX).await;
        }
    }

    pub async fn append(&mut self, len: usize) -> Result<i64, StorageError> {
        let base_offset = self.stage(len).expect("staged");
        self.settle().await?;
        Ok(base_offset)
    }

    /// Reads from `offset` on and holds it against the model.
    pub async fn read(&mut self, offset: i64) -> Result<i64, StorageError> {
        let log = self.log.as_mut().expect("open");
        let (start, written) = (log.log_start(), log.written());
        if offset < start || offset >= written {
            return Ok(offset);
        }
        let plan = log.plan_read(offset, READ_BYTES, written, true, &mut self.cache);
        let plan = match plan {
            // A job failed that nobody has asked about yet.
            Err(ReadError::Offline) => return Err(StorageError::Offline { path: LOG_DIR.into() }),
            plan => plan.expect("in range"),
        };
        let result = match plan.ready() {
            Ok(result) => result,
            Err(plan) => plan.run().await?,
        };
        if let Some(read_ahead) = result.read_ahead {
            self.cache.admit_read(read_ahead);
        }
        Ok(self.model.borrow().check_read(offset, &result.batches.concat()))
    }

    /// Reads everything, from the disk.
    pub async fn read_all(&mut self) -> Result<(), StorageError> {
        self.cache = Cache::new(CACHE_BYTES);
        let mut offset = self.log().log_start();
        while offset < self.log().written() {
            let next = self.read(offset).await?;
            assert!(next > offset, "nothing is read at {offset}");
            offset = next;
        }
        Ok(())
    }

    pub fn write_checkpoint(&mut self, clean: bool) -> std::io::Result<()> {
        let at = self.log().checkpoint();
        self.write_checkpoint_of(at, clean)
    }

    /// A clean stop, of a shard with few logs or with many.
    pub async fn close(&mut self) -> Result<(), StorageError> {
        self.settle().await?;
        self.log().place_soon();
        self.settle().await?;
        let log = self.log.take().expect("open");
        let producers = self.model.borrow().producers_at(log.written());
        let (written, start) = (log.written(), log.log_start());
        let syncs = match written % 2 {
            0 => Syncs::Each,
            _ => Syncs::Together(Rounds::new(LOG_DIR.into())),
        };
        let at = log.close(producers, &syncs).await?;
        assert_eq!((at.recovery_point, at.log_start), (written, start));
        if let Some(mut journal) = self.journal.take() {
            assert!(journal.is_empty(), "space is held for a log that is closed");
            journal.remove().await?;
        }
        let mut model = self.model.borrow_mut();
        model.durable = model.written;
        drop(model);
        let written = self.write_checkpoint_of(at, true);
        written.map_err(|source| StorageError::Io {
            what: "checkpoint",
            path: LOG_DIR.into(),
            source,
        })
    }

    fn write_checkpoint_of(&self, at: crate::storage::PartitionCheckpoint, clean: bool) -> std::io::Result<()> {
        let mut checkpoint = Checkpoint::default();
        checkpoint.put(TOPIC, PARTITION, at);
        checkpoint.clean = clean;
        self.dirs.write_checkpoint(Path::new(LOG_DIR), &checkpoint)
    }

    fn start(&self, job: impl Future<Output = Done> + 'static) {
        let (done, jobs, ended) = (self.done.clone(), self.jobs.clone(), self.ended.0.clone());
        jobs.set(jobs.get() + 1);
        spawn(async move {
            let result = job.await;
            done.borrow_mut().push_back(result);
            jobs.set(jobs.get() - 1);
            let _ = ended.try_send(());
        });
    }

    fn note_staged(&mut self, batch: Bytes, header: &BatchHeader, base_offset: i64) {
        let mut bytes = BytesMut::from(&batch[..]);
        patch(&mut bytes, base_offset, self.epoch);
        let mut model = self.model.borrow_mut();
        assert_eq!(base_offset, model.end(), "offsets are dense");
        if let Some(offset) = self.log.as_mut().expect("open").take_snapshot_due() {
            let producers = model.producers_at(offset);
            let log = self.log.as_mut().expect("open");
            log.put_producer_snapshot(offset, producers);
        }
        model.batches.push(Batch {
            base_offset,
            next_offset: base_offset + i64::from(header.last_offset_delta) + 1,
            epoch: self.epoch,
            bytes: bytes.freeze(),
        });
    }

    /// What the log says is a promise from now on.
    fn note_cursors(&mut self) {
        let log = self.log.as_ref().expect("open");
        // Where a cut has failed, or is under way, its end is no promise.
        if log.is_truncating() || self.dir().is_offline() {
            return;
        }
        let mut model = self.model.borrow_mut();
        model.written = model.written.max(log.written());
        model.start = model.start.max(log.log_start());
        // Each write was synced as it was made (architecture section 6).
        let promised = if self.config.flush_messages == 1 {
            log.written()
        } else {
            log.synced()
        };
        model.durable = model.durable.max(promised);
    }

    fn check_recovered(&mut self, observed: &[BatchHeader], snapshot: Option<(i64, Vec<u8>)>) {
        let log = self.log.as_ref().expect("open");
        let (start, end) = (log.log_start(), log.written());
        let mut model = self.model.borrow_mut();
        let promised = model.promised();
        let power = if model.power_was_cut {
            "after a power cut"
        } else {
            "after a kill"
        };
        assert!(
            end >= promised,
            "the log ends at {end} {power}, promised was {promised}"
        );
        assert!(
            end <= model.end(),
            "the log ends at {end} {power}, behind all that was staged"
        );
        assert!(
            start <= model.start,
            "the log starts at {start} {power}, not {}",
            model.start
        );
        model.recovered(end);
        let snapshot_offset = snapshot.as_ref().map_or(0, |(offset, _)| *offset);
        if let Some((offset, content)) = snapshot {
            assert_eq!(content, model.producers_at(offset), "the producers at {offset}");
        }
        let expected: Vec<i64> = model
            .between(snapshot_offset.max(start), end)
            .map(|batch| batch.base_offset)
            .collect();
        let seen: Vec<i64> = observed.iter().map(|header| header.base_offset).collect();
        assert!(seen.ends_with(&expected), "observed {seen:?}, of {expected:?}");
        for batch in model.between(start, end) {
            let found = log.end_offset_for_epoch(batch.epoch);
            assert_eq!(found, Some((batch.epoch, model.end_of_epoch(batch.epoch))));
        }
        self.epoch = model.batches.last().map_or(0, |batch| batch.epoch);
    }
}

impl Model {
    /// That `bytes` are whole batches of the model, from the one that holds `offset` on; the offset behind them.
    fn check_read(&self, offset: i64, bytes: &[u8]) -> i64 {
        let mut rest = bytes;
        let mut next = offset;
        for batch in self.between(offset, self.written) {
            if rest.is_empty() {
                break;
            }
            let take = rest.len().min(batch.bytes.len());
            assert!(
                rest[..take] == batch.bytes,
                "batch {} is not as it was staged",
                batch.base_offset
            );
            rest = &rest[take..];
            next = batch.next_offset;
        }
        assert!(rest.is_empty(), "{} bytes too many from {offset} on", rest.len());
        next
    }
}

fn options(config: Arc<TopicConfig>, checkpoint: &Checkpoint, log_dir: Arc<LogDir>) -> LogOptions {
    LogOptions {
        dir: Path::new(LOG_DIR).join(format!("{TOPIC}-0")),
        topic: TOPIC.into(),
        index: 0,
        topic_id: PARTITION.topic,
        config,
        checkpoint: checkpoint.get(TOPIC, PARTITION),
        log_dir,
    }
}

/// Random values, so that no two batches are alike.
fn random_batch(len: usize) -> Bytes {
    let records = 1 + (random_u64() % 3) as usize;
    let mut builder = BatchBuilder::new(Compression::None);
    for _ in 0..records {
        let mut value = vec![0; len / records];
        for word in value.chunks_mut(8) {
            word.copy_from_slice(&random_u64().to_le_bytes()[..word.len()]);
        }
        builder.push(wall_ms(), None, Some(&value), &[]);
    }
    builder.build()
}
