//! At start: partition directories whose topic is not in the metadata are set aside, and what journals hold of such is
//! forgotten; where there is no metadata at all, the start is refused, since then every topic would be aside.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::metadata::{Embedded, Image, PartitionState, is_quorum_dir};
use crate::metrics::{Metric, Registry};
use crate::model::{BrokerId, DirId, PartitionId};
use crate::storage::{LogDirs, PartitionDir, count_partition_dirs, set_aside_strays};

const LOST: &str = "Restore the metadata directory from a copy (or correct metadata.log.dir); or, to begin anew, give the \
                    broker an empty log directory, or move those directories away";
/// What it had promised the others is lost with its metadata, and an old copy does not know it all.
const LOST_BY_A_NODE: &str = "Correct metadata.log.dir; or, if they are lost, have the others take this node out of the quorum \
                              (kafka-metadata-quorum.sh remove-controller), and start it with empty log directories: what \
                              others have of its partitions is copied to it";

/// Refuses to begin anew where there are records of an earlier life. Before anything is written.
pub fn refuse_lost_metadata(log_dirs: &[PathBuf], metadata_dir: &Path, is_clustered: bool) -> anyhow::Result<()> {
    let unreadable = |path: &Path| format!("read the directory {}", path.display());
    let is_new = Embedded::is_new(metadata_dir).with_context(|| unreadable(metadata_dir))?;
    if !is_new || is_quorum_dir(metadata_dir).with_context(|| unreadable(metadata_dir))? {
        return Ok(());
    }
    for dir in log_dirs {
        let partitions = count_partition_dirs(dir).with_context(|| unreadable(dir))?;
        anyhow::ensure!(
            partitions == 0,
            "there is no metadata in {}, but {partitions} partition directories lie in {}: without metadata their topics \
             are not known. Nothing was changed. {}",
            metadata_dir.display(),
            dir.display(),
            match is_clustered {
                true => LOST_BY_A_NODE,
                false => LOST,
            }
        );
    }
    Ok(())
}

/// Renames them, one warning each, and counts them. Before the shards start: from then on the names are theirs.
pub fn set_aside(dirs: &LogDirs, image: &Image, registry: &Registry) {
    let online = dirs.dirs.iter().filter(|dir| !dir.is_offline());
    let strays: usize = online
        .map(|dir| set_aside_strays(dir, |found| is_known(image, found, dir.id)))
        .sum();
    for dir in dirs.dirs.iter().filter(|dir| !dir.is_offline()) {
        dir.retain_journaled(|id| is_placed(image, id, dir.id));
    }
    // A gauge of the whole broker stands in the first shard's cells.
    registry.shard(0).set(Metric::StrayDirs, strays as i64);
}

/// Whether the directory belongs to a replica of this broker, in that log directory. One that names no topic id is taken by
/// its name, as the log that is opened there will take it.
fn is_known(image: &Image, found: &PartitionDir, dir: DirId) -> bool {
    let topic = match &found.topic_id {
        Some(id) => image.topic_by_id(id),
        None => image.topic(&found.topic),
    };
    // Partitions stand by index, without holes.
    let at = usize::try_from(found.index).unwrap_or(usize::MAX);
    let partition = topic
        .filter(|topic| *topic.name == *found.topic)
        .and_then(|topic| topic.partitions.get(at));
    partition.is_some_and(|partition| is_in(image, partition, dir))
}

/// Whether this broker has a replica of the partition in the directory.
fn is_placed(image: &Image, id: PartitionId, dir: DirId) -> bool {
    let partition = image.partition(&id);
    partition.is_some_and(|(_, partition)| is_in(image, partition, dir))
}

fn is_in(image: &Image, partition: &PartitionState, dir: DirId) -> bool {
    let me = BrokerId(image.broker.broker_id);
    let mut replicas = partition.replicas.iter().zip(&partition.directories);
    replicas.any(|(broker, known)| *broker == me && *known == dir)
}
