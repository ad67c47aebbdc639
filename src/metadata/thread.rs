//! The control thread: how it is started, and what it is told. Its loop around decide, engine and publishing is in `control`;
//! what a node of a cluster does besides, in `cluster` and `lifecycle`.

mod answer;
mod cluster;
mod control;
mod elected;
mod forward;
mod lifecycle;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use anyhow::{Context, ensure};

use super::command::CommandError;
use super::decide::{Contact, Live};
use super::engine::{self, Embedded, Engine, Formed, Observer, Quorum, SnapshotPolicy};
use super::handle::{Handle, Inbox, Updates, handle};
use super::image::{Image, ImageEpoch};
use super::watchdog::Watchdog;
use crate::config::BrokerConfig;
use crate::metrics::ControlCells;
use crate::model::{BrokerId, DirId, ErrorCode};
use crate::rt;

use cluster::Cluster;
use control::Control;
use lifecycle::Lifecycle;

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
    pub is_online: Arc<dyn Fn(&DirId) -> bool + Send + Sync>,
    /// Whether it has no space for batches at this moment; asked before each heartbeat.
    pub is_full: Arc<dyn Fn(&DirId) -> bool + Send + Sync>,
    /// One counter per shard, which the shard bumps at least once a second while it lives. 0: not begun;
    /// [`BEAT_ENDED`](super::BEAT_ENDED): ended on purpose.
    pub shard_beats: Vec<Arc<AtomicU64>>,
    /// Duties of the broker that come round on the control thread.
    pub every: Vec<Duty>,
    /// Of a node of a cluster: what [`form`](super::form) has found.
    pub formed: Option<Formed>,
    /// Of the log directory that `dir` lies in.
    pub directory: Option<DirId>,
    /// The broker epoch that the last life left in every log directory when it ended in order; -1: it did not.
    pub clean_epoch: i64,
    /// Where the thread shows what it does.
    pub cells: ControlCells,
}

/// What to do, and the pause before each time.
pub type Duty = (Duration, Box<dyn FnMut() + Send>);

impl ControlOptions {
    /// A broker whose log directories are all online and have space, without duties and without a watch over shards.
    pub fn new(config: Arc<BrokerConfig>, cluster_id: String, dir: PathBuf, log_dirs: Vec<DirId>) -> ControlOptions {
        ControlOptions {
            config,
            cluster_id,
            dir,
            log_dirs,
            is_online: Arc::new(|_| true),
            is_full: Arc::new(|_| false),
            shard_beats: Vec::new(),
            every: Vec::new(),
            formed: None,
            directory: None,
            clean_epoch: -1,
            cells: ControlCells::default(),
        }
    }
}

/// Opens the engine (recovers), registers this broker, publishes the first image. Returns the handle, the first image.
/// Waits for all that, in a cluster for the controller too: not for a shard.
pub fn start(options: ControlOptions, updates: Updates) -> anyhow::Result<(Handle, Arc<Image>)> {
    let dir = options.dir.clone();
    let config = options.config.clone();
    match (config.quorum.clone(), options.formed.clone()) {
        (Some(quorum), Some(formed)) if quorum.is_observer() => {
            let node = BrokerId(config.broker_id);
            let engine = move |handle: &Handle| Observer::new(node, &quorum, formed, handle.clone());
            start_with(engine, options, updates)
        }
        (Some(quorum), Some(formed)) => {
            let directory = options.directory;
            let engine =
                move |handle: &Handle| Quorum::new(config, quorum, dir, formed, handle.clone()).within(directory);
            start_with(engine, options, updates)
        }
        _ => {
            let is_quorum = engine::is_quorum_dir(&dir).with_context(|| format!("read {}", dir.display()))?;
            ensure!(
                !is_quorum,
                "the metadata in {} are those of a cluster, and neither controller.quorum.voters nor \
                 controller.quorum.bootstrap.servers names any of its nodes: name them",
                dir.display()
            );
            let engine = |_: &Handle| Embedded::new(dir, SnapshotPolicy::default());
            start_with(engine, options, updates)
        }
    }
}

