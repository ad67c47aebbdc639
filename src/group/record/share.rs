//! The records of a share group.
//!
//! ```text
//!   group            epoch i32 │ metadata hash i64 (0: we compare the topics themselves)
//!   member           rack string? │ client id │ client host │ topics
//!   target epoch     epoch i32
//!   target           topic id, partitions …
//!   current          member epoch i32 │ previous epoch i32 │ state i8 (0: stable) │ topic id, partitions …
//! ```
//!
//! All values are of version 0, in the compact encoding.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{optional_text, text, versioned};
use crate::model::TopicId;
use crate::wire::primitives::{DecodeError, Reader, Writer};

const VERSION: i16 = 0;
/// Bytes of the smallest element of each list.
const TOPIC_BYTES_MIN: usize = 18;
const INDEX_BYTES: usize = 4;

type Partitions = BTreeMap<TopicId, BTreeSet<i32>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareGroupValue {
    pub epoch: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareMemberValue {
    pub rack: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub topics: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareAssignmentValue {
    pub partitions: Partitions,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareCurrentValue {
    pub epoch: i32,
    pub previous_epoch: i32,
    pub partitions: Partitions,
}

impl ShareGroupValue {
    pub fn read(bytes: &Bytes) -> Result<ShareGroupValue, DecodeError> {
        let rest = current(bytes)?;
        let epoch = Reader::new(&rest, true).i32()?;
        Ok(ShareGroupValue { epoch })
    }

    pub fn write(self) -> Bytes {
        let mut writer = begin(16);
        writer.i32(self.epoch);
        writer.i64(0);
        finish(writer)
    }
}

impl ShareMemberValue {
    pub fn read(bytes: &Bytes) -> Result<ShareMemberValue, DecodeError> {
        let rest = current(bytes)?;
        let mut reader = Reader::new(&rest, true);
        Ok(ShareMemberValue {
            rack: optional_text(reader.nullable_string()?),
            client_id: text(&reader.string()?),
            client_host: text(&reader.string()?),
            topics: reader.array(1, |reader| Ok(text(&reader.string()?)))?,
        })
    }

    pub fn write(&self) -> Bytes {
        let mut writer = begin(128);
        writer.nullable_string(self.rack.as_deref().map(str::as_bytes));
        writer.string(self.client_id.as_bytes());
        writer.string(self.client_host.as_bytes());
        writer.array(&self.topics, |writer, topic| writer.string(topic.as_bytes()));
        finish(writer)
    }
}

/// The value of the record of the target's epoch.
pub fn share_target_epoch(epoch: i32) -> Bytes {
    let mut writer = begin(8);
    writer.i32(epoch);
    finish(writer)
}

impl ShareAssignmentValue {
    pub fn read(bytes: &Bytes) -> Result<ShareAssignmentValue, DecodeError> {
        let rest = current(bytes)?;
        let partitions = read_partitions(&mut Reader::new(&rest, true))?;
        Ok(ShareAssignmentValue { partitions })
    }

    pub fn write(&self) -> Bytes {
        let mut writer = begin(64);
        write_partitions(&mut writer, &self.partitions);
        finish(writer)
    }
}

impl ShareCurrentValue {
    pub fn read(bytes: &Bytes) -> Result<ShareCurrentValue, DecodeError> {
        let rest = current(bytes)?;
        let mut reader = Reader::new(&rest, true);
        let (epoch, previous_epoch) = (reader.i32()?, reader.i32()?);
        reader.i8()?;
        Ok(ShareCurrentValue {
            epoch,
            previous_epoch,
            partitions: read_partitions(&mut reader)?,
        })
    }

    pub fn write(&self) -> Bytes {
        let mut writer = begin(64);
        writer.i32(self.epoch);
        writer.i32(self.previous_epoch);
        writer.i8(0);
        write_partitions(&mut writer, &self.partitions);
        finish(writer)
    }
}

fn current(bytes: &Bytes) -> Result<Bytes, DecodeError> {
    match versioned(bytes)? {
        (VERSION, rest) => Ok(rest),
        (other, _) => Err(DecodeError::Version(other)),
    }
}

fn begin(bytes: usize) -> Writer {
    let mut writer = Writer::new(true, bytes);
    writer.i16(VERSION);
    writer
}

fn finish(mut writer: Writer) -> Bytes {
    writer.no_tags();
    writer.into_bytes()
}

fn read_partitions(reader: &mut Reader<'_>) -> Result<Partitions, DecodeError> {
    let topics = reader.array(TOPIC_BYTES_MIN, |reader| {
        let id = TopicId(reader.uuid()?);
        let indexes = reader.array(INDEX_BYTES, |reader| reader.i32())?;
        reader.skip_tags()?;
        Ok((id, indexes.into_iter().collect()))
    })?;
    Ok(topics.into_iter().collect())
}

fn write_partitions(writer: &mut Writer, partitions: &Partitions) {
    let topics: Vec<(&TopicId, &BTreeSet<i32>)> = partitions.iter().collect();
    writer.array(&topics, |writer, (id, indexes)| {
        writer.uuid(id.0);
        let indexes: Vec<i32> = indexes.iter().copied().collect();
        writer.array(&indexes, |writer, index| writer.i32(*index));
        writer.no_tags();
    });
}
