//! The bytes of entries, votes and memberships, the same on disk and between nodes. Drawn in FORMAT.md. They are ours: a
//! newer release of the consensus library reads what an older one left.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::Bytes;

use super::types::{Commit, Entry, LogId, Membership, Payload, SnapshotMeta, StoredMembership, Types, Vote, Voter};
use crate::model::{BrokerId, DirId};

const ABSENT: u8 = 0;
const PRESENT: u8 = 1;

/// Beside a voter's port: its directory's id follows.
const HAS_DIRECTORY: u32 = 1 << 16;

const BLANK: u8 = 0;
const COMMIT: u8 = 1;
const MEMBERSHIP: u8 = 2;

type CommittedLeader = openraft::type_config::alias::CommittedLeaderIdOf<Types>;

pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len() as u32);
    out.extend_from_slice(bytes);
}

pub fn put_log_id(out: &mut Vec<u8>, id: Option<&LogId>) {
    match id {
        None => out.push(ABSENT),
        Some(id) => {
            out.push(PRESENT);
            put_u64(out, **id.committed_leader_id());
            put_u64(out, id.index());
        }
    }
}

pub fn put_vote(out: &mut Vec<u8>, vote: &Vote) {
    put_u64(out, vote.leader_id.term);
    put_u64(out, vote.leader_id.voted_for);
    out.push(u8::from(vote.committed));
}

/// Without its index.
pub fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    put_u64(out, **entry.log_id.committed_leader_id());
    match &entry.payload {
        Payload::Blank => out.push(BLANK),
        Payload::Normal(commit) => {
            out.push(COMMIT);
            put_u64(out, commit.base);
            put_u64(out, commit.epoch);
            put_bytes(out, &commit.records);
        }
        Payload::Membership(membership) => {
            out.push(MEMBERSHIP);
            put_membership(out, membership);
        }
    }
}

pub fn put_meta(out: &mut Vec<u8>, meta: &SnapshotMeta) {
    put_log_id(out, meta.last_log_id.as_ref());
    put_log_id(out, meta.last_membership.log_id().as_ref());
    put_membership(out, meta.last_membership.membership());
}

fn put_membership(out: &mut Vec<u8>, membership: &Membership) {
    let configs = membership.get_joint_config();
    put_u32(out, configs.len() as u32);
    for config in configs {
        put_u32(out, config.len() as u32);
        config.iter().for_each(|id| put_u64(out, *id));
    }
    put_u32(out, membership.nodes().count() as u32);
    for (id, voter) in membership.nodes() {
        put_u64(out, *id);
        put_voter(out, voter);
    }
}

pub fn put_voter(out: &mut Vec<u8>, voter: &Voter) {
    put_u32(out, voter.node.0 as u32);
    put_bytes(out, voter.host.as_bytes());
    let flag = voter.directory.map_or(0, |_| HAS_DIRECTORY);
    put_u32(out, u32::from(voter.port) | flag);
    voter.directory.iter().for_each(|id| out.extend_from_slice(&id.0));
}

/// Takes values off the front. What is cut or cannot be is an error.
pub struct Reader(Bytes);

impl Reader {
    pub fn new(bytes: Bytes) -> Reader {
        Reader(bytes)
    }

    /// Of bytes that are somebody else's.
    pub fn copy(bytes: &[u8]) -> Reader {
        Reader(Bytes::copy_from_slice(bytes))
    }

    /// Everything that was not taken.
    pub fn rest(self) -> Bytes {
        self.0
    }

    /// Everything was taken.
    pub fn end(&self) -> io::Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(broken()) }
    }

    fn take(&mut self, len: usize) -> io::Result<Bytes> {
        if self.0.len() < len {
            return Err(broken());
        }
        Ok(self.0.split_to(len))
    }

    pub fn array<const LEN: usize>(&mut self) -> io::Result<[u8; LEN]> {
        let taken = self.take(LEN)?;
        taken.as_ref().try_into().map_err(|_| broken())
    }

    pub fn flag(&mut self) -> io::Result<bool> {
        match self.array::<1>()? {
            [ABSENT] => Ok(false),
            [PRESENT] => Ok(true),
            _ => Err(broken()),
        }
    }

    pub fn u8(&mut self) -> io::Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u32(&mut self) -> io::Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> io::Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn bytes(&mut self) -> io::Result<Bytes> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    pub fn text(&mut self) -> io::Result<String> {
        String::from_utf8(self.bytes()?.into()).map_err(|_| broken())
    }

    pub fn log_id(&mut self) -> io::Result<Option<LogId>> {
        if !self.flag()? {
            return Ok(None);
        }
        let term = self.u64()?;
        Ok(Some(log_id(term, self.u64()?)))
    }

    pub fn vote(&mut self) -> io::Result<Vote> {
        let (term, voter) = (self.u64()?, self.u64()?);
        Ok(match self.flag()? {
            true => Vote::new_committed(term, voter),
            false => Vote::new(term, voter),
        })
    }

    /// The entry of that index.
    pub fn entry(&mut self, index: u64) -> io::Result<Entry> {
        let log_id = log_id(self.u64()?, index);
        let payload = match self.u8()? {
            BLANK => Payload::Blank,
            COMMIT => Payload::Normal(Commit {
                base: self.u64()?,
                epoch: self.u64()?,
                records: self.bytes()?,
            }),
            MEMBERSHIP => Payload::Membership(self.membership()?),
            _ => return Err(broken()),
        };
        Ok(Entry { log_id, payload })
    }

    pub fn meta(&mut self) -> io::Result<SnapshotMeta> {
        let last_log_id = self.log_id()?;
        let of = self.log_id()?;
        let last_membership = StoredMembership::new(of, self.membership()?);
        Ok(SnapshotMeta {
            last_log_id,
            last_membership,
        })
    }

    fn membership(&mut self) -> io::Result<Membership> {
        let mut configs = Vec::new();
        for _ in 0..self.u32()? {
            let mut config = BTreeSet::new();
            for _ in 0..self.u32()? {
                config.insert(self.u64()?);
            }
            configs.push(config);
        }
        let mut nodes = BTreeMap::new();
        for _ in 0..self.u32()? {
            nodes.insert(self.u64()?, self.voter()?);
        }
        Membership::new(configs, nodes).map_err(io::Error::other)
    }

    pub fn voter(&mut self) -> io::Result<Voter> {
        let node = BrokerId(self.u32()? as i32);
        let host = self.text()?;
        let port = self.u32()?;
        let directory = match port & HAS_DIRECTORY {
            0 => None,
            _ => Some(DirId(self.array()?)),
        };
        Ok(Voter {
            node,
            host,
            port: u16::try_from(port & !HAS_DIRECTORY).map_err(|_| broken())?,
            directory,
        })
    }
}

pub fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeader::new(term), index)
}

pub fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "bytes that are not what they should be")
}
