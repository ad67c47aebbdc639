//! FindCoordinator: this broker has no group and transaction coordinators, and says so for every key.

use std::rc::Rc;

use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{Coordinator, FindCoordinatorRequestData, FindCoordinatorResponseData, kafka_string};

use super::{Answer, Api, Context, Refusal, Request};

/// Served from version 0 on although nothing can be found yet: librdkafka before 2.11.1 switches LZ4 off without it.
pub const API: Api = Api {
    key: ApiKey::FIND_COORDINATOR,
    name: "FindCoordinator",
    versions: 0..=6,
    served_from: 0,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<FindCoordinatorRequestData>(&cx)?;
    Answer::message(&answer(&message, version), version)
}

/// From version 4 on every key is answered by itself.
fn answer(request: &FindCoordinatorRequestData, version: i16) -> FindCoordinatorResponseData {
    if version < 4 {
        return FindCoordinatorResponseData {
            error_code: ErrorCode::CoordinatorNotAvailable.code(),
            error_message: Some(kafka_string(MESSAGE)),
            node_id: -1,
            port: -1,
            ..Default::default()
        };
    }
    let coordinators = request.coordinator_keys.iter().map(|key| Coordinator {
        key: key.clone(),
        node_id: -1,
        port: -1,
        error_code: ErrorCode::CoordinatorNotAvailable.code(),
        error_message: Some(kafka_string(MESSAGE)),
        ..Default::default()
    });
    FindCoordinatorResponseData {
        coordinators: coordinators.collect(),
        ..Default::default()
    }
}

const MESSAGE: &str = "The coordinator is not available.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::Encode;

    /// Every key is echoed with its error, in every version's own shape.
    #[test]
    fn every_key_has_no_coordinator() {
        for version in API.versions {
            let mut request = FindCoordinatorRequestData::default();
            match version {
                ..4 => request.key = kafka_string("g"),
                _ => request.coordinator_keys = vec![kafka_string("g"), kafka_string("h")],
            }
            let response = answer(&request, version);
            assert_eq!(response.coordinators.len(), if version < 4 { 0 } else { 2 });
            assert_eq!(response.error_code, if version < 4 { 15 } else { 0 });
            response
                .encode(version)
                .unwrap_or_else(|error| panic!("version {version}: {error}"));
        }
    }
}
