//! Log directories while no broker runs: whose they are, and how they are given an identity before a first start. A start
//! without that gives it by itself.

use std::io;
use std::path::{Path, PathBuf};

use super::dirs::{LogDirError, LogDirs, Meta, make_dir, settle_meta};
use super::layout::META_PROPERTIES;
use crate::model::DirId;
use crate::rt::blocking;

/// What is at a log directory's path.
#[derive(Debug, PartialEq)]
pub enum Found {
    Nothing,
    NoDirectory,
    /// A directory without an identity.
    Unformatted,
    Formatted(Identity),
    /// Why its identity cannot be read.
    Unreadable(String),
}

/// What `meta.properties` says.
#[derive(Debug, PartialEq)]
pub struct Identity {
    pub cluster_id: Option<String>,
    pub node_id: Option<i32>,
    pub directory_id: Option<DirId>,
    /// All of it, as `key=value`, in the order of the keys.
    pub lines: Vec<String>,
}

/// Changes nothing.
pub fn look(path: &Path) -> Found {
    match blocking::list_dir(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Nothing,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Found::NoDirectory,
        Err(error) => return Found::Unreadable(error.to_string()),
    }
    match Meta::load(path) {
        Ok(None) => Found::Unformatted,
        Ok(Some(meta)) => Found::Formatted(identity(&meta)),
        Err(LogDirError::Refused(why)) => Found::Unreadable(why),
    }
}

fn identity(meta: &Meta) -> Identity {
    let mut lines: Vec<String> = meta.to_text().lines().map(str::to_owned).collect();
    lines.sort();
    Identity {
        cluster_id: meta.cluster_id.clone(),
        node_id: meta.broker_id,
        directory_id: meta.directory_id,
        lines,
    }
}

/// Gives an identity to those directories that have none, and gives their paths. Nothing is touched if one of the others is
/// another cluster's or node's, or, unless `ignore_formatted`, if there are others at all. `given`: a directory's id, where it
/// is not to be drawn.
pub fn format(
    paths: &[PathBuf],
    node_id: i32,
    cluster_id: &str,
    ignore_formatted: bool,
    given: Option<(&Path, DirId)>,
) -> Result<Vec<PathBuf>, LogDirError> {
    let refused = |message: String| Err(LogDirError::Refused(message));
    let mut new = Vec::new();
    let mut formatted = Vec::new();
    for path in paths {
        let Some(meta) = Meta::load(path)? else {
            new.push(path.clone());
            continue;
        };
        check(path, &identity(&meta), node_id, cluster_id)?;
        formatted.push(path);
    }
    if let (Some(path), false) = (formatted.first(), ignore_formatted) {
        return refused(format!(
            "Log directory {} is already formatted. Use --ignore-formatted to ignore this directory and format the others.",
            path.display()
        ));
    }
    if let Some((path, id)) = given.filter(|(path, _)| new.iter().any(|one| one == path)) {
        Meta::begin(path, id)?;
    }
    if !new.is_empty() {
        // As a start would open them: what it refuses is not formatted either.
        LogDirs::open_in_cluster(paths, node_id, Some(cluster_id.to_owned()))?;
    }
    Ok(new)
}

/// Gives an identity to a directory for metadata only, unless it has one: its id, and whether it is new. `given`: the id, where
/// it is not to be drawn.
pub fn settle_metadata_dir(
    path: &Path,
    node_id: i32,
    cluster_id: &str,
    given: Option<DirId>,
) -> Result<(DirId, bool), LogDirError> {
    let found = Meta::load(path)?;
    match (&found, given) {
        (Some(meta), _) => check(path, &identity(meta), node_id, cluster_id)?,
        (None, Some(id)) => Meta::begin(path, id)?,
        (None, None) => make_dir(path)?,
    }
    let meta = Meta::load(path)?.unwrap_or_default();
    let id = settle_meta(path, meta, node_id, cluster_id)?;
    Ok((id, found.is_none()))
}

