//! Brokers that copy from each other, as whole shards with real files and sockets, all on one executor. Who leads is said by
//! hand: each image is published when the test wants it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::api::Services;
use crate::config::{BrokerConfig, TopicConfig};
use crate::conn::{Limits, NamedListener, ServeSpec, Server, serve};
use crate::group::{CommitItem, CommitOffsets, FetchOffsets, GroupReply, GroupRequest, Sender};
use crate::metadata::{
    self, BrokerState, ControlOptions, Endpoint, Image, ImageEpoch, PartitionState, Published, Topic,
};
use crate::metrics::Registry;
use crate::model::{DirId, ErrorCode, LeaderEpoch, OFFSETS_TOPIC, PartitionId, TopicId};
use crate::partition::Warrant;
use crate::record::{BatchBuilder, BatchHeader, Compression, ValidBatch};
use crate::rt::{self, Listener, SocketAddr};
use crate::shard::{
    self, Acks, AppendItem, AppendOutcome, DeleteRecordsItem, FetchItem, FetchSpec, FetchedPartition, Inbox, Isolation,
    ListOffsetsItem, OffsetQuery, Reader, ShardHandle, ShardSpec,
};
use crate::storage::LogDirs;

/// Longer than anything here takes on a busy machine; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const FETCH_WAIT: Duration = Duration::from_millis(500);
const TOPIC: TopicId = TopicId([0x5a; 16]);
const PARTITION: PartitionId = PartitionId { topic: TOPIC, index: 0 };
/// Broker 1 leads it all the time, where there is one.
const BESIDE: PartitionId = PartitionId { topic: TOPIC, index: 1 };

struct Node {
    id: BrokerId,
    config: Arc<BrokerConfig>,
    dir: DirId,
    handle: ShardHandle,
    router: Router,
    server: Server,
    registry: Arc<Registry>,
    address: SocketAddr,
}

struct Cluster {
    /// Of the only topic.
    topic: &'static str,
    nodes: Vec<Node>,
    published: Cell<u64>,
    has_beside: Cell<bool>,
}

/// What a thread that is none of a shard prepares for a node.
struct Prepared {
    config: Arc<BrokerConfig>,
    dirs: LogDirs,
    handle: ShardHandle,
    inbox: Inbox,
    metadata: metadata::Handle,
    image: Arc<Image>,
    _scratch: tempfile::TempDir,
}

/// Who leads, in which epoch, and who is in sync; all brokers have a replica.
#[derive(Clone, Copy)]
struct Lead {
    leader: i32,
    epoch: i32,
    isr: &'static [i32],
}

impl Cluster {
    fn node(&self, id: i32) -> &Node {
        self.nodes
            .iter()
            .find(|node| node.id.0 == id)
            .expect("a node of the cluster")
    }

    /// Every broker gets the image with this leadership.
    fn publish(&self, lead: Lead) {
        let ids: Vec<i32> = self.nodes.iter().map(|node| node.id.0).collect();
        self.publish_to(&ids, lead);
    }

    fn publish_to(&self, ids: &[i32], lead: Lead) {
        self.published.set(self.published.get() + 1);
        for node in ids.iter().map(|id| self.node(*id)) {
            let image = Arc::new(self.image(node, lead));
            node.handle.publish(Published { image });
        }
    }

    fn image(&self, node: &Node, lead: Lead) -> Image {
        let mut image = Image::empty("a-cluster", node.config.clone());
        image.epoch = ImageEpoch(self.published.get());
        for node in &self.nodes {
            image.brokers.insert(node.id, Arc::new(node.state()));
        }
        let state = |index, lead: Lead| PartitionState {
            index,
            leader: Some(BrokerId(lead.leader)),
            leader_epoch: LeaderEpoch(lead.epoch),
            partition_epoch: self.published.get() as i32,
            replicas: self.nodes.iter().map(|node| node.id).collect(),
            isr: lead.isr.iter().map(|id| BrokerId(*id)).collect(),
            directories: self.nodes.iter().map(|node| node.dir).collect(),
            adding: Vec::new(),
            removing: Vec::new(),
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            leader_recovering: false,
        };
        let mut partitions = vec![state(PARTITION.index, lead)];
        if self.has_beside.get() {
            let lead = Lead {
                leader: 1,
                epoch: 0,
                ..lead
            };
            partitions.push(state(BESIDE.index, lead));
        }
        let topic = Arc::new(Topic {
            name: self.topic.into(),
            id: TOPIC,
            partitions,
            overrides: Arc::default(),
            config: Arc::new(TopicConfig::clone(&node.config.topic_defaults)),
        });
        image.topics.insert(topic.name.clone(), topic.clone());
        image.topics_by_id.insert(TOPIC, topic);
        image
    }
}

