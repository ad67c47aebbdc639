//! EndTxn: commits or aborts a producer's transaction. The answer comes once the decision is durable; its markers follow.

use std::rc::Rc;

use crate::model::{NO_PRODUCER_ID, ProducerIdentity};
use crate::txn::{End, TxnRequest};
use crate::wire::ApiKey;
use crate::wire::messages::{EndTxnRequestData, EndTxnResponseData};

use super::transactions::{Problem, ask_for_identity, client_version, id_of};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::END_TXN,
    name: "EndTxn",
    versions: 0..=5,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

const FENCED_FROM: i16 = 2;
/// From here on the answer tells the producer what it is from now on. //= KIP-890
const V2_FROM: i16 = 5;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<EndTxnRequestData>(&cx)?;
    let ended = end(&cx, &message, version).await;
    Answer::message(&answer(ended, version), version)
}

async fn end(cx: &Context, message: &EndTxnRequestData, version: i16) -> Result<ProducerIdentity, Problem> {
    let transactional_id = id_of(&message.transactional_id)?;
    let end = |fresh_id| {
        TxnRequest::End(End {
            transactional_id: transactional_id.clone(),
            producer: ProducerIdentity {
                producer_id: message.producer_id,
                epoch: message.producer_epoch,
            },
            commit: message.committed,
            version: client_version(version, V2_FROM),
            fresh_id,
        })
    };
    ask_for_identity(cx, &transactional_id, end).await
}

fn answer(ended: Result<ProducerIdentity, Problem>, version: i16) -> EndTxnResponseData {
    match ended {
        Ok(identity) if version >= V2_FROM => EndTxnResponseData {
            producer_id: identity.producer_id,
            producer_epoch: identity.epoch,
            ..Default::default()
        },
        Ok(_) => EndTxnResponseData::default(),
        Err(problem) => EndTxnResponseData {
            error_code: problem.code(version >= FENCED_FROM).code(),
            producer_id: NO_PRODUCER_ID,
            producer_epoch: -1,
            ..Default::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::txn::TxnError;
    use crate::wire::messages::Encode;

    /// Behaviour 59, and the identity only where the version has a place for it.
    #[test]
    fn every_version_says_what_its_clients_know() {
        let identity = ProducerIdentity {
            producer_id: 7,
            epoch: 3,
        };
        for version in API.versions {
            let ok = answer(Ok(identity), version);
            assert_eq!((ok.error_code, ok.producer_id == 7), (0, version >= V2_FROM));
            let fenced = answer(Err(TxnError::Fenced.into()), version);
            assert_eq!(fenced.error_code, if version >= 2 { 90 } else { 47 });
            for response in [ok, fenced] {
                response.encode(version).unwrap();
            }
        }
    }
}
