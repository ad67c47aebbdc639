//! The way to the coordinators that keep share groups' state: one task per load, save or deletion.

use std::time::Duration;

use super::{Name, ShareBegin};
use crate::group::partition_of;
use crate::model::{ErrorCode, PartitionId, SHARE_STATE_TOPIC, Ticket};
use crate::rt;
use crate::shard::{Isolation, ListOffsetsItem, OffsetQuery, Router};
use crate::share::{Saved, SharePartition, StateKey, StateReply, StateRequest};

/// A coordinator that does not serve yet is asked again after this, and for so long.
const RETRY: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_secs(10);

pub(in crate::shard) struct ShareJob {
    name: Name,
    work: Work,
}

enum Work {
    Load(u64, ShareBegin),
    BeginAt(u64, i64),
    Save(u64, Saved),
    Delete(Ticket),
}

pub(in crate::shard) enum ShareJobDone {
    Loaded {
        name: Name,
        life: u64,
        result: Result<SharePartition, ErrorCode>,
    },
    Saved {
        name: Name,
        life: u64,
        result: Result<(), ErrorCode>,
    },
    Deleted {
        ticket: Ticket,
        result: Result<(), ErrorCode>,
    },
}

impl ShareJob {
    pub(super) fn load(name: Name, life: u64, begin: ShareBegin) -> ShareJob {
        let work = Work::Load(life, begin);
        ShareJob { name, work }
    }

    pub(super) fn begin_at(name: Name, life: u64, offset: i64) -> ShareJob {
        let work = Work::BeginAt(life, offset);
        ShareJob { name, work }
    }

    pub(super) fn save(name: Name, life: u64, saved: Saved) -> ShareJob {
        let work = Work::Save(life, saved);
        ShareJob { name, work }
    }

    pub(super) fn delete(name: Name, ticket: Ticket) -> ShareJob {
        let work = Work::Delete(ticket);
        ShareJob { name, work }
    }

    pub(in crate::shard) async fn run(self, router: Router) -> ShareJobDone {
        let ShareJob { name, work } = self;
        match work {
            Work::Load(life, begin) => {
                let result = load(&router, &name, begin).await;
                ShareJobDone::Loaded { name, life, result }
            }
            Work::BeginAt(life, offset) => {
                let result = begin_at(&router, &name, offset).await;
                ShareJobDone::Loaded { name, life, result }
            }
            Work::Save(life, saved) => {
                let result = ask(&router, &name, StateRequest::Write(key(&name), saved)).await;
                let result = result.map(|_| ());
                ShareJobDone::Saved { name, life, result }
            }
            Work::Delete(ticket) => {
                let result = ask(&router, &name, StateRequest::Delete(key(&name))).await;
                let result = result.map(|_| ());
                ShareJobDone::Deleted { ticket, result }
            }
        }
    }
}

async fn load(router: &Router, name: &Name, begin: ShareBegin) -> Result<SharePartition, ErrorCode> {
    match ask(router, name, StateRequest::Read(key(name))).await? {
        StateReply::Read(Some(saved)) => Ok(SharePartition::restore(&saved)),
        _ => {
            let start = first_offset(router, name.0, begin).await?;
            begin_at(router, name, start).await
        }
    }
}

/// Where it begins is kept before anything is offered.
async fn begin_at(router: &Router, name: &Name, offset: i64) -> Result<SharePartition, ErrorCode> {
    let mut state = SharePartition::new(offset);
    ask(router, name, StateRequest::Write(key(name), state.save())).await?;
    Ok(state)
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

/// Asks until a coordinator serves, or it has taken too long.
async fn ask(router: &Router, name: &Name, request: StateRequest) -> Result<StateReply, ErrorCode> {
    let give_up = rt::now().after(RETRY_MAX);
    let coordinator_key = key(name).coordinator_key();
    loop {
        let reply = match state_log(router, &coordinator_key) {
            Some(log) => router.share_state(log, request.clone()).await,
            None => Err(ErrorCode::CoordinatorNotAvailable),
        };
        match reply {
            Err(error) if is_on_its_way(error) && rt::now() < give_up => rt::sleep(RETRY).await,
            reply => return reply,
        }
    }
}

fn is_on_its_way(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::CoordinatorLoadInProgress | ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator
    )
}

fn state_log(router: &Router, coordinator_key: &str) -> Option<PartitionId> {
    let image = router.image();
    let topic = image.topic(SHARE_STATE_TOPIC)?;
    let index = partition_of(coordinator_key, i32::try_from(topic.partitions.len()).ok()?);
    Some(PartitionId { topic: topic.id, index })
}
