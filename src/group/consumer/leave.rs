//! Members that go, are fenced, or are silent for too long.

use super::Consumer;
use super::change::Change;
use super::heartbeat::{fenced_instance, unknown};
use super::member::{AWAY, Times};
use crate::group::classic::MemberId;
use crate::group::deadlines::Timer;
use crate::group::record::{CurrentValue, DatedAssignment};
use crate::group::request::{ConsumerHeard, Refused, Sender};
use crate::group::turn::Turn;
use crate::model::Entry;
use crate::rt::Instant;

impl Consumer {
    /// Epoch -1: the member goes. Epoch -2: a static one goes, and means to come back before its session ends.
    pub(in crate::group) fn leave(&mut self, sender: &Sender, turn: &mut Turn<'_>) -> Result<ConsumerHeard, Refused> {
        let id = self.leaver(sender)?;
        match sender.epoch == AWAY {
            true => self.go_away(&id, turn),
            false => {
                tracing::info!(group = %self.id, member = %id, "member leaves the consumer group");
                self.drop_members(std::slice::from_ref(&id), turn);
            }
        }
        Ok(ConsumerHeard {
            member_id: Some(id.to_string()),
            epoch: sender.epoch,
            heartbeat_interval: std::time::Duration::ZERO,
            assignment: None,
        })
    }

    fn leaver(&self, sender: &Sender) -> Result<MemberId, Refused> {
        let id = sender.member_id.as_str();
        let known = match &sender.instance_id {
            None => {
                return self
                    .members
                    .get_key_value(id)
                    .map(|(id, _)| id.clone())
                    .ok_or_else(|| unknown(id));
            }
            Some(instance_id) => self.instances.get(instance_id).ok_or_else(|| unknown(instance_id))?,
        };
        match **known == *id {
            true => Ok(known.clone()),
            false => Err(fenced_instance(sender.instance_id.as_deref().unwrap_or_default())),
        }
    }

    /// It keeps its place and its partitions: nobody is told to take them.
    fn go_away(&mut self, id: &MemberId, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get(id) else { return };
        tracing::info!(group = %self.id, member = %id, "static member is away");
        let current = CurrentValue {
            epoch: AWAY,
            revoking: DatedAssignment::new(),
            ..member.current.clone()
        };
        self.change(Change::Current(id.clone(), Some(current)), turn);
        self.await_revocation(id, false, turn);
    }

    /// Removes the members, and makes a new epoch for those who stay.
    pub(super) fn drop_members(&mut self, gone: &[MemberId], turn: &mut Turn<'_>) {
        for id in gone {
            let about = self.members.get(id).map(|member| member.about.clone());
            self.forget_member(id, turn);
            if let Some(regex) = about.and_then(|about| about.regex) {
                self.forget_unread(&regex, turn);
            }
        }
        // A group that is about to be a classic one keeps its epoch: for its members that is their generation.
        if self.movers(turn).is_none() {
            self.renew_epoch(true, turn);
        }
    }

    /// Takes the member out of the state and of the log.
    pub(super) fn forget_member(&mut self, id: &MemberId, turn: &mut Turn<'_>) {
        if let Some(member) = self.members.get(id)
            && let Some(at) = member.times.reminder
        {
            turn.deadlines.remove(at, Timer::Member(self.id.clone(), id.clone()));
        }
        self.change(Change::Current(id.clone(), None), turn);
        self.change(Change::Target(id.clone(), None), turn);
        self.change(Change::Member(id.clone(), None), turn);
    }

    /// The member is alive. One of the classic protocol has said how long it may be silent.
    pub(super) fn hear_of(&mut self, id: &MemberId, turn: &mut Turn<'_>) {
        let own = self.members.get(id).and_then(|member| member.about.classic.as_ref());
        let timeout = match own {
            Some(classic) => classic.session_timeout(),
            None => turn.catalog.consumer_settings(&self.id).session_timeout,
        };
        let session = turn.now.instant.after(timeout);
        self.set_times(id, turn, |times| times.session = Some(session));
    }

    /// Members of the classic protocol have the times of their joins and syncs instead.
    pub(super) fn await_revocation(&mut self, id: &MemberId, waits: bool, turn: &mut Turn<'_>) {
        let member = self.members.get(id).filter(|member| member.about.classic.is_none());
        let until = member.map(|member| turn.now.instant.after(member.rebalance_timeout()));
        self.set_times(id, turn, |times| times.revoke = until.filter(|_| waits));
    }

