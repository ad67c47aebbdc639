//! InitProducerId: an idempotent producer gets a fresh id with epoch 0, out of a block that this shard took from the
//! controller; one with a transactional id gets what the id's coordinator says.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use crate::metadata::{Command, Reply};
use crate::model::{ErrorCode, NO_PRODUCER_ID, ProducerIdentity};
use crate::txn::{Init, TxnRequest};
use crate::wire::ApiKey;
use crate::wire::messages::{InitProducerIdRequestData, InitProducerIdResponseData};

use super::transactions::{Problem, ask_for_identity, id_of};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::INIT_PRODUCER_ID,
    name: "InitProducerId",
    versions: 0..=5,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

const FENCED_FROM: i16 = 4;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<InitProducerIdRequestData>(&cx)?;
    let identity = identity(&cx, &message).await;
    Answer::message(&answer(identity, version), version)
}

async fn identity(cx: &Context, message: &InitProducerIdRequestData) -> Result<ProducerIdentity, Problem> {
    let claimed = claimed(message)?;
    let Some(id) = &message.transactional_id else {
        let producer_id = next_id(cx).await?;
        return Ok(ProducerIdentity { producer_id, epoch: 0 });
    };
    let transactional_id = id_of(id)?;
    let init = |fresh_id| {
        TxnRequest::Init(Init {
            transactional_id: transactional_id.clone(),
            timeout_ms: message.transaction_timeout_ms,
            claimed,
            fresh_id,
        })
    };
    ask_for_identity(cx, &transactional_id, init).await
}

/// //= protocol: a producer id and an epoch come together or not at all
fn claimed(message: &InitProducerIdRequestData) -> Result<Option<ProducerIdentity>, ErrorCode> {
    let (producer_id, epoch) = (message.producer_id, message.producer_epoch);
    match (producer_id != NO_PRODUCER_ID, epoch != -1) {
        (true, true) => Ok(Some(ProducerIdentity { producer_id, epoch })),
        (false, false) => Ok(None),
        _ => Err(ErrorCode::InvalidRequest),
    }
}

fn answer(identity: Result<ProducerIdentity, Problem>, version: i16) -> InitProducerIdResponseData {
    let (error, producer_id, producer_epoch) = match identity {
        Ok(identity) => (ErrorCode::None, identity.producer_id, identity.epoch),
        Err(problem) => (problem.code(version >= FENCED_FROM), NO_PRODUCER_ID, -1),
    };
    InitProducerIdResponseData {
        error_code: error.code(),
        producer_id,
        producer_epoch,
        ..Default::default()
    }
}

/// The ids that are left of this shard's block. Ids that a restart forgets are lost; there are 2^63 of them.
#[derive(Default)]
pub struct ProducerIds(RefCell<Range<i64>>);

impl ProducerIds {
    fn take(&self) -> Option<i64> {
        self.0.borrow_mut().next()
    }

    /// The first id of a new block; the rest is kept unless another request has brought a block in the meantime.
    fn refill(&self, block: Range<i64>) -> Option<i64> {
        let mut block = block;
        let first = block.next();
        let mut left = self.0.borrow_mut();
        if left.is_empty() {
            *left = block;
        }
        first
    }
}

pub(super) async fn next_id(cx: &Context) -> Result<i64, ErrorCode> {
    let ids = &cx.services.producer_ids;
    if let Some(id) = ids.take() {
        return Ok(id);
    }
    let broker = cx.broker_id();
    let Some(epoch) = cx.image().brokers.get(&broker).map(|known| known.epoch) else {
        return Err(ErrorCode::CoordinatorLoadInProgress);
    };
    let command = Command::AllocateProducerIds { broker, epoch };
    match cx.router().metadata().submit(command).await {
        Ok(Reply::ProducerIds { first, count }) => {
            let block = first..first.saturating_add(i64::from(count));
            ids.refill(block).ok_or(ErrorCode::CoordinatorNotAvailable)
        }
        Ok(_) => Err(ErrorCode::UnknownServerError),
        Err(error) => {
            tracing::warn!(code = ?error.code, "no producer ids: {}", error.message);
            Err(ErrorCode::CoordinatorLoadInProgress)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::txn::TxnError;
    use crate::wire::messages::Encode;

    /// Behaviour 30: half-given identities are invalid.
    #[test]
    fn only_whole_identities_are_accepted() {
        let claimed = |producer_id, producer_epoch| {
            claimed(&InitProducerIdRequestData {
                producer_id,
                producer_epoch,
                ..Default::default()
            })
        };
        let identity = ProducerIdentity {
            producer_id: 5,
            epoch: 3,
        };
        assert_eq!(claimed(-1, -1), Ok(None));
        assert_eq!(claimed(5, 3), Ok(Some(identity)));
        assert_eq!(claimed(5, -1), Err(ErrorCode::InvalidRequest));
        assert_eq!(claimed(-1, 0), Err(ErrorCode::InvalidRequest));
    }

    /// No id is given twice, also when two requests fetch a block at the same time.
    #[test]
    fn ids_are_unique_across_refills() {
        let ids = ProducerIds::default();
        assert_eq!(ids.take(), None);
        assert_eq!((ids.refill(0..3), ids.refill(3..6)), (Some(0), Some(3)));
        assert_eq!([ids.take(), ids.take(), ids.take()], [Some(1), Some(2), None]);
        assert_eq!(ids.refill(9..9), None);
    }

    /// Behaviour 59.
    #[test]
    fn every_version_says_what_its_clients_know() {
        let identity = ProducerIdentity {
            producer_id: 7,
            epoch: 2,
        };
        for version in API.versions {
            let ok = answer(Ok(identity), version);
            assert_eq!((ok.producer_id, ok.producer_epoch), (7, 2));
            let fenced = answer(Err(TxnError::Fenced.into()), version);
            assert_eq!(fenced.error_code, if version >= 4 { 90 } else { 47 });
            for response in [ok, fenced] {
                response.encode(version).unwrap();
            }
        }
    }
}
