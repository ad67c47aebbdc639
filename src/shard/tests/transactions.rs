//! Transactions as clients and coordinators see them: verification, markers, what read_committed gets, restarts.

use super::*;
use crate::partition::Guard;
use crate::record::Marker;

/// One record of a producer's transaction.
fn in_transaction(producer_id: i64, epoch: i16, sequence: i32) -> ValidBatch {
    let builder = BatchBuilder::new(Compression::None)
        .producer(producer_id, epoch, sequence)
        .transactional();
    valid(records(builder, 1, 10))
}

async fn append_as(router: &Router, topic: TopicId, batch: &ValidBatch, warrant: Warrant) -> AppendOutcome {
    let append = AppendItem {
        warrant,
        ..item(topic, 0, batch)
    };
    router.append(vec![append], Acks::All, TIMEOUT).await.remove(0)
}

/// Appends with the coordinator's word, where that is asked for.
async fn append_verified(router: &Router, topic: TopicId, batch: &ValidBatch) -> i64 {
    let outcome = append_as(router, topic, batch, Warrant::None).await;
    assert_eq!(outcome.error, ErrorCode::InvalidTxnState);
    let guard: Guard = outcome.unverified.expect("asks for a verification");
    let outcome = append_as(router, topic, batch, Warrant::Verified(guard)).await;
    assert_eq!(outcome.error, ErrorCode::None, "{:?}", outcome.message);
    outcome.base_offset
}

fn marker(topic: TopicId, producer_id: i64, producer_epoch: i16, commit: bool) -> MarkerItem {
    MarkerItem {
        partition: id(topic, 0),
        producer_id,
        producer_epoch,
        marker: Marker {
            commit,
            coordinator_epoch: 3,
        },
        transaction_version: 0,
    }
}

async fn end(router: &Router, item: MarkerItem) -> ErrorCode {
    router.write_markers(&[item], TIMEOUT).await.remove(0)
}

async fn read_committed(router: &Router, topic: TopicId, offset: i64) -> FetchedPartition {
    let spec = FetchSpec {
        reader: Reader::consumer(Isolation::ReadCommitted),
        ..long_poll(vec![fetch(id(topic, 0), offset)], 0, Duration::ZERO)
    };
    router.fetch(spec).await.remove(0)
}

async fn stable_offset(router: &Router, topic: TopicId) -> i64 {
    let latest = ListOffsetsItem {
        partition: id(topic, 0),
        leader_epoch: -1,
        query: OffsetQuery::Latest,
        isolation: Isolation::ReadCommitted,
    };
    router.list_offsets(vec![latest]).await[0].offset
}

/// A topic with an aborted transaction of producer 1 (offsets 1, 2; marker 4) and an open one of producer 2 (from 3 on).
async fn prepare(router: &Router) -> TopicId {
    let topic = create(router, "t", 1, &[]).await;
    append(router, topic, 0, &batch(1, 10)).await;
    assert_eq!(append_verified(router, topic, &in_transaction(1, 0, 0)).await, 1);
    let next = append_as(router, topic, &in_transaction(1, 0, 1), Warrant::None).await;
    assert_eq!((next.error, next.base_offset), (ErrorCode::None, 2));
    assert_eq!(append_verified(router, topic, &in_transaction(2, 0, 0)).await, 3);
    assert_eq!(end(router, marker(topic, 1, 0, false)).await, ErrorCode::None);
    topic
}

async fn check_prepared(router: &Router, topic: TopicId) {
    let committed = read_committed(router, topic, 0).await;
    assert_eq!((committed.high_watermark, committed.last_stable_offset), (5, 3));
    assert_eq!(committed.aborted, Some(vec![(1, 1)]));
    assert_eq!(batches(&committed).last().map(BatchHeader::next_offset), Some(3));
    assert_eq!(stable_offset(router, topic).await, 3);
    assert_eq!(read_all(router, id(topic, 0)).await.len(), 5);
    let all = router
        .fetch(long_poll(vec![fetch(id(topic, 0), 0)], 0, Duration::ZERO))
        .await;
    assert_eq!(all[0].aborted, None);
    let known = router
        .producers(vec![ProducersItem {
            partition: id(topic, 0),
        }])
        .await
        .remove(0);
    let open: Vec<_> = known
        .producers
        .iter()
        .map(|one| (one.producer_id, one.transaction_first_offset))
        .collect();
    assert_eq!(open, [(1, None), (2, Some(3))]);
    assert_eq!(known.producers[0].coordinator_epoch, 3);
}

