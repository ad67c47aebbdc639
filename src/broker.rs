//! The composition root: builds everything once, starts the shards, owns the order of shutdown.
//!
//! ```text
//!   start   preflight → ports → admin port → (which cluster) → log directories → metadata → strays
//!           → shards (pump, then connections) → "started"
//!   stop    (leaderships move, clients hear of it) → connections drain → logs flush and close (and this broker is fenced)
//!           → metadata → checkpoints, clean marker → shards end
//! ```

mod catch_up;
pub(crate) mod checkpoints;
mod controller;
mod endpoints;
mod strays;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use anyhow::Context;
use tracing::{info, warn};

use crate::admin::{self, Phase, Sources};
use crate::api::Services;
use crate::config::{BrokerConfig, QuorumConfig};
use crate::conn::{self, Limits, NamedListener, ServeSpec, Server};
use crate::logging;
use crate::metadata::{self, ControlOptions, Formed, Image, Published};
use crate::metrics::{Metric, Registry};
use crate::model::{BrokerId, DirId, ShardId};
use crate::preflight::{self, Preflight};
use crate::replica::{self, ReplicaSpec};
use crate::rt::{self, HttpPort, OneshotTx, Rx, ShardOptions, Shards, Signal, Tx};
use crate::shard::{self, CheckpointRow, Inbox, ShardHandle, ShardSpec};
use crate::storage::{self, Checkpoint, LogDirs};

use checkpoints::Checkpoints;
use endpoints::BoundListener;

/// In metadata.log.dir.
const METADATA_DIR: &str = "corelane-metadata";
/// How long the controller may take to move a stopping broker's leaderships elsewhere.
const LEAVE_PATIENCE: Duration = Duration::from_secs(10);
/// For this long a broker that led something answers on, after others lead it: its clients hear from it who does, and move
/// while it is still there. Most ask for metadata 100 to 300 ms after the first refusal.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long the controller may take to fence it once it has closed its connections: clients are told of it until then.
const DEPART_PATIENCE: Duration = Duration::from_secs(2);
/// How long requests in flight may take when the broker stops.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);
/// How long the shards may take to write and close their logs, and so much more for each of them. On a full disk they never
/// could; the next start then recovers.
const CLOSE_PATIENCE: Duration = Duration::from_secs(20);
const CLOSE_PATIENCE_PER_LOG: Duration = Duration::from_millis(2);
/// How often log levels are looked at whose time may be over.
const LOG_LEVEL_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How often the log directories' free space is looked at.
const SPACE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Orders to a shard's connections that may wait: a stop, and one to hurry.
const ORDERS_MAX: usize = 4;

/// Reads the configuration again, as it was read at the start. `None`: it cannot be used, and that has been said.
pub type Reread = Box<dyn Fn() -> Option<BrokerConfig> + Send>;

/// Runs a broker until it is told to stop. Returns when everything has been written and closed.
pub fn run(config: BrokerConfig, reread: Reread) -> anyhow::Result<ExitCode> {
    match config.is_broker() {
        true => serve(config, reread),
        false => controller::run(config, reread),
    }
}

