//! Three nodes in one process over loopback, each with its control thread and its own directory: they form a cluster,
//! decide, lose one, take it back.

use std::net::TcpListener;
use std::sync::Mutex;
use std::time::Instant;

use futures_lite::future::block_on;
use tempfile::TempDir;

use super::super::link::Link;
use super::super::types::directory_id;
use super::*;
use crate::config::{ListenerSpec, Role, VoterSpec};
use crate::metadata::thread::{ControlOptions, start, start_with};
use crate::metadata::{Command, CommandError, CreateTopic, NewVoter, Published, Reply};
use crate::metrics::ControlCells;
use crate::model::{DirId, ErrorCode};

const PATIENCE: Duration = Duration::from_secs(60);

/// The engine of a node whose process is killed: it hands nothing over at its end. And its inside, to be looked at.
struct Killed(Quorum, Inside);

type Inside = Arc<Mutex<Option<Raft>>>;

impl Engine for Killed {
    async fn start(&mut self) -> Result<(Vec<Record>, ImageEpoch), StartError> {
        let started = self.0.start().await;
        *self.1.lock().unwrap() = self.0.running.as_ref().map(|(raft, _)| raft.clone());
        started
    }
    async fn commit(&mut self, base: ImageEpoch, records: &[Record]) -> Result<ImageEpoch, CommitError> {
        self.0.commit(base, records).await
    }
    async fn next(&mut self) -> Event {
        self.0.next().await
    }
    async fn confirm(&self, base: ImageEpoch) -> Result<(), CommitError> {
        self.0.confirm(base).await
    }
    async fn resign(&mut self) {}
    fn quorum(&self) -> Option<QuorumState> {
        self.0.quorum()
    }
    fn remove_voter(&self, node: BrokerId, directory: DirId) -> VoterChange {
        self.0.remove_voter(node, directory)
    }
    fn add_voter(&self, new: NewVoter) -> VoterChange {
        self.0.add_voter(new)
    }
    fn remote(&self) -> Option<Remote> {
        self.0.remote()
    }
    fn wants_snapshot(&self) -> bool {
        self.0.wants_snapshot()
    }
    fn snapshot(&mut self, records: &[Record]) -> io::Result<()> {
        self.0.snapshot(records)
    }
}

/// What outlives a node's process.
pub(super) struct Machinery {
    dirs: Vec<TempDir>,
    pub(super) voters: Vec<VoterSpec>,
    /// Of an observer, where it finds the voters; `None`: where they are.
    pub(super) seen_by_observer: Option<Vec<VoterSpec>>,
    pub(super) told_to_observer: Vec<(String, u16)>,
    /// Nobody is named but the first node, as a server.
    is_dynamic: bool,
    cluster: Mutex<Option<String>>,
    session_ms: i64,
    /// Brokers that a node saw being fenced.
    fenced: Arc<Mutex<Vec<BrokerId>>>,
}

pub(super) struct Node {
    handle: Handle,
    image: Arc<Mutex<Option<Arc<Image>>>>,
    /// Nothing in one that does not vote.
    inside: Inside,
}

/// The node that does not vote.
pub(super) const OBSERVER: i32 = 4;

impl Machinery {
    pub(super) fn new() -> Machinery {
        let free = |_| TcpListener::bind("127.0.0.1:0").unwrap();
        let held: Vec<_> = (0..3).map(free).collect();
        let voter = |(at, port): (usize, &TcpListener)| VoterSpec {
            id: at as i32 + 1,
            host: "127.0.0.1".to_owned(),
            port: port.local_addr().unwrap().port(),
        };
        Machinery {
            dirs: (1..=OBSERVER).map(|_| tempfile::tempdir().unwrap()).collect(),
            voters: held.iter().enumerate().map(voter).collect(),
            seen_by_observer: None,
            told_to_observer: Vec::new(),
            is_dynamic: false,
            cluster: Mutex::new(None),
            session_ms: 3_000,
            fenced: Arc::default(),
        }
    }

    pub(super) fn dynamic() -> Machinery {
        Machinery {
            is_dynamic: true,
            ..Machinery::new()
        }
    }

    pub(super) fn path(&self, id: i32) -> PathBuf {
        self.dirs[id as usize - 1].path().join("corelane-metadata")
    }

    /// By which the tools know its metadata directory.
    pub(super) fn directory(&self, id: i32) -> DirId {
        directory_id(form::voter_id(&self.path(id)).unwrap())
    }

    pub(super) fn voter(&self, id: i32) -> Voter {
        let spec = &self.voters[id as usize - 1];
        Voter {
            node: BrokerId(spec.id),
            ..Voter::at(&spec.host, spec.port)
        }
    }

