//! ShareAcknowledge: what a member of a share group says of the records that it holds.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{
    ShareAcknowledgeRequestData, ShareAcknowledgeResponseData, ShareAcknowledgedPartition, ShareAcknowledgedTopic,
    kafka_uuid, topic_id,
};

use super::share_session::Phase;
use super::shares::{self, Named, Said};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::SHARE_ACKNOWLEDGE,
    name: "ShareAcknowledge",
    versions: 1..=2,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// From this version on a member may ask for more time. //= KIP-1222
const RENEW_FROM: i16 = 2;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<ShareAcknowledgeRequestData>(&cx)?;
    let response = match acknowledge(&cx, message, version).await {
        Ok(response) => response,
        Err(error) => ShareAcknowledgeResponseData {
            error_code: error.code(),
            ..Default::default()
        },
    };
    Answer::message(&response, version)
}

async fn acknowledge(
    cx: &Context,
    message: ShareAcknowledgeRequestData,
    version: i16,
) -> Result<ShareAcknowledgeResponseData, ErrorCode> {
    let member = shares::member(message.group_id.as_ref(), message.member_id.as_ref())?;
    let phase = cx.share_sessions.acknowledge(&member, message.share_session_epoch)?;
    let settings = shares::settings(cx, &member.0);
    let may_renew = version >= RENEW_FROM && message.is_renew_ack;
    let answers = shares::acknowledge(cx, &member, &settings, said(message), may_renew).await;
    if phase == Phase::Final {
        cx.share_sessions.end(&member);
    }
    Ok(ShareAcknowledgeResponseData {
        acquisition_lock_timeout_ms: settings.lock_ms(),
        responses: by_topic(answers),
        ..Default::default()
    })
}

fn said(message: ShareAcknowledgeRequestData) -> BTreeMap<Named, Vec<Said>> {
    let mut said = BTreeMap::new();
    for topic in message.topics {
        for partition in topic.partitions {
            let batches = partition.acknowledgement_batches.into_iter();
            let batches = batches.map(|batch| (batch.first_offset, batch.last_offset, batch.acknowledge_types));
            said.insert((topic_id(topic.topic_id), partition.partition_index), batches.collect());
        }
    }
    said
}

fn by_topic(answers: BTreeMap<Named, ErrorCode>) -> Vec<ShareAcknowledgedTopic> {
    let mut topics: Vec<ShareAcknowledgedTopic> = Vec::new();
    for ((topic, index), error) in answers {
        let partition = ShareAcknowledgedPartition {
            partition_index: index,
            error_code: error.code(),
            ..Default::default()
        };
        match topics.last_mut().filter(|last| topic_id(last.topic_id) == topic) {
            Some(last) => last.partitions.push(partition),
            None => topics.push(ShareAcknowledgedTopic {
                topic_id: kafka_uuid(topic),
                partitions: vec![partition],
                ..Default::default()
            }),
        }
    }
    topics
}
