//! Whole shards on real executors, with a real control thread and real files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::config::BrokerConfig;
use crate::metadata::{Command, ControlOptions, CreateTopic, DeleteTopic, Reply};
use crate::metrics::Registry;
use crate::model::{ErrorCode, PartitionId, ShardId, TopicId};
use crate::partition::Warrant;
use crate::record::{BatchBuilder, BatchHeader, Compression, ValidBatch};
use crate::rt::{self, testing::on_shards};
use crate::storage::{LogDir, LogDirs};

mod journal;
mod transactions;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs `body` on each of `shards` shards over the data in `path`, then stops them in order.
pub(crate) fn broker<F, Fut>(path: &Path, shards: usize, body: F)
where
    F: Fn(ShardId, Router) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    broker_on(path, shards, move |shard, router, _| body(shard, router));
}

/// What a shard's test may reach around it.
pub(super) struct Around {
    pub log_dir: Arc<LogDir>,
    pub shard: ShardHandle,
}

/// As `broker`; `body` gets what is around its shard too.
pub(super) fn broker_on<F, Fut>(path: &Path, shards: usize, body: F)
where
    F: Fn(ShardId, Router, Around) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let config = Arc::new(BrokerConfig {
        journal_bytes: 1 << 20,
        log_dir_min_free_bytes: 0,
        ..BrokerConfig::embedded(path)
    });
    let (dirs, cluster_id) = LogDirs::open(&config.log_dirs, config.broker_id).unwrap();
    dirs.check_space(0);
    let checkpoints = dirs
        .dirs
        .iter()
        .map(|dir| (dir.id, dirs.read_checkpoint(dir)))
        .collect();
    dirs.dirs.iter().for_each(|dir| dirs.mark_in_use(dir));
    let checkpoints: Arc<BTreeMap<_, _>> = Arc::new(checkpoints);
    let nothing = Arc::new(Image::empty(&cluster_id, config.clone()));
    let (handles, inboxes) = mesh(shards, &nothing);
    let mut control = ControlOptions::new(config.clone(), cluster_id, path.join("metadata"), Vec::new());
    control.log_dirs = dirs.dirs.iter().map(|dir| dir.id).collect();
    let publish = |handle: &ShardHandle| {
        let handle = handle.clone();
        Box::new(move |published| handle.publish(published)) as Box<dyn Fn(metadata::Published) + Send>
    };
    let (metadata, image) = metadata::start(control, handles.iter().map(publish).collect()).unwrap();
    let registry = Registry::new(shards);
    let inboxes: Vec<_> = inboxes.into_iter().map(Some).collect();
    let inboxes = Arc::new(Mutex::new(inboxes));
    let stopped = Arc::new(Mutex::new(Vec::new()));
    let running = Arc::new(AtomicUsize::new(shards));
    let spec = {
        let (metadata, dirs) = (metadata.clone(), dirs.dirs.clone());
        move |id: ShardId| ShardSpec {
            inbox: inboxes.lock().unwrap()[usize::from(id.0)].take().unwrap(),
            config: config.clone(),
            dirs: dirs.clone(),
            checkpoints: checkpoints.clone(),
            metadata: metadata.clone(),
            image: image.clone(),
            metrics: registry.shard(usize::from(id.0)),
            liveness: Arc::new(AtomicU64::new(0)),
        }
    };
    let rows = stopped.clone();
    let log_dir = dirs.dirs[0].clone();
    on_shards(shards, move |id| {
        let (router, pump) = run(spec(id));
        let (body, running, handles, rows) = (body.clone(), running.clone(), handles.clone(), rows.clone());
        let around = Around {
            log_dir: log_dir.clone(),
            shard: handles[usize::from(id.0)].clone(),
        };
        async move {
            let work = async move {
                body(id, router, around).await;
                if running.fetch_sub(1, Ordering::SeqCst) > 1 {
                    return;
                }
                for handle in &handles {
                    let stopped = handle.shutdown().await.await.unwrap();
                    rows.lock().unwrap().push(stopped);
                }
                for handle in &handles {
                    handle.exit().await;
                }
            };
            futures_lite::future::zip(pump, work).await;
        }
    });
    metadata.stop();
    metadata.join();
    write_checkpoints(&dirs, &stopped.lock().unwrap());
}

