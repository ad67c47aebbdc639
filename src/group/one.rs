//! One group: its members and its offsets.

use std::sync::Arc;

use super::classic::{Classic, State};
use super::offsets::Offsets;
use super::record::OffsetValue;
use super::request::{DescribedGroup, DescribedMember, ListFilter, ListedGroup};

#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: Arc<str>,
    pub(super) classic: Classic,
    pub(super) offsets: Offsets,
}

impl Group {
    pub(super) fn new(id: &str) -> Group {
        let id: Arc<str> = id.into();
        Group {
            classic: Classic::new(id.clone()),
            id,
            offsets: Offsets::default(),
        }
    }

    /// There is nothing to remember.
    pub(super) fn is_blank(&self) -> bool {
        self.offsets.is_empty() && self.classic.is_blank()
    }

    /// Whether the offset has passed its retention (behaviour 55).
    pub(super) fn is_over(classic: &Classic, topic: &str, value: &OffsetValue, retention_ms: i64, now_ms: i64) -> bool {
        if classic.is_subscribed_to(topic) {
            return false;
        }
        match (classic.retention_base_ms(value), value.expire_ms) {
            (None, _) => false,
            (Some(_), Some(at)) => now_ms >= at,
            (Some(base_ms), None) => now_ms.saturating_sub(base_ms) >= retention_ms,
        }
    }

    pub(super) fn describe(&self) -> DescribedGroup {
        let classic = &self.classic;
        // Only a stable group has what its members were given.
        let protocol = match classic.state {
            State::Stable => classic.protocol.as_deref(),
            _ => None,
        };
        let members = classic.members.iter().map(|(id, member)| DescribedMember {
            member_id: id.to_string(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: protocol.map(|protocol| member.metadata(protocol)).unwrap_or_default(),
            assignment: protocol.map(|_| member.assignment.clone()).unwrap_or_default(),
        });
        DescribedGroup {
            state: classic.state.name(),
            protocol_type: classic.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.unwrap_or_default().to_owned(),
            members: members.collect(),
        }
    }

    /// The group in a list, if the filter lets it through.
    pub(super) fn list(&self, filter: &ListFilter) -> Option<ListedGroup> {
        let lets =
            |names: &[String], name: &str| names.is_empty() || names.iter().any(|one| one.eq_ignore_ascii_case(name));
        let listed = ListedGroup {
            id: self.id.clone(),
            protocol_type: self.classic.protocol_type.clone().unwrap_or_default(),
            state: self.classic.state.name(),
            kind: "classic",
        };
        (lets(&filter.states, listed.state) && lets(&filter.kinds, listed.kind)).then_some(listed)
    }
}