fn batches(fetched: &FetchedPartition) -> Vec<BatchHeader> {
    let bytes = fetched.records.concat();
    let (mut rest, mut headers) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let header = BatchHeader::parse(rest).unwrap();
        rest = &rest[header.total_len()..];
        headers.push(header);
    }
    headers
}

/// What is not decided is invisible to read_committed; what is, comes with the list of what was aborted. All of it
/// survives a restart: the open transaction, the index, the coordinator's epoch.
#[test]
fn transactions_survive_a_restart() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        let topic = prepare(&router).await;
        check_prepared(&router, topic).await;
    });
    broker(root.path(), 1, |_, router| async move {
        let topic = topic(&router, "t").await;
        // Opens the log.
        while stable_offset(&router, topic).await < 0 {
            rt::sleep(Duration::from_millis(1)).await;
        }
        check_prepared(&router, topic).await;
        assert_eq!(end(&router, marker(topic, 2, 0, true)).await, ErrorCode::None);
        let committed = read_committed(&router, topic, 3).await;
        assert_eq!(
            (committed.last_stable_offset, &committed.aborted),
            (6, &Some(vec![(1, 1)]))
        );
        assert_eq!(batches(&committed).len(), 3);
    });
}

/// Behaviour 61 and 63: who comes from an older epoch, of producer or coordinator, is refused with Kafka's codes.
#[test]
fn stale_producers_and_coordinators_are_refused() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        let topic = prepare(&router).await;
        let zombie = MarkerItem {
            marker: Marker {
                commit: true,
                coordinator_epoch: 2,
            },
            ..marker(topic, 1, 0, true)
        };
        assert_eq!(end(&router, zombie).await, ErrorCode::TransactionCoordinatorFenced);
        assert_eq!(end(&router, marker(topic, 2, 1, false)).await, ErrorCode::None);
        assert_eq!(
            end(&router, marker(topic, 2, 0, true)).await,
            ErrorCode::InvalidProducerEpoch
        );
        let late = append_as(&router, topic, &in_transaction(2, 0, 1), Warrant::None).await;
        assert_eq!(late.error, ErrorCode::InvalidProducerEpoch);
        append_verified(&router, topic, &in_transaction(2, 1, 0)).await;
        let outside = BatchBuilder::new(Compression::None).producer(2, 1, 1);
        let outside = append_as(&router, topic, &valid(records(outside, 1, 10)), Warrant::None).await;
        assert_eq!(outside.error, ErrorCode::InvalidTxnState);
    });
}

/// A long poll for committed data ends when the marker makes enough of it readable, however small the marker is.
#[test]
fn markers_end_long_polls() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        let topic = create(&router, "t", 1, &[]).await;
        append(&router, topic, 0, &batch(1, 10)).await;
        let builder = BatchBuilder::new(Compression::None).producer(1, 0, 0).transactional();
        append_verified(&router, topic, &valid(records(builder, 1, 1000))).await;
        let spec = FetchSpec {
            reader: Reader::consumer(Isolation::ReadCommitted),
            ..long_poll(vec![fetch(id(topic, 0), 1)], 1000, 2 * TIMEOUT)
        };
        let started = rt::now();
        let poll = router.fetch(spec);
        assert_eq!(end(&router, marker(topic, 1, 0, true)).await, ErrorCode::None);
        let fetched = poll.await.remove(0);
        assert_eq!(batches(&fetched).len(), 2);
        assert!(rt::now().since(started) < TIMEOUT);
    });
}
