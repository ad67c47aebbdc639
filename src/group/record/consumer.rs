//! A consumer group: its epochs, its members, and what each of them is to have and has. One record each, so that a
//! heartbeat writes only what it changes. All values are of version 0, in the compact encoding.
//!
//! ```text
//!   group          epoch i32 │ tag 0: hash of the topics that are read i64
//!   member         instance id string? │ rack string? │ client id string │ client host string │ topics [string]
//!                  │ regular expression string? │ rebalance timeout i32 │ assignor string?
//!                  │ tag 0, of members that speak the classic protocol: 1 varint │ session timeout i32
//!                  │        protocols [name string │ metadata bytes]
//!   target epoch   epoch i32 │ tag 0: when it was assigned i64
//!   target         topics [id uuid │ partitions [i32]]
//!   current        epoch i32 │ the one before i32 │ state i8 │ assigned [topic] │ to be given up [topic]
//!                  topic: id uuid │ partitions [i32] │ tag 0: the epochs that each was assigned in [i32]?
//!   expression     topics that it matches [string] │ version of the metadata i64 │ when it was looked for i64
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::{optional_text, text, versioned};
use crate::group::request::Protocol;
use crate::model::TopicId;
use crate::wire::primitives::{DecodeError, Reader, Writer, tag_field};

const VERSION: i16 = 0;
/// The one tag of every value that has any.
const TAG: u32 = 0;
/// Bytes of the shortest element of an array of topics, and of protocols.
const TOPIC_BYTES_MIN: usize = 18;
const PROTOCOL_BYTES_MIN: usize = 3;
const PARTITION_BYTES: usize = 4;

