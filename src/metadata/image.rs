//! An immutable snapshot of the cluster's metadata. Clones share their structure: a change copies the path to what
//! changed, whatever the number of topics. Only `apply` changes an image, and only before it is published.

mod derived;
mod states;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::record::{self, Record, Resource};
use crate::config::{BrokerConfig, DynamicConfigs, TopicConfig};
use crate::model::{BrokerId, DirId, PartitionId, TopicId};

pub(crate) use derived::Derived;
pub use states::{BrokerState, Endpoint, ImageEpoch, PartitionState};

#[derive(Clone, Debug)]
pub struct Topic {
    pub name: Arc<str>,
    pub id: TopicId,
    /// Ascending by index, without holes.
    pub partitions: Vec<PartitionState>,
    /// Overrides as set.
    pub overrides: Arc<BTreeMap<String, String>>,
    /// Overrides over this broker's defaults (its file and the dynamic broker configs).
    pub config: Arc<TopicConfig>,
}

impl Topic {
    pub fn has_partition(&self, index: i32) -> bool {
        usize::try_from(index).is_ok_and(|index| index < self.partitions.len())
    }
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
    /// Configs of groups, by their ids: those that set any.
    pub group_configs: imbl::OrdMap<Arc<str>, Arc<BTreeMap<String, String>>>,
    pub next_producer_id: i64,
    /// This broker's static configuration, for resolving topic configs.
    pub broker: Arc<BrokerConfig>,
    /// How often something changed that is of this process alone: its file, or whom it takes for the controller.
    pub(crate) rereads: u64,
    pub(crate) derived: Derived,
}

impl Image {
    /// A cluster that nothing has happened in.
    pub fn empty(cluster_id: &str, broker: Arc<BrokerConfig>) -> Image {
        Image {
            epoch: ImageEpoch::default(),
            cluster_id: cluster_id.into(),
            controller: None,
            brokers: BTreeMap::new(),
            topics: imbl::OrdMap::new(),
            topics_by_id: imbl::OrdMap::new(),
            broker_configs: BTreeMap::new(),
            group_configs: imbl::OrdMap::new(),
            next_producer_id: 0,
            broker,
            rereads: 0,
            derived: Derived::default(),
        }
    }

    /// Another node leads the quorum, or none.
    pub(super) fn note_controller(&mut self, controller: Option<BrokerId>) {
        self.controller = controller;
        self.rereads += 1;
    }

    /// The image that these records make, in place of everything so far; what is of this process alone stays.
    pub(super) fn restart(&mut self, records: &[Record], epoch: ImageEpoch) {
        let mut fresh = Image::empty(&self.cluster_id, self.broker.clone());
        fresh.apply_all(records);
        fresh.epoch = epoch;
        fresh.controller = self.controller;
        fresh.rereads = self.rereads;
        *self = fresh;
    }

    /// Grows with every image that is published: with each commit, each time that the file is read again, and with each
    /// change of the controller.
    pub fn version(&self) -> u64 {
        self.epoch.0 + self.rereads
    }

    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    pub fn topic_by_id(&self, id: &TopicId) -> Option<&Arc<Topic>> {
        self.topics_by_id.get(id)
    }

    /// What a topic without overrides has: this broker's file, and over it the dynamic broker configs.
    pub fn topic_defaults(&self) -> &Arc<TopicConfig> {
        &self.config().topic_defaults
    }

    /// This broker's configuration: its file, and over it the dynamic broker configs.
    pub fn config(&self) -> &Arc<BrokerConfig> {
        self.derived.config.as_ref().unwrap_or(&self.broker)
    }

