//! What follows from the rest of an image and is kept so that no decision needs to look at every topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::PartitionState;
use crate::config::BrokerConfig;
use crate::model::{BrokerId, DirId, PartitionId};

#[derive(Clone, Debug, Default)]
pub(crate) struct Derived {
    /// `None`: the file's values, no dynamic broker config changes them.
    pub config: Option<Arc<BrokerConfig>>,
    /// Names with '.' or '_', each behind the name of the metric that Kafka would make of it.
    pub collisions: imbl::OrdSet<(String, Arc<str>)>,
    per_directory: BTreeMap<DirId, usize>,
    /// The partitions that a broker has a replica of.
    of_broker: BTreeMap<BrokerId, imbl::OrdSet<PartitionId>>,
    leaderships: BTreeMap<BrokerId, usize>,
    leaderless: imbl::OrdSet<PartitionId>,
}

impl Derived {
    pub fn in_directory(&self, directory: &DirId) -> usize {
        self.per_directory.get(directory).copied().unwrap_or(0)
    }

    pub fn of_broker(&self, broker: BrokerId) -> Option<&imbl::OrdSet<PartitionId>> {
        self.of_broker.get(&broker)
    }

    pub fn led_by(&self, broker: BrokerId) -> usize {
        self.leaderships.get(&broker).copied().unwrap_or(0)
    }

    /// Partitions without a leader.
    pub fn leaderless(&self) -> &imbl::OrdSet<PartitionId> {
        &self.leaderless
    }

    /// A partition went from one state to another: from `None` it is new, to `None` it is gone.
    pub fn note(&mut self, id: PartitionId, before: Option<&PartitionState>, after: Option<&PartitionState>) {
        if before.map(|state| &state.replicas) != after.map(|state| &state.replicas) {
            self.note_replicas(id, before, after);
        }
        for directory in before.iter().flat_map(|state| &state.directories) {
            release(&mut self.per_directory, directory);
        }
        for directory in after.iter().flat_map(|state| &state.directories) {
            *self.per_directory.entry(*directory).or_default() += 1;
        }
        if let Some(leader) = before.and_then(|state| state.leader) {
            release(&mut self.leaderships, &leader);
        }
        match after.map(|state| state.leader) {
            Some(Some(leader)) => {
                *self.leaderships.entry(leader).or_default() += 1;
                self.leaderless.remove(&id);
            }
            Some(None) => {
                self.leaderless.insert(id);
            }
            None => {
                self.leaderless.remove(&id);
            }
        }
    }

    fn note_replicas(&mut self, id: PartitionId, before: Option<&PartitionState>, after: Option<&PartitionState>) {
        for broker in before.iter().flat_map(|state| &state.replicas) {
            if let Some(partitions) = self.of_broker.get_mut(broker) {
                partitions.remove(&id);
                if partitions.is_empty() {
                    self.of_broker.remove(broker);
                }
            }
        }
        for broker in after.iter().flat_map(|state| &state.replicas) {
            self.of_broker.entry(*broker).or_default().insert(id);
        }
    }
}

fn release<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}
