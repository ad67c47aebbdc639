//! Members of a consumer group that speak the classic protocol: for them an epoch is a generation, and a rebalance is
//! what brings them to the next step.

use bytes::Bytes;

use super::Consumer;
use super::change::Change;
use super::member::Member;
use super::regex::RegexChange;
use crate::group::classic::{CONSUMER, MemberId, Mover};
use crate::group::embedded::{Subscription, read_assignment, write_assignment};
use crate::group::record::{
    ClassicMemberValue, ConsumerMemberValue, CurrentValue, DatedAssignment, EpochValue, MemberState, TargetEpochValue,
};
use crate::group::request::{GroupReply, Join, JoinReply, Leaver, Left, Sender, Sync, SyncReply};
use crate::group::turn::Turn;
use crate::model::{ErrorCode, Ticket};
use crate::wire::primitives::DecodeError;

/// From this version on a new member is given its id first, and joins with it.
const KNOWN_MEMBER_ID_FROM: i16 = 4;

impl Consumer {
    /// The members of a classic group, with what they have. None: one of them says what cannot be understood.
    pub(in crate::group) fn of_movers(
        &mut self,
        generation: i32,
        movers: Vec<Mover>,
        turn: &mut Turn<'_>,
    ) -> Option<()> {
        let read: Result<Vec<_>, DecodeError> = movers
            .into_iter()
            .map(|mover| arrived(mover, generation, turn))
            .collect();
        let members = read.ok()?;
        let of_member = |change: fn(&MemberId, &Member) -> Change| {
            let changes = members.iter().map(|(id, member)| change(id, member));
            changes.collect::<Vec<_>>()
        };
        let mut changes = of_member(|id, member| Change::Member(id.clone(), Some(member.about.clone())));
        changes.push(Change::Epoch(Some(EpochValue {
            epoch: generation,
            topics_hash: 0,
        })));
        changes.extend(of_member(|id, member| {
            Change::Target(id.clone(), Some(member.assigned()))
        }));
        changes.push(Change::TargetEpoch(Some(TargetEpochValue {
            epoch: generation,
            assigned_ms: 0,
        })));
        changes.extend(of_member(|id, member| {
            Change::Current(id.clone(), Some(member.current.clone()))
        }));
        for change in changes {
            self.change(change, turn);
        }
        for (id, _) in &members {
            self.hear_of(id, turn);
        }
        Some(())
    }

    /// All members, if every one of them speaks the classic protocol and there are not too many.
    pub(in crate::group) fn movers(&self, turn: &Turn<'_>) -> Option<Vec<Mover>> {
        let may_go = turn.config.consumer.downgrades && self.members.len() <= turn.config.size_max;
        if self.members.is_empty() || !may_go {
            return None;
        }
        let members = self.members.iter();
        members.map(|(id, member)| self.mover(id, member, turn)).collect()
    }

    fn mover(&self, id: &MemberId, member: &Member, turn: &Turn<'_>) -> Option<Mover> {
        let classic = member.about.classic.as_ref()?;
        let metadata = classic.protocols.first().map(|protocol| protocol.metadata.clone());
        let metadata = metadata.unwrap_or_default();
        let target = self.targets.get(id).cloned().unwrap_or_default();
        Some(Mover {
            id: id.clone(),
            instance_id: member.about.instance_id.clone(),
            client_id: member.about.client_id.clone(),
            client_host: member.about.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout(),
            session_timeout: classic.session_timeout(),
            protocols: classic.protocols.clone(),
            assignment: write_assignment(&target, &metadata, turn.catalog),
            metadata,
        })
    }

    pub(in crate::group) fn generation(&self) -> i32 {
        self.epoch.epoch
    }

    pub(in crate::group) fn classic_join(&mut self, join: Join, ticket: Ticket, turn: &mut Turn<'_>) {
        let reply = self.try_join(&join, turn).unwrap_or_else(|error| {
            let member_id = match (error, join.sender.member_id.as_str()) {
                (ErrorCode::MemberIdRequired, _) => join.fresh_member_id.clone(),
                (ErrorCode::GroupMaxSizeReached, _) => String::new(),
                (_, id) => id.to_owned(),
            };
            JoinReply::refused(error, member_id)
        });
        turn.reply(ticket, GroupReply::Joined(reply));
    }

