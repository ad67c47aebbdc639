//! Membership in a group by the classic protocol: joins, shares out where it leads, says that it lives, commits, leaves.
//!
//! ```text
//!   Outside ──join──► Joining ──answer──► Syncing ──answer──► Inside ──heartbeat: the group rebalances──► Outside
//! ```
//!
//! One step at a time, by whoever polls: a join may be answered minutes later, so nobody waits for it here. The answers
//! come on a connection of their own, since a broker answers one request of a connection after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::assignment::{RANGE, Sharer, read_assignment, read_subscription, share_out};
use super::assignment::{write_assignment, write_subscription};
use super::{ClientError, Cluster, Connection, Request, coordinator};
use crate::model::ErrorCode;
use crate::rt::{Instant, now, tool};
use crate::wire::messages::*;

/// The protocol type of consumers.
const CONSUMER: &str = "consumer";
const NO_GENERATION: i32 = -1;
const RETRY_BACKOFF: Duration = Duration::from_millis(100);
/// How often in a row something may fail that passes before its error is shown: half a minute.
const FAILURES_MAX: usize = 300;
/// How often the leader looks whether the topics have as many partitions as were shared out.
const PARTITIONS_AGE_MAX: Duration = Duration::from_secs(300);

/// How a member presents itself; the defaults are those of Kafka's consumer.
#[derive(Clone, Debug)]
pub struct GroupSettings {
    pub group: String,
    /// Of a static member.
    pub instance_id: Option<String>,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    pub heartbeat_interval: Duration,
    /// How often it is committed what was read; `None`: never.
    pub commit_interval: Option<Duration>,
}

/// What has come of a step.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Not a member yet.
    Waiting,
    /// Of a new generation, with these partitions of the topic.
    Assigned(BTreeSet<i32>),
    /// Of the same generation as before.
    Steady,
    /// The group rebalances: the partitions are to be given up, and what was read of them can be committed now.
    Revoked,
    /// The group goes on without this member: others have its partitions already.
    Lost,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Outside,
    Joining,
    Syncing,
    Inside,
}

pub(super) struct Membership {
    settings: GroupSettings,
    topic: String,
    coordinator: Option<Connection>,
    phase: Phase,
    member_id: String,
    generation: i32,
    heartbeat_at: Instant,
    /// Of the leader: what was shared out, and when that is looked at again.
    shared_out: Option<(BTreeMap<String, usize>, Instant)>,
    failures: usize,
}

impl GroupSettings {
    pub fn new(group: &str) -> GroupSettings {
        GroupSettings {
            group: group.to_owned(),
            instance_id: None,
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(300),
            heartbeat_interval: Duration::from_secs(3),
            commit_interval: Some(Duration::from_secs(5)),
        }
    }
}

impl Membership {
    pub(super) fn new(settings: GroupSettings, topic: &str) -> Membership {
        Membership {
            settings,
            topic: topic.to_owned(),
            coordinator: None,
            phase: Phase::Outside,
            member_id: String::new(),
            generation: NO_GENERATION,
            heartbeat_at: now(),
            shared_out: None,
            failures: 0,
        }
    }

    /// Goes on as far as it can within `patience`.
    pub(super) fn step(&mut self, cluster: &mut Cluster, patience: Duration) -> Result<Step, ClientError> {
        let was_inside = self.phase == Phase::Inside;
        match self.advance(cluster, patience) {
            Ok(step) => {
                self.failures = 0;
                Ok(step)
            }
            Err(problem) => {
                self.recover(cluster, problem)?;
                Ok(match (was_inside, self.phase == Phase::Inside) {
                    (true, true) => Step::Steady,
                    (true, false) if self.generation == NO_GENERATION => Step::Lost,
                    (true, false) => Step::Revoked,
                    (false, _) => Step::Waiting,
                })
            }
        }
    }

    fn advance(&mut self, cluster: &mut Cluster, patience: Duration) -> Result<Step, ClientError> {
        let awaits = matches!(self.phase, Phase::Joining | Phase::Syncing);
        if awaits && !self.connection(cluster)?.is_answered_within(patience)? {
            return Ok(Step::Waiting);
        }
        match self.phase {
            Phase::Outside => self.ask_to_join(cluster),
            Phase::Joining => self.on_joined(cluster),
            Phase::Syncing => self.on_synced(cluster),
            Phase::Inside => self.stay(cluster),
        }
    }

    /// What passes is tried again; what tells that the membership is over makes it begin anew.
    fn recover(&mut self, cluster: &mut Cluster, problem: ClientError) -> Result<(), ClientError> {
        self.failures += 1;
        let passes = self.failures < FAILURES_MAX;
        match problem.code() {
            Some(ErrorCode::RebalanceInProgress) => self.phase = Phase::Outside,
            Some(ErrorCode::UnknownMemberId) => {
                self.member_id.clear();
                self.generation = NO_GENERATION;
                self.phase = Phase::Outside;
            }
            Some(ErrorCode::IllegalGeneration) => {
                self.generation = NO_GENERATION;
                self.phase = Phase::Outside;
            }
            _ if passes && (problem.is_passing() || problem.code().is_some_and(coordinator::is_elsewhere)) => {
                self.coordinator = None;
                cluster.forget_all();
                if self.phase != Phase::Inside {
                    self.phase = Phase::Outside;
                }
                tool::sleep(RETRY_BACKOFF);
            }
            _ => return Err(problem),
        }
        Ok(())
    }