fn serve(mut config: BrokerConfig, reread: Reread) -> anyhow::Result<ExitCode> {
    let began = rt::now();
    // Before anybody can take the broker for one that has started: a signal that is not caught ends the process.
    let signals = rt::signals().context("catch signals")?;
    let cores = preflight::cores_of_shards(&config);
    let Preflight {
        io_memory_bytes,
        findings,
    } = preflight::check(&config, cores.len())?;
    config.share_memory(rt::host::memory_bytes(), cores.len());
    rt::keep_freed_memory();
    let listeners = endpoints::claim(&mut config, cores.len())?;
    let config = Arc::new(config);
    let sources = start_admin(&config, cores.len())?;
    let metadata_dir = metadata_dir(&config);
    // A broker only keeps none.
    if !config.quorum.as_ref().is_some_and(QuorumConfig::is_observer) {
        strays::refuse_lost_metadata(&config.log_dirs, &metadata_dir, config.quorum.is_some())?;
    }
    let formed = form(&config, &metadata_dir)?;
    let known = formed.as_ref().map(|formed| formed.cluster_id.clone());
    let (dirs, cluster_id) = LogDirs::open_in_cluster(&config.log_dirs, config.broker_id, known)?;
    let dirs = Arc::new(dirs);
    let read: BTreeMap<DirId, Checkpoint> = dirs
        .dirs
        .iter()
        .map(|dir| (dir.id, dirs.read_checkpoint(dir)))
        .collect();
    dirs.check_space(config.log_dir_min_free_bytes);
    // Set once, here.
    let _ = sources.dirs.set(dirs.clone());
    let _ = sources.settings.set(findings);

    let limits = Limits::new(&config);
    let identity = (cluster_id, formed);
    let mut broker = Broker::start_metadata(&config, &dirs, read.clone(), identity, sources.clone(), &limits)?;
    limits.adopt(broker.image.config());
    // From here on it waits for nobody, and closes in order what it opens.
    let signals = signals.begin();
    dirs.dirs.iter().for_each(|dir| dirs.mark_in_use(dir));
    strays::set_aside(&dirs, &broker.image, &broker.registry);
    let (listening, is_listening) = mpsc::channel();
    let parts = ShardParts {
        inboxes: Arc::new(Mutex::new(broker.take_inboxes())),
        orders: Arc::new(Mutex::new(broker.take_orders())),
        config: config.clone(),
        dirs: dirs.clone(),
        checkpoints: Arc::new(read),
        metadata: broker.metadata.clone(),
        image: broker.image.clone(),
        registry: broker.registry.clone(),
        beats: sources.beats().to_vec(),
        limits,
        listeners: Arc::from(listeners.clone()),
        listening,
    };
    let options = ShardOptions {
        cores: cores.clone(),
        io_memory: io_memory_bytes,
        log_dirs: config.log_dirs.clone(),
    };
    let shards = rt::run_shards(options, move |id| parts.clone().run(id)).context("start the shards")?;
    // Nobody is told that the broker has started before it can be reached.
    for _ in &cores {
        is_listening.recv().context("a shard ended at its start")?;
    }
    broker.metadata.set_ready();
    sources.set_phase(Phase::Running);
    for listener in &listeners {
        info!(listener = listener.name, address = %listener.address, "listening");
    }
    let took_ms = rt::now().since(began).as_millis() as u64;
    info!(broker = config.broker_id, shards = cores.len(), took_ms, "started");
    broker.serve_until_stopped(shards, signals, reread)
}

/// Where a node keeps the cluster's metadata.
pub fn metadata_dir(config: &BrokerConfig) -> PathBuf {
    config.metadata_log_dir.join(METADATA_DIR)
}

/// By which the quorum's tools know the directory that they lie in: that of a log directory, or one of its own. `None`: this
/// node is in no quorum.
fn metadata_directory(config: &BrokerConfig, dirs: &LogDirs, cluster_id: &str) -> anyhow::Result<Option<DirId>> {
    if config.quorum.as_ref().is_none_or(QuorumConfig::is_observer) {
        return Ok(None);
    }
    let path = &config.metadata_log_dir;
    if let Some(dir) = dirs.dirs.iter().find(|dir| dir.path == *path) {
        return Ok(Some(dir.id));
    }
    let (id, _) = storage::settle_metadata_dir(path, config.broker_id, cluster_id, None)?;
    Ok(Some(id))
}

/// What a node of a cluster must know of it first; it may have to wait for the others.
fn form(config: &BrokerConfig, metadata_dir: &Path) -> anyhow::Result<Option<Formed>> {
    let Some(quorum) = &config.quorum else { return Ok(None) };
    let known = LogDirs::cluster_id(&config.log_dirs, config.broker_id)?;
    metadata::form(BrokerId(config.broker_id), quorum, metadata_dir, known).map(Some)
}