fn write_checkpoints(dirs: &LogDirs, stopped: &[Stopped]) {
    for dir in &dirs.dirs {
        let mut file = Checkpoint::default();
        for row in stopped
            .iter()
            .flat_map(|one| &one.checkpoints)
            .filter(|row| row.dir == dir.id)
        {
            file.put(&row.topic, row.partition, row.checkpoint);
        }
        file.clean = stopped.iter().all(|one| !one.unclean.contains(&dir.id));
        assert!(file.clean);
        dirs.write_checkpoint(&dir.path, &file).unwrap();
    }
}

pub(crate) async fn create(router: &Router, name: &str, partitions: i32, configs: &[(&str, &str)]) -> TopicId {
    let topic = CreateTopic {
        name: name.to_string(),
        partitions,
        replication_factor: 1,
        assignments: BTreeMap::new(),
        configs: configs
            .iter()
            .map(|(key, value)| (key.to_string(), Some(value.to_string())))
            .collect(),
    };
    let command = Command::CreateTopics {
        topics: vec![topic],
        validate_only: false,
    };
    match router.metadata().submit(command).await {
        Ok(Reply::CreateTopics(created)) => created[0].as_ref().unwrap().id,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn delete(router: &Router, name: &str) {
    let topics = vec![DeleteTopic::Name(name.to_string())];
    let deleted = router.metadata().submit(Command::DeleteTopics { topics }).await;
    assert!(matches!(deleted, Ok(Reply::DeleteTopics(results)) if results[0].is_ok()));
}

/// Waits until this shard has seen the topic.
pub(super) async fn topic(router: &Router, name: &str) -> TopicId {
    let deadline = rt::now().after(TIMEOUT);
    loop {
        if let Some(topic) = router.image().topic(name) {
            return topic.id;
        }
        assert!(rt::now() < deadline, "no topic {name}");
        rt::sleep(Duration::from_millis(1)).await;
    }
}

/// A batch of `count` records of `value_bytes` each.
pub(super) fn batch(count: i64, value_bytes: usize) -> ValidBatch {
    valid(records(BatchBuilder::new(Compression::None), count, value_bytes))
}

fn sequenced(producer_id: i64, sequence: i32) -> ValidBatch {
    valid(records(
        BatchBuilder::new(Compression::None).producer(producer_id, 0, sequence),
        1,
        10,
    ))
}

fn records(mut builder: BatchBuilder, count: i64, value_bytes: usize) -> Bytes {
    for at in 0..count {
        builder.push(1_000 + at, None, Some(&vec![b'x'; value_bytes]), &[]);
    }
    builder.build()
}

fn valid(bytes: Bytes) -> ValidBatch {
    ValidBatch {
        header: BatchHeader::parse(&bytes).unwrap(),
        bytes,
        log_append_time_ms: -1,
    }
}

pub(crate) fn id(topic: TopicId, index: i32) -> PartitionId {
    PartitionId { topic, index }
}

fn item(topic: TopicId, index: i32, batch: &ValidBatch) -> AppendItem {
    AppendItem {
        partition: id(topic, index),
        batch: batch.clone(),
        warrant: Warrant::None,
    }
}

/// Appends one batch and gives its outcome. A partition whose owner has not seen the topic yet is asked again.
pub(super) async fn append(router: &Router, topic: TopicId, index: i32, batch: &ValidBatch) -> AppendOutcome {
    let deadline = rt::now().after(TIMEOUT);
    loop {
        let outcome = router
            .append(vec![item(topic, index, batch)], Acks::All, TIMEOUT)
            .await
            .remove(0);
        if outcome.error != ErrorCode::UnknownTopicOrPartition || rt::now() > deadline {
            return outcome;
        }
    }
}

fn fetch(partition: PartitionId, offset: i64) -> FetchItem {
    FetchItem {
        partition,
        offset,
        max_bytes: 1 << 20,
        leader_epoch: -1,
        last_fetched_epoch: -1,
        log_start: -1,
        held: false,
    }
}

fn long_poll(items: Vec<FetchItem>, min_bytes: usize, max_wait: Duration) -> FetchSpec {
    FetchSpec {
        items,
        min_bytes,
        max_bytes: 10 << 20,
        max_wait,
        reader: Reader::consumer(Isolation::ReadUncommitted),
        no_wait: false,
    }
}

/// Every header from offset 0 to the high watermark; checks that the offsets have no gap.
pub(super) async fn read_all(router: &Router, partition: PartitionId) -> Vec<BatchHeader> {
    let mut headers: Vec<BatchHeader> = Vec::new();
    loop {
        let next = headers.last().map_or(0, BatchHeader::next_offset);
        let spec = long_poll(vec![fetch(partition, next)], 0, Duration::ZERO);
        let fetched = router.fetch(spec).await.remove(0);
        assert_eq!(fetched.error, ErrorCode::None);
        if next == fetched.high_watermark {
            return headers;
        }
        let more = headers_from(next, &fetched);
        assert!(!more.is_empty(), "no data below the high watermark");
        headers.extend(more);
    }
}

/// Those of whole batches without a gap between them, the first at `next`.
fn headers_from(mut next: i64, fetched: &FetchedPartition) -> Vec<BatchHeader> {
    let mut headers = Vec::new();
    let mut bytes = &fetched.records.concat()[..];
    while !bytes.is_empty() {
        let header = BatchHeader::parse(bytes).unwrap();
        header.check_crc(&bytes[..header.total_len()]).unwrap();
        assert_eq!(header.base_offset, next);
        next = header.next_offset();
        bytes = &bytes[header.total_len()..];
        headers.push(header);
    }
    headers
}

/// Every shard appends to every partition at the same time, several requests in flight: outcomes come in the order of the
/// items, offsets in the order of the calls, and everything that was acknowledged is read back without gap or copy.
#[test]
fn appends_of_all_shards_are_stored_in_order() {
    const PARTITIONS: i32 = 5;
    const REQUESTS: usize = 12;
    for shards in [1, 2, 4] {
        let root = tempfile::tempdir().unwrap();
        let done = Arc::new(AtomicUsize::new(0));
        broker(root.path(), shards, move |shard, router| {
            let done = done.clone();
            async move {
                let topic = match shard {
                    ShardId(0) => create(&router, "t", PARTITIONS, &[]).await,
                    _ => topic(&router, "t").await,
                };
                for index in 0..PARTITIONS {
                    assert_eq!(
                        append(&router, topic, index, &batch(1, 10)).await.error,
                        ErrorCode::None
                    );
                }
                // From the last partition to the first: the order of the items is not the order of the owners.
                let request = |count| {
                    (0..PARTITIONS)
                        .rev()
                        .map(|index| item(topic, index, &batch(count, 100)))
                        .collect()
                };
                let calls: Vec<_> = (1..=REQUESTS)
                    .map(|count| router.append(request(count as i64), Acks::Leader, TIMEOUT))
                    .collect();
                let mut last = [0; PARTITIONS as usize];
                for call in calls {
                    let outcomes = call.await;
                    assert_eq!(outcomes.len(), PARTITIONS as usize);
                    for (outcome, last) in outcomes.iter().zip(&mut last) {
                        assert_eq!(outcome.error, ErrorCode::None);
                        assert!(outcome.base_offset > *last);
                        *last = outcome.base_offset;
                    }
                }
                done.fetch_add(1, Ordering::SeqCst);
                while done.load(Ordering::SeqCst) < shards {
                    rt::sleep(Duration::from_millis(1)).await;
                }
                for index in 0..PARTITIONS {
                    let headers = read_all(&router, id(topic, index)).await;
                    assert_eq!(headers.len(), shards * (REQUESTS + 1));
                }
            }
        });
    }
}

/// An idle long poll takes its whole time; one that gets data ends with it; one that wants the data of several owners ends
/// when their sum is enough.
#[test]
fn long_poll_waits_for_its_bytes() {
    for shards in [1, 2] {
        let root = tempfile::tempdir().unwrap();
        broker(root.path(), shards, |shard, router| async move {
            if shard != ShardId(0) {
                return;
            }
            let topic = create(&router, "t", 2, &[]).await;
            let one = batch(1, 500);
            let mut next = 1;
            for index in 0..2 {
                assert_eq!(append(&router, topic, index, &one).await.error, ErrorCode::None);
            }
            let ends = |next| (0..2).map(|index| fetch(id(topic, index), next)).collect::<Vec<_>>();
            let idle = Duration::from_millis(250);
            let started = rt::now();
            let fetched = router.fetch(long_poll(ends(next), 1, idle)).await;
            assert!(rt::now().since(started) >= idle);
            assert!(fetched.iter().all(|one| one.error.is_none() && one.records.is_empty()));

            let poll = router.fetch(long_poll(ends(next), 1, TIMEOUT));
            assert_eq!(append(&router, topic, 1, &one).await.base_offset, next);
            let fetched = poll.await;
            assert_eq!(fetched[0].record_bytes(), 0);
            assert_eq!(fetched[1].record_bytes(), one.bytes.len());
            assert_eq!(append(&router, topic, 0, &one).await.base_offset, next);

            next += 1;
            let poll = router.fetch(long_poll(ends(next), 2 * one.bytes.len(), TIMEOUT));
            for index in 0..2 {
                assert_eq!(append(&router, topic, index, &one).await.base_offset, next);
            }
            let fetched = poll.await;
            assert!(fetched.iter().all(|part| part.record_bytes() == one.bytes.len()));
            assert!(rt::now().since(started) < TIMEOUT);
        });
    }
}

/// A topic that is deleted and created again under the same name, with appends in flight, begins at 0 and holds only what
/// was appended to it; those who waited for the old one are told.
#[test]
fn recreated_topic_holds_nothing_of_the_old_one() {
    for shards in [1, 3] {
        let root = tempfile::tempdir().unwrap();
        broker(root.path(), shards, |shard, router| async move {
            if shard != ShardId(0) {
                return;
            }
            for round in 0..4 {
                let old = create(&router, "t", 3, &[]).await;
                for index in 0..3 {
                    assert_eq!(
                        append(&router, old, index, &batch(1, 10)).await.base_offset,
                        0,
                        "round {round}"
                    );
                }
                let request = || (0..3).map(|index| item(old, index, &batch(2, 3_000))).collect();
                let in_flight: Vec<_> = (0..10).map(|_| router.append(request(), Acks::All, TIMEOUT)).collect();
                let poll = router.fetch(long_poll(vec![fetch(id(old, 0), 0)], 1 << 20, TIMEOUT));
                delete(&router, "t").await;
                let new = create(&router, "t", 3, &[]).await;
                for index in 0..3 {
                    let outcome = append(&router, new, index, &batch(5, 10)).await;
                    assert_eq!(
                        (outcome.error, outcome.base_offset),
                        (ErrorCode::None, 0),
                        "round {round}"
                    );
                }
                for index in 0..3 {
                    assert_eq!(read_all(&router, id(new, index)).await.len(), 1);
                }
                for outcome in in_flight {
                    let gone = ErrorCode::UnknownTopicOrPartition;
                    assert!(outcome.await.iter().all(|one| one.error.is_none() || one.error == gone));
                }
                assert_eq!(poll.await[0].error, ErrorCode::UnknownTopicOrPartition);
                delete(&router, "t").await;
            }
        });
    }
}

/// What was acknowledged, and the producers' sequences, are there after a restart with another number of shards.
#[test]
fn restart_keeps_records_and_sequences() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 2, |shard, router| async move {
        if shard == ShardId(0) {
            let topic = create(&router, "t", 2, &[]).await;
            for sequence in 0..3 {
                for index in 0..2 {
                    let outcome = append(&router, topic, index, &sequenced(77, sequence)).await;
                    assert_eq!(
                        (outcome.error, outcome.base_offset),
                        (ErrorCode::None, i64::from(sequence))
                    );
                }
            }
        }
    });
    broker(root.path(), 3, |shard, router| async move {
        if shard == ShardId(0) {
            let topic = topic(&router, "t").await;
            for index in 0..2 {
                for sequence in 0..3 {
                    let again = append(&router, topic, index, &sequenced(77, sequence)).await;
                    let original = (ErrorCode::None, i64::from(sequence));
                    assert_eq!((again.error, again.base_offset), original);
                }
                let gap = append(&router, topic, index, &sequenced(77, 5)).await;
                assert_eq!(gap.error, ErrorCode::OutOfOrderSequenceNumber);
                assert_eq!(read_all(&router, id(topic, index)).await.len(), 3);
            }
        }
    });
}

