//! JoinGroup: a client wants to be a member, or to be one of the next generation too. The answer may take a rebalance.

use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use crate::group::{GroupReply, GroupRequest, Join, JoinReply, JoinedMember, Protocol};
use crate::model::ErrorCode;
use crate::rt;
use crate::wire::ApiKey;
use crate::wire::messages::{
    JoinGroupRequestData, JoinGroupResponseData, JoinGroupResponseMember, kafka_string, random_uuid, text,
};

use super::groups::{ask, client_host, optional, owned, sender};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::JOIN_GROUP,
    name: "JoinGroup",
    versions: 0..=9,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let client_id = request.header.client_id.as_deref().map(String::from_utf8_lossy);
    let client_id = client_id.unwrap_or_default().into_owned();
    let message = request.decode::<JoinGroupRequestData>(&cx)?;
    let member_id = text(&message.member_id);
    let join = to_join(&message, version, client_id, client_host(&cx));
    let group = join.group.clone();
    let reply = match ask(&cx, &group, GroupRequest::Join(join)).await {
        Ok(GroupReply::Joined(reply)) => reply,
        Ok(_) => JoinReply::refused(ErrorCode::UnknownServerError, member_id),
        Err(error) => JoinReply::refused(error, member_id),
    };
    Answer::message(&response(reply, version), version)
}

fn to_join(message: &JoinGroupRequestData, version: i16, client_id: String, client_host: String) -> Join {
    let instance_id = message.group_instance_id.as_ref().map(text);
    let stem = instance_id.as_deref().unwrap_or(&client_id);
    let session_timeout = millis(message.session_timeout_ms);
    let mut named = HashSet::new();
    // A protocol named twice is one: the first counts.
    let distinct = message
        .protocols
        .iter()
        .filter(|protocol| named.insert(protocol.name.as_str()));
    let protocols = distinct.map(|protocol| Protocol {
        name: text(&protocol.name),
        metadata: owned(&protocol.metadata),
    });
    Join {
        group: text(&message.group_id),
        sender: sender(&message.member_id, message.group_instance_id.as_ref(), -1),
        version,
        fresh_member_id: format!("{stem}-{}", random_uuid([rt::random_u64(), rt::random_u64()])),
        client_id,
        client_host,
        session_timeout,
        rebalance_timeout: match version {
            0 => session_timeout,
            _ => millis(message.rebalance_timeout_ms),
        },
        protocol_type: text(&message.protocol_type),
        protocols: protocols.collect(),
        reason: message.reason.as_ref().map(text),
    }
}

fn response(reply: JoinReply, version: i16) -> JoinGroupResponseData {
    let member = |member: JoinedMember| JoinGroupResponseMember {
        member_id: kafka_string(&member.member_id),
        group_instance_id: optional(member.instance_id.as_deref()),
        metadata: member.metadata,
        ..Default::default()
    };
    // Null is a value of the protocol from version 7 on only.
    let protocol = match (reply.protocol, version) {
        (None, ..7) => Some(String::new()),
        (protocol, _) => protocol,
    };
    JoinGroupResponseData {
        error_code: reply.error.code(),
        generation_id: reply.generation,
        protocol_type: optional(reply.protocol_type.as_deref()),
        protocol_name: optional(protocol.as_deref()),
        leader: kafka_string(&reply.leader),
        skip_assignment: reply.skip_assignment,
        member_id: kafka_string(&reply.member_id),
        members: reply.members.into_iter().map(member).collect(),
        ..Default::default()
    }
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::Encode;

    /// Every answer can be written in every version: refusals, and an assignment that may be skipped.
    #[test]
    fn answers_fit_every_version() {
        let member = JoinedMember {
            member_id: "m".into(),
            instance_id: Some("i".into()),
            metadata: Default::default(),
        };
        let joined = JoinReply {
            error: ErrorCode::None,
            generation: 3,
            protocol_type: Some("consumer".into()),
            protocol: Some("range".into()),
            leader: "m".into(),
            skip_assignment: false,
            member_id: "m".into(),
            members: vec![member],
        };
        for version in API.versions {
            let skips = JoinReply {
                skip_assignment: version >= 9,
                ..joined.clone()
            };
            for reply in [
                JoinReply::refused(ErrorCode::UnknownMemberId, "m".into()),
                joined.clone(),
                skips,
            ] {
                let response = response(reply, version);
                response
                    .encode(version)
                    .unwrap_or_else(|error| panic!("version {version}: {error}"));
            }
        }
    }

    /// Version 0 has no rebalance timeout: the session's counts.
    #[test]
    fn the_oldest_version_waits_for_the_session_timeout() {
        let message = JoinGroupRequestData {
            session_timeout_ms: 7_000,
            rebalance_timeout_ms: -1,
            ..Default::default()
        };
        let join = |version| to_join(&message, version, "c".into(), "/h".into());
        assert_eq!(join(0).rebalance_timeout, Duration::from_secs(7));
        assert_eq!(join(1).rebalance_timeout, Duration::ZERO);
        assert!(join(0).fresh_member_id.starts_with("c-"));
        assert_ne!(join(0).fresh_member_id, join(0).fresh_member_id);
    }
}
