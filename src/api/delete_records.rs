//! DeleteRecords: moves the start of partitions forward.

use std::rc::Rc;
use std::time::Duration;

use crate::metadata::Image;
use crate::model::{BrokerId, ErrorCode};
use crate::shard::{DeleteRecordsItem, DeletedRecords};
use crate::wire::ApiKey;
use crate::wire::messages::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequestData, DeleteRecordsResponseData,
    DeleteRecordsTopicResult,
};

use super::cluster_view::led_partition;
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::DELETE_RECORDS,
    name: "DeleteRecords",
    versions: 0..=2,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<DeleteRecordsRequestData>(&cx)?;
    let (items, topics) = plan(&cx.image(), cx.broker_id(), &message);
    let timeout = Duration::from_millis(u64::try_from(message.timeout_ms).unwrap_or(0));
    let deleted = cx.router().delete_records(items, timeout).await;
    Answer::message(&join(topics, deleted), version)
}

/// Partitions that go to a shard hold no error yet; [`join`] fills them in order.
fn plan(
    image: &Image,
    me: BrokerId,
    request: &DeleteRecordsRequestData,
) -> (Vec<DeleteRecordsItem>, Vec<DeleteRecordsTopicResult>) {
    let mut items = Vec::new();
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let item = item(image, me, topic.name.as_str(), partition);
            let error = item.as_ref().err().copied().unwrap_or(ErrorCode::None);
            items.extend(item);
            DeleteRecordsPartitionResult {
                partition_index: partition.partition_index,
                low_watermark: -1,
                error_code: error.code(),
                ..Default::default()
            }
        });
        DeleteRecordsTopicResult {
            name: topic.name.clone(),
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    let topics = topics.collect();
    (items, topics)
}

fn item(
    image: &Image,
    me: BrokerId,
    topic: &str,
    asked: &DeleteRecordsPartition,
) -> Result<DeleteRecordsItem, ErrorCode> {
    let topic = image.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = led_partition(topic, asked.partition_index, me)?;
    match (topic.config.cleanup_policy.delete, asked.offset) {
        //= protocol: records of a topic that is only compacted are not deleted by offset
        (false, _) => Err(ErrorCode::PolicyViolation),
        (true, ..-1) => Err(ErrorCode::OffsetOutOfRange),
        (true, offset) => Ok(DeleteRecordsItem { partition, offset }),
    }
}

fn join(mut topics: Vec<DeleteRecordsTopicResult>, deleted: Vec<DeletedRecords>) -> DeleteRecordsResponseData {
    let mut deleted = deleted.into_iter();
    let open = topics
        .iter_mut()
        .flat_map(|topic| &mut topic.partitions)
        .filter(|partition| partition.error_code == 0);
    for partition in open {
        match deleted.next() {
            Some(deleted) => {
                partition.error_code = deleted.error.code();
                partition.low_watermark = if deleted.error.is_none() {
                    deleted.low_watermark
                } else {
                    -1
                };
            }
            None => partition.error_code = ErrorCode::NotLeaderOrFollower.code(),
        }
    }
    DeleteRecordsResponseData {
        topics,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing;
    use crate::wire::messages::{DeleteRecordsTopic, Encode, kafka_string};

    /// Behaviour 45: what can be refused here is, the rest finds its outcome; every version encodes.
    #[test]
    fn outcomes_find_their_partitions() {
        let image = testing::image(&[("a", 2)]);
        let partition = |partition_index, offset| DeleteRecordsPartition {
            partition_index,
            offset,
            ..Default::default()
        };
        let partitions = vec![partition(0, -1), partition(1, -2), partition(2, 0), partition(1, 9)];
        let topic = DeleteRecordsTopic {
            name: kafka_string("a"),
            partitions,
            ..Default::default()
        };
        let request = DeleteRecordsRequestData {
            topics: vec![topic],
            ..Default::default()
        };
        let (items, topics) = plan(&image, BrokerId(1), &request);
        assert_eq!(items.iter().map(|item| item.offset).collect::<Vec<_>>(), [-1, 9]);
        let low = DeletedRecords {
            error: ErrorCode::None,
            low_watermark: 4,
        };
        let beyond = DeletedRecords {
            error: ErrorCode::OffsetOutOfRange,
            low_watermark: 0,
        };
        let response = join(topics, vec![low, beyond]);
        let got: Vec<_> = response.topics[0]
            .partitions
            .iter()
            .map(|p| (p.error_code, p.low_watermark))
            .collect();
        assert_eq!(got, [(0, 4), (1, -1), (3, -1), (1, -1)]);
        for version in API.versions {
            response
                .encode(version)
                .unwrap_or_else(|error| panic!("version {version}: {error}"));
        }
    }
}
