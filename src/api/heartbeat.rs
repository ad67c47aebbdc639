//! Heartbeat: a member is alive, and learns whether its group rebalances.

use std::rc::Rc;

use crate::group::{GroupReply, GroupRequest, Heartbeat};
use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{HeartbeatRequestData, HeartbeatResponseData, text};

use super::groups::{ask, sender};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::HEARTBEAT,
    name: "Heartbeat",
    versions: 0..=4,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<HeartbeatRequestData>(&cx)?;
    let heartbeat = Heartbeat {
        group: text(&message.group_id),
        sender: sender(
            &message.member_id,
            message.group_instance_id.as_ref(),
            message.generation_id,
        ),
    };
    let group = heartbeat.group.clone();
    let error = match ask(&cx, &group, GroupRequest::Heartbeat(heartbeat)).await {
        Ok(GroupReply::Heard(error)) => error,
        Ok(_) => ErrorCode::UnknownServerError,
        // The sessions begin anew when the coordinator has loaded: nothing is wrong with this member. As Kafka does.
        Err(ErrorCode::CoordinatorLoadInProgress) => ErrorCode::None,
        Err(error) => error,
    };
    let response = HeartbeatResponseData {
        error_code: error.code(),
        ..Default::default()
    };
    Answer::message(&response, version)
}
