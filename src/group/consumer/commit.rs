//! Who may commit and fetch offsets (behaviour 53, as KIP-848 and KIP-1251 have it).

use std::collections::BTreeSet;

use super::Consumer;
use super::member::Member;
use crate::group::request::{Allowed, Sender};
use crate::model::{ErrorCode, TopicId};

/// Clients before this version take the error for a stale epoch for one that is not to be retried.
const STALE_EPOCH_FROM: i16 = 9;

impl Consumer {
    /// A member that is behind may commit for what it had when it was in that epoch, and still has.
    pub(in crate::group) fn check_commit(
        &self,
        sender: &Sender,
        version: i16,
        transactional: bool,
    ) -> Result<Allowed, ErrorCode> {
        if sender.epoch < 0 && self.members.is_empty() {
            return Ok(Allowed::All);
        }
        let member = self
            .members
            .get(sender.member_id.as_str())
            .ok_or(ErrorCode::UnknownMemberId)?;
        if !transactional && member.about.classic.is_none() && version < STALE_EPOCH_FROM {
            return Err(ErrorCode::UnsupportedVersion);
        }
        // Producers know of generations only.
        let stale = match transactional {
            true => ErrorCode::IllegalGeneration,
            false => ErrorCode::StaleMemberEpoch,
        };
        match sender.epoch == member.current.epoch {
            true => Ok(Allowed::All),
            false if member.about.classic.is_some() => Err(ErrorCode::IllegalGeneration),
            false if sender.epoch > member.current.epoch => Err(stale),
            false => Ok(Allowed::These(held_since(member, sender.epoch), stale)),
        }
    }

    /// Those who do not say who they are may look.
    pub(in crate::group) fn check_fetch(&self, sender: &Sender) -> Result<(), ErrorCode> {
        if sender.epoch < 0 && sender.member_id.is_empty() {
            return Ok(());
        }
        let member = self
            .members
            .get(sender.member_id.as_str())
            .ok_or(ErrorCode::UnknownMemberId)?;
        match sender.epoch == member.current.epoch {
            true => Ok(()),
            false if member.about.classic.is_some() => Err(ErrorCode::IllegalGeneration),
            false => Err(ErrorCode::StaleMemberEpoch),
        }
    }
}

/// The partitions that the member was assigned in `epoch` or before, and nobody else has had since.
fn held_since(member: &Member, epoch: i32) -> BTreeSet<(TopicId, i32)> {
    let parts = [&member.current.assigned, &member.current.revoking];
    let mut held = BTreeSet::new();
    for (topic, partitions) in parts.into_iter().flatten() {
        let old = partitions.iter().filter(|(_, assigned)| **assigned <= epoch);
        held.extend(old.map(|(index, _)| (*topic, *index)));
    }
    held
}
