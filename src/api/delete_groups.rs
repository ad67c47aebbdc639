//! DeleteGroups: groups without members, and all that they have committed.

use std::rc::Rc;

use crate::group::{GroupReply, GroupRequest};
use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{
    DeletableGroupResult, DeleteGroupsRequestData, DeleteGroupsResponseData, kafka_string, text,
};

use super::groups::ask;
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::DELETE_GROUPS,
    name: "DeleteGroups",
    versions: 0..=2,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<DeleteGroupsRequestData>(&cx)?;
    let mut results = Vec::with_capacity(message.groups_names.len());
    for id in message.groups_names.iter().map(text) {
        let error = match ask(&cx, &id, GroupRequest::Delete(id.clone())).await {
            Ok(GroupReply::Deleted(error)) => error,
            Ok(_) => ErrorCode::UnknownServerError,
            Err(error) => error,
        };
        results.push(DeletableGroupResult {
            group_id: kafka_string(&id),
            error_code: error.code(),
            ..Default::default()
        });
    }
    let response = DeleteGroupsResponseData {
        results,
        ..Default::default()
    };
    Answer::message(&response, version)
}