/// Before anything that takes its time: a recovery can be watched.
fn start_admin(config: &Arc<BrokerConfig>, shards: usize) -> anyhow::Result<Arc<Sources>> {
    let port = config.admin_listener.as_ref().map(|(host, port)| {
        let address = rt::resolve(host, *port)
            .with_context(|| format!("admin.listener: the host {host} cannot be resolved; use an address of this machine"))?;
        HttpPort::bind(address).with_context(|| {
            format!("admin.listener: cannot listen on {address}; is another broker running there? set another port, or none (admin.listener=)")
        })
    });
    let registry = Registry::with_times(shards, config.metrics_histograms_enable);
    let beats = (0..shards).map(|_| Arc::default()).collect();
    let sources = Arc::new(Sources::new(config.clone(), registry, beats, Arc::default()));
    admin::start(port.transpose()?, sources.clone())?;
    Ok(sources)
}

/// The parts that outlive the shards, and the way to them.
struct Broker {
    metadata: metadata::Handle,
    image: Arc<Image>,
    shards: Vec<ShardHandle>,
    inboxes: Vec<Inbox>,
    orders: Vec<(Tx<Order>, Option<Rx<Order>>)>,
    checkpoints: Checkpoints,
    dirs: Arc<LogDirs>,
    registry: Registry,
    sources: Arc<Sources>,
}

/// What a shard's connections are told at the end.
enum Order {
    /// Take no new requests, answer those in flight within this time, close everything, say so.
    Close(Duration, OneshotTx<()>),
}

impl Broker {
    fn start_metadata(
        config: &Arc<BrokerConfig>,
        dirs: &Arc<LogDirs>,
        read: BTreeMap<DirId, Checkpoint>,
        (cluster_id, formed): (String, Option<Formed>),
        sources: Arc<Sources>,
        limits: &Arc<Limits>,
    ) -> anyhow::Result<Broker> {
        let registry = sources.registry.clone();
        let shards = registry.shards().len();
        let clean_epoch = clean_epoch(&read);
        let checkpoints = Checkpoints::new(dirs.clone(), read);
        // The shards are built from the first image, which the control thread makes: they are told of later ones only.
        let mesh = sources.shards.clone();
        let options = ControlOptions {
            formed,
            directory: metadata_directory(config, dirs, &cluster_id)?,
            clean_epoch,
            cells: registry.control().clone(),
            is_online: is_online(dirs.clone()),
            is_full: is_full(dirs.clone()),
            shard_beats: sources.beats().to_vec(),
            every: vec![
                (LOG_LEVEL_CHECK_INTERVAL, Box::new(logging::expire)),
                (
                    SPACE_CHECK_INTERVAL,
                    space_check(config, dirs.clone(), registry.clone()),
                ),
                (
                    checkpoint_interval(config),
                    checkpoint_duty(mesh.clone(), checkpoints.clone()),
                ),
                (
                    catch_up::INTERVAL,
                    catch_up::duty(BrokerId(config.broker_id), mesh.clone(), registry.clone()),
                ),
            ],
            ..ControlOptions::new(
                config.clone(),
                cluster_id,
                metadata_dir(config),
                dirs.dirs.iter().map(|dir| dir.id).collect(),
            )
        };
        let (metadata, image) = metadata::start(options, publishers(&mesh, shards, limits.clone()))?;
        let (handles, inboxes) = shard::mesh(shards, &image);
        let orders = (0..shards)
            .map(|_| rt::lane(ORDERS_MAX))
            .map(|(tx, rx)| (tx, Some(rx)))
            .collect();
        // Set once, here.
        let _ = mesh.set(handles.clone());
        let _ = sources.metadata.set(metadata.clone());
        Ok(Broker {
            metadata,
            image,
            shards: handles,
            inboxes,
            orders,
            checkpoints,
            dirs: dirs.clone(),
            registry,
            sources,
        })
    }

    fn take_inboxes(&mut self) -> Vec<Option<Inbox>> {
        std::mem::take(&mut self.inboxes).into_iter().map(Some).collect()
    }

    fn take_orders(&mut self) -> Vec<Option<Rx<Order>>> {
        self.orders.iter_mut().map(|(_, rx)| rx.take()).collect()
    }

