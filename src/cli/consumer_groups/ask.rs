//! What the tool asks the brokers, each question put into the words of the command line.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use bytes::Bytes;

use crate::client::{ClientError, Cluster, with_coordinator, with_coordinators_of};
use crate::model::{BrokerId, ErrorCode};
use crate::wire::messages::*;
use crate::wire::primitives::{DecodeError, Reader};

/// A partition by the name of its topic.
pub(in crate::cli) type Named = (String, i32);

pub(in crate::cli) struct Listed {
    pub(in crate::cli) id: String,
    pub(in crate::cli) state: String,
    pub(in crate::cli) kind: String,
    pub(in crate::cli) protocol_type: String,
}

pub(super) struct Described {
    pub(super) state: String,
    pub(super) assignor: String,
    pub(super) coordinator: (BrokerId, String),
    /// The group's and its assignment's, of a group of the consumer protocol.
    pub(super) epochs: Option<(i32, i32)>,
    pub(super) members: Vec<Member>,
}

pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance_id: Option<String>,
    pub(super) host: String,
    pub(super) client_id: String,
    pub(super) partitions: BTreeSet<Named>,
    /// Its epoch, and what it is to have, in a group of the consumer protocol.
    pub(super) target: Option<(i32, BTreeSet<Named>)>,
}

pub(in crate::cli) fn list(cluster: &mut Cluster, states: &[String], kinds: &[String]) -> anyhow::Result<Vec<Listed>> {
    let strings = |names: &[String]| names.iter().map(|name| kafka_string(name)).collect();
    let request = ListGroupsRequestData::default()
        .with_states_filter(strings(states))
        .with_types_filter(strings(kinds));
    let mut groups = Vec::new();
    for broker in cluster.brokers() {
        let answer = with_coordinators_of(cluster, broker, &request, |answer| answer.error_code)?;
        ClientError::check(answer.error_code, None)?;
        groups.extend(answer.groups.iter().map(|group| Listed {
            id: text(&group.group_id),
            state: text(&group.group_state),
            kind: text(&group.group_type),
            protocol_type: text(&group.protocol_type),
        }));
    }
    Ok(groups)
}

/// None: there is no such group.
pub(super) fn describe(cluster: &mut Cluster, group: &str) -> anyhow::Result<Option<Described>> {
    match describe_consumer(cluster, group)? {
        Some(described) => Ok(Some(described)),
        None => describe_classic(cluster, group),
    }
}

