//! TxnOffsetCommit: offsets that a group has reached once a producer's transaction is committed, and not before.
//!
//! They are written to the group's partition as a batch of that producer. The partition takes it only if the producer's
//! transaction is open there, or its coordinator says that it is: then it is asked, and the group once more.

use std::rc::Rc;

use crate::group::{CommitItem, CommitOffsets, GroupReply, GroupRequest};
use crate::metadata::Image;
use crate::model::{ErrorCode, PartitionId, ProducerIdentity};
use crate::partition::Warrant;
use crate::shard::Stamped;
use crate::wire::ApiKey;
use crate::wire::messages::{
    TxnOffsetCommitRequestData, TxnOffsetCommitRequestPartition, TxnOffsetCommitResponseData,
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic, text,
};

use super::groups::{coordinator_of, mistaken, sender};
use super::transactions::id_of;
use super::verification::{ROUNDS_MAX, Transaction, ask_coordinator};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::TXN_OFFSET_COMMIT,
    name: "TxnOffsetCommit",
    versions: 0..=5,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<TxnOffsetCommitRequestData>(&cx)?;
    // One image for the question and the answer: codes come in the order of the partitions that exist in it.
    let image = cx.image();
    let committed = commit(&cx, &image, &message, version).await;
    let response = response(&image, &message, committed);
    Answer::message(&response, version)
}

/// A code for each partition that exists, or one for all.
async fn commit(
    cx: &Context,
    image: &Image,
    message: &TxnOffsetCommitRequestData,
    version: i16,
) -> Result<Vec<ErrorCode>, ErrorCode> {
    let transactional_id = id_of(&message.transactional_id)?;
    let producer = ProducerIdentity {
        producer_id: message.producer_id,
        epoch: message.producer_epoch,
    };
    let partition = coordinator_of(cx, message.group_id.as_str())?;
    let ask = |warrant| {
        cx.router()
            .group_as(partition, offsets(image, message), producer, warrant)
    };
    let transaction = Transaction {
        id: transactional_id,
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch,
        version: produce_version(version),
    };
    let mut warrant = Warrant::None;
    for _ in 0..=ROUNDS_MAX {
        match ask(warrant).await? {
            Stamped::Answered(GroupReply::Committed(committed)) => return committed,
            Stamped::Answered(_) => return mistaken(),
            Stamped::Unverified(guard) => {
                verify(cx, &transaction, partition).await?;
                warrant = Warrant::Verified(guard);
            }
        }
    }
    Err(ErrorCode::CoordinatorLoadInProgress)
}

/// The version of Produce whose clients know as much of transactions.
fn produce_version(version: i16) -> i16 {
    match version {
        5.. => 12,
        4 => 11,
        _ => 10,
    }
}

async fn verify(cx: &Context, transaction: &Transaction, partition: PartitionId) -> Result<(), ErrorCode> {
    let words = ask_coordinator(cx, transaction, &[partition]).await;
    match words.first().copied().unwrap_or(ErrorCode::UnknownServerError) {
        ErrorCode::None => Ok(()),
        // Retriable, and the group's coordinator is the right one.
        ErrorCode::ConcurrentTransactions
        | ErrorCode::NotCoordinator
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::CoordinatorLoadInProgress => Err(ErrorCode::CoordinatorLoadInProgress),
        error => Err(transaction.refusal(error)),
    }
}

fn offsets(image: &Image, message: &TxnOffsetCommitRequestData) -> GroupRequest {
    let mut items = Vec::new();
    for topic in &message.topics {
        let Some(known) = image.topic(topic.name.as_str()) else {
            continue;
        };
        let there = topic
            .partitions
            .iter()
            .filter(|partition| exists(image, topic.name.as_str(), partition));
        items.extend(there.map(|partition| CommitItem {
            topic: known.name.clone(),
            topic_id: known.id,
            partition: partition.partition_index,
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.as_ref().map(text).unwrap_or_default(),
        }));
    }
    GroupRequest::CommitOffsets(CommitOffsets {
        group: text(&message.group_id),
        sender: sender(
            &message.member_id,
            message.group_instance_id.as_ref(),
            message.generation_id,
        ),
        version: 0,
        retention_ms: None,
        producer: Some(message.producer_id),
        items,
    })
}

fn exists(image: &Image, topic: &str, partition: &TxnOffsetCommitRequestPartition) -> bool {
    let topic = image.topic(topic);
    topic.is_some_and(|topic| topic.has_partition(partition.partition_index))
}

/// The coordinator's codes are those of the partitions that exist, in order.
fn response(
    image: &Image,
    message: &TxnOffsetCommitRequestData,
    committed: Result<Vec<ErrorCode>, ErrorCode>,
) -> TxnOffsetCommitResponseData {
    let (of_all, mut one_by_one) = match committed {
        Ok(codes) => (ErrorCode::UnknownServerError, codes.into_iter()),
        Err(error) => (error, Vec::new().into_iter()),
    };
    let topics = message.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let error = match exists(image, topic.name.as_str(), partition) {
                true => one_by_one.next().unwrap_or(of_all),
                false => ErrorCode::UnknownTopicOrPartition,
            };
            TxnOffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: error.code(),
                ..Default::default()
            }
        });
        TxnOffsetCommitResponseTopic {
            name: topic.name.clone(),
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    TxnOffsetCommitResponseData {
        topics: topics.collect(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::image;
    use crate::wire::messages::{Encode, TxnOffsetCommitRequestTopic, kafka_string};

    fn message() -> TxnOffsetCommitRequestData {
        let topic = |name: &str, indexes: &[i32]| TxnOffsetCommitRequestTopic {
            name: kafka_string(name),
            partitions: indexes
                .iter()
                .map(|index| TxnOffsetCommitRequestPartition {
                    partition_index: *index,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        };
        TxnOffsetCommitRequestData {
            topics: vec![topic("t", &[0, 7, 1]), topic("none", &[0])],
            ..Default::default()
        }
    }

    /// Every partition is answered in its place: unknown ones here, the others by the coordinator.
    #[test]
    fn every_partition_has_its_code() {
        let image = image(&[("t", 2)]);
        for (committed, expected) in [
            (
                Ok(vec![ErrorCode::None, ErrorCode::OffsetMetadataTooLarge]),
                [0, 3, 12, 3],
            ),
            (Err(ErrorCode::InvalidProducerEpoch), [47, 3, 47, 3]),
        ] {
            let response = response(&image, &message(), committed);
            let codes = response.topics.iter().flat_map(|topic| &topic.partitions);
            assert_eq!(
                codes.map(|partition| partition.error_code).collect::<Vec<_>>(),
                expected
            );
            for version in API.versions {
                response.encode(version).unwrap();
            }
        }
        let GroupRequest::CommitOffsets(commit) = offsets(&image, &message()) else {
            panic!("it commits offsets")
        };
        assert_eq!(commit.items.len(), 2);
    }
}
