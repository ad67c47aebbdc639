//! The control loop end to end, on a real directory: start, submit, publish, stop, restart.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_lite::future::block_on;
use tempfile::TempDir;

use super::*;
use crate::metadata::record::Record;
use crate::metadata::{Command, Published, Reply};
use crate::metadata::{ConfigChange, ConfigOp, ConfigResource, CreateTopic, DeleteTopic};
use crate::model::TopicId;

const DIRECTORY: DirId = DirId([7; 16]);

fn options(dir: &TempDir) -> ControlOptions {
    let config = Arc::new(BrokerConfig::embedded(dir.path()));
    ControlOptions::new(
        config,
        "cluster".to_owned(),
        dir.path().join("corelane-metadata"),
        vec![DIRECTORY],
    )
}

fn start_in(dir: &TempDir) -> (Handle, Arc<Image>) {
    start(options(dir), Vec::new()).unwrap()
}

fn stop(handle: &Handle) {
    handle.stop();
    handle.join();
}

fn create(name: &str, partitions: i32) -> Command {
    let topic = CreateTopic {
        name: name.to_owned(),
        partitions,
        replication_factor: 1,
        assignments: Default::default(),
        configs: Default::default(),
    };
    Command::CreateTopics {
        topics: vec![topic],
        validate_only: false,
    }
}

fn created(handle: &Handle, name: &str, partitions: i32) -> TopicId {
    match block_on(handle.submit(create(name, partitions))).unwrap() {
        Reply::CreateTopics(results) => results.into_iter().next().unwrap().unwrap().id,
        other => panic!("{other:?}"),
    }
}

/// A first start registers the broker with its advertised listeners; the next one finds topics and a higher epoch.
#[test]
fn a_restart_finds_what_was_created() {
    let dir = tempfile::tempdir().unwrap();
    let (handle, first) = start_in(&dir);
    let me = &first.brokers[&BrokerId(0)];
    assert_eq!(
        (me.endpoints[0].host.as_str(), me.endpoints[0].port),
        ("127.0.0.1", 9092)
    );
    assert_eq!(first.controller, Some(BrokerId(0)));
    let id = created(&handle, "orders", 3);
    stop(&handle);

    let (handle, second) = start_in(&dir);
    let topic = second.topic("orders").unwrap();
    assert_eq!((topic.id, topic.partitions.len()), (id, 3));
    assert_eq!(topic.partitions[0].directories, [DIRECTORY]);
    assert!(second.brokers[&BrokerId(0)].epoch > me.epoch);
    assert_ne!(second.brokers[&BrokerId(0)].incarnation, me.incarnation);
    stop(&handle);
}

/// Whoever is answered finds the change in the image that every shard has been given.
#[test]
fn every_shard_has_the_image_before_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let seen: Vec<_> = (0..3).map(|_| Arc::new(Mutex::new(None))).collect();
    let update = |seen: &Arc<Mutex<Option<Arc<Image>>>>| -> Box<dyn Fn(Published) + Send> {
        let seen = seen.clone();
        Box::new(move |published| *seen.lock().unwrap() = Some(published.image))
    };
    let (handle, _) = start(options(&dir), seen.iter().map(update).collect()).unwrap();
    for round in 0..50 {
        let name = format!("topic-{round}");
        created(&handle, &name, 1);
        for image in &seen {
            assert!(image.lock().unwrap().as_ref().unwrap().topic(&name).is_some());
        }
    }
    stop(&handle);
}

/// The broker's file is read again: a dynamic key is in the image of every shard before the answer, and a topic that does not
/// override it has it; commits go on behind.
#[test]
fn a_file_that_is_read_again_is_published() {
    let dir = tempfile::tempdir().unwrap();
    let seen = Arc::new(Mutex::new(None::<Arc<Image>>));
    let update = {
        let seen = seen.clone();
        Box::new(move |published: Published| *seen.lock().unwrap() = Some(published.image))
    };
    let (handle, first) = start(options(&dir), vec![update]).unwrap();
    created(&handle, "orders", 1);
    let mut newer = first.broker.as_ref().clone();
    newer.set.insert("min.insync.replicas".to_owned(), "2".to_owned());
    newer.set.insert("num.partitions".to_owned(), "9".to_owned());
    let reread = block_on(handle.reread(newer)).unwrap();
    assert_eq!(
        (reread.taken, reread.left),
        (
            vec!["min.insync.replicas".to_owned()],
            vec!["num.partitions".to_owned()]
        )
    );
    let image = seen.lock().unwrap().clone().unwrap();
    assert_eq!(image.topic("orders").unwrap().config.min_insync_replicas, 2);
    assert_eq!(image.config().num_partitions, first.broker.num_partitions);
    let version = image.version();
    created(&handle, "more", 1);
    let image = seen.lock().unwrap().clone().unwrap();
    assert!(image.version() > version);
    assert_eq!(image.topic("more").unwrap().config.min_insync_replicas, 2);
    stop(&handle);
}

