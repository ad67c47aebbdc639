//! A classic group to its record and back.

use std::sync::Arc;
use std::time::Duration;

use super::{Classic, Member, MemberId, State};
use crate::group::record::{GroupValue, MemberValue, RecordKind, group_key};
use crate::group::request::Protocol;
use crate::model::Entry;
use crate::rt::Instant;

pub(in crate::group) fn group_tombstone(group: &str) -> Entry {
    Entry {
        key: group_key(RecordKind::Classic, group, ""),
        value: None,
    }
}

impl Classic {
    /// The group as it is, for the log.
    pub(in crate::group) fn entry(&self) -> Entry {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let value_of = |id: &MemberId, member: &Member| MemberValue {
            member_id: id.to_string(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: millis(member.rebalance_timeout),
            session_timeout_ms: millis(member.session_timeout),
            subscription: member.metadata(protocol),
            assignment: member.assignment.clone(),
        };
        let value = GroupValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.as_deref().map(str::to_owned),
            state_ms: self.state_ms,
            members: self.members.iter().map(|(id, member)| value_of(id, member)).collect(),
        };
        Entry {
            key: group_key(RecordKind::Classic, &self.id, ""),
            value: Some(value.write()),
        }
    }

    /// The group that a record describes; nobody in it has been heard of yet.
    pub(in crate::group) fn from_value(id: Arc<str>, value: GroupValue) -> Classic {
        let mut group = Classic::new(id);
        group.protocol_type = Some(value.protocol_type).filter(|kind| !kind.is_empty());
        group.generation = value.generation;
        group.state_ms = value.state_ms;
        group.state = match value.members.is_empty() {
            true => State::Empty,
            false => State::Stable,
        };
        group.leader = value.leader.map(|leader| leader.as_str().into());
        for member in value.members {
            group.joined += 1;
            let id: MemberId = member.member_id.as_str().into();
            let member = member_from(member, value.protocol.as_deref(), group.joined);
            group.insert(id, member);
        }
        group.protocol = value.protocol;
        group.compute_topics();
        group
    }
}

fn member_from(value: MemberValue, protocol: Option<&str>, order: u64) -> Member {
    let supported = Protocol {
        name: protocol.unwrap_or_default().to_owned(),
        metadata: value.subscription,
    };
    let rebalance_timeout_ms = match value.rebalance_timeout_ms {
        ..0 => value.session_timeout_ms,
        ms => ms,
    };
    Member {
        instance_id: value.instance_id,
        client_id: value.client_id,
        client_host: value.client_host,
        rebalance_timeout: duration(rebalance_timeout_ms),
        session_timeout: duration(value.session_timeout_ms),
        protocols: vec![supported],
        assignment: value.assignment,
        order,
        is_new: false,
        joining: None,
        syncing: None,
        deadline: Instant(0),
        reminder: None,
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn duration(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
