//! Share partitions on real shards: what was acknowledged outlives them, and what is released is told to those who watch.

use std::time::Duration;

use super::*;
use crate::model::{ErrorCode, SHARE_STATE_TOPIC, ShardId, TopicId};
use crate::rt;
use crate::shard::Router;
use crate::shard::tests::{TIMEOUT, append, batch, broker, create, delete, id, topic};
use crate::share::{AckBatch, AckKind, Acquire, Acquired, StateKey, StateReply, StateRequest};

const LIMITS: Limits = Limits {
    deliveries_max: 5,
    lock: Duration::from_secs(60),
    in_flight_max: 1_000,
    renewals: true,
};

fn question(member: &str, limits: Limits, action: ShareAction) -> ShareAsk {
    ShareAsk {
        group: "g".into(),
        member: member.into(),
        limits,
        begin: ShareBegin::Earliest,
        action,
    }
}

/// Asks until the partition serves.
async fn ask(router: &Router, partition: PartitionId, ask: ShareAsk) -> Result<ShareReply, ErrorCode> {
    let deadline = rt::now().after(TIMEOUT);
    loop {
        match router.share(partition, ask.clone()).await {
            Err(ErrorCode::UnknownTopicOrPartition | ErrorCode::NotLeaderOrFollower) if rt::now() < deadline => {
                rt::sleep(Duration::from_millis(1)).await;
            }
            answer => return answer,
        }
    }
}

fn all(first: i64, last: i64) -> ShareAction {
    ShareAction::Acquire(Acquire {
        from: first,
        batches: vec![(first, last)],
        void: Vec::new(),
        records_max: 1_000,
        is_exact: false,
        range_records: 1_000,
    })
}

fn accept(first: i64, last: i64) -> ShareAction {
    ShareAction::Acknowledge(vec![AckBatch {
        first,
        last,
        kinds: vec![AckKind::Accept],
    }])
}

fn acquired(first: i64, last: i64, count: i16) -> Result<ShareReply, ErrorCode> {
    Ok(ShareReply::Acquired(vec![Acquired { first, last, count }]))
}

async fn prepare(router: &Router) -> TopicId {
    create(router, SHARE_STATE_TOPIC, 5, &[]).await;
    let of = create(router, "t", 3, &[]).await;
    for index in 0..3 {
        append(router, of, index, &batch(10, 10)).await;
    }
    of
}

/// Every shard asks of partitions of all shards; after a new start those acknowledged are settled, the others come.
#[test]
fn acknowledgements_outlive_the_shards() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 2, |shard, router| async move {
        if shard != ShardId(0) {
            return;
        }
        let of = prepare(&router).await;
        for index in 0..3 {
            let partition = id(of, index);
            let next = ask(&router, partition, question("a", LIMITS, ShareAction::Next)).await;
            assert_eq!(next, Ok(ShareReply::Next(Some(0))));
            let got = ask(&router, partition, question("a", LIMITS, all(0, 9))).await;
            assert_eq!(got, acquired(0, 9, 1));
            let done = ask(&router, partition, question("a", LIMITS, accept(0, 3))).await;
            assert_eq!(done, Ok(ShareReply::Done));
            let done = ask(&router, partition, question("b", LIMITS, accept(4, 5))).await;
            assert_eq!(done, Err(ErrorCode::InvalidRecordState));
        }
    });
    broker(root.path(), 3, |shard, router| async move {
        let of = topic(&router, "t").await;
        let partition = id(of, i32::from(shard.0));
        let next = ask(&router, partition, question("c", LIMITS, ShareAction::Next)).await;
        assert_eq!(next, Ok(ShareReply::Next(Some(4))));
        let got = ask(&router, partition, question("c", LIMITS, all(0, 9))).await;
        assert_eq!(got, acquired(4, 9, 1));
    });
}

/// Those who watch hear of a member that is gone, and of a lock that is over.
#[test]
fn watchers_hear_of_what_is_released() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        let of = prepare(&router).await;
        let partition = id(of, 0);
        let until = rt::now().after(TIMEOUT);
        ask(&router, partition, question("a", LIMITS, all(0, 9))).await.unwrap();
        let watch = router.share(partition, question("b", LIMITS, ShareAction::Watch(until)));
        ask(&router, partition, question("a", LIMITS, ShareAction::Release))
            .await
            .unwrap();
        assert_eq!(watch.await, Ok(ShareReply::Done));
        let short = Limits {
            lock: Duration::from_millis(20),
            ..LIMITS
        };
        let got = ask(&router, partition, question("b", short, all(0, 9))).await;
        assert_eq!(got, acquired(0, 9, 2));
        let watch = router.share(partition, question("a", short, ShareAction::Watch(until)));
        assert_eq!(watch.await, Ok(ShareReply::Done));
        let got = ask(&router, partition, question("a", short, all(0, 9))).await;
        assert_eq!(got, acquired(0, 9, 3));
    });
}

/// A group begins anew where it is told to, and from its configured place once it was forgotten; with the topic all is gone.
#[test]
fn groups_begin_anew() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 2, |shard, router| async move {
        if shard != ShardId(0) {
            return;
        }
        let of = prepare(&router).await;
        let partition = id(of, 1);
        let next = |from| Ok(ShareReply::Next(Some(from)));
        let ask_for = |action| ask(&router, partition, question("a", LIMITS, action));
        let key = StateKey {
            group: "g".into(),
            topic: of,
            index: 1,
        };
        let keep = |request| ask_keeper(&router, &key, request);
        let begin_at = |epoch, start| keep(StateRequest::Initialize(key.clone(), epoch, start));
        assert_eq!(begin_at(0, 7).await, Ok(StateReply::Done));
        assert_eq!(ask_for(ShareAction::Next).await, next(7));
        assert_eq!(ask_for(all(7, 9)).await, acquired(7, 9, 1));
        assert_eq!(begin_at(1, 3).await, Ok(StateReply::Done));
        assert_eq!(
            ask_for(ShareAction::Begin).await,
            Ok(ShareReply::Done),
            "records are held: nobody can have moved the group"
        );
        assert_eq!(
            router.share(partition, question("a", LIMITS, accept(7, 9))).await,
            Err(ErrorCode::NotLeaderOrFollower),
            "what is known here is no more"
        );
        assert_eq!(ask_for(all(3, 9)).await, acquired(3, 9, 1));
        assert_eq!(ask_for(ShareAction::Release).await, Ok(ShareReply::Done));
        assert_eq!(ask_for(accept(3, 9)).await, Err(ErrorCode::InvalidRecordState));
        assert_eq!(keep(StateRequest::Delete(key.clone())).await, Ok(StateReply::Done));
        assert_eq!(ask_for(ShareAction::Next).await, next(3), "nobody has said otherwise");
        assert_eq!(ask_for(ShareAction::Begin).await, Ok(ShareReply::Done));
        assert_eq!(ask_for(ShareAction::Next).await, next(0));
        delete(&router, "t").await;
        let deadline = rt::now().after(TIMEOUT);
        let gone = || router.share(partition, question("a", LIMITS, ShareAction::Next));
        while gone().await != Err(ErrorCode::UnknownTopicOrPartition) {
            assert!(rt::now() < deadline, "the share partition outlives its topic");
            rt::sleep(Duration::from_millis(1)).await;
        }
    });
}