    /// Waits for a signal, then stops in order.
    fn serve_until_stopped(self, shards: Shards, mut signals: Rx<Signal>, reread: Reread) -> anyhow::Result<ExitCode> {
        let metadata = self.metadata.clone();
        let supervisor = rt::run_control("corelane-main", move || async move {
            let registry = self.registry.clone();
            serve_signals(&mut signals, &self.metadata, &self.sources, &reread).await;
            info!("stopping: a second signal hurries");
            admin::stopping(&self.sources);
            rt::spawn(hurry(
                signals,
                self.orders.iter().map(|(tx, _)| tx.clone()).collect(),
                registry,
            ));
            self.stop().await;
        })
        .context("start the main thread")?;
        // A panic on any thread has ended the process before it could be joined.
        let _ = supervisor.join();
        shards.join();
        metadata.join();
        info!("stopped");
        Ok(match metadata.has_failed() {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        })
    }

    fn me(&self) -> BrokerId {
        BrokerId(self.image.config().broker_id)
    }

    fn newest_image(&self) -> Arc<Image> {
        let shard = self.shards.first();
        shard.map_or_else(|| self.image.clone(), ShardHandle::image)
    }

    /// Another broker can lead what this one leads, and is to: the last of a cluster need not wait for anybody.
    fn has_heir(&self) -> bool {
        let image = self.newest_image();
        let mut others = image.brokers.values().filter(|broker| broker.id != self.me());
        self.image.config().controlled_shutdown
            && !self.metadata.has_failed()
            && others.any(|broker| broker.is_active())
    }

    fn close_patience(&self) -> Duration {
        let logs = self.newest_image().partitions_on(self.me());
        CLOSE_PATIENCE + CLOSE_PATIENCE_PER_LOG * u32::try_from(logs).unwrap_or(u32::MAX)
    }

    async fn stop(self) {
        self.hand_over().await;
        self.close_connections().await;
        let ((rows, clean), ()) = futures_lite::future::zip(self.close_logs(), self.depart()).await;
        self.metadata.stop();
        self.checkpoints.write(rows, &self.newest_image(), &clean);
        for shard in &self.shards {
            shard.exit().await;
        }
    }

    async fn hand_over(&self) {
        if !self.has_heir() {
            return;
        }
        let leads = self.newest_image().leaderships_of(self.me()) > 0;
        match self.metadata.hand_over(LEAVE_PATIENCE).await {
            // Not where all stop together.
            true if leads && self.has_heir() => rt::sleep(FAREWELL).await,
            true => {}
            false => warn!("the controller has not moved this broker's leaderships in time"),
        }
    }

    async fn depart(&self) {
        if self.has_heir() && !self.metadata.depart(DEPART_PATIENCE).await {
            warn!(
                "the controller has not heard that this broker has closed: it may be named to clients until its session is over"
            );
        }
    }

    async fn close_connections(&self) {
        let closing: Vec<_> = self
            .orders
            .iter()
            .filter_map(|(tx, _)| close(tx, DRAIN_PATIENCE))
            .collect();
        for closed in closing {
            closed.await;
        }
    }

    /// Gives where the logs end, and the log directories of which everything was closed.
    async fn close_logs(&self) -> (Vec<CheckpointRow>, Vec<DirId>) {
        let mut rows = Vec::new();
        let mut clean: Vec<DirId> = self.dirs.dirs.iter().map(|dir| dir.id).collect();
        let mut closing = Vec::new();
        for shard in &self.shards {
            closing.push(shard.shutdown().await);
        }
        let deadline = rt::now().after(self.close_patience());
        for stopped in closing {
            match rt::timeout(deadline.since(rt::now()), stopped).await.flatten() {
                Some(stopped) => {
                    rows.extend(stopped.checkpoints);
                    clean.retain(|dir| !stopped.unclean.contains(dir));
                }
                None => {
                    warn!("a shard did not close its logs in time: the next start will check them");
                    clean.clear();
                }
            }
        }
        (rows, clean)
    }
}

