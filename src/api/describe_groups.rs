//! DescribeGroups: classic groups with their members, and what each of them was given.

use std::rc::Rc;

use crate::group::{self, GroupReply, GroupRequest};
use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{
    DescribeGroupsRequestData, DescribeGroupsResponseData, DescribedGroup, DescribedGroupMember, kafka_string, text,
};

use super::cluster_view::OPERATIONS_NOT_ASKED;
use super::groups::{GROUP_OPERATIONS, ask, mistaken, optional};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::DESCRIBE_GROUPS,
    name: "DescribeGroups",
    versions: 0..=6,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// From this version on a group that is not there is an error; before, it is dead.
const NOT_FOUND_FROM: i16 = 6;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<DescribeGroupsRequestData>(&cx)?;
    let operations = match message.include_authorized_operations {
        true => GROUP_OPERATIONS,
        false => OPERATIONS_NOT_ASKED,
    };
    let mut groups = Vec::with_capacity(message.groups.len());
    for id in message.groups.iter().map(text) {
        let described = match ask(&cx, &id, GroupRequest::Describe(id.clone())).await {
            Ok(GroupReply::Described(described)) => Ok(described),
            Ok(_) => mistaken(),
            Err(error) => Err(error),
        };
        groups.push(describe(&id, described, version, operations));
    }
    let response = DescribeGroupsResponseData {
        groups,
        ..Default::default()
    };
    Answer::message(&response, version)
}

//= behaviour 57
fn describe(
    id: &str,
    described: Result<Option<group::DescribedGroup>, ErrorCode>,
    version: i16,
    operations: i32,
) -> DescribedGroup {
    let dead = DescribedGroup {
        group_id: kafka_string(id),
        authorized_operations: OPERATIONS_NOT_ASKED,
        ..Default::default()
    };
    match described {
        Err(error) => DescribedGroup {
            error_code: error.code(),
            ..dead
        },
        Ok(None) if version >= NOT_FOUND_FROM => DescribedGroup {
            error_code: ErrorCode::GroupIdNotFound.code(),
            error_message: Some(kafka_string(&format!("Group {id} not found."))),
            group_state: kafka_string("Dead"),
            ..dead
        },
        Ok(None) => DescribedGroup {
            group_state: kafka_string("Dead"),
            ..dead
        },
        Ok(Some(group)) => DescribedGroup {
            group_state: kafka_string(group.state),
            protocol_type: kafka_string(&group.protocol_type),
            protocol_data: kafka_string(&group.protocol),
            members: group.members.into_iter().map(member).collect(),
            authorized_operations: operations,
            ..dead
        },
    }
}

fn member(member: group::DescribedMember) -> DescribedGroupMember {
    DescribedGroupMember {
        member_id: kafka_string(&member.member_id),
        group_instance_id: optional(member.instance_id.as_deref()),
        client_id: kafka_string(&member.client_id),
        client_host: kafka_string(&member.client_host),
        member_metadata: member.metadata,
        member_assignment: member.assignment,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::Encode;

    /// A group that is not there is dead, and from version 6 on an error too; every version can say so.
    #[test]
    fn a_missing_group_is_dead() {
        for version in API.versions {
            let described = describe("g", Ok(None), version, OPERATIONS_NOT_ASKED);
            assert_eq!(described.group_state.as_str(), "Dead");
            assert_eq!(described.error_code, if version < 6 { 0 } else { 69 });
            let response = DescribeGroupsResponseData {
                groups: vec![described],
                ..Default::default()
            };
            response
                .encode(version)
                .unwrap_or_else(|error| panic!("version {version}: {error}"));
        }
    }
}