/// Partitions, by their topics.
pub type Assignment = BTreeMap<TopicId, BTreeSet<i32>>;
/// Partitions, by their topics, with the epochs in which they were assigned.
pub type DatedAssignment = BTreeMap<TopicId, BTreeMap<i32, i32>>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EpochValue {
    pub epoch: i32,
    /// Of the topics that the group reads; 0: not known.
    pub topics_hash: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerMemberValue {
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub topics: BTreeSet<String>,
    pub regex: Option<String>,
    pub rebalance_timeout_ms: i32,
    pub assignor: Option<String>,
    /// Of a member that speaks the classic protocol.
    pub classic: Option<ClassicMemberValue>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicMemberValue {
    pub session_timeout_ms: i32,
    /// In the member's order of preference.
    pub protocols: Vec<Protocol>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetEpochValue {
    pub epoch: i32,
    /// 0: not known
    pub assigned_ms: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CurrentValue {
    pub epoch: i32,
    pub previous_epoch: i32,
    pub state: MemberState,
    pub assigned: DatedAssignment,
    pub revoking: DatedAssignment,
}

/// How far a member is on its way from what it has to what it is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberState {
    /// It has what it is to have.
    #[default]
    Stable,
    /// It stays in its epoch until it has given up some partitions.
    UnrevokedPartitions,
    /// It is in the new epoch, and waits for partitions that others have not given up.
    UnreleasedPartitions,
    /// One that a later version may have written.
    Unknown,
}

impl MemberState {
    fn of_number(number: i8) -> MemberState {
        match number {
            0 => MemberState::Stable,
            1 => MemberState::UnrevokedPartitions,
            2 => MemberState::UnreleasedPartitions,
            _ => MemberState::Unknown,
        }
    }

    fn number(self) -> i8 {
        match self {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
            MemberState::Unknown => i8::MAX,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegexValue {
    pub topics: BTreeSet<String>,
    pub version: i64,
    pub resolved_ms: i64,
}

impl EpochValue {
    pub fn read(bytes: &Bytes) -> Result<EpochValue, DecodeError> {
        let rest = body(bytes)?;
        let mut reader = Reader::new(&rest, true);
        let mut value = EpochValue {
            epoch: reader.i32()?,
            topics_hash: 0,
        };
        reader.tags(|tag, field| {
            if tag == TAG {
                value.topics_hash = field.i64()?;
            }
            Ok(())
        })?;
        Ok(value)
    }

    pub fn write(&self) -> Bytes {
        let mut writer = begin(32);
        writer.i32(self.epoch);
        end(writer, self.topics_hash != 0, |field| field.i64(self.topics_hash))
    }
}

impl ConsumerMemberValue {
    pub fn read(bytes: &Bytes) -> Result<ConsumerMemberValue, DecodeError> {
        let rest = body(bytes)?;
        let mut reader = Reader::new(&rest, true);
        let mut value = ConsumerMemberValue {
            instance_id: optional_text(reader.nullable_string()?),
            rack_id: optional_text(reader.nullable_string()?),
            client_id: text(&reader.string()?),
            client_host: text(&reader.string()?),
            topics: names(&mut reader)?,
            regex: optional_text(reader.nullable_string()?).filter(|regex| !regex.is_empty()),
            rebalance_timeout_ms: reader.i32()?,
            assignor: optional_text(reader.nullable_string()?),
            classic: None,
        };
        reader.tags(|tag, field| {
            if tag == TAG && field.varint()? == 1 {
                value.classic = Some(ClassicMemberValue::read(field)?);
            }
            Ok(())
        })?;
        Ok(value)
    }

    pub fn write(&self) -> Bytes {
        let mut writer = begin(256);
        writer.nullable_string(self.instance_id.as_deref().map(str::as_bytes));
        writer.nullable_string(self.rack_id.as_deref().map(str::as_bytes));
        writer.string(self.client_id.as_bytes());
        writer.string(self.client_host.as_bytes());
        write_names(&mut writer, &self.topics);
        // No expression is an empty one, as Kafka writes it.
        writer.string(self.regex.as_deref().unwrap_or_default().as_bytes());
        writer.i32(self.rebalance_timeout_ms);
        writer.nullable_string(self.assignor.as_deref().map(str::as_bytes));
        end(writer, self.classic.is_some(), |field| {
            if let Some(classic) = &self.classic {
                classic.write(field);
            }
        })
    }
}

impl ClassicMemberValue {
    pub fn session_timeout(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.session_timeout_ms).unwrap_or(0))
    }

    pub fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|supported| supported.name == protocol)
    }

    fn read(reader: &mut Reader<'_>) -> Result<ClassicMemberValue, DecodeError> {
        let protocol = |reader: &mut Reader<'_>| {
            let protocol = Protocol {
                name: text(&reader.string()?),
                metadata: Bytes::copy_from_slice(&reader.bytes()?),
            };
            reader.skip_tags()?;
            Ok(protocol)
        };
        let value = ClassicMemberValue {
            session_timeout_ms: reader.i32()?,
            protocols: reader.array(PROTOCOL_BYTES_MIN, protocol)?,
        };
        reader.skip_tags()?;
        Ok(value)
    }

    fn write(&self, writer: &mut Writer) {
        // It is there.
        writer.i8(1);
        writer.i32(self.session_timeout_ms);
        writer.array(&self.protocols, |writer, protocol| {
            writer.string(protocol.name.as_bytes());
            writer.bytes(&protocol.metadata);
            writer.no_tags();
        });
        writer.no_tags();
    }
}

impl TargetEpochValue {
    pub fn read(bytes: &Bytes) -> Result<TargetEpochValue, DecodeError> {
        let rest = body(bytes)?;
        let mut reader = Reader::new(&rest, true);
        let mut value = TargetEpochValue {
            epoch: reader.i32()?,
            assigned_ms: 0,
        };
        reader.tags(|tag, field| {
            if tag == TAG {
                value.assigned_ms = field.i64()?;
            }
            Ok(())
        })?;
        Ok(value)
    }

    pub fn write(&self) -> Bytes {
        let mut writer = begin(32);
        writer.i32(self.epoch);
        end(writer, self.assigned_ms != 0, |field| field.i64(self.assigned_ms))
    }
}

pub fn read_target(bytes: &Bytes) -> Result<Assignment, DecodeError> {
    let rest = body(bytes)?;
    let mut reader = Reader::new(&rest, true);
    let topic = |reader: &mut Reader<'_>| {
        let topic = TopicId(reader.uuid()?);
        let partitions = reader.array(PARTITION_BYTES, Reader::i32)?;
        reader.skip_tags()?;
        Ok((topic, partitions.into_iter().collect()))
    };
    let topics: Vec<_> = reader.array(TOPIC_BYTES_MIN, topic)?;
    Ok(topics.into_iter().collect())
}

pub fn write_target(target: &Assignment) -> Bytes {
    let mut writer = begin(64);
    let topics: Vec<_> = target.iter().collect();
    writer.array(&topics, |writer, (topic, partitions)| {
        writer.uuid(topic.0);
        let partitions: Vec<i32> = partitions.iter().copied().collect();
        writer.array(&partitions, |writer, partition| writer.i32(*partition));
        writer.no_tags();
    });
    end(writer, false, |_| {})
}

