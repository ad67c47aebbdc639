//! What the three APIs of share groups' offsets have in common: what is kept of a group, by whatever broker, and changing it.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::group::{GroupReply, GroupRequest};
use crate::model::{ErrorCode, PartitionId, SHARE_STATE_TOPIC};
use crate::shard::{ask_keeper, kept_of_group};
use crate::share::{Kept, StateKey, StateRequest};

use super::Context;
use super::find_coordinator::share_state_topic;
use super::groups::{ask, mistaken};
use super::share_group_describe::describe;
use super::shares::group_name;

/// Everything that is kept of a group.
pub type KeptOfGroup = BTreeMap<PartitionId, Kept>;

/// COORDINATOR_NOT_AVAILABLE and its like where one of those who keep it cannot be asked.
pub async fn kept(cx: &Context, group: &str) -> Result<KeptOfGroup, ErrorCode> {
    let kept = kept_of_group(cx.router(), &group_name(group)).await;
    let kept = kept.map_err(|error| match error {
        // Clients ask a coordinator again that does not answer.
        ErrorCode::NetworkException => ErrorCode::CoordinatorNotAvailable,
        error => error,
    })?;
    let kept = kept.into_iter().map(|(key, kept)| {
        let partition = PartitionId {
            topic: key.topic,
            index: key.index,
        };
        (partition, kept)
    });
    Ok(kept.collect())
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

/// Changes to what is kept of one group, one after the other.
pub struct Changes<'a> {
    cx: &'a Context,
    group: &'a str,
    kept: KeptOfGroup,
    /// One took too long: the others are not tried.
    failed: Option<ErrorCode>,
}

impl<'a> Changes<'a> {
    pub async fn begin(cx: &'a Context, group: &'a str) -> Result<Changes<'a>, ErrorCode> {
        let kept = kept(cx, group).await?;
        Ok(Changes {
            cx,
            group,
            kept,
            failed: None,
        })
    }

    /// The partitions that something is kept of.
    pub fn partitions(&self) -> Vec<PartitionId> {
        self.kept.keys().copied().collect()
    }

    /// The group begins there, under a state epoch that is later than any before.
    pub async fn begin_at(&mut self, partition: PartitionId, start: i64) -> ErrorCode {
        let known = self.kept.get(&partition);
        let state_epoch = known.map_or(0, |kept| kept.epochs.state.saturating_add(1));
        self.change(partition, |key| StateRequest::Initialize(key, state_epoch, start))
            .await
    }

    /// It is forgotten that the group ever read the partition.
    pub async fn forget(&mut self, partition: PartitionId) -> ErrorCode {
        self.change(partition, StateRequest::Delete).await
    }

    async fn change(&mut self, partition: PartitionId, request: impl FnOnce(StateKey) -> StateRequest) -> ErrorCode {
        if let Some(error) = self.failed {
            return error;
        }
        let key = StateKey {
            group: group_name(self.group),
            topic: partition.topic,
            index: partition.index,
        };
        let error = ask_keeper(self.cx.router(), &key, request(key.clone())).await.err();
        self.failed = error.filter(|error| *error != ErrorCode::UnknownTopicOrPartition);
        error.unwrap_or(ErrorCode::None)
    }
}
