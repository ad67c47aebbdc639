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
use super::types::{Types, Voter, directory_id};
use crate::metadata::command::CommandError;
use crate::model::{BrokerId, DirId, ErrorCode};
use crate::rt;

/// For a majority of the voters, with the node and without it, to take it down.
const PATIENCE: Duration = Duration::from_secs(8);

/// On the leader.
pub async fn remove(raft: Raft, me: Arc<Identity>, node: BrokerId, directory: DirId) -> Result<(), CommandError> {
    let Member { id, voter, votes } = find(&raft, node, directory)?;
    if id == me.voter || is_alive(&me, &voter, id).await {
        return refuse(
            ErrorCode::InvalidRequest,
            format!("Node {node} runs at {voter}: stop it first", node = node.0),
        );
    }
    let change = match votes {
        true => ChangeMembers::RemoveVoters(BTreeSet::from([id])),
        false => ChangeMembers::RemoveNodes(BTreeSet::from([id])),
    };
    match rt::timeout(PATIENCE, raft.change_membership(change, false)).await {
        Some(Ok(_)) => {
            tracing::info!(node = %voter, "a node was taken out of the quorum");
            Ok(())
        }
        Some(Err(error)) => Err(not_changed(&error)),
        None => refuse(
            ErrorCode::RequestTimedOut,
            "No majority has answered: the node may be removed yet".into(),
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
        .find(|member| member.voter.node == node && directory_id(member.id) == directory)
        .ok_or_else(|| CommandError {
            code: ErrorCode::VoterNotFound,
            message: format!("Node {} with directory id {directory} is not in the quorum", node.0),
        })
}

/// Another that has come to its address, without its directory, is not it.
async fn is_alive(me: &Arc<Identity>, voter: &Voter, id: u64) -> bool {
    let answered = Link::ask_identity(me.clone(), voter.clone()).await;
    answered.is_ok_and(|theirs| theirs.voter == id)
}

fn not_changed(error: &RaftError<Types, ClientWriteError<Types>>) -> CommandError {
    let (code, message) = match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => (
            ErrorCode::NotController,
            "Another node leads the quorum by now".to_owned(),
        ),
        error => (ErrorCode::RequestTimedOut, error.to_string()),
    };
    CommandError { code, message }
}

fn refuse<T>(code: ErrorCode, message: String) -> Result<T, CommandError> {
    Err(CommandError { code, message })
}