/// Readers of a log that no memory holds, side by side and in pieces of different sizes, get all of it in order, whoever
/// reads ahead for whom.
#[test]
fn a_cold_log_is_read_whole_by_several_readers() {
    const BATCHES: usize = 40;
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        let topic = create(&router, "t", 1, &[]).await;
        for _ in 0..BATCHES {
            assert_eq!(
                append(&router, topic, 0, &batch(2, 100_000)).await.error,
                ErrorCode::None
            );
        }
    });
    broker(root.path(), 1, |_, router| async move {
        let partition = id(topic(&router, "t").await, 0);
        let reader = |max_bytes: usize| {
            let router = router.clone();
            async move {
                let (mut next, mut batches) = (0, 0);
                while next < 2 * BATCHES as i64 {
                    let item = FetchItem {
                        max_bytes,
                        ..fetch(partition, next)
                    };
                    let fetched = router.fetch(long_poll(vec![item], 1, TIMEOUT)).await.remove(0);
                    let headers = headers_from(next, &fetched);
                    next = headers.last().map_or(next, BatchHeader::next_offset);
                    batches += headers.len();
                }
                batches
            }
        };
        let large = futures_lite::future::zip(reader(1 << 20), reader(1 << 20));
        let small = futures_lite::future::zip(reader(500_000), reader(10));
        let read = futures_lite::future::zip(large, small).await;
        assert_eq!(read, ((BATCHES, BATCHES), (BATCHES, BATCHES)));
    });
}