/// `engine` makes it on the control thread.
pub(super) fn start_with<E: Engine>(
    engine: impl FnOnce(&Handle) -> E + Send + 'static,
    options: ControlOptions,
    updates: Updates,
) -> anyhow::Result<(Handle, Arc<Image>)> {
    let (handle, inbox) = handle(options.cells.clone());
    let watchdog = Watchdog::new(options.shard_beats.clone(), options.config.shard_hang_abort_ms);
    let stopping = inbox.stopping.clone();
    let (ready, is_ready) = mpsc::channel();
    let own = handle.clone();
    let thread = rt::run_control("control", move || async move {
        let engine = engine(&own);
        run(engine, own, inbox, options, updates, ready).await;
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

/// As [`start`], as tasks of a simulated machine.
#[cfg(test)]
pub async fn start_simulated<E: Engine>(
    engine: impl FnOnce(&Handle) -> E,
    options: ControlOptions,
    updates: Updates,
) -> anyhow::Result<(Handle, Arc<Image>)> {
    let (handle, inbox) = handle(options.cells.clone());
    let (ready, is_ready) = mpsc::channel();
    rt::spawn(run(engine(&handle), handle.clone(), inbox, options, updates, ready));
    loop {
        match is_ready.try_recv() {
            Ok(started) => return started.map(|image| (handle, image)),
            Err(mpsc::TryRecvError::Empty) => rt::sleep(Duration::from_millis(5)).await,
            Err(ended) => return Err(ended.into()),
        }
    }
}

/// The control thread's life. `handle` is dropped where nobody but the others' handles is to keep the loop going.
async fn run<E: Engine>(
    engine: E,
    handle: Handle,
    inbox: Inbox,
    mut options: ControlOptions,
    updates: Updates,
    ready: lifecycle::Ready,
) {
    let duties = std::mem::take(&mut options.every);
    let beats = std::mem::take(&mut options.shard_beats);
    let (config, log_dirs, clean_epoch) = (options.config.clone(), options.log_dirs.clone(), options.clean_epoch);
    let (is_online, is_full) = (options.is_online.clone(), options.is_full.clone());
    let incarnation = options
        .formed
        .as_ref()
        .map_or_else(random_id, |formed| formed.incarnation);
    let mut control = match Control::open(engine, options, updates).await {
        Err(error) => return drop(ready.send(Err(error))),
        Ok(control) => control,
    };
    duties.into_iter().for_each(|duty| rt::spawn(repeat(duty)));
    let Some(remote) = control.remote() else {
        drop(handle);
        drop(ready.send(Ok(control.image.clone())));
        return control.run(inbox).await;
    };
    let shown = Arc::new(Mutex::new(control.image.clone()));
    let itself = (BrokerId(config.broker_id), incarnation);
    control.enter(Cluster::new(remote, handle.clone(), shown.clone(), itself));
    let nudges = inbox.standing.enter_cluster();
    match nudges.filter(|_| config.is_broker()) {
        Some(nudges) => {
            let lifecycle = Lifecycle {
                handle,
                standing: inbox.standing.clone(),
                config,
                shown,
                log_dirs,
                is_online,
                is_full,
                beats,
                clean_epoch,
                incarnation,
            };
            rt::spawn(lifecycle.run(ready, nudges));
        }
        None => {
            let (standing, shown) = (inbox.standing.clone(), control.image.clone());
            rt::spawn(lifecycle::watch_majority(handle, standing, config));
            drop(ready.send(Ok(shown)));
        }
    }
    control.run(inbox).await;
}

async fn repeat((pause, mut duty): Duty) {
    loop {
        rt::sleep(pause).await;
        duty();
    }
}

/// Without a cluster one broker is always heard, and it is heard now.
pub(super) fn alone(
    me: BrokerId,
    image_epoch: ImageEpoch,
    log_dirs: &[DirId],
    is_online: &dyn Fn(&DirId) -> bool,
) -> Live {
    let now_ns = rt::now().0;
    let itself = Contact {
        last_ns: now_ns,
        has_ended: false,
        image_epoch,
        online_dirs: log_dirs.iter().copied().filter(|dir| is_online(dir)).collect(),
    };
    Live {
        now_ns,
        contacts: BTreeMap::from([(me, itself)]),
    }
}

fn not_controller() -> CommandError {
    CommandError {
        code: ErrorCode::NotController,
        message: "this node is not the controller".to_owned(),
    }
}

/// A random UUID (version 4), as Kafka draws ids: none begins with '-' in print, since tools would take it for a flag.
pub fn random_id() -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&rt::random_u64().to_le_bytes());
    id[8..].copy_from_slice(&rt::random_u64().to_le_bytes());
    id[0] &= 0x7f;
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    id
}

#[cfg(test)]
mod tests;
