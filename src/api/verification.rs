//! Transactional appends that a partition sent back because it does not know of the transaction: the producer's coordinator
//! is asked whether the partition is in it, and the append is tried again with its word. //= KIP-890
//!
//! A batch that comes after its transaction has ended would otherwise open one that nobody ends, and hold up every reader
//! of committed data.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::metadata::Image;
use crate::model::{BrokerId, ErrorCode, NamedPartitions, PartitionId, ProducerIdentity, TRANSACTIONS_TOPIC};
use crate::partition::Warrant;
use crate::rt;
use crate::shard::{Acks, AppendItem, AppendOutcome};
use crate::txn::{AddPartitions, ClientVersion, TxnError, TxnReply, TxnRequest};
use crate::wire::ApiKey;
use crate::wire::messages::{
    AddPartitionsToTxnRequestData, AddPartitionsToTxnResponseData, AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction, BODY_BYTES_MAX, Decode, Encode, kafka_string, text,
};

use super::Context;
use super::cluster_view::coordinator_elsewhere;
use super::transactions::{self, Problem};

/// The first Produce version whose clients know TRANSACTION_ABORTABLE.
const ABORTABLE_FROM: i16 = 11;
/// Questions for one append: the marker of the transaction before takes back the guard of a question that it overtakes,
/// and there is only one such marker.
pub(super) const ROUNDS_MAX: usize = 3;
/// The first Produce version whose clients leave it to the broker to add partitions.
const ADDS_FROM: i16 = 12;
/// Of AddPartitionsToTxn, as brokers ask each other.
const ASK_VERSION: i16 = 5;

/// The transaction that all transactional batches of one Produce request are part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transaction {
    pub id: Arc<str>,
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// Of the Produce request.
    pub version: i16,
}

impl Transaction {
    /// The coordinator's word as the version's clients understand it. //= ReplicaManager.appendRecords
    pub(super) fn refusal(&self, error: ErrorCode) -> ErrorCode {
        match error {
            ErrorCode::InvalidTxnState if self.version >= ABORTABLE_FROM => ErrorCode::TransactionAbortable,
            ErrorCode::TransactionAbortable if self.version < ABORTABLE_FROM => ErrorCode::InvalidTxnState,
            ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
            // Retriable, and no reason to look for another leader.
            ErrorCode::ConcurrentTransactions
            | ErrorCode::NetworkException
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator => ErrorCode::NotEnoughReplicas,
            error => error,
        }
    }
}

/// Tries again what came back unverified, or before its turn. `items` are those of `outcomes`, place by place. Called when
/// all that came before on the connection are answered.
pub(super) async fn append_verified(
    cx: &Context,
    transaction: &Transaction,
    items: Vec<AppendItem>,
    outcomes: &mut [AppendOutcome],
    (acks, timeout): (Acks, Duration),
) {
    let early = came_early(&items, outcomes);
    append_again(cx, early, outcomes, (acks, timeout)).await;
    for _ in 0..ROUNDS_MAX {
        let again = verified(cx, transaction, &items, outcomes).await;
        if again.1.is_empty() {
            return;
        }
        append_again(cx, again, outcomes, (acks, timeout)).await;
    }
    for outcome in outcomes.iter_mut().filter(|outcome| outcome.unverified.is_some()) {
        outcome.error = transaction.refusal(ErrorCode::ConcurrentTransactions);
    }
}

/// Items with their places among the outcomes.
type Again = (Vec<usize>, Vec<AppendItem>);

async fn append_again(
    cx: &Context,
    (places, items): Again,
    outcomes: &mut [AppendOutcome],
    (acks, timeout): (Acks, Duration),
) {
    if items.is_empty() {
        return;
    }
    let appended = cx.router().append(items, acks, timeout).await;
    for (place, outcome) in places.into_iter().zip(appended) {
        outcomes[place] = outcome;
    }
}

/// Of three batches that follow each other the first two are sent back; when the first has been appended, the third comes,
/// before the second comes again: it is out of order only until then.
fn came_early(items: &[AppendItem], outcomes: &[AppendOutcome]) -> Again {
    let is_early = |place: &usize| {
        let is_transactional = items[*place].batch.header.is_transactional();
        is_transactional && outcomes[*place].error == ErrorCode::OutOfOrderSequenceNumber
    };
    let places: Vec<usize> = (0..items.len()).filter(is_early).collect();
    let again = places.iter().map(|place| items[*place].clone()).collect();
    (places, again)
}

