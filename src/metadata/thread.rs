//! The control thread: the event loop around decide, engine and publishing.
//!
//! It takes the commands that have come while the last commit was made, decides them one by one on a scratch image, makes
//! all their records durable in one commit, publishes the new image to every shard, and only then answers. So there is one
//! commit in flight, nobody sees what is not durable, and who asked sees what he asked for.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, bail};

use super::command::{Command, CommandError, Reply};
use super::decide::{Contact, Draw, Live, decide};
use super::engine::{CommitError, Embedded, Engine, SnapshotPolicy};
use super::handle::{Handle, Inbox, Published, Request, Updates, handle};
use super::image::{Endpoint, Image};
use super::record::{self, Record};
use super::watchdog::Watchdog;
use crate::config::{BrokerConfig, ListenerSpec};
use crate::model::{BrokerId, DirId, ErrorCode, TopicId};
use crate::rt::{self, OneshotTx};

/// Commands that are decided before the lane is looked at again.
const BURST_MAX: usize = 256;
/// A commit that has reached this many records is made, whatever commands wait still.
const RECORDS_PER_COMMIT_MAX: usize = 20_000;

pub struct ControlOptions {
    pub config: Arc<BrokerConfig>,
    pub cluster_id: String,
    /// `<first log dir>/corelane-metadata`
    pub dir: PathBuf,
    /// This broker's log directories. How many partitions each holds is in the image.
    pub log_dirs: Vec<DirId>,
    /// Whether a log directory takes new partitions at this moment; asked before each decision.
    pub is_online: Box<dyn Fn(&DirId) -> bool + Send>,
    /// One counter per shard, which the shard bumps at least once a second while it lives. 0: not begun;
    /// [`BEAT_ENDED`](super::BEAT_ENDED): ended on purpose.
    pub shard_beats: Vec<Arc<AtomicU64>>,
    /// Duties of the broker that come round on the control thread.
    pub every: Vec<Duty>,
}

/// What to do, and the pause before each time.
pub type Duty = (Duration, Box<dyn FnMut() + Send>);

impl ControlOptions {
    /// A broker whose log directories are all online, without duties and without a watch over shards.
    pub fn new(config: Arc<BrokerConfig>, cluster_id: String, dir: PathBuf, log_dirs: Vec<DirId>) -> ControlOptions {
        ControlOptions {
            config,
            cluster_id,
            dir,
            log_dirs,
            is_online: Box::new(|_| true),
            shard_beats: Vec::new(),
            every: Vec::new(),
        }
    }
}

/// Opens the engine (recovers), registers this broker, publishes the first image. Returns the handle, the first image.
/// Waits for all that: not for a shard.
pub fn start(options: ControlOptions, updates: Updates) -> anyhow::Result<(Handle, Arc<Image>)> {
    let engine = Embedded::new(options.dir.clone(), SnapshotPolicy::default());
    start_with(engine, options, updates)
}

fn start_with<E: Engine>(
    engine: E,
    mut options: ControlOptions,
    updates: Updates,
) -> anyhow::Result<(Handle, Arc<Image>)> {
    let (handle, inbox) = handle();
    let beats = std::mem::take(&mut options.shard_beats);
    let watchdog = Watchdog::new(beats, options.config.shard_hang_abort_ms);
    let stopping = inbox.stopping.clone();
    let (ready, is_ready) = mpsc::channel();
    let thread = rt::run_control("control", move || async move {
        let duties = std::mem::take(&mut options.every);
        match Control::open(engine, options, updates).await {
            Err(error) => drop(ready.send(Err(error))),
            Ok(control) => {
                drop(ready.send(Ok(control.image.clone())));
                duties.into_iter().for_each(|duty| rt::spawn(repeat(duty)));
                control.run(inbox).await;
            }
        }
    });
    let thread = thread.context("cannot start the control thread")?;
    let image = is_ready.recv().context("the control thread ended at its start")??;
    if watchdog.has_shards() {
        let watch = rt::run_control("watchdog", move || watchdog.run(stopping));
        watch.context("cannot start the watchdog")?;
    }
    // A panic of the thread has ended the process before it could be joined.
    handle.set_join(Box::new(move || drop(thread.join())));
    Ok((handle, image))
}

