//! At start: partition directories whose topic is not in the metadata are set aside.

use crate::metadata::Image;
use crate::metrics::{Metric, Registry};
use crate::model::BrokerId;
use crate::storage::{LogDirs, PartitionDir, set_aside_strays};

/// Renames them, one warning each, and counts them. Before the shards start: from then on the names are theirs.
pub fn set_aside(dirs: &LogDirs, image: &Image, registry: &Registry) {
    let online = dirs.dirs.iter().filter(|dir| !dir.is_offline());
    let strays: usize = online
        .map(|dir| set_aside_strays(dir, |found| is_known(image, found)))
        .sum();
    // A gauge of the whole broker stands in the first shard's cells.
    registry.shard(0).set(Metric::StrayDirs, strays as i64);
}

/// Whether the directory belongs to a replica of this broker. One that names no topic id is taken by its name, as the log
/// that is opened there will take it.
fn is_known(image: &Image, found: &PartitionDir) -> bool {
    let me = BrokerId(image.broker.broker_id);
    let topic = match &found.topic_id {
        Some(id) => image.topic_by_id(id),
        None => image.topic(&found.topic),
    };
    // Partitions stand by index, without holes.
    let at = usize::try_from(found.index).unwrap_or(usize::MAX);
    let partition = topic
        .filter(|topic| *topic.name == *found.topic)
        .and_then(|topic| topic.partitions.get(at));
    partition.is_some_and(|partition| partition.replicas.contains(&me))
}
