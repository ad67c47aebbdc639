//! What the log of the metadata holds: outcomes, not commands, so that a later release that decides otherwise reads the
//! same history. Each kind of record is a type of its own with a number and a version in front of its rkyv bytes: a
//! release may add kinds, or a new version of one, and still read what older ones wrote (engine/FORMAT.md).

use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize, rancor};

use super::image::{BrokerState, Endpoint, PartitionState};
use crate::model::{BrokerId, DirId, LeaderEpoch, TopicId};

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
}

/// The first record of every log.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ClusterId {
    pub id: String,
}

/// A broker has started. `epoch` grows with each registration and fences what an earlier life of it asked for.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct RegisterBroker {
    pub id: i32,
    pub epoch: i64,
    /// Random per process: the same broker twice, or two brokers with one id.
    pub incarnation: [u8; 16],
    pub rack: Option<String>,
    /// (listener, host, port), as advertised.
    pub endpoints: Vec<(String, String, u16)>,
}

/// A topic, so far without partitions and configs.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Topic {
    pub id: [u8; 16],
    pub name: String,
}

/// The whole state of one partition, new or changed.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
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

/// The version of every record kind so far.
const VERSION: u8 = 1;
/// `[type u8][version u8][length u32]` stands before each record's bytes.
const PREFIX_LEN: usize = 6;

