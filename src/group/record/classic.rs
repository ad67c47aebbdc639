//! A classic group as it is between two rebalances: its generation, its members and what each of them was given.
//!
//! ```text
//!   protocol type string │ generation i32 │ protocol string? │ leader string? │ state time i64 (version 2 on)
//!   │ members: member id string │ instance id string? (version 3 on) │ client id string │ client host string
//!              │ rebalance timeout i32 (version 1 on) │ session timeout i32 │ subscription bytes │ assignment bytes
//!   version 4 is version 3 in the compact encoding
//! ```

use bytes::Bytes;

use super::{optional_text, text, versioned};
use crate::wire::primitives::{DecodeError, Reader, Writer};

/// What we write, as Kafka does.
const VERSION: i16 = 3;
const VERSION_MAX: i16 = 4;
const FLEXIBLE_FROM: i16 = 4;
/// Bytes of a member whose strings are all empty.
const MEMBER_BYTES_MIN: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupValue {
    pub protocol_type: String,
    pub generation: i32,
    /// None: the group is empty.
    pub protocol: Option<String>,
    pub leader: Option<String>,
    /// When the group came into this state; -1: not recorded.
    pub state_ms: i64,
    pub members: Vec<MemberValue>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberValue {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// -1: as the session timeout
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub subscription: Bytes,
    pub assignment: Bytes,
}

impl GroupValue {
    pub fn read(bytes: &Bytes) -> Result<GroupValue, DecodeError> {
        let (version, rest) = versioned(bytes)?;
        if !(0..=VERSION_MAX).contains(&version) {
            return Err(DecodeError::Version(version));
        }
        let mut reader = Reader::new(&rest, version >= FLEXIBLE_FROM);
        let value = GroupValue {
            protocol_type: text(&reader.string()?),
            generation: reader.i32()?,
            protocol: optional_text(reader.nullable_string()?),
            leader: optional_text(reader.nullable_string()?),
            state_ms: if version >= 2 { reader.i64()? } else { -1 },
            members: reader.array(MEMBER_BYTES_MIN, |reader| MemberValue::read(reader, version))?,
        };
        reader.skip_tags()?;
        Ok(value)
    }

    pub fn write(&self) -> Bytes {
        let mut writer = Writer::new(false, 256);
        writer.i16(VERSION);
        writer.string(self.protocol_type.as_bytes());
        writer.i32(self.generation);
        writer.nullable_string(self.protocol.as_deref().map(str::as_bytes));
        writer.nullable_string(self.leader.as_deref().map(str::as_bytes));
        writer.i64(self.state_ms);
        writer.array(&self.members, |writer, member| member.write(writer));
        writer.into_bytes()
    }
}

impl MemberValue {
    fn read(reader: &mut Reader<'_>, version: i16) -> Result<MemberValue, DecodeError> {
        let value = MemberValue {
            member_id: text(&reader.string()?),
            instance_id: match version {
                3.. => optional_text(reader.nullable_string()?),
                _ => None,
            },
            client_id: text(&reader.string()?),
            client_host: text(&reader.string()?),
            rebalance_timeout_ms: if version >= 1 { reader.i32()? } else { -1 },
            session_timeout_ms: reader.i32()?,
            subscription: Bytes::copy_from_slice(&reader.bytes()?),
            assignment: Bytes::copy_from_slice(&reader.bytes()?),
        };
        reader.skip_tags()?;
        Ok(value)
    }

    fn write(&self, writer: &mut Writer) {
        writer.string(self.member_id.as_bytes());
        writer.nullable_string(self.instance_id.as_deref().map(str::as_bytes));
        writer.string(self.client_id.as_bytes());
        writer.string(self.client_host.as_bytes());
        writer.i32(self.rebalance_timeout_ms);
        writer.i32(self.session_timeout_ms);
        writer.bytes(&self.subscription);
        writer.bytes(&self.assignment);
    }
}
