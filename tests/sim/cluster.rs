//! The brokers of a cluster, their topics, and how they come together at the end.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::consensus::{Consensus, Ledger};
use super::ids::Given;
use super::names::Names;
use super::node::{Node, Shape, config};
use super::oracle::{Batch, Oracle, batches};
use crate::metadata::{Command, CreateTopic, Image, PartitionState, SimulatedQuorum};
use crate::model::{BrokerId, PartitionId};
use crate::rt::sim::{Crash, HostId, Rule, heal_all, paced};
use crate::rt::{self, random_u64, sleep};
use crate::shard::{FetchItem, FetchSpec, FetchedPartition, Isolation, Reader, Router};

/// For what must come about once nothing is broken any more.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Between two looks at the metadata.
const STEP: Duration = Duration::from_millis(20);
/// As whoever watches over a process does.
const RESTART_AFTER: Duration = Duration::from_secs(1);

pub struct Cluster {
    pub nodes: Vec<Node>,
    pub consensus: Consensus,
    oracle: RefCell<Oracle>,
    pub names: Names,
    /// Producer ids.
    pub given: Given,
    pub topics: RefCell<Vec<TopicSpec>>,
    /// A plot is under way, which nothing else is to spoil.
    pub is_plotted: Cell<bool>,
    /// A voter is on its way out of the quorum, or back into it.
    pub is_voter_away: Cell<bool>,
    /// The load and the faults are over.
    pub is_over: Cell<bool>,
    /// Clients that have not had their last answer.
    clients: Cell<usize>,
    /// How often what is rare has come about.
    pub seen: RefCell<BTreeMap<&'static str, usize>>,
}

#[derive(Clone)]
pub struct TopicSpec {
    pub name: &'static str,
    pub partitions: i32,
    pub min_isr: usize,
    pub flush_messages: i64,
    pub is_unclean: bool,
}

impl Cluster {
    /// Brokers from 1 on, all up and registered.
    pub async fn start(brokers: i32, is_real: bool, shape: Shape, rule: Option<Rule>) -> Rc<Cluster> {
        let ids: Vec<BrokerId> = (1..=brokers).map(BrokerId).collect();
        let image = Image::empty(
            "a-cluster",
            Arc::new(config(ids[0], &ids[..shape.voters], shape.log_dirs)),
        );
        let consensus = match is_real {
            true => Consensus::Real(Ledger::new(image.clone())),
            false => {
                let quorum = SimulatedQuorum::new(ids.clone());
                rt::spawn(quorum.clone().run());
                Consensus::Simulated(quorum)
            }
        };
        let node = |id: &BrokerId| Node::new(*id, &ids, shape, consensus.clone());
        let nodes: Vec<Node> = ids.iter().map(node).collect();
        let cluster = Rc::new(Cluster {
            nodes,
            consensus,
            oracle: RefCell::new(Oracle::new(image, rule)),
            names: Names::default(),
            given: Given::default(),
            topics: RefCell::default(),
            is_plotted: Cell::new(false),
            is_voter_away: Cell::new(false),
            is_over: Cell::new(false),
            clients: Cell::new(0),
            seen: RefCell::default(),
        });
        cluster.nodes.iter().for_each(Node::start);
        let all_active = |cluster: &Cluster| {
            let oracle = cluster.oracle.borrow();
            cluster.nodes.iter().all(|node| oracle.image().is_active(node.id))
        };
        cluster.until("all brokers are active", all_active).await;
        cluster
    }

    /// The machines of the other brokers.
    pub fn hosts_but(&self, host: HostId) -> impl Iterator<Item = HostId> {
        let hosts = self.nodes.iter().map(|node| node.host.id());
        hosts.filter(move |other| *other != host)
    }

    pub async fn create(&self, spec: TopicSpec) {
        let count = self.nodes.len() as i32;
        let replicas = |index: i32| (0..3).map(|at| BrokerId(1 + (index + at) % count)).collect();
        let configs = [
            ("min.insync.replicas", spec.min_isr.to_string()),
            ("flush.messages", spec.flush_messages.to_string()),
            ("unclean.leader.election.enable", spec.is_unclean.to_string()),
            ("segment.bytes", "1048576".to_owned()),
        ];
        let topic = CreateTopic {
            name: spec.name.to_owned(),
            partitions: -1,
            replication_factor: -1,
            assignments: (0..spec.partitions).map(|index| (index, replicas(index))).collect(),
            configs: configs.map(|(key, value)| (key.to_owned(), Some(value))).into(),
        };
        let deadline = rt::now().after(PATIENCE);
        while self.oracle().image().topic(spec.name).is_none() {
            let command = Command::CreateTopics {
                topics: vec![topic.clone()],
                validate_only: false,
            };
            let router = self.nodes[0].router().expect("it is up");
            let answer = router.metadata().submit(command).await;
            assert!(rt::now() < deadline, "{answer:?}");
        }
        self.topics.borrow_mut().push(spec);
    }