impl Node {
    fn state(&self) -> BrokerState {
        let endpoint = Endpoint {
            listener: "PLAINTEXT".to_string(),
            host: self.address.ip().to_string(),
            port: self.address.port(),
        };
        BrokerState {
            id: self.id,
            epoch: 1,
            incarnation: [self.id.0 as u8; 16],
            rack: None,
            endpoints: vec![endpoint],
            fenced: false,
            in_controlled_shutdown: None,
            log_dirs: vec![self.dir],
            full_dirs: Vec::new(),
        }
    }

    fn start_copying(&self) {
        rt::spawn(run(ReplicaSpec {
            shard: ShardId(0),
            router: self.router.clone(),
            config: self.config.clone(),
        }));
    }

    /// Waits until followers copy from this broker under exactly these names.
    async fn until_copied_by(&self, names: &[&str]) {
        let deadline = rt::now().after(PATIENCE);
        loop {
            let connections = self.registry.connections().list();
            let mut seen: Vec<_> = connections.iter().map(|(_, cells)| cells.client_id()).collect();
            seen.sort_unstable();
            if seen == names {
                return;
            }
            assert!(rt::now() < deadline, "copied by {seen:?}, not by {names:?}");
            rt::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Until this broker leads.
    async fn append(&self, value: &[u8], acks: Acks, timeout: Duration) -> AppendOutcome {
        self.append_to(PARTITION, value, acks, timeout).await
    }

    async fn append_to(&self, partition: PartitionId, value: &[u8], acks: Acks, timeout: Duration) -> AppendOutcome {
        let deadline = rt::now().after(PATIENCE);
        loop {
            let outcome = self
                .router
                .append(vec![item(partition, value)], acks, timeout)
                .await
                .remove(0);
            let not_yet = matches!(
                outcome.error,
                ErrorCode::UnknownTopicOrPartition | ErrorCode::NotLeaderOrFollower
            );
            if !not_yet || rt::now() > deadline {
                return outcome;
            }
            rt::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn fetch(&self, offset: i64, leader_epoch: i32, reader: Reader) -> FetchedPartition {
        let item = FetchItem {
            partition: PARTITION,
            offset,
            max_bytes: 1 << 20,
            leader_epoch,
            last_fetched_epoch: -1,
            log_start: -1,
            held: false,
        };
        let spec = FetchSpec {
            items: vec![item],
            min_bytes: 0,
            max_bytes: 1 << 20,
            max_wait: Duration::ZERO,
            reader,
            no_wait: true,
        };
        self.router.fetch(spec).await.remove(0)
    }

    /// As broker 2: waits until there is something.
    async fn fetch_as_follower(&self, from: &[(PartitionId, i64)]) -> Vec<FetchedPartition> {
        let item = |&(partition, offset): &(PartitionId, i64)| FetchItem {
            partition,
            offset,
            max_bytes: 1 << 20,
            leader_epoch: 0,
            last_fetched_epoch: -1,
            log_start: -1,
            held: false,
        };
        let spec = FetchSpec {
            items: from.iter().map(item).collect(),
            min_bytes: 1,
            max_bytes: 1 << 20,
            max_wait: PATIENCE,
            reader: Reader::Follower {
                broker: BrokerId(2),
                epoch: 1,
            },
            no_wait: false,
        };
        self.router.fetch(spec).await
    }

    /// A record each millisecond, until it is over.
    fn write_on(&self, partition: PartitionId, is_over: Rc<Cell<bool>>) {
        let router = self.router.clone();
        rt::spawn(async move {
            while !is_over.get() {
                router.append(vec![item(partition, b"x")], Acks::Leader, PATIENCE).await;
                rt::sleep(Duration::from_millis(1)).await;
            }
        });
    }

    /// Every byte from `start` on that consumers may read from this broker, once they may read up to `high_watermark`.
    async fn read(&self, start: i64, high_watermark: i64) -> Vec<u8> {
        let reader = Reader::Consumer {
            isolation: Isolation::ReadUncommitted,
            from_any_replica: true,
        };
        let deadline = rt::now().after(PATIENCE);
        loop {
            let fetched = self.fetch(start, -1, reader).await;
            if fetched.error.is_none() && fetched.high_watermark == high_watermark {
                assert_eq!(fetched.log_start_offset, start);
                return fetched.records.concat();
            }
            assert!(rt::now() < deadline, "broker {} has {fetched:?}", self.id.0);
            rt::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until the log of this broker, which leads, ends here.
    async fn until_written(&self, end: i64) {
        let deadline = rt::now().after(PATIENCE);
        loop {
            let latest = ListOffsetsItem {
                partition: PARTITION,
                leader_epoch: -1,
                query: OffsetQuery::Latest,
                isolation: Isolation::LogEnd,
            };
            if self.router.list_offsets(vec![latest]).await[0].offset == end {
                return;
            }
            assert!(rt::now() < deadline, "the log does not come to {end}");
            rt::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn item(partition: PartitionId, value: &[u8]) -> AppendItem {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(1_000, None, Some(value), &[]);
    let bytes = builder.build();
    AppendItem {
        partition,
        batch: ValidBatch {
            header: BatchHeader::parse(&bytes).expect("the builder builds whole batches"),
            bytes,
            log_append_time_ms: -1,
        },
        warrant: Warrant::None,
    }
}

fn prepare(id: i32, change: impl Fn(&mut BrokerConfig)) -> Prepared {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let mut config = BrokerConfig {
        broker_id: id,
        log_dir_min_free_bytes: 0,
        ..BrokerConfig::embedded(scratch.path())
    };
    config.replication.backoff = Duration::from_millis(20);
    change(&mut config);
    let config = Arc::new(config);
    let (dirs, cluster_id) = LogDirs::open(&config.log_dirs, id).expect("a fresh directory");
    let ids = dirs.dirs.iter().map(|dir| dir.id).collect();
    let control = ControlOptions::new(config.clone(), cluster_id, scratch.path().join("metadata"), ids);
    let (metadata, _) = metadata::start(control, Vec::new()).expect("a fresh log");
    let image = Arc::new(Image::empty("a-cluster", config.clone()));
    let (mut handles, mut inboxes) = shard::mesh(1, &image);
    Prepared {
        config,
        dirs,
        handle: handles.remove(0),
        inbox: inboxes.remove(0),
        metadata,
        image,
        _scratch: scratch,
    }
}

/// Runs the node's pump and its connections.
fn start(prepared: Prepared) -> Node {
    let Prepared {
        config,
        dirs,
        handle,
        inbox,
        metadata,
        image,
        _scratch,
    } = prepared;
    let registry = Arc::new(Registry::new(1));
    let (router, pump) = shard::run(ShardSpec {
        inbox,
        config: config.clone(),
        dirs: dirs.dirs.clone(),
        checkpoints: Arc::new(BTreeMap::new()),
        metadata,
        image,
        metrics: registry.shard(0),
        liveness: Arc::default(),
    });
    let dir = dirs.dirs[0].id;
    rt::spawn(async move {
        pump.await;
        drop((dirs, _scratch));
    });
    let listener = Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let server = serve(ServeSpec {
        listeners: vec![NamedListener {
            name: "PLAINTEXT".to_string(),
            listener,
        }],
        services: Services::new(router.clone(), config.clone(), registry.shard(0), 1),
        limits: Limits::new(&config),
    });
    Node {
        id: BrokerId(config.broker_id),
        config,
        dir,
        handle,
        router,
        server,
        registry,
        address,
    }
}

/// Runs `test` against `count` brokers, from 1 on, then stops them.
fn with_cluster<F, Fut>(count: i32, test: F)
where
    F: FnOnce(Rc<Cluster>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    with_topic("t", count, FETCH_WAIT, test);
}

/// `fetch_wait`: how long a leader may let a follower wait for records.
fn with_topic<F, Fut>(topic: &'static str, count: i32, fetch_wait: Duration, test: F)
where
    F: FnOnce(Rc<Cluster>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    with_brokers(topic, count, |config| config.replication.fetch_wait = fetch_wait, test);
}

/// `change`: how the brokers' configuration is another one.
fn with_brokers<F, Fut>(topic: &'static str, count: i32, change: impl Fn(&mut BrokerConfig), test: F)
where
    F: FnOnce(Rc<Cluster>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let prepared: Vec<Prepared> = (1..=count).map(|id| prepare(id, &change)).collect();
    let controls: Vec<metadata::Handle> = prepared.iter().map(|one| one.metadata.clone()).collect();
    rt::testing::on_shard(move || async move {
        let cluster = Rc::new(Cluster {
            topic,
            nodes: prepared.into_iter().map(start).collect(),
            published: Cell::new(0),
            has_beside: Cell::new(false),
        });
        let tested = rt::timeout(3 * PATIENCE, test(cluster.clone())).await;
        tested.expect("the test ends in time");
        for node in &cluster.nodes {
            node.server.shutdown(FETCH_WAIT).await;
            node.handle.shutdown().await;
            node.handle.exit().await;
        }
    });
    for control in controls {
        control.stop();
        control.join();
    }
}

const BOTH: &[i32] = &[1, 2];

/// acks=all waits for the follower, which then holds the same bytes; acks=1 does not wait.
#[test]
fn an_acknowledged_record_is_on_both() {
    with_cluster(2, |cluster| async move {
        cluster.publish(Lead {
            leader: 1,
            epoch: 0,
            isr: BOTH,
        });
        let (leader, follower) = (cluster.node(1), cluster.node(2));
        let written = leader.append(b"one", Acks::Leader, PATIENCE).await;
        assert_eq!((written.error, written.base_offset), (ErrorCode::None, 0));
        let alone = leader.append(b"two", Acks::All, Duration::from_millis(50)).await;
        assert_eq!(alone.error, ErrorCode::RequestTimedOut);
        let consumer = Reader::consumer(Isolation::ReadUncommitted);
        assert_eq!(leader.fetch(0, -1, consumer).await.high_watermark, 0);
        follower.start_copying();
        let acked = leader.append(b"three", Acks::All, PATIENCE).await;
        assert_eq!((acked.error, acked.base_offset), (ErrorCode::None, 2));
        let bytes = leader.read(0, 3).await;
        assert_eq!(follower.read(0, 3).await, bytes);
    });
}

/// A leader that was cut off wrote what nobody else has. It follows the next leader, cuts that, and has the same bytes.
#[test]
fn a_deposed_leader_cuts_what_only_it_has() {
    with_cluster(2, |cluster| async move {
        cluster.publish(Lead {
            leader: 2,
            epoch: 0,
            isr: BOTH,
        });
        let (old, new) = (cluster.node(2), cluster.node(1));
        for value in [b"lost a", b"lost b", b"lost c"] {
            assert_eq!(old.append(value, Acks::Leader, PATIENCE).await.error, ErrorCode::None);
        }
        let waiting = old.router.append(vec![item(PARTITION, b"lost d")], Acks::All, PATIENCE);
        old.until_written(4).await;
        cluster.publish_to(
            &[1],
            Lead {
                leader: 1,
                epoch: 1,
                isr: &[1],
            },
        );
        assert_eq!(new.append(b"kept", Acks::All, PATIENCE).await.base_offset, 0);
        cluster.publish(Lead {
            leader: 1,
            epoch: 1,
            isr: &[1],
        });
        assert_eq!(waiting.await[0].error, ErrorCode::NotLeaderOrFollower);
        old.start_copying();
        let bytes = new.read(0, 1).await;
        assert_eq!(old.read(0, 1).await, bytes);
        cluster.publish(Lead {
            leader: 1,
            epoch: 1,
            isr: BOTH,
        });
        assert_eq!(new.append(b"both", Acks::All, PATIENCE).await.base_offset, 1);
        let bytes = new.read(0, 2).await;
        assert_eq!(old.read(0, 2).await, bytes);
    });
}

/// Leadership goes to and fro among three: each acknowledged record stays, at its offset, on all.
#[test]
fn leadership_moves_without_loss() {
    const ALL: &[i32] = &[1, 2, 3];
    with_cluster(3, |cluster| async move {
        cluster.nodes.iter().for_each(Node::start_copying);
        for (epoch, leader) in [1, 2, 3, 1, 3].into_iter().enumerate() {
            cluster.publish(Lead {
                leader,
                epoch: epoch as i32,
                isr: ALL,
            });
            for record in 0..5_i64 {
                let acked = cluster.node(leader).append(b"record", Acks::All, PATIENCE).await;
                let offset = 5 * epoch as i64 + record;
                assert_eq!((acked.error, acked.base_offset), (ErrorCode::None, offset));
            }
        }
        let bytes = cluster.node(3).read(0, 25).await;
        assert_eq!(cluster.node(1).read(0, 25).await, bytes);
        assert_eq!(cluster.node(2).read(0, 25).await, bytes);
    });
}

/// A follower that waits for records of one partition begins to copy another one of the same leader at once.
#[test]
fn a_new_follower_does_not_wait_behind_a_long_poll() {
    with_topic("t", 2, 2 * PATIENCE, |cluster| async move {
        cluster.has_beside.set(true);
        cluster.nodes.iter().for_each(Node::start_copying);
        cluster.publish(Lead {
            leader: 2,
            epoch: 0,
            isr: BOTH,
        });
        // Acknowledged by the request that waits for more from then on.
        let beside = cluster.node(1).append_to(BESIDE, b"a", Acks::All, PATIENCE).await;
        assert_eq!(beside.error, ErrorCode::None);
        cluster.publish(Lead {
            leader: 1,
            epoch: 1,
            isr: BOTH,
        });
        let acked = cluster.node(1).append(b"b", Acks::All, PATIENCE).await;
        assert_eq!(acked.error, ErrorCode::None);
    });
}

/// What is in sync and what is behind have a connection each: nothing that producers wait for waits for what the leader reads
/// from its disk for others. What came into sync changes over by itself, what fell out of it with its next records.
#[test]
fn replicas_behind_are_copied_apart() {
    let lead = |isr| Lead {
        leader: 1,
        epoch: 0,
        isr,
    };
    with_cluster(2, move |cluster| async move {
        let (leader, follower) = (cluster.node(1), cluster.node(2));
        let (in_sync, behind) = ("broker-2-fetcher-0", "broker-2-fetcher-0-behind");
        follower.start_copying();
        let mut end = 0;
        for round in 0..2 {
            cluster.publish(lead(&[1]));
            // The task that has it finds that it stands otherwise; the other one copies the next.
            for _ in 0..2 {
                let written = leader.append(b"record", Acks::All, PATIENCE).await;
                assert_eq!((written.error, written.base_offset), (ErrorCode::None, end), "{round}");
                end += 1;
                follower.read(0, end).await;
            }
            leader.until_copied_by(&[behind]).await;
            cluster.publish(lead(BOTH));
            leader.until_copied_by(&[in_sync]).await;
            assert_eq!(leader.append(b"record", Acks::All, PATIENCE).await.base_offset, end);
            end += 1;
        }
        let bytes = leader.read(0, end).await;
        assert_eq!(follower.read(0, end).await, bytes);
    });
}

/// What is read from the disk at a pace of its own holds up nothing else of the same fetch, and comes when it may.
#[test]
fn what_is_put_off_holds_up_nothing() {
    let change = |config: &mut BrokerConfig| {
        config.shard_cache_bytes = 200_000;
        config.shard_catchup_replica_bytes_per_second = 1;
    };
    with_brokers("t", 2, change, |cluster| async move {
        cluster.has_beside.set(true);
        cluster.publish(Lead {
            leader: 1,
            epoch: 0,
            isr: &[1],
        });
        let leader = cluster.node(1);
        for _ in 0..150 {
            leader.append_to(BESIDE, &[7; 10_000], Acks::Leader, PATIENCE).await;
        }
        let is_over = Rc::new(Cell::new(false));
        leader.write_on(BESIDE, is_over.clone());
        // The pace is kept while something is written: on a busy machine the writer may pause now and then.
        let deadline = rt::now().after(PATIENCE);
        for end in 0.. {
            leader.fetch_as_follower(&[(BESIDE, 0)]).await;
            let (router, record) = (leader.router.clone(), item(PARTITION, b"awaited"));
            rt::spawn(async move {
                rt::sleep(Duration::from_millis(20)).await;
                router.append(vec![record], Acks::Leader, PATIENCE).await;
            });
            let fetched = leader.fetch_as_follower(&[(PARTITION, end), (BESIDE, 0)]).await;
            leader.until_written(end + 1).await;
            if fetched.iter().map(|one| one.records.is_empty()).eq([false, true]) {
                let began = rt::now();
                let rest = leader.fetch_as_follower(&[(PARTITION, end + 1), (BESIDE, 0)]).await;
                assert!(rest[0].records.is_empty() && !rest[1].records.is_empty());
                assert!(rt::now().since(began) < PATIENCE);
                break;
            }
            assert!(rt::now() < deadline, "what is awaited comes with the rest: {fetched:?}");
        }
        is_over.set(true);
    });
}

/// A follower whose log ends before the leader's begins gives it up and begins anew there.
#[test]
fn a_follower_below_the_leaders_log_begins_anew() {
    with_cluster(2, |cluster| async move {
        cluster.publish(Lead {
            leader: 1,
            epoch: 0,
            isr: &[1],
        });
        let (leader, follower) = (cluster.node(1), cluster.node(2));
        for _ in 0..4 {
            leader.append(b"old", Acks::All, PATIENCE).await;
        }
        let item = DeleteRecordsItem {
            partition: PARTITION,
            offset: 3,
        };
        // The follower has not told where its log begins, so the client's time is over first.
        let deleted = leader
            .router
            .delete_records(vec![item.clone()], Duration::from_millis(20))
            .await;
        assert_eq!(deleted[0].error, ErrorCode::RequestTimedOut);
        follower.start_copying();
        let deleted = leader.router.delete_records(vec![item], PATIENCE).await;
        assert_eq!((deleted[0].error, deleted[0].low_watermark), (ErrorCode::None, 3));
        let bytes = leader.read(3, 4).await;
        assert_eq!(follower.read(3, 4).await, bytes);
    });
}

/// A broker without a replica, and one with another epoch in mind, are sent away; only the leader is copied from.
#[test]
fn strangers_and_old_epochs_are_refused() {
    with_cluster(2, |cluster| async move {
        cluster.publish(Lead {
            leader: 1,
            epoch: 3,
            isr: BOTH,
        });
        let (leader, follower) = (cluster.node(1), cluster.node(2));
        leader.append(b"one", Acks::Leader, PATIENCE).await;
        let replica = |broker| Reader::Follower {
            broker: BrokerId(broker),
            epoch: 1,
        };
        let error = async |node: &Node, epoch, broker| node.fetch(0, epoch, replica(broker)).await.error;
        assert_eq!(error(leader, 3, 2).await, ErrorCode::None);
        assert_eq!(error(leader, 3, 7).await, ErrorCode::UnknownLeaderEpoch);
        assert_eq!(error(leader, 2, 2).await, ErrorCode::FencedLeaderEpoch);
        assert_eq!(error(leader, 4, 2).await, ErrorCode::UnknownLeaderEpoch);
        assert_eq!(error(follower, 3, 1).await, ErrorCode::NotLeaderOrFollower);
    });
}

/// A group's offsets are found where its coordinator has moved to; the broker that had it sends clients away.
#[test]
fn coordinators_move_with_their_partition() {
    with_topic(OFFSETS_TOPIC, 2, FETCH_WAIT, |cluster| async move {
        cluster.nodes.iter().for_each(Node::start_copying);
        let (first, second) = (cluster.node(1), cluster.node(2));
        cluster.publish(Lead {
            leader: 1,
            epoch: 0,
            isr: BOTH,
        });
        let item = CommitItem {
            topic: "orders".into(),
            topic_id: TopicId([1; 16]),
            partition: 4,
            offset: 77,
            leader_epoch: -1,
            metadata: String::new(),
        };
        let commit = || {
            GroupRequest::CommitOffsets(CommitOffsets {
                group: "g".into(),
                sender: Sender {
                    epoch: -1,
                    ..Sender::default()
                },
                version: 9,
                retention_ms: None,
                producer: None,
                items: vec![CommitItem {
                    topic: item.topic.clone(),
                    metadata: String::new(),
                    ..item
                }],
            })
        };
        let committed = asked(first, commit).await;
        assert_eq!(committed, GroupReply::Committed(Ok(vec![ErrorCode::None])));
        cluster.publish(Lead {
            leader: 2,
            epoch: 1,
            isr: BOTH,
        });
        let fetch = || {
            GroupRequest::FetchOffsets(FetchOffsets {
                group: "g".into(),
                sender: Sender {
                    epoch: -1,
                    ..Sender::default()
                },
                partitions: None,
                require_stable: false,
            })
        };
        let GroupReply::Fetched(Ok(offsets)) = asked(second, fetch).await else {
            panic!("offsets are answered")
        };
        let offsets: Vec<_> = offsets
            .iter()
            .map(|one| (&*one.topic, one.partition, one.offset))
            .collect();
        assert_eq!(offsets, [("orders", 4, 77)]);
        let refused = first.router.group(PARTITION, fetch()).await;
        assert_eq!(refused, Err(ErrorCode::NotCoordinator));
    });
}

/// Until the coordinator is on this broker, and its state is loaded.
async fn asked(node: &Node, request: impl Fn() -> GroupRequest) -> GroupReply {
    let deadline = rt::now().after(PATIENCE);
    loop {
        match node.router.group(PARTITION, request()).await {
            Ok(reply) => return reply,
            Err(error) => assert!(rt::now() < deadline, "{error:?}"),
        }
        rt::sleep(Duration::from_millis(2)).await;
    }
}
