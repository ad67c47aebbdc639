//! A cluster of the test's own making.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::group::{Catalog, CatalogTopic};
use crate::model::TopicId;

/// Topics by name. A topic's id is made of the number that it was created with.
#[derive(Clone, Debug, Default)]
pub(super) struct Cluster {
    pub(super) version: u64,
    pub(super) topics: BTreeMap<Arc<str>, CatalogTopic>,
    created: u8,
}

impl Cluster {
    #[expect(dead_code, reason = "for the protocols in which the coordinator assigns")]
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

    fn name_of(&self, id: &TopicId) -> Option<Arc<str>> {
        let named = self.topics.iter().find(|(_, topic)| topic.id == *id);
        named.map(|(name, _)| name.clone())
    }
}
