//! What coordinators know of the cluster beyond their own log.

use std::fmt::Debug;
use std::sync::Arc;

use crate::config::ConsumerSettings;
use crate::model::TopicId;

/// One state of the cluster: it never changes, a newer one takes its place ([`super::GroupCoordinator::set_catalog`]).
pub trait Catalog: Debug + Send + Sync {
    /// Grows with every state.
    fn version(&self) -> u64;

    fn topic(&self, name: &str) -> Option<CatalogTopic>;

    /// What the members of this consumer group are to keep to.
    fn consumer_settings(&self, group: &str) -> ConsumerSettings;

    fn name_of(&self, id: &TopicId) -> Option<Arc<str>>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogTopic {
    pub id: TopicId,
    pub partitions: i32,
}
