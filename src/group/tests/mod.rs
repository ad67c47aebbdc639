//! Coordinators by themselves: requests in, entries and replies out, on a clock of the test's own.

mod classic;
mod cluster;
mod consumer;
mod consumer_random;
mod limits;
mod migration;
mod offsets;
mod random;
mod shares;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::config::{BrokerConfig, GroupConfig};
use crate::model::{Effects, Entry, ErrorCode, ShardId, Ticket, TopicId};
use crate::rt::{Instant, Now};
use cluster::Cluster;

const DAY_MS: i64 = 86_400_000;

/// A coordinator, its log, the replies that came, and the time.
struct Rig {
    coordinator: GroupCoordinator,
    log: Vec<Entry>,
    cluster: Cluster,
    replies: BTreeMap<u64, GroupReply>,
    now_ms: i64,
    tickets: u64,
}

impl Rig {
    fn new() -> Rig {
        Rig::loaded(Vec::new(), 1_000)
    }

    /// A coordinator that finds this log.
    fn loaded(log: Vec<Entry>, now_ms: i64) -> Rig {
        Rig::with(config(), log, now_ms)
    }

    fn with(config: GroupConfig, log: Vec<Entry>, now_ms: i64) -> Rig {
        Rig::within(Cluster::default(), config, log, now_ms)
    }

    fn within(cluster: Cluster, config: GroupConfig, log: Vec<Entry>, now_ms: i64) -> Rig {
        let mut coordinator = GroupCoordinator::new(config, Arc::new(cluster.clone()));
        for entry in &log {
            coordinator.replay(&entry.key, entry.value.as_ref(), None);
        }
        let mut rig = Rig {
            coordinator,
            log,
            cluster,
            replies: BTreeMap::new(),
            now_ms,
            tickets: 0,
        };
        let effects = rig.coordinator.on_loaded(rig.now());
        assert_eq!(effects, Effects::default());
        rig
    }

    /// What another process would make of this log.
    fn reloaded(&self) -> Rig {
        let config = self.coordinator.config.clone();
        Rig::within(self.cluster.clone(), config, self.log.clone(), self.now_ms)
    }

    fn now(&self) -> Now {
        Now {
            instant: Instant(self.now_ms as u64 * 1_000_000),
            wall_ms: self.now_ms,
        }
    }

    fn take(&mut self, effects: Effects<GroupReply>) {
        self.log.extend(effects.entries);
        for (ticket, reply) in effects.replies {
            let known = self.replies.insert(ticket.request, reply);
            assert_eq!(known, None, "a request is answered once");
        }
    }

    /// Puts the request; its reply comes now or later.
    fn put(&mut self, request: GroupRequest) -> u64 {
        self.tickets += 1;
        let ticket = Ticket {
            shard: ShardId(0),
            request: self.tickets,
        };
        let effects = self.coordinator.handle(ticket, request, self.now());
        self.take(effects);
        self.tickets
    }

    /// A request that is answered at once.
    fn ask(&mut self, request: GroupRequest) -> GroupReply {
        let ticket = self.put(request);
        self.replies.remove(&ticket).expect("it is answered at once")
    }

    /// Lets the time pass, deadline by deadline.
    fn pass(&mut self, ms: i64) {
        let end_ms = self.now_ms + ms;
        while let Some(next) = self.coordinator.next_time() {
            let next_ms = next.0.div_ceil(1_000_000) as i64;
            if next_ms > end_ms {
                break;
            }
            self.now_ms = self.now_ms.max(next_ms);
            let effects = self.coordinator.on_time(self.now());
            self.take(effects);
        }
        self.now_ms = end_ms;
    }

    fn commit(&mut self, group: &str, partition: i32, offset: i64) -> Result<Vec<ErrorCode>, ErrorCode> {
        self.commit_as(commit(group, vec![item("t", partition, offset)]))
    }

    fn commit_as(&mut self, commit: CommitOffsets) -> Result<Vec<ErrorCode>, ErrorCode> {
        match self.ask(GroupRequest::CommitOffsets(commit)) {
            GroupReply::Committed(result) => result,
            other => panic!("{other:?}"),
        }
    }

    fn fetch(&mut self, group: &str, partitions: Option<&[i32]>) -> Vec<(i32, i64)> {
        let fetched = self.fetch_stable(group, partitions, false);
        fetched.iter().map(|one| (one.partition, one.offset)).collect()
    }

