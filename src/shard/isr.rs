//! What the leaders of this shard ask of the controller for their followers: who is in sync.
//!
//! The proposals of all partitions that are due go out as one command, one at a time: while one is under way the next
//! gather. A partition decides for itself what it proposes and what an answer means for it.

use std::collections::BTreeSet;

use super::hosted::{Hosted, open_at};
use super::message::{Job, Life};
use super::state::Shard;
use crate::metadata::{self, AlterPartition, Command, CommandError, IsrChange, PartitionState, Reply};
use crate::metrics::{Cells, Metric};
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, PartitionId};
use crate::partition::{IsrAnswer, IsrProposal};
use crate::rt::Now;

/// Proposals of one command; the rest go out with the next.
const PROPOSALS_MAX: usize = 1_000;

#[derive(Default)]
pub(super) struct Isr {
    due: BTreeSet<PartitionId>,
    is_asking: bool,
}

/// A command to be sent to the controller.
pub(super) struct IsrJob {
    asked: Vec<Asked>,
    command: Command,
}

/// Which life of which partition proposed, and in which epochs.
#[derive(Clone, Copy)]
struct Asked {
    life: Life,
    epochs: (LeaderEpoch, i32),
    grows: bool,
    shrinks: bool,
}

pub(super) struct IsrDone {
    asked: Vec<Asked>,
    answer: Result<Reply, CommandError>,
}

impl IsrJob {
    pub(super) async fn run(self, metadata: metadata::Handle) -> IsrDone {
        IsrDone {
            asked: self.asked,
            answer: metadata.submit(self.command).await,
        }
    }
}

impl Isr {
    /// The partition may have something to propose: a follower has caught up, or the time to look has come.
    pub(super) fn look_at(&mut self, id: PartitionId) {
        self.due.insert(id);
    }
}

impl Shard {
    /// The end of a turn.
    pub(super) fn propose_isrs(&mut self, now: Now) {
        if self.isr.is_asking || self.isr.due.is_empty() || self.stopping.is_some() {
            return;
        }
        let broker = BrokerId(self.config.broker_id);
        let Some(broker_epoch) = self.image.brokers.get(&broker).map(|known| known.epoch) else {
            return;
        };
        let (mut asked, mut partitions) = (Vec::new(), Vec::new());
        while partitions.len() < PROPOSALS_MAX
            && let Some(id) = self.isr.due.pop_first()
        {
            let Some(Hosted::Open(open)) = self.hosted.get_mut(&id) else {
                continue;
            };
            let life = open.life();
            let (proposal, visible_bytes) = open.partition.isr_change(&mut self.acked, now.instant);
            if let Some(proposal) = proposal {
                let isr = self.image.partition(&id).map_or(&[][..], |(_, state)| &state.isr);
                asked.push(Asked::new(life, &proposal, isr, broker));
                partitions.push(change(id, proposal, (broker, broker_epoch)));
            }
            self.on_advanced(life, Ok(visible_bytes), now);
        }
        if partitions.is_empty() {
            return;
        }
        self.isr.is_asking = true;
        let command = Command::AlterPartition(AlterPartition {
            broker,
            broker_epoch,
            partitions,
        });
        self.jobs.push(Job::AlterIsr(Box::new(IsrJob { asked, command })));
    }

    pub(super) fn on_isr_altered(&mut self, done: IsrDone, now: Now) {
        self.isr.is_asking = false;
        let answers = match done.answer {
            Ok(Reply::AlterPartition(answers)) if answers.len() == done.asked.len() => answers,
            Ok(_) => vec![Err(ErrorCode::UnknownServerError); done.asked.len()],
            Err(error) => {
                tracing::debug!(
                    error = error.message,
                    "controller did not take a change of in-sync replicas"
                );
                vec![Err(error.code); done.asked.len()]
            }
        };
        for (asked, answer) in done.asked.into_iter().zip(answers) {
            asked.count(answer.is_ok(), &self.metrics);
            let Asked { life, epochs, .. } = asked;
            let Some(open) = open_at(&mut self.hosted, life) else {
                continue;
            };
            let visible_bytes = open.partition.on_isr_answer(epochs, meaning(answer), &mut self.acked);
            self.on_advanced(life, Ok(visible_bytes), now);
        }
    }
}

