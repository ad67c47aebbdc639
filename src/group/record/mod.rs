//! The records of a coordinator's log, in Kafka's own formats: other tools read the topic of committed offsets too.
//!
//! A key begins with a number that says what it is of; the rest is strings and numbers in the old encoding. A value
//! begins with its version. We write the versions that Kafka 4.3 writes and read all of them.
//!
//! ```text
//!   key 0, 1   group string │ topic string │ partition i32            → an offset that the group committed
//!   key 2      group string                                           → a classic group, between two rebalances
//!   key 3–8    group string │ member id string (5, 7, 8)              → a consumer group, in parts
//!   key 16     group string │ regular expression string               → a consumer group's expression
//! ```
//!
//! [`KINDS`] lists the kinds of which a group's own state is made.

mod classic;
mod consumer;
mod offset;
mod share;

use bytes::Bytes;

use crate::wire::primitives::{DecodeError, Reader, Writer};

pub use classic::{GroupValue, MemberValue};
pub use consumer::*;
pub use offset::OffsetValue;
pub use share::{ShareAssignmentValue, ShareCurrentValue, ShareGroupValue, ShareMemberValue, share_target_epoch};

const OFFSET_KEY_OLD: i16 = 0;
const OFFSET_KEY: i16 = 1;

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    Offset {
        group: String,
        topic: String,
        partition: i32,
    },
    /// Of the group itself; `part` names the member that it is about, say, or is empty.
    Group {
        kind: RecordKind,
        group: String,
        part: String,
    },
    /// Of a kind that this coordinator does not keep.
    Other(i16),
}

/// The kinds of records that groups are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// A classic group, with all of its members.
    Classic,
    // Of a consumer group: its epoch, the topics that it reads (older brokers), a member, the epoch of the targets, a
    // member's target, what a member has, what a regular expression matches.
    Epoch,
    OldTopics,
    Member,
    TargetEpoch,
    Target,
    Current,
    Regex,
    ShareMember,
    /// A share group's epoch.
    ShareGroup,
    /// The epoch of what its members are to read.
    ShareTargetEpoch,
    /// What a member is to read.
    ShareTarget,
    /// What a member has been told to read.
    ShareCurrent,
}

impl RecordKind {
    pub fn is_of_share_groups(self) -> bool {
        matches!(
            self,
            RecordKind::ShareMember
                | RecordKind::ShareGroup
                | RecordKind::ShareTargetEpoch
                | RecordKind::ShareTarget
                | RecordKind::ShareCurrent
        )
    }
}

/// How the key of a kind is written: the number that it begins with, and whether it names a part behind the group.
struct KeyForm {
    kind: RecordKind,
    number: i16,
    has_part: bool,
}

/// One row per kind.
const KINDS: &[KeyForm] = &[
    form(RecordKind::Classic, 2, false),
    form(RecordKind::Epoch, 3, false),
    form(RecordKind::OldTopics, 4, false),
    form(RecordKind::Member, 5, true),
    form(RecordKind::TargetEpoch, 6, false),
    form(RecordKind::Target, 7, true),
    form(RecordKind::Current, 8, true),
    form(RecordKind::Regex, 16, true),
    form(RecordKind::ShareMember, 10, true),
    form(RecordKind::ShareGroup, 11, false),
    form(RecordKind::ShareTargetEpoch, 12, false),
    form(RecordKind::ShareTarget, 13, true),
    form(RecordKind::ShareCurrent, 14, true),
];

const fn form(kind: RecordKind, number: i16, has_part: bool) -> KeyForm {
    KeyForm { kind, number, has_part }
}

impl Key {
    pub fn read(bytes: &Bytes) -> Result<Key, DecodeError> {
        let mut reader = Reader::new(bytes, false);
        let number = reader.i16()?;
        if matches!(number, OFFSET_KEY_OLD | OFFSET_KEY) {
            return Ok(Key::Offset {
                group: text(&reader.string()?),
                topic: text(&reader.string()?),
                partition: reader.i32()?,
            });
        }
        let Some(form) = KINDS.iter().find(|form| form.number == number) else {
            return Ok(Key::Other(number));
        };
        Ok(Key::Group {
            kind: form.kind,
            group: text(&reader.string()?),
            part: match form.has_part {
                true => text(&reader.string()?),
                false => String::new(),
            },
        })
    }
}

pub fn offset_key(group: &str, topic: &str, partition: i32) -> Bytes {
    let mut writer = Writer::new(false, 16 + group.len() + topic.len());
    writer.i16(OFFSET_KEY);
    writer.string(group.as_bytes());
    writer.string(topic.as_bytes());
    writer.i32(partition);
    writer.into_bytes()
}

/// `part` is empty where the kind is of all of the group.
pub fn group_key(kind: RecordKind, group: &str, part: &str) -> Bytes {
    let form = KINDS.iter().find(|form| form.kind == kind);
    let form = form.expect("every kind has its row");
    let mut writer = Writer::new(false, 8 + group.len() + part.len());
    writer.i16(form.number);
    writer.string(group.as_bytes());
    if form.has_part {
        writer.string(part.as_bytes());
    }
    writer.into_bytes()
}

/// The version in front of a value, and what follows it.
fn versioned(bytes: &Bytes) -> Result<(i16, Bytes), DecodeError> {
    let mut reader = Reader::new(bytes, false);
    let version = reader.i16()?;
    Ok((version, reader.rest()))
}

/// Copied: it shall not hold on to the buffer that it was read from. The reader has checked that it is UTF-8.
fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn optional_text(bytes: Option<Bytes>) -> Option<String> {
    bytes.as_ref().map(text)
}

#[cfg(test)]
mod tests;