/// Offsets, epochs and sizes are answered as Kafka does, errors included (behaviours 33, 34, 37, 42, 44, 45).
#[test]
fn questions_about_offsets() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 2, |shard, router| async move {
        if shard != ShardId(0) {
            return;
        }
        let topic = create(&router, "t", 1, &[]).await;
        let compacted = create(&router, "c", 1, &[("cleanup.policy", "compact")]).await;
        append(&router, topic, 0, &batch(10, 10)).await;
        append(&router, compacted, 0, &batch(1, 10)).await;
        let t = id(topic, 0);
        let epoch = router.image().topic("t").unwrap().partitions[0].leader_epoch.0;

        let read = async |offset, leader_epoch| {
            let item = FetchItem {
                leader_epoch,
                ..fetch(t, offset)
            };
            router.fetch(long_poll(vec![item], 1, Duration::ZERO)).await.remove(0)
        };
        assert_eq!(read(11, -1).await.error, ErrorCode::OffsetOutOfRange);
        assert_eq!(read(11, -1).await.high_watermark, -1);
        assert_eq!(
            (read(10, epoch).await.error, read(10, epoch).await.records.len()),
            (ErrorCode::None, 0)
        );
        assert_eq!(read(0, epoch + 1).await.error, ErrorCode::UnknownLeaderEpoch);
        assert_eq!(read(3, -1).await.record_bytes(), batch(10, 10).bytes.len());

        let list = async |query| {
            let item = ListOffsetsItem {
                partition: t,
                leader_epoch: -1,
                query,
                isolation: Isolation::ReadCommitted,
            };
            let listed = router.list_offsets(vec![item]).await.remove(0);
            (listed.error, listed.offset, listed.timestamp)
        };
        assert_eq!(list(OffsetQuery::Earliest).await, (ErrorCode::None, 0, -1));
        assert_eq!(list(OffsetQuery::Latest).await, (ErrorCode::None, 10, -1));
        assert_eq!(list(OffsetQuery::Timestamp(1_004)).await, (ErrorCode::None, 4, 1_004));
        assert_eq!(list(OffsetQuery::Timestamp(9_999)).await, (ErrorCode::None, -1, -1));
        assert_eq!(list(OffsetQuery::MaxTimestamp).await, (ErrorCode::None, 9, 1_009));

        let end = async |asked| {
            let item = EpochItem {
                partition: t,
                current_leader_epoch: -1,
                epoch: asked,
            };
            let end = router.epoch_ends(vec![item]).await.remove(0);
            (end.error, end.epoch, end.end_offset)
        };
        assert_eq!(end(epoch).await, (ErrorCode::None, epoch, 10));
        assert_eq!(end(epoch + 1).await, (ErrorCode::None, -1, -1));

        let cut = async |partition, offset| {
            let item = DeleteRecordsItem { partition, offset };
            let deleted = router.delete_records(vec![item], TIMEOUT).await.remove(0);
            (deleted.error, deleted.low_watermark)
        };
        assert_eq!(cut(t, 11).await, (ErrorCode::OffsetOutOfRange, -1));
        assert_eq!(cut(t, 4).await, (ErrorCode::None, 4));
        assert_eq!(read(3, -1).await.error, ErrorCode::OffsetOutOfRange);
        assert_eq!(cut(t, -1).await, (ErrorCode::None, 10));
        assert_eq!(list(OffsetQuery::Earliest).await, (ErrorCode::None, 10, -1));
        assert_eq!(cut(id(compacted, 0), -1).await.0, ErrorCode::PolicyViolation);
        let unknown = id(TopicId([9; 16]), 0);
        assert_eq!(cut(unknown, -1).await.0, ErrorCode::UnknownTopicOrPartition);
        let sizes = router.log_sizes(vec![LogSizeItem { partition: t }]).await;
        assert!(sizes[0].size_bytes > 0 && sizes[0].log_dir.is_some());
    });
}

