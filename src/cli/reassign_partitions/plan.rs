//! The JSON of moves: what a file asks for, and the form in which the tool prints assignments.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::dirs::Disks;
use crate::cli::json_file;
use crate::cli::partitions::{Named, name_of, names_of};

/// A partition, and the brokers that are to have it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) id: Named,
    pub(super) replicas: Vec<i32>,
    /// In which directory each broker is to have it; `None`: in any.
    pub(super) dirs: Vec<Option<String>>,
}

/// The one version of both files, also where it is not written.
const VERSION: i64 = 1;
/// Wherever the broker wants to put the replica.
const ANY_LOG_DIR: &str = "any";

/// In the order of the file, and as it says: checked only by [`check`].
pub(super) fn moves(file: &Value) -> anyhow::Result<Vec<Move>> {
    check_version(file)?;
    let Some(partitions) = file.get("partitions") else {
        return Ok(Vec::new());
    };
    json_file::list(partitions, "partitions")?
        .iter()
        .map(one_move)
        .collect()
}

fn one_move(entry: &Value) -> anyhow::Result<Move> {
    let id = (json_file::string(entry, "topic")?, json_file::int(entry, "partition")?);
    let replicas = entry.get("replicas").context("a partition has no \"replicas\"")?;
    let as_id = |id: &Value| id.as_i64().and_then(|id| i32::try_from(id).ok());
    let replicas: Option<Vec<i32>> = json_file::list(replicas, "replicas")?.iter().map(as_id).collect();
    let replicas = replicas.with_context(|| format!("\"replicas\" of {} are not broker ids", name_of(&id)))?;
    let dirs = match entry.get("log_dirs") {
        Some(dirs) => dirs_of(&id, &replicas, json_file::list(dirs, "log_dirs")?)?,
        None => vec![None; replicas.len()],
    };
    Ok(Move { id, replicas, dirs })
}

fn dirs_of(id: &Named, replicas: &[i32], dirs: &[Value]) -> anyhow::Result<Vec<Option<String>>> {
    let dirs: Option<Vec<&str>> = dirs.iter().map(Value::as_str).collect();
    let dirs = dirs.with_context(|| format!("\"log_dirs\" of {} are not strings", name_of(id)))?;
    if dirs.len() != replicas.len() {
        bail!(
            "Size of replicas list {replicas:?} is different from size of log dirs list [{}] for partition {}",
            dirs.join(", "),
            name_of(id)
        );
    }
    let wanted = |dir: &str| (dir != ANY_LOG_DIR).then(|| dir.to_owned());
    Ok(dirs.into_iter().map(wanted).collect())
}

/// The names in a file of topics.
pub(super) fn topics(file: &Value) -> anyhow::Result<Vec<String>> {
    check_version(file)?;
    let Some(topics) = file.get("topics") else {
        return Ok(Vec::new());
    };
    let name = |entry| json_file::string(entry, "topic");
    json_file::list(topics, "topics")?.iter().map(name).collect()
}

fn check_version(file: &Value) -> anyhow::Result<()> {
    match file.get("version") {
        Some(version) if version.as_i64() != Some(VERSION) => bail!("Not supported version field value {version}"),
        _ => Ok(()),
    }
}

/// What can be begun: each partition once, and each of its brokers once.
pub(super) fn check(moves: &[Move]) -> anyhow::Result<BTreeMap<Named, Vec<i32>>> {
    if moves.is_empty() {
        bail!("Partition reassignment list cannot be empty");
    }
    if moves.iter().any(|one| one.replicas.is_empty()) {
        bail!("Partition replica list cannot be empty");
    }
    let partitions = twice(moves.iter().map(|one| &one.id));
    if !partitions.is_empty() {
        bail!(
            "Partition reassignment contains duplicate topic partitions: {}",
            names_of(partitions, ",")
        );
    }
    let mut wrong = Vec::new();
    for one in moves {
        let brokers: Vec<String> = twice(&one.replicas).iter().map(ToString::to_string).collect();
        if !brokers.is_empty() {
            let (id, brokers) = (name_of(&one.id), brokers.join(","));
            wrong.push(format!("{id} contains multiple entries for {brokers}"));
        }
    }
    if !wrong.is_empty() {
        bail!(
            "Partition replica lists may not contain duplicate entries: {}",
            wrong.join(". ")
        );
    }
    Ok(moves.iter().map(|one| (one.id.clone(), one.replicas.clone())).collect())
}

