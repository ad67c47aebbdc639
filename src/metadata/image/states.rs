//! What an image says of one broker and of one partition.

use rkyv::{Archive, Deserialize, Serialize};

use crate::model::{BrokerId, DirId, LeaderEpoch};

/// The number of the commit that an image shows; it grows by one with each.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ImageEpoch(pub u64);

#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Endpoint {
    pub listener: String,
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq)]
pub struct BrokerState {
    pub id: BrokerId,
    /// The commit of this registration.
    pub epoch: i64,
    /// Random per process.
    pub incarnation: [u8; 16],
    pub rack: Option<String>,
    pub endpoints: Vec<Endpoint>,
    /// It is not heard, or does not know enough yet: it leads nothing and is in no ISR.
    pub fenced: bool,
    /// It ends in order: it leads nothing any more and is in no ISR. The commit that took its leaderships away.
    pub in_controlled_shutdown: Option<ImageEpoch>,
    /// Its log directories that are online. Empty: not known (a broker without a cluster does not say).
    pub log_dirs: Vec<DirId>,
    /// Those of them that take no batches for want of space. What is in them can be read, and led where nobody else may.
    pub full_dirs: Vec<DirId>,
}

/// One partition. Every change of it has a greater `partition_epoch`, every change of its leader (or of who may be a
/// replica) a greater `leader_epoch` as well.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct PartitionState {
    pub index: i32,
    /// A member of the ISR; `None`: offline.
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    /// The first one is the preferred leader. In a reassignment: the target's, then those that leave.
    pub replicas: Vec<BrokerId>,
    /// In sync with the leader. Empty only without a leader.
    pub isr: Vec<BrokerId>,
    /// one per replica
    pub directories: Vec<DirId>,
    /// Replicas that a reassignment adds; they are in `replicas` already.
    pub adding: Vec<BrokerId>,
    /// Replicas that leave once all others are in sync; they are in `replicas` still.
    pub removing: Vec<BrokerId>,
    /// Fell out of the ISR when it was below min.insync.replicas. They hold all that was acknowledged, since the high
    /// watermark stands still meanwhile, so one of them may lead when the ISR is empty. //= KIP-966
    pub elr: Vec<BrokerId>,
    /// Who led last, while there is no leader.
    pub last_known_elr: Vec<BrokerId>,
    /// The leader was elected uncleanly and has not yet said that it is done with what follows from that.
    pub leader_recovering: bool,
}

impl BrokerState {
    /// It may lead, and be in sync.
    pub fn is_active(&self) -> bool {
        !self.fenced && self.in_controlled_shutdown.is_none()
    }

    /// Whether a replica that is assigned to this directory can be there.
    pub fn has_online(&self, directory: &DirId) -> bool {
        let is_open = *directory == DirId::UNASSIGNED || self.log_dirs.is_empty();
        is_open || self.log_dirs.contains(directory)
    }

    /// Whether a replica in this directory can take nothing now.
    pub fn is_full(&self, directory: &DirId) -> bool {
        self.full_dirs.contains(directory)
    }
}

impl PartitionState {
    pub fn is_reassigned(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// The directory of this broker's replica.
    pub fn directory_of(&self, broker: BrokerId) -> Option<DirId> {
        let at = self.replicas.iter().position(|replica| *replica == broker)?;
        self.directories.get(at).copied()
    }
}
