//! The leader takes the configured nodes into the quorum: first as learners, and once all have caught up, as voters in one
//! change. So a quorum is made when all its nodes are there for the first time, and until then the first one decides alone.
//! It ends what earlier leaders left between two steps, too, and says where it is to be found itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;

use super::Raft;
use super::addition::{Additions, caught_up, leads, votes};
use super::link::Link;
use super::message::Identity;
use super::types::{StoredMembership, Voter};
use crate::rt;

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// For a new node to get everything there is.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(60);
/// For a node that learns already to get what there is now.
const LAST_PATIENCE: Duration = Duration::from_secs(2);
/// Rounds between two remarks about a node that is missing.
const ROUNDS_PER_REMARK: u64 = 60;

/// What a leader knows of who belongs to the quorum.
pub struct Joining {
    pub me: Arc<Identity>,
    /// Where the others find this node, as the quorum is to know it; `None`: their configuration says so.
    pub itself: Option<Voter>,
    pub configured: Arc<[Voter]>,
    pub additions: Additions,
}

pub async fn run(raft: Raft, joining: Joining) {
    for round in 0_u64.. {
        if raft.is_leader() && !look(&raft, &joining, round.is_multiple_of(ROUNDS_PER_REMARK)).await {
            tracing::debug!("not every node of the quorum has joined");
        }
        rt::sleep(LOOK_EVERY).await;
    }
}

/// Whether every configured node votes.
async fn look(raft: &Raft, joining: &Joining, remark: bool) -> bool {
    let Joining { me, configured, .. } = joining;
    if membership(raft).membership().get_joint_config().len() > 1 {
        // An earlier leader was between the two steps of a change.
        let rest = raft.change_membership(ChangeMembers::AddVoterIds(BTreeSet::new()), false);
        let _ = rt::timeout(CATCH_UP_PATIENCE, rest).await;
    } else {
        joining.additions.resume(raft, me, configured);
    }
    let mut learned = BTreeSet::new();
    for voter in configured.iter() {
        if !joining.additions.is_adding(voter.node) {
            learned.extend(learned_by(raft, me, voter, remark).await);
        }
    }
    let voters: BTreeSet<u64> = membership(raft).voter_ids().collect();
    if let Some(itself) = &joining.itself {
        tell_address(raft, me.voter, itself).await;
    }
    if learned.len() < configured.len() {
        return false;
    }
    if !learned.is_subset(&voters) {
        let change = raft.change_membership(ChangeMembers::AddVoterIds(learned), false);
        return match rt::timeout(CATCH_UP_PATIENCE, change).await {
            Some(Ok(_)) => {
                tracing::info!(nodes = configured.len(), "the quorum is complete");
                true
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "the quorum cannot be completed yet");
                false
            }
            None => false,
        };
    }
    true
}

/// The number of a node that votes, or has everything.
async fn learned_by(raft: &Raft, me: &Arc<Identity>, voter: &Voter, remark: bool) -> Option<u64> {
    let membership = membership(raft);
    let known = membership.nodes().find(|(_, known)| known.node == voter.node);
    let Some((&id, _)) = known else {
        return learn(raft, me, voter, remark).await;
    };
    let has_all = votes(&membership, id)
        || caught_up(raft, id, LAST_PATIENCE)
            .await
            .is_some_and(|metrics| leads(&metrics));
    has_all.then_some(id)
}

/// Makes the node a learner, if it answers; its number, once it has everything.
async fn learn(raft: &Raft, me: &Arc<Identity>, voter: &Voter, remark: bool) -> Option<u64> {
    let taken = match Link::ask_identity(me.clone(), voter.clone()).await {
        Err(error) => Err(error),
        Ok(theirs) if theirs.cluster != me.cluster => Err(io::Error::other("it does not know its cluster yet")),
        Ok(theirs) if theirs.has_metadata => Err(io::Error::other(
            "it has metadata of its own and would lose them: it joins once all its log directories are empty",
        )),
        Ok(theirs) => {
            let directory = theirs.directory;
            add(
                raft,
                theirs.voter,
                &Voter {
                    directory,
                    ..voter.clone()
                },
            )
            .await
        }
    };
    match taken {
        Ok(id) => {
            tracing::info!(node = %voter, "a node has joined the quorum");
            Some(id)
        }
        Err(error) if remark => {
            tracing::warn!(node = %voter, %error, "a node of the quorum is missing");
            None
        }
        Err(_) => None,
    }
}

async fn add(raft: &Raft, id: u64, voter: &Voter) -> io::Result<u64> {
    let added = rt::timeout(CATCH_UP_PATIENCE, raft.add_learner(id, voter.clone(), true)).await;
    match added {
        Some(Ok(_)) => Ok(id),
        Some(Err(error)) => Err(io::Error::other(error.to_string())),
        None => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Its file may say another one since the quorum was told.
async fn tell_address(raft: &Raft, id: u64, itself: &Voter) {
    let known = membership(raft).membership().get_node(&id).cloned();
    if known.is_none_or(|known| known == *itself) {
        return;
    }
    let change = ChangeMembers::SetNodes(BTreeMap::from([(id, itself.clone())]));
    match rt::timeout(CATCH_UP_PATIENCE, raft.change_membership(change, true)).await {
        Some(Ok(_)) => tracing::info!(node = %itself, "the quorum knows another address of this node"),
        failed => tracing::debug!(?failed, "the quorum does not know this node's address yet"),
    }
}

pub fn membership(raft: &Raft) -> Arc<StoredMembership> {
    raft.metrics().borrow_watched().membership_config.clone()
}
