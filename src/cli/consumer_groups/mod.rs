//! `kafka-consumer-groups.sh`: list, describe, move and delete groups and their offsets; flags and output as Kafka 4.3's.

mod ask;
mod describe;
mod list;
mod reset;
mod table;

use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::json;

pub(super) use ask::{Named, delete as delete_group, list as list_groups, offsets_at, partitions};
pub(super) use reset::time_ms;
pub(super) use table::{Width, lines};

use super::connect::ConnectArgs;
use crate::client::Cluster;
use crate::model::ErrorCode;

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("action").required(true)
    .args(["list", "describe", "delete", "delete_offsets", "reset_offsets"]))]
pub(super) struct Args {
    #[command(flatten)]
    connect: ConnectArgs,
    /// List all groups
    #[arg(long)]
    list: bool,
    /// Describe groups: what they have committed, and how far they lag behind
    #[arg(long)]
    describe: bool,
    /// Delete groups without members
    #[arg(long)]
    delete: bool,
    /// Delete the offsets that a group has committed for topics
    #[arg(long)]
    delete_offsets: bool,
    /// Move the offsets of groups without members
    #[arg(long)]
    reset_offsets: bool,
    /// The group; may be given several times
    #[arg(long)]
    group: Vec<String>,
    /// All groups
    #[arg(long, conflicts_with = "group")]
    all_groups: bool,
    /// The topic, or topic:0,1,2 for some of its partitions; may be given several times
    #[arg(long)]
    topic: Vec<String>,
    /// All topics that the group has committed offsets of
    #[arg(long, conflicts_with = "topic")]
    all_topics: bool,
    /// With --describe: offsets and lag, as without it
    #[arg(long)]
    offsets: bool,
    /// With --describe: the members
    #[arg(long)]
    members: bool,
    /// With --describe: the groups' states. With --list: show states, or only groups in these
    #[arg(long, num_args = 0..=1, default_missing_value = "", value_name = "STATES")]
    state: Option<String>,
    /// With --list: show the kinds of the groups, or only groups of these
    #[arg(long, num_args = 0..=1, default_missing_value = "", value_name = "TYPES")]
    r#type: Option<String>,
    /// More columns
    #[arg(long)]
    verbose: bool,
    #[command(flatten)]
    reset: reset::ResetArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Accepted: how long Kafka's tool waits
    #[arg(long, hide = true)]
    timeout: Option<u64>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut cluster = args.connect.cluster("admin")?;
    let done = if args.list {
        list::run(&mut cluster, &args)
    } else if args.describe {
        describe::run(&mut cluster, &args)
    } else if args.reset_offsets {
        reset::run(&mut cluster, &args)
    } else if args.delete {
        delete(&mut cluster, &args)
    } else {
        delete_offsets(&mut cluster, &args)
    };
    Ok(ended(done))
}

/// As Kafka's tools for groups end: the error on the standard output.
pub(super) fn ended(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("\nError: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

/// The groups that the flags name.
fn groups(cluster: &mut Cluster, args: &Args) -> anyhow::Result<Vec<String>> {
    if args.all_groups {
        let listed = ask::list(cluster, &[], &[])?;
        return Ok(listed.into_iter().map(|group| group.id).collect());
    }
    if args.group.is_empty() {
        bail!("Missing required argument \"[group]\"");
    }
    Ok(args.group.clone())
}

fn delete(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    let (mut deleted, mut failed) = (Vec::new(), Vec::new());
    for group in groups(cluster, args)? {
        match ask::delete(cluster, &group)? {
            ErrorCode::None => deleted.push(group),
            error => failed.push((group, error)),
        }
    }
    if args.json {
        let failed: Vec<_> = failed
            .iter()
            .map(|(group, error)| json!({"group": group, "error": format!("{error:?}")}))
            .collect();
        println!("{}", json!({"deleted": deleted, "failed": failed}));
        return Ok(());
    }
    let quoted: Vec<String> = deleted.iter().map(|group| format!("'{group}'")).collect();
    if failed.is_empty() {
        println!(
            "Deletion of requested consumer groups ({}) was successful.",
            quoted.join(", ")
        );
        return Ok(());
    }
    println!("\nError: Deletion of some consumer groups failed:");
    for (group, error) in &failed {
        println!("* Group '{group}' could not be deleted due to: {}", reason(*error));
    }
    if !quoted.is_empty() {
        println!(
            "\nThese consumer groups were deleted successfully: {}",
            quoted.join(", ")
        );
    }
    Ok(())
}

fn reason(error: ErrorCode) -> String {
    match error {
        ErrorCode::NonEmptyGroup => "The group is not empty.".to_owned(),
        ErrorCode::GroupIdNotFound => "The group id does not exist.".to_owned(),
        ErrorCode::GroupSubscribedToTopic => "The consumer group is actively subscribed to the topic.".to_owned(),
        ErrorCode::UnknownTopicOrPartition => "This server does not host this topic-partition.".to_owned(),
        error => format!("{error:?}"),
    }
}

fn delete_offsets(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    let [group] = args.group.as_slice() else {
        bail!("--delete-offsets takes one --group");
    };
    let partitions = ask::partitions(cluster, &args.topic)?;
    let deleted = ask::delete_offsets(cluster, group, &partitions)
        .with_context(|| format!("offsets of group {group} were not deleted"))?;
    let has_failed = deleted.iter().any(|(_, error)| !error.is_none());
    if args.json {
        let rows = deleted.iter().map(|((topic, partition), error)| {
            json!({"topic": topic, "partition": partition, "error": (!error.is_none()).then(|| reason(*error))})
        });
        println!("{}", json!(rows.collect::<Vec<_>>()));
        return Ok(());
    }
    match has_failed {
        true => println!("\nError: Encountered some partition-level error, see the follow-up details:"),
        false => println!("Request succeeded for deleting offsets from group {group}."),
    }
    let rows = deleted.iter().map(|((topic, partition), error)| {
        let status = match error {
            ErrorCode::None => "Successful".to_owned(),
            error => format!("Error: {}", reason(*error)),
        };
        vec![topic.clone(), partition.to_string(), status]
    });
    let widths = [table::Width::Fit(15), table::Width::Fixed(10), table::Width::Fixed(15)];
    print!(
        "{}",
        table::lines(&["TOPIC", "PARTITION", "STATUS"], rows.collect(), &widths)
    );
    Ok(())
}