fn check(path: &Path, found: &Identity, node_id: i32, cluster_id: &str) -> Result<(), LogDirError> {
    let file = path.join(META_PROPERTIES);
    let file = file.display();
    if let Some(other) = found.cluster_id.as_deref().filter(|id| *id != cluster_id) {
        return Err(LogDirError::Refused(format!(
            "Invalid cluster.id in: {file}. Expected {cluster_id}, but read {other}"
        )));
    }
    if let Some(other) = found.node_id.filter(|id| *id != node_id) {
        return Err(LogDirError::Refused(format!(
            "Stored node id {other} doesn't match previous node id {node_id} in {file}. If you moved your data, make sure \
             your configured node id matches. If you intend to create a new node, you should remove all data in your data \
             directories."
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::testing::scratch;

    /// What is formatted is what a start takes, and it keeps the cluster's id.
    #[test]
    fn a_start_takes_what_was_formatted() {
        let scratch = scratch();
        let paths = [scratch.path().join("a"), scratch.path().join("b")];
        assert_eq!(look(&paths[0]), Found::Nothing);
        assert_eq!(
            format(&paths, 7, "abc", false, Some((&paths[1], DirId([3; 16])))).unwrap(),
            paths
        );
        let Found::Formatted(identity) = look(&paths[1]) else {
            panic!("it has an identity");
        };
        assert_eq!(
            (identity.cluster_id.as_deref(), identity.node_id, identity.directory_id),
            (Some("abc"), Some(7), Some(DirId([3; 16])))
        );
        assert_eq!(
            (
                identity.lines.first().unwrap().as_str(),
                identity.lines.last().unwrap().as_str()
            ),
            ("cluster.id=abc", "version=1")
        );
        let (_, cluster) = LogDirs::open(&paths, 7).unwrap();
        assert_eq!(cluster, "abc");
    }

    /// A directory for metadata only has an identity like the others, and keeps it.
    #[test]
    fn a_metadata_directory_has_an_identity_too() {
        let scratch = scratch();
        let path = scratch.path().join("metadata");
        let (id, is_new) = settle_metadata_dir(&path, 7, "abc", None).unwrap();
        assert!(is_new);
        assert_eq!(settle_metadata_dir(&path, 7, "abc", None).unwrap(), (id, false));
        assert!(settle_metadata_dir(&path, 7, "xyz", None).is_err());
        assert!(matches!(look(&path), Found::Formatted(identity) if identity.directory_id == Some(id)));
        let given = DirId([3; 16]);
        let other = settle_metadata_dir(&scratch.path().join("other"), 7, "abc", Some(given));
        assert_eq!(other.unwrap(), (given, true));
    }

    /// A formatted directory is left alone: said so, or skipped where that is asked for; another's is always refused.
    #[test]
    fn formatted_directories_are_left_alone() {
        let scratch = scratch();
        let path = |name: &str| scratch.path().join(name);
        format(&[path("a")], 7, "abc", false, None).unwrap();
        let refusal = |node_id, cluster: &str, ignore| {
            let error = format(&[path("b"), path("a")], node_id, cluster, ignore, None).unwrap_err();
            assert_eq!(look(&path("b")), Found::Nothing);
            error.to_string()
        };
        assert!(refusal(7, "abc", false).starts_with(&format!("Log directory {} is already", path("a").display())));
        assert!(refusal(7, "xyz", true).ends_with("Expected xyz, but read abc"));
        assert!(refusal(8, "abc", true).starts_with("Stored node id 7 doesn't match previous node id 8"));
        let formatted = format(&[path("b"), path("a")], 7, "abc", true, None).unwrap();
        assert_eq!(formatted, [path("b")]);
        let left = format(&[path("b"), path("a")], 7, "abc", true, None).unwrap();
        assert!(left.is_empty());
        blocking::write_file_atomic(&path("file"), b"").unwrap();
        assert_eq!(look(&path("file")), Found::NoDirectory);
        assert_eq!(look(scratch.path()), Found::Unformatted);
    }
}
