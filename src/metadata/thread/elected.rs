//! Leaders that were elected, and which of them out of the ISR, for the operator to hear of.

use super::super::image::{Image, PartitionState};
use super::super::record::{self, Record};
use crate::metrics::Elections;
use crate::model::{PartitionId, TopicId};

/// Of a commit's records, that are about to be applied to this image.
pub(super) fn count(image: &Image, records: &[Record]) -> Elections {
    let mut elections = Elections::default();
    for record in records {
        let Record::Partition(partition) = record else { continue };
        let id = PartitionId {
            topic: TopicId(partition.topic),
            index: partition.index,
        };
        if let Some((_, before)) = image.partition(&id) {
            add(&mut elections, before, partition);
        }
    }
    elections
}

fn add(elections: &mut Elections, before: &PartitionState, after: &record::Partition) {
    let is_new = after.leader >= 0 && before.leader.is_none_or(|leader| leader.0 != after.leader);
    let is_in = |members: &[crate::model::BrokerId]| members.iter().any(|member| member.0 == after.leader);
    elections.all += u64::from(is_new);
    match () {
        () if !is_new || is_in(&before.isr) => {}
        () if is_in(&before.elr) => elections.eligible += 1,
        () => elections.unclean += 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BrokerId, DirId, LeaderEpoch};

    fn state(leader: Option<i32>, isr: &[i32], elr: &[i32]) -> PartitionState {
        let ids = |ids: &[i32]| ids.iter().map(|id| BrokerId(*id)).collect::<Vec<_>>();
        PartitionState {
            index: 0,
            leader: leader.map(BrokerId),
            leader_epoch: LeaderEpoch(1),
            partition_epoch: 1,
            replicas: ids(&[1, 2, 3]),
            isr: ids(isr),
            directories: vec![DirId::UNASSIGNED; 3],
            adding: Vec::new(),
            removing: Vec::new(),
            elr: ids(elr),
            last_known_elr: Vec::new(),
            leader_recovering: false,
        }
    }

    /// A leader out of the ISR is no news, one of the eligible replicas loses nothing, and any other may have.
    #[test]
    fn leaders_out_of_sync_are_counted_by_what_they_cost() {
        let counted = |before: PartitionState, after: PartitionState| {
            let mut elections = Elections::default();
            add(
                &mut elections,
                &before,
                &record::Partition::new(TopicId([1; 16]), &after),
            );
            (elections.all, elections.unclean, elections.eligible)
        };
        let elected = |leader| state(Some(leader), &[leader], &[]);
        assert_eq!(counted(state(Some(1), &[1, 2], &[3]), elected(2)), (1, 0, 0));
        assert_eq!(counted(state(None, &[], &[3]), elected(3)), (1, 0, 1));
        assert_eq!(counted(state(None, &[], &[3]), elected(2)), (1, 1, 0));
        assert_eq!(counted(state(None, &[], &[]), state(None, &[], &[])), (0, 0, 0));
        assert_eq!(counted(elected(2), elected(2)), (0, 0, 0));
    }
}
