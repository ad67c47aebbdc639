//! A node that will not come back is taken out of the quorum: its vote is not waited for any more, and another may come in
//! its place, under its id too. //= KIP-853

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::{ChangeMembers, RaftMetrics};

use super::Raft;
use super::join::membership;
use super::link::Link;
use super::message::Identity;
use super::progress::heard_ms;
use super::remote::Remote;
use super::types::{StoredMembership, Types, Voter, directory_of};
use crate::metadata::command::CommandError;
use crate::model::{BrokerId, DirId, ErrorCode};
use crate::rt;

/// For a majority of the voters, with the node and without it, to take it down.
const PATIENCE: Duration = Duration::from_secs(5);
/// One that answers the leader does so more often.
const SILENT_FOR: Duration = Duration::from_secs(2);

/// On the leader.
pub async fn remove(raft: Raft, remote: Remote, node: BrokerId, directory: DirId) -> Result<(), CommandError> {
    let Member { id, voter, votes } = find(&raft, node, directory)?;
    let voter = remote.configured(node).unwrap_or(voter);
    if is_alive(&raft, remote.me(), &voter, id).await {
        return refuse(
            ErrorCode::InvalidRequest,
            format!("Node {node} runs at {voter}: stop it first", node = node.0),
        );
    }
    if is_one_of_two(&membership(&raft), id) {
        let message = format!(
            "Of two voters both must run for a change: start node {voter}, and add a third before it is taken out; if its disk \
             is gone, stop the other one, and go on with that alone by `corelane recover-quorum`"
        );
        return refuse(ErrorCode::InvalidRequest, message);
    }
    let change = match votes {
        true => ChangeMembers::RemoveVoters(BTreeSet::from([id])),
        false => ChangeMembers::RemoveNodes(BTreeSet::from([id])),
    };
    let (done, changed) = rt::oneshot();
    // It has two steps. Whoever stops waiting must not leave it between them.
    rt::spawn(async move { done.send(raft.change_membership(change, false).await) });
    match rt::timeout(PATIENCE, changed).await {
        Some(Some(Ok(_))) => {
            tracing::info!(node = %voter, "a node was taken out of the quorum");
            Ok(())
        }
        Some(Some(Err(error))) => Err(not_changed(&error)),
        _ => refuse(
            ErrorCode::RequestTimedOut,
            "No majority has answered yet: the node is removed once one has".into(),
        ),
    }
}

struct Member {
    id: u64,
    voter: Voter,
    votes: bool,
}

fn find(raft: &Raft, node: BrokerId, directory: DirId) -> Result<Member, CommandError> {
    let membership = membership(raft);
    let votes = |id: u64| membership.voter_ids().any(|voter| voter == id);
    let mut members = membership.nodes().map(|(id, voter)| Member {
        id: *id,
        voter: voter.clone(),
        votes: votes(*id),
    });
    members
        .find(|member| member.voter.node == node && directory_of(member.id, &member.voter) == directory)
        .ok_or_else(|| CommandError {
            code: ErrorCode::VoterNotFound,
            message: format!("Node {} with directory id {directory} is not in the quorum", node.0),
        })
}

/// Its vote is needed to take it away.
fn is_one_of_two(membership: &StoredMembership, id: u64) -> bool {
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    voters.len() == 2 && voters.contains(&id)
}

/// Another that has come to its address, without its directory, is not it.
async fn is_alive(raft: &Raft, me: &Arc<Identity>, voter: &Voter, id: u64) -> bool {
    if id == me.voter {
        return true;
    }
    if is_heard(raft, id) {
        rt::sleep(SILENT_FOR).await;
    }
    is_heard(raft, id) || {
        let answered = Link::ask_identity(me.clone(), voter.clone()).await;
        answered.is_ok_and(|theirs| theirs.voter == id)
    }
}

fn is_heard(raft: &Raft, id: u64) -> bool {
    is_heard_in(&raft.metrics().borrow_watched(), id)
}

/// Whether the node has answered the leader of late.
pub fn is_heard_in(metrics: &RaftMetrics<Types>, id: u64) -> bool {
    let now_ms = rt::wall_ms();
    let heard_ms = heard_ms(metrics, id, now_ms);
    heard_ms.is_some_and(|heard_ms| u128::from(now_ms.abs_diff(heard_ms)) < SILENT_FOR.as_millis())
}

pub fn not_changed(error: &RaftError<Types, ClientWriteError<Types>>) -> CommandError {
    let (code, message) = match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => (
            ErrorCode::NotController,
            "Another node leads the quorum by now".to_owned(),
        ),
        error => (ErrorCode::RequestTimedOut, error.to_string()),
    };
    CommandError { code, message }
}

pub fn refuse<T>(code: ErrorCode, message: String) -> Result<T, CommandError> {
    Err(CommandError { code, message })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::metadata::engine::quorum::types::Membership;

    #[test]
    fn of_two_voters_none_is_taken_out_without_its_vote() {
        let nodes = BTreeMap::from([10, 20, 30].map(|id| (id, Voter::at("h", 1))));
        let of =
            |voters: BTreeSet<u64>| StoredMembership::new(None, Membership::new(vec![voters], nodes.clone()).unwrap());
        assert!(is_one_of_two(&of([10, 20].into()), 20));
        assert!(!is_one_of_two(&of([10, 20].into()), 30), "it only learns");
        assert!(!is_one_of_two(&of([10, 20, 30].into()), 30));
    }
}
