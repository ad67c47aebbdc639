//! A real shard and its coordinators, in an order of events that needs luck over the network.

use std::time::Duration;

use super::*;
use crate::api::testing::context;
use crate::group::{CommitOffsets, GroupRequest, Sender};
use crate::model::{OFFSETS_TOPIC, TopicId};
use crate::partition::Guard;
use crate::record::{BatchBuilder, BatchHeader, Compression, ValidBatch};
use crate::shard::tests::{TIMEOUT, broker, create, id};
use crate::shard::{Isolation, ListOffsetsItem, OffsetQuery, Router, Stamped};
use crate::txn::{End, Init};

const ID: &str = "copier";

fn transaction(producer: ProducerIdentity) -> Transaction {
    Transaction {
        id: ID.into(),
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch,
        version: ADDS_FROM,
    }
}

/// The first batch of the producer's transaction.
fn first_batch(topic: TopicId, producer: ProducerIdentity) -> AppendItem {
    nth_batch(topic, producer, 0)
}

/// Batches are of one record each.
fn nth_batch(topic: TopicId, producer: ProducerIdentity, n: i32) -> AppendItem {
    let mut builder = BatchBuilder::new(Compression::None)
        .producer(producer.producer_id, producer.epoch, n)
        .transactional();
    builder.push(1, None, Some(b"value"), &[]);
    let bytes = builder.build();
    let batch = ValidBatch {
        header: BatchHeader::parse(&bytes).unwrap(),
        bytes,
        log_append_time_ms: -1,
    };
    AppendItem {
        partition: id(topic, 0),
        batch,
        warrant: Warrant::None,
    }
}

/// An identity from the coordinator, which may yet be on its way to its seat.
async fn identity(cx: &Context, request: impl Fn(Option<i64>) -> TxnRequest) -> ProducerIdentity {
    let deadline = rt::now().after(TIMEOUT);
    loop {
        match transactions::ask_for_identity(cx, ID, &request).await {
            Ok(identity) => return identity,
            Err(problem) => assert!(rt::now() < deadline, "{problem:?}"),
        }
        rt::sleep(Duration::from_millis(1)).await;
    }
}

async fn init(cx: &Context) -> ProducerIdentity {
    let init = |fresh_id| Init {
        transactional_id: ID.into(),
        timeout_ms: 60_000,
        claimed: None,
        fresh_id,
    };
    identity(cx, |fresh_id| TxnRequest::Init(init(fresh_id))).await
}

async fn commit(cx: &Context, producer: ProducerIdentity) -> ProducerIdentity {
    let end = |fresh_id| End {
        transactional_id: ID.into(),
        producer,
        commit: true,
        version: ClientVersion::V2,
        fresh_id,
    };
    identity(cx, |fresh_id| TxnRequest::End(end(fresh_id))).await
}

/// Until the marker of the transaction is in the partition: everything up to `end` is stable.
async fn await_stable(router: &Router, partition: PartitionId, end: i64) {
    let deadline = rt::now().after(TIMEOUT);
    loop {
        let latest = ListOffsetsItem {
            partition,
            leader_epoch: -1,
            query: OffsetQuery::Latest,
            isolation: Isolation::ReadCommitted,
        };
        let stable = router.list_offsets(vec![latest]).await[0].offset;
        if stable >= end {
            return;
        }
        assert!(rt::now() < deadline, "stable up to {stable}");
        rt::sleep(Duration::from_millis(1)).await;
    }
}

async fn append(router: &Router, items: &[AppendItem]) -> Vec<AppendOutcome> {
    router.append(items.to_vec(), Acks::All, TIMEOUT).await
}

/// The first batch of a transaction comes before the marker of the transaction before, which takes back what the
/// coordinator is asked under: the coordinator is asked anew, and the batch is appended.
#[test]
fn a_marker_overtakes_the_question() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        let cx = context(&router);
        let topic = create(&router, "t", 1, &[]).await;
        create(&router, TRANSACTIONS_TOPIC, 1, &[]).await;
        let before = init(&cx).await;
        let items = vec![first_batch(topic, before)];
        let mut outcomes = append(&router, &items).await;
        append_verified(&cx, &transaction(before), items, &mut outcomes, (Acks::All, TIMEOUT)).await;
        assert_eq!((outcomes[0].error, outcomes[0].base_offset), (ErrorCode::None, 0));

        let after = ProducerIdentity {
            epoch: before.epoch + 1,
            ..before
        };
        let items = vec![first_batch(topic, after)];
        let mut outcomes = append(&router, &items).await;
        assert!(outcomes[0].unverified.is_some(), "{:?}", outcomes[0]);
        assert_eq!(commit(&cx, before).await, after);
        await_stable(&router, id(topic, 0), 2).await;
        append_verified(&cx, &transaction(after), items, &mut outcomes, (Acks::All, TIMEOUT)).await;
        let outcome = &outcomes[0];
        assert_eq!(
            (outcome.error, outcome.base_offset),
            (ErrorCode::None, 2),
            "{outcome:?}"
        );
    });
}

