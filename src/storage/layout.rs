//! Names and small texts of a log's directory, as Kafka writes them (FORMAT.md draws them). Pure.

use std::path::{Path, PathBuf};

use crate::model::TopicId;

pub(super) const LOG: &str = "log";
pub(super) const INDEX: &str = "index";
pub(super) const TIME_INDEX: &str = "timeindex";
pub(super) const TXN_INDEX: &str = "txnindex";
pub(super) const SNAPSHOT: &str = "snapshot";
/// What retention takes out of the log is renamed to end so, then unlinked.
pub(super) const DELETED: &str = ".deleted";
/// What compaction writes ends so, until it is complete…
pub(super) const CLEANED: &str = ".cleaned";
/// …and so while it takes the place of what it was made from.
pub(super) const SWAP: &str = ".swap";
/// What recovery could not understand is renamed to end so, and kept for the operator.
pub(super) const CORRUPT: &str = ".corrupt";
/// A partition's directory on its way out is renamed to end so.
pub(super) const DELETE_DIR: &str = "-delete";
/// A partition's directory that belongs to no topic is renamed to end so, and kept.
pub(super) const STRAY_DIR: &str = "-stray";

pub(super) const PARTITION_METADATA: &str = "partition.metadata";
pub(super) const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
/// Which life a log is in, for what journals and checkpoints hold of it.
pub(super) const JOURNAL_LIFE: &str = "journal-life";
pub(super) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
pub(super) const LOG_STARTS: &str = "log-start-offset-checkpoint";
pub(super) const CLEANED_UPTO: &str = "cleaner-offset-checkpoint";
pub(super) const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
/// In which of its lives a log's offsets were noted.
pub(super) const LIVES: &str = "log-life-checkpoint";
pub(super) const TOPIC_IDS: &str = "topic-id-checkpoint";
pub(super) const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
pub(super) const META_PROPERTIES: &str = "meta.properties";
pub(super) const LOCK: &str = ".lock";

/// The longest name that a directory entry may have on Linux's file systems.
const NAME_LEN_MAX: usize = 255;

/// `<dir>/<base offset in 20 digits>.<suffix>`.
pub(super) fn segment_path(dir: &Path, base_offset: i64, suffix: &str) -> PathBuf {
    dir.join(format!("{base_offset:020}.{suffix}"))
}

/// The base offset and suffix of a segment's file; `None` for any other name.
pub(super) fn parse_segment_name(name: &str) -> Option<(i64, &str)> {
    let (digits, suffix) = name.split_once('.')?;
    if digits.len() != 20 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some((digits.parse().ok()?, suffix))
}

/// `path` with `suffix` behind its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The topic and index in the name of a partition's directory; `None` for any other name.
pub(super) fn parse_partition_dir_name(name: &str) -> Option<(&str, i32)> {
    let (topic, index) = name.rsplit_once('-')?;
    let is_number = !index.is_empty() && index.bytes().all(|digit| digit.is_ascii_digit());
    (is_number && !topic.is_empty()).then(|| Some((topic, index.parse().ok()?)))?
}

/// The name under which a partition's directory makes room: `<topic>-<index>.<32 hex digits>` and what becomes of it
/// (`-delete`, `-stray`), the topic cut where the name would be too long, as in Kafka.
pub(super) fn aside_dir_name(topic: &str, index: i32, unique: u128, suffix: &str) -> String {
    let tail = format!("-{index}.{unique:032x}{suffix}");
    let kept = topic.len().min(NAME_LEN_MAX - tail.len());
    format!("{}{tail}", topic.get(..kept).unwrap_or_default())
}

/// The text of `partition.metadata`.
pub(super) fn partition_metadata(topic_id: TopicId) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

/// The topic id in a `partition.metadata`; `None` when the text is not of that form.
pub(super) fn parse_partition_metadata(text: &str) -> Option<TopicId> {
    let mut lines = text.lines();
    lines.next()?.strip_prefix("version:")?.trim().parse::<u16>().ok()?;
    lines.next()?.strip_prefix("topic_id:")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // Goal: names have Kafka's 20 digits, and only such names are taken for segments.
    fn segment_names_are_kafkas() {
        let path = segment_path(Path::new("/d/t-0"), 1234, LOG);
        assert_eq!(path, Path::new("/d/t-0/00000000000000001234.log"));
        assert_eq!(parse_segment_name("00000000000000001234.log"), Some((1234, LOG)));
        assert_eq!(
            parse_segment_name("00000000000000001234.log.deleted"),
            Some((1234, "log.deleted"))
        );
        for other in [
            "1234.log",
            "0000000000000000123x.log",
            "99999999999999999999.log",
            "partition.metadata",
            "",
        ] {
            assert_eq!(parse_segment_name(other), None, "{other}");
        }
    }

    #[test] // Goal: partition.metadata is what Kafka writes, and what it writes is read back.
    fn partition_metadata_is_kafkas() {
        let id = TopicId([7; 16]);
        let text = partition_metadata(id);
        assert_eq!(text, "version: 0\ntopic_id: BwcHBwcHBwcHBwcHBwcHBw");
        assert_eq!(parse_partition_metadata(&text), Some(id));
        assert_eq!(parse_partition_metadata("version: 0\n"), None);
        assert_eq!(parse_partition_metadata("garbage"), None);
    }

    #[test] // Goal: the longest topic name still gives a name that the file system takes.
    fn names_of_what_makes_room_fit_the_file_system() {
        let name = aside_dir_name(&"t".repeat(249), 2_000_000_000, u128::MAX, DELETE_DIR);
        assert_eq!(name.len(), NAME_LEN_MAX);
        assert!(name.ends_with(DELETE_DIR));
    }

    #[test] // Goal: a partition's directory is known by its name, and nothing that was renamed is.
    fn partition_directories_are_known_by_their_names() {
        assert_eq!(parse_partition_dir_name("a-b-12"), Some(("a-b", 12)));
        for other in [
            "a",
            "-1",
            "a-",
            "a-1x",
            "a-99999999999",
            "a-1.00-delete",
            "a-1.00-stray",
        ] {
            assert_eq!(parse_partition_dir_name(other), None, "{other}");
        }
    }
}
