//! The cluster's metadata: records, image, pure decide and apply, and the engine that makes decisions durable.

mod apply;
mod command;
mod decide;
mod engine;
mod handle;
mod image;
mod record;
mod thread;

pub use command::{
    Command, CommandError, ConfigChange, ConfigOp, ConfigResource, CreateTopic, CreatedTopic, DeleteTopic,
    NewPartitions, Reply,
};
pub use handle::{Handle, Published, Updates};
pub use image::{BrokerState, Endpoint, Image, ImageEpoch, PartitionState, Topic};
pub use record::Record;
pub use thread::{ControlOptions, start};