/// The epoch of the broker's last life, if every log directory says that it ended in order; else -1.
pub(crate) fn clean_epoch(read: &BTreeMap<DirId, Checkpoint>) -> i64 {
    let mut epochs = read.values().map(|checkpoint| checkpoint.clean_epoch);
    let first = epochs.next().flatten();
    first.filter(|_| epochs.all(|epoch| epoch == first)).unwrap_or(-1)
}

pub(crate) fn is_online(dirs: Arc<LogDirs>) -> Arc<dyn Fn(&DirId) -> bool + Send + Sync> {
    Arc::new(move |id| dirs.dirs.iter().any(|dir| dir.id == *id && !dir.is_offline()))
}

pub(crate) fn is_full(dirs: Arc<LogDirs>) -> Arc<dyn Fn(&DirId) -> bool + Send + Sync> {
    Arc::new(move |id| dirs.dirs.iter().any(|dir| dir.id == *id && dir.is_full()))
}

fn space_check(config: &BrokerConfig, dirs: Arc<LogDirs>, registry: Registry) -> Box<dyn FnMut() + Send> {
    let min_free = config.log_dir_min_free_bytes;
    Box::new(move || {
        dirs.check_space(min_free);
        let count = |is: fn(&crate::storage::LogDir) -> bool| dirs.dirs.iter().filter(|dir| is(dir)).count() as i64;
        // Gauges of the whole broker stand in the first shard's cells.
        let cells = registry.shard(0);
        cells.set(Metric::OfflineLogDirs, count(|dir| dir.is_offline()));
        cells.set(Metric::FullLogDirs, count(|dir| dir.is_full()));
    })
}

fn checkpoint_interval(config: &BrokerConfig) -> Duration {
    Duration::from_millis(config.flush_checkpoint_interval_ms.max(1) as u64)
}

pub(crate) fn checkpoint_duty(
    mesh: Arc<OnceLock<Vec<ShardHandle>>>,
    checkpoints: Checkpoints,
) -> Box<dyn FnMut() + Send> {
    Box::new(move || {
        let Some(shards) = mesh.get().cloned() else { return };
        let checkpoints = checkpoints.clone();
        rt::spawn(async move {
            let mut rows = Vec::new();
            for shard in &shards {
                rows.extend(shard.checkpoint().await.unwrap_or_default());
            }
            if let Some(shard) = shards.first() {
                checkpoints.write(rows, &shard.image(), &[]);
            }
        });
    })
}

pub(crate) fn publishers(
    mesh: &Arc<OnceLock<Vec<ShardHandle>>>,
    shards: usize,
    limits: Arc<Limits>,
) -> metadata::Updates {
    let publisher = |at: usize| -> Box<dyn Fn(Published) + Send> {
        let mesh = mesh.clone();
        Box::new(move |published| {
            if let Some(shard) = mesh.get().and_then(|shards| shards.get(at)) {
                shard.publish(published);
            }
        })
    };
    let limiter: Box<dyn Fn(Published) + Send> = Box::new(move |published| limits.adopt(published.image.config()));
    (0..shards).map(publisher).chain([limiter]).collect()
}

/// Everything that a shard's thread builds its shard from. Cloned to each thread.
#[derive(Clone)]
struct ShardParts {
    inboxes: Arc<Mutex<Vec<Option<Inbox>>>>,
    orders: Arc<Mutex<Vec<Option<Rx<Order>>>>>,
    config: Arc<BrokerConfig>,
    dirs: Arc<LogDirs>,
    checkpoints: Arc<BTreeMap<DirId, Checkpoint>>,
    metadata: metadata::Handle,
    image: Arc<Image>,
    registry: Registry,
    beats: Vec<Arc<AtomicU64>>,
    limits: Arc<Limits>,
    listeners: Arc<[BoundListener]>,
    /// Told once by each shard, when it listens.
    listening: mpsc::Sender<()>,
}