/// What comes more than once.
pub(super) fn twice<T: Ord>(all: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for one in all {
        if let Some(before) = seen.replace(one) {
            twice.insert(before);
        }
    }
    twice
}

/// An assignment in the form of the file that --execute reads, in Kafka's order of fields; with the directories that are
/// known.
pub(super) fn to_json(assignment: &BTreeMap<Named, Vec<i32>>, disks: &Disks) -> String {
    let partition = |(id, replicas): (&Named, &Vec<i32>)| {
        let dir = |broker: &i32| disks.dir_of(&(*broker, id.clone())).unwrap_or(ANY_LOG_DIR);
        let dirs: Vec<&str> = replicas.iter().map(dir).collect();
        format!(
            r#"{{"topic":{},"partition":{},"replicas":{},"log_dirs":{}}}"#,
            json!(id.0),
            id.1,
            json!(replicas),
            json!(dirs)
        )
    };
    let partitions: Vec<String> = assignment.iter().map(partition).collect();
    format!(r#"{{"version":{VERSION},"partitions":[{}]}}"#, partitions.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Vec<Move>> {
        moves(&serde_json::from_str(text).unwrap())
    }

    fn id(index: i32) -> Named {
        ("foo".to_owned(), index)
    }

    fn one(index: i32, replicas: &[i32]) -> Move {
        Move {
            id: id(index),
            replicas: replicas.to_vec(),
            dirs: vec![None; replicas.len()],
        }
    }

    /// What the tool prints can be given to it, and looks as Kafka's.
    #[test]
    fn an_assignment_is_written_as_it_is_read() {
        let assignment = BTreeMap::from([(id(1), vec![3, 1]), (id(0), vec![2])]);
        let text = to_json(&assignment, &Disks::default());
        assert_eq!(
            text,
            r#"{"version":1,"partitions":[{"topic":"foo","partition":0,"replicas":[2],"log_dirs":["any"]},{"topic":"foo","partition":1,"replicas":[3,1],"log_dirs":["any","any"]}]}"#
        );
        assert_eq!(read(&text).unwrap(), [one(0, &[2]), one(1, &[3, 1])]);
        assert_eq!(check(&read(&text).unwrap()).unwrap(), assignment);
        assert_eq!(read("{}").unwrap(), []);
        let with_dir = text.replacen("any", "/data", 1);
        assert_eq!(read(&with_dir).unwrap()[0].dirs, [Some("/data".to_owned())]);
    }

    /// The sentences of Kafka 4.3.1's tool.
    #[test]
    fn what_makes_no_sense_is_refused() {
        let wrong = |text| read(text).unwrap_err().to_string();
        assert_eq!(wrong(r#"{"version": 2}"#), "Not supported version field value 2");
        assert_eq!(
            wrong(r#"{"partitions": [{"topic": "foo", "partition": 0, "replicas": [1, 2], "log_dirs": ["any"]}]}"#),
            "Size of replicas list [1, 2] is different from size of log dirs list [any] for partition foo-0"
        );
        let refusal = |moves: &[Move]| check(moves).unwrap_err().to_string();
        assert_eq!(refusal(&[]), "Partition reassignment list cannot be empty");
        assert_eq!(refusal(&[one(0, &[])]), "Partition replica list cannot be empty");
        assert_eq!(
            refusal(&[one(0, &[1]), one(0, &[2])]),
            "Partition reassignment contains duplicate topic partitions: foo-0"
        );
        assert_eq!(
            refusal(&[one(0, &[1, 2, 1]), one(1, &[3, 3])]),
            "Partition replica lists may not contain duplicate entries: foo-0 contains multiple entries for 1. \
             foo-1 contains multiple entries for 3"
        );
    }
}