    fn fetch_stable(&mut self, group: &str, partitions: Option<&[i32]>, require_stable: bool) -> Vec<FetchedOffset> {
        let partitions = partitions.map(|of| of.iter().map(|index| (Arc::from("t"), *index)).collect());
        let fetch = FetchOffsets {
            group: group.into(),
            sender: Sender::nobody(),
            partitions,
            require_stable,
        };
        match self.ask(GroupRequest::FetchOffsets(fetch)) {
            GroupReply::Fetched(result) => result.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn joined(&mut self, ticket: u64) -> JoinReply {
        match self.replies.remove(&ticket) {
            Some(GroupReply::Joined(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn synced(&mut self, ticket: u64) -> SyncReply {
        match self.replies.remove(&ticket) {
            Some(GroupReply::Synced(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn sync(&mut self, member: &str, generation: i32, assignments: &[(&str, &str)]) -> u64 {
        let assignments = assignments.iter();
        let assignments = assignments.map(|(id, part)| (id.to_string(), Bytes::copy_from_slice(part.as_bytes())));
        self.put(GroupRequest::Sync(Sync {
            group: "g".into(),
            sender: sender(member, None, generation),
            protocol_type: Some("consumer".into()),
            protocol: None,
            assignments: assignments.collect(),
        }))
    }

    fn heartbeat(&mut self, member: &str, generation: i32) -> ErrorCode {
        let heartbeat = Heartbeat {
            group: "g".into(),
            sender: sender(member, None, generation),
        };
        match self.ask(GroupRequest::Heartbeat(heartbeat)) {
            GroupReply::Heard(error) => error,
            other => panic!("{other:?}"),
        }
    }

    fn leave(&mut self, leaver: Leaver) -> ErrorCode {
        let leave = Leave {
            group: "g".into(),
            leavers: vec![leaver],
        };
        match self.ask(GroupRequest::Leave(leave)) {
            GroupReply::Left(left) => left.unwrap()[0].error,
            other => panic!("{other:?}"),
        }
    }

    fn describe(&mut self) -> Option<DescribedGroup> {
        match self.ask(GroupRequest::Describe("g".into())) {
            GroupReply::Described(described) => described,
            other => panic!("{other:?}"),
        }
    }

    fn state(&mut self) -> &'static str {
        self.describe().map_or("none", |group| group.state)
    }

    /// A stable group of these new members, in the order of their joins: their ids, and the generation.
    fn stable(&mut self, fresh_ids: &[&str]) -> i32 {
        let tickets: Vec<u64> = fresh_ids.iter().map(|id| self.put(join(id))).collect();
        self.pass(3_000);
        while self.state() == "PreparingRebalance" {
            self.pass(3_000);
        }
        let replies: Vec<JoinReply> = tickets.iter().map(|ticket| self.joined(*ticket)).collect();
        self.settle(&replies)
    }

    /// Syncs everyone who has joined, the leader last.
    fn settle(&mut self, replies: &[JoinReply]) -> i32 {
        let generation = replies[0].generation;
        let leader = replies[0].leader.clone();
        let followers: Vec<u64> = replies
            .iter()
            .filter(|reply| reply.member_id != leader)
            .map(|reply| self.sync(&reply.member_id, generation, &[]))
            .collect();
        let assignments: Vec<_> = replies
            .iter()
            .map(|reply| (reply.member_id.as_str(), reply.member_id.as_str()))
            .collect();
        let last = self.sync(&leader, generation, &assignments);
        for ticket in followers.into_iter().chain([last]) {
            assert_eq!(self.synced(ticket).error, ErrorCode::None);
        }
        assert_eq!(self.state(), "Stable");
        generation
    }
}

fn config() -> GroupConfig {
    BrokerConfig::embedded(std::path::Path::new("/nowhere")).groups
}

fn sender(member_id: &str, instance_id: Option<&str>, epoch: i32) -> Sender {
    Sender {
        member_id: member_id.into(),
        instance_id: instance_id.map(str::to_owned),
        epoch,
    }
}

/// A join of a new member, in the version that gives it an id at once: this one.
fn new_join(fresh_id: &str) -> Join {
    Join {
        group: "g".into(),
        sender: sender("", None, -1),
        version: 3,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        fresh_member_id: fresh_id.into(),
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_secs(60),
        protocol_type: "consumer".into(),
        protocols: vec![protocol("range", &["t"])],
        reason: None,
    }
}

fn join(fresh_id: &str) -> GroupRequest {
    GroupRequest::Join(new_join(fresh_id))
}

/// A join of one that has been a member.
fn rejoin(id: &str) -> Join {
    Join {
        sender: sender(id, None, -1),
        ..new_join("unused")
    }
}

fn static_join(instance: &str, fresh_id: &str, version: i16) -> Join {
    Join {
        sender: sender("", Some(instance), -1),
        version,
        ..new_join(fresh_id)
    }
}

/// The consumer protocol's subscription to these topics.
fn protocol(name: &str, topics: &[&str]) -> Protocol {
    let mut metadata = vec![0, 1, 0, 0, 0, topics.len() as u8];
    for topic in topics {
        metadata.extend([0, topic.len() as u8]);
        metadata.extend(topic.as_bytes());
    }
    metadata.extend([0xff; 4]);
    Protocol {
        name: name.into(),
        metadata: metadata.into(),
    }
}

fn commit(group: &str, items: Vec<CommitItem>) -> CommitOffsets {
    CommitOffsets {
        group: group.into(),
        sender: Sender {
            epoch: -1,
            ..Sender::default()
        },
        version: 8,
        retention_ms: None,
        producer: None,
        items,
    }
}

fn item(topic: &str, partition: i32, offset: i64) -> CommitItem {
    CommitItem {
        topic: topic.into(),
        topic_id: TopicId([1; 16]),
        partition,
        offset,
        leader_epoch: 3,
        metadata: format!("note {offset}"),
    }
}
