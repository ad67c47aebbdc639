//! The records of a coordinator's log, in Kafka's own formats: other tools read the topic of committed offsets too.
//!
//! A key begins with a number that says what it is of; the rest is strings and numbers in the old encoding. A value
//! begins with its version. We write the versions that Kafka 4.3 writes and read all of them.
//!
//! ```text
//!   key 0, 1   group string │ topic string │ partition i32            → an offset that the group committed
//!   key 2      group string                                           → a classic group, between two rebalances
//! ```

mod classic;
mod offset;

use bytes::Bytes;

use crate::wire::primitives::{DecodeError, Reader, Writer};

pub use classic::{GroupValue, MemberValue};
pub use offset::OffsetValue;

const OFFSET_KEY_OLD: i16 = 0;
const OFFSET_KEY: i16 = 1;
const GROUP_KEY: i16 = 2;

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    Offset {
        group: String,
        topic: String,
        partition: i32,
    },
    Group {
        group: String,
    },
    /// Of a kind that this coordinator does not keep.
    Other(i16),
}

impl Key {
    pub fn read(bytes: &Bytes) -> Result<Key, DecodeError> {
        let mut reader = Reader::new(bytes, false);
        Ok(match reader.i16()? {
            OFFSET_KEY_OLD | OFFSET_KEY => Key::Offset {
                group: text(&reader.string()?),
                topic: text(&reader.string()?),
                partition: reader.i32()?,
            },
            GROUP_KEY => Key::Group {
                group: text(&reader.string()?),
            },
            other => Key::Other(other),
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

pub fn group_key(group: &str) -> Bytes {
    let mut writer = Writer::new(false, 8 + group.len());
    writer.i16(GROUP_KEY);
    writer.string(group.as_bytes());
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
