//! The quorum that keeps the metadata, as its leader sees it.

use rkyv::{Archive, Deserialize, Serialize};

use crate::model::{BrokerId, DirId};

#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct QuorumState {
    pub leader: BrokerId,
    /// Of this leadership: every later one has a higher.
    pub term: u64,
    /// Behind the last entry of the log that a majority has.
    pub committed_end: u64,
    pub voters: Vec<QuorumMember>,
    /// They copy the log and do not vote yet.
    pub learners: Vec<QuorumMember>,
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct QuorumMember {
    pub node: BrokerId,
    /// Its metadata directory; `None`: it keeps the metadata alone.
    pub directory: Option<DirId>,
    /// Where it listens for the other nodes; `None`: there are none.
    pub address: Option<(String, u16)>,
    /// Behind the last entry that it is known to hold; `None`: nothing is known of it.
    pub log_end: Option<u64>,
    /// When it was heard last, in wall time; `None`: never in this leadership.
    pub heard_ms: Option<i64>,
    /// When it last had all that the leader had.
    pub caught_up_ms: Option<i64>,
}

/// Who is to vote as well.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct NewVoter {
    pub node: BrokerId,
    /// Of the log directory that its metadata lie in.
    pub directory: DirId,
    /// Of its controller listener.
    pub host: String,
    pub port: u16,
}

impl QuorumState {
    /// Of a node that keeps the metadata alone.
    pub fn alone(node: BrokerId, term: u64, log_end: u64, now_ms: i64) -> QuorumState {
        let itself = QuorumMember {
            node,
            directory: None,
            address: None,
            log_end: Some(log_end),
            heard_ms: Some(now_ms),
            caught_up_ms: Some(now_ms),
        };
        QuorumState {
            leader: node,
            term,
            committed_end: log_end,
            voters: vec![itself],
            learners: Vec::new(),
        }
    }
}
