//! The way to the coordinators that keep share groups' state: on this broker or another, wherever the leader of the log is.
//!
//! Other brokers are asked by Kafka's own requests for it ([`super::remote`]). While a coordinator moves, or loads, it is
//! looked for again; only what takes too long is an error, and a retriable one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::or;

use super::remote;
use crate::group::partition_of;
use crate::metadata::{Image, Topic};
use crate::model::{BrokerId, ErrorCode, PartitionId, SHARE_STATE_TOPIC};
use crate::rt;
use crate::shard::Router;
use crate::share::{Kept, StateKey, StateReply, StateRequest};

/// A coordinator that does not serve yet is asked again after this; then after twice as long each time, up to a second.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// It is given up after so long: others lead by then, and clients wait twice as long for an answer.
const RETRY_MAX: Duration = Duration::from_secs(15);
/// For one broker's answer about all that it keeps of a group.
const LIST_PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks whether the broker that does not answer is still the one to ask.
const LOOK: Duration = Duration::from_millis(50);

/// Asks the coordinator that keeps this share partition's state, until one serves or it has taken too long.
/// COORDINATOR_NOT_AVAILABLE, COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR, NETWORK_EXCEPTION: the last try's; others as
/// [`crate::share::StateAnswer`].
pub async fn ask_keeper(router: &Router, key: &StateKey, request: StateRequest) -> Result<StateReply, ErrorCode> {
    let give_up = rt::now().after(RETRY_MAX);
    let coordinator_key = key.coordinator_key();
    let mut pause = PAUSE;
    loop {
        let tried = try_keeper(router, &coordinator_key, request.clone());
        let answer = in_time(give_up.since(rt::now()), tried).await;
        match answer {
            Err(error) if is_on_its_way(router, key, error) && rt::now() < give_up => {
                rt::sleep(pause.min(give_up.since(rt::now()))).await;
                pause = PAUSE_MAX.min(pause * 2);
            }
            answer => return answer,
        }
    }
}

async fn try_keeper(router: &Router, coordinator_key: &str, request: StateRequest) -> Result<StateReply, ErrorCode> {
    let found = log_of(&router.image(), coordinator_key);
    match found {
        Some((log, Some(leader))) => ask_at(router, log, leader, request).await,
        _ => Err(ErrorCode::CoordinatorNotAvailable),
    }
}

/// What takes longer may be asked again.
async fn in_time<T>(patience: Duration, answer: impl Future<Output = Result<T, ErrorCode>>) -> Result<T, ErrorCode> {
    let late = Err(ErrorCode::CoordinatorNotAvailable);
    rt::timeout(patience, answer).await.unwrap_or(late)
}

/// All that is kept of one group, by all coordinators. An error where one of them cannot be asked.
pub async fn kept_of_group(router: &Router, group: &Arc<str>) -> Result<Vec<(StateKey, Kept)>, ErrorCode> {
    let image = router.image();
    let Some(topic) = image.topic(SHARE_STATE_TOPIC) else {
        return Ok(Vec::new());
    };
    let me = me(&image);
    let mut kept = Vec::new();
    for (leader, logs) in by_leader(topic)? {
        let listed = async {
            match leader == me {
                true => list_here(router, logs, group).await,
                false => remote::list(router, leader, topic.id, &logs, group).await,
            }
        };
        kept.extend(in_time(LIST_PATIENCE, listed).await?);
    }
    Ok(kept)
}

/// What these logs of this broker keep of the group.
pub async fn list_here(
    router: &Router,
    logs: Vec<PartitionId>,
    group: &Arc<str>,
) -> Result<Vec<(StateKey, Kept)>, ErrorCode> {
    // All are asked before the first answer is awaited.
    let ask = |log| router.share_state(log, StateRequest::List(group.clone()));
    let asked: Vec<_> = logs.into_iter().map(ask).collect();
    let mut kept = Vec::new();
    for answer in asked {
        match answer.await? {
            StateReply::Listed(listed) => kept.extend(listed),
            _ => return Err(ErrorCode::UnknownServerError),
        }
    }
    Ok(kept)
}

/// The log that a share partition's state is kept in, and who leads that. `None`: there is no such topic yet.
pub fn log_of(image: &Image, coordinator_key: &str) -> Option<(PartitionId, Option<BrokerId>)> {
    let topic = image.topic(SHARE_STATE_TOPIC)?;
    let index = partition_of(coordinator_key, i32::try_from(topic.partitions.len()).ok()?);
    let log = PartitionId { topic: topic.id, index };
    Some((log, leader_of(topic, index)))
}

async fn ask_at(
    router: &Router,
    log: PartitionId,
    leader: BrokerId,
    request: StateRequest,
) -> Result<StateReply, ErrorCode> {
    if leader == me(&router.image()) {
        return router.share_state(log, request).await;
    }
    // What stands still is given up when others lead: it cannot keep anything then.
    let given_up = async {
        until_led_by_another(router, log, leader).await;
        Err(ErrorCode::NotCoordinator)
    };
    or(remote::ask(router, leader, request), given_up).await
}

async fn until_led_by_another(router: &Router, log: PartitionId, leader: BrokerId) {
    loop {
        rt::sleep(LOOK).await;
        let image = router.image();
        let topic = image.topic_by_id(&log.topic);
        if topic.and_then(|topic| leader_of(topic, log.index)) != Some(leader) {
            return;
        }
    }
}

fn by_leader(topic: &Topic) -> Result<BTreeMap<BrokerId, Vec<PartitionId>>, ErrorCode> {
    let mut logs: BTreeMap<BrokerId, Vec<PartitionId>> = BTreeMap::new();
    for state in &topic.partitions {
        let leader = state.leader.ok_or(ErrorCode::CoordinatorNotAvailable)?;
        logs.entry(leader).or_default().push(PartitionId {
            topic: topic.id,
            index: state.index,
        });
    }
    Ok(logs)
}

fn leader_of(topic: &Topic, index: i32) -> Option<BrokerId> {
    let state = usize::try_from(index).ok().and_then(|at| topic.partitions.get(at));
    state.and_then(|state| state.leader)
}

fn me(image: &Image) -> BrokerId {
    BrokerId(image.broker.broker_id)
}

fn is_on_its_way(router: &Router, key: &StateKey, error: ErrorCode) -> bool {
    match error {
        ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator
        | ErrorCode::NetworkException => true,
        // The other broker has not heard of the topic yet.
        ErrorCode::UnknownTopicOrPartition => router.image().topic_by_id(&key.topic).is_some(),
        _ => false,
    }
}