impl CurrentValue {
    pub fn read(bytes: &Bytes) -> Result<CurrentValue, DecodeError> {
        let rest = body(bytes)?;
        let mut reader = Reader::new(&rest, true);
        let epoch = reader.i32()?;
        Ok(CurrentValue {
            epoch,
            previous_epoch: reader.i32()?,
            state: MemberState::of_number(reader.i8()?),
            assigned: read_dated(&mut reader, epoch)?,
            revoking: read_dated(&mut reader, epoch)?,
        })
    }

    pub fn write(&self) -> Bytes {
        let mut writer = begin(128);
        writer.i32(self.epoch);
        writer.i32(self.previous_epoch);
        writer.i8(self.state.number());
        write_dated(&mut writer, &self.assigned);
        write_dated(&mut writer, &self.revoking);
        end(writer, false, |_| {})
    }
}

impl RegexValue {
    pub fn read(bytes: &Bytes) -> Result<RegexValue, DecodeError> {
        let rest = body(bytes)?;
        let mut reader = Reader::new(&rest, true);
        Ok(RegexValue {
            topics: names(&mut reader)?,
            version: reader.i64()?,
            resolved_ms: reader.i64()?,
        })
    }

    pub fn write(&self) -> Bytes {
        let mut writer = begin(128);
        write_names(&mut writer, &self.topics);
        writer.i64(self.version);
        writer.i64(self.resolved_ms);
        end(writer, false, |_| {})
    }
}

/// Older records do not say when the partitions were assigned: not before `epoch`, as far as anybody knows.
fn read_dated(reader: &mut Reader<'_>, epoch: i32) -> Result<DatedAssignment, DecodeError> {
    let topic = |reader: &mut Reader<'_>| {
        let topic = TopicId(reader.uuid()?);
        let partitions = reader.array(PARTITION_BYTES, Reader::i32)?;
        let mut epochs = None;
        reader.tags(|tag, field| {
            if tag == TAG {
                epochs = field.nullable_array(PARTITION_BYTES, Reader::i32)?;
            }
            Ok(())
        })?;
        let epochs = epochs.filter(|epochs| epochs.len() == partitions.len());
        let epochs = epochs.unwrap_or_else(|| vec![epoch; partitions.len()]);
        Ok((topic, partitions.into_iter().zip(epochs).collect()))
    };
    let topics: Vec<_> = reader.array(TOPIC_BYTES_MIN, topic)?;
    Ok(topics.into_iter().collect())
}

fn write_dated(writer: &mut Writer, assignment: &DatedAssignment) {
    let topics: Vec<_> = assignment.iter().collect();
    writer.array(&topics, |writer, (topic, partitions)| {
        writer.uuid(topic.0);
        let (partitions, epochs): (Vec<i32>, Vec<i32>) = partitions.iter().unzip();
        writer.array(&partitions, |writer, partition| writer.i32(*partition));
        let field = tag_field(|field| field.array(&epochs, |field, epoch| field.i32(*epoch)));
        writer.tags(&[(TAG, field)]);
    });
}

fn names(reader: &mut Reader<'_>) -> Result<BTreeSet<String>, DecodeError> {
    let names = reader.array(1, Reader::string)?;
    Ok(names.iter().map(text).collect())
}

fn write_names(writer: &mut Writer, names: &BTreeSet<String>) {
    let names: Vec<&String> = names.iter().collect();
    writer.array(&names, |writer, name| writer.string(name.as_bytes()));
}

fn body(bytes: &Bytes) -> Result<Bytes, DecodeError> {
    match versioned(bytes)? {
        (VERSION, rest) => Ok(rest),
        (version, _) => Err(DecodeError::Version(version)),
    }
}

fn begin(head_bytes: usize) -> Writer {
    let mut writer = Writer::new(true, head_bytes);
    writer.i16(VERSION);
    writer
}

/// The end of the value, with its tagged field if that is set.
fn end(mut writer: Writer, is_tagged: bool, field: impl FnOnce(&mut Writer)) -> Bytes {
    match is_tagged {
        true => writer.tags(&[(TAG, tag_field(field))]),
        false => writer.no_tags(),
    }
    writer.into_bytes()
}
