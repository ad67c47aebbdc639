//! What a handler may touch: the router, the configuration, the metrics, and the few services that live on its shard.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use crate::config::{BrokerConfig, split_listener};
use crate::metadata::Image;
use crate::metrics::{Cells, ConnectionCells, Entry, Metric};
use crate::model::{BrokerId, PartitionId, ShardId};
use crate::shard::Router;

use super::cluster_view::led_partition;
use super::fetch_session::FetchSessions;
use super::init_producer_id::ProducerIds;
use super::share_session::{ShareSessions, ShareSlots};
use super::timing::SlowLog;
use super::topic_creation::TopicCreation;
use super::topic_traffic::TopicTraffic;

/// One shard's services, shared by its connections.
pub struct Services {
    pub router: Router,
    pub config: Arc<BrokerConfig>,
    pub metrics: Cells,
    pub(super) fetch_sessions: FetchSessions,
    pub(super) producer_ids: ProducerIds,
    pub(super) topic_creation: TopicCreation,
    pub(super) topic_traffic: TopicTraffic,
    pub(super) slow_log: SlowLog,
    share_slots: Rc<ShareSlots>,
}

impl Services {
    /// `shards` share max.incremental.fetch.session.cache.slots evenly.
    pub fn new(router: Router, config: Arc<BrokerConfig>, metrics: Cells, shards: usize) -> Rc<Services> {
        let slots = usize::try_from(config.max_incremental_fetch_session_cache_slots).unwrap_or(0);
        Rc::new(Services {
            router,
            fetch_sessions: FetchSessions::new(slots.div_ceil(shards.max(1)), metrics.clone()),
            producer_ids: ProducerIds::default(),
            topic_creation: TopicCreation::default(),
            topic_traffic: TopicTraffic::new(metrics.clone()),
            slow_log: SlowLog::default(),
            share_slots: ShareSlots::new(config.shares.sessions_max.div_ceil(shards.max(1))),
            config,
            metrics,
        })
    }

    /// For a connection that begins.
    pub fn share_sessions(&self) -> ShareSessions {
        ShareSessions::new(self.router.clone(), self.share_slots.clone())
    }
}

/// One connection's view of the broker.
pub struct Context {
    pub services: Rc<Services>,
    /// The name of the listener that accepted the connection: metadata names endpoints of this listener only.
    pub listener: Rc<str>,
    /// For logs.
    pub peer: Rc<str>,
    /// What others may know of the connection.
    pub connection: Entry<(ShardId, u64), ConnectionCells>,
    pub share_sessions: ShareSessions,
    /// The client has sent another request, which waits for the answer to the one before it.
    pub next_waits: Cell<bool>,
    /// The client had better ask another broker: once what it has asked is answered, the connection ends.
    pub sends_away: Cell<bool>,
}

impl Context {
    /// The client takes this shard for a node of its own, beside its broker.
    pub fn is_shard_node(&self) -> bool {
        split_listener(&self.listener).1.is_some()
    }

    pub fn router(&self) -> &Router {
        &self.services.router
    }

    /// The coordinators that this broker has in a topic of the broker's own; none where it is asked as one of its shards, so
    /// that who asks every node hears of each once.
    pub fn coordinators(&self, topic: &str) -> Vec<PartitionId> {
        let image = self.image();
        let Some(topic) = image.topic(topic).filter(|_| !self.is_shard_node()) else {
            return Vec::new();
        };
        let indexes = 0..topic.partitions.len() as i32;
        indexes
            .filter_map(|index| led_partition(topic, index, self.broker_id()).ok())
            .collect()
    }

    /// This shard's newest image.
    pub fn image(&self) -> Arc<Image> {
        self.services.router.image()
    }

    pub fn config(&self) -> &BrokerConfig {
        &self.services.config
    }

    pub fn metrics(&self) -> &Cells {
        &self.services.metrics
    }

    pub fn count_trailing(&self, bytes: usize) {
        if bytes > 0 {
            self.metrics().add(Metric::TrailingBytes, 1);
        }
    }

    pub fn broker_id(&self) -> BrokerId {
        BrokerId(self.services.config.broker_id)
    }
}
