//! What others see of a consumer group.

use super::Consumer;
use super::member::Member;
use crate::group::classic::MemberId;
use crate::group::request::{DescribedConsumer, DescribedConsumerMember};
use crate::group::turn::Turn;

impl Consumer {
    pub(in crate::group) fn describe(&self, turn: &Turn<'_>) -> DescribedConsumer {
        let members = self.members.iter();
        DescribedConsumer {
            state: self.state_name(),
            epoch: self.epoch.epoch,
            assignment_epoch: self.assigned.epoch,
            assignor: self.assignor(turn).name(),
            members: members.map(|(id, member)| self.describe_member(id, member)).collect(),
        }
    }

    fn describe_member(&self, id: &MemberId, member: &Member) -> DescribedConsumerMember {
        let about = &member.about;
        DescribedConsumerMember {
            member_id: id.to_string(),
            instance_id: about.instance_id.clone(),
            rack_id: about.rack_id.clone(),
            epoch: member.current.epoch,
            client_id: about.client_id.clone(),
            client_host: about.client_host.clone(),
            topics: about.topics.clone(),
            regex: about.regex.clone(),
            assigned: member.assigned(),
            target: self.targets.get(id).cloned().unwrap_or_default(),
            is_classic: about.classic.is_some(),
        }
    }
}
