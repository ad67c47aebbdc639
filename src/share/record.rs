//! The records of the topic of share groups' state, in Kafka's own formats.
//!
//! ```text
//!   key 0     group string │ topic id │ partition i32            → a snapshot: all there is to know of the partition
//!   value 0   snapshot epoch i32 │ state epoch i32 │ leader epoch i32 │ start offset i64 │ created i64 │ written i64
//!             │ batches: first i64, last i64, state i8, deliveries i16 │ tag 0: offsets settled in the window
//! ```
//!
//! Kafka writes updates between two snapshots too (key 1). Every write here is a snapshot, so that the topic can be
//! compacted: what is kept of a partition is small, because neighbours of one state are one batch.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::TopicId;
use crate::wire::primitives::{DecodeError, Reader, Writer, tag_field};

const SNAPSHOT_KEY: i16 = 0;
const VERSION: i16 = 0;
const SETTLED_TAG: u32 = 0;
/// The start of what has not begun yet. //= KIP-932: UNINITIALIZED_START_OFFSET
pub const NOWHERE: i64 = -1;
/// Bytes of one batch in a value: what the reader may count on.
const BATCH_BYTES_MIN: usize = 19;

/// One group's share of one partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateKey {
    pub group: Arc<str>,
    pub topic: TopicId,
    pub index: i32,
}

/// What is kept of a share partition, and for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    pub epochs: Epochs,
    pub saved: Saved,
}

/// What fences those who would write. //= KIP-932
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epochs {
    /// Grows when the state is set anew.
    pub state: i32,
    /// Of the partition, as the leader had it who read the state last.
    pub leader: i32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// [`NOWHERE`] until its leader has decided where it begins.
    pub start: i64,
    /// Offsets from the start on that need no delivery any more.
    pub settled: i64,
    pub batches: Vec<SavedBatch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedBatch {
    pub first: i64,
    pub last: i64,
    pub delivery: SavedDelivery,
    pub count: i16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavedDelivery {
    Available,
    Acknowledged,
    Archived,
}

impl SavedBatch {
    pub(super) fn is_untouched(&self) -> bool {
        self.delivery == SavedDelivery::Available && self.count == 0
    }
}

/// What the log says beside what is known here: how often the state was written, and when first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) epoch: i32,
    pub(super) created_ms: i64,
    pub(super) written_ms: i64,
}

impl StateKey {
    /// What a client would look for the coordinator with, and what chooses the partition of the topic.
    pub fn coordinator_key(&self) -> String {
        format!("{}:{}:{}", self.group, self.topic, self.index)
    }

    /// `None`: a record of another kind.
    pub(super) fn read(bytes: &Bytes) -> Result<Option<StateKey>, DecodeError> {
        let mut reader = Reader::new(bytes, false);
        if reader.i16()? != SNAPSHOT_KEY {
            return Ok(None);
        }
        Ok(Some(StateKey {
            group: String::from_utf8_lossy(&reader.string()?).into(),
            topic: TopicId(reader.uuid()?),
            index: reader.i32()?,
        }))
    }

    pub(super) fn write(&self) -> Bytes {
        let mut writer = Writer::new(false, 32 + self.group.len());
        writer.i16(SNAPSHOT_KEY);
        writer.string(self.group.as_bytes());
        writer.uuid(self.topic.0);
        writer.i32(self.index);
        writer.into_bytes()
    }
}

impl Saved {
    /// Only batches that lie behind each other, from the start on.
    pub fn is_in_order(&self) -> bool {
        in_order(self.start, self.batches.clone()).len() == self.batches.len()
    }
}

impl Kept {
    /// What is set anew, and begins there.
    pub(super) fn beginning(epochs: Epochs, start: i64) -> Kept {
        Kept {
            epochs,
            saved: Saved {
                start,
                ..Saved::default()
            },
        }
    }

    pub(super) fn read(bytes: &Bytes) -> Result<(Kept, Stamp), DecodeError> {
        let mut reader = Reader::new(bytes, true);
        let version = reader.i16()?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let epoch = reader.i32()?;
        let epochs = Epochs {
            state: reader.i32()?,
            leader: reader.i32()?,
        };
        let start = reader.i64()?;
        let (created_ms, written_ms) = (reader.i64()?, reader.i64()?);
        let batches = reader.array(BATCH_BYTES_MIN, read_batch)?;
        let mut settled = 0;
        reader.tags(|tag, field| {
            if tag == SETTLED_TAG {
                settled = i64::from(field.i32()?).max(0);
            }
            Ok(())
        })?;
        let stamp = Stamp {
            epoch,
            created_ms,
            written_ms,
        };
        let batches = in_order(start, batches);
        let saved = Saved {
            start,
            settled,
            batches,
        };
        Ok((Kept { epochs, saved }, stamp))
    }

    pub(super) fn write(&self, stamp: Stamp) -> Bytes {
        let Saved {
            start,
            settled,
            batches,
        } = &self.saved;
        let mut writer = Writer::new(true, 64 + 20 * batches.len());
        writer.i16(VERSION);
        writer.i32(stamp.epoch);
        writer.i32(self.epochs.state);
        writer.i32(self.epochs.leader);
        writer.i64(*start);
        writer.i64(stamp.created_ms);
        writer.i64(stamp.written_ms);
        writer.array(batches, |writer, batch| {
            writer.i64(batch.first);
            writer.i64(batch.last);
            writer.i8(batch.delivery.code());
            writer.i16(batch.count);
            writer.no_tags();
        });
        let settled = i32::try_from(*settled).unwrap_or(i32::MAX);
        writer.tags(&[(SETTLED_TAG, tag_field(|field| field.i32(settled)))]);
        writer.into_bytes()
    }
}

impl SavedDelivery {
    //= KIP-932: 0 available, 2 acknowledged, 4 archived; acquired (1) is never written
    pub fn code(self) -> i8 {
        match self {
            SavedDelivery::Available => 0,
            SavedDelivery::Acknowledged => 2,
            SavedDelivery::Archived => 4,
        }
    }

    /// What is not known is offered.
    pub fn of_code(code: i8) -> SavedDelivery {
        match code {
            2 => SavedDelivery::Acknowledged,
            4 => SavedDelivery::Archived,
            _ => SavedDelivery::Available,
        }
    }
}

fn read_batch(reader: &mut Reader<'_>) -> Result<SavedBatch, DecodeError> {
    let batch = SavedBatch {
        first: reader.i64()?,
        last: reader.i64()?,
        delivery: SavedDelivery::of_code(reader.i8()?),
        count: reader.i16()?.max(0),
    };
    reader.skip_tags()?;
    Ok(batch)
}

/// Only batches that lie behind each other: a log that was written by another hand shall not turn the window over.
fn in_order(start: i64, batches: Vec<SavedBatch>) -> Vec<SavedBatch> {
    let mut at = start;
    let mut kept = Vec::with_capacity(batches.len());
    for batch in batches {
        if batch.first >= at && batch.last >= batch.first && batch.last < i64::MAX {
            at = batch.last + 1;
            kept.push(batch);
        }
    }
    kept
}