/// Eight threads submit at the same time: each is answered, nothing is lost, one name is created once.
#[test]
fn concurrent_commands_are_decided_in_one_order() {
    let dir = tempfile::tempdir().unwrap();
    let (handle, _) = start_in(&dir);
    let shared_wins = AtomicUsize::new(0);
    let (threads, rounds) = (8, 20);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (handle, shared_wins) = (handle.clone(), &shared_wins);
            scope.spawn(move || {
                for round in 0..rounds {
                    created(&handle, &format!("own-{thread}-{round}"), 2);
                    match block_on(handle.submit(create(&format!("shared-{round}"), 1))).unwrap() {
                        Reply::CreateTopics(results) => match &results[0] {
                            Ok(_) => drop(shared_wins.fetch_add(1, Ordering::Relaxed)),
                            Err(error) => assert_eq!(error.code, ErrorCode::TopicAlreadyExists),
                        },
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    stop(&handle);
    assert_eq!(shared_wins.into_inner(), rounds);
    let (handle, image) = start_in(&dir);
    assert_eq!(image.topics.len(), threads * rounds + rounds);
    assert_eq!(image.partitions_in(&DIRECTORY), 2 * threads * rounds + rounds);
    stop(&handle);
}

/// Blocks of producer ids never overlap, also across a restart.
#[test]
fn producer_id_blocks_are_given_out_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut firsts = Vec::new();
    for _ in 0..2 {
        let (handle, image) = start_in(&dir);
        let broker = BrokerId(0);
        let epoch = image.brokers[&broker].epoch;
        for _ in 0..2 {
            match block_on(handle.submit(Command::AllocateProducerIds { broker, epoch })).unwrap() {
                Reply::ProducerIds { first, count } => firsts.push((first, count)),
                other => panic!("{other:?}"),
            }
        }
        stop(&handle);
    }
    assert_eq!(firsts, [(0, 1000), (1000, 1000), (2000, 1000), (3000, 1000)]);
}

/// After the stop commands are refused, not left waiting.
#[test]
fn a_stopped_controller_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let (handle, _) = start_in(&dir);
    stop(&handle);
    let refused = block_on(handle.submit(create("late", 1))).unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotController);
}

/// Metadata of another broker or another cluster are refused, with both names.
#[test]
fn foreign_metadata_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    stop(&start_in(&dir).0);
    let other_cluster = ControlOptions {
        cluster_id: "other".to_owned(),
        ..options(&dir)
    };
    let refused = start(other_cluster, Vec::new()).err().unwrap().to_string();
    assert!(
        refused.contains("belong to cluster cluster") && refused.contains("to cluster other"),
        "{refused}"
    );
    let mut config = BrokerConfig::embedded(dir.path());
    config.broker_id = 5;
    let refused = start(
        ControlOptions {
            config: Arc::new(config),
            ..options(&dir)
        },
        Vec::new(),
    );
    let refused = refused.err().unwrap().to_string();
    assert!(
        refused.contains("belong to broker 0") && refused.contains("says 5"),
        "{refused}"
    );
}

/// Duties come round while the loop lives.
#[test]
fn duties_come_round() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, rounds) = mpsc::channel();
    let duty: Duty = (
        Duration::from_millis(1),
        Box::new(move || sender.send(()).unwrap_or_default()),
    );
    let (handle, _) = start(
        ControlOptions {
            every: vec![duty],
            ..options(&dir)
        },
        Vec::new(),
    )
    .unwrap();
    for _ in 0..3 {
        rounds.recv_timeout(Duration::from_secs(30)).unwrap();
    }
    stop(&handle);
    assert!(rounds.iter().count() < 1_000_000, "the duty ends with the loop");
}

/// A directory that is offline gets no new partitions.
#[test]
fn offline_directories_get_no_partitions() {
    let dir = tempfile::tempdir().unwrap();
    let (offline, online) = (DirId([1; 16]), DirId([2; 16]));
    let options = ControlOptions {
        log_dirs: vec![offline, online],
        is_online: Arc::new(move |dir| *dir != offline),
        ..options(&dir)
    };
    let (handle, _) = start(options, Vec::new()).unwrap();
    created(&handle, "orders", 4);
    stop(&handle);
    let (handle, image) = start_in(&dir);
    assert_eq!((image.partitions_in(&offline), image.partitions_in(&online)), (0, 4));
    stop(&handle);
}

/// Many commits, each followed by a snapshot: a restart leads to the same image.
#[test]
fn a_restart_from_a_snapshot_gives_the_same_image() {
    let dir = tempfile::tempdir().unwrap();
    let policy = SnapshotPolicy {
        frames_max: 3,
        bytes_max: u64::MAX,
    };
    let engine = |dir: &TempDir| {
        let path = dir.path().join("corelane-metadata");
        move |_: &Handle| Embedded::new(path, policy)
    };
    let last: Arc<Mutex<Option<Arc<Image>>>> = Arc::default();
    let keep = last.clone();
    let updates: Updates = vec![Box::new(move |published| *keep.lock().unwrap() = Some(published.image))];
    let (handle, _) = start_with(engine(&dir), options(&dir), updates).unwrap();
    for round in 0..10 {
        created(&handle, &format!("topic-{round}"), 2);
    }
    let change = ConfigChange {
        resource: ConfigResource::Topic("topic-3".to_owned()),
        ops: vec![("retention.ms".to_owned(), ConfigOp::Set("1234".to_owned()))],
        replace: false,
    };
    let alter = Command::AlterConfigs {
        changes: vec![change],
        validate_only: false,
    };
    block_on(handle.submit(alter)).unwrap();
    let delete = Command::DeleteTopics {
        topics: vec![DeleteTopic::Name("topic-4".to_owned())],
    };
    block_on(handle.submit(delete)).unwrap();
    stop(&handle);
    let before = last.lock().unwrap().take().unwrap();

    let (handle, after) = start_with(engine(&dir), options(&dir), Vec::new()).unwrap();
    let but_brokers = |image: &Image| {
        let keep = |record: &Record| !matches!(record, Record::RegisterBroker(_));
        image.to_records().into_iter().filter(keep).collect::<Vec<_>>()
    };
    assert_eq!(but_brokers(&after), but_brokers(&before));
    assert_eq!(after.topic("topic-3").unwrap().config.retention_ms, 1234);
    stop(&handle);
}
