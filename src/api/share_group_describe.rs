//! ShareGroupDescribe: share groups with their members, and what each of them reads.

use std::rc::Rc;
use std::time::Duration;

use crate::group::{DescribedShareGroup, DescribedShareMember, GroupReply, GroupRequest};
use crate::metadata::Image;
use crate::model::{BrokerId, ErrorCode, OFFSETS_TOPIC};
use crate::rt;
use crate::wire::ApiKey;
use crate::wire::messages::{
    Decode, Encode, ShareGroupDescribeRequestData, ShareGroupDescribeResponseData, ShareGroupDescribed,
    ShareGroupDescribedAssignment, ShareGroupDescribedMember, ShareGroupDescribedTopic, kafka_string, kafka_uuid, text,
};

use super::cluster_view::{OPERATIONS_NOT_ASKED, coordinator_elsewhere};
use super::groups::{GROUP_OPERATIONS, ask, mistaken, optional};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::SHARE_GROUP_DESCRIBE,
    name: "ShareGroupDescribe",
    versions: 1..=1,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// As brokers ask each other.
const ASK_VERSION: i16 = 1;
const ASK_PATIENCE: Duration = Duration::from_secs(2);
/// The one assignor that there is.
const ASSIGNOR: &str = "simple";

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<ShareGroupDescribeRequestData>(&cx)?;
    let operations = match message.include_authorized_operations {
        true => GROUP_OPERATIONS,
        false => OPERATIONS_NOT_ASKED,
    };
    let mut groups = Vec::with_capacity(message.group_ids.len());
    for id in message.group_ids.iter().map(text) {
        let described = describe(&cx, &id).await;
        groups.push(answer(&cx.image(), &id, described, operations));
    }
    let response = ShareGroupDescribeResponseData {
        groups,
        ..Default::default()
    };
    Answer::message(&response, version)
}

/// GROUP_ID_NOT_FOUND where there is no group of this name, or it is of another kind.
pub async fn describe(cx: &Context, group: &str) -> Result<DescribedShareGroup, ErrorCode> {
    if group.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    match ask(cx, group, GroupRequest::DescribeShare(group.to_owned())).await? {
        GroupReply::DescribedShare(described) => described.ok_or(ErrorCode::GroupIdNotFound),
        _ => mistaken(),
    }
}

/// Whether the group's coordinator, on whichever broker, says that there is no share group of this name. Where it cannot be
/// asked, nobody says so.
pub async fn is_unknown(cx: &Context, group: &str) -> bool {
    let error = match coordinator_elsewhere(&cx.image(), OFFSETS_TOPIC, group, cx.broker_id()) {
        Some(broker) => ask_elsewhere(cx, broker, group).await,
        None => describe(cx, group).await.err(),
    };
    error == Some(ErrorCode::GroupIdNotFound)
}

/// The group's error, if there is one and it can be told.
async fn ask_elsewhere(cx: &Context, broker: BrokerId, group: &str) -> Option<ErrorCode> {
    let request = ShareGroupDescribeRequestData {
        group_ids: vec![kafka_string(group)],
        ..Default::default()
    };
    let body = vec![request.encode(ASK_VERSION).ok()?];
    let api = (ApiKey::SHARE_GROUP_DESCRIBE, ASK_VERSION);
    let call = cx.router().call_broker(broker, api, body);
    let answer = rt::timeout(ASK_PATIENCE, call).await?.ok()?;
    let answer = ShareGroupDescribeResponseData::decode_answer(answer, ASK_VERSION).ok()?;
    let described = answer.groups.first()?;
    Some(ErrorCode::from_code(described.error_code))
}

fn answer(
    image: &Image,
    id: &str,
    described: Result<DescribedShareGroup, ErrorCode>,
    operations: i32,
) -> ShareGroupDescribed {
    let described = match described {
        Ok(described) => described,
        Err(error) => {
            let message = match error {
                ErrorCode::GroupIdNotFound => Some(format!("Group {id} not found.")),
                _ => None,
            };
            return ShareGroupDescribed {
                error_code: error.code(),
                error_message: optional(message.as_deref()),
                group_id: kafka_string(id),
                authorized_operations: OPERATIONS_NOT_ASKED,
                ..Default::default()
            };
        }
    };
    ShareGroupDescribed {
        group_id: kafka_string(id),
        group_state: kafka_string(described.state),
        group_epoch: described.epoch,
        assignment_epoch: described.assignment_epoch,
        assignor_name: kafka_string(ASSIGNOR),
        members: described.members.into_iter().map(|one| member(image, one)).collect(),
        authorized_operations: operations,
        ..Default::default()
    }
}

fn member(image: &Image, member: DescribedShareMember) -> ShareGroupDescribedMember {
    let topics = member.assigned.into_iter().filter_map(|(id, indexes)| {
        let topic = image.topic_by_id(&id)?;
        Some(ShareGroupDescribedTopic {
            topic_id: kafka_uuid(id),
            topic_name: kafka_string(&topic.name),
            partitions: indexes.into_iter().collect(),
            ..Default::default()
        })
    });
    ShareGroupDescribedMember {
        member_id: kafka_string(&member.member_id),
        rack_id: optional(member.rack.as_deref()),
        member_epoch: member.epoch,
        client_id: kafka_string(&member.client_id),
        client_host: kafka_string(&member.client_host),
        subscribed_topic_names: member.topics.iter().map(|topic| kafka_string(topic)).collect(),
        assignment: ShareGroupDescribedAssignment {
            topic_partitions: topics.collect(),
            ..Default::default()
        },
        ..Default::default()
    }
}