/// A retry that comes before the first attempt's write is done is answered with the original offset, and not before the
/// batch is written and visible.
#[test]
fn retry_waits_for_the_write_of_the_original() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 2, |shard, router| async move {
        if shard != ShardId(0) {
            return;
        }
        let topic = create(&router, "t", 2, &[]).await;
        for index in 0..2 {
            append(&router, topic, index, &batch(1, 10)).await;
            for sequence in 0..20 {
                let attempt = || router.append(vec![item(topic, index, &sequenced(5, sequence))], Acks::All, TIMEOUT);
                let (original, retry) = (attempt(), attempt());
                let retry = retry.await.remove(0);
                let partition = id(topic, index);
                let spec = long_poll(vec![fetch(partition, retry.base_offset)], 0, Duration::ZERO);
                let seen = router.fetch(spec).await.remove(0);
                assert_eq!(
                    (retry.error, retry.base_offset),
                    (ErrorCode::None, i64::from(sequence) + 1)
                );
                assert_eq!(seen.high_watermark, retry.base_offset + 1);
                assert_eq!(original.await[0].base_offset, retry.base_offset);
            }
        }
    });
}

/// Whoever creates a topic can ask for its partitions at once: questions wait for the new logs.
#[test]
fn a_new_topic_answers_at_once() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 2, |shard, router| async move {
        if shard != ShardId(0) {
            return;
        }
        let topic = create(&router, "t", 20, &[]).await;
        let list = |index| ListOffsetsItem {
            partition: id(topic, index),
            leader_epoch: -1,
            query: OffsetQuery::Latest,
            isolation: Isolation::ReadUncommitted,
        };
        let listed = router.list_offsets((0..20).map(list).collect());
        let poll = long_poll(
            (0..20).map(|index| fetch(id(topic, index), 0)).collect(),
            1,
            Duration::ZERO,
        );
        let fetched = router.fetch(poll);
        assert!(
            listed
                .await
                .iter()
                .all(|one| (one.error, one.offset) == (ErrorCode::None, 0))
        );
        assert!(fetched.await.iter().all(|one| one.error == ErrorCode::None));
    });
}

