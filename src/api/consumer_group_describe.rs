//! ConsumerGroupDescribe: groups of the consumer protocol, with what each member has and is to have.

use std::rc::Rc;

use crate::group::{self, Assignment, GroupReply, GroupRequest};
use crate::metadata::Image;
use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{
    ConsumerGroupDescribeAssignment, ConsumerGroupDescribeRequestData, ConsumerGroupDescribeResponseData,
    ConsumerGroupDescribeTopicPartitions, DescribedConsumerGroup, DescribedConsumerGroupMember, kafka_string,
    kafka_uuid, text,
};

use super::cluster_view::OPERATIONS_NOT_ASKED;
use super::groups::{GROUP_OPERATIONS, ask, mistaken, optional};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::CONSUMER_GROUP_DESCRIBE,
    name: "ConsumerGroupDescribe",
    versions: 0..=1,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// Whether a member speaks the classic protocol, as of version 1. //= KIP-1099
const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

type Described = Result<Option<group::DescribedConsumer>, ErrorCode>;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<ConsumerGroupDescribeRequestData>(&cx)?;
    let operations = match message.include_authorized_operations {
        true => GROUP_OPERATIONS,
        false => OPERATIONS_NOT_ASKED,
    };
    let mut groups = Vec::with_capacity(message.group_ids.len());
    for id in message.group_ids.iter().map(text) {
        let described = described(&cx, &id).await;
        groups.push(describe(&cx.image(), &id, described, operations));
    }
    let response = ConsumerGroupDescribeResponseData {
        groups,
        ..Default::default()
    };
    Answer::message(&response, version)
}

async fn described(cx: &Context, id: &str) -> Described {
    if id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    if !cx.config().groups.consumer.is_served {
        return Err(ErrorCode::UnsupportedVersion);
    }
    match ask(cx, id, GroupRequest::DescribeConsumer(id.to_owned())).await {
        Ok(GroupReply::DescribedConsumer(described)) => Ok(described),
        Ok(_) => mistaken(),
        Err(error) => Err(error),
    }
}

fn describe(image: &Image, id: &str, described: Described, operations: i32) -> DescribedConsumerGroup {
    let refused = |error: ErrorCode, message: Option<String>| DescribedConsumerGroup {
        error_code: error.code(),
        error_message: message.as_deref().map(kafka_string),
        group_id: kafka_string(id),
        authorized_operations: OPERATIONS_NOT_ASKED,
        ..Default::default()
    };
    match described {
        Err(error) => refused(error, None),
        Ok(None) => refused(
            ErrorCode::GroupIdNotFound,
            Some(format!("Group {id} is not a consumer group.")),
        ),
        Ok(Some(group)) => DescribedConsumerGroup {
            group_id: kafka_string(id),
            group_state: kafka_string(group.state),
            group_epoch: group.epoch,
            assignment_epoch: group.assignment_epoch,
            assignor_name: kafka_string(group.assignor),
            members: group.members.into_iter().map(|one| member(image, one)).collect(),
            authorized_operations: operations,
            ..Default::default()
        },
    }
}

fn member(image: &Image, member: group::DescribedConsumerMember) -> DescribedConsumerGroupMember {
    DescribedConsumerGroupMember {
        member_id: kafka_string(&member.member_id),
        instance_id: optional(member.instance_id.as_deref()),
        rack_id: optional(member.rack_id.as_deref()),
        member_epoch: member.epoch,
        client_id: kafka_string(&member.client_id),
        client_host: kafka_string(&member.client_host),
        subscribed_topic_names: member.topics.iter().map(|topic| kafka_string(topic)).collect(),
        subscribed_topic_regex: Some(kafka_string(member.regex.as_deref().unwrap_or_default())),
        assignment: named(image, &member.assigned),
        target_assignment: named(image, &member.target),
        member_type: match member.is_classic {
            true => CLASSIC,
            false => CONSUMER,
        },
        ..Default::default()
    }
}

/// Topics that are gone have no name to be told by.
fn named(image: &Image, assignment: &Assignment) -> ConsumerGroupDescribeAssignment {
    let topics = assignment.iter().filter_map(|(id, partitions)| {
        let topic = image.topic_by_id(id)?;
        Some(ConsumerGroupDescribeTopicPartitions {
            topic_id: kafka_uuid(*id),
            topic_name: kafka_string(&topic.name),
            partitions: partitions.iter().copied().collect(),
            ..Default::default()
        })
    });
    ConsumerGroupDescribeAssignment {
        topic_partitions: topics.collect(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing;
    use crate::model::TopicId;
    use crate::wire::messages::Encode;

    /// A group that is none of this protocol is not found; one that is shows its members, of topics that there are.
    #[test]
    fn groups_are_described_or_not_found() {
        let image = testing::image(&[("t", 2)]);
        let id = image.topic("t").map(|topic| topic.id).unwrap();
        let member = group::DescribedConsumerMember {
            member_id: "m".into(),
            instance_id: None,
            rack_id: None,
            epoch: 4,
            client_id: "c".into(),
            client_host: "/h".into(),
            topics: ["t".to_owned()].into(),
            regex: None,
            assigned: [(id, [0].into()), (TopicId([9; 16]), [0].into())].into(),
            target: [(id, [0, 1].into())].into(),
            is_classic: false,
        };
        let group = group::DescribedConsumer {
            state: "Reconciling",
            epoch: 5,
            assignment_epoch: 5,
            assignor: "uniform",
            members: vec![member],
        };
        let found = describe(&image, "g", Ok(Some(group)), GROUP_OPERATIONS);
        let missing = describe(&image, "g", Ok(None), GROUP_OPERATIONS);
        assert_eq!(
            (missing.error_code, missing.authorized_operations),
            (69, OPERATIONS_NOT_ASKED)
        );
        assert_eq!((found.error_code, found.group_epoch), (0, 5));
        let one = &found.members[0];
        assert_eq!(one.assignment.topic_partitions.len(), 1);
        assert_eq!(one.target_assignment.topic_partitions[0].partitions, [0, 1]);
        let response = ConsumerGroupDescribeResponseData {
            groups: vec![found, missing],
            ..Default::default()
        };
        for version in API.versions {
            response
                .encode(version)
                .unwrap_or_else(|error| panic!("version {version}: {error}"));
        }
    }
}