/// Three batches of a new transaction in flight: the first two are sent back to be verified, the third comes when the first
/// has been appended. All are appended in their order; one that leaves a gap is still refused.
#[test]
fn a_batch_comes_before_one_that_was_sent_back() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        let cx = context(&router);
        let topic = create(&router, "t", 1, &[]).await;
        create(&router, TRANSACTIONS_TOPIC, 1, &[]).await;
        let producer = init(&cx).await;
        let batch = |n| vec![nth_batch(topic, producer, n)];
        let finish = async |n, outcomes: &mut Vec<AppendOutcome>| {
            append_verified(&cx, &transaction(producer), batch(n), outcomes, (Acks::All, TIMEOUT)).await;
            (outcomes[0].error, outcomes[0].base_offset)
        };
        let mut first = append(&router, &batch(0)).await;
        let mut second = append(&router, &batch(1)).await;
        assert!(first[0].unverified.is_some() && second[0].unverified.is_some());
        assert_eq!(finish(0, &mut first).await, (ErrorCode::None, 0));
        let mut third = append(&router, &batch(2)).await;
        assert_eq!(third[0].error, ErrorCode::OutOfOrderSequenceNumber);
        assert_eq!(finish(1, &mut second).await, (ErrorCode::None, 1));
        assert_eq!(finish(2, &mut third).await, (ErrorCode::None, 2));
        let mut gap = append(&router, &batch(4)).await;
        assert_eq!(finish(4, &mut gap).await.0, ErrorCode::OutOfOrderSequenceNumber);
    });
}

fn offsets_of_a_transaction(producer: ProducerIdentity) -> GroupRequest {
    let item = crate::group::CommitItem {
        topic: "t".into(),
        topic_id: TopicId::ZERO,
        partition: 0,
        offset: 5,
        leader_epoch: -1,
        metadata: String::new(),
    };
    GroupRequest::CommitOffsets(CommitOffsets {
        group: "g".into(),
        sender: Sender {
            epoch: -1,
            ..Sender::default()
        },
        version: 9,
        retention_ms: None,
        producer: Some(producer.producer_id),
        items: vec![item],
    })
}

/// The same with the offsets of a group: what was asked under is taken back, and what is asked anew counts.
#[test]
fn a_marker_overtakes_the_question_for_offsets() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        let cx = context(&router);
        let partition = id(create(&router, OFFSETS_TOPIC, 1, &[]).await, 0);
        create(&router, TRANSACTIONS_TOPIC, 1, &[]).await;
        let before = init(&cx).await;
        let guard = unverified(&router, partition, before, Warrant::None).await;
        assert_eq!(
            ask_coordinator(&cx, &transaction(before), &[partition]).await,
            [ErrorCode::None]
        );
        answered(&router, partition, before, guard).await;

        let after = ProducerIdentity {
            epoch: before.epoch + 1,
            ..before
        };
        let early = unverified(&router, partition, after, Warrant::None).await;
        assert_eq!(commit(&cx, before).await, after);
        await_stable(&router, partition, 2).await;
        assert_eq!(
            ask_coordinator(&cx, &transaction(after), &[partition]).await,
            [ErrorCode::None]
        );
        let again = unverified(&router, partition, after, Warrant::Verified(early)).await;
        answered(&router, partition, after, again).await;
    });
}

async fn unverified(router: &Router, at: PartitionId, producer: ProducerIdentity, warrant: Warrant) -> Guard {
    let deadline = rt::now().after(TIMEOUT);
    loop {
        match router
            .group_as(at, offsets_of_a_transaction(producer), producer, warrant)
            .await
        {
            Ok(Stamped::Unverified(guard)) => return guard,
            Ok(Stamped::Answered(reply)) => panic!("unverified and done: {reply:?}"),
            Err(error) => assert!(rt::now() < deadline, "{error:?}"),
        }
        rt::sleep(Duration::from_millis(1)).await;
    }
}

async fn answered(router: &Router, at: PartitionId, producer: ProducerIdentity, guard: Guard) {
    let warrant = Warrant::Verified(guard);
    let asked = router
        .group_as(at, offsets_of_a_transaction(producer), producer, warrant)
        .await;
    assert!(matches!(asked, Ok(Stamped::Answered(_))));
}