/// So are those of a broker that has just started.
#[test]
fn a_restarted_broker_answers_at_once() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        let topic = create(&router, "t", 20, &[]).await;
        for index in 0..20 {
            append(&router, topic, index, &batch(3, 10)).await;
        }
    });
    broker(root.path(), 2, |shard, router| async move {
        if shard == ShardId(0) {
            let topic = topic(&router, "t").await;
            let items = (0..20).map(|index| fetch(id(topic, index), 0)).collect();
            let fetched = router.fetch(long_poll(items, 1, Duration::ZERO)).await;
            assert!(
                fetched
                    .iter()
                    .all(|one| (one.error, one.high_watermark) == (ErrorCode::None, 3))
            );
        }
    });
}

/// A topic that goes before its logs are there is gone for those who wait for them, too.
#[test]
fn a_topic_that_goes_at_once_lets_nobody_wait() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        let topic = create(&router, "t", 50, &[]).await;
        let items = (0..50).map(|index| fetch(id(topic, index), 0)).collect();
        let began = rt::now();
        let fetched = router.fetch(long_poll(items, 1, TIMEOUT));
        delete(&router, "t").await;
        let gone = |one: &FetchedPartition| one.error == ErrorCode::UnknownTopicOrPartition;
        assert!(fetched.await.iter().any(gone));
        assert!(rt::now().since(began) < TIMEOUT / 2);
        // The same directories: they are there once the old logs are gone.
        let topic = create(&router, "t", 50, &[]).await;
        for index in 0..50 {
            assert_eq!(append(&router, topic, index, &batch(1, 10)).await.base_offset, 0);
        }
    });
}