impl Asked {
    /// `isr`: as the image has it.
    fn new(life: Life, proposal: &IsrProposal, isr: &[BrokerId], me: BrokerId) -> Asked {
        let proposes = |broker: &BrokerId| proposal.peers.iter().any(|(peer, _)| peer == broker);
        Asked {
            life,
            epochs: (proposal.leader_epoch, proposal.partition_epoch),
            grows: proposal.peers.iter().any(|(peer, _)| !isr.contains(peer)),
            shrinks: isr.iter().any(|member| *member != me && !proposes(member)),
        }
    }

    fn count(&self, is_done: bool, metrics: &Cells) {
        let moved = [
            (Metric::IsrExpands, self.grows && is_done),
            (Metric::IsrShrinks, self.shrinks && is_done),
            (Metric::FailedIsrUpdates, !is_done),
        ];
        for (metric, _) in moved.into_iter().filter(|(_, has_moved)| *has_moved) {
            metrics.add(metric, 1);
        }
    }
}

fn change(partition: PartitionId, proposal: IsrProposal, me: (BrokerId, i64)) -> IsrChange {
    let mut isr = proposal.peers;
    isr.push(me);
    IsrChange {
        partition,
        leader_epoch: proposal.leader_epoch,
        partition_epoch: proposal.partition_epoch,
        isr,
        // As in Kafka: a leader that proposes has recovered.
        recovering: false,
    }
}

fn meaning(answer: Result<PartitionState, ErrorCode>) -> IsrAnswer {
    match answer {
        Ok(state) => IsrAnswer::Committed {
            partition_epoch: state.partition_epoch,
            isr: state.isr,
        },
        Err(ErrorCode::IneligibleReplica | ErrorCode::OperationNotAttempted) => IsrAnswer::Rejected,
        Err(
            ErrorCode::FencedLeaderEpoch
            | ErrorCode::InvalidUpdateVersion
            | ErrorCode::UnknownTopicId
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::NewLeaderElected
            | ErrorCode::InvalidRequest,
        ) => IsrAnswer::Outdated,
        Err(_) => IsrAnswer::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Registry;
    use crate::model::{Incarnation, TopicId};

    /// Who leaves and who joins is counted once it is done, and what was not done as that alone.
    #[test]
    fn changes_of_the_isr_are_counted() {
        let ids = |ids: &[i32]| ids.iter().map(|id| BrokerId(*id)).collect::<Vec<_>>();
        let life = Life {
            partition: PartitionId {
                topic: TopicId([1; 16]),
                index: 0,
            },
            incarnation: Incarnation(1),
        };
        let asked = |before: &[i32], peers: &[i32]| {
            let proposal = IsrProposal {
                leader_epoch: LeaderEpoch(1),
                partition_epoch: 2,
                peers: ids(peers).into_iter().map(|id| (id, 9)).collect(),
            };
            Asked::new(life, &proposal, &ids(before), BrokerId(1))
        };
        let metrics = Registry::new(1).shard(0);
        let counted =
            || [Metric::IsrExpands, Metric::IsrShrinks, Metric::FailedIsrUpdates].map(|metric| metrics.get(metric));
        asked(&[1, 2, 3], &[2]).count(true, &metrics);
        assert_eq!(counted(), [0, 1, 0]);
        asked(&[1, 2], &[3, 2]).count(true, &metrics);
        assert_eq!(counted(), [1, 1, 0]);
        asked(&[1, 2], &[3]).count(true, &metrics);
        assert_eq!(counted(), [2, 2, 0]);
        asked(&[1, 2], &[3]).count(false, &metrics);
        assert_eq!(counted(), [2, 2, 1]);
    }

    /// Only an answer that is final ends a proposal; one that may or may not have been taken is asked again.
    #[test]
    fn answers_of_the_controller_are_told_apart() {
        let of = |error| meaning(Err(error));
        assert!(matches!(of(ErrorCode::IneligibleReplica), IsrAnswer::Rejected));
        assert!(matches!(of(ErrorCode::FencedLeaderEpoch), IsrAnswer::Outdated));
        assert!(matches!(of(ErrorCode::NewLeaderElected), IsrAnswer::Outdated));
        for unknown in [
            ErrorCode::NotController,
            ErrorCode::RequestTimedOut,
            ErrorCode::StaleBrokerEpoch,
        ] {
            assert!(matches!(of(unknown), IsrAnswer::Unknown), "{unknown:?}");
        }
    }
}