    /// A member of this protocol is alive; it may have spoken the other one before.
    pub(super) fn on_heard(&mut self, id: &MemberId, turn: &mut Turn<'_>) {
        self.hear_of(id, turn);
        self.set_times(id, turn, |times| (times.join, times.sync) = (None, None));
    }

    /// The member is to join again, in its rebalance timeout from when it was first told.
    pub(super) fn await_join(&mut self, id: &MemberId, turn: &mut Turn<'_>) {
        let timeout = self
            .members
            .get(id)
            .map(|member| member.rebalance_timeout())
            .unwrap_or_default();
        let until = turn.now.instant.after(timeout);
        self.set_times(id, turn, |times| times.join = times.join.or(Some(until)));
    }

    /// The member has joined again, and is to sync.
    pub(super) fn on_joined(&mut self, id: &MemberId, turn: &mut Turn<'_>) {
        let timeout = self
            .members
            .get(id)
            .map(|member| member.rebalance_timeout())
            .unwrap_or_default();
        let until = turn.now.instant.after(timeout);
        self.hear_of(id, turn);
        self.set_times(id, turn, |times| (times.join, times.sync) = (None, Some(until)));
    }

    pub(super) fn on_synced(&mut self, id: &MemberId, turn: &mut Turn<'_>) {
        self.hear_of(id, turn);
        self.set_times(id, turn, |times| times.sync = None);
    }

    /// One reminder stands at or before the earliest of the member's times, so that a heartbeat moves none.
    fn set_times(&mut self, id: &MemberId, turn: &mut Turn<'_>, set: impl FnOnce(&mut Times)) {
        let Some(member) = self.members.get_mut(id) else { return };
        let times = &mut member.times;
        set(times);
        let timer = || Timer::Member(self.id.clone(), id.clone());
        let Some(earliest) = times.earliest() else { return };
        match times.reminder {
            Some(reminder) if reminder <= earliest => {}
            reminder => {
                if let Some(reminder) = reminder {
                    turn.deadlines.remove(reminder, timer());
                }
                times.reminder = Some(earliest);
                turn.deadlines.add(earliest, timer());
            }
        }
    }

    /// The group is to be another: nothing reminds of its members.
    pub(in crate::group) fn forget_times(&self, turn: &mut Turn<'_>) {
        for (id, member) in &self.members {
            if let Some(at) = member.times.reminder {
                turn.deadlines.remove(at, Timer::Member(self.id.clone(), id.clone()));
            }
        }
    }

    pub(in crate::group) fn on_member_time(&mut self, id: &MemberId, reminded: Instant, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get_mut(id) else { return };
        let times = &mut member.times;
        if times.reminder != Some(reminded) {
            return;
        }
        times.reminder = None;
        let is_over = |time: Option<Instant>| time.is_some_and(|time| time <= turn.now.instant);
        let reason = match times {
            times if is_over(times.session) => "it has not been heard of in its session time",
            times if is_over(times.revoke) => "it has not given up its partitions in time",
            times if is_over(times.join) => "it has not joined again in time",
            times if is_over(times.sync) => "it has not synced in time",
            _ => return self.set_times(id, turn, |_| {}),
        };
        tracing::info!(group = %self.id, member = %id, reason, "member is fenced");
        self.drop_members(std::slice::from_ref(id), turn);
    }

    /// A group that was loaded: its members are given their times anew.
    pub(in crate::group) fn on_loaded(&mut self, turn: &mut Turn<'_>) {
        self.is_stale = true;
        self.has_new_topics = true;
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in &ids {
            self.hear_of(id, turn);
            let waits = self
                .members
                .get(id)
                .is_some_and(|member| !member.current.revoking.is_empty());
            self.await_revocation(id, waits, turn);
        }
    }

    /// What the log is to forget with the group.
    pub(in crate::group) fn tombstones(&self) -> Vec<Entry> {
        let mut changes = Vec::new();
        let ids = || self.members.keys().cloned();
        changes.extend(ids().map(|id| Change::Current(id, None)));
        changes.extend(ids().map(|id| Change::Target(id, None)));
        changes.push(Change::TargetEpoch(None));
        changes.extend(ids().map(|id| Change::Member(id, None)));
        changes.extend(self.regexes.keys().map(|regex| Change::Regex(regex.clone(), None)));
        if self.has_old_topics {
            changes.push(Change::OldTopics(false));
        }
        changes.push(Change::Epoch(None));
        changes.iter().map(|change| change.entry(&self.id)).collect()
    }
}
