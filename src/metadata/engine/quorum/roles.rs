//! Who leads the quorum, as this node sees it, told to the control loop. "I am the controller" is said only once everything
//! that earlier controllers committed has been applied here. Where the quorum stands is shown to operators as well.

use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::{RaftMetrics, ServerState};

use super::super::Event;
use super::progress::Progress;
use super::remote::Remote;
use super::types::Types;
use super::{Raft, ReadPolicy};
use crate::metrics::{ControlCells, QuorumRole, QuorumView};
use crate::model::BrokerId;
use crate::rt::{self, Tx};

/// Between two tries of a leader to hear from a majority.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
const BARRIER_PATIENCE: Duration = Duration::from_secs(2);

/// Who is told of what is seen.
pub struct Seen {
    pub remote: Remote,
    pub progress: Progress,
    pub events: Tx<Event>,
    pub cells: ControlCells,
}

/// For as long as the consensus runs.
pub async fn watch(raft: Raft, seen: Seen) {
    let Seen {
        remote,
        progress,
        events,
        cells,
    } = seen;
    let mut metrics = raft.metrics();
    let mut raised = None;
    loop {
        let (seen, leader) = {
            let metrics = metrics.borrow_watched();
            if let Err(fatal) = &metrics.running_state {
                let _ = events.try_send(Event::Fatal(fatal.to_string()));
                return;
            }
            progress.note(&metrics, rt::wall_ms());
            remote.set_named(
                metrics
                    .membership_config
                    .nodes()
                    .map(|(_, voter)| voter.clone())
                    .collect(),
            );
            let leader = metrics.current_leader;
            let leader = leader.and_then(|id| metrics.membership_config.get_node(&id).map(|voter| voter.node));
            cells.set_quorum(view(&metrics, leader));
            (
                (metrics.state == ServerState::Leader).then_some(metrics.current_term),
                leader,
            )
        };
        if leader != remote.leader() {
            remote.set_leader(leader);
            let _ = events.try_send(Event::Leader(leader));
        }
        if raised.is_some() && seen != raised {
            raised = None;
            let _ = events.try_send(Event::NotController);
        }
        if let Some(term) = seen.filter(|_| raised.is_none()) {
            let barrier = raft.ensure_linearizable(ReadPolicy::ReadIndex);
            match rt::timeout(BARRIER_PATIENCE, barrier).await {
                Some(Ok(_)) => {
                    raised = Some(term);
                    let _ = events.try_send(Event::Controller { epoch: term });
                }
                Some(Err(_)) | None => rt::sleep(RETRY_PAUSE).await,
            }
            // What has changed meanwhile is looked at first.
            continue;
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

fn view(metrics: &RaftMetrics<Types>, leader: Option<BrokerId>) -> QuorumView {
    let role = match metrics.state {
        ServerState::Leader => QuorumRole::Leader,
        ServerState::Candidate => QuorumRole::Candidate,
        ServerState::Learner => QuorumRole::Observer,
        ServerState::Follower | ServerState::Shutdown => QuorumRole::Follower,
    };
    // Both as Kafka counts them: the next offset.
    let next = |index: Option<u64>| index.map_or(0, |index| index + 1);
    QuorumView {
        role,
        leader: leader.map(|leader| leader.0),
        epoch: metrics.current_term,
        high_watermark: next(metrics.local_committed.as_ref().map(|committed| committed.index)),
        log_end: next(metrics.last_log_index),
    }
}
