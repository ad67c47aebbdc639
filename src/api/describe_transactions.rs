//! DescribeTransactions: the state of transactional ids, from their coordinators.

use std::rc::Rc;

use crate::model::ErrorCode;
use crate::txn::{Transaction, TxnReply, TxnRequest};
use crate::wire::ApiKey;
use crate::wire::messages::{
    DescribeTransactionsRequestData, DescribeTransactionsResponseData, DescribedTransaction, DescribedTransactionTopic,
    KafkaString, kafka_string,
};

use super::transactions::{ask, id_of};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::DESCRIBE_TRANSACTIONS,
    name: "DescribeTransactions",
    versions: 0..=0,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<DescribeTransactionsRequestData>(&cx)?;
    let mut response = DescribeTransactionsResponseData::default();
    for id in message.transactional_ids {
        let found = find(&cx, &id).await;
        response.transaction_states.push(described(id, found));
    }
    Answer::message(&response, version)
}

async fn find(cx: &Context, id: &KafkaString) -> Result<Box<Transaction>, ErrorCode> {
    let id = id_of(id)?;
    match ask(cx, &id, TxnRequest::Describe(id.clone()))?.await? {
        TxnReply::Described(Some(transaction)) => Ok(transaction),
        TxnReply::Described(None) => Err(ErrorCode::TransactionalIdNotFound),
        _ => Err(ErrorCode::UnknownServerError),
    }
}

fn described(id: KafkaString, found: Result<Box<Transaction>, ErrorCode>) -> DescribedTransaction {
    let transaction = match found {
        Ok(transaction) => transaction,
        Err(error) => {
            return DescribedTransaction {
                transactional_id: id,
                error_code: error.code(),
                ..Default::default()
            };
        }
    };
    let topics = transaction
        .partitions
        .iter()
        .map(|(topic, indexes)| DescribedTransactionTopic {
            topic: kafka_string(topic),
            partitions: indexes.iter().copied().collect(),
            ..Default::default()
        });
    DescribedTransaction {
        transactional_id: id,
        transaction_state: kafka_string(transaction.state.name()),
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_start_time_ms: transaction.started_ms,
        producer_id: transaction.producer_id,
        producer_epoch: transaction.epoch,
        topics: topics.collect(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::Encode;

    #[test]
    fn unknown_ids_and_known_ones_are_described() {
        let known = described(kafka_string("t"), Ok(Box::new(Transaction::new(7))));
        assert_eq!((known.producer_id, known.transaction_state.as_str()), (7, "Empty"));
        let unknown = described(kafka_string("u"), Err(ErrorCode::TransactionalIdNotFound));
        assert_eq!(unknown.error_code, 105);
        let response = DescribeTransactionsResponseData {
            transaction_states: vec![known, unknown],
            ..Default::default()
        };
        response.encode(0).unwrap();
    }
}
