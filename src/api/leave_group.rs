//! LeaveGroup: members go, by themselves or (from version 3 on) because an administrator says so.

use std::rc::Rc;

use crate::group::{GroupReply, GroupRequest, Leave, Leaver, Left};
use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{
    LeaveGroupRequestData, LeaveGroupResponseData, MemberIdentity, MemberResponse, kafka_string, text,
};

use super::groups::{ask, mistaken, optional};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::LEAVE_GROUP,
    name: "LeaveGroup",
    versions: 0..=5,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// From this version on several members are named, and each has its own answer.
const MEMBERS_FROM: i16 = 3;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<LeaveGroupRequestData>(&cx)?;
    let leavers = match version {
        MEMBERS_FROM.. => message.members.iter().map(leaver).collect(),
        _ => vec![Leaver {
            member_id: text(&message.member_id),
            ..Leaver::default()
        }],
    };
    let group = text(&message.group_id);
    let leave = Leave {
        group: group.clone(),
        leavers,
    };
    let left = match ask(&cx, &group, GroupRequest::Leave(leave)).await {
        Ok(GroupReply::Left(left)) => left,
        Ok(_) => mistaken(),
        Err(error) => Err(error),
    };
    Answer::message(&response(left, version), version)
}

fn leaver(member: &MemberIdentity) -> Leaver {
    Leaver {
        member_id: text(&member.member_id),
        instance_id: member.group_instance_id.as_ref().map(text),
        reason: member.reason.as_ref().map(text),
    }
}

fn response(left: Result<Vec<Left>, ErrorCode>, version: i16) -> LeaveGroupResponseData {
    let (error, members) = match left {
        Err(error) => (error, Vec::new()),
        Ok(left) if version < MEMBERS_FROM => (left.first().map_or(ErrorCode::None, |one| one.error), Vec::new()),
        Ok(left) => (ErrorCode::None, left),
    };
    let member = |left: Left| MemberResponse {
        member_id: kafka_string(&left.member_id),
        group_instance_id: optional(left.instance_id.as_deref()),
        error_code: left.error.code(),
        ..Default::default()
    };
    LeaveGroupResponseData {
        error_code: error.code(),
        members: members.into_iter().map(member).collect(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::Encode;

    /// One member's error stands alone below version 3, and beside its name from there on.
    #[test]
    fn a_members_error_has_its_place() {
        let left = Left {
            member_id: "m".into(),
            instance_id: None,
            error: ErrorCode::UnknownMemberId,
        };
        for version in API.versions {
            let response = response(Ok(vec![left.clone()]), version);
            assert_eq!(response.error_code, if version < 3 { 25 } else { 0 });
            assert_eq!(response.members.len(), usize::from(version >= 3));
            response
                .encode(version)
                .unwrap_or_else(|error| panic!("version {version}: {error}"));
        }
    }
}
