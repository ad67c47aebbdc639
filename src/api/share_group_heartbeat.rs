//! ShareGroupHeartbeat: how members of a share group join, stay, learn what to read, and leave.

use std::rc::Rc;

use crate::group::{GroupReply, GroupRequest, ShareBeat, ShareHeard};
use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{
    ShareGroupAssignment, ShareGroupHeartbeatRequestData, ShareGroupHeartbeatResponseData, ShareGroupTopicPartitions,
    kafka_string, kafka_uuid, text,
};

use super::groups::{ask, client_host, mistaken};
use super::share_offsets::require_state_topic;
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::SHARE_GROUP_HEARTBEAT,
    name: "ShareGroupHeartbeat",
    versions: 1..=1,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// The epoch of a member that joins, and the lowest that there is: that of one that leaves.
const EPOCH_JOINING: i32 = 0;
const EPOCH_LEAVING: i32 = -1;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let client_id = request.header.client_id.as_deref().map(String::from_utf8_lossy);
    let client_id = client_id.unwrap_or_default().into_owned();
    let message = request.decode::<ShareGroupHeartbeatRequestData>(&cx)?;
    let response = match beat(&cx, message, client_id).await {
        Ok(heard) => answer(&cx, heard),
        Err(error) => ShareGroupHeartbeatResponseData {
            error_code: error.code(),
            ..Default::default()
        },
    };
    Answer::message(&response, version)
}

async fn beat(
    cx: &Rc<Context>,
    message: ShareGroupHeartbeatRequestData,
    client_id: String,
) -> Result<ShareHeard, ErrorCode> {
    check(&message)?;
    require_state_topic(cx)?;
    let group = text(&message.group_id);
    let beat = ShareBeat {
        group: group.clone(),
        member_id: text(&message.member_id),
        epoch: message.member_epoch,
        rack: message.rack_id.as_ref().map(text),
        client_id,
        client_host: client_host(cx),
        topics: message
            .subscribed_topic_names
            .map(|names| names.iter().map(text).collect()),
    };
    match ask(cx, &group, GroupRequest::ShareBeat(beat)).await? {
        GroupReply::ShareHeard(heard) => heard,
        _ => mistaken(),
    }
}

fn check(message: &ShareGroupHeartbeatRequestData) -> Result<(), ErrorCode> {
    let names_topics = message
        .subscribed_topic_names
        .as_ref()
        .is_some_and(|names| !names.is_empty());
    let is_whole = !message.group_id.as_str().is_empty()
        && !message.member_id.as_str().is_empty()
        && message.member_epoch >= EPOCH_LEAVING
        && (message.member_epoch != EPOCH_JOINING || names_topics);
    match is_whole {
        true => Ok(()),
        false => Err(ErrorCode::InvalidRequest),
    }
}

fn answer(cx: &Context, heard: ShareHeard) -> ShareGroupHeartbeatResponseData {
    let assignment = heard.assigned.map(|assigned| {
        let topics = assigned.into_iter().map(|(id, indexes)| ShareGroupTopicPartitions {
            topic_id: kafka_uuid(id),
            partitions: indexes.into_iter().collect(),
            ..Default::default()
        });
        Box::new(ShareGroupAssignment {
            topic_partitions: topics.collect(),
            ..Default::default()
        })
    });
    let interval_ms = cx.config().shares.heartbeat_interval.as_millis();
    ShareGroupHeartbeatResponseData {
        member_id: Some(kafka_string(&heard.member_id)),
        member_epoch: heard.epoch,
        heartbeat_interval_ms: i32::try_from(interval_ms).unwrap_or(i32::MAX),
        assignment,
        ..Default::default()
    }
}
