//! The cluster's metadata: records, image, pure decide and apply, and the engine that makes decisions durable.
//!
//! ```text
//! shards ── Command ──► lane ──► control thread: decide → records → engine.commit → Image::apply
//! shards ◄── Published (Arc<Image>) ─────────────┘ then the answer
//! ```
//!
//! `decide` and `apply` are pure; the control thread brings randomness, and the engine the disk. What is acknowledged is
//! on disk, and what anyone sees is acknowledged or about to be.

mod apply;
mod archive;
mod command;
mod decide;
pub(crate) mod engine;
mod handle;
mod image;
pub(crate) mod record;
mod standing;
mod thread;
mod watchdog;

pub use command::{
    AlterPartition, AssignDirectories, Command, CommandError, ConfigChange, ConfigOp, ConfigResource, CreateTopic,
    CreatedTopic, DeleteTopic, Election, Heartbeat, IsrChange, NO_CLEAN_EPOCH, NewPartitions, NewReplicas, NewVoter,
    QuorumMember, QuorumState, Registration, Reply, answer_from_bytes, answer_to_bytes,
};
pub use decide::{
    Contact, Live, PARTITIONS_PER_BROKER_MAX, PARTITIONS_PER_REQUEST_MAX, PRODUCER_IDS_PER_BLOCK, silent_brokers,
    spread,
};
#[cfg(test)]
pub use engine::SimulatedQuorum;
pub use engine::{Embedded, Formed, Salvage, form, format as format_for_quorum, is_quorum_dir};
pub use handle::{Handle, Published, Updates};
pub use image::{BrokerState, Endpoint, Image, ImageEpoch, PartitionState, Topic};
pub use record::Record;
#[cfg(test)]
pub use thread::start_simulated;
pub use thread::{ControlOptions, Duty, random_id, start};
pub use watchdog::{BEAT_ENDED, BEAT_NOT_BEGUN};