async fn repeat((pause, mut duty): Duty) {
    loop {
        rt::sleep(pause).await;
        duty();
    }
}

/// The state of the loop.
struct Control<E> {
    engine: E,
    image: Arc<Image>,
    me: BrokerId,
    log_dirs: Vec<DirId>,
    is_online: Box<dyn Fn(&DirId) -> bool + Send>,
    updates: Updates,
}

type Answer = OneshotTx<Result<Reply, CommandError>>;

impl<E: Engine> Control<E> {
    async fn open(mut engine: E, options: ControlOptions, updates: Updates) -> anyhow::Result<Control<E>> {
        let (records, epoch) = engine.start()?;
        let mut image = Image::empty(&options.cluster_id, options.config.clone());
        image.apply_all(&records);
        image.epoch = epoch;
        // Without a quorum the one broker is the controller.
        image.controller = Some(BrokerId(options.config.broker_id));
        let me = BrokerId(options.config.broker_id);
        check_identity(&image, me, &options)?;
        let ControlOptions {
            log_dirs, is_online, ..
        } = options;
        let mut control = Control {
            engine,
            image: Arc::new(image),
            me,
            log_dirs,
            is_online,
            updates,
        };
        let first = registration(&control.image);
        control.commit(&first).await.context("cannot register this broker")?;
        Ok(control)
    }

    async fn run(mut self, mut inbox: Inbox) {
        let mut burst = Vec::new();
        while !inbox.stopping.load(Ordering::Acquire) && inbox.requests.recv_burst(&mut burst, BURST_MAX).await {
            let mut commands = burst.drain(..).filter_map(|request| self.sort(request)).collect();
            while self.serve_some(&mut commands).await {}
            // A stream of commands must not keep the duties waiting.
            rt::yield_now().await;
        }
    }

    /// What is not to be decided is done at once.
    fn sort(&mut self, request: Request) -> Option<(Command, Answer)> {
        match request {
            Request::Command { command, answer } => Some((command, answer)),
            Request::Reread { config, answer } => {
                let reread = self.image.broker.reread(&config);
                let mut image = self.image.as_ref().clone();
                image.reread(Arc::new(reread.config.clone()));
                self.publish(image);
                answer.send(reread);
                None
            }
            Request::Stop => None,
        }
    }

    /// Decides as many commands as fit into one commit; false when none is left.
    async fn serve_some(&mut self, commands: &mut VecDeque<(Command, Answer)>) -> bool {
        let live = self.live();
        let mut scratch = self.image.as_ref().clone();
        let (mut records, mut answers) = (Vec::new(), Vec::new());
        while records.len() < RECORDS_PER_COMMIT_MAX {
            let Some((command, answer)) = commands.pop_front() else {
                break;
            };
            let decision = decide(&scratch, &live, &command, &draw(&command));
            let reply = decision.map(|mut decision| {
                scratch.apply_all(&decision.records);
                records.append(&mut decision.records);
                decision.reply
            });
            answers.push((answer, reply));
        }
        let committed = if records.is_empty() {
            Ok(())
        } else {
            self.commit(&records).await
        };
        for (answer, reply) in answers {
            // Refusals too: they may rest on what was not committed.
            answer.send(committed.as_ref().map_err(not_committed).and(reply));
        }
        self.snapshot_if_due();
        !commands.is_empty()
    }

