//! Transactional appends that a partition sent back because it does not know of the transaction: the producer's coordinator
//! is asked whether the partition is in it, and the append is tried again with its word. //= KIP-890
//!
//! A batch that comes after its transaction has ended would otherwise open one that nobody ends, and hold up every reader
//! of committed data.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{ErrorCode, PartitionId};
use crate::partition::Warrant;
use crate::shard::{Acks, AppendItem, AppendOutcome};

use super::Context;

/// The first Produce version whose clients know TRANSACTION_ABORTABLE.
const ABORTABLE_FROM: i16 = 11;

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
    fn refusal(&self, error: ErrorCode) -> ErrorCode {
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

/// Tries again what came back unverified. `items` are those of `outcomes`, place by place.
pub(super) async fn append_verified(
    cx: &Context,
    transaction: &Transaction,
    items: Vec<AppendItem>,
    outcomes: &mut [AppendOutcome],
    (acks, timeout): (Acks, Duration),
) {
    let is_unverified = |(_, outcome): &(AppendItem, &mut AppendOutcome)| outcome.unverified.is_some();
    let unverified: Vec<_> = items.into_iter().zip(outcomes).filter(is_unverified).collect();
    if unverified.is_empty() {
        return;
    }
    let partitions: Vec<PartitionId> = unverified.iter().map(|(item, _)| item.partition).collect();
    let words = ask_coordinator(cx, transaction, &partitions).await;
    let (mut again, mut places) = (Vec::new(), Vec::new());
    for ((item, outcome), word) in unverified.into_iter().zip(words) {
        match (word, outcome.unverified) {
            (ErrorCode::None, Some(guard)) => {
                let warrant = Warrant::Verified(guard);
                again.push(AppendItem { warrant, ..item });
                places.push(outcome);
            }
            (error, _) => outcome.error = transaction.refusal(error),
        }
    }
    let appended = cx.router().append(again, acks, timeout).await;
    for (place, outcome) in places.into_iter().zip(appended) {
        *place = outcome;
    }
}

/// The coordinator's word on each partition. This broker runs none, so nobody can have begun a transaction.
async fn ask_coordinator(_: &Context, _: &Transaction, partitions: &[PartitionId]) -> Vec<ErrorCode> {
    vec![ErrorCode::InvalidTxnState; partitions.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

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
