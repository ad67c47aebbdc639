//! The control thread: the event loop around decide, engine and publishing.
use super::*;
use crate::config::BrokerConfig;
use std::path::PathBuf;
use std::sync::Arc;

pub struct ControlOptions {
    pub config: Arc<BrokerConfig>,
    pub cluster_id: String,
    /// `<first log dir>/corelane-metadata`
    pub dir: PathBuf,
    /// online log directories and their ids, with how many partitions each holds today
    pub log_dirs: Vec<crate::model::DirId>,
}
/// Opens the engine (recovers), registers this broker, publishes the first image. Returns the handle, the first image.
pub fn start(options: ControlOptions, updates: Updates) -> anyhow::Result<(Handle, Arc<Image>)> {
    let _ = (options, updates);
    todo!()
}