/// What had not been opened of it keeps no other topic waiting.
#[test]
fn a_topic_that_goes_at_once_keeps_no_other_waiting() {
    const MANY: i32 = 500;
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        let append_to_last = async |name, count| {
            let began = rt::now();
            let topic = create(&router, name, count, &[]).await;
            append(&router, topic, count - 1, &batch(1, 10)).await;
            rt::now().since(began)
        };
        let many_took = append_to_last("opened", MANY).await;
        create(&router, "gone", MANY, &[]).await;
        delete(&router, "gone").await;
        let one_took = append_to_last("other", 1).await;
        assert!(one_took * 2 < many_took, "{one_took:?}, {many_took:?} for {MANY}");
    });
}

/// The offsets that a checkpoint file holds at start are those of the topic of that time, not of a later one of its name.
#[test]
fn topic_recreated_after_a_restart_begins_at_0() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        let topic = create(&router, "t", 1, &[]).await;
        append(&router, topic, 0, &batch(10, 10)).await;
        let item = DeleteRecordsItem {
            partition: id(topic, 0),
            offset: 7,
        };
        assert_eq!(router.delete_records(vec![item], TIMEOUT).await[0].low_watermark, 7);
    });
    broker(root.path(), 1, |_, router| async move {
        topic(&router, "t").await;
        delete(&router, "t").await;
        let topic = create(&router, "t", 1, &[]).await;
        assert_eq!(append(&router, topic, 0, &batch(1, 10)).await.base_offset, 0);
    });
}

