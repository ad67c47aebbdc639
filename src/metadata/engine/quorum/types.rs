//! What the consensus is told about: its nodes, its entries, what applying one leads to.

use std::fmt;

use bytes::Bytes;
use openraft::type_config::alias;

use crate::metadata::command::NewVoter;
use crate::model::{BrokerId, DirId};

openraft::declare_raft_types!(
    pub Types:
        D = Commit,
        R = Applied,
        NodeId = u64,
        Node = Voter,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = Runtime,
);

#[cfg(not(test))]
type Runtime = openraft_rt_tokio::TokioRuntime;
/// Of the world that a thread lives in.
#[cfg(test)]
type Runtime = super::runtime::Runtime;

pub type Entry = alias::EntryOf<Types>;
pub type LogId = alias::LogIdOf<Types>;
pub type Vote = alias::VoteOf<Types>;
pub type Membership = openraft::Membership<u64, Voter>;
pub type StoredMembership = alias::StoredMembershipOf<Types>;
pub type SnapshotMeta = alias::SnapshotMetaOf<Types>;
pub type Snapshot = alias::SnapshotOf<Types, Bytes>;
pub type Payload = openraft::EntryPayload<Commit, u64, Voter>;

/// Where a node of the quorum is found. Its number in the quorum is another one, random and of its metadata directory: a
/// node that has lost its directory is a stranger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    pub node: BrokerId,
    pub host: String,
    pub port: u16,
    /// Of the log directory that its metadata lie in; `None`: not known, and the tools get [`directory_id`].
    pub directory: Option<DirId>,
}

impl Voter {
    /// Whoever is at that address.
    pub fn at(host: &str, port: u16) -> Voter {
        Voter {
            host: host.to_owned(),
            port,
            ..Voter::default()
        }
    }

    pub fn is_named(&self) -> bool {
        self.node.0 >= 0
    }
}

/// By which Kafka's tools know the voter of that number.
pub fn directory_of(id: u64, voter: &Voter) -> DirId {
    voter.directory.unwrap_or_else(|| directory_id(id))
}

/// What a voter's number is to Kafka's tools where no directory's own id is known.
pub fn directory_id(voter: u64) -> DirId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(b"corelane");
    id[8..].copy_from_slice(&voter.to_be_bytes());
    DirId(id)
}

/// Of a node that nothing is known of.
impl Default for Voter {
    fn default() -> Voter {
        Voter {
            node: BrokerId(-1),
            host: String::new(),
            port: 0,
            directory: None,
        }
    }
}

impl From<&NewVoter> for Voter {
    fn from(new: &NewVoter) -> Voter {
        Voter {
            node: new.node,
            directory: Some(new.directory),
            ..Voter::at(&new.host, new.port)
        }
    }
}

impl fmt::Display for Voter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_named() {
            write!(f, "{}@", self.node.0)?;
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Records that were decided on the image of epoch `base` and lead to `epoch`. They count only if the image is still of
/// that epoch when their turn comes: leadership may have been lost and won again between a decision and its entry.
#[derive(Clone, PartialEq)]
pub struct Commit {
    pub base: u64,
    pub epoch: u64,
    /// A record list, as in FORMAT.md.
    pub records: Bytes,
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "commit {} on {}, {} bytes",
            self.epoch,
            self.base,
            self.records.len()
        )
    }
}

/// What came of an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Applied {
    /// Of the image after it.
    pub epoch: u64,
    /// False: its base was another one, and it changed nothing.
    pub is_taken: bool,
}