    pub(super) fn quorum(&self, id: i32) -> QuorumConfig {
        let listener = |voter: &VoterSpec| ListenerSpec {
            name: "CONTROLLER".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: voter.port,
        };
        let seen = self.seen_by_observer.as_ref().filter(|_| id == OBSERVER);
        let first = &self.voters[0];
        let listener = self.voters.get(id as usize - 1).map(listener);
        QuorumConfig {
            is_dynamic: self.is_dynamic,
            role: match id {
                OBSERVER if self.voters.len() < OBSERVER as usize => Role::Broker,
                _ => Role::Both,
            },
            voters: match self.is_dynamic {
                true => Vec::new(),
                false => seen.unwrap_or(&self.voters).clone(),
            },
            bootstrap: match self.is_dynamic {
                true => vec![(first.host.clone(), first.port)],
                false => self.told_to_observer.clone(),
            },
            listener_name: "CONTROLLER".to_owned(),
            advertised: listener.clone(),
            listener,
            election_timeout_ms: 500,
            request_timeout_ms: 2_000,
        }
    }

    fn options(&self, id: i32) -> ControlOptions {
        let mut config = BrokerConfig::embedded(self.dirs[id as usize - 1].path());
        config.broker_id = id;
        config.broker_heartbeat_interval_ms = 100;
        config.broker_session_timeout_ms = self.session_ms;
        let cluster = self.cluster.lock().unwrap().clone().unwrap_or_default();
        ControlOptions::new(Arc::new(config), cluster, self.path(id), vec![DirId([id as u8; 16])])
    }

    pub(super) fn set_cluster_id(&self, id: &str) {
        *self.cluster.lock().unwrap() = Some(id.to_owned());
    }

    pub(super) fn cluster_id(&self) -> Option<String> {
        self.cluster.lock().unwrap().clone()
    }

    /// A node alone, which has created a topic and stopped.
    pub(super) fn run_single(&self, id: i32, topic: &str) -> ImageEpoch {
        let (single, before) = start(self.options(id), Vec::new()).unwrap();
        block_on(single.submit(create(topic))).unwrap();
        single.stop();
        single.join();
        before.epoch
    }

    /// Starts the node; returns when it is registered.
    pub(super) fn boot(&self, id: i32) -> Node {
        self.boot_shown(id, ControlCells::default())
    }

    pub(super) fn boot_shown(&self, id: i32, cells: ControlCells) -> Node {
        let known = self.cluster.lock().unwrap().clone().filter(|_| self.path(id).exists());
        let formed = form(BrokerId(id), &self.quorum(id), &self.path(id), known).unwrap();
        *self.cluster.lock().unwrap() = Some(formed.cluster_id.clone());
        let mut options = ControlOptions {
            cells,
            ..self.options(id)
        };
        let mut config = options.config.as_ref().clone();
        config.quorum = Some(self.quorum(id));
        options.config = Arc::new(config);
        let (image, inside) = (Arc::<Mutex<Option<Arc<Image>>>>::default(), Inside::default());
        let (keep, fenced) = (image.clone(), self.fenced.clone());
        let update = Box::new(move |published: Published| {
            let before = keep.lock().unwrap().replace(published.image.clone());
            let was_active = |id: &BrokerId| before.as_ref().is_some_and(|before| is_active(before, *id));
            let now = published.image.brokers.values().filter(|broker| broker.fenced);
            let newly = now.map(|broker| broker.id).filter(was_active);
            fenced.lock().unwrap().extend(newly);
        });
        let (config, quorum, dir, seen) = (options.config.clone(), self.quorum(id), self.path(id), inside.clone());
        options.formed = Some(formed.clone());
        let started = match quorum.is_observer() {
            true => start(options, vec![update]),
            false => {
                let engine =
                    move |handle: &Handle| Killed(Quorum::new(config, quorum, dir, formed, handle.clone()), seen);
                start_with(engine, options, vec![update])
            }
        };
        let (handle, first) = started.unwrap();
        handle.set_ready();
        image.lock().unwrap().get_or_insert(first);
        Node { handle, image, inside }
    }

    pub(super) fn boot_all(&self) -> Vec<Node> {
        std::thread::scope(|scope| {
            let starting: Vec<_> = (1..=3).map(|id| scope.spawn(move || self.boot(id))).collect();
            starting.into_iter().map(|node| node.join().unwrap()).collect()
        })
    }
}

impl Node {
    pub(super) fn raft(&self) -> Raft {
        self.inside.lock().unwrap().clone().unwrap()
    }

    pub(super) fn image(&self) -> Arc<Image> {
        self.image.lock().unwrap().clone().unwrap()
    }

    pub(super) fn kill(&self) {
        self.handle.stop();
        self.handle.join();
    }