    fn try_join(&mut self, join: &Join, turn: &mut Turn<'_>) -> Result<JoinReply, ErrorCode> {
        let is_new = join.sender.member_id.is_empty();
        let id: MemberId = match is_new {
            true => join.fresh_member_id.as_str().into(),
            false => join.sender.member_id.as_str().into(),
        };
        self.check_room(&id, turn).map_err(|refused| refused.error)?;
        let first = self.check_protocols(join)?;
        let subscription = Subscription::read(&first).map_err(|_| ErrorCode::InconsistentGroupProtocol)?;
        let instance_id = join.sender.instance_id.as_deref();
        if is_new && instance_id.is_none() && join.version >= KNOWN_MEMBER_ID_FROM {
            return Err(ErrorCode::MemberIdRequired);
        }
        let replaced = self.place_of(&id, instance_id, is_new)?;
        let known = replaced.as_ref().unwrap_or(&id);
        let before = self.members.get(known).cloned().unwrap_or_default();
        let about = told(join, &subscription);
        if about.write().len() > turn.config.record_bytes_max {
            return Err(ErrorCode::InvalidRequest);
        }
        if let Some(old) = replaced {
            self.replace(&old, &id, turn);
        }
        if !self.members.contains_key(&id) || about != before.about {
            self.change(Change::Member(id.clone(), Some(about.clone())), turn);
        }
        let regex = self.on_regex_change(&before.about, &about, turn);
        let is_resubscribed = about.topics != before.about.topics || regex != RegexChange::None;
        self.renew_epoch(is_resubscribed, turn);
        self.renew_targets(turn);
        let owned = subscription.owned(turn.catalog);
        self.reconcile(&id, Some(&owned), is_resubscribed, turn)?;
        self.on_joined(&id, turn);
        Ok(self.joined(&id, join))
    }

    /// The metadata of the member's first protocol, if it shares any protocol with the others.
    fn check_protocols(&self, join: &Join) -> Result<Bytes, ErrorCode> {
        let classic = self.members.values().filter_map(|member| member.about.classic.as_ref());
        let classic: Vec<&ClassicMemberValue> = classic.collect();
        let by_all = |name: &str| classic.iter().all(|member| member.supports(name));
        let fits = join.protocol_type == CONSUMER && join.protocols.iter().any(|protocol| by_all(&protocol.name));
        let first = join.protocols.first().filter(|_| fits);
        first
            .map(|protocol| protocol.metadata.clone())
            .ok_or(ErrorCode::InconsistentGroupProtocol)
    }

    /// Some: the member whose place the one that joins takes.
    fn place_of(&self, id: &MemberId, instance_id: Option<&str>, is_new: bool) -> Result<Option<MemberId>, ErrorCode> {
        match instance_id.map(|instance_id| self.instances.get(instance_id)) {
            None => Ok(None),
            Some(Some(owner)) if is_new => Ok(Some(owner.clone())),
            Some(None) if is_new => Ok(None),
            Some(Some(owner)) if owner == id => Ok(None),
            Some(Some(_)) => Err(ErrorCode::FencedInstanceId),
            Some(None) => Err(ErrorCode::UnknownMemberId),
        }
    }

    fn joined(&self, id: &MemberId, join: &Join) -> JoinReply {
        JoinReply {
            error: ErrorCode::None,
            generation: self.members.get(id).map_or(0, |member| member.current.epoch),
            protocol_type: Some(CONSUMER.to_owned()),
            protocol: join.protocols.first().map(|protocol| protocol.name.clone()),
            // Nobody assigns but the coordinator.
            leader: String::new(),
            skip_assignment: false,
            member_id: id.to_string(),
            members: Vec::new(),
        }
    }

    pub(in crate::group) fn classic_sync(&mut self, sync: &Sync, turn: &mut Turn<'_>) -> SyncReply {
        let id: MemberId = sync.sender.member_id.as_str().into();
        match self.check_sync(sync, turn) {
            Ok(assignment) => {
                self.on_synced(&id, turn);
                SyncReply {
                    error: ErrorCode::None,
                    protocol_type: sync.protocol_type.clone(),
                    protocol: sync.protocol.clone(),
                    assignment,
                }
            }
            Err(error) => {
                if error == ErrorCode::RebalanceInProgress {
                    self.await_join(&id, turn);
                }
                SyncReply::refused(error)
            }
        }
    }

