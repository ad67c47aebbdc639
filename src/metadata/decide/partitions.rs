//! CreatePartitions: topics only grow.

use super::{PARTITIONS_PER_REQUEST_MAX, Scratch, duplicates, placement, refuse};
use crate::metadata::command::{CommandError, NewPartitions};
use crate::metadata::image::{Image, Topic};
use crate::metadata::record::{self, Record};
use crate::model::{BrokerId, ErrorCode};

pub fn create(
    scratch: &mut Scratch<'_>,
    topics: &[NewPartitions],
) -> Result<Vec<Result<(), CommandError>>, CommandError> {
    check_total(&scratch.image, topics)?;
    let duplicates = duplicates(topics.iter().map(|topic| &topic.topic));
    let create_unless_duplicate = |topic: &NewPartitions| {
        if duplicates.contains(&topic.topic) {
            return refuse(ErrorCode::InvalidRequest, "Duplicate topic name.");
        }
        create_one(scratch, topic)
    };
    Ok(topics.iter().map(create_unless_duplicate).collect())
}

fn check_total(image: &Image, topics: &[NewPartitions]) -> Result<(), CommandError> {
    let added = |topic: &NewPartitions| {
        let known = image.topic(&topic.topic).map_or(0, |topic| topic.partitions.len());
        usize::try_from(topic.count).unwrap_or(0).saturating_sub(known)
    };
    match topics.iter().map(added).fold(0, usize::saturating_add) {
        0..=PARTITIONS_PER_REQUEST_MAX => Ok(()),
        _ => refuse(
            ErrorCode::PolicyViolation,
            "Excessively large number of partitions per request.",
        ),
    }
}

fn create_one(scratch: &mut Scratch<'_>, asked: &NewPartitions) -> Result<(), CommandError> {
    let image = &scratch.image;
    let Some(topic) = image.topic(&asked.topic).cloned() else {
        let message = "This server does not host this topic-partition.";
        return refuse(ErrorCode::UnknownTopicOrPartition, message);
    };
    let added = check_count(&topic, asked.count)?;
    let first = topic.partitions.len() as i32;
    let factor = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
    let assignments = match &asked.assignments {
        Some(assignments) => manual(image, first, added, factor, assignments)?,
        None => placement::assign(image, first, added, factor, scratch.draw.placement)?,
    };
    placement::check_room(image, &assignments)?;
    for (index, replicas) in (first..).zip(&assignments) {
        let state = placement::new_partition(&scratch.image, scratch.live, index, replicas);
        scratch.push(Record::Partition(record::Partition::new(topic.id, &state)));
    }
    Ok(())
}

//= behaviour 67: a count that is no increase → INVALID_PARTITIONS
fn check_count(topic: &Topic, count: i32) -> Result<usize, CommandError> {
    let known = topic.partitions.len();
    match usize::try_from(count).ok().and_then(|count| count.checked_sub(known)) {
        Some(0) => refuse(
            ErrorCode::InvalidPartitions,
            format!("Topic already has {known} partition(s)."),
        ),
        Some(added) => Ok(added),
        None => {
            let name = &topic.name;
            let message =
                format!("The topic {name} currently has {known} partition(s); {count} would not be an increase.");
            refuse(ErrorCode::InvalidPartitions, message)
        }
    }
}

fn manual(
    image: &Image,
    first: i32,
    added: usize,
    factor: usize,
    assignments: &[Vec<BrokerId>],
) -> Result<Vec<Vec<BrokerId>>, CommandError> {
    if assignments.len() != added {
        let message = format!(
            "Attempted to add {added} additional partition(s), but only {} assignment(s) were specified.",
            assignments.len()
        );
        return refuse(ErrorCode::InvalidReplicaAssignment, message);
    }
    for (index, replicas) in (first..).zip(assignments) {
        placement::check_manual(image, index, replicas, factor)?;
    }
    Ok(assignments.to_vec())
}