impl ShardParts {
    async fn run(self, id: ShardId) {
        let at = usize::from(id.0);
        let metrics = self.registry.shard(at);
        let is_own = |bound: &&BoundListener| bound.shard.is_none_or(|shard| shard == id);
        let (router, pump) = shard::run(ShardSpec {
            inbox: take(&self.inboxes, at),
            config: self.config.clone(),
            dirs: self.dirs.dirs.clone(),
            checkpoints: self.checkpoints,
            metadata: self.metadata,
            image: self.image,
            metrics: metrics.clone(),
            liveness: self.beats[at].clone(),
        });
        let copying = replica::run(ReplicaSpec {
            shard: id,
            router: router.clone(),
            config: self.config.clone(),
        });
        let server = conn::serve(ServeSpec {
            listeners: self.listeners.iter().filter(is_own).map(bind).collect(),
            services: Services::new(router, self.config, metrics, self.beats.len()),
            limits: self.limits,
        });
        let _ = self.listening.send(());
        rt::spawn(obey(server, take(&self.orders, at)));
        futures_lite::future::zip(pump, copying).await;
    }
}

fn take<T>(slots: &Mutex<Vec<Option<T>>>, at: usize) -> T {
    slots.lock().unwrap_or_else(PoisonError::into_inner)[at]
        .take()
        .expect("each shard takes its own part once")
}

/// The port was found free a moment ago; that another process took it since is worth a panic, which ends the process.
fn bind(bound: &BoundListener) -> NamedListener {
    let listener =
        rt::Listener::bind(bound.address).unwrap_or_else(|problem| panic!("listen on {}: {problem}", bound.address));
    NamedListener {
        name: bound.name.clone(),
        listener,
    }
}

async fn obey(server: Server, mut orders: Rx<Order>) {
    let server = std::rc::Rc::new(server);
    let mut burst = Vec::new();
    while orders.recv_burst(&mut burst, ORDERS_MAX).await {
        for Order::Close(patience, closed) in burst.drain(..) {
            let server = server.clone();
            rt::spawn(async move {
                server.shutdown(patience).await;
                closed.send(());
            });
        }
    }
}

/// Tells one shard's connections to close; the future ends when they have. `None` when the shard is gone.
fn close(shard: &Tx<Order>, patience: Duration) -> Option<rt::OneshotRx<()>> {
    let (closed, is_closed) = rt::oneshot();
    shard.try_send(Order::Close(patience, closed)).ok().map(|()| is_closed)
}

/// Until one of them says to stop.
async fn serve_signals(signals: &mut Rx<Signal>, metadata: &metadata::Handle, sources: &Sources, reread: &Reread) {
    while let Some(signal) = next(signals).await {
        match signal {
            Signal::User1 => print!("{}", sources.registry.prometheus_text()),
            Signal::Hangup => admin::reloading(sources, reload(metadata, reread)).await,
            Signal::Terminate | Signal::Interrupt => return,
        }
    }
}

/// What a running node can take of its configuration is taken; what needs a restart is named.
async fn reload(metadata: &metadata::Handle, reread: &Reread) {
    let Some(newer) = reread() else {
        return warn!("SIGHUP: nothing was changed");
    };
    logging::configure(&newer.log_levels);
    let Some(reread) = metadata.reread(newer).await else {
        return warn!("SIGHUP: the controller is busy: nothing but the log level was changed");
    };
    for key in reread.left {
        warn!("SIGHUP: {key} has changed in the configuration: it takes effect at the next start");
    }
    info!(
        taken = reread.taken.join(","),
        "SIGHUP: the configuration was read again"
    );
}

/// The next signal, or none any more.
async fn next(signals: &mut Rx<Signal>) -> Option<Signal> {
    let mut burst = Vec::new();
    signals.recv_burst(&mut burst, 1).await.then(|| burst.pop()).flatten()
}

/// After a second signal nobody is waited for any more.
async fn hurry(mut signals: Rx<Signal>, shards: Vec<Tx<Order>>, registry: Registry) {
    loop {
        match next(&mut signals).await {
            Some(Signal::User1) => print!("{}", registry.prometheus_text()),
            Some(Signal::Hangup) => {}
            Some(Signal::Terminate | Signal::Interrupt) | None => break,
        }
    }
    warn!("hurrying: requests in flight are cut off");
    for shard in &shards {
        close(shard, Duration::ZERO);
    }
}
