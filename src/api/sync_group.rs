//! SyncGroup: the leader hands in the assignment, everyone gets its part.

use std::rc::Rc;

use crate::group::{GroupReply, GroupRequest, Sync, SyncReply};
use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{SyncGroupRequestData, SyncGroupResponseData, text};

use super::groups::{ask, optional, owned, sender};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::SYNC_GROUP,
    name: "SyncGroup",
    versions: 0..=5,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// Before this version the protocol is not stated. //= KIP-559
const PROTOCOL_FROM: i16 = 5;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<SyncGroupRequestData>(&cx)?;
    let reply = match version {
        PROTOCOL_FROM.. if message.protocol_type.is_none() || message.protocol_name.is_none() => {
            SyncReply::refused(ErrorCode::InconsistentGroupProtocol)
        }
        _ => sync(&cx, &message).await,
    };
    let response = SyncGroupResponseData {
        error_code: reply.error.code(),
        protocol_type: optional(reply.protocol_type.as_deref()),
        protocol_name: optional(reply.protocol.as_deref()),
        assignment: reply.assignment,
        ..Default::default()
    };
    Answer::message(&response, version)
}

async fn sync(cx: &Context, message: &SyncGroupRequestData) -> SyncReply {
    let assignments = message.assignments.iter();
    let assignments = assignments.map(|of| (text(&of.member_id), owned(&of.assignment)));
    let sync = Sync {
        group: text(&message.group_id),
        sender: sender(
            &message.member_id,
            message.group_instance_id.as_ref(),
            message.generation_id,
        ),
        protocol_type: message.protocol_type.as_ref().map(text),
        protocol: message.protocol_name.as_ref().map(text),
        assignments: assignments.collect(),
    };
    let group = sync.group.clone();
    match ask(cx, &group, GroupRequest::Sync(sync)).await {
        Ok(GroupReply::Synced(reply)) => reply,
        Ok(_) => SyncReply::refused(ErrorCode::UnknownServerError),
        // As Kafka does: a client that syncs rejoins, and so finds out whether its group is there. //= KAFKA-5600
        Err(ErrorCode::CoordinatorLoadInProgress) => SyncReply::refused(ErrorCode::RebalanceInProgress),
        Err(error) => SyncReply::refused(error),
    }
}