/// A kill before the next checkpoint leaves the offsets of the deleted topic in the files: its namesake's records stay.
#[test]
fn checkpoint_of_a_deleted_topic_hides_nothing_of_its_namesake() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        let topic = create(&router, "t", 1, &[]).await;
        append(&router, topic, 0, &batch(10, 10)).await;
        let item = DeleteRecordsItem {
            partition: id(topic, 0),
            offset: 7,
        };
        assert_eq!(router.delete_records(vec![item], TIMEOUT).await[0].low_watermark, 7);
    });
    let dir = BrokerConfig::embedded(root.path()).log_dirs[0].clone();
    let files = [
        "recovery-point-offset-checkpoint",
        "log-start-offset-checkpoint",
        "topic-id-checkpoint",
    ];
    let stale = files.map(|name| std::fs::read(dir.join(name)).unwrap());
    broker(root.path(), 1, |_, router| async move {
        topic(&router, "t").await;
        delete(&router, "t").await;
        let topic = create(&router, "t", 1, &[]).await;
        assert_eq!(append(&router, topic, 0, &batch(3, 10)).await.base_offset, 0);
    });
    for (name, content) in files.iter().zip(&stale) {
        std::fs::write(dir.join(name), content).unwrap();
    }
    std::fs::remove_file(dir.join(".kafka_cleanshutdown")).unwrap();
    broker(root.path(), 1, |_, router| async move {
        let topic = topic(&router, "t").await;
        let appended = append(&router, topic, 0, &batch(1, 10)).await;
        assert_eq!((appended.base_offset, appended.log_start_offset), (3, 0));
    });
}

/// A broker that has closed its logs is fenced, and an image with other brokers makes each of its shards look at every topic.
#[test]
fn a_shard_that_has_stopped_opens_nothing() {
    let root = tempfile::tempdir().unwrap();
    broker_on(root.path(), 1, |_, router, Around { shard, .. }| async move {
        shard.shutdown().await.await.unwrap();
        create(&router, "late", 1, &[]).await;
        topic(&router, "late").await;
        shard.checkpoint().await.expect("it has looked");
    });
    let log_dir = &BrokerConfig::embedded(root.path()).log_dirs[0];
    assert!(log_dir.exists() && !log_dir.join("late-0").exists());
}

/// Of a producer that nothing is known of yet, too: whatever number comes first would begin its batches.
#[test]
fn a_batch_behind_a_refused_one_waits_for_it() {
    let root = tempfile::tempdir().unwrap();
    broker_on(root.path(), 1, |_, router, Around { log_dir, .. }| async move {
        let topic = create(&router, "t", 1, &[]).await;
        let sent = async |sequence| append(&router, topic, 0, &sequenced(77, sequence)).await.error;
        log_dir.set_full(true);
        assert_eq!(sent(0).await, ErrorCode::KafkaStorageError);
        log_dir.set_full(false);
        assert_eq!(sent(1).await, ErrorCode::KafkaStorageError);
        for sequence in 0..2 {
            assert_eq!(sent(sequence).await, ErrorCode::None);
        }
    });
}

/// A topic is deleted whose directory is another one's, of the same name: that one's records may be all that is left of it.
#[test]
fn the_directory_of_another_topic_is_not_removed() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        let topic = create(&router, "t", 1, &[]).await;
        append(&router, topic, 0, &batch(10, 10)).await;
    });
    let dir = BrokerConfig::embedded(root.path()).log_dirs[0].join("t-0");
    let another = "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ\n";
    std::fs::write(dir.join("partition.metadata"), another).unwrap();
    broker(root.path(), 1, |_, router| async move {
        let topic = topic(&router, "t").await;
        let refused = append(&router, topic, 0, &batch(1, 10)).await;
        assert_eq!(refused.error, ErrorCode::KafkaStorageError);
        delete(&router, "t").await;
        create(&router, "another", 1, &[]).await;
    });
    let log = std::fs::metadata(dir.join("00000000000000000000.log")).unwrap();
    assert!(log.len() > 0);
}
