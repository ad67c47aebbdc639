//! Loads and saves, one task each, on their way to the coordinators that keep share groups' state.

use super::keeper::ask_keeper;
use super::{Name, ShareBegin};
use crate::model::{ErrorCode, LeaderEpoch, PartitionId};
use crate::shard::{Isolation, ListOffsetsItem, OffsetQuery, Router};
use crate::share::{Epochs, Kept, NOWHERE, SharePartition, StateKey, StateReply, StateRequest};

pub(in crate::shard) struct ShareJob {
    name: Name,
    life: u64,
    work: Work,
}

enum Work {
    Load(LeaderEpoch, ShareBegin),
    Save(Kept),
}

pub(in crate::shard) struct ShareJobDone {
    pub(super) name: Name,
    pub(super) life: u64,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    Loaded(Result<Loaded, ErrorCode>),
    Saved(Result<(), ErrorCode>),
}

/// A state, and the epochs that it may be saved under.
pub(super) struct Loaded {
    pub(super) state: SharePartition,
    pub(super) epochs: Epochs,
}

impl ShareJob {
    /// `epoch` is the partition's: leaders before it cannot save any more.
    pub(super) fn load(name: Name, life: u64, epoch: LeaderEpoch, begin: ShareBegin) -> ShareJob {
        let work = Work::Load(epoch, begin);
        ShareJob { name, life, work }
    }

    pub(super) fn save(name: Name, life: u64, kept: Kept) -> ShareJob {
        let work = Work::Save(kept);
        ShareJob { name, life, work }
    }

    pub(in crate::shard) async fn run(self, router: Router) -> ShareJobDone {
        let ShareJob { name, life, work } = self;
        let outcome = match work {
            Work::Load(epoch, begin) => Outcome::Loaded(load(&router, &name, epoch, begin).await),
            Work::Save(kept) => Outcome::Saved(save(&router, &name, kept).await),
        };
        ShareJobDone { name, life, outcome }
    }
}

/// Where it begins is kept before anything is offered.
async fn load(router: &Router, name: &Name, epoch: LeaderEpoch, begin: ShareBegin) -> Result<Loaded, ErrorCode> {
    let key = key(name);
    let kept = match ask_keeper(router, &key, StateRequest::Read(key.clone(), epoch.0)).await? {
        StateReply::Read(kept) => kept,
        _ => return Err(ErrorCode::UnknownServerError),
    };
    let epochs = kept.epochs;
    if kept.saved.start > NOWHERE {
        let state = SharePartition::restore(&kept.saved);
        return Ok(Loaded { state, epochs });
    }
    let mut state = SharePartition::new(first_offset(router, name.0, begin).await?);
    let saved = state.save();
    save(router, name, Kept { epochs, saved }).await?;
    Ok(Loaded { state, epochs })
}

async fn save(router: &Router, name: &Name, kept: Kept) -> Result<(), ErrorCode> {
    let key = key(name);
    let request = StateRequest::Write(key.clone(), kept);
    ask_keeper(router, &key, request).await.map(|_| ())
}

async fn first_offset(router: &Router, partition: PartitionId, begin: ShareBegin) -> Result<i64, ErrorCode> {
    let listed = list(router, partition, begin.query()).await?;
    match listed {
        // No record is as young as that.
        -1 => list(router, partition, OffsetQuery::Latest).await,
        offset => Ok(offset),
    }
}

async fn list(router: &Router, partition: PartitionId, query: OffsetQuery) -> Result<i64, ErrorCode> {
    let item = ListOffsetsItem {
        partition,
        leader_epoch: -1,
        query,
        isolation: Isolation::ReadUncommitted,
    };
    let listed = router.list_offsets(vec![item]).await;
    match listed.first() {
        Some(listed) if listed.error.is_none() => Ok(listed.offset),
        Some(listed) => Err(listed.error),
        None => Err(ErrorCode::NotLeaderOrFollower),
    }
}

impl ShareBegin {
    fn query(self) -> OffsetQuery {
        match self {
            ShareBegin::Earliest => OffsetQuery::Earliest,
            ShareBegin::Latest => OffsetQuery::Latest,
            ShareBegin::AtTime(ms) => OffsetQuery::Timestamp(ms),
        }
    }
}

fn key(name: &Name) -> StateKey {
    StateKey {
        group: name.1.clone(),
        topic: name.0.topic,
        index: name.0.index,
    }
}