    fn ask_to_join(&mut self, cluster: &mut Cluster) -> Result<Step, ClientError> {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(kafka_string(RANGE))
            .with_metadata(write_subscription(&[&self.topic]));
        let request = JoinGroupRequestData::default()
            .with_group_id(kafka_string(&self.settings.group))
            .with_session_timeout_ms(millis(self.settings.session_timeout))
            .with_rebalance_timeout_ms(millis(self.settings.rebalance_timeout))
            .with_member_id(kafka_string(&self.member_id))
            .with_group_instance_id(self.instance_id())
            .with_protocol_type(kafka_string(CONSUMER))
            .with_protocols(vec![protocol]);
        self.connection(cluster)?.send(&request)?;
        self.phase = Phase::Joining;
        Ok(Step::Waiting)
    }

    fn on_joined(&mut self, cluster: &mut Cluster) -> Result<Step, ClientError> {
        let answer = self.connection(cluster)?.receive::<JoinGroupRequestData>()?;
        self.phase = Phase::Outside;
        if ErrorCode::from_code(answer.error_code) == ErrorCode::MemberIdRequired {
            self.member_id = text(&answer.member_id);
            return self.ask_to_join(cluster);
        }
        ClientError::check(answer.error_code, None)?;
        self.member_id = text(&answer.member_id);
        self.generation = answer.generation_id;
        let leads = answer.leader == answer.member_id;
        let shares = match leads && !answer.skip_assignment {
            true => self.share_out(cluster, &answer.members)?,
            false => BTreeMap::new(),
        };
        let share = |(member_id, bytes): (String, bytes::Bytes)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(kafka_string(&member_id))
                .with_assignment(bytes)
        };
        let request = SyncGroupRequestData::default()
            .with_group_id(kafka_string(&self.settings.group))
            .with_generation_id(self.generation)
            .with_member_id(kafka_string(&self.member_id))
            .with_group_instance_id(self.instance_id())
            .with_protocol_type(Some(kafka_string(CONSUMER)))
            .with_protocol_name(Some(kafka_string(RANGE)))
            .with_assignments(shares.into_iter().map(share).collect());
        self.connection(cluster)?.send(&request)?;
        self.phase = Phase::Syncing;
        Ok(Step::Waiting)
    }

    /// The leader's task. A member whose subscription cannot be read gets nothing.
    fn share_out(
        &mut self,
        cluster: &mut Cluster,
        members: &[JoinGroupResponseMember],
    ) -> Result<BTreeMap<String, bytes::Bytes>, ClientError> {
        let sharer = |member: &JoinGroupResponseMember| Sharer {
            member_id: text(&member.member_id),
            instance_id: member.group_instance_id.as_ref().map(text),
            topics: read_subscription(&member.metadata).unwrap_or_default(),
        };
        let sharers: Vec<Sharer> = members.iter().map(sharer).collect();
        let topics: BTreeSet<String> = sharers.iter().flat_map(|sharer| sharer.topics.clone()).collect();
        let partitions = count_partitions(cluster, topics)?;
        let shares = share_out(sharers, &partitions);
        self.shared_out = Some((partitions, now().after(PARTITIONS_AGE_MAX)));
        Ok(shares
            .iter()
            .map(|(id, share)| (id.clone(), write_assignment(share)))
            .collect())
    }

    fn on_synced(&mut self, cluster: &mut Cluster) -> Result<Step, ClientError> {
        let answer = self.connection(cluster)?.receive::<SyncGroupRequestData>()?;
        self.phase = Phase::Outside;
        ClientError::check(answer.error_code, None)?;
        let mut assigned = read_assignment(&answer.assignment)?;
        self.phase = Phase::Inside;
        self.heartbeat_at = now().after(self.settings.heartbeat_interval);
        let own = assigned.remove(&self.topic).unwrap_or_default();
        Ok(Step::Assigned(own.into_iter().collect()))
    }

    fn stay(&mut self, cluster: &mut Cluster) -> Result<Step, ClientError> {
        if self.has_other_partitions(cluster)? {
            self.phase = Phase::Outside;
            return Ok(Step::Revoked);
        }
        if now() < self.heartbeat_at {
            return Ok(Step::Steady);
        }
        let request = HeartbeatRequestData::default()
            .with_group_id(kafka_string(&self.settings.group))
            .with_generation_id(self.generation)
            .with_member_id(kafka_string(&self.member_id))
            .with_group_instance_id(self.instance_id());
        let answer = self.connection(cluster)?.call(&request)?;
        ClientError::check(answer.error_code, None)?;
        self.heartbeat_at = now().after(self.settings.heartbeat_interval);
        Ok(Step::Steady)
    }

    /// Whether this is the leader and the topics have other partitions than were shared out.
    fn has_other_partitions(&mut self, cluster: &mut Cluster) -> Result<bool, ClientError> {
        let Some((known, look_at)) = &mut self.shared_out else {
            return Ok(false);
        };
        if now() < *look_at {
            return Ok(false);
        }
        *look_at = now().after(PARTITIONS_AGE_MAX);
        Ok(count_partitions(cluster, known.keys().cloned())? != *known)
    }

    /// What the group has committed of these partitions; the ones without are left out.
    pub(super) fn committed(
        &mut self,
        cluster: &mut Cluster,
        partitions: &BTreeSet<i32>,
    ) -> Result<BTreeMap<i32, i64>, ClientError> {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(kafka_string(&self.topic))
            .with_partition_indexes(partitions.iter().copied().collect());
        let request = OffsetFetchRequestData::default()
            .with_group_id(kafka_string(&self.settings.group))
            .with_topics(Some(vec![topic]))
            .with_require_stable(true);
        let of_partitions = |answer: &OffsetFetchResponseData| {
            let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            partitions
                .map(|one| one.error_code)
                .find(|code| *code != 0)
                .unwrap_or(0)
        };
        let first_error = |answer: &OffsetFetchResponseData| match answer.error_code {
            0 => of_partitions(answer),
            code => code,
        };
        let (answer, _) = coordinator::with_coordinator(cluster, &self.settings.group, &request, first_error)?;
        ClientError::check(first_error(&answer), None)?;
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let offsets = partitions.map(|one| (one.partition_index, one.committed_offset));
        Ok(offsets.filter(|(_, offset)| *offset >= 0).collect())
    }

    /// Commits as a member of the generation in which these offsets were read.
    pub(super) fn commit(&mut self, cluster: &mut Cluster, offsets: &BTreeMap<i32, i64>) -> Result<(), ClientError> {
        let partition = |(index, offset): (&i32, &i64)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(*index)
                .with_committed_offset(*offset)
                .with_committed_leader_epoch(-1)
                .with_committed_metadata(Some(kafka_string("")))
        };
        let topic = OffsetCommitRequestTopic::default()
            .with_name(kafka_string(&self.topic))
            .with_partitions(offsets.iter().map(partition).collect());
        let request = OffsetCommitRequestData::default()
            .with_group_id(kafka_string(&self.settings.group))
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(kafka_string(&self.member_id))
            .with_group_instance_id(self.instance_id())
            .with_retention_time_ms(-1)
            .with_topics(vec![topic]);
        let answer = self.ask(cluster, &request)?;
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let mut codes = partitions.map(|partition| partition.error_code);
        ClientError::check(codes.find(|code| *code != 0).unwrap_or(0), None)
    }

    /// A static member stays: it is expected back within its session timeout.
    pub(super) fn leave(&mut self, cluster: &mut Cluster) -> Result<(), ClientError> {
        if self.settings.instance_id.is_some() || self.member_id.is_empty() {
            return Ok(());
        }
        if self.phase != Phase::Inside {
            // A request is on its way there.
            self.coordinator = None;
        }
        let member = MemberIdentity::default()
            .with_member_id(kafka_string(&self.member_id))
            .with_reason(Some(kafka_string("the consumer is being closed")));
        let request = LeaveGroupRequestData::default()
            .with_group_id(kafka_string(&self.settings.group))
            .with_members(vec![member]);
        let answer = self.ask(cluster, &request)?;
        ClientError::check(answer.error_code, None)
    }

    /// A request and its answer; after a failure the next one looks for the coordinator anew.
    fn ask<R: Request>(&mut self, cluster: &mut Cluster, request: &R) -> Result<R::Response, ClientError> {
        let asked = self.connection(cluster).and_then(|connection| connection.call(request));
        if asked.is_err() {
            self.coordinator = None;
            cluster.forget_all();
        }
        asked
    }

    fn connection(&mut self, cluster: &mut Cluster) -> Result<&mut Connection, ClientError> {
        if self.coordinator.is_none() {
            let broker = coordinator::find(cluster, &self.settings.group)?;
            self.coordinator = Some(cluster.open(broker)?);
        }
        Ok(self.coordinator.as_mut().expect("it was just put there"))
    }

    fn instance_id(&self) -> Option<KafkaString> {
        self.settings.instance_id.as_deref().map(kafka_string)
    }
}

/// How many partitions each topic has; one that does not exist has none.
fn count_partitions(
    cluster: &mut Cluster,
    topics: impl IntoIterator<Item = String>,
) -> Result<BTreeMap<String, usize>, ClientError> {
    let mut counts = BTreeMap::new();
    for topic in topics {
        let count = match cluster.topic(&topic, false) {
            Ok(found) => found.leaders.len(),
            Err(problem) if problem.code() == Some(ErrorCode::UnknownTopicOrPartition) => 0,
            Err(problem) => return Err(problem),
        };
        counts.insert(topic, count);
    }
    Ok(counts)
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
