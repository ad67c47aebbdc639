//! The requests by which brokers ask each other for what is kept of share groups: a partition's leader reads and writes it,
//! the group's coordinator sets, lists and deletes it. One file per API. //= KIP-932
//!
//! Each partition is asked of the coordinator of its own log, and has its own error: NOT_COORDINATOR where that is led by
//! another broker, UNKNOWN_TOPIC_OR_PARTITION, INVALID_REQUEST for a partition below 0, INVALID_GROUP_ID, and what the
//! coordinator says ([`crate::share::StateAnswer`]). Without an authorizer everybody may do what needs CLUSTER_ACTION.

pub mod delete;
pub mod initialize;
pub mod read;
pub mod read_summary;
#[cfg(test)]
mod tests;
pub mod write;

use std::pin::Pin;

use crate::model::{ErrorCode, PartitionId};
use crate::shard::log_of;
use crate::share::{StateAnswer, StateKey, StateRequest};
use crate::wire::messages::{KafkaString, KafkaUuid, topic_id};

use super::Context;
use super::cluster_view::known_partition;
use super::shares::{GROUP_BYTES_MAX, group_name};

/// A partition's question that is on its way, and its answer.
struct Asked {
    index: i32,
    answer: Pin<Box<dyn Future<Output = StateAnswer>>>,
}

/// The question is on its way when this returns.
fn ask(
    cx: &Context,
    group: &KafkaString,
    (topic, index): (KafkaUuid, i32),
    request: impl FnOnce(StateKey) -> StateRequest,
) -> Asked {
    let answer: Pin<Box<dyn Future<Output = StateAnswer>>> = match locate(cx, group, topic, index) {
        Ok((log, key)) => Box::pin(cx.router().share_state(log, request(key))),
        Err(error) => Box::pin(std::future::ready(Err(error))),
    };
    Asked { index, answer }
}

/// What is said of each partition: its index, and the code of what became of it.
async fn answered<T>(asked: Vec<Asked>, said: impl Fn(i32, i16) -> T) -> Vec<T> {
    let mut answers = Vec::with_capacity(asked.len());
    for Asked { index, answer } in asked {
        let error = answer.await.err().unwrap_or(ErrorCode::None);
        answers.push(said(index, error.code()));
    }
    answers
}

/// The log of this broker that the share partition's state is kept in.
fn locate(
    cx: &Context,
    group: &KafkaString,
    topic: KafkaUuid,
    index: i32,
) -> Result<(PartitionId, StateKey), ErrorCode> {
    check_group(group)?;
    if index < 0 {
        return Err(ErrorCode::InvalidRequest);
    }
    let image = cx.image();
    let topic = image
        .topic_by_id(&topic_id(topic))
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = known_partition(topic, index)?;
    let key = StateKey {
        group: group_name(group.as_str()),
        topic: partition.topic,
        index,
    };
    let (log, leader) = log_of(&image, &key.coordinator_key()).ok_or(ErrorCode::CoordinatorNotAvailable)?;
    match leader == Some(cx.broker_id()) {
        true => Ok((log, key)),
        false => Err(ErrorCode::NotCoordinator),
    }
}

fn check_group(group: &KafkaString) -> Result<(), ErrorCode> {
    match group.as_str().len() {
        1..=GROUP_BYTES_MAX => Ok(()),
        _ => Err(ErrorCode::InvalidGroupId),
    }
}
