//! ConsumerGroupHeartbeat: a member of a consumer group says what it reads and has, and is told what it is to have.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::group::{Assignment, ConsumerHeard, ConsumerHeartbeat, GroupReply, GroupRequest, Refused};
use crate::model::ErrorCode;
use crate::rt;
use crate::wire::ApiKey;
use crate::wire::messages::{
    ConsumerGroupHeartbeatAssignment, ConsumerGroupHeartbeatRequestData, ConsumerGroupHeartbeatRequestTopicPartitions,
    ConsumerGroupHeartbeatResponseData, ConsumerGroupHeartbeatTopicPartitions, kafka_string, kafka_uuid, random_uuid,
    text, topic_id,
};

use super::groups::{ask, client_host, optional, sender};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::CONSUMER_GROUP_HEARTBEAT,
    name: "ConsumerGroupHeartbeat",
    versions: 0..=1,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// From this version on members make their ids themselves. //= KIP-1082
const OWN_MEMBER_ID_FROM: i16 = 1;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let client_id = request.header.client_id.as_deref().map(String::from_utf8_lossy);
    let client_id = client_id.unwrap_or_default().into_owned();
    let message = request.decode::<ConsumerGroupHeartbeatRequestData>(&cx)?;
    let heard = match cx.config().groups.consumer.is_served {
        true => {
            let heartbeat = to_heartbeat(&message, version, client_id, client_host(&cx));
            heartbeat_to(&cx, heartbeat).await
        }
        false => Err(ErrorCode::UnsupportedVersion.into()),
    };
    Answer::message(&response(heard), version)
}

async fn heartbeat_to(cx: &Context, heartbeat: ConsumerHeartbeat) -> Result<ConsumerHeard, Refused> {
    if heartbeat.group.is_empty() {
        return Err(Refused::new(ErrorCode::InvalidRequest, "GroupId must not be empty"));
    }
    let group = heartbeat.group.clone();
    match ask(cx, &group, GroupRequest::ConsumerHeartbeat(Box::new(heartbeat))).await {
        Ok(GroupReply::ConsumerHeard(heard)) => heard,
        Ok(_) => Err(ErrorCode::UnknownServerError.into()),
        Err(error) => Err(error.into()),
    }
}

fn to_heartbeat(
    message: &ConsumerGroupHeartbeatRequestData,
    version: i16,
    client_id: String,
    client_host: String,
) -> ConsumerHeartbeat {
    let topics = message.subscribed_topic_names.as_ref();
    ConsumerHeartbeat {
        group: text(&message.group_id),
        sender: sender(&message.member_id, message.instance_id.as_ref(), message.member_epoch),
        fresh_member_id: match version {
            OWN_MEMBER_ID_FROM.. => String::new(),
            _ => random_uuid([rt::random_u64(), rt::random_u64()]),
        },
        client_id,
        client_host,
        rack_id: message.rack_id.as_ref().map(text),
        rebalance_timeout_ms: Some(message.rebalance_timeout_ms).filter(|ms| *ms != -1),
        topics: topics.map(|topics| topics.iter().map(text).collect()),
        regex: message.subscribed_topic_regex.as_ref().map(text),
        assignor: message.server_assignor.as_ref().map(text),
        owned: message.topic_partitions.as_deref().map(owned),
    }
}

fn owned(topics: &[ConsumerGroupHeartbeatRequestTopicPartitions]) -> Assignment {
    let mut owned: Assignment = BTreeMap::new();
    for topic in topics {
        let of_topic = owned.entry(topic_id(topic.topic_id)).or_default();
        of_topic.extend(&topic.partitions);
    }
    owned
}

fn response(heard: Result<ConsumerHeard, Refused>) -> ConsumerGroupHeartbeatResponseData {
    match heard {
        Ok(heard) => ConsumerGroupHeartbeatResponseData {
            member_id: optional(heard.member_id.as_deref()),
            member_epoch: heard.epoch,
            heartbeat_interval_ms: i32::try_from(heard.heartbeat_interval.as_millis()).unwrap_or(i32::MAX),
            assignment: heard
                .assignment
                .as_ref()
                .map(|assignment| Box::new(to_message(assignment))),
            ..Default::default()
        },
        Err(refused) => ConsumerGroupHeartbeatResponseData {
            error_code: refused.error.code(),
            error_message: Some(refused.message)
                .filter(|message| !message.is_empty())
                .as_deref()
                .map(kafka_string),
            ..Default::default()
        },
    }
}

fn to_message(assignment: &Assignment) -> ConsumerGroupHeartbeatAssignment {
    let topics = assignment.iter();
    let topics = topics.map(|(topic, partitions)| ConsumerGroupHeartbeatTopicPartitions {
        topic_id: kafka_uuid(*topic),
        partitions: partitions.iter().copied().collect(),
        ..Default::default()
    });
    ConsumerGroupHeartbeatAssignment {
        topic_partitions: topics.collect(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopicId;
    use crate::wire::messages::Encode;

    /// What a member leaves out is left out here too; what it says twice is said once.
    #[test]
    fn what_is_left_out_stays_out() {
        let silent = ConsumerGroupHeartbeatRequestData {
            rebalance_timeout_ms: -1,
            ..Default::default()
        };
        let heartbeat = |message, version| to_heartbeat(message, version, "c".into(), "/h".into());
        let read = heartbeat(&silent, 1);
        assert_eq!((read.rebalance_timeout_ms, read.topics, read.owned), (None, None, None));
        assert!(read.fresh_member_id.is_empty());
        assert!(!heartbeat(&silent, 0).fresh_member_id.is_empty());

        let part = |partitions: &[i32]| ConsumerGroupHeartbeatRequestTopicPartitions {
            topic_id: kafka_uuid(TopicId([1; 16])),
            partitions: partitions.to_vec(),
            ..Default::default()
        };
        let full = ConsumerGroupHeartbeatRequestData {
            subscribed_topic_names: Some(vec![kafka_string("t"), kafka_string("t")]),
            topic_partitions: Some(vec![part(&[1, 0]), part(&[1])]),
            ..Default::default()
        };
        let read = heartbeat(&full, 1);
        assert_eq!(read.topics, Some(["t".to_owned()].into()));
        assert_eq!(read.owned, Some([(TopicId([1; 16]), [0, 1].into())].into()));
    }

    /// No assignment means "as before", an empty one "nothing"; both fit every version, as does a refusal.
    #[test]
    fn answers_fit_every_version() {
        let heard = |assignment| {
            Ok(ConsumerHeard {
                member_id: Some("m".into()),
                epoch: 3,
                heartbeat_interval: std::time::Duration::from_secs(5),
                assignment,
            })
        };
        assert!(response(heard(None)).assignment.is_none());
        assert_eq!(response(heard(None)).heartbeat_interval_ms, 5_000);
        let one: Assignment = [(TopicId([1; 16]), [0, 2].into())].into();
        for answer in [
            response(heard(None)),
            response(heard(Some(Assignment::new()))),
            response(heard(Some(one))),
            response(Err(ErrorCode::FencedMemberEpoch.into())),
        ] {
            for version in API.versions {
                answer
                    .encode(version)
                    .unwrap_or_else(|error| panic!("version {version}: {error}"));
            }
        }
    }
}
