//! A node that will not come back is taken out of the quorum: its vote is not waited for any more, and another may come in
//! its place, under its id too. //= KIP-853

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};

use super::Raft;
use super::link::Link;
use super::message::Identity;
use super::progress::heard_ms;
use super::remote::Remote;
use super::types::{Types, Voter, directory_of};
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
    let membership = raft.metrics().borrow_watched().membership_config.clone();
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
    let now_ms = rt::wall_ms();
    let heard_ms = heard_ms(&raft.metrics().borrow_watched(), id, now_ms);
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