/// None: it is no group of the consumer protocol, or the broker does not speak that.
fn describe_consumer(cluster: &mut Cluster, group: &str) -> anyhow::Result<Option<Described>> {
    let request = ConsumerGroupDescribeRequestData::default().with_group_ids(vec![kafka_string(group)]);
    let asked = with_coordinator(cluster, group, &request, |answer| {
        answer.groups.first().map_or(0, |group| group.error_code)
    });
    let (answer, coordinator) = match asked {
        Ok(answered) => answered,
        Err(ClientError::Unsupported { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let described = answer.groups.first().context("the answer names no group")?;
    match ErrorCode::from_code(described.error_code) {
        ErrorCode::GroupIdNotFound | ErrorCode::UnsupportedVersion => return Ok(None),
        _ => ClientError::check(described.error_code, None)?,
    }
    let member = |member: &DescribedConsumerGroupMember| Member {
        id: text(&member.member_id),
        instance_id: member.instance_id.as_ref().map(text),
        host: text(&member.client_host),
        client_id: text(&member.client_id),
        partitions: named(&member.assignment),
        target: Some((member.member_epoch, named(&member.target_assignment))),
    };
    Ok(Some(Described {
        state: text(&described.group_state),
        assignor: text(&described.assignor_name),
        epochs: Some((described.group_epoch, described.assignment_epoch)),
        members: described.members.iter().map(member).collect(),
        coordinator: (coordinator, cluster.address_of(coordinator)),
    }))
}

fn named(assignment: &ConsumerGroupDescribeAssignment) -> BTreeSet<Named> {
    let topics = assignment.topic_partitions.iter();
    let of_topic = |topic: &ConsumerGroupDescribeTopicPartitions| {
        let name = text(&topic.topic_name);
        let indexes = topic.partitions.iter();
        indexes.map(|index| (name.clone(), *index)).collect::<Vec<_>>()
    };
    topics.flat_map(of_topic).collect()
}

fn describe_classic(cluster: &mut Cluster, group: &str) -> anyhow::Result<Option<Described>> {
    let request = DescribeGroupsRequestData::default().with_groups(vec![kafka_string(group)]);
    let (answer, coordinator) = with_coordinator(cluster, group, &request, |answer| {
        answer.groups.first().map_or(0, |group| group.error_code)
    })?;
    let described = answer.groups.first().context("the answer names no group")?;
    match ErrorCode::from_code(described.error_code) {
        ErrorCode::GroupIdNotFound => return Ok(None),
        _ => ClientError::check(described.error_code, None)?,
    }
    if described.group_state.as_str() == "Dead" {
        return Ok(None);
    }
    let member = |member: &DescribedGroupMember| Member {
        id: text(&member.member_id),
        instance_id: member.group_instance_id.as_ref().map(text),
        host: text(&member.client_host),
        client_id: text(&member.client_id),
        partitions: assignment(&member.member_assignment).unwrap_or_default(),
        target: None,
    };
    Ok(Some(Described {
        state: text(&described.group_state),
        assignor: text(&described.protocol_data),
        epochs: None,
        members: described.members.iter().map(member).collect(),
        coordinator: (coordinator, cluster.address_of(coordinator)),
    }))
}

/// //= the assignment of the consumer protocol, of any version: version i16, topics with their partitions
fn assignment(bytes: &Bytes) -> Result<BTreeSet<Named>, DecodeError> {
    let mut reader = Reader::new(bytes, false);
    reader.i16()?;
    let topics = reader.array(6, |reader| {
        let name = String::from_utf8_lossy(&reader.string()?).into_owned();
        Ok((name, reader.array(4, Reader::i32)?))
    })?;
    let named = |(topic, indexes): (String, Vec<i32>)| indexes.into_iter().map(move |index| (topic.clone(), index));
    Ok(topics.into_iter().flat_map(named).collect())
}

/// Everything that the group has committed.
pub(super) fn committed(cluster: &mut Cluster, group: &str) -> anyhow::Result<BTreeMap<Named, (i64, i32)>> {
    let request = OffsetFetchRequestData::default()
        .with_group_id(kafka_string(group))
        .with_topics(None);
    let (answer, _) = with_coordinator(cluster, group, &request, |answer| answer.error_code)?;
    ClientError::check(answer.error_code, None)?;
    let mut offsets = BTreeMap::new();
    for topic in &answer.topics {
        for partition in topic
            .partitions
            .iter()
            .filter(|partition| partition.committed_offset >= 0)
        {
            let named = (text(&topic.name), partition.partition_index);
            offsets.insert(named, (partition.committed_offset, partition.committed_leader_epoch));
        }
    }
    Ok(offsets)
}

pub(super) fn commit(cluster: &mut Cluster, group: &str, offsets: &BTreeMap<Named, i64>) -> anyhow::Result<()> {
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for ((topic, index), offset) in offsets {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(*index)
            .with_committed_offset(*offset)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(kafka_string("")));
        topics.entry(topic).or_default().push(partition);
    }
    let topic = |(name, partitions): (&str, Vec<OffsetCommitRequestPartition>)| {
        OffsetCommitRequestTopic::default()
            .with_name(kafka_string(name))
            .with_partitions(partitions)
    };
    let request = OffsetCommitRequestData::default()
        .with_group_id(kafka_string(group))
        .with_generation_id_or_member_epoch(-1)
        .with_retention_time_ms(-1)
        .with_topics(topics.into_iter().map(topic).collect());
    let first_error = |answer: &OffsetCommitResponseData| {
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        partitions
            .map(|partition| partition.error_code)
            .find(|code| *code != 0)
            .unwrap_or(0)
    };
    let (answer, _) = with_coordinator(cluster, group, &request, first_error)?;
    Ok(ClientError::check(first_error(&answer), None)?)
}

pub(in crate::cli) fn delete(cluster: &mut Cluster, group: &str) -> anyhow::Result<ErrorCode> {
    let request = DeleteGroupsRequestData::default().with_groups_names(vec![kafka_string(group)]);
    let code = |answer: &DeleteGroupsResponseData| answer.results.first().map_or(-1, |result| result.error_code);
    let (answer, _) = with_coordinator(cluster, group, &request, code)?;
    Ok(ErrorCode::from_code(code(&answer)))
}

pub(super) fn delete_offsets(
    cluster: &mut Cluster,
    group: &str,
    partitions: &[Named],
) -> anyhow::Result<Vec<(Named, ErrorCode)>> {
    let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
    for (topic, index) in partitions {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(*index);
        topics.entry(topic).or_default().push(partition);
    }
    let topic = |(name, partitions): (&str, Vec<OffsetDeleteRequestPartition>)| {
        OffsetDeleteRequestTopic::default()
            .with_name(kafka_string(name))
            .with_partitions(partitions)
    };
    let request = OffsetDeleteRequestData::default()
        .with_group_id(kafka_string(group))
        .with_topics(topics.into_iter().map(topic).collect());
    let (answer, _) = with_coordinator(cluster, group, &request, |answer| answer.error_code)?;
    ClientError::check(answer.error_code, None)?;
    let mut deleted = Vec::new();
    for topic in &answer.topics {
        for partition in &topic.partitions {
            let named = (text(&topic.name), partition.partition_index);
            deleted.push((named, ErrorCode::from_code(partition.error_code)));
        }
    }
    Ok(deleted)
}

/// What `--topic t` and `--topic t:0,1` name.
pub(in crate::cli) fn partitions(cluster: &mut Cluster, topics: &[String]) -> anyhow::Result<Vec<Named>> {
    let mut partitions = Vec::new();
    for written in topics {
        let (name, indexes) = match written.split_once(':') {
            Some((name, indexes)) => (name, Some(indexes)),
            None => (written.as_str(), None),
        };
        let indexes = match indexes {
            Some(indexes) => {
                let parsed: Result<Vec<i32>, _> = indexes.split(',').map(|index| index.trim().parse()).collect();
                parsed.with_context(|| format!("--topic {written}: partitions are numbers"))?
            }
            None => {
                let found = cluster.topic(name, false).with_context(|| format!("Topic '{name}'"))?;
                found.leaders.keys().copied().collect()
            }
        };
        partitions.extend(indexes.into_iter().map(|index| (name.to_owned(), index)));
    }
    if partitions.is_empty() {
        bail!("Missing required argument \"[topic]\"");
    }
    Ok(partitions)
}

/// The offsets at a time (or -1: the end, -2: the start) of partitions; the ones without an offset there are left out.
pub(in crate::cli) fn offsets_at(
    cluster: &mut Cluster,
    partitions: impl IntoIterator<Item = Named>,
    timestamp: i64,
) -> anyhow::Result<BTreeMap<Named, i64>> {
    let mut by_topic: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (topic, index) in partitions {
        by_topic.entry(topic).or_default().push(index);
    }
    let mut found = BTreeMap::new();
    for (topic, indexes) in by_topic {
        let Ok(leaders) = cluster.topic(&topic, false) else {
            continue;
        };
        for index in indexes {
            let Some(Some(leader)) = leaders.leaders.get(&index) else {
                continue;
            };
            let partition = ListOffsetsPartition::default()
                .with_partition_index(index)
                .with_current_leader_epoch(-1)
                .with_timestamp(timestamp);
            let asked = ListOffsetsTopic::default()
                .with_name(kafka_string(&topic))
                .with_partitions(vec![partition]);
            let request = ListOffsetsRequestData::default()
                .with_replica_id(-1)
                .with_topics(vec![asked]);
            let answer = cluster.broker(*leader)?.call(&request)?;
            let partition = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
            let partition = partition.context("the answer names no partition")?;
            ClientError::check(partition.error_code, None)?;
            if partition.offset >= 0 {
                found.insert((topic.clone(), index), partition.offset);
            }
        }
    }
    Ok(found)
}
