//! What the admin thread reads from. Parts that are made later in the start are absent until then.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::groups::GroupWatch;
use super::load::Load;
use super::pulse::Pulse;
use crate::config::BrokerConfig;
use crate::metadata::{self, Image};
use crate::metrics::Registry;
use crate::model::BrokerId;
use crate::rt::{self, Instant};
use crate::shard::ShardHandle;
use crate::storage::LogDirs;
use crate::tuning;

pub struct Sources {
    pub config: Arc<BrokerConfig>,
    pub registry: Registry,
    /// Set once the log directories are open.
    pub dirs: OnceLock<Arc<LogDirs>>,
    /// Set once the metadata have been recovered.
    pub shards: Arc<OnceLock<Vec<ShardHandle>>>,
    /// Set once this broker is registered.
    pub metadata: OnceLock<metadata::Handle>,
    /// What this machine is set to, once it was looked at.
    pub settings: OnceLock<Vec<tuning::Finding>>,
    /// Of a node without shards.
    shown: Mutex<Option<Arc<Image>>>,
    pub(super) began: Instant,
    beats: Vec<Arc<AtomicU64>>,
    pub(super) pulse: Pulse,
    pub(super) load: Load,
    pub(super) group_watch: GroupWatch,
    pub(super) phase: AtomicU8,
    /// Every log was opened once since the start.
    pub(super) recovered: AtomicBool,
}

impl Sources {
    /// `beats`: one counter per shard, which its pump moves.
    pub fn new(
        config: Arc<BrokerConfig>,
        registry: Registry,
        beats: Vec<Arc<AtomicU64>>,
        shards: Arc<OnceLock<Vec<ShardHandle>>>,
    ) -> Sources {
        Sources {
            config,
            registry,
            dirs: OnceLock::new(),
            shards,
            metadata: OnceLock::new(),
            settings: OnceLock::new(),
            shown: Mutex::default(),
            began: rt::now(),
            pulse: Pulse::new(beats.clone()),
            beats,
            load: Load::default(),
            group_watch: GroupWatch::default(),
            phase: AtomicU8::default(),
            recovered: AtomicBool::default(),
        }
    }

    /// The shards' signs of life, for those who give and those who watch them.
    pub fn beats(&self) -> &[Arc<AtomicU64>] {
        &self.beats
    }

    /// The newest image, once there is one.
    pub(super) fn image(&self) -> Option<Arc<Image>> {
        match self.shards.get() {
            Some(shards) => shards.first().map(ShardHandle::image),
            None => self.shown().clone(),
        }
    }

    /// Of a node that has no shards, which would show it. An older one than before is left out.
    pub fn show(&self, image: Arc<Image>) {
        let mut shown = self.shown();
        if shown.as_ref().is_none_or(|before| before.version() <= image.version()) {
            *shown = Some(image);
        }
    }

    fn shown(&self) -> MutexGuard<'_, Option<Arc<Image>>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this node has a place among the brokers.
    pub(super) fn is_broker(&self) -> bool {
        self.config.is_broker()
    }

    /// Whether the controller lets this broker lead: it is heard, by a majority of the quorum. Always where there is no quorum.
    pub(super) fn is_heard(&self) -> bool {
        self.metadata.get().is_none_or(|metadata| metadata.may_lead(rt::now()))
    }

    pub(super) fn me(&self) -> BrokerId {
        BrokerId(self.config.broker_id)
    }
}
