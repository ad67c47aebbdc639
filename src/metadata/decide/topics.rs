//! CreateTopics and DeleteTopics.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{PARTITIONS_PER_REQUEST_MAX, Scratch, configs, duplicates, names, placement, refuse};
use crate::metadata::command::{CommandError, CreateTopic, CreatedTopic, DeleteTopic};
use crate::metadata::image::{Image, Topic};
use crate::metadata::record::{self, Record, Resource};
use crate::model::{BrokerId, ErrorCode, TopicId};

/// "As the broker's configuration says", of partitions and of the replication factor.
const DEFAULT: i32 = -1;

pub fn create(
    scratch: &mut Scratch<'_>,
    topics: &[CreateTopic],
) -> Result<Vec<Result<CreatedTopic, CommandError>>, CommandError> {
    check_total(&scratch.image, topics)?;
    let duplicates = duplicates(topics.iter().map(|topic| &topic.name));
    let mut ids = scratch.draw.topic_ids.iter().copied();
    let create_unless_duplicate = |topic: &CreateTopic| {
        if duplicates.contains(&topic.name) {
            return refuse(ErrorCode::InvalidRequest, "Duplicate topic name.");
        }
        match ids.next() {
            Some(id) => create_one(scratch, id, topic),
            None => refuse(ErrorCode::UnknownServerError, "No topic id was drawn."),
        }
    };
    Ok(topics.iter().map(create_unless_duplicate).collect())
}

fn check_total(image: &Image, topics: &[CreateTopic]) -> Result<(), CommandError> {
    let counted = |topic: &CreateTopic| match topic.partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len(),
        DEFAULT => usize::try_from(image.broker.num_partitions).unwrap_or(0),
        count => usize::try_from(count).unwrap_or(0),
    };
    match topics.iter().map(counted).sum::<usize>() {
        0..=PARTITIONS_PER_REQUEST_MAX => Ok(()),
        _ => refuse(
            ErrorCode::PolicyViolation,
            "Excessively large number of partitions per request.",
        ),
    }
}

fn create_one(scratch: &mut Scratch<'_>, id: TopicId, topic: &CreateTopic) -> Result<CreatedTopic, CommandError> {
    let image = &scratch.image;
    names::check(&topic.name)?;
    names::check_free(image, &topic.name)?;
    let overrides = configs::of_new_topic(&topic.configs)?;
    let assignments = if topic.assignments.is_empty() {
        place(scratch, topic)?
    } else {
        manual(image, topic)?
    };
    placement::check_room(image, &assignments)?;
    let created = CreatedTopic {
        id,
        partitions: assignments.len() as i32,
        replication_factor: assignments.first().map_or(0, Vec::len) as i16,
        configs: Arc::new(overrides),
    };
    push_topic(scratch, topic.name.clone(), &created, &assignments);
    Ok(created)
}

/// The replica lists of a topic that names numbers only.
fn place(scratch: &Scratch<'_>, topic: &CreateTopic) -> Result<Vec<Vec<BrokerId>>, CommandError> {
    let replication_factor = match i32::from(topic.replication_factor) {
        DEFAULT => scratch.image.broker.default_replication_factor,
        _ => topic.replication_factor,
    };
    let partitions = match topic.partitions {
        DEFAULT => scratch.image.broker.num_partitions,
        count => count,
    };
    if replication_factor <= 0 {
        let message = "Replication factor must be larger than 0, or -1 to use the default value.";
        return refuse(ErrorCode::InvalidReplicationFactor, message);
    }
    if partitions <= 0 {
        let message = "Number of partitions must be larger than 0, or -1 to use the default value.";
        return refuse(ErrorCode::InvalidPartitions, message);
    }
    let (count, factor) = (partitions as usize, replication_factor as usize);
    placement::assign(&scratch.image, 0, count, factor, scratch.draw.placement)
}

/// The replica lists that the request itself gives.
fn manual(image: &Image, topic: &CreateTopic) -> Result<Vec<Vec<BrokerId>>, CommandError> {
    let set_twice = |what: &str| {
        let message = format!("A manual partition assignment was specified, but {what} was not set to -1.");
        refuse(ErrorCode::InvalidRequest, message)
    };
    if i32::from(topic.replication_factor) != DEFAULT {
        return set_twice("replication factor");
    }
    if topic.partitions != DEFAULT {
        return set_twice("numPartitions");
    }
    let expected = topic.assignments.values().next().map_or(0, Vec::len);
    for (index, replicas) in &topic.assignments {
        placement::check_manual(image, *index, replicas, expected)?;
    }
    if !topic.assignments.keys().copied().eq(0..topic.assignments.len() as i32) {
        let message = "partitions should be a consecutive 0-based integer sequence";
        return refuse(ErrorCode::InvalidReplicaAssignment, message);
    }
    Ok(topic.assignments.values().cloned().collect())
}

fn push_topic(scratch: &mut Scratch<'_>, name: String, created: &CreatedTopic, assignments: &[Vec<BrokerId>]) {
    let id = created.id;
    scratch.push(Record::Topic(record::Topic { id: id.0, name }));
    for (key, value) in created.configs.as_ref() {
        let (resource, key, value) = (Resource::Topic(id.0), key.clone(), Some(value.clone()));
        scratch.push(Record::Config(record::Config { resource, key, value }));
    }
    for (index, replicas) in (0..).zip(assignments) {
        let state = placement::new_partition(&scratch.image, scratch.live, index, replicas);
        scratch.push(Record::Partition(record::Partition::new(id, &state)));
    }
}

pub fn delete(scratch: &mut Scratch<'_>, topics: &[DeleteTopic]) -> Vec<Result<(String, TopicId), CommandError>> {
    let mut mentions: BTreeMap<TopicId, usize> = BTreeMap::new();
    for topic in topics.iter().filter_map(|topic| find(&scratch.image, topic)) {
        *mentions.entry(topic.id).or_default() += 1;
    }
    let found: Vec<_> = topics
        .iter()
        .map(|topic| find(&scratch.image, topic).cloned())
        .collect();
    let delete_one = |(asked, found): (&DeleteTopic, Option<Arc<Topic>>)| {
        if !scratch.image.broker.delete_topic_enable {
            return refuse(ErrorCode::TopicDeletionDisabled, "Topic deletion is disabled.");
        }
        let Some(topic) = found else { return not_found(asked) };
        if mentions.get(&topic.id).is_some_and(|count| *count > 1) {
            let what = if matches!(asked, DeleteTopic::Name(_)) {
                "name"
            } else {
                "id"
            };
            return refuse(ErrorCode::InvalidRequest, format!("Duplicate topic {what}."));
        }
        scratch.push(Record::RemoveTopic(record::RemoveTopic { id: topic.id.0 }));
        Ok((topic.name.to_string(), topic.id))
    };
    topics.iter().zip(found).map(delete_one).collect()
}

fn find<'a>(image: &'a Image, topic: &DeleteTopic) -> Option<&'a Arc<Topic>> {
    match topic {
        DeleteTopic::Name(name) => image.topic(name),
        DeleteTopic::Id(id) => image.topic_by_id(id),
    }
}

fn not_found<T>(topic: &DeleteTopic) -> Result<T, CommandError> {
    match topic {
        DeleteTopic::Name(_) => refuse(
            ErrorCode::UnknownTopicOrPartition,
            "This server does not host this topic-partition.",
        ),
        DeleteTopic::Id(_) => refuse(ErrorCode::UnknownTopicId, "This server does not host this topic ID."),
    }
}