    pub(super) fn submit(&self, command: Command) -> Result<Reply, CommandError> {
        block_on(self.handle.submit(command))
    }

    /// Creates the topic, over a change of controllers if need be.
    pub(super) fn create(&self, name: &str) {
        wait_until(name, || match self.submit(create(name)) {
            Ok(Reply::CreateTopics(results)) => match &results[0] {
                Ok(_) => true,
                Err(error) => error.code == ErrorCode::TopicAlreadyExists,
            },
            _ => false,
        });
    }

    pub(super) fn has_topics(&self, names: &[&str]) -> bool {
        let image = self.image();
        names.iter().all(|name| image.topic(name).is_some())
    }
}

pub(super) fn is_active(image: &Image, id: BrokerId) -> bool {
    image.brokers.get(&id).is_some_and(|broker| !broker.fenced)
}

fn create(name: &str) -> Command {
    let topic = CreateTopic {
        name: name.to_owned(),
        partitions: 2,
        replication_factor: 1,
        assignments: Default::default(),
        configs: Default::default(),
    };
    Command::CreateTopics {
        topics: vec![topic],
        validate_only: false,
    }
}

pub(super) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn controllers(nodes: &[Node]) -> Vec<Option<BrokerId>> {
    nodes.iter().map(|node| node.image().controller).collect()
}

/// The one that all of them name.
pub(super) fn agreed_controller(nodes: &[Node]) -> usize {
    let mut found = None;
    wait_until("one controller", || {
        let named = controllers(nodes);
        found = named[0].filter(|_| named.iter().all(|other| *other == named[0]));
        found.is_some()
    });
    found.unwrap().0 as usize - 1
}

/// Three new nodes become one cluster; what one of them asks for is decided, and whoever asked sees it at once, the others
/// soon. A killed controller is replaced; it comes back from its disk and has what it missed.
#[test]
fn three_nodes_decide_lose_the_controller_and_take_it_back() {
    let machinery = Machinery::new();
    let mut nodes = machinery.boot_all();
    for node in &nodes {
        let name = format!("from-{:p}", node);
        node.create(&name);
        assert!(node.has_topics(&[&name]), "who asked sees it");
    }
    nodes[0].create("first");
    wait_until("all nodes have it", || {
        nodes.iter().all(|node| node.has_topics(&["first"]))
    });
    wait_until("all vote", || is_complete(&nodes));

    let controller = agreed_controller(&nodes);
    nodes.remove(controller).kill();
    nodes[0].create("second");
    assert_ne!(nodes[0].image().controller, Some(BrokerId(controller as i32 + 1)));
    wait_until("the rest has it", || {
        nodes.iter().all(|node| node.has_topics(&["first", "second"]))
    });

    let back = machinery.boot(controller as i32 + 1);
    wait_until("it has caught up", || back.has_topics(&["first", "second"]));
    back.create("third");
    nodes.push(back);
    wait_until("all have it", || nodes.iter().all(|node| node.has_topics(&["third"])));
    nodes.iter().for_each(Node::kill);
}

/// All vote, and may lead.
fn is_complete(nodes: &[Node]) -> bool {
    let of_all = |node: &Node| {
        let voters = node
            .inside
            .lock()
            .unwrap()
            .as_ref()
            .map_or(0, |raft| raft.voter_ids().count());
        let image = node.image();
        voters == 3 && image.brokers.len() == 3 && image.brokers.values().all(|broker| !broker.fenced)
    };
    nodes.iter().all(of_all)
}

/// Nobody waits for the session of a node whose process has ended, be it the controller or another; it is let in again.
#[test]
fn a_process_that_has_ended_is_fenced_at_once() {
    let machinery = Machinery {
        session_ms: 3_600_000,
        ..Machinery::new()
    };
    let mut nodes = machinery.boot_all();
    for is_controller in [false, true] {
        wait_until("all vote", || is_complete(&nodes));
        machinery.fenced.lock().unwrap().clear();
        let controller = agreed_controller(&nodes);
        let killed = if is_controller {
            controller
        } else {
            (controller + 1) % 3
        };
        let id = BrokerId(killed as i32 + 1);
        nodes.remove(killed).kill();
        wait_until("the others know", || {
            nodes.iter().all(|node| !is_active(&node.image(), id))
        });
        // Whoever leads anew has not fenced anybody who lives.
        let fenced = std::mem::take(&mut *machinery.fenced.lock().unwrap());
        assert!(fenced.iter().all(|one| *one == id), "{fenced:?} instead of {id:?}");
        nodes.insert(killed, machinery.boot(id.0));
    }
    // One that is back before anybody was refused need not wait either.
    wait_until("all vote", || is_complete(&nodes));
    nodes.remove(0).kill();
    nodes.insert(0, machinery.boot(1));
    wait_until("all are active", || is_complete(&nodes));
    nodes.iter().for_each(Node::kill);
}