    /// As of the newest commit.
    pub fn oracle(&self) -> RefMut<'_, Oracle> {
        let mut oracle = self.oracle.borrow_mut();
        oracle.follow(&self.consensus);
        oracle
    }

    pub fn note(&self, what: impl Into<String>) {
        self.oracle.borrow().history.note(what);
    }

    pub fn saw(&self, what: &'static str) {
        self.saw_often(what, 1);
    }

    pub fn saw_often(&self, what: &'static str, times: usize) {
        if times > 0 {
            *self.seen.borrow_mut().entry(what).or_default() += times;
        }
    }

    pub fn partitions(&self) -> Vec<(TopicSpec, PartitionId)> {
        let (oracle, topics) = (self.oracle.borrow(), self.topics.borrow());
        let of = |spec: &TopicSpec| -> Vec<(TopicSpec, PartitionId)> {
            let topic = oracle.image().topic(spec.name).map(|topic| topic.id);
            let ids = (0..spec.partitions).filter_map(|index| Some(PartitionId { topic: topic?, index }));
            ids.map(|id| (spec.clone(), id)).collect()
        };
        topics.iter().flat_map(of).collect()
    }

    pub fn node(&self, id: BrokerId) -> &Node {
        &self.nodes[id.0 as usize - 1]
    }

    /// One of them, be it down.
    pub fn any_node(&self) -> &Node {
        &self.nodes[(random_u64() % self.nodes.len() as u64) as usize]
    }

    /// Who leads, as one of them sees it.
    pub fn leader_as_seen(&self, id: PartitionId) -> Option<&Node> {
        let image = self.any_node().router()?.image();
        let (_, state) = image.partition(&id)?;
        state.leader.map(|leader| self.node(leader))
    }

    /// Watches the metadata and the processes, for as long as the world lasts.
    pub async fn watch(self: Rc<Cluster>) {
        loop {
            drop(self.oracle());
            for node in &self.nodes {
                if let Some(how) = node.ended() {
                    self.note(format!("broker {}: has ended by itself", node.id.0));
                    if node.host.disk_failures() > 0 {
                        self.saw("a process ended by its disk");
                    }
                    self.away(node.id, how, paced(RESTART_AFTER));
                }
            }
            sleep(STEP).await;
        }
    }

    /// Does its work until the load is over and it has its last answer.
    pub fn begin_client(self: &Rc<Cluster>, work: impl Future<Output = ()> + 'static) {
        self.clients.set(self.clients.get() + 1);
        let cluster = self.clone();
        rt::spawn(async move {
            work.await;
            cluster.clients.set(cluster.clients.get() - 1);
        });
    }

    /// It ends now, and is started after a while.
    pub fn away(self: &Rc<Cluster>, broker: BrokerId, crash: Crash, lasts: Duration) {
        let node = self.node(broker);
        if !node.is_up() {
            return;
        }
        self.note(format!("broker {}: {crash:?}", broker.0));
        node.crash(crash);
        let cluster = self.clone();
        rt::spawn(async move {
            sleep(lasts).await;
            cluster.begin(broker);
        });
    }

    /// Starts it if it is not up.
    pub fn begin(&self, broker: BrokerId) {
        let node = self.node(broker);
        if !node.is_up() {
            self.note(format!("broker {}: starts", broker.0));
            node.start();
        }
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Cluster) -> bool) {
        let deadline = rt::now().after(PATIENCE);
        loop {
            drop(self.oracle());
            if is_so(self) {
                return;
            }
            assert!(rt::now() < deadline, "not in time: {what}");
            sleep(paced(LOOK_EVERY)).await;
        }
    }

    /// Waits until the partition is so; false: it is not, in that time.
    pub async fn comes(
        &self,
        id: PartitionId,
        within: Duration,
        is_so: impl Fn(&Image, &PartitionState) -> bool,
    ) -> bool {
        let is_so = |cluster: &Cluster| {
            let oracle = cluster.oracle();
            let state = oracle.image().partition(&id).map(|(_, state)| state);
            state.is_some_and(|state| is_so(oracle.image(), state))
        };
        self.comes_to(within, is_so).await
    }

    /// Waits until the cluster is so, or the load is over; false: it is not.
    pub async fn comes_to(&self, within: Duration, is_so: impl Fn(&Cluster) -> bool) -> bool {
        let deadline = rt::now().after(within);
        loop {
            if is_so(self) {
                return true;
            }
            if rt::now() >= deadline || self.is_over.get() {
                return false;
            }
            sleep(STEP).await;
        }
    }

    /// Nothing is broken any more, and all brokers run.
    pub async fn heal(&self) {
        self.note("all is healed");
        heal_all();
        self.nodes.iter().for_each(|node| node.host.clear_disk());
        let is_broken = |node: &&Node| node.router().is_none() || node.has_lost_disk();
        for node in self.nodes.iter().filter(is_broken) {
            node.crash(Crash::Kill);
            node.start();
        }
        self.until("all replicas are in sync", Cluster::is_whole).await;
        self.until("all clients have their answers", |cluster| cluster.clients.get() == 0)
            .await;
    }

    /// Every broker knows everything, and every replica is in sync.
    pub fn is_whole(&self) -> bool {
        let oracle = self.oracle.borrow();
        let has_all = |router: Router| router.image().epoch.0 >= self.consensus.commits() as u64;
        self.nodes.iter().all(|node| node.router().is_some_and(has_all))
            && self.partitions().iter().all(|(_, id)| {
                let (_, state) = oracle.image().partition(id).expect("it is there");
                state.leader.is_some() && state.isr.len() == state.replicas.len() && !state.is_reassigned()
            })
    }

    /// All replicas are the same to the last byte, and hold what was promised.
    pub async fn check(&self) {
        for node in &self.nodes {
            let router = node.router().expect("it is up");
            self.consensus.check(node.id, &router.image());
        }
        self.names.check();
        for (spec, id) in self.partitions() {
            let logs = self.equal_logs(&spec, id).await;
            self.oracle().check(id, &logs);
        }
    }

    /// Once they are equal and wholly visible: the log.
    async fn equal_logs(&self, spec: &TopicSpec, id: PartitionId) -> Vec<Batch> {
        let deadline = rt::now().after(PATIENCE);
        loop {
            let replicas = self.oracle().image().partition(&id).expect("there").1.replicas.clone();
            let mut logs = BTreeMap::new();
            let mut all_visible = true;
            for replica in replicas {
                let Some(router) = self.node(replica).router() else {
                    continue;
                };
                let (log, high_watermark) = read(&router, id, 0, Isolation::LogEnd).await;
                all_visible &= end(&log) == high_watermark;
                logs.insert(replica, log);
            }
            let mut all = logs.values();
            let first = all.next().expect("a replica").clone();
            if all_visible && all.all(|log| *log == first) {
                return first;
            }
            if rt::now() >= deadline {
                for (replica, log) in &logs {
                    let shown: Vec<_> = log.iter().map(|one| (one.offset, one.epoch, one.crc)).collect();
                    self.note(format!("broker {}: {shown:x?}", replica.0));
                }
                panic!("the replicas of {}-{} do not become the same", spec.name, id.index);
            }
            sleep(paced(LOOK_EVERY)).await;
        }
    }
}

