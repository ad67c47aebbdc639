//! One broker on a machine of its own: everything that `broker` builds, as tasks there, and its ends: killed, without power,
//! or stopped in order.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_lite::future::zip;

use crate::api::Services;
use crate::broker::checkpoints::Checkpoints;
use crate::broker::{checkpoint_duty, clean_epoch, is_full, is_online, publishers};
use crate::config::{BrokerConfig, Properties};
use crate::conn::{Limits, NamedListener, ServeSpec, Server, serve};
use crate::metadata::engine::{Keeping, Observer, Quorum, form_simulated};
use crate::metadata::{self, ControlOptions, Formed, Image, Updates};
use crate::metrics::Registry;
use crate::model::{BrokerId, DirId};
use crate::replica::{self, ReplicaSpec};
use crate::rt::sim::{Crash, Host, ms, paced};
use crate::rt::{self, Listener, SocketAddr, blocking, sleep, spawn};
use crate::shard::{self, CheckpointRow, Router, ShardHandle, ShardSpec};
use crate::storage::{Checkpoint, LogDirs};

use super::consensus::{Consensus, check_ending};

const METADATA: &str = "/disk/metadata";
const LOG_DIRS: [&str; 2] = ["/disk/data", "/disk/more"];
pub const PORT: u16 = 9092;
pub const CONTROLLER_PORT: u16 = 9093;
const LEAVE_PATIENCE: Duration = Duration::from_secs(5);
const FAREWELL: Duration = Duration::from_millis(500);
const DEPART_PATIENCE: Duration = Duration::from_secs(2);
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);
const CHECKPOINT_EVERY: Duration = Duration::from_secs(3);
const LOOK_AT_SPACE_EVERY: Duration = Duration::from_millis(500);
/// The quorum's own messages are what a run at a quicker pace would otherwise be full of.
const ELECTION_MS_MIN: u128 = 300;
/// Between two looks whether the controller has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub struct Node {
    pub id: BrokerId,
    pub host: Host,
    config: Arc<BrokerConfig>,
    shape: Shape,
    consensus: Consensus,
    /// It was started, and has not been told to end.
    is_up: Cell<bool>,
    /// It was told to stop in order, and nobody has seen to its end.
    is_stopping: Cell<bool>,
    /// How often it was started.
    lives: Cell<u64>,
    /// `None`: there is none, or it does not serve yet.
    process: Rc<RefCell<Option<Process>>>,
}

/// What is the same of all brokers of a run.
#[derive(Clone, Copy)]
pub struct Shape {
    pub shards: usize,
    /// The first ones vote where the consensus is real, the others follow.
    pub voters: usize,
    /// One or two.
    pub log_dirs: usize,
    pub keeping: Keeping,
}

impl Shape {
    /// Three voters of one shard and one log directory.
    pub fn plain() -> Shape {
        Shape {
            shards: 1,
            voters: 3,
            log_dirs: 1,
            keeping: Keeping::default(),
        }
    }
}

/// What is known of a broker that serves.
struct Process {
    metadata: metadata::Handle,
    handles: Vec<ShardHandle>,
    router: Router,
    servers: Vec<Server>,
    checkpoints: Checkpoints,
    dirs: Arc<LogDirs>,
}

impl Node {
    /// On a new machine, which must be the next one.
    pub fn new(id: BrokerId, nodes: &[BrokerId], shape: Shape, consensus: Consensus) -> Node {
        let host = Host::install();
        assert_eq!(i32::from(host.id().0), id.0, "a broker has its machine's number");
        host.enter(prepare_disk);
        Node {
            id,
            host,
            config: Arc::new(config(id, &nodes[..shape.voters], shape.log_dirs)),
            shape,
            consensus,
            is_up: Cell::new(false),
            is_stopping: Cell::new(false),
            lives: Cell::new(0),
            process: Rc::default(),
        }
    }

