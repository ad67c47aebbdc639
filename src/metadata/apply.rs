//! `Image::apply`: what each record does to an image. Pure and total: a record that finds nothing to change changes
//! nothing, and a log that is applied twice from the start leads to the same image as once. It never refuses: what may
//! be written is `decide`'s matter.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::image::{Image, Topic, metric_name};
use super::record::{self, Record, Resource};
use crate::config::{BrokerConfig, TopicConfig};
use crate::model::{BrokerId, PartitionId, TopicId};

impl Image {
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::ClusterId(record) => self.cluster_id = record.id.as_str().into(),
            Record::RegisterBroker(record) => self.apply_broker(record),
            Record::Topic(record) => self.apply_topic(record),
            Record::Partition(record) => self.apply_partition(record),
            Record::RemoveTopic(record) => self.remove_topic(&TopicId(record.id)),
            Record::Config(record) => match &record.resource {
                Resource::Topic(id) => self.apply_topic_config(&TopicId(*id), record),
                Resource::Broker(id) => self.apply_broker_config(Some(BrokerId(*id)), record),
                Resource::AllBrokers => self.apply_broker_config(None, record),
                Resource::Group(id) => self.apply_group_config(id, record),
            },
            Record::BrokerChange(record) => self.change_broker(record),
            Record::BrokerSpace(record) => self.change_space(record),
            Record::UnregisterBroker(record) => self.remove_broker(record),
            Record::ProducerIds(record) => self.next_producer_id = self.next_producer_id.max(record.next),
        }
    }

    pub fn apply_all<'a>(&mut self, records: impl IntoIterator<Item = &'a Record>) {
        for record in records {
            self.apply(record);
        }
    }

    /// This broker's file says something else now. No record: it is of this process alone.
    pub fn reread(&mut self, broker: Arc<BrokerConfig>) {
        // What topics have now, to tell whether it changes.
        self.derived.config = Some(self.config().clone());
        self.broker = broker;
        self.rereads += 1;
        self.derive_topic_configs();
    }

    fn apply_broker(&mut self, record: &record::RegisterBroker) {
        let id = BrokerId(record.id);
        if self.brokers.get(&id).is_some_and(|known| known.epoch > record.epoch) {
            return;
        }
        self.brokers.insert(id, Arc::new(record.state()));
    }

    fn change_broker(&mut self, record: &record::BrokerChange) {
        let known = self.brokers.get_mut(&BrokerId(record.id));
        if let Some(broker) = known.filter(|broker| broker.epoch == record.epoch) {
            *broker = Arc::new(record.changed(broker));
        }
    }

    fn change_space(&mut self, record: &record::BrokerSpace) {
        let known = self.brokers.get_mut(&BrokerId(record.id));
        if let Some(broker) = known.filter(|broker| broker.epoch == record.epoch) {
            *broker = Arc::new(record.changed(broker));
        }
    }

    fn remove_broker(&mut self, record: &record::UnregisterBroker) {
        let id = BrokerId(record.id);
        if self.brokers.get(&id).is_some_and(|known| known.epoch == record.epoch) {
            self.brokers.remove(&id);
        }
    }

    fn apply_topic(&mut self, record: &record::Topic) {
        let id = TopicId(record.id);
        if self.topics_by_id.contains_key(&id) {
            return;
        }
        if let Some(earlier) = self.topics.get(record.name.as_str()) {
            let earlier = earlier.id;
            self.remove_topic(&earlier);
        }
        let name: Arc<str> = record.name.as_str().into();
        if let Some(metric) = metric_name(&name) {
            self.derived.collisions.insert((metric, name.clone()));
        }
        let topic = Arc::new(Topic {
            name: name.clone(),
            id,
            partitions: Vec::new(),
            overrides: Arc::default(),
            config: self.topic_defaults().clone(),
        });
        self.topics.insert(name, topic.clone());
        self.topics_by_id.insert(id, topic);
    }

    fn remove_topic(&mut self, id: &TopicId) {
        let Some(topic) = self.topics_by_id.remove(id) else {
            return;
        };
        self.topics.remove(&topic.name);
        if let Some(metric) = metric_name(&topic.name) {
            self.derived.collisions.remove(&(metric, topic.name.clone()));
        }
        for partition in &topic.partitions {
            let index = partition.index;
            self.derived
                .note(PartitionId { topic: *id, index }, Some(partition), None);
        }
    }

    fn apply_partition(&mut self, record: &record::Partition) {
        let state = record.state();
        let (topic, index) = (TopicId(record.topic), record.index);
        let replaced = self.change_topic(&topic, |topic| {
            match topic.partitions.binary_search_by_key(&index, |known| known.index) {
                Ok(at) => Some(std::mem::replace(&mut topic.partitions[at], state.clone())),
                Err(at) => {
                    topic.partitions.insert(at, state.clone());
                    None
                }
            }
        });
        if let Some(before) = replaced {
            let id = PartitionId { topic, index };
            self.derived.note(id, before.as_ref(), Some(&state));
        }
    }

    fn apply_topic_config(&mut self, id: &TopicId, record: &record::Config) {
        let defaults = self.topic_defaults().clone();
        self.change_topic(id, |topic| {
            change_key(Arc::make_mut(&mut topic.overrides), record);
            topic.config = resolved(&defaults, &topic.overrides);
        });
    }

    fn apply_broker_config(&mut self, broker: Option<BrokerId>, record: &record::Config) {
        let configs = self.broker_configs.entry(broker).or_default();
        change_key(Arc::make_mut(configs), record);
        if configs.is_empty() {
            self.broker_configs.remove(&broker);
        }
        self.derive_topic_configs();
    }

    fn apply_group_config(&mut self, id: &str, record: &record::Config) {
        let mut configs = self.group_configs.get(id).cloned().unwrap_or_default();
        change_key(Arc::make_mut(&mut configs), record);
        match configs.is_empty() {
            true => drop(self.group_configs.remove(id)),
            false => drop(self.group_configs.insert(id.into(), configs)),
        }
    }

    /// A default changed: the one change that looks at every topic.
    fn derive_topic_configs(&mut self) {
        let config = Arc::new(self.broker.with_dynamic(self.dynamic_configs()));
        let defaults = config.topic_defaults.clone();
        let is_same = defaults == *self.topic_defaults();
        self.derived.config = Some(config);
        if is_same {
            return;
        }
        let ids: Vec<TopicId> = self.topics_by_id.keys().copied().collect();
        for id in ids {
            self.change_topic(&id, |topic| topic.config = resolved(&defaults, &topic.overrides));
        }
    }

    /// Changes a topic in both maps. In place where no other image holds it, so that a topic of ten thousand partitions
    /// is built in linear time: for that the second map lets go of it meanwhile.
    fn change_topic<T>(&mut self, id: &TopicId, change: impl FnOnce(&mut Topic) -> T) -> Option<T> {
        let name = self.topics_by_id.remove(id)?.name.clone();
        let topic = self.topics.get_mut(&name)?;
        let outcome = change(Arc::make_mut(topic));
        self.topics_by_id.insert(*id, topic.clone());
        Some(outcome)
    }
}

fn change_key(configs: &mut BTreeMap<String, String>, record: &record::Config) {
    match &record.value {
        Some(value) => configs.insert(record.key.clone(), value.clone()),
        None => configs.remove(&record.key),
    };
}

/// Overrides over defaults. An override that this release finds invalid (an earlier one wrote it) has no effect; the
/// others keep theirs.
fn resolved(defaults: &Arc<TopicConfig>, overrides: &BTreeMap<String, String>) -> Arc<TopicConfig> {
    if overrides.is_empty() {
        return defaults.clone();
    }
    if let Ok(config) = TopicConfig::resolve(defaults, overrides) {
        return Arc::new(config);
    }
    let mut config = defaults.as_ref().clone();
    for (key, value) in overrides {
        let single = BTreeMap::from([(key.clone(), value.clone())]);
        config = TopicConfig::resolve(&config, &single).unwrap_or(config);
    }
    Arc::new(config)
}

#[cfg(test)]
mod tests;
