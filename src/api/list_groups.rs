//! ListGroups: the groups of this broker's coordinators, by state and kind if asked for.

use std::rc::Rc;

use crate::group::{self, GroupReply, GroupRequest, ListFilter};
use crate::model::{ErrorCode, OFFSETS_TOPIC};
use crate::wire::ApiKey;
use crate::wire::messages::{ListGroupsRequestData, ListGroupsResponseData, ListedGroup, kafka_string, text};

use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::LIST_GROUPS,
    name: "ListGroups",
    versions: 0..=5,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<ListGroupsRequestData>(&cx)?;
    let ask = |partition| {
        let filter = ListFilter {
            states: message.states_filter.iter().map(text).collect(),
            kinds: message.types_filter.iter().map(text).collect(),
        };
        cx.router().group(partition, GroupRequest::List(filter))
    };
    // All are asked before the first answer is awaited.
    let asked: Vec<_> = cx.coordinators(OFFSETS_TOPIC).into_iter().map(ask).collect();
    let (mut groups, mut error) = (Vec::new(), ErrorCode::None);
    for answer in asked {
        match answer.await {
            Ok(GroupReply::Listed(listed)) => groups.extend(listed.into_iter().map(row)),
            Ok(_) => error = ErrorCode::UnknownServerError,
            // Another broker lists these.
            Err(ErrorCode::NotCoordinator) => {}
            Err(other) => error = other,
        }
    }
    let response = ListGroupsResponseData {
        error_code: error.code(),
        groups,
        ..Default::default()
    };
    Answer::message(&response, version)
}

fn row(group: group::ListedGroup) -> ListedGroup {
    ListedGroup {
        group_id: kafka_string(&group.id),
        protocol_type: kafka_string(&group.protocol_type),
        group_state: kafka_string(group.state),
        group_type: kafka_string(group.kind),
        ..Default::default()
    }
}
