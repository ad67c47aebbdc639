//! ListPartitionReassignments: none, ever, on a broker that does not move partitions. kafka-topics --describe asks for it.

use std::rc::Rc;

use crate::wire::ApiKey;
use crate::wire::messages::{ListPartitionReassignmentsRequestData, ListPartitionReassignmentsResponseData};

use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::LIST_PARTITION_REASSIGNMENTS,
    name: "ListPartitionReassignments",
    versions: 0..=0,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    request.decode::<ListPartitionReassignmentsRequestData>(&cx)?;
    Answer::message(&ListPartitionReassignmentsResponseData::default(), version)
}