/// What the coordinator has confirmed, to be appended again, with its places among the outcomes; the others are refused.
async fn verified(
    cx: &Context,
    transaction: &Transaction,
    items: &[AppendItem],
    outcomes: &mut [AppendOutcome],
) -> Again {
    let is_unverified = |place: &usize| outcomes[*place].unverified.is_some();
    let unverified: Vec<usize> = (0..items.len()).filter(is_unverified).collect();
    let partitions: Vec<PartitionId> = unverified.iter().map(|place| items[*place].partition).collect();
    if partitions.is_empty() {
        return Default::default();
    }
    let words = ask_coordinator(cx, transaction, &partitions).await;
    let (mut places, mut again) = (Vec::new(), Vec::new());
    for (place, word) in unverified.into_iter().zip(words) {
        let outcome = &mut outcomes[place];
        match (word, outcome.unverified.take()) {
            (ErrorCode::None, Some(guard)) => {
                let warrant = Warrant::Verified(guard);
                again.push(AppendItem {
                    warrant,
                    ..items[place].clone()
                });
                places.push(place);
            }
            (error, _) => outcome.error = transaction.refusal(error),
        }
    }
    (places, again)
}

/// The coordinator's word on each partition. Clients of transactions v2 have not added them: this does.
pub(super) async fn ask_coordinator(
    cx: &Context,
    transaction: &Transaction,
    partitions: &[PartitionId],
) -> Vec<ErrorCode> {
    let image = cx.image();
    let config = &image.config().transactions;
    if !config.verify_partitions && transaction.version < ADDS_FROM {
        return vec![ErrorCode::None; partitions.len()];
    }
    let named = names(&cx.image(), partitions);
    let give_up = rt::now().after(config.add_retry_max);
    let missing = loop {
        match judge(cx, transaction, &named).await {
            // The transaction before is being ended; that does not take long.
            Err(Problem::Refused(TxnError::Concurrent)) if rt::now() < give_up => {
                rt::sleep(config.add_retry_backoff).await;
            }
            Err(problem) => return vec![problem.code(true); partitions.len()],
            Ok(missing) => break missing,
        }
    };
    let image = cx.image();
    let word = |partition: &PartitionId| {
        let name = image.topic_by_id(&partition.topic).map(|topic| &topic.name);
        let indexes = name.and_then(|name| missing.get(name));
        match indexes.is_some_and(|indexes| indexes.contains(&partition.index)) {
            true => ErrorCode::TransactionAbortable,
            false => ErrorCode::None,
        }
    };
    partitions.iter().map(word).collect()
}

/// The partitions that are not in the transaction.
async fn judge(cx: &Context, transaction: &Transaction, named: &NamedPartitions) -> Result<NamedPartitions, Problem> {
    let add = AddPartitions {
        transactional_id: transaction.id.clone(),
        producer: ProducerIdentity {
            producer_id: transaction.producer_id,
            epoch: transaction.producer_epoch,
        },
        partitions: named.clone(),
        version: ClientVersion::V2,
    };
    let elsewhere = coordinator_elsewhere(&cx.image(), TRANSACTIONS_TOPIC, &transaction.id, cx.broker_id());
    if let Some(broker) = elsewhere {
        return judge_elsewhere(cx, broker, transaction, named).await;
    }
    let request = match transaction.version {
        ADDS_FROM.. => TxnRequest::Add(add),
        _ => TxnRequest::Verify(add),
    };
    match transactions::ask(cx, &transaction.id, request)?.await? {
        TxnReply::Added(answer) => Ok(answer.map(|()| NamedPartitions::new())?),
        TxnReply::Verified(answer) => Ok(answer?),
        _ => Err(ErrorCode::UnknownServerError.into()),
    }
}

