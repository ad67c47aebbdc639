//! A node that is in no quorum says so, and how it comes into one: it was not added yet, or was taken out while it was away.

use std::sync::Arc;
use std::time::Duration;

use openraft::Instant;
use openraft::async_runtime::watch::WatchReceiver;

use super::Raft;
use super::join::membership;
use super::link::Link;
use super::message::Identity;
use super::types::{Voter, directory_id};
use crate::metrics::ControlCells;
use crate::rt;

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Without word from a leader: the others are asked whether they know this node, and so often again.
const SILENT_FOR: Duration = Duration::from_secs(5);
const ROUNDS_PER_QUESTION: u64 = 10;
/// Rounds between two remarks.
const ROUNDS_PER_REMARK: u64 = 60;

/// For as long as the control thread lives. `configured`: those that join by themselves, `servers` whom they may ask besides.
pub async fn watch(raft: Raft, me: Arc<Identity>, configured: Arc<[Voter]>, servers: Vec<Voter>, cells: ControlCells) {
    // A file that names nobody else lets it in nowhere.
    let joins_by_itself = configured.len() > 1 && configured.iter().any(|voter| voter.node == me.node);
    let (mut is_out, mut since) = (false, 0);
    for round in 0_u64.. {
        is_out = match Place::of(&raft, &me) {
            Place::New => !joins_by_itself,
            Place::In if !is_silent(&raft).await => false,
            Place::In if round % ROUNDS_PER_QUESTION == 0 => {
                let members: Vec<Voter> = membership(&raft).nodes().map(|(_, voter)| voter.clone()).collect();
                is_forgotten(&me, members.iter().chain(configured.iter()).chain(&servers)).await
            }
            Place::In => is_out,
            Place::Out => true,
        };
        if !is_out {
            since = round + 1;
            cells.set_waiting(None);
        } else {
            let why = told(&me, joins_by_itself);
            if (round - since).is_multiple_of(ROUNDS_PER_REMARK) {
                tracing::warn!("{why}");
            }
            cells.set_waiting(Some(why));
        }
        rt::sleep(LOOK_EVERY).await;
    }
}

enum Place {
    /// It knows of no quorum.
    New,
    /// As far as it knows.
    In,
    Out,
}

impl Place {
    fn of(raft: &Raft, me: &Identity) -> Place {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        let mut members = metrics.membership_config.nodes().peekable();
        match (members.peek().is_some(), members.any(|(id, _)| *id == me.voter)) {
            (false, _) => Place::New,
            (true, false) => Place::Out,
            (true, true) => Place::In,
        }
    }
}

/// A vote on disk names a leader, be it that he is gone: what counts is when he was heard.
async fn is_silent(raft: &Raft) -> bool {
    let heard = raft.with_raft_state(|state| state.vote_last_modified()).await;
    let is_long_ago = heard.is_ok_and(|heard| heard.is_none_or(|at| at.elapsed() > SILENT_FOR));
    !raft.is_leader() && is_long_ago
}

/// Whether somebody answers, and nobody who does knows this node any more.
async fn is_forgotten(me: &Arc<Identity>, others: impl Iterator<Item = &Voter>) -> bool {
    let mut answered = 0;
    for voter in others.filter(|voter| voter.node != me.node) {
        match Link::ask_identity(me.clone(), voter.clone()).await {
            Ok(theirs) if theirs.incarnation == me.incarnation => {}
            Ok(theirs) if theirs.knows_asker => return false,
            Ok(_) => answered += 1,
            Err(_) => {}
        }
    }
    answered > 0
}

fn told(me: &Identity, joins_by_itself: bool) -> String {
    let directory = me.directory.unwrap_or_else(|| directory_id(me.voter));
    let node = me.node.0;
    match joins_by_itself {
        true => format!(
            "node {node} was taken out of the quorum: it joins again once all its log directories are empty, or by \
             `kafka-metadata-quorum.sh add-controller`, with directory id {directory}"
        ),
        false => format!(
            "node {node} with directory id {directory} waits to be added to the quorum: `kafka-metadata-quorum.sh \
             --command-config <its server.properties> add-controller`"
        ),
    }
}