    /// If it is stopping still, it is killed first.
    pub fn start(&self) {
        assert!(!self.is_up(), "broker {} runs", self.id.0);
        if self.is_stopping.get() {
            self.crash(Crash::Kill);
        }
        self.host.boot();
        self.is_up.set(true);
        self.lives.set(self.lives.get() + 1);
        let (id, config, consensus) = (self.id, self.config.clone(), self.consensus.clone());
        let (shape, process) = (self.shape, self.process.clone());
        let address = SocketAddr::new(self.host.address(), PORT);
        self.host.spawn(async move {
            match start(id, config, shape, address, consensus).await {
                Ok(started) => *process.borrow_mut() = Some(started),
                Err(error) => {
                    check_ending(id, &format!("{error:#}"));
                    rt::exit(1);
                }
            }
        });
    }

    pub fn crash(&self, crash: Crash) {
        self.is_up.set(false);
        self.is_stopping.set(false);
        self.consensus.leave(self.id);
        self.host.crash(crash);
        drop(self.process.borrow_mut().take());
    }

    /// It is down, and comes back without anything that it had.
    pub fn lose_disk(&self) {
        assert!(!self.is_up(), "broker {} runs", self.id.0);
        self.host.lose_disk();
        self.host.enter(prepare_disk);
    }

    /// In order, as far as the cluster lets it.
    pub fn stop(&self) {
        self.is_up.set(false);
        self.is_stopping.set(true);
        let Some(process) = self.process.borrow_mut().take() else {
            return;
        };
        self.host.spawn(process.stop());
    }

    /// How, if it has ended by itself.
    pub fn ended(&self) -> Option<Crash> {
        self.host.ended().filter(|_| self.is_up())
    }

    /// It is stopping, and not at its end.
    pub fn is_on_its_way(&self) -> bool {
        self.is_stopping.get() && self.host.ended().is_none()
    }

    pub fn is_up(&self) -> bool {
        self.is_up.get()
    }

    pub fn lives(&self) -> u64 {
        self.lives.get()
    }

    /// Where it keeps something.
    pub fn dirs(&self) -> Vec<PathBuf> {
        let metadata = self.votes().then(|| METADATA.into());
        self.config.log_dirs.iter().cloned().chain(metadata).collect()
    }

    /// In the real quorum.
    pub fn votes(&self) -> bool {
        matches!(self.consensus, Consensus::Real(_)) && self.id.0 as usize <= self.shape.voters
    }

    /// A log directory is offline, which only another start mends.
    pub fn has_lost_disk(&self) -> bool {
        let process = self.process.borrow();
        let mut dirs = process.iter().flat_map(|process| &process.dirs.dirs);
        dirs.any(|dir| dir.is_offline())
    }

    pub fn router(&self) -> Option<Router> {
        self.process.borrow().as_ref().map(|process| process.router.clone())
    }
}

