//! WriteTxnMarkers: ends transactions in partitions by an operator's word, whatever their coordinator says
//! (`kafka-transactions.sh abort`). Our own coordinators write markers without this request.

use std::rc::Rc;

use crate::metadata::Image;
use crate::model::{BrokerId, ErrorCode};
use crate::record::Marker;
use crate::shard::MarkerItem;
use crate::wire::ApiKey;
use crate::wire::messages::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    WriteTxnMarkersRequestData, WriteTxnMarkersResponseData,
};

use super::cluster_view::led_by_name;
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::WRITE_TXN_MARKERS,
    name: "WriteTxnMarkers",
    versions: 1..=1,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// For the request carries no timeout.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<WriteTxnMarkersRequestData>(&cx)?;
    let (items, mut response) = plan(&cx.image(), cx.broker_id(), &message);
    let written = cx.router().write_markers(&items, TIMEOUT).await;
    fill(&mut response, written);
    Answer::message(&response, version)
}

/// NamedPartitions that a marker is written to hold no error yet; [`fill`] gives them theirs, in order.
fn plan(
    image: &Image,
    me: BrokerId,
    message: &WriteTxnMarkersRequestData,
) -> (Vec<MarkerItem>, WriteTxnMarkersResponseData) {
    let mut items = Vec::new();
    let results = message.markers.iter().map(|marker| WritableTxnMarkerResult {
        producer_id: marker.producer_id,
        topics: topic_results(image, me, marker, &mut items),
        ..Default::default()
    });
    let markers = results.collect();
    let response = WriteTxnMarkersResponseData {
        markers,
        ..Default::default()
    };
    (items, response)
}

fn topic_results(
    image: &Image,
    me: BrokerId,
    marker: &WritableTxnMarker,
    items: &mut Vec<MarkerItem>,
) -> Vec<WritableTxnMarkerTopicResult> {
    let topics = marker.topics.iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| {
            let led = led_by_name(image, topic.name.as_str(), *index, me);
            let error = led.as_ref().err().copied().unwrap_or(ErrorCode::None);
            items.extend(led.map(|partition| MarkerItem {
                partition,
                producer_id: marker.producer_id,
                producer_epoch: marker.producer_epoch,
                marker: Marker {
                    commit: marker.transaction_result,
                    coordinator_epoch: marker.coordinator_epoch,
                },
                transaction_version: marker.transaction_version,
            }));
            WritableTxnMarkerPartitionResult {
                partition_index: *index,
                error_code: error.code(),
                ..Default::default()
            }
        });
        WritableTxnMarkerTopicResult {
            name: topic.name.clone(),
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    topics.collect()
}

fn fill(response: &mut WriteTxnMarkersResponseData, written: Vec<ErrorCode>) {
    let mut written = written.into_iter();
    let topics = response.markers.iter_mut().flat_map(|marker| &mut marker.topics);
    let open = topics
        .flat_map(|topic| &mut topic.partitions)
        .filter(|partition| partition.error_code == 0);
    for partition in open {
        partition.error_code = written.next().unwrap_or(ErrorCode::NotLeaderOrFollower).code();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::image;
    use crate::wire::messages::{Encode, WritableTxnMarkerTopic, kafka_string};

    /// Each partition has its own outcome, in its place; partitions that do not exist are not asked.
    #[test]
    fn outcomes_find_their_partitions() {
        let topic = |name, partition_indexes| WritableTxnMarkerTopic {
            name: kafka_string(name),
            partition_indexes,
            ..Default::default()
        };
        let message = WriteTxnMarkersRequestData {
            markers: vec![WritableTxnMarker {
                producer_id: 7,
                producer_epoch: 2,
                topics: vec![topic("a", vec![0, 5, 1]), topic("b", vec![0])],
                ..Default::default()
            }],
            ..Default::default()
        };
        let (items, mut response) = plan(&image(&[("a", 2)]), BrokerId(1), &message);
        assert_eq!(items.len(), 2);
        fill(&mut response, vec![ErrorCode::None, ErrorCode::InvalidProducerEpoch]);
        let topics = &response.markers[0].topics;
        let codes = |at: usize| topics[at].partitions.iter().map(|partition| partition.error_code);
        assert_eq!(codes(0).collect::<Vec<_>>(), [0, 3, 47]);
        assert_eq!(codes(1).collect::<Vec<_>>(), [3]);
        response.encode(1).unwrap();
    }
}
