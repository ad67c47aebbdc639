//! What the three APIs of share groups' offsets have in common: what is kept of a group, and changing it.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::group::{GroupReply, GroupRequest};
use crate::model::{ErrorCode, PartitionId, SHARE_STATE_TOPIC};
use crate::shard::ShareAction;
use crate::share::{Saved, StateReply, StateRequest};

use super::Context;
use super::cluster_view::led_partition;
use super::find_coordinator::share_state_topic;
use super::groups::{ask, mistaken};
use super::share_group_describe::describe;
use super::shares::{group_name, settings};

/// Everything that is kept of the group.
pub async fn kept(cx: &Context, group: &str) -> Result<BTreeMap<PartitionId, Saved>, ErrorCode> {
    let image = cx.image();
    let Some(topic) = image.topic(SHARE_STATE_TOPIC) else {
        return Ok(BTreeMap::new());
    };
    let group = group_name(group);
    let indexes = 0..i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let logs = indexes.filter_map(|index| led_partition(topic, index, cx.broker_id()).ok());
    // All are asked before the first answer is awaited.
    let asked: Vec<_> = logs
        .map(|log| cx.router().share_state(log, StateRequest::List(group.clone())))
        .collect();
    let mut kept = BTreeMap::new();
    for answer in asked {
        if let StateReply::Listed(listed) = answer.await? {
            let listed = listed.into_iter().map(|(key, saved)| {
                let partition = PartitionId {
                    topic: key.topic,
                    index: key.index,
                };
                (partition, saved)
            });
            kept.extend(listed);
        }
    }
    Ok(kept)
}

/// Nothing can be read by a share group before there is room for what it acknowledges: the client comes again.
pub fn require_state_topic(cx: &Rc<Context>) -> Result<(), ErrorCode> {
    let image = cx.image();
    if image.topic(SHARE_STATE_TOPIC).is_some() {
        return Ok(());
    }
    let topic = share_state_topic(cx.config());
    cx.services.topic_creation.start_internal(cx, topic);
    Err(ErrorCode::CoordinatorNotAvailable)
}

/// As [`require_empty`]; a group that is not there yet is made.
pub async fn prepare(cx: &Rc<Context>, group: &str) -> Result<(), ErrorCode> {
    require_state_topic(cx)?;
    match ask(cx, group, GroupRequest::PrepareShare(group.to_owned())).await? {
        GroupReply::SharePrepared(ErrorCode::None) => Ok(()),
        GroupReply::SharePrepared(error) => Err(error),
        _ => mistaken(),
    }
}

/// Offsets are changed only where nobody reads: the group is there, and empty.
pub async fn require_empty(cx: &Context, group: &str) -> Result<(), ErrorCode> {
    match describe(cx, group).await?.members.is_empty() {
        true => Ok(()),
        false => Err(ErrorCode::NonEmptyGroup),
    }
}

/// Changes what is kept of one partition, on the shard that has it.
pub async fn change(cx: &Context, group: &str, partition: PartitionId, action: ShareAction) -> ErrorCode {
    let nobody = (group_name(group), group_name(""));
    let ask = settings(cx, group).ask(&nobody, action);
    cx.router().share(partition, ask).await.err().unwrap_or(ErrorCode::None)
}