async fn start(
    id: BrokerId,
    config: Arc<BrokerConfig>,
    shape: Shape,
    address: SocketAddr,
    consensus: Consensus,
) -> anyhow::Result<Process> {
    let shards = shape.shards;
    let formed = form(id, &config, &consensus).await?;
    let cluster_id = formed
        .as_ref()
        .map_or("a-cluster", |formed| &formed.cluster_id)
        .to_owned();
    let (dirs, cluster_id) = LogDirs::open_in_cluster(&config.log_dirs, id.0, Some(cluster_id))?;
    let dirs = Arc::new(dirs);
    let read: BTreeMap<DirId, Checkpoint> = dirs
        .dirs
        .iter()
        .map(|dir| (dir.id, dirs.read_checkpoint(dir)))
        .collect();
    let space_check = space_check(&config, dirs.clone());
    let checkpoints = Checkpoints::new(dirs.clone(), read.clone());
    let limits = Limits::new(&config);
    let registry = Registry::new(shards);
    let mesh = Arc::<OnceLock<Vec<ShardHandle>>>::default();
    let beats: Vec<_> = (0..shards).map(|_| Arc::default()).collect();
    let log_dirs = dirs.dirs.iter().map(|dir| dir.id).collect();
    let options = ControlOptions {
        clean_epoch: clean_epoch(&read),
        is_online: is_online(dirs.clone()),
        is_full: is_full(dirs.clone()),
        shard_beats: beats.clone(),
        every: vec![
            (
                paced(CHECKPOINT_EVERY),
                checkpoint_duty(mesh.clone(), checkpoints.clone()),
            ),
            (paced(LOOK_AT_SPACE_EVERY), space_check),
        ],
        formed,
        ..ControlOptions::new(config.clone(), cluster_id, METADATA.into(), log_dirs)
    };
    let updates = publishers(&mesh, shards, limits.clone());
    let (metadata, image) = start_metadata(id, shape, consensus, options, updates).await?;
    dirs.dirs.iter().for_each(|dir| dirs.mark_in_use(dir));
    let (handles, inboxes) = shard::mesh(shards, &image);
    let _ = mesh.set(handles.clone());
    let checkpoints_read = Arc::new(read);
    let mut routers = Vec::new();
    let mut servers = Vec::new();
    for (at, inbox) in inboxes.into_iter().enumerate() {
        let shard = inbox.id();
        let (router, pump) = shard::run(ShardSpec {
            inbox,
            config: config.clone(),
            dirs: dirs.dirs.clone(),
            checkpoints: checkpoints_read.clone(),
            metadata: metadata.clone(),
            image: image.clone(),
            metrics: registry.shard(at),
            liveness: beats[at].clone(),
        });
        spawn(pump);
        spawn(replica::run(ReplicaSpec {
            shard,
            router: router.clone(),
            config: config.clone(),
        }));
        servers.push(serve(ServeSpec {
            listeners: vec![NamedListener {
                name: "PLAINTEXT".to_owned(),
                listener: Listener::bind(address).expect("bound"),
            }],
            services: Services::new(router.clone(), config.clone(), registry.shard(at), shards),
            limits: limits.clone(),
        }));
        routers.push(router);
    }
    metadata.set_ready();
    Ok(Process {
        metadata,
        handles,
        router: routers.remove(0),
        servers,
        checkpoints,
        dirs,
    })
}

async fn form(id: BrokerId, config: &BrokerConfig, consensus: &Consensus) -> anyhow::Result<Option<Formed>> {
    let (Consensus::Real(_), Some(quorum)) = (consensus, &config.quorum) else {
        return Ok(None);
    };
    let known = LogDirs::cluster_id(&config.log_dirs, id.0)?;
    form_simulated(id, quorum, Path::new(METADATA), known).await.map(Some)
}

async fn start_metadata(
    id: BrokerId,
    shape: Shape,
    consensus: Consensus,
    options: ControlOptions,
    updates: Updates,
) -> anyhow::Result<(metadata::Handle, Arc<Image>)> {
    let (config, dir) = (options.config.clone(), options.dir.clone());
    match (consensus, config.quorum.clone(), options.formed.clone()) {
        (Consensus::Real(ledger), Some(quorum), Some(formed)) if quorum.is_observer() => {
            let engine = |handle: &metadata::Handle| {
                let engine = Observer::new(id, &quorum, formed, handle.clone());
                ledger.watch(id, engine)
            };
            metadata::start_simulated(engine, options, updates).await
        }
        (Consensus::Real(ledger), Some(quorum), Some(formed)) => {
            let engine = |handle: &metadata::Handle| {
                let engine = Quorum::new(config, quorum, dir, formed, handle.clone());
                ledger.watch(id, engine.keep(shape.keeping))
            };
            metadata::start_simulated(engine, options, updates).await
        }
        (Consensus::Simulated(quorum), ..) => {
            let engine = |handle: &metadata::Handle| quorum.engine(id, handle);
            metadata::start_simulated(engine, options, updates).await
        }
        _ => panic!("the real quorum needs its configuration, and to be formed"),
    }
}

