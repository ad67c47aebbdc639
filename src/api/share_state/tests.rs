//! The five requests against a real shard, as another broker would send them, and as strangers would.

use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::api::testing::{answer_of, context};
use crate::api::{Api, Refusal};
use crate::model::{SHARE_STATE_TOPIC, TopicId};
use crate::rt;
use crate::shard::tests::{TIMEOUT, broker, create};
use crate::share::NOWHERE;
use crate::wire::messages::*;

const LOGS: i32 = 3;

async fn send<A: Decode>(cx: &Rc<Context>, (api, version): (&Api, i16), message: &impl Encode) -> Result<A, Refusal> {
    let body = answer_of(cx, (api, version), message).await?;
    Ok(A::decode_answer(body, version).unwrap())
}

/// One share partition of the group "g" or another, as its leader or its group's coordinator sees it.
struct Peer {
    cx: Rc<Context>,
    group: &'static str,
    topic: TopicId,
    index: i32,
}

impl Peer {
    async fn initialize(&self, state_epoch: i32, start_offset: i64) -> i16 {
        let partition = InitializeStatePartition::default()
            .with_partition(self.index)
            .with_state_epoch(state_epoch)
            .with_start_offset(start_offset);
        let topic = InitializeStateData::default()
            .with_topic_id(kafka_uuid(self.topic))
            .with_partitions(vec![partition]);
        let request = InitializeShareGroupStateRequestData::default()
            .with_group_id(kafka_string(self.group))
            .with_topics(vec![topic]);
        let answer = send::<InitializeShareGroupStateResponseData>(&self.cx, (&initialize::API, 0), &request).await;
        answer.unwrap().results[0].partitions[0].error_code
    }

    async fn read(&self, leader_epoch: i32) -> ReadStateResultPartition {
        let partition = ReadStatePartition::default()
            .with_partition(self.index)
            .with_leader_epoch(leader_epoch);
        let topic = ReadStateData::default()
            .with_topic_id(kafka_uuid(self.topic))
            .with_partitions(vec![partition]);
        let request = ReadShareGroupStateRequestData::default()
            .with_group_id(kafka_string(self.group))
            .with_topics(vec![topic]);
        let answer = send::<ReadShareGroupStateResponseData>(&self.cx, (&read::API, 0), &request).await;
        answer.unwrap().results.remove(0).partitions.remove(0)
    }

