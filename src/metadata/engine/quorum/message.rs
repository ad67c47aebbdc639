//! What nodes of a quorum say to each other, as bytes on a connection. Drawn in FORMAT.md.

use std::io;
use std::time::Duration;

use bytes::Bytes;

use super::codec::{self, Reader};
use crate::model::{BrokerId, DirId};
use crate::rt::ControlStream;

const VERSION: u8 = 1;
/// Length and checksum.
const HEAD_LEN: usize = 8;
/// Version, kind and correlation.
const PREFIX_LEN: usize = 10;
/// From somebody who has not said yet who he is.
pub const STRANGER_BYTES_MAX: usize = 4 << 10;
/// A snapshot is the largest message.
pub const MESSAGE_BYTES_MAX: usize = 512 << 20;
/// A large message is on its way as long as its pieces come.
const PIECE_BYTES: usize = 1 << 20;
const PIECE_PATIENCE: Duration = Duration::from_secs(10);

/// An answer has the kind of its request, or is a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first message each way: who speaks, and to whom.
    Hello = 1,
    Append = 2,
    Vote = 3,
    PreVote = 4,
    Snapshot = 5,
    TransferLeader = 6,
    /// For the controller, on behalf of a broker.
    Command = 7,
    /// Says why, in words.
    Refusal = 8,
    /// From a node that has no vote: what has been committed since.
    Follow = 9,
}

const KINDS: [Kind; 9] = [
    Kind::Hello,
    Kind::Append,
    Kind::Vote,
    Kind::PreVote,
    Kind::Snapshot,
    Kind::TransferLeader,
    Kind::Command,
    Kind::Refusal,
    Kind::Follow,
];

#[derive(Debug)]
pub struct Message {
    pub kind: Kind,
    pub correlation: u64,
    pub body: Bytes,
}

/// Who a node is.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// `None`: of no cluster yet.
    pub cluster: Option<String>,
    pub node: BrokerId,
    /// Random, and of its metadata directory.
    pub voter: u64,
    /// Random, and of this life of it: its broker registers by it too.
    pub incarnation: [u8; 16],
    /// It has a quorum's log, or metadata of its own: there is something to lose.
    pub has_metadata: bool,
    /// A broker only: it takes no part in the consensus, and nobody connects to it.
    pub is_observer: bool,
    /// Of the log directory that its metadata lie in; `None`: it has none yet.
    pub directory: Option<DirId>,
    /// Numbers in the quorum that it knows of, its own too if it is in one.
    pub members: Vec<u64>,
    /// In an answer: whoever asks is in the quorum, as this node knows it.
    pub knows_asker: bool,
}

const HAS_METADATA: u8 = 1;
const IS_OBSERVER: u8 = 2;
const HAS_DIRECTORY: u8 = 4;
const KNOWS_ASKER: u8 = 8;

/// In place of a voter's number: whoever answers.
pub const ANYONE: u64 = 0;

pub struct Hello {
    pub from: Identity,
    pub to: u64,
}

impl Identity {
    /// Of somebody of no cluster who has nothing.
    pub fn new(node: BrokerId, voter: u64, incarnation: [u8; 16]) -> Identity {
        Identity {
            cluster: None,
            node,
            voter,
            incarnation,
            has_metadata: false,
            is_observer: false,
            directory: None,
            members: Vec::new(),
            knows_asker: false,
        }
    }

    pub fn put(&self, out: &mut Vec<u8>) {
        codec::put_bytes(out, self.cluster.as_deref().unwrap_or_default().as_bytes());
        codec::put_u32(out, self.node.0 as u32);
        codec::put_u64(out, self.voter);
        out.extend_from_slice(&self.incarnation);
        let flags = [
            (self.has_metadata, HAS_METADATA),
            (self.is_observer, IS_OBSERVER),
            (self.directory.is_some(), HAS_DIRECTORY),
            (self.knows_asker, KNOWS_ASKER),
        ];
        out.push(flags.iter().map(|(is_so, flag)| u8::from(*is_so) * flag).sum());
        self.directory.iter().for_each(|id| out.extend_from_slice(&id.0));
        codec::put_u32(out, self.members.len() as u32);
        self.members.iter().for_each(|id| codec::put_u64(out, *id));
    }