    /// Makes the records durable, then visible to every shard.
    async fn commit(&mut self, records: &[Record]) -> Result<(), CommitError> {
        let committed = match self.engine.commit(self.image.epoch, records).await {
            Err(CommitError::Unknown(error)) => {
                // Only reading it again can tell, and the next start does that.
                tracing::error!(%error, "the metadata log failed: ending the process");
                rt::abort();
            }
            outcome => outcome?,
        };
        let mut image = self.image.as_ref().clone();
        while image.epoch < committed {
            let delta = self.engine.next().await;
            image.apply_all(&delta.records);
            image.epoch = delta.epoch;
        }
        self.publish(image);
        Ok(())
    }

    fn publish(&mut self, image: Image) {
        self.image = Arc::new(image);
        for update in &self.updates {
            update(Published {
                image: self.image.clone(),
            });
        }
    }

    fn snapshot_if_due(&mut self) {
        if !self.engine.wants_snapshot() {
            return;
        }
        if let Err(error) = self.engine.snapshot(&self.image.to_records()) {
            tracing::warn!(%error, "cannot write a snapshot of the metadata: the log grows on");
        }
    }

    fn live(&self) -> Live {
        let online = self.log_dirs.iter().copied().filter(|dir| (self.is_online)(dir));
        let now_ns = rt::now().0;
        let itself = Contact {
            last_ns: now_ns,
            image_epoch: self.image.epoch,
            online_dirs: online.collect(),
        };
        Live {
            now_ns,
            contacts: BTreeMap::from([(self.me, itself)]),
        }
    }
}

/// The data must be those of this broker and this cluster.
fn check_identity(image: &Image, me: BrokerId, options: &ControlOptions) -> anyhow::Result<()> {
    let dir = options.dir.display();
    if *image.cluster_id != *options.cluster_id {
        let (theirs, ours) = (&image.cluster_id, &options.cluster_id);
        bail!("the metadata in {dir} belong to cluster {theirs}, and the log directories to cluster {ours}");
    }
    if let Some(other) = image.brokers.keys().find(|id| **id != me) {
        bail!(
            "the metadata in {dir} belong to broker {}, and the configuration says {}",
            other.0,
            me.0
        );
    }
    Ok(())
}

/// What a start writes: who this broker is now, and in an empty log whose it is.
fn registration(image: &Image) -> Vec<Record> {
    let config = &image.broker;
    let endpoint = |listener: &ListenerSpec| Endpoint {
        listener: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
    };
    let broker = super::BrokerState {
        id: BrokerId(config.broker_id),
        epoch: image.epoch.0 as i64 + 1,
        incarnation: random_id(),
        rack: config.rack.clone(),
        endpoints: config.advertised.iter().map(endpoint).collect(),
        fenced: false,
        in_controlled_shutdown: None,
        log_dirs: Vec::new(),
    };
    let cluster = record::ClusterId {
        id: image.cluster_id.to_string(),
    };
    let is_new = image.epoch.0 == 0;
    let cluster = is_new.then_some(Record::ClusterId(cluster));
    let broker = Record::RegisterBroker(record::RegisterBroker::from(&broker));
    cluster.into_iter().chain([broker]).collect()
}

fn draw(command: &Command) -> Draw {
    let topics = match command {
        Command::CreateTopics { topics, .. } => topics.len(),
        _ => 0,
    };
    let topic_ids = (0..topics).map(|_| TopicId(random_id())).collect();
    Draw {
        topic_ids,
        placement: rt::random_u64(),
    }
}

/// A random UUID (version 4), as Kafka draws ids: none begins with '-' in print, since tools would take it for a flag.
fn random_id() -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&rt::random_u64().to_le_bytes());
    id[8..].copy_from_slice(&rt::random_u64().to_le_bytes());
    id[0] &= 0x7f;
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    id
}

fn not_committed(error: &CommitError) -> CommandError {
    let code = match error {
        CommitError::Conflict(_) => ErrorCode::NotController,
        CommitError::TooLarge { .. } => ErrorCode::PolicyViolation,
        CommitError::Refused(_) | CommitError::Unknown(_) => ErrorCode::KafkaStorageError,
    };
    CommandError {
        code,
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