/// It lacks its directory, and is let in once the one that it was is taken out; nobody who runs is.
#[test]
fn a_node_that_lost_its_directory_comes_again_once_it_is_removed() {
    let machinery = Machinery::new();
    let mut nodes = machinery.boot_all();
    wait_until("all vote", || is_complete(&nodes));
    let directories: Vec<DirId> = (1..=3).map(|id| machinery.directory(id)).collect();
    let remove = |node: &Node, id: i32| {
        let command = Command::RemoveVoter {
            node: BrokerId(id),
            directory: directories[id as usize - 1],
        };
        node.submit(command).map_err(|error| error.code)
    };
    for id in 1..=3 {
        assert_eq!(
            remove(&nodes[0], id).err(),
            Some(ErrorCode::InvalidRequest),
            "{id} runs"
        );
    }
    let lost = (agreed_controller(&nodes) + 1) % 3;
    let id = lost as i32 + 1;
    nodes.remove(lost).kill();
    std::fs::remove_dir_all(machinery.path(id)).unwrap();
    nodes[0].create("meanwhile");
    std::thread::scope(|scope| {
        // It asks who is there from now on, and is refused.
        let back = scope.spawn(|| machinery.boot(id));
        wait_until("it is removed", || remove(&nodes[0], id).is_ok());
        nodes.insert(lost, back.join().unwrap());
    });
    wait_until("all vote", || is_complete(&nodes));
    assert!(nodes[lost].has_topics(&["meanwhile"]));
    assert_eq!(remove(&nodes[0], id).err(), Some(ErrorCode::VoterNotFound), "as it was");
    nodes.iter().for_each(Node::kill);
}

/// However it came to that while it runs: it learns nothing more, so it must not lead.
#[test]
fn a_node_that_was_taken_out_is_fenced() {
    let machinery = Machinery::new();
    let nodes = machinery.boot_all();
    wait_until("all vote", || is_complete(&nodes));
    let controller = agreed_controller(&nodes);
    let out = (controller + 1) % 3;
    let voter = form::voter_id(&machinery.path(out as i32 + 1)).unwrap();
    let raft = nodes[controller].raft();
    let change = openraft::ChangeMembers::RemoveVoters([voter].into());
    block_on(raft.change_membership(change, false)).unwrap();
    wait_until("it is fenced", || {
        !is_active(&nodes[controller].image(), BrokerId(out as i32 + 1))
    });
    nodes.iter().for_each(Node::kill);
}

/// The metadata of a single node become those of the cluster that it grows into, and its directory is not a single node's
/// any more.
#[test]
fn a_single_node_grows_into_a_cluster() {
    let machinery = Machinery::new();
    *machinery.cluster.lock().unwrap() = Some("4L6g3nShT-eMCtK--X86sw".to_owned());
    let before = machinery.run_single(2, "old");

    let nodes = machinery.boot_all();
    wait_until("all have its topic", || {
        nodes.iter().all(|node| node.has_topics(&["old"]))
    });
    assert!(nodes[0].image().epoch > before);
    nodes[2].create("new");
    nodes.iter().for_each(Node::kill);
    let refused = start(machinery.options(2), Vec::new()).err().expect("refused");
    assert!(refused.to_string().contains("are those of a cluster"), "{refused}");
}

/// A voter that has lost its directory is told so, and not let in under its old name.
#[test]
fn a_wiped_voter_is_refused() {
    let machinery = Machinery::new();
    let nodes = machinery.boot_all();
    wait_until("all voters", || is_complete(&nodes));
    let controller = agreed_controller(&nodes) as i32 + 1;
    let wiped = if controller == 3 { 2 } else { 3 };
    nodes[wiped as usize - 1].kill();
    let me = Arc::new(Identity {
        cluster: machinery.cluster.lock().unwrap().clone(),
        ..Identity::new(BrokerId(wiped), 77, [1; 16])
    });
    let refused = refusal(me, machinery.voter(controller));
    assert!(refused.contains("it has lost its metadata directory"), "{refused}");
}

/// What the voter says to who says that he is that.
pub(super) fn refusal(me: Arc<Identity>, voter: Voter) -> String {
    let (told, answer) = std::sync::mpsc::channel();
    let asking = rt::run_control("asks", move || async move {
        let answer = Link::ask_identity(me, voter).await.map_err(|error| error.to_string());
        told.send(answer).unwrap();
    });
    asking.unwrap().join().unwrap();
    answer.recv().unwrap().unwrap_err()
}
