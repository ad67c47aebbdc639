//! The way to a group's coordinator: found through any broker, looked for again while it is made or moves.

use std::time::Duration;

use super::{ClientError, Cluster, Request};
use crate::model::{BrokerId, ErrorCode};
use crate::rt::tool;
use crate::wire::messages::{FindCoordinatorRequestData, kafka_string};

const RETRY_BACKOFF: Duration = Duration::from_millis(100);
/// How often a coordinator is looked for before its error is shown: half a minute.
const RETRIES_MAX: usize = 300;

/// Asks the coordinator of a group. `code` finds the error in an answer; while that says that this is not the place, or not
/// yet, the question is asked again.
pub fn with_coordinator<R: Request>(
    cluster: &mut Cluster,
    group: &str,
    request: &R,
    code: impl Fn(&R::Response) -> i16,
) -> Result<(R::Response, BrokerId), ClientError> {
    let ask = || find(cluster, group).and_then(|broker| Ok((cluster.broker(broker)?.call(request)?, broker)));
    until_ready(ask, |(answer, _)| code(answer))
}

/// Asks all coordinators of a broker. `code` as above: one of them may still be loading.
pub fn with_coordinators_of<R: Request>(
    cluster: &mut Cluster,
    broker: BrokerId,
    request: &R,
    code: impl Fn(&R::Response) -> i16,
) -> Result<R::Response, ClientError> {
    until_ready(|| cluster.broker(broker)?.call(request), code)
}

fn until_ready<T>(mut ask: impl FnMut() -> Result<T, ClientError>, code: impl Fn(&T) -> i16) -> Result<T, ClientError> {
    let mut tries = 0;
    loop {
        let asked = ask();
        tries += 1;
        match asked {
            Ok(answer) if tries < RETRIES_MAX && is_elsewhere(ErrorCode::from_code(code(&answer))) => {}
            Err(problem) if tries < RETRIES_MAX && problem.code().is_some_and(is_elsewhere) => {}
            done => return done,
        }
        tool::sleep(RETRY_BACKOFF);
    }
}

pub(super) fn find(cluster: &mut Cluster, group: &str) -> Result<BrokerId, ClientError> {
    let request = FindCoordinatorRequestData::default().with_coordinator_keys(vec![kafka_string(group)]);
    let answer = cluster.ask(&request)?;
    let missing = ClientError::Kafka {
        code: ErrorCode::CoordinatorNotAvailable,
        message: None,
    };
    let found = answer.coordinators.first().ok_or(missing)?;
    let message = found.error_message.as_ref().map(|message| message.as_str());
    ClientError::check(found.error_code, message)?;
    Ok(BrokerId(found.node_id))
}

pub(super) fn is_elsewhere(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::CoordinatorNotAvailable | ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator
    )
}
