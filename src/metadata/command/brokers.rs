//! What a broker says to the controller of itself.

use rkyv::{Archive, Deserialize, Serialize};

use crate::metadata::image::{Endpoint, ImageEpoch};
use crate::model::{BrokerId, DirId};

/// The clean epoch of a broker that did not end in order, or never ran.
pub const NO_CLEAN_EPOCH: i64 = -1;

/// A broker has started. It stays fenced until its heartbeats show that its image holds the registration.
///
/// The same incarnation again gets the same epoch. Another incarnation is refused with DUPLICATE_BROKER_REGISTRATION while
/// the earlier one has a session.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Registration {
    pub id: BrokerId,
    /// Random per process.
    pub incarnation: [u8; 16],
    pub rack: Option<String>,
    pub endpoints: Vec<Endpoint>,
    /// Those that are online. Replicas in a directory that is none of them leave their ISRs and ELRs.
    pub log_dirs: Vec<DirId>,
    /// It has no others: what was in another one is gone, and is copied to one of these where others have it.
    pub has_all_dirs: bool,
    /// The broker epoch in the file that an orderly end leaves, the same in every log directory; -1: there is none. If it
    /// is not the epoch of the broker's last life, unsynced records may be lost, so that it leaves its ELRs. //= KIP-966
    pub clean_epoch: i64,
}

/// A broker lives. Refused with STALE_BROKER_EPOCH if the epoch is not that of its registration, and with
/// BROKER_ID_NOT_REGISTERED if it has none: both mean that it must register again.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Heartbeat {
    pub id: BrokerId,
    pub epoch: i64,
    /// The image that the broker shows.
    pub image_epoch: ImageEpoch,
    /// It does not want to lead: not yet, or not any more. Where it wants to end too, it has closed its connections.
    pub want_fence: bool,
    /// It wants to end in order.
    pub want_shutdown: bool,
    /// Log directories that have failed since its start.
    pub offline_dirs: Vec<DirId>,
    /// Log directories that take no batches for want of space.
    pub full_dirs: Vec<DirId>,
}