/// Appends `[count u32]` and the records to `out`.
pub fn encode_all(records: &[Record], out: &mut Vec<u8>) {
    out.extend_from_slice(&(records.len() as u32).to_le_bytes());
    for record in records {
        let (kind, body) = encode(record);
        out.extend_from_slice(&[kind, VERSION]);
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

fn encode(record: &Record) -> (u8, AlignedVec) {
    match record {
        Record::ClusterId(body) => (1, to_bytes(body)),
        Record::RegisterBroker(body) => (2, to_bytes(body)),
        Record::Topic(body) => (3, to_bytes(body)),
        Record::Partition(body) => (4, to_bytes(body)),
        Record::RemoveTopic(body) => (5, to_bytes(body)),
        Record::Config(body) => (6, to_bytes(body)),
        Record::ProducerIds(body) => (7, to_bytes(body)),
    }
}

fn decode(kind: u8, version: u8, body: &[u8]) -> Result<Record, RecordError> {
    match (kind, version) {
        (1, VERSION) => from_bytes(kind, body).map(Record::ClusterId),
        (2, VERSION) => from_bytes(kind, body).map(Record::RegisterBroker),
        (3, VERSION) => from_bytes(kind, body).map(Record::Topic),
        (4, VERSION) => from_bytes(kind, body).map(Record::Partition),
        (5, VERSION) => from_bytes(kind, body).map(Record::RemoveTopic),
        (6, VERSION) => from_bytes(kind, body).map(Record::Config),
        (7, VERSION) => from_bytes(kind, body).map(Record::ProducerIds),
        _ => Err(RecordError::Unknown { kind, version }),
    }
}

fn to_bytes<T>(body: &T) -> AlignedVec
where
    T: for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, rancor::Error>>,
{
    rkyv::to_bytes(body).expect("records hold strings, numbers and lists below 2 GiB, which all have an archive")
}

fn from_bytes<T>(kind: u8, body: &[u8]) -> Result<T, RecordError>
where
    T: Archive,
    T::Archived: for<'a> CheckBytes<HighValidator<'a, rancor::Error>> + Deserialize<T, HighDeserializer<rancor::Error>>,
{
    // An archive must lie aligned in memory; in the file it does not.
    let mut aligned = AlignedVec::<16>::with_capacity(body.len());
    aligned.extend_from_slice(body);
    let broken = |cause: rancor::Error| RecordError::Broken {
        kind,
        cause: cause.to_string(),
    };
    rkyv::from_bytes(&aligned).map_err(broken)
}

impl RegisterBroker {
    pub fn state(&self) -> BrokerState {
        let endpoint = |(listener, host, port): &(String, String, u16)| Endpoint {
            listener: listener.clone(),
            host: host.clone(),
            port: *port,
        };
        BrokerState {
            id: BrokerId(self.id),
            epoch: self.epoch,
            incarnation: self.incarnation,
            rack: self.rack.clone(),
            endpoints: self.endpoints.iter().map(endpoint).collect(),
            fenced: false,
        }
    }
}

impl From<&BrokerState> for RegisterBroker {
    fn from(broker: &BrokerState) -> RegisterBroker {
        let endpoint = |e: &Endpoint| (e.listener.clone(), e.host.clone(), e.port);
        RegisterBroker {
            id: broker.id.0,
            epoch: broker.epoch,
            incarnation: broker.incarnation,
            rack: broker.rack.clone(),
            endpoints: broker.endpoints.iter().map(endpoint).collect(),
        }
    }
}

impl Partition {
    pub fn new(topic: TopicId, state: &PartitionState) -> Partition {
        Partition {
            topic: topic.0,
            index: state.index,
            leader: state.leader.map_or(-1, |leader| leader.0),
            leader_epoch: state.leader_epoch.0,
            partition_epoch: state.partition_epoch,
            replicas: state.replicas.iter().map(|replica| replica.0).collect(),
            isr: state.isr.iter().map(|replica| replica.0).collect(),
            directories: state.directories.iter().map(|dir| dir.0).collect(),
        }
    }

    pub fn state(&self) -> PartitionState {
        PartitionState {
            index: self.index,
            leader: (self.leader >= 0).then_some(BrokerId(self.leader)),
            leader_epoch: LeaderEpoch(self.leader_epoch),
            partition_epoch: self.partition_epoch,
            replicas: self.replicas.iter().copied().map(BrokerId).collect(),
            isr: self.isr.iter().copied().map(BrokerId).collect(),
            directories: self.directories.iter().copied().map(DirId).collect(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One record of every kind.
    pub fn samples() -> Vec<Record> {
        vec![
            Record::ClusterId(ClusterId {
                id: "4L6g3nShT-eMCtK--X86sw".into(),
            }),
            Record::RegisterBroker(RegisterBroker {
                id: 1,
                epoch: 7,
                incarnation: [9; 16],
                rack: Some("r1".into()),
                endpoints: vec![("PLAINTEXT".into(), "node01".into(), 9092)],
            }),
            Record::Topic(Topic {
                id: [3; 16],
                name: "orders".into(),
            }),
            Record::Partition(Partition {
                topic: [3; 16],
                index: 0,
                leader: 1,
                leader_epoch: 0,
                partition_epoch: 0,
                replicas: vec![1],
                isr: vec![1],
                directories: vec![[5; 16]],
            }),
            Record::Config(Config {
                resource: Resource::Topic([3; 16]),
                key: "retention.ms".into(),
                value: Some("1000".into()),
            }),
            Record::Config(Config {
                resource: Resource::AllBrokers,
                key: "log.retention.ms".into(),
                value: None,
            }),
            Record::Config(Config {
                resource: Resource::Group("g".into()),
                key: "consumer.session.timeout.ms".into(),
                value: Some("50000".into()),
            }),
            Record::ProducerIds(ProducerIds { next: 1000 }),
            Record::RemoveTopic(RemoveTopic { id: [3; 16] }),
        ]
    }

    /// What is written is what is read.
    #[test]
    fn every_kind_survives_the_way_to_bytes_and_back() {
        let mut bytes = Vec::new();
        encode_all(&samples(), &mut bytes);
        assert_eq!(decode_all(&bytes).unwrap(), samples());
    }

    /// Bytes that are cut anywhere are an error, never a panic and never fewer records.
    #[test]
    fn a_cut_list_is_an_error() {
        let mut bytes = Vec::new();
        encode_all(&samples(), &mut bytes);
        for len in 0..bytes.len() {
            assert!(decode_all(&bytes[..len]).is_err(), "cut at {len}");
        }
    }

    /// A record of a later release is named as such.
    #[test]
    fn an_unknown_kind_says_that_a_later_release_wrote_it() {
        let bytes = [1, 0, 0, 0, 99, 1, 0, 0, 0, 0];
        let error = decode_all(&bytes).unwrap_err();
        assert!(error.to_string().contains("type 99 version 1"), "{error}");
    }

    /// The bytes of version 1 never change: this is a log that the first release wrote.
    #[test]
    fn version_1_bytes_are_frozen() {
        let mut bytes = Vec::new();
        encode_all(
            &[Record::Topic(Topic {
                id: [3; 16],
                name: "orders".into(),
            })],
            &mut bytes,
        );
        let expected = [&[1, 0, 0, 0, 3, 1, 24, 0, 0, 0][..], &[3; 16], b"orders\xff\xff"].concat();
        assert_eq!(bytes, expected);
    }
}
