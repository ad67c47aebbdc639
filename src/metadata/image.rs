//! An immutable snapshot of the cluster's metadata.
use crate::config::{BrokerConfig, TopicConfig};
use crate::model::{BrokerId, DirId, LeaderEpoch, TopicId};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ImageEpoch(pub u64);
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    pub listener: String,
    pub host: String,
    pub port: u16,
}
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerState {
    pub id: BrokerId,
    pub epoch: i64,
    pub rack: Option<String>,
    pub endpoints: Vec<Endpoint>,
    pub fenced: bool,
}
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionState {
    pub index: i32,
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    /// one per replica
    pub directories: Vec<DirId>,
}
#[derive(Clone, Debug)]
pub struct Topic {
    pub name: Arc<str>,
    pub id: TopicId,
    pub partitions: Vec<PartitionState>,
    /// Overrides as set.
    pub overrides: Arc<BTreeMap<String, String>>,
    /// Overrides over this broker's defaults (its file and the dynamic broker configs).
    pub config: Arc<TopicConfig>,
}
/// Share it by Arc; clones share structure (persistent maps).
#[derive(Clone, Debug)]
pub struct Image {
    pub epoch: ImageEpoch,
    pub cluster_id: Arc<str>,
    pub controller: Option<BrokerId>,
    pub brokers: BTreeMap<BrokerId, Arc<BrokerState>>,
    pub topics: imbl::OrdMap<Arc<str>, Arc<Topic>>,
    pub topics_by_id: imbl::OrdMap<TopicId, Arc<Topic>>,
    /// Dynamic broker configs: None = cluster-wide default.
    pub broker_configs: BTreeMap<Option<BrokerId>, Arc<BTreeMap<String, String>>>,
    pub next_producer_id: i64,
    /// This broker's static configuration, for resolving topic configs.
    pub broker: Arc<BrokerConfig>,
}
impl Image {
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }
    pub fn topic_by_id(&self, id: &TopicId) -> Option<&Arc<Topic>> {
        self.topics_by_id.get(id)
    }
}
