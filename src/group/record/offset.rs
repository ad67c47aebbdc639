//! A committed offset.
//!
//! ```text
//!   version 0   offset i64 │ metadata string │ commit time i64
//!   version 1   … │ expiry time i64 (-1: as the broker's retention says)
//!   version 2   as version 0
//!   version 3   offset i64 │ leader epoch i32 │ metadata string │ commit time i64
//!   version 4   as version 3 in the compact encoding; tag 0: topic id
//! ```

use bytes::Bytes;

use super::{text, versioned};
use crate::model::TopicId;
use crate::wire::primitives::{DecodeError, Reader, Writer, tag_field};

const VERSION: i16 = 4;
/// The one version that has an expiry time.
const VERSION_EXPIRING: i16 = 1;
const FLEXIBLE_FROM: i16 = 4;
const TOPIC_ID_TAG: u32 = 0;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetValue {
    pub offset: i64,
    /// -1: unknown
    pub leader_epoch: i32,
    pub metadata: String,
    pub commit_ms: i64,
    /// Asked for by the client (requests before version 5).
    pub expire_ms: Option<i64>,
    pub topic_id: TopicId,
}

impl OffsetValue {
    pub fn read(bytes: &Bytes) -> Result<OffsetValue, DecodeError> {
        let (version, rest) = versioned(bytes)?;
        if !(0..=VERSION).contains(&version) {
            return Err(DecodeError::Version(version));
        }
        let mut reader = Reader::new(&rest, version >= FLEXIBLE_FROM);
        let mut value = OffsetValue {
            offset: reader.i64()?,
            leader_epoch: if version >= 3 { reader.i32()? } else { -1 },
            metadata: text(&reader.string()?),
            commit_ms: reader.i64()?,
            expire_ms: None,
            topic_id: TopicId::ZERO,
        };
        if version == VERSION_EXPIRING {
            value.expire_ms = Some(reader.i64()?).filter(|ms| *ms >= 0);
        }
        reader.tags(|tag, field| {
            if tag == TOPIC_ID_TAG {
                value.topic_id = TopicId(field.uuid()?);
            }
            Ok(())
        })?;
        Ok(value)
    }

    pub fn write(&self) -> Bytes {
        let version = self.expire_ms.map_or(VERSION, |_| VERSION_EXPIRING);
        let flexible = version >= FLEXIBLE_FROM;
        let mut writer = Writer::new(flexible, 64 + self.metadata.len());
        writer.i16(version);
        writer.i64(self.offset);
        if version >= 3 {
            writer.i32(self.leader_epoch);
        }
        writer.string(self.metadata.as_bytes());
        writer.i64(self.commit_ms);
        if let Some(ms) = self.expire_ms {
            writer.i64(ms);
        }
        if flexible && self.topic_id != TopicId::ZERO {
            writer.tags(&[(TOPIC_ID_TAG, tag_field(|field| field.uuid(self.topic_id.0)))]);
        } else {
            writer.no_tags();
        }
        writer.into_bytes()
    }
}
