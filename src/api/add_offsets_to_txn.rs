//! AddOffsetsToTxn: the offsets that a producer commits for a group will be part of its transaction. What joins is the
//! partition of the topic of committed offsets that keeps the group.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use crate::group::partition_of;
use crate::metadata::Image;
use crate::model::{ErrorCode, NamedPartitions, OFFSETS_TOPIC, ProducerIdentity};
use crate::txn::{AddPartitions, ClientVersion, TxnReply, TxnRequest};
use crate::wire::ApiKey;
use crate::wire::messages::{AddOffsetsToTxnRequestData, AddOffsetsToTxnResponseData};

use super::transactions::{self, Problem, id_of};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::ADD_OFFSETS_TO_TXN,
    name: "AddOffsetsToTxn",
    versions: 0..=4,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

const FENCED_FROM: i16 = 2;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<AddOffsetsToTxnRequestData>(&cx)?;
    let error = match add(&cx, &message).await {
        Ok(()) => ErrorCode::None,
        Err(problem) => problem.code(version >= FENCED_FROM),
    };
    let response = AddOffsetsToTxnResponseData {
        error_code: error.code(),
        ..Default::default()
    };
    Answer::message(&response, version)
}

async fn add(cx: &Context, message: &AddOffsetsToTxnRequestData) -> Result<(), Problem> {
    let transactional_id = id_of(&message.transactional_id)?;
    let add = AddPartitions {
        transactional_id: transactional_id.clone(),
        producer: ProducerIdentity {
            producer_id: message.producer_id,
            epoch: message.producer_epoch,
        },
        partitions: offsets_partition(cx, message.group_id.as_str()),
        version: ClientVersion::V0,
    };
    match transactions::ask(cx, &transactional_id, TxnRequest::Add(add))?.await? {
        TxnReply::Added(answer) => Ok(answer?),
        _ => Err(ErrorCode::UnknownServerError.into()),
    }
}

/// The topic may not be there yet: then it will have as many partitions as the configuration says.
pub fn offsets_partition(cx: &Context, group: &str) -> NamedPartitions {
    let configured = cx.config().groups.topic_partitions;
    NamedPartitions::from([(
        Arc::from(OFFSETS_TOPIC),
        BTreeSet::from([partition_of(group, partitions(&cx.image(), configured))]),
    )])
}

fn partitions(image: &Image, configured: i32) -> i32 {
    let there = image.topic(OFFSETS_TOPIC).map(|topic| topic.partitions.len());
    there.and_then(|count| i32::try_from(count).ok()).unwrap_or(configured)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::image;

    #[test]
    fn topic_that_is_not_there_has_as_many_partitions_as_configured() {
        assert_eq!(partitions(&image(&[]), 50), 50);
        assert_eq!(partitions(&image(&[(OFFSETS_TOPIC, 7)]), 50), 7);
    }
}
