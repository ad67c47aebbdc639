//! What the cluster's metadata says about a partition, as the replica here sees it.

use crate::model::{BrokerId, LeaderEpoch};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leadership {
    pub epoch: LeaderEpoch,
    /// Counts the changes of everything that is said here.
    pub partition_epoch: i32,
    /// `None`: there is none for now.
    pub leader: Option<BrokerId>,
    pub is_leader: bool,
    /// This replica is in the ISR.
    pub is_in_sync: bool,
    /// The leader was elected out of the ISR, so records may be missing; no other replica is in sync until it says that it
    /// has recovered.
    pub is_recovering: bool,
    /// The other replicas, in the order of the assignment.
    pub peers: Vec<Peer>,
}

/// Another replica of the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub broker: BrokerId,
    pub in_sync: bool,
    /// Its broker's epoch, while the broker may join an ISR: it is neither fenced nor about to stop.
    pub epoch: Option<i64>,
}

impl Leadership {
    /// There is no other replica.
    pub fn is_alone(&self) -> bool {
        self.peers.is_empty()
    }

    pub fn replica_count(&self) -> usize {
        1 + self.peers.len()
    }

    pub fn isr_count(&self) -> usize {
        let peers = self.peers.iter().filter(|peer| peer.in_sync).count();
        peers + usize::from(self.is_in_sync)
    }
}
