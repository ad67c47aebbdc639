//! The cluster as its image shows it to the group coordinators, and what tells them of a new one.

use std::sync::Arc;

use super::Seat;
use crate::config::ConsumerSettings;
use crate::group::{Catalog, CatalogTopic};
use crate::metadata::Image;
use crate::model::{PartitionId, TopicId};
use crate::shard::state::Shard;

impl Catalog for Image {
    fn version(&self) -> u64 {
        self.epoch.0
    }

    fn topic(&self, name: &str) -> Option<CatalogTopic> {
        let topic = Image::topic(self, name)?;
        Some(CatalogTopic {
            id: topic.id,
            partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        })
    }

    fn consumer_settings(&self, group: &str) -> ConsumerSettings {
        let config = &self.config().groups.consumer;
        match self.group_configs.get(group) {
            Some(set) => config.settings_of(set),
            None => config.settings,
        }
    }

    fn name_of(&self, id: &TopicId) -> Option<Arc<str>> {
        self.topic_by_id(id).map(|topic| topic.name.clone())
    }
}

impl Shard {
    /// The shard has a new image. `changed` are the topics that came, went, or have more partitions.
    pub(in crate::shard) fn renew_catalogs(&mut self, changed: &[Arc<str>]) {
        let image = self.image.clone();
        let ids: Vec<PartitionId> = self.coordinators.seats.keys().copied().collect();
        for id in ids {
            // One that loads is given the image of the time when it has loaded.
            if let Some(Seat::Active(active)) = self.coordinators.seats.get_mut(&id) {
                active.coordinator.set_catalog(image.clone(), changed);
            }
        }
    }
}
