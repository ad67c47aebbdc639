//! ShareAcknowledge: what a member of a share group says of the records that it holds.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::metadata::Image;
use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{
    ShareAcknowledgeLeader, ShareAcknowledgeNode, ShareAcknowledgeRequestData, ShareAcknowledgeResponseData,
    ShareAcknowledgedPartition, ShareAcknowledgedTopic, kafka_string, kafka_uuid, topic_id,
};
use crate::wire::produce::NodeEndpoint;

use super::leader_hints::{LeaderHints, is_about_the_leader};
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
    let image = cx.image();
    let mut hints = LeaderHints::new(&image, &cx.listener);
    let responses = by_topic(&image, &mut hints, answers);
    Ok(ShareAcknowledgeResponseData {
        acquisition_lock_timeout_ms: settings.lock_ms(),
        responses,
        node_endpoints: hints.into_endpoints().into_iter().map(node).collect(),
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

fn by_topic(
    image: &Image,
    hints: &mut LeaderHints<'_>,
    answers: BTreeMap<Named, ErrorCode>,
) -> Vec<ShareAcknowledgedTopic> {
    let mut topics: Vec<ShareAcknowledgedTopic> = Vec::new();
    for ((topic, index), error) in answers {
        let known = image.topic_by_id(&topic).filter(|_| is_about_the_leader(error.code()));
        let leader = known.and_then(|topic| hints.leader_of(topic, index));
        let (leader_id, leader_epoch) = leader.unwrap_or((-1, -1));
        let partition = ShareAcknowledgedPartition {
            partition_index: index,
            error_code: error.code(),
            current_leader: ShareAcknowledgeLeader {
                leader_id,
                leader_epoch,
                ..Default::default()
            },
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

fn node(endpoint: NodeEndpoint) -> ShareAcknowledgeNode {
    ShareAcknowledgeNode {
        node_id: endpoint.node_id,
        host: kafka_string(&endpoint.host),
        port: endpoint.port,
        rack: endpoint.rack.as_deref().map(kafka_string),
        ..Default::default()
    }
}
