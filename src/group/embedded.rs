//! What members of the classic protocol say to each other if they are consumers, and the coordinator understands too.
//!
//! ```text
//!   subscription   version i16 │ topics [string] │ user data bytes? │ from 1 on: owned [topic string │ partitions [i32]]
//!                  │ from 2 on: generation i32 │ from 3 on: rack string?
//!   assignment     version i16 │ [topic string │ partitions [i32]] │ user data bytes?
//! ```

use std::collections::BTreeSet;

use bytes::Bytes;

use super::catalog::Catalog;
use super::record::Assignment;
use crate::wire::primitives::{DecodeError, Reader, Writer};

/// Bytes of the shortest topic name, and of the shortest topic with partitions.
const NAME_BYTES_MIN: usize = 2;
const TOPIC_BYTES_MIN: usize = 6;
const PARTITION_BYTES: usize = 4;
/// No user data.
const NO_BYTES: i32 = -1;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) topics: BTreeSet<String>,
    /// Topics with partitions that the member has.
    owned: Vec<(String, Vec<i32>)>,
    pub(super) rack_id: Option<String>,
}

impl Subscription {
    pub(super) fn read(bytes: &Bytes) -> Result<Subscription, DecodeError> {
        let mut reader = Reader::new(bytes, false);
        let version = reader.i16()?;
        let mut subscription = Subscription {
            topics: reader.array(NAME_BYTES_MIN, name)?.into_iter().collect(),
            ..Subscription::default()
        };
        reader.nullable_bytes()?;
        if version >= 1 {
            subscription.owned = reader.array(TOPIC_BYTES_MIN, topic)?;
        }
        if version >= 2 {
            reader.i32()?;
        }
        if version >= 3 {
            let rack_id = reader.nullable_string()?;
            subscription.rack_id = rack_id.map(|rack_id| String::from_utf8_lossy(&rack_id).into_owned());
        }
        Ok(subscription)
    }

    pub(super) fn owned(&self, catalog: &dyn Catalog) -> Assignment {
        identified(&self.owned, catalog)
    }
}

/// What a member was assigned, as far as there are such topics. Nothing at all is no assignment yet.
pub(super) fn read_assignment(bytes: &Bytes, catalog: &dyn Catalog) -> Result<Assignment, DecodeError> {
    if bytes.is_empty() {
        return Ok(Assignment::new());
    }
    let mut reader = Reader::new(bytes, false);
    reader.i16()?;
    let topics = reader.array(TOPIC_BYTES_MIN, topic)?;
    Ok(identified(&topics, catalog))
}

/// In the version that the member's `metadata` is written in.
pub(super) fn write_assignment(assignment: &Assignment, metadata: &Bytes, catalog: &dyn Catalog) -> Bytes {
    let version = Reader::new(metadata, false).i16().unwrap_or(0);
    let topics = assignment.iter().filter_map(|(id, partitions)| {
        let partitions: Vec<i32> = partitions.iter().copied().collect();
        Some((catalog.name_of(id)?, partitions))
    });
    let topics: Vec<_> = topics.collect();
    let mut writer = Writer::new(false, 64);
    writer.i16(version);
    writer.array(&topics, |writer, (name, partitions)| {
        writer.string(name.as_bytes());
        writer.array(partitions, |writer, index| writer.i32(*index));
    });
    writer.i32(NO_BYTES);
    writer.into_bytes()
}

fn identified(topics: &[(String, Vec<i32>)], catalog: &dyn Catalog) -> Assignment {
    let mut assignment = Assignment::new();
    for (name, partitions) in topics {
        if let Some(topic) = catalog.topic(name)
            && !partitions.is_empty()
        {
            assignment.entry(topic.id).or_default().extend(partitions);
        }
    }
    assignment
}

fn name(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    Ok(String::from_utf8_lossy(&reader.string()?).into_owned())
}

fn topic(reader: &mut Reader<'_>) -> Result<(String, Vec<i32>), DecodeError> {
    Ok((name(reader)?, reader.array(PARTITION_BYTES, Reader::i32)?))
}