    /// Once the coordinator serves.
    async fn read_first(&self, leader_epoch: i32) -> ReadStateResultPartition {
        let deadline = rt::now().after(TIMEOUT);
        loop {
            let read = self.read(leader_epoch).await;
            let error = ErrorCode::from_code(read.error_code);
            let is_on_its_way = matches!(error, ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator);
            if !is_on_its_way || rt::now() > deadline {
                return read;
            }
            rt::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Settled offsets one by one, every other.
    async fn write(&self, (state_epoch, leader_epoch): (i32, i32), start: i64, settled: i64) -> Result<i16, Refusal> {
        let batch = |at: i64| {
            WriteStateBatch::default()
                .with_first_offset(start + 1 + 2 * at)
                .with_last_offset(start + 1 + 2 * at)
                .with_delivery_state(2)
                .with_delivery_count(1)
        };
        let partition = WriteStatePartition::default()
            .with_partition(self.index)
            .with_state_epoch(state_epoch)
            .with_leader_epoch(leader_epoch)
            .with_start_offset(start)
            .with_delivery_complete_count(settled as i32)
            .with_state_batches((0..settled).map(batch).collect());
        let topic = WriteStateData::default()
            .with_topic_id(kafka_uuid(self.topic))
            .with_partitions(vec![partition]);
        let request = WriteShareGroupStateRequestData::default()
            .with_group_id(kafka_string(self.group))
            .with_topics(vec![topic]);
        let answer = send::<WriteShareGroupStateResponseData>(&self.cx, (&write::API, 1), &request).await?;
        Ok(answer.results[0].partitions[0].error_code)
    }

    async fn delete(&self) -> i16 {
        let topic = DeleteStateData::default()
            .with_topic_id(kafka_uuid(self.topic))
            .with_partitions(vec![DeleteStatePartition::default().with_partition(self.index)]);
        let request = DeleteShareGroupStateRequestData::default()
            .with_group_id(kafka_string(self.group))
            .with_topics(vec![topic]);
        let answer = send::<DeleteShareGroupStateResponseData>(&self.cx, (&delete::API, 0), &request).await;
        answer.unwrap().results[0].partitions[0].error_code
    }

    /// Rows of the answer: topic, partition, error, state epoch, leader epoch, start, settled.
    async fn summary(&self, topic: TopicId, indexes: impl Iterator<Item = i32>) -> Vec<Summary> {
        let partition = |index| StateSummaryPartition::default().with_partition(index);
        let asked = ReadStateSummaryData::default()
            .with_topic_id(kafka_uuid(topic))
            .with_partitions(indexes.map(partition).collect());
        let request = ReadShareGroupStateSummaryRequestData::default()
            .with_group_id(kafka_string(self.group))
            .with_topics(vec![asked]);
        let api = (&read_summary::API, 1);
        let answer = send::<ReadShareGroupStateSummaryResponseData>(&self.cx, api, &request)
            .await
            .unwrap();
        let row = |topic: KafkaUuid, row: &StateSummaryResultPartition| {
            let epochs = (row.state_epoch, row.leader_epoch);
            let offsets = (row.start_offset, row.delivery_complete_count);
            (topic_id(topic), row.partition, row.error_code, epochs, offsets)
        };
        let rows = answer.results.iter().flat_map(|topic| {
            let rows = topic.partitions.iter();
            rows.map(|one| row(topic.topic_id, one)).collect::<Vec<_>>()
        });
        rows.collect()
    }
}

type Summary = (TopicId, i32, i16, (i32, i32), (i64, i32));

/// A leader reads and writes; the one before it is refused; the group's coordinator lists, sets and deletes.
#[test]
fn brokers_keep_state_for_each_other() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        let logs = create(&router, SHARE_STATE_TOPIC, LOGS, &[]).await;
        let topic = create(&router, "t", 2, &[]).await;
        let peer = Peer {
            cx: Rc::new(context(&router)),
            group: "g",
            topic,
            index: 1,
        };
        let new = peer.read_first(5).await;
        assert_eq!((new.error_code, new.state_epoch, new.start_offset), (0, 0, NOWHERE));
        assert_eq!(peer.write((0, 5), 10, 2).await.unwrap(), 0);
        let read = peer.read(6).await;
        assert_eq!((read.error_code, read.start_offset), (0, 10));
        let batches: Vec<(i64, i64, i8, i16)> = read
            .state_batches
            .iter()
            .map(|one| {
                (
                    one.first_offset,
                    one.last_offset,
                    one.delivery_state,
                    one.delivery_count,
                )
            })
            .collect();
        assert_eq!(batches, [(11, 11, 2, 1), (13, 13, 2, 1)]);
        assert_eq!(
            peer.write((0, 5), 20, 0).await.unwrap(),
            ErrorCode::FencedLeaderEpoch.code()
        );
        assert_eq!(peer.read(5).await.error_code, ErrorCode::FencedLeaderEpoch.code());

        let kept = (topic, 1, 0, (0, 6), (10, 2));
        let unknown = (topic, 0, 0, (0, 0), (NOWHERE, 0));
        assert_eq!(peer.summary(topic, 0..2).await, [unknown, kept]);
        assert_eq!(
            peer.summary(logs, 0..LOGS).await,
            [kept],
            "all that the logs keep of the group"
        );
        assert_eq!(peer.initialize(1, 30).await, 0);
        assert_eq!(peer.initialize(0, 40).await, ErrorCode::FencedStateEpoch.code());
        assert_eq!(
            peer.write((0, 6), 20, 0).await.unwrap(),
            ErrorCode::FencedStateEpoch.code()
        );
        assert_eq!(peer.summary(topic, 1..2).await, [(topic, 1, 0, (1, 6), (30, 0))]);
        assert_eq!(peer.delete().await, 0);
        assert_eq!(peer.summary(logs, 0..LOGS).await, []);
        assert_eq!(
            peer.write((1, 6), 20, 0).await.unwrap(),
            ErrorCode::InvalidRequest.code()
        );
    });
}

/// What makes no sense is refused, each with Kafka's error, and changes nothing.
#[test]
fn what_makes_no_sense_is_refused() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        let logs = create(&router, SHARE_STATE_TOPIC, LOGS, &[]).await;
        let topic = create(&router, "t", 2, &[]).await;
        let peer = |group, topic, index| Peer {
            cx: Rc::new(context(&router)),
            group,
            topic,
            index,
        };
        let known = peer("g", topic, 0);
        assert_eq!(known.read_first(0).await.error_code, 0);
        for (stranger, error) in [
            (peer("", topic, 0), ErrorCode::InvalidGroupId),
            (peer("g", TopicId([9; 16]), 0), ErrorCode::UnknownTopicOrPartition),
            (peer("g", topic, 2), ErrorCode::UnknownTopicOrPartition),
            (peer("g", topic, -1), ErrorCode::InvalidRequest),
        ] {
            let code = error.code();
            assert_eq!(stranger.read(0).await.error_code, code);
            assert_eq!(stranger.write((0, 0), 0, 0).await.unwrap(), code);
            assert_eq!(stranger.initialize(0, 0).await, code);
            assert_eq!(stranger.delete().await, code);
            let asked = std::iter::once(stranger.index);
            assert_eq!(stranger.summary(stranger.topic, asked).await[0].2, code);
        }
        let too_long = ErrorCode::MessageTooLarge.code();
        assert_eq!(known.write((0, 0), 0, 40_000).await.unwrap(), too_long);
        let longer_than_any = known.write((0, 0), 0, 80_000).await;
        assert!(matches!(
            longer_than_any,
            Err(Refusal::Message(MessageError::TooLarge { .. }))
        ));
        let no_log = known.summary(logs, LOGS..LOGS + 1).await;
        assert_eq!(no_log[0].2, ErrorCode::UnknownTopicOrPartition.code());
        assert_eq!(known.summary(topic, 0..1).await[0].4, (NOWHERE, 0));
    });
}
