//! DescribeProducers: the idempotent and transactional producers that partitions know of.

use std::rc::Rc;

use crate::metadata::Image;
use crate::model::{BrokerId, ErrorCode};
use crate::partition::ActiveProducer;
use crate::shard::{PartitionProducers, ProducersItem};
use crate::wire::ApiKey;
use crate::wire::messages::{
    DescribeProducersRequestData, DescribeProducersResponseData, DescribedProducer, DescribedProducersPartition,
    DescribedProducersTopic,
};

use super::cluster_view::led_by_name;
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::DESCRIBE_PRODUCERS,
    name: "DescribeProducers",
    versions: 0..=0,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<DescribeProducersRequestData>(&cx)?;
    let (items, mut response) = plan(&cx.image(), cx.broker_id(), &message);
    let producers = cx.router().producers(items).await;
    fill(&mut response, producers);
    Answer::message(&response, version)
}

/// Partitions that are asked hold no error yet; [`fill`] gives them their producers, in order.
fn plan(
    image: &Image,
    me: BrokerId,
    message: &DescribeProducersRequestData,
) -> (Vec<ProducersItem>, DescribeProducersResponseData) {
    let mut items = Vec::new();
    let topics = message.topics.iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| {
            let led = led_by_name(image, topic.name.as_str(), *index, me);
            let error = led.as_ref().err().copied().unwrap_or(ErrorCode::None);
            items.extend(led.map(|partition| ProducersItem { partition }));
            DescribedProducersPartition {
                partition_index: *index,
                error_code: error.code(),
                ..Default::default()
            }
        });
        DescribedProducersTopic {
            name: topic.name.clone(),
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    let topics = topics.collect();
    let response = DescribeProducersResponseData {
        topics,
        ..Default::default()
    };
    (items, response)
}

fn fill(response: &mut DescribeProducersResponseData, producers: Vec<PartitionProducers>) {
    let mut producers = producers.into_iter();
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    for partition in partitions.filter(|partition| partition.error_code == 0) {
        match producers.next() {
            Some(found) => {
                partition.error_code = found.error.code();
                partition.active_producers = found.producers.iter().map(described).collect();
            }
            None => partition.error_code = ErrorCode::NotLeaderOrFollower.code(),
        }
    }
}

fn described(producer: &ActiveProducer) -> DescribedProducer {
    DescribedProducer {
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch.into(),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp_ms,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.transaction_first_offset.unwrap_or(-1),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::image;
    use crate::wire::messages::{DescribeProducersTopic, Encode, kafka_string};

    #[test]
    fn producers_find_their_partitions() {
        let message = DescribeProducersRequestData {
            topics: vec![DescribeProducersTopic {
                name: kafka_string("a"),
                partition_indexes: vec![3, 0],
                ..Default::default()
            }],
            ..Default::default()
        };
        let (items, mut response) = plan(&image(&[("a", 1)]), BrokerId(1), &message);
        assert_eq!(items.len(), 1);
        let producer = ActiveProducer {
            producer_id: 7,
            epoch: 1,
            last_sequence: 9,
            last_timestamp_ms: 5,
            coordinator_epoch: -1,
            transaction_first_offset: None,
        };
        let found = PartitionProducers {
            error: ErrorCode::None,
            producers: vec![producer],
        };
        fill(&mut response, vec![found]);
        let partitions = &response.topics[0].partitions;
        assert_eq!(partitions[0].error_code, 3);
        assert_eq!(partitions[1].active_producers[0].current_txn_start_offset, -1);
        response.encode(0).unwrap();
    }
}
