//! Partition directories that belong to no topic: set aside at start under another name, never removed.
//!
//! A crash can come between the deletion of a topic and that of its directories; a log directory can be carried over from
//! another broker, or lose the metadata that it belonged to. Left where they lie, such directories would be in the way of
//! a new topic of the name.

use std::io;
use std::path::Path;

use super::LogDir;
use super::layout::{
    PARTITION_METADATA, STRAY_DIR, aside_dir_name, parse_partition_dir_name, parse_partition_metadata,
};
use crate::model::TopicId;
use crate::rt::{blocking, random_u64};

/// The log of a KRaft quorum lies beside the partitions where Kafka ran in both roles. No topic can have its name.
const QUORUM_TOPIC: &str = "__cluster_metadata";

/// A directory `<topic>-<index>`, and whose it says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDir {
    pub topic: String,
    pub index: i32,
    /// `None`: there is no partition.metadata, or none that can be understood.
    pub topic_id: Option<TopicId>,
}

/// Renames every partition directory that `is_known` does not know to `<topic>-<index>.<32 hex digits>-stray`, and says
/// so. Gives the number of stray directories that lie there now, those of earlier starts included.
pub fn set_aside_strays(dir: &LogDir, is_known: impl Fn(&PartitionDir) -> bool) -> usize {
    match sort_out(&dir.path, is_known) {
        Ok(strays) => strays,
        Err(error) => {
            dir.set_offline(&format!("look for stray directories: {error}"));
            0
        }
    }
}

/// How many partition directories lie in a log directory, whoever's they are; none where it does not exist.
pub fn count_partition_dirs(path: &Path) -> io::Result<usize> {
    let entries = match blocking::list_dir(path) {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let is_partition = |name: &str| parse_partition_dir_name(name).is_some_and(|(topic, _)| topic != QUORUM_TOPIC);
    Ok(entries
        .iter()
        .filter(|(name, is_dir)| *is_dir && is_partition(name))
        .count())
}

fn sort_out(path: &Path, is_known: impl Fn(&PartitionDir) -> bool) -> io::Result<usize> {
    let (mut strays, mut renamed) = (0, false);
    for (name, _) in blocking::list_dir(path)?.iter().filter(|(_, is_dir)| *is_dir) {
        if name.ends_with(STRAY_DIR) {
            strays += 1;
        } else if let Some(found) = partition_dir(path, name)?.filter(|found| !is_known(found)) {
            set_aside(path, name, &found)?;
            (strays, renamed) = (strays + 1, true);
        }
    }
    if renamed {
        blocking::sync_dir(path)?;
    }
    Ok(strays)
}

fn partition_dir(path: &Path, name: &str) -> io::Result<Option<PartitionDir>> {
    let Some((topic, index)) = parse_partition_dir_name(name).filter(|(topic, _)| *topic != QUORUM_TOPIC) else {
        return Ok(None);
    };
    let topic_id = match blocking::read_file(&path.join(name).join(PARTITION_METADATA)) {
        Ok(content) => parse_partition_metadata(&String::from_utf8_lossy(&content)),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let topic = topic.to_owned();
    Ok(Some(PartitionDir { topic, index, topic_id }))
}

fn set_aside(path: &Path, name: &str, found: &PartitionDir) -> io::Result<()> {
    let unique = u128::from(random_u64()) << 64 | u128::from(random_u64());
    let (from, aside) = (
        path.join(name),
        path.join(aside_dir_name(&found.topic, found.index, unique, STRAY_DIR)),
    );
    blocking::rename(&from, &aside)?;
    let topic_id = found.topic_id.map_or_else(|| "none".to_owned(), |id| id.to_string());
    tracing::warn!(
        path = %from.display(), aside = %aside.display(), topic_id,
        "stray directory: by the metadata no such replica is here, so it was renamed; remove it, or, if its records are \
         needed, give it back to the broker that it came from under its old name"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DirId;
    use crate::storage::layout::partition_metadata;
    use crate::storage::testing::scratch;

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<_> = blocking::list_dir(path)
            .expect("listed")
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        names.sort_unstable();
        names
    }

    #[test] // Goal: what belongs to no topic is renamed with all that it holds and counted at every start; nothing else is touched.
    fn strays_are_set_aside_and_kept() {
        let scratch = scratch();
        let id = TopicId([7; 16]);
        for name in [
            "known-0",
            "by-name-3",
            "gone-0",
            "a-b-12",
            "x-1.00-delete",
            "notes",
            "t-x",
            "__cluster_metadata-0",
        ] {
            blocking::create_dir_all(&scratch.path().join(name)).expect("made");
        }
        let told = |name: &str| scratch.path().join(name).join(PARTITION_METADATA);
        blocking::write_file_atomic(&told("known-0"), partition_metadata(id).as_bytes()).expect("written");
        blocking::write_file_atomic(&told("gone-0"), partition_metadata(TopicId([8; 16])).as_bytes()).expect("written");
        let is_known = |found: &PartitionDir| found.topic_id == Some(id) || found.topic == "by-name";

        let dir = LogDir::new(scratch.path().to_owned(), DirId([1; 16]));
        for _ in 0..2 {
            assert_eq!(set_aside_strays(&dir, is_known), 2);
        }
        let names = names(scratch.path());
        assert_eq!(names.len(), 8, "{names:?}");
        for kept in [
            "known-0",
            "by-name-3",
            "x-1.00-delete",
            "notes",
            "t-x",
            "__cluster_metadata-0",
        ] {
            assert!(names.iter().any(|name| name == kept), "{kept} is left alone");
        }
        let stray = |start: &str| {
            let is_stray = |name: &&String| name.starts_with(start) && name.ends_with(STRAY_DIR);
            names
                .iter()
                .find(is_stray)
                .unwrap_or_else(|| panic!("{start}: {names:?}"))
        };
        stray("a-b-12.");
        assert!(blocking::read_file(&told(stray("gone-0."))).is_ok());
    }

    #[test] // Goal: a directory that cannot be looked at is offline, not empty.
    fn an_unreadable_directory_goes_offline() {
        let dir = LogDir::new(scratch().path().join("gone"), DirId([1; 16]));
        assert_eq!(set_aside_strays(&dir, |_| false), 0);
        assert!(dir.is_offline());
    }
}
