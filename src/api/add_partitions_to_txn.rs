//! AddPartitionsToTxn: partitions that a producer is about to write join its transaction; or, from version 4 on, brokers
//! ask for many transactions at once whether they are in it.

use std::rc::Rc;

use crate::metadata::Image;
use crate::model::{ErrorCode, NamedPartitions, ProducerIdentity};
use crate::txn::{AddPartitions, TxnReply, TxnRequest};
use crate::wire::ApiKey;
use crate::wire::messages::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequestData, AddPartitionsToTxnResponseData,
    AddPartitionsToTxnResult, AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult, AddPartitionsToTxnTransaction,
    KafkaString,
};

use super::transactions::{self, Problem, id_of, partitions_of};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::ADD_PARTITIONS_TO_TXN,
    name: "AddPartitionsToTxn",
    versions: 0..=5,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// From here on requests list transactions.
const LISTS_FROM: i16 = 4;
const FENCED_FROM: i16 = 2;
/// Clients of this version on bump the epoch with every transaction. //= KIP-890
const V2_FROM: i16 = 5;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<AddPartitionsToTxnRequestData>(&cx)?;
    let mut response = AddPartitionsToTxnResponseData::default();
    if version >= LISTS_FROM {
        for transaction in &message.transactions {
            response.results_by_transaction.push(AddPartitionsToTxnResult {
                transactional_id: transaction.transactional_id.clone(),
                topic_results: results(&cx, transaction, version).await,
                ..Default::default()
            });
        }
    } else {
        response.results_by_topic_v3_and_below = results(&cx, &only_one(message), version).await;
    }
    Answer::message(&response, version)
}

fn only_one(message: AddPartitionsToTxnRequestData) -> AddPartitionsToTxnTransaction {
    AddPartitionsToTxnTransaction {
        transactional_id: message.v3_and_below_transactional_id,
        producer_id: message.v3_and_below_producer_id,
        producer_epoch: message.v3_and_below_producer_epoch,
        topics: message.v3_and_below_topics,
        ..Default::default()
    }
}

/// One error for all partitions, or one for each.
async fn results(
    cx: &Context,
    transaction: &AddPartitionsToTxnTransaction,
    version: i16,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let topics = &transaction.topics;
    if let Some(results) = unknown_partitions(&cx.image(), topics) {
        return results;
    }
    match judge(cx, transaction, version).await {
        Err(problem) => each(topics, |_, _| problem.code(version >= FENCED_FROM)),
        Ok(missing) => each(topics, |topic, index| {
            match missing
                .get(topic.as_str())
                .is_some_and(|indexes| indexes.contains(&index))
            {
                true => ErrorCode::TransactionAbortable,
                false => ErrorCode::None,
            }
        }),
    }
}

/// The partitions that are not in the transaction: none where they have been added.
async fn judge(
    cx: &Context,
    transaction: &AddPartitionsToTxnTransaction,
    version: i16,
) -> Result<NamedPartitions, Problem> {
    let transactional_id = id_of(&transaction.transactional_id)?;
    let add = AddPartitions {
        transactional_id: transactional_id.clone(),
        producer: ProducerIdentity {
            producer_id: transaction.producer_id,
            epoch: transaction.producer_epoch,
        },
        partitions: partitions_of(&transaction.topics),
        version: transactions::client_version(version, V2_FROM),
    };
    let ask = if transaction.verify_only {
        TxnRequest::Verify(add)
    } else {
        TxnRequest::Add(add)
    };
    match transactions::ask(cx, &transactional_id, ask)?.await? {
        TxnReply::Added(answer) => Ok(answer.map(|()| NamedPartitions::new())?),
        TxnReply::Verified(answer) => Ok(answer?),
        _ => Err(ErrorCode::UnknownServerError.into()),
    }
}

/// Where one partition does not exist, none is added.
fn unknown_partitions(image: &Image, topics: &[AddPartitionsToTxnTopic]) -> Option<Vec<AddPartitionsToTxnTopicResult>> {
    let error = |topic: &KafkaString, index: i32| {
        let topic = image.topic(topic.as_str());
        match topic.is_some_and(|topic| topic.has_partition(index)) {
            true => ErrorCode::OperationNotAttempted,
            false => ErrorCode::UnknownTopicOrPartition,
        }
    };
    let is_unknown = |topic: &AddPartitionsToTxnTopic| {
        let unknown = |index: &i32| error(&topic.name, *index) == ErrorCode::UnknownTopicOrPartition;
        topic.partitions.iter().any(unknown)
    };
    topics.iter().any(is_unknown).then(|| each(topics, error))
}

fn each(
    topics: &[AddPartitionsToTxnTopic],
    error: impl Fn(&KafkaString, i32) -> ErrorCode,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let result = |topic: &AddPartitionsToTxnTopic| AddPartitionsToTxnTopicResult {
        name: topic.name.clone(),
        results_by_partition: topic
            .partitions
            .iter()
            .map(|index| AddPartitionsToTxnPartitionResult {
                partition_index: *index,
                partition_error_code: error(&topic.name, *index).code(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    topics.iter().map(result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::image;
    use crate::wire::messages::{Encode, kafka_string};

    fn topics(of: &[(&str, &[i32])]) -> Vec<AddPartitionsToTxnTopic> {
        let topic = |(name, partitions): &(&str, &[i32])| AddPartitionsToTxnTopic {
            name: kafka_string(name),
            partitions: partitions.to_vec(),
            ..Default::default()
        };
        of.iter().map(topic).collect()
    }

    fn codes(results: &[AddPartitionsToTxnTopicResult]) -> Vec<i16> {
        let partitions = results.iter().flat_map(|topic| &topic.results_by_partition);
        partitions.map(|partition| partition.partition_error_code).collect()
    }

    /// One unknown partition, and none is added: the others say that they were not tried.
    #[test]
    fn unknown_partitions_stop_the_others() {
        let image = image(&[("a", 2)]);
        assert_eq!(unknown_partitions(&image, &topics(&[("a", &[0, 1])])), None);
        let results = unknown_partitions(&image, &topics(&[("a", &[0, 2, -1]), ("b", &[0])])).unwrap();
        assert_eq!(codes(&results), [55, 3, 3, 3]);
    }

    #[test]
    fn every_version_encodes() {
        let results = || each(&topics(&[("a", &[0])]), |_, _| ErrorCode::ConcurrentTransactions);
        for version in API.versions {
            let mut response = AddPartitionsToTxnResponseData::default();
            match version {
                LISTS_FROM.. => response.results_by_transaction.push(AddPartitionsToTxnResult {
                    topic_results: results(),
                    ..Default::default()
                }),
                _ => response.results_by_topic_v3_and_below = results(),
            }
            response.encode(version).unwrap();
        }
    }
}
