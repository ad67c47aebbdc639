//! `kafka-leader-election.sh`: preferred replicas lead again, or any replica that is up where no other is left; flags and
//! output as Kafka 4.3 has them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::connect::ConnectArgs;
use super::json_file;
use super::partitions::{ADMIN_TIMEOUT_MS, Named, name_of, names_of};
use crate::client::{ClientError, Cluster};
use crate::model::ErrorCode;
use crate::wire::messages::*;

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["topic", "all_topic_partitions", "path_to_json_file"]))]
pub(super) struct Args {
    #[command(flatten)]
    connect: ConnectArgs,
    /// PREFERRED: the first replica of each partition leads again. UNCLEAN: a partition without a leader gets one that may
    /// not have all that was acknowledged
    #[arg(long, ignore_case = true)]
    election_type: Kind,
    /// A partition of this topic
    #[arg(long, requires = "partition")]
    topic: Option<String>,
    /// The index of the partition
    #[arg(long, requires = "topic")]
    partition: Option<i32>,
    /// All partitions that need such an election
    #[arg(long)]
    all_topic_partitions: bool,
    /// A file with partitions: {"partitions": [{"topic": "foo", "partition": 1}, …]}
    #[arg(long, value_name = "FILE")]
    path_to_json_file: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
enum Kind {
    Preferred,
    Unclean,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Preferred => "PREFERRED",
            Kind::Unclean => "UNCLEAN",
        }
    }
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let asked = match (&args.path_to_json_file, &args.topic, args.partition) {
        (Some(file), ..) => Some(partitions(&json_file::read(file)?)?),
        (None, Some(topic), Some(partition)) => Some(BTreeSet::from([(topic.clone(), partition)])),
        _ => None,
    };
    let mut cluster = args.connect.cluster("admin")?;
    let outcomes = elect(&mut cluster, args.election_type, asked.as_ref())?;
    said(args.election_type, &outcomes)
        .iter()
        .for_each(|line| println!("{line}"));
    match outcomes.failed.len() {
        0 => Ok(ExitCode::SUCCESS),
        failed => bail!("{failed} replica(s) could not be elected"),
    }
}

#[derive(Default)]
struct Outcomes {
    done: BTreeSet<Named>,
    not_needed: BTreeSet<Named>,
    failed: BTreeMap<Named, (ErrorCode, String)>,
}

/// `None`: all partitions that need the election.
fn elect(cluster: &mut Cluster, kind: Kind, asked: Option<&BTreeSet<Named>>) -> anyhow::Result<Outcomes> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in asked.into_iter().flatten() {
        topics.entry(topic).or_default().push(*partition);
    }
    let topic = |(name, partitions): (&str, Vec<i32>)| {
        ElectLeadersTopic::default()
            .with_topic(kafka_string(name))
            .with_partitions(partitions)
    };
    let request = ElectLeadersRequestData::default()
        .with_election_type(kind as i8)
        .with_topic_partitions(asked.map(|_| topics.into_iter().map(topic).collect()))
        .with_timeout_ms(ADMIN_TIMEOUT_MS);
    let answer = cluster.ask(&request)?;
    ClientError::check(answer.error_code, None)?;
    let mut outcomes = Outcomes::default();
    for topic in answer.replica_election_results {
        for result in topic.partition_result {
            let id = (text(&topic.topic), result.partition_id);
            match ErrorCode::from_code(result.error_code) {
                ErrorCode::None => _ = outcomes.done.insert(id),
                ErrorCode::ElectionNotNeeded => _ = outcomes.not_needed.insert(id),
                code => {
                    let message = result.error_message.as_ref().map(text).unwrap_or_default();
                    outcomes.failed.insert(id, (code, message));
                }
            }
        }
    }
    Ok(outcomes)
}

fn said(kind: Kind, outcomes: &Outcomes) -> Vec<String> {
    let kind = kind.word();
    let mut lines = Vec::new();
    if !outcomes.done.is_empty() {
        let done = names_of(&outcomes.done, ", ");
        lines.push(format!(
            "Successfully completed leader election ({kind}) for partitions {done}"
        ));
    }
    if !outcomes.not_needed.is_empty() {
        let not_needed = names_of(&outcomes.not_needed, ", ");
        lines.push(format!("Valid replica already elected for partitions {not_needed}"));
    }
    for (id, (code, message)) in &outcomes.failed {
        let id = name_of(id);
        // Scripts look for the name that Kafka's own tool prints.
        lines.push(format!(
            "Error completing leader election ({kind}) for partition: {id}: \
             org.apache.kafka.common.errors.{code:?}Exception: {message}"
        ));
    }
    lines
}

/// The partitions that the file names.
fn partitions(file: &serde_json::Value) -> anyhow::Result<BTreeSet<Named>> {
    let list = file
        .get("partitions")
        .context("Replica election data is missing \"partitions\" field")?;
    let (mut partitions, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for entry in json_file::list(list, "partitions")? {
        let id = (json_file::string(entry, "topic")?, json_file::int(entry, "partition")?);
        if !partitions.insert(id.clone()) {
            twice.insert(id);
        }
    }
    if !twice.is_empty() {
        bail!(
            "Replica election data contains duplicate partitions: [{}]",
            names_of(&twice, ", ")
        );
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sentences of Kafka 4.3.1's tool.
    #[test]
    fn outcomes_are_told_in_kafkas_sentences() {
        let id = |index| ("foo".to_owned(), index);
        let outcomes = Outcomes {
            done: BTreeSet::from([id(2), id(0)]),
            not_needed: BTreeSet::from([id(1)]),
            failed: BTreeMap::from([(id(3), (ErrorCode::PreferredLeaderNotAvailable, "it is down".to_owned()))]),
        };
        assert_eq!(
            said(Kind::Preferred, &outcomes),
            [
                "Successfully completed leader election (PREFERRED) for partitions foo-0, foo-2",
                "Valid replica already elected for partitions foo-1",
                "Error completing leader election (PREFERRED) for partition: foo-3: \
                 org.apache.kafka.common.errors.PreferredLeaderNotAvailableException: it is down",
            ]
        );
        assert!(said(Kind::Unclean, &Outcomes::default()).is_empty());
    }

    #[test]
    fn a_file_names_each_partition_once() {
        let read = |text: &str| partitions(&serde_json::from_str(text).unwrap());
        let one = r#"{"topic": "foo", "partition": 1}"#;
        assert_eq!(
            read(&format!(r#"{{"partitions": [{one}]}}"#)).unwrap(),
            BTreeSet::from([("foo".to_owned(), 1)])
        );
        let wrong = |text: &str| read(text).unwrap_err().to_string();
        assert_eq!(wrong("{}"), "Replica election data is missing \"partitions\" field");
        assert_eq!(
            wrong(&format!(r#"{{"partitions": [{one}, {one}]}}"#)),
            "Replica election data contains duplicate partitions: [foo-1]"
        );
    }
}