impl Process {
    /// In the order of `broker`.
    async fn stop(self) {
        if self.metadata.hand_over(paced(LEAVE_PATIENCE)).await {
            sleep(paced(FAREWELL)).await;
        }
        for server in &self.servers {
            server.shutdown(DRAIN_PATIENCE).await;
        }
        let ((rows, clean), _) = zip(self.close_logs(), self.metadata.depart(paced(DEPART_PATIENCE))).await;
        self.metadata.stop();
        self.checkpoints.write(rows, &self.handles[0].image(), &clean);
        for handle in &self.handles {
            handle.exit().await;
        }
        while !self.metadata.has_ended() {
            sleep(LOOK_EVERY).await;
        }
        rt::exit(0);
    }

    async fn close_logs(&self) -> (Vec<CheckpointRow>, Vec<DirId>) {
        let mut rows = Vec::new();
        let mut clean: Vec<DirId> = self.dirs.dirs.iter().map(|dir| dir.id).collect();
        for handle in &self.handles {
            let stopped = handle.shutdown().await.await.expect("the pump runs");
            rows.extend(stopped.checkpoints);
            clean.retain(|dir| !stopped.unclean.contains(dir));
        }
        (rows, clean)
    }
}

/// Looks at once, and gives what looks again.
fn space_check(config: &BrokerConfig, dirs: Arc<LogDirs>) -> Box<dyn FnMut() + Send> {
    let min_free = config.log_dir_min_free_bytes;
    dirs.check_space(min_free);
    Box::new(move || dirs.check_space(min_free))
}

fn prepare_disk() {
    for dir in LOG_DIRS {
        blocking::create_dir_all(Path::new(dir)).expect("made");
    }
    blocking::sync_dir(Path::new("/disk")).expect("synced");
    blocking::sync_dir(Path::new("/")).expect("synced");
}

pub fn config(id: BrokerId, voters: &[BrokerId], log_dirs: usize) -> BrokerConfig {
    let voter = |node: &BrokerId| format!("{0}@10.0.0.{0}:{CONTROLLER_PORT}", node.0);
    let controllers: Vec<String> = voters.iter().map(voter).collect();
    let roles = match voters.contains(&id) {
        true => format!(",CONTROLLER://10.0.0.{}:{CONTROLLER_PORT}", id.0),
        false => "\nprocess.roles=broker".to_owned(),
    };
    let paced_ms = |written| ms(written).as_millis();
    let text = format!(
        "broker.id={0}\nlisteners=PLAINTEXT://10.0.0.{0}:{PORT}{roles}\n\
         controller.listener.names=CONTROLLER\ncontroller.quorum.voters={1}\nlog.dirs={9}\n\
         broker.session.timeout.ms={2}\nbroker.heartbeat.interval.ms={3}\nreplica.lag.time.max.ms={4}\n\
         replica.socket.timeout.ms={5}\nreplica.fetch.wait.max.ms={3}\nreplica.fetch.backoff.ms={6}\n\
         leader.imbalance.check.interval.seconds={7}\ncontroller.quorum.election.timeout.ms={8}\n\
         auto.create.topics.enable=false\nlog.dir.min.free.bytes=1048576\njournal.bytes=1048576\n",
        id.0,
        controllers.join(","),
        paced_ms(2_500),
        paced_ms(500),
        paced_ms(2_000),
        paced_ms(3_000),
        paced_ms(200),
        ms(5_000).as_secs().max(1),
        paced_ms(600).max(ELECTION_MS_MIN),
        LOG_DIRS[..log_dirs].join(","),
    );
    match BrokerConfig::resolve(&Properties::parse(&text)) {
        Ok((config, _)) => config,
        Err(problems) => panic!("{problems:?}"),
    }
}
