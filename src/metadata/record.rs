//! What the log of the metadata holds: outcomes, not commands, so that a later release that decides otherwise reads the
//! same history. Each kind of record is a type of its own with a number and a version in front of its rkyv bytes: a
//! release may add kinds, or a new version of one, and still read what older ones wrote (engine/FORMAT.md).

mod states;
mod version_1;

use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize, rancor};

use super::archive::{from_bytes, to_bytes};

/// One change of the image.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    ClusterId(ClusterId),
    RegisterBroker(RegisterBroker),
    Topic(Topic),
    Partition(Partition),
    RemoveTopic(RemoveTopic),
    Config(Config),
    ProducerIds(ProducerIds),
    BrokerChange(BrokerChange),
    UnregisterBroker(UnregisterBroker),
    BrokerSpace(BrokerSpace),
}

/// The first record of every log.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ClusterId {
    pub id: String,
}

/// A broker has started. `epoch` grows with each registration and fences what an earlier life of it asked for.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct RegisterBroker {
    pub id: i32,
    pub epoch: i64,
    /// Random per process: the same broker twice, or two brokers with one id.
    pub incarnation: [u8; 16],
    pub rack: Option<String>,
    /// (listener, host, port), as advertised.
    pub endpoints: Vec<(String, String, u16)>,
    pub fenced: bool,
    /// The commit that took its leaderships away.
    pub in_controlled_shutdown: Option<u64>,
    /// Those that are online. Empty: not known, and none of its replicas is held to it.
    pub log_dirs: Vec<[u8; 16]>,
}

/// What of a registration has changed: all of the part that can.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct BrokerChange {
    pub id: i32,
    /// Of the registration that changes.
    pub epoch: i64,
    pub fenced: bool,
    pub in_controlled_shutdown: Option<u64>,
    pub log_dirs: Vec<[u8; 16]>,
}

/// A broker is gone for good.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct UnregisterBroker {
    pub id: i32,
    pub epoch: i64,
}

/// Which of a broker's log directories are full: all that are, in place of what was said before. A registration begins with none.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct BrokerSpace {
    pub id: i32,
    /// Of the registration that changes.
    pub epoch: i64,
    pub full_dirs: Vec<[u8; 16]>,
}

/// A topic, so far without partitions and configs.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Topic {
    pub id: [u8; 16],
    pub name: String,
}

/// The whole state of one partition, new or changed.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Partition {
    pub topic: [u8; 16],
    pub index: i32,
    /// -1: none.
    pub leader: i32,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    /// One per replica.
    pub directories: Vec<[u8; 16]>,
    pub adding: Vec<i32>,
    pub removing: Vec<i32>,
    pub elr: Vec<i32>,
    pub last_known_elr: Vec<i32>,
    pub leader_recovering: bool,
}

/// A topic is gone, with its partitions and configs.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct RemoveTopic {
    pub id: [u8; 16],
}

/// One key of one resource was set, or (`None`) went back to its default.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Config {
    pub resource: Resource,
    pub key: String,
    pub value: Option<String>,
}

/// What a config belongs to. Topics go by id: a topic that is created again starts without configs.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub enum Resource {
    Topic([u8; 16]),
    Broker(i32),
    /// The cluster-wide default of all brokers.
    AllBrokers,
    /// By its id: whether there is such a group is its coordinator's matter.
    Group(String),
}

/// Producer ids below `next` are given away.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ProducerIds {
    pub next: i64,
}

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error(
        "a record of type {kind} version {version}, which this release does not know: was it written by a later one?"
    )]
    Unknown { kind: u8, version: u8 },
    #[error("a broken record of type {kind}: {cause}")]
    Broken { kind: u8, cause: String },
    #[error("a record list that ends too early")]
    Short,
}

/// `[type u8][version u8][length u32]` stands before each record's bytes.
const PREFIX_LEN: usize = 6;

/// Appends `[count u32]` and the records to `out`.
pub fn encode_all(records: &[Record], out: &mut Vec<u8>) {
    out.extend_from_slice(&(records.len() as u32).to_le_bytes());
    for record in records {
        let (kind, version, body) = encode(record);
        out.extend_from_slice(&[kind, version]);
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(&body);
    }
}

/// The reverse of [`encode_all`]; `bytes` must hold nothing else.
pub fn decode_all(bytes: &[u8]) -> Result<Vec<Record>, RecordError> {
    let (count, mut rest) = bytes.split_first_chunk::<4>().ok_or(RecordError::Short)?;
    let count = u32::from_le_bytes(*count) as usize;
    // A count is only believed as far as the bytes can hold it.
    let mut records = Vec::with_capacity(count.min(rest.len() / PREFIX_LEN));
    for _ in 0..count {
        let (&[kind, version, a, b, c, d], after) = rest.split_first_chunk::<PREFIX_LEN>().ok_or(RecordError::Short)?;
        let len = u32::from_le_bytes([a, b, c, d]) as usize;
        let (body, after) = after.split_at_checked(len).ok_or(RecordError::Short)?;
        records.push(decode(kind, version, body)?);
        rest = after;
    }
    if rest.is_empty() {
        Ok(records)
    } else {
        Err(RecordError::Short)
    }
}

/// The kind, the oldest version that can say it, and the archive: what an earlier release can read, it shall be able to.
fn encode(record: &Record) -> (u8, u8, AlignedVec) {
    match record {
        Record::ClusterId(body) => (1, 1, to_bytes(body)),
        Record::RegisterBroker(body) => match version_1::RegisterBroker::holding(body) {
            Some(older) => (2, 1, to_bytes(&older)),
            None => (2, 2, to_bytes(body)),
        },
        Record::Topic(body) => (3, 1, to_bytes(body)),
        Record::Partition(body) => match version_1::Partition::holding(body) {
            Some(older) => (4, 1, to_bytes(&older)),
            None => (4, 2, to_bytes(body)),
        },
        Record::RemoveTopic(body) => (5, 1, to_bytes(body)),
        Record::Config(body) => (6, 1, to_bytes(body)),
        Record::ProducerIds(body) => (7, 1, to_bytes(body)),
        Record::BrokerChange(body) => (8, 1, to_bytes(body)),
        Record::UnregisterBroker(body) => (9, 1, to_bytes(body)),
        Record::BrokerSpace(body) => (10, 1, to_bytes(body)),
    }
}

fn decode(kind: u8, version: u8, body: &[u8]) -> Result<Record, RecordError> {
    let record = match (kind, version) {
        (1, 1) => from_bytes(body).map(Record::ClusterId),
        (2, 1) => from_bytes(body).map(|older: version_1::RegisterBroker| Record::RegisterBroker(older.into())),
        (2, 2) => from_bytes(body).map(Record::RegisterBroker),
        (3, 1) => from_bytes(body).map(Record::Topic),
        (4, 1) => from_bytes(body).map(|older: version_1::Partition| Record::Partition(older.into())),
        (4, 2) => from_bytes(body).map(Record::Partition),
        (5, 1) => from_bytes(body).map(Record::RemoveTopic),
        (6, 1) => from_bytes(body).map(Record::Config),
        (7, 1) => from_bytes(body).map(Record::ProducerIds),
        (8, 1) => from_bytes(body).map(Record::BrokerChange),
        (9, 1) => from_bytes(body).map(Record::UnregisterBroker),
        (10, 1) => from_bytes(body).map(Record::BrokerSpace),
        _ => return Err(RecordError::Unknown { kind, version }),
    };
    record.map_err(|cause: rancor::Error| RecordError::Broken {
        kind,
        cause: cause.to_string(),
    })
}

#[cfg(test)]
pub(super) mod tests;