    fn check_sync(&self, sync: &Sync, turn: &Turn<'_>) -> Result<Bytes, ErrorCode> {
        let (member, classic) = self.classic_member(&sync.sender)?;
        let first = classic.protocols.first().ok_or(ErrorCode::InconsistentGroupProtocol)?;
        let differs = |asked: &Option<String>, own: &str| asked.as_deref().is_some_and(|asked| asked != own);
        if differs(&sync.protocol_type, CONSUMER) || differs(&sync.protocol, &first.name) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let has_missed_an_epoch = self.epoch.epoch > member.current.epoch;
        if has_missed_an_epoch && member.current.state != MemberState::UnrevokedPartitions {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(write_assignment(&member.assigned(), &first.metadata, turn.catalog))
    }

    pub(in crate::group) fn classic_heartbeat(&mut self, sender: &Sender, turn: &mut Turn<'_>) -> ErrorCode {
        let id: MemberId = sender.member_id.as_str().into();
        let member = match self.classic_member(sender) {
            Ok((member, _)) => member,
            Err(error) => return error,
        };
        let joins_again = member.current.epoch < self.epoch.epoch
            || match member.current.state {
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => !self.waits_for_others(&id, member),
                MemberState::Stable | MemberState::Unknown => false,
            };
        self.hear_of(&id, turn);
        match joins_again {
            true => {
                self.await_join(&id, turn);
                ErrorCode::RebalanceInProgress
            }
            false => ErrorCode::None,
        }
    }

    /// Whether what the member still lacks is all in others' hands.
    fn waits_for_others(&self, id: &MemberId, member: &Member) -> bool {
        let has = |topic, index| {
            let assigned = member.current.assigned.get(topic);
            assigned.is_some_and(|assigned| assigned.contains_key(index))
        };
        let target = self.targets.get(id).into_iter().flatten();
        let mut lacking = target
            .flat_map(|(topic, partitions)| partitions.iter().map(move |index| (topic, index)))
            .filter(|(topic, index)| !has(topic, index));
        lacking.any(|(topic, index)| self.is_owned(topic, *index))
    }

    /// The member that speaks the classic protocol and is in the generation that it says.
    fn classic_member(&self, sender: &Sender) -> Result<(&Member, &ClassicMemberValue), ErrorCode> {
        let member = self.member_of(&sender.member_id, sender.instance_id.as_deref())?;
        let classic = member.about.classic.as_ref().ok_or(ErrorCode::UnknownMemberId)?;
        match sender.epoch == member.current.epoch {
            true => Ok((member, classic)),
            false => Err(ErrorCode::IllegalGeneration),
        }
    }

    fn member_of(&self, id: &str, instance_id: Option<&str>) -> Result<&Member, ErrorCode> {
        if let Some(instance_id) = instance_id {
            let owner = self.instances.get(instance_id).ok_or(ErrorCode::UnknownMemberId)?;
            if **owner != *id {
                return Err(ErrorCode::FencedInstanceId);
            }
        }
        self.members.get(id).ok_or(ErrorCode::UnknownMemberId)
    }

    /// Only members of the classic protocol leave by its request.
    pub(in crate::group) fn classic_leave(&mut self, leavers: Vec<Leaver>, turn: &mut Turn<'_>) -> Vec<Left> {
        let mut gone: Vec<MemberId> = Vec::new();
        let left = leavers.into_iter().map(|leaver| {
            let found = self.classic_leaver(&leaver);
            let error = found.as_ref().err().copied().unwrap_or(ErrorCode::None);
            gone.extend(found.ok());
            Left {
                member_id: leaver.member_id,
                instance_id: leaver.instance_id,
                error,
            }
        });
        let left = left.collect();
        gone.sort_unstable();
        gone.dedup();
        if !gone.is_empty() {
            tracing::info!(group = %self.id, members = gone.len(), "members leave the consumer group");
            self.drop_members(&gone, turn);
        }
        left
    }

    /// An administrator removes static members by their instance ids alone.
    fn classic_leaver(&self, leaver: &Leaver) -> Result<MemberId, ErrorCode> {
        let id: MemberId = match (leaver.member_id.as_str(), leaver.instance_id.as_deref()) {
            ("", Some(instance_id)) => self
                .instances
                .get(instance_id)
                .cloned()
                .ok_or(ErrorCode::UnknownMemberId)?,
            (id, instance_id) => self.member_of(id, instance_id).map(|_| id.into())?,
        };
        let is_classic = self
            .members
            .get(&id)
            .is_some_and(|member| member.about.classic.is_some());
        is_classic.then_some(id).ok_or(ErrorCode::UnknownMemberId)
    }
}

fn told(join: &Join, subscription: &Subscription) -> ConsumerMemberValue {
    ConsumerMemberValue {
        instance_id: join.sender.instance_id.clone(),
        rack_id: subscription.rack_id.clone(),
        client_id: join.client_id.clone(),
        client_host: join.client_host.clone(),
        topics: subscription.topics.clone(),
        regex: None,
        rebalance_timeout_ms: millis(join.rebalance_timeout),
        assignor: None,
        classic: Some(ClassicMemberValue {
            session_timeout_ms: millis(join.session_timeout),
            protocols: join.protocols.clone(),
        }),
    }
}

/// A classic member as one of a consumer group.
fn arrived(mover: Mover, generation: i32, turn: &Turn<'_>) -> Result<(MemberId, Member), DecodeError> {
    let subscription = Subscription::read(&mover.metadata)?;
    let assignment = read_assignment(&mover.assignment, turn.catalog)?;
    let dated = assignment.into_iter().map(|(topic, partitions)| {
        let partitions = partitions.into_iter().map(|index| (index, generation));
        (topic, partitions.collect())
    });
    let member = Member {
        about: ConsumerMemberValue {
            instance_id: mover.instance_id,
            rack_id: subscription.rack_id,
            client_id: mover.client_id,
            client_host: mover.client_host,
            topics: subscription.topics,
            regex: None,
            rebalance_timeout_ms: millis(mover.rebalance_timeout),
            assignor: None,
            classic: Some(ClassicMemberValue {
                session_timeout_ms: millis(mover.session_timeout),
                protocols: mover.protocols,
            }),
        },
        current: CurrentValue {
            epoch: generation,
            previous_epoch: generation,
            state: MemberState::Stable,
            assigned: dated.collect::<DatedAssignment>(),
            revoking: DatedAssignment::new(),
        },
        ..Member::default()
    };
    Ok((mover.id, member))
}

fn millis(duration: std::time::Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