fn end(log: &[Batch]) -> i64 {
    log.last().map_or(0, |last| last.next)
}

/// What a broker has of a partition from an offset on, and its high watermark; -1: it did not say.
pub async fn read(router: &Router, id: PartitionId, from: i64, isolation: Isolation) -> (Vec<Batch>, i64) {
    let mut all: Vec<Batch> = Vec::new();
    loop {
        let next = if all.is_empty() { from } else { end(&all) };
        let fetched = fetch(router, id, next, isolation).await;
        let new = match fetched.error.is_none() {
            true => batches(&fetched.records.concat()),
            false => Vec::new(),
        };
        if new.is_empty() {
            return (all, fetched.high_watermark);
        }
        all.extend(new);
    }
}

/// From any replica.
pub async fn fetch(router: &Router, id: PartitionId, offset: i64, isolation: Isolation) -> FetchedPartition {
    fetch_in(router, id, None, offset, isolation).await
}

/// From the leader of that epoch; `None`: from any replica.
pub async fn fetch_in(
    router: &Router,
    id: PartitionId,
    epoch: Option<i32>,
    offset: i64,
    isolation: Isolation,
) -> FetchedPartition {
    let item = FetchItem {
        partition: id,
        offset,
        max_bytes: 1 << 20,
        leader_epoch: epoch.unwrap_or(-1),
        last_fetched_epoch: -1,
        log_start: -1,
        held: false,
    };
    let spec = FetchSpec {
        items: vec![item],
        min_bytes: 0,
        max_bytes: 1 << 20,
        max_wait: Duration::ZERO,
        reader: Reader::Consumer {
            isolation,
            from_any_replica: epoch.is_none(),
        },
        no_wait: true,
    };
    router.fetch(spec).await.remove(0)
}
