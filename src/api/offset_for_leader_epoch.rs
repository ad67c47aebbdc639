//! OffsetForLeaderEpoch: where a leader epoch ended, for consumers that check their position after a leader change.

use std::rc::Rc;

use crate::metadata::Image;
use crate::model::{BrokerId, ErrorCode};
use crate::shard::{EpochEnd, EpochItem};
use crate::wire::ApiKey;
use crate::wire::messages::{
    EpochEndOffset, OffsetForLeaderEpochRequestData, OffsetForLeaderEpochResponseData, OffsetForLeaderTopicResult,
};

use super::cluster_view::led_by_name;
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::OFFSET_FOR_LEADER_EPOCH,
    name: "OffsetForLeaderEpoch",
    versions: 2..=4,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<OffsetForLeaderEpochRequestData>(&cx)?;
    let (items, topics) = plan(&cx.image(), cx.broker_id(), &message);
    let ends = cx.router().epoch_ends(items).await;
    Answer::message(&join(topics, ends), version)
}

/// Partitions that go to a shard hold no error yet; [`join`] fills them in order.
fn plan(
    image: &Image,
    me: BrokerId,
    request: &OffsetForLeaderEpochRequestData,
) -> (Vec<EpochItem>, Vec<OffsetForLeaderTopicResult>) {
    let mut items = Vec::new();
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let item = led_by_name(image, topic.topic.as_str(), asked.partition, me).map(|partition| EpochItem {
                partition,
                current_leader_epoch: asked.current_leader_epoch,
                epoch: asked.leader_epoch,
            });
            let error = item.as_ref().err().copied().unwrap_or(ErrorCode::None);
            items.extend(item);
            EpochEndOffset {
                error_code: error.code(),
                partition: asked.partition,
                leader_epoch: -1,
                end_offset: -1,
                ..Default::default()
            }
        });
        OffsetForLeaderTopicResult {
            topic: topic.topic.clone(),
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    let topics = topics.collect();
    (items, topics)
}

fn join(mut topics: Vec<OffsetForLeaderTopicResult>, ends: Vec<EpochEnd>) -> OffsetForLeaderEpochResponseData {
    let mut ends = ends.into_iter();
    let open = topics
        .iter_mut()
        .flat_map(|topic| &mut topic.partitions)
        .filter(|partition| partition.error_code == 0);
    for partition in open {
        match ends.next() {
            Some(end) if end.error.is_none() => {
                partition.leader_epoch = end.epoch;
                partition.end_offset = end.end_offset;
            }
            Some(end) => partition.error_code = end.error.code(),
            None => partition.error_code = ErrorCode::NotLeaderOrFollower.code(),
        }
    }
    OffsetForLeaderEpochResponseData {
        topics,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing;
    use crate::wire::messages::{Encode, OffsetForLeaderPartition, OffsetForLeaderTopic, kafka_string};

    /// Behaviour 44: an epoch that nobody knows is (-1, -1) without an error; every version encodes.
    #[test]
    fn unknown_epochs_have_no_end_and_no_error() {
        let image = testing::image(&[("a", 2)]);
        let asked = |partition| OffsetForLeaderPartition {
            partition,
            current_leader_epoch: -1,
            ..Default::default()
        };
        let partitions = vec![asked(0), asked(9), asked(1)];
        let topic = OffsetForLeaderTopic {
            topic: kafka_string("a"),
            partitions,
            ..Default::default()
        };
        let request = OffsetForLeaderEpochRequestData {
            topics: vec![topic],
            ..Default::default()
        };
        let (items, topics) = plan(&image, BrokerId(1), &request);
        assert_eq!(items.len(), 2);
        let unknown = EpochEnd {
            error: ErrorCode::None,
            epoch: -1,
            end_offset: -1,
        };
        let fenced = EpochEnd {
            error: ErrorCode::FencedLeaderEpoch,
            epoch: 3,
            end_offset: 9,
        };
        let response = join(topics, vec![unknown, fenced]);
        let got: Vec<_> = response.topics[0]
            .partitions
            .iter()
            .map(|p| (p.error_code, p.end_offset))
            .collect();
        assert_eq!(got, [(0, -1), (3, -1), (74, -1)]);
        for version in API.versions {
            response
                .encode(version)
                .unwrap_or_else(|error| panic!("version {version}: {error}"));
        }
    }
}
