//! What the tool asks the brokers, each question put into the words of the command line.

use std::collections::BTreeMap;

use anyhow::Context;

use super::Named;
use crate::cli::consumer_groups::list_groups;
use crate::client::{ClientError, Cluster, with_coordinator};
use crate::model::{BrokerId, ErrorCode};
use crate::wire::messages::*;

/// ListGroups' word for the groups that this tool is about.
const SHARE: &str = "share";

pub(super) struct Described {
    pub(super) state: String,
    pub(super) epoch: i32,
    pub(super) assignment_epoch: i32,
    pub(super) coordinator: (BrokerId, String),
    pub(super) members: Vec<Member>,
}

pub(super) struct Member {
    pub(super) id: String,
    pub(super) host: String,
    pub(super) client_id: String,
    pub(super) epoch: i32,
    pub(super) partitions: BTreeMap<String, Vec<i32>>,
}

/// A partition's row; `None` where nothing is known.
pub(super) struct Offset {
    pub(super) named: Named,
    pub(super) start: Option<i64>,
    pub(super) leader_epoch: i32,
    pub(super) lag: Option<i64>,
}

/// Ids and states, by id.
pub(super) fn list(cluster: &mut Cluster, states: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let listed = list_groups(cluster, states, &[SHARE.to_owned()])?;
    Ok(listed.into_iter().map(|group| (group.id, group.state)).collect())
}

/// None: there is no such share group.
pub(super) fn describe(cluster: &mut Cluster, group: &str) -> anyhow::Result<Option<Described>> {
    let request = ShareGroupDescribeRequestData::default().with_group_ids(vec![kafka_string(group)]);
    let code = |answer: &ShareGroupDescribeResponseData| answer.groups.first().map_or(0, |group| group.error_code);
    let (answer, coordinator) = with_coordinator(cluster, group, &request, code)?;
    let described = answer.groups.first().context("the answer names no group")?;
    match ErrorCode::from_code(described.error_code) {
        ErrorCode::GroupIdNotFound => return Ok(None),
        _ => ClientError::check(described.error_code, None)?,
    }
    Ok(Some(Described {
        state: text(&described.group_state),
        epoch: described.group_epoch,
        assignment_epoch: described.assignment_epoch,
        members: described.members.iter().map(member).collect(),
        coordinator: (coordinator, cluster.address_of(coordinator)),
    }))
}

fn member(member: &ShareGroupDescribedMember) -> Member {
    let topics = member.assignment.topic_partitions.iter();
    Member {
        id: text(&member.member_id),
        host: text(&member.client_host),
        client_id: text(&member.client_id),
        epoch: member.member_epoch,
        partitions: topics
            .map(|topic| (text(&topic.topic_name), topic.partitions.clone()))
            .collect(),
    }
}

/// Everything that is kept of the group, by topic and partition.
pub(super) fn offsets(cluster: &mut Cluster, group: &str) -> anyhow::Result<Vec<Offset>> {
    let asked = DescribeShareGroupOffsetsRequestGroup::default()
        .with_group_id(kafka_string(group))
        .with_topics(None);
    let request = DescribeShareGroupOffsetsRequestData::default().with_groups(vec![asked]);
    let code =
        |answer: &DescribeShareGroupOffsetsResponseData| answer.groups.first().map_or(0, |group| group.error_code);
    let (answer, _) = with_coordinator(cluster, group, &request, code)?;
    ClientError::check(code(&answer), None)?;
    let mut rows = Vec::new();
    for topic in answer.groups.iter().flat_map(|group| &group.topics) {
        let known = topic.partitions.iter().filter(|partition| partition.error_code == 0);
        rows.extend(known.map(|partition| Offset {
            named: (text(&topic.topic_name), partition.partition_index),
            start: Some(partition.start_offset).filter(|offset| *offset >= 0),
            leader_epoch: partition.leader_epoch,
            lag: Some(partition.lag).filter(|lag| *lag >= 0),
        }));
    }
    rows.sort_by(|one, other| one.named.cmp(&other.named));
    Ok(rows)
}

pub(super) fn alter(cluster: &mut Cluster, group: &str, offsets: &BTreeMap<Named, i64>) -> anyhow::Result<()> {
    let mut topics: BTreeMap<&str, Vec<AlterShareGroupOffsetsRequestPartition>> = BTreeMap::new();
    for ((topic, index), offset) in offsets {
        let partition = AlterShareGroupOffsetsRequestPartition::default()
            .with_partition_index(*index)
            .with_start_offset(*offset);
        topics.entry(topic).or_default().push(partition);
    }
    let topic = |(name, partitions): (&str, Vec<AlterShareGroupOffsetsRequestPartition>)| {
        AlterShareGroupOffsetsRequestTopic::default()
            .with_topic_name(kafka_string(name))
            .with_partitions(partitions)
    };
    let request = AlterShareGroupOffsetsRequestData::default()
        .with_group_id(kafka_string(group))
        .with_topics(topics.into_iter().map(topic).collect());
    let (answer, _) = with_coordinator(cluster, group, &request, |answer| answer.error_code)?;
    ClientError::check(answer.error_code, None)?;
    for partition in answer.responses.iter().flat_map(|topic| &topic.partitions) {
        ClientError::check(partition.error_code, None)?;
    }
    Ok(())
}

/// A code for each topic, or one for the group.
pub(super) fn delete_offsets(
    cluster: &mut Cluster,
    group: &str,
    topics: &[String],
) -> anyhow::Result<Result<Vec<(String, ErrorCode)>, ErrorCode>> {
    let topic = |name: &String| DeleteShareGroupOffsetsRequestTopic::default().with_topic_name(kafka_string(name));
    let request = DeleteShareGroupOffsetsRequestData::default()
        .with_group_id(kafka_string(group))
        .with_topics(topics.iter().map(topic).collect());
    let (answer, _) = with_coordinator(cluster, group, &request, |answer| answer.error_code)?;
    match ErrorCode::from_code(answer.error_code) {
        ErrorCode::None => {}
        error => return Ok(Err(error)),
    }
    let topics = answer.responses.iter();
    let topics = topics.map(|topic| (text(&topic.topic_name), ErrorCode::from_code(topic.error_code)));
    Ok(Ok(topics.collect()))
}