/// The same question to the broker of the coordinator.
async fn judge_elsewhere(
    cx: &Context,
    broker: BrokerId,
    transaction: &Transaction,
    named: &NamedPartitions,
) -> Result<NamedPartitions, Problem> {
    let request = AddPartitionsToTxnRequestData {
        transactions: vec![AddPartitionsToTxnTransaction {
            transactional_id: kafka_string(&transaction.id),
            producer_id: transaction.producer_id,
            producer_epoch: transaction.producer_epoch,
            verify_only: transaction.version < ADDS_FROM,
            topics: named.iter().map(|(name, indexes)| asked_topic(name, indexes)).collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let unreadable = |_| Problem::Failed(ErrorCode::UnknownServerError);
    let body = vec![request.encode(ASK_VERSION).map_err(unreadable)?];
    let api = (ApiKey::ADD_PARTITIONS_TO_TXN, ASK_VERSION);
    let answer = cx.router().call_broker(broker, api, body).await.map_err(|problem| {
        tracing::debug!(broker = broker.0, %problem, "no answer from the coordinator of a transaction");
        Problem::Failed(ErrorCode::NetworkException)
    })?;
    let answer = AddPartitionsToTxnResponseData::decode(answer, ASK_VERSION, BODY_BYTES_MAX).map_err(unreadable)?;
    missing_of(&answer)
}

fn asked_topic(name: &str, indexes: &BTreeSet<i32>) -> AddPartitionsToTxnTopic {
    AddPartitionsToTxnTopic {
        name: kafka_string(name),
        partitions: indexes.iter().copied().collect(),
        ..Default::default()
    }
}

/// The partitions that are not in the transaction, or why there is no word on any.
fn missing_of(answer: &AddPartitionsToTxnResponseData) -> Result<NamedPartitions, Problem> {
    let mut missing = NamedPartitions::new();
    let results = answer.results_by_transaction.iter().flat_map(|one| &one.topic_results);
    for topic in results {
        for partition in &topic.results_by_partition {
            match ErrorCode::from_code(partition.partition_error_code) {
                ErrorCode::None => {}
                ErrorCode::TransactionAbortable => {
                    let name: Arc<str> = text(&topic.name).into();
                    missing.entry(name).or_default().insert(partition.partition_index);
                }
                // As the coordinator says it here: the way to its broker must make no difference.
                ErrorCode::ConcurrentTransactions => return Err(TxnError::Concurrent.into()),
                ErrorCode::ProducerFenced => return Err(TxnError::Fenced.into()),
                error => return Err(error.into()),
            }
        }
    }
    match ErrorCode::from_code(answer.error_code) {
        ErrorCode::None => Ok(missing),
        error => Err(error.into()),
    }
}

fn names(image: &Image, partitions: &[PartitionId]) -> NamedPartitions {
    let mut named = NamedPartitions::new();
    for partition in partitions {
        if let Some(topic) = image.topic_by_id(&partition.topic) {
            named.entry(topic.name.clone()).or_default().insert(partition.index);
        }
    }
    named
}

#[cfg(test)]
mod races;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::{
        AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
    };

    /// What the coordinator's broker answers is what the coordinator would have said here.
    #[test]
    fn a_word_from_another_broker_is_taken_as_our_own() {
        let answered = |codes: &[i16]| AddPartitionsToTxnResponseData {
            results_by_transaction: vec![AddPartitionsToTxnResult {
                topic_results: vec![AddPartitionsToTxnTopicResult {
                    name: kafka_string("a"),
                    results_by_partition: codes
                        .iter()
                        .enumerate()
                        .map(|(index, code)| AddPartitionsToTxnPartitionResult {
                            partition_index: index as i32,
                            partition_error_code: *code,
                            ..Default::default()
                        })
                        .collect(),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let missing = missing_of(&answered(&[0, ErrorCode::TransactionAbortable.code()]));
        assert_eq!(missing, Ok(NamedPartitions::from([("a".into(), BTreeSet::from([1]))])));
        let refused = |error: ErrorCode| missing_of(&answered(&[error.code()]));
        assert_eq!(
            refused(ErrorCode::ConcurrentTransactions),
            Err(TxnError::Concurrent.into())
        );
        assert_eq!(
            refused(ErrorCode::NotCoordinator),
            Err(ErrorCode::NotCoordinator.into())
        );
    }

    /// Behaviour 61: each version hears what it understands; what passes by itself is retriable.
    #[test]
    fn refusals_depend_on_the_version() {
        let heard = |version, error| {
            let transaction = Transaction {
                id: "t".into(),
                producer_id: 1,
                producer_epoch: 0,
                version,
            };
            transaction.refusal(error)
        };
        assert_eq!(heard(10, ErrorCode::InvalidTxnState), ErrorCode::InvalidTxnState);
        assert_eq!(heard(11, ErrorCode::InvalidTxnState), ErrorCode::TransactionAbortable);
        assert_eq!(heard(10, ErrorCode::TransactionAbortable), ErrorCode::InvalidTxnState);
        for version in [9, 12] {
            assert_eq!(
                heard(version, ErrorCode::ProducerFenced),
                ErrorCode::InvalidProducerEpoch
            );
            assert_eq!(heard(version, ErrorCode::NotCoordinator), ErrorCode::NotEnoughReplicas);
            assert_eq!(
                heard(version, ErrorCode::InvalidProducerIdMapping),
                ErrorCode::InvalidProducerIdMapping
            );
        }
    }
}
