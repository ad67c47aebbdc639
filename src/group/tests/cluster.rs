//! A cluster of the test's own making.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::ConsumerSettings;
use crate::group::{Catalog, CatalogTopic};
use crate::model::TopicId;

/// Topics by name. A topic's id is made of the number that it was created with.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) version: u64,
    pub(super) topics: BTreeMap<Arc<str>, CatalogTopic>,
    created: u8,
    /// What consumer groups keep to.
    pub(super) settings: ConsumerSettings,
}

impl Default for Cluster {
    fn default() -> Cluster {
        Cluster {
            version: 0,
            topics: BTreeMap::new(),
            created: 0,
            settings: super::config().consumer.settings,
        }
    }
}

impl Cluster {
    pub(super) fn create(&mut self, name: &str, partitions: i32) {
        self.version += 1;
        self.created += 1;
        let id = TopicId([self.created; 16]);
        self.topics.insert(name.into(), CatalogTopic { id, partitions });
    }
}

impl Catalog for Cluster {
    fn version(&self) -> u64 {
        self.version
    }

    fn topic(&self, name: &str) -> Option<CatalogTopic> {
        self.topics.get(name).copied()
    }

    fn consumer_settings(&self, _group: &str) -> ConsumerSettings {
        self.settings
    }

    fn name_of(&self, id: &TopicId) -> Option<Arc<str>> {
        let named = self.topics.iter().find(|(_, topic)| topic.id == *id);
        named.map(|(name, _)| name.clone())
    }
}
