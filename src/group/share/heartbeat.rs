//! The one request that members of a share group send to its coordinator.

use super::assign::assign;
use super::{Member, ShareGroup};
use crate::group::request::{ShareBeat, ShareHeard};
use crate::group::turn::Turn;
use crate::model::ErrorCode;

/// The epoch of a member that joins, and of one that leaves.
const EPOCH_JOINING: i32 = 0;
const EPOCH_LEAVING: i32 = -1;

impl ShareGroup {
    //= KIP-932: a member that leaves hears of it with its own epoch; one that is not known is to join again
    pub(in crate::group) fn beat(&mut self, beat: ShareBeat, turn: &mut Turn<'_>) -> Result<ShareHeard, ErrorCode> {
        if beat.epoch == EPOCH_LEAVING {
            return self.leave(&beat.member_id, turn);
        }
        self.check(&beat, turn)?;
        let is_full = beat.epoch == EPOCH_JOINING || beat.topics.is_some();
        let has_changed = self.update(&beat, turn);
        if has_changed || self.seen != Some(turn.catalog.version()) {
            self.assign_anew(has_changed, turn);
        }
        self.expect(&beat.member_id, turn);
        let is_news = self.bring_up_to_date(&beat.member_id, turn);
        let member = self.members.get(&*beat.member_id).ok_or(ErrorCode::UnknownMemberId)?;
        Ok(ShareHeard {
            member_id: beat.member_id.clone(),
            epoch: member.epoch,
            assigned: (is_full || is_news).then(|| member.assigned.clone()),
        })
    }

    /// A group without members that the log knows of.
    pub(in crate::group) fn prepare(&mut self, turn: &mut Turn<'_>) -> ErrorCode {
        if !self.members.is_empty() {
            return ErrorCode::NonEmptyGroup;
        }
        if self.epoch == 0 {
            self.epoch = 1;
            turn.effects.write(self.group_entry());
        }
        ErrorCode::None
    }

    fn check(&self, beat: &ShareBeat, turn: &Turn<'_>) -> Result<(), ErrorCode> {
        let Some(member) = self.members.get(&*beat.member_id) else {
            return match beat.epoch {
                EPOCH_JOINING if self.members.len() >= turn.config.share_size_max => {
                    Err(ErrorCode::GroupMaxSizeReached)
                }
                EPOCH_JOINING => Ok(()),
                _ => Err(ErrorCode::UnknownMemberId),
            };
        };
        let known = [EPOCH_JOINING, member.epoch, member.previous_epoch];
        match known.contains(&beat.epoch) {
            true => Ok(()),
            false => Err(ErrorCode::FencedMemberEpoch),
        }
    }

    /// Takes in what the member says of itself. True: what is to be assigned changes with it.
    fn update(&mut self, beat: &ShareBeat, turn: &mut Turn<'_>) -> bool {
        let before = self.members.get(&*beat.member_id);
        let mut member = before.cloned().unwrap_or_default();
        if let Some(topics) = &beat.topics {
            member.topics = topics.iter().cloned().collect();
        }
        member.rack = beat.rack.clone().or(member.rack);
        member.client_id = beat.client_id.clone();
        member.client_host = beat.client_host.clone();
        let is_new_to_log = before.is_none_or(|before| !before.says_the_same(&member));
        let has_changed = before.is_none_or(|before| before.topics != member.topics);
        if is_new_to_log {
            turn.effects.write(self.member_entry(&beat.member_id, &member));
        }
        self.members.insert(beat.member_id.as_str().into(), member);
        has_changed
    }

    /// Who reads what is decided anew. The epoch grows where that or the members have changed.
    fn assign_anew(&mut self, has_changed: bool, turn: &mut Turn<'_>) {
        self.seen = Some(turn.catalog.version());
        let targets = assign(&self.members, turn.catalog);
        let is_same = |(id, member): (&super::MemberId, &Member)| targets.get(id) == Some(&member.target);
        if !has_changed && self.members.iter().all(is_same) {
            return;
        }
        self.epoch += 1;
        turn.effects.write(self.group_entry());
        for (id, target) in targets {
            let Some(member) = self.members.get_mut(&id) else {
                continue;
            };
            if member.target != target {
                member.target = target;
                let entry = self.target_entry(&id);
                turn.effects.entries.extend(entry);
            }
        }
        turn.effects.write(self.target_epoch_entry());
    }

    /// The member is told what it is to read. True: that is news.
    fn bring_up_to_date(&mut self, id: &str, turn: &mut Turn<'_>) -> bool {
        let epoch = self.epoch;
        let Some(member) = self.members.get_mut(id) else {
            return false;
        };
        if member.epoch == epoch {
            return false;
        }
        let is_news = member.assigned != member.target;
        member.previous_epoch = member.epoch;
        member.epoch = epoch;
        member.assigned = member.target.clone();
        let entry = self.current_entry(id);
        turn.effects.entries.extend(entry);
        is_news
    }

    fn leave(&mut self, id: &str, turn: &mut Turn<'_>) -> Result<ShareHeard, ErrorCode> {
        if !self.members.contains_key(id) {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.remove(id, turn);
        Ok(ShareHeard {
            member_id: id.to_owned(),
            epoch: EPOCH_LEAVING,
            assigned: None,
        })
    }

    pub(super) fn remove(&mut self, id: &str, turn: &mut Turn<'_>) {
        self.members.remove(id);
        let tombstones = self.member_tombstones(id);
        turn.effects.entries.extend(tombstones);
        self.assign_anew(true, turn);
    }
}

impl Member {
    fn says_the_same(&self, other: &Member) -> bool {
        self.topics == other.topics
            && self.rack == other.rack
            && self.client_id == other.client_id
            && self.client_host == other.client_host
    }
}