    pub fn read(reader: &mut Reader) -> io::Result<Identity> {
        let cluster = Some(reader.text()?).filter(|id| !id.is_empty());
        let node = BrokerId(reader.u32()? as i32);
        let (voter, incarnation) = (reader.u64()?, reader.array()?);
        let flags = reader.u8()?;
        if flags & !(HAS_METADATA | IS_OBSERVER | HAS_DIRECTORY | KNOWS_ASKER) != 0 {
            return Err(codec::broken());
        }
        let directory = match flags & HAS_DIRECTORY {
            0 => None,
            _ => Some(DirId(reader.array()?)),
        };
        let members = (0..reader.u32()?).map(|_| reader.u64()).collect::<io::Result<_>>()?;
        Ok(Identity {
            cluster,
            node,
            voter,
            incarnation,
            has_metadata: flags & HAS_METADATA != 0,
            is_observer: flags & IS_OBSERVER != 0,
            directory,
            members,
            knows_asker: flags & KNOWS_ASKER != 0,
        })
    }
}

impl Hello {
    pub fn put(&self, out: &mut Vec<u8>) {
        self.from.put(out);
        codec::put_u64(out, self.to);
    }

    pub fn read(body: Bytes) -> io::Result<Hello> {
        let mut reader = Reader::new(body);
        let from = Identity::read(&mut reader)?;
        let to = reader.u64()?;
        reader.end()?;
        Ok(Hello { from, to })
    }
}

pub async fn send(
    stream: &ControlStream,
    kind: Kind,
    correlation: u64,
    within: Duration,
    write: impl FnOnce(&mut Vec<u8>),
) -> io::Result<()> {
    let bytes = sealed(kind, correlation, write);
    let mut pieces = bytes.chunks(PIECE_BYTES);
    let first = pieces.next().unwrap_or_default();
    stream.write_all(first, within).await?;
    for piece in pieces {
        stream.write_all(piece, within.max(PIECE_PATIENCE)).await?;
    }
    Ok(())
}

fn sealed(kind: Kind, correlation: u64, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_LEN];
    bytes.extend_from_slice(&[VERSION, kind as u8]);
    codec::put_u64(&mut bytes, correlation);
    write(&mut bytes);
    let length = ((bytes.len() - HEAD_LEN) as u32).to_le_bytes();
    let crc = checksum(length, &bytes[HEAD_LEN..]).to_le_bytes();
    bytes[..HEAD_LEN].copy_from_slice(&[length, crc].concat());
    bytes
}

/// The next message, of at most so many bytes. An error leaves the connection unusable.
pub async fn receive(stream: &ControlStream, bytes_max: usize, within: Duration) -> io::Result<Message> {
    let mut head = [0; HEAD_LEN];
    stream.read_exact(&mut head, within).await?;
    let [a, b, c, d, crc @ ..] = head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > bytes_max || length < PREFIX_LEN {
        return Err(invalid(format!("a message of {length} bytes, of at most {bytes_max}")));
    }
    let mut bytes = vec![0; length];
    for piece in bytes.chunks_mut(PIECE_BYTES) {
        stream.read_exact(piece, within.max(PIECE_PATIENCE)).await?;
    }
    if checksum([a, b, c, d], &bytes) != u32::from_le_bytes(crc) {
        return Err(invalid("a message whose checksum does not hold".to_owned()));
    }
    parsed(bytes.into())
}

fn parsed(bytes: Bytes) -> io::Result<Message> {
    let mut reader = Reader::new(bytes);
    let (version, kind) = (reader.u8()?, reader.u8()?);
    if version != VERSION {
        return Err(invalid(format!(
            "a message of version {version}, and this release speaks {VERSION}"
        )));
    }
    let known = KINDS.into_iter().find(|known| *known as u8 == kind);
    let kind = known.ok_or_else(|| invalid(format!("a message of the unknown kind {kind}")))?;
    let correlation = reader.u64()?;
    let body = reader.rest();
    Ok(Message {
        kind,
        correlation,
        body,
    })
}

fn checksum(length: [u8; 4], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), body)
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