    /// The broker configs that were set at run time, as they concern this broker.
    pub fn dynamic_configs(&self) -> DynamicConfigs<'_> {
        let of = |resource| self.broker_configs.get(&resource).map(Arc::as_ref);
        DynamicConfigs {
            broker: of(Some(BrokerId(self.broker.broker_id))).unwrap_or(DynamicConfigs::NONE.broker),
            cluster: of(None).unwrap_or(DynamicConfigs::NONE.cluster),
        }
    }

    /// An existing topic whose metrics would have the name of this one's (`a.b` and `a_b`).
    pub fn colliding_topic(&self, name: &str) -> Option<&Arc<str>> {
        let metric = metric_name(name)?;
        let first = (metric.clone(), Arc::from(""));
        let (found, topic) = self.derived.collisions.range(first..).next()?;
        (*found == metric).then_some(topic)
    }

    pub fn partition(&self, id: &PartitionId) -> Option<(&Arc<Topic>, &PartitionState)> {
        let topic = self.topics_by_id.get(&id.topic)?;
        Some((topic, topic.partition(id.index)?))
    }

    /// Whether this broker is registered, is not fenced and does not shut down: it may lead and be in sync.
    pub fn is_active(&self, broker: BrokerId) -> bool {
        self.brokers.get(&broker).is_some_and(|broker| broker.is_active())
    }

    /// Whether the disk that holds the replica takes nothing now.
    pub fn is_full(&self, state: &PartitionState, replica: BrokerId) -> bool {
        let (broker, directory) = (self.brokers.get(&replica), state.directory_of(replica));
        broker
            .zip(directory)
            .is_some_and(|(broker, directory)| broker.is_full(&directory))
    }

    /// Partitions (of any topic) with a replica in this log directory.
    pub fn partitions_in(&self, directory: &DirId) -> usize {
        self.derived.in_directory(directory)
    }

    /// Partitions (of any topic) with a replica on this broker.
    pub fn partitions_on(&self, broker: BrokerId) -> usize {
        self.derived.of_broker(broker).map_or(0, imbl::OrdSet::len)
    }

    /// Partitions (of any topic) that this broker leads.
    pub fn leaderships_of(&self, broker: BrokerId) -> usize {
        self.derived.led_by(broker)
    }

    /// The records that make this image out of an empty one: what a snapshot holds.
    pub fn to_records(&self) -> Vec<Record> {
        let mut records = vec![Record::ClusterId(record::ClusterId {
            id: self.cluster_id.to_string(),
        })];
        for broker in self.brokers.values() {
            records.push(Record::RegisterBroker(record::RegisterBroker::from(broker.as_ref())));
            if !broker.full_dirs.is_empty() {
                records.push(Record::BrokerSpace(record::BrokerSpace::from(broker.as_ref())));
            }
        }
        for (broker, configs) in &self.broker_configs {
            let resource = broker.map_or(Resource::AllBrokers, |id| Resource::Broker(id.0));
            records.extend(config_records(&resource, configs));
        }
        for (group, configs) in &self.group_configs {
            records.extend(config_records(&Resource::Group(group.to_string()), configs));
        }
        for topic in self.topics.values() {
            records.push(Record::Topic(record::Topic {
                id: topic.id.0,
                name: topic.name.to_string(),
            }));
            records.extend(config_records(&Resource::Topic(topic.id.0), &topic.overrides));
            let partition = |state| Record::Partition(record::Partition::new(topic.id, state));
            records.extend(topic.partitions.iter().map(partition));
        }
        records.push(Record::ProducerIds(record::ProducerIds {
            next: self.next_producer_id,
        }));
        records
    }
}

impl Topic {
    pub fn partition(&self, index: i32) -> Option<&PartitionState> {
        let at = self.partitions.binary_search_by_key(&index, |known| known.index);
        at.ok().and_then(|at| self.partitions.get(at))
    }

    /// How many replicas of a partition of `factor` must be in sync before the high watermark moves on.
    pub fn min_isr(&self, factor: usize) -> usize {
        let configured = usize::try_from(self.config.min_insync_replicas).unwrap_or(1);
        configured.min(factor)
    }
}

/// The name with its '.' made '_', as metric names have it; `None` when it holds neither, so that nothing can collide.
pub(super) fn metric_name(topic: &str) -> Option<String> {
    topic.contains(['.', '_']).then(|| topic.replace('.', "_"))
}

fn config_records(resource: &Resource, configs: &BTreeMap<String, String>) -> impl Iterator<Item = Record> {
    configs.iter().map(|(key, value)| {
        Record::Config(record::Config {
            resource: resource.clone(),
            key: key.clone(),
            value: Some(value.clone()),
        })
    })
}
