//! ListTransactions: the transactional ids of this broker's coordinators, filtered.

use std::rc::Rc;
use std::sync::Arc;

use regex::Regex;

use crate::model::{ErrorCode, TRANSACTIONS_TOPIC};
use crate::rt;
use crate::txn::{State, Transaction, TxnReply, TxnRequest};
use crate::wire::ApiKey;
use crate::wire::messages::{
    KafkaString, ListTransactionsRequestData, ListTransactionsResponseData, ListedTransaction, kafka_string,
};

use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::LIST_TRANSACTIONS,
    name: "ListTransactions",
    versions: 0..=2,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<ListTransactionsRequestData>(&cx)?;
    Answer::message(&list(&cx, &message).await, version)
}

async fn list(cx: &Context, message: &ListTransactionsRequestData) -> ListTransactionsResponseData {
    let filter = match Filter::of(message, rt::wall_ms()) {
        Ok(filter) => filter,
        Err(error) => return refused(error),
    };
    let ask = |partition| cx.router().transaction(partition, TxnRequest::List);
    // All are asked before the first answer is awaited.
    let asked: Vec<_> = cx.coordinators(TRANSACTIONS_TOPIC).into_iter().map(ask).collect();
    let mut response = ListTransactionsResponseData {
        unknown_state_filters: unknown_states(&message.state_filters),
        ..Default::default()
    };
    for answer in asked {
        match answer.await {
            Ok(TxnReply::Listed(listed)) => response.transaction_states.extend(filter.pick(listed)),
            Ok(_) => return refused(ErrorCode::UnknownServerError),
            Err(error) => return refused(error),
        }
    }
    response
}

fn refused(error: ErrorCode) -> ListTransactionsResponseData {
    ListTransactionsResponseData {
        error_code: error.code(),
        ..Default::default()
    }
}

/// States that may be named: those that there are, and two of Kafka's that do not outlast a decision here.
const STATES: [&str; 8] = [
    State::Empty.name(),
    State::Ongoing.name(),
    State::PrepareCommit.name(),
    State::PrepareAbort.name(),
    State::CompleteCommit.name(),
    State::CompleteAbort.name(),
    "Dead",
    "PrepareEpochFence",
];

fn unknown_states(filters: &[KafkaString]) -> Vec<KafkaString> {
    let unknown = |filter: &&KafkaString| !STATES.contains(&filter.as_str());
    filters.iter().filter(unknown).cloned().collect()
}

/// What a transaction must have; an empty list lets all through.
struct Filter<'a> {
    message: &'a ListTransactionsRequestData,
    /// The whole id must match.
    pattern: Option<Regex>,
    now_ms: i64,
}

impl<'a> Filter<'a> {
    fn of(message: &'a ListTransactionsRequestData, now_ms: i64) -> Result<Filter<'a>, ErrorCode> {
        let pattern = message.transactional_id_pattern.as_ref().map(KafkaString::as_str);
        let pattern = pattern.filter(|pattern| !pattern.is_empty());
        let pattern = pattern.map(|pattern| Regex::new(&format!("^(?:{pattern})$")));
        Ok(Filter {
            message,
            pattern: pattern.transpose().map_err(|_| ErrorCode::InvalidRegularExpression)?,
            now_ms,
        })
    }

    fn pick(&self, listed: Vec<(Arc<str>, Box<Transaction>)>) -> impl Iterator<Item = ListedTransaction> {
        listed
            .into_iter()
            .filter(|(id, transaction)| self.lets_through(id, transaction))
            .map(|(id, transaction)| ListedTransaction {
                transactional_id: kafka_string(&id),
                producer_id: transaction.producer_id,
                transaction_state: kafka_string(transaction.state.name()),
                ..Default::default()
            })
    }

    fn lets_through(&self, id: &str, transaction: &Transaction) -> bool {
        let message = self.message;
        let is_named = |state: &KafkaString| state.as_str() == transaction.state.name();
        let age_ms = self.now_ms.saturating_sub(transaction.started_ms);
        (message.state_filters.is_empty() || message.state_filters.iter().any(is_named))
            && (message.producer_id_filters.is_empty()
                || message.producer_id_filters.contains(&transaction.producer_id))
            && (message.duration_filter < 0 || age_ms > message.duration_filter)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(message: &ListTransactionsRequestData) -> Vec<String> {
        let transaction = |producer_id, state, started_ms| {
            Box::new(Transaction {
                state,
                started_ms,
                ..Transaction::new(producer_id)
            })
        };
        let listed = vec![
            (Arc::from("old"), transaction(1, State::Ongoing, 100)),
            (Arc::from("new"), transaction(2, State::Ongoing, 900)),
            (Arc::from("done"), transaction(3, State::CompleteCommit, 100)),
        ];
        let filter = Filter::of(message, 1000).unwrap();
        let ids = filter
            .pick(listed)
            .map(|transaction| transaction.transactional_id.to_string());
        ids.collect()
    }

    #[test]
    fn filters_hold_together() {
        let all = ListTransactionsRequestData {
            duration_filter: -1,
            ..Default::default()
        };
        assert_eq!(picked(&all), ["old", "new", "done"]);
        let mut some = all.clone();
        some.state_filters = vec![kafka_string("Ongoing"), kafka_string("Nonsense")];
        assert_eq!(picked(&some), ["old", "new"]);
        assert_eq!(unknown_states(&some.state_filters), [kafka_string("Nonsense")]);
        some.duration_filter = 500;
        assert_eq!(picked(&some), ["old"]);
        some.producer_id_filters = vec![2, 3];
        assert!(picked(&some).is_empty());
    }

    /// A pattern matches whole ids; one that is none is refused.
    #[test]
    fn patterns_match_whole_ids() {
        let mut message = ListTransactionsRequestData {
            duration_filter: -1,
            transactional_id_pattern: Some(kafka_string("o.*|ne")),
            ..Default::default()
        };
        assert_eq!(picked(&message), ["old"]);
        message.transactional_id_pattern = Some(kafka_string("("));
        assert!(Filter::of(&message, 0).is_err());
    }
}
