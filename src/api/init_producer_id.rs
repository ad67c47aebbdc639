//! InitProducerId for idempotent producers: a fresh id with epoch 0, out of a block that this shard took from the controller.
//! Transactional ids need a coordinator, which this broker does not have.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use crate::metadata::{Command, Reply};
use crate::model::{ErrorCode, NO_PRODUCER_ID};
use crate::wire::ApiKey;
use crate::wire::messages::{InitProducerIdRequestData, InitProducerIdResponseData};

use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::INIT_PRODUCER_ID,
    name: "InitProducerId",
    versions: 0..=5,
    served_from: 0,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<InitProducerIdRequestData>(&cx)?;
    let id = match check(&message) {
        Ok(()) => next_id(&cx).await,
        Err(error) => Err(error),
    };
    Answer::message(&answer(id), version)
}

/// //= protocol: a producer id and an epoch come together or not at all; an empty transactional id is none
fn check(request: &InitProducerIdRequestData) -> Result<(), ErrorCode> {
    let has_id = request.producer_id != NO_PRODUCER_ID;
    let has_epoch = request.producer_epoch != -1;
    match &request.transactional_id {
        Some(id) if id.is_empty() => Err(ErrorCode::InvalidRequest),
        _ if has_id != has_epoch => Err(ErrorCode::InvalidRequest),
        Some(_) => Err(ErrorCode::CoordinatorNotAvailable),
        None => Ok(()),
    }
}

fn answer(id: Result<i64, ErrorCode>) -> InitProducerIdResponseData {
    let (error, producer_id, producer_epoch) = match id {
        Ok(id) => (ErrorCode::None, id, 0),
        Err(error) => (error, NO_PRODUCER_ID, -1),
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

async fn next_id(cx: &Context) -> Result<i64, ErrorCode> {
    let ids = &cx.services.producer_ids;
    if let Some(id) = ids.take() {
        return Ok(id);
    }
    match cx.router().metadata().submit(Command::AllocateProducerIds).await {
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
    use crate::wire::messages::{Encode, kafka_string};

    fn request(transactional_id: Option<&str>, producer_id: i64, producer_epoch: i16) -> InitProducerIdRequestData {
        InitProducerIdRequestData {
            transactional_id: transactional_id.map(kafka_string),
            producer_id,
            producer_epoch,
            ..Default::default()
        }
    }

    /// Behaviour 30: half-given identities are invalid; an idempotent producer gets a new id whatever it had.
    #[test]
    fn only_whole_identities_are_accepted() {
        assert_eq!(check(&request(None, -1, -1)), Ok(()));
        assert_eq!(check(&request(None, 5, 3)), Ok(()));
        assert_eq!(check(&request(None, 5, -1)), Err(ErrorCode::InvalidRequest));
        assert_eq!(check(&request(None, -1, 0)), Err(ErrorCode::InvalidRequest));
        assert_eq!(check(&request(Some(""), -1, -1)), Err(ErrorCode::InvalidRequest));
        assert_eq!(
            check(&request(Some("t"), -1, -1)),
            Err(ErrorCode::CoordinatorNotAvailable)
        );
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

    #[test]
    fn every_version_encodes() {
        for version in API.versions {
            for id in [Ok(7), Err(ErrorCode::InvalidRequest)] {
                answer(id)
                    .encode(version)
                    .unwrap_or_else(|error| panic!("version {version}: {error}"));
            }
        }
    }
}
