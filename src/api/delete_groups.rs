//! DeleteGroups: groups without members, and all that they have committed.

use std::rc::Rc;

use crate::group::{GroupReply, GroupRequest};
use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{
    DeletableGroupResult, DeleteGroupsRequestData, DeleteGroupsResponseData, kafka_string, text,
};

use super::groups::ask;
use super::share_group_describe::describe;
use super::share_offsets::Changes;
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
        let error = match delete(&cx, &id).await {
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

/// What a share group has acknowledged goes first: a group that is made anew under the name shall not go on from there.
async fn delete(cx: &Context, id: &str) -> Result<GroupReply, ErrorCode> {
    if let Ok(described) = describe(cx, id).await {
        if !described.members.is_empty() {
            return Err(ErrorCode::NonEmptyGroup);
        }
        let mut changes = Changes::begin(cx, id).await?;
        for partition in changes.partitions() {
            let error = changes.forget(partition).await;
            if !matches!(error, ErrorCode::None | ErrorCode::UnknownTopicOrPartition) {
                return Err(error);
            }
        }
    }
    ask(cx, id, GroupRequest::Delete(id.to_owned())).await
}
