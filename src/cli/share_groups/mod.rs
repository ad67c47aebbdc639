//! `kafka-share-groups.sh`: list, describe and delete share groups, and move where they begin; flags and output as Kafka
//! 4.3's.

mod ask;
mod describe;

use std::process::ExitCode;

use anyhow::bail;
use serde_json::json;

use super::connect::ConnectArgs;
use super::consumer_groups::{Named, Width, delete_group, ended, lines, offsets_at, partitions, time_ms};
use crate::client::Cluster;
use crate::model::ErrorCode;

const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("action").required(true)
    .args(["list", "describe", "delete", "delete_offsets", "reset_offsets"]))]
#[command(group = clap::ArgGroup::new("selector").args(["to_earliest", "to_latest", "to_datetime"]))]
pub(super) struct Args {
    #[command(flatten)]
    connect: ConnectArgs,
    /// List all share groups
    #[arg(long)]
    list: bool,
    /// Describe groups: where they begin, and how much lies before them
    #[arg(long)]
    describe: bool,
    /// Delete groups without members
    #[arg(long)]
    delete: bool,
    /// Forget that a group without members ever read topics
    #[arg(long)]
    delete_offsets: bool,
    /// Move where a group without members begins
    #[arg(long)]
    reset_offsets: bool,
    /// The group; may be given several times
    #[arg(long)]
    group: Vec<String>,
    /// All share groups
    #[arg(long, conflicts_with = "group")]
    all_groups: bool,
    /// The topic; with --reset-offsets also topic:0,1,2 for some of its partitions; may be given several times
    #[arg(long)]
    topic: Vec<String>,
    /// All topics that the group has read
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
    /// More columns
    #[arg(long)]
    verbose: bool,
    /// To the oldest record
    #[arg(long)]
    to_earliest: bool,
    /// To the end
    #[arg(long)]
    to_latest: bool,
    /// To the first record since 2026-11-26T12:00:00.000 (UTC, or with an offset behind it as +01:00)
    #[arg(long, value_name = "TIME")]
    to_datetime: Option<String>,
    /// Do it; without it the plan is shown only
    #[arg(long, conflicts_with = "dry_run")]
    execute: bool,
    /// Show the plan only, as by default
    #[arg(long)]
    dry_run: bool,
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
        list(&mut cluster, &args)
    } else if args.describe {
        describe::run(&mut cluster, &args)
    } else if args.reset_offsets {
        reset_offsets(&mut cluster, &args)
    } else if args.delete {
        delete(&mut cluster, &args)
    } else {
        delete_offsets(&mut cluster, &args)
    };
    Ok(ended(done))
}

/// The groups that the flags name.
fn groups(cluster: &mut Cluster, args: &Args) -> anyhow::Result<Vec<String>> {
    if args.all_groups {
        let listed = ask::list(cluster, &[])?;
        return Ok(listed.into_keys().collect());
    }
    if args.group.is_empty() {
        bail!("Missing required argument \"[group]\"");
    }
    Ok(args.group.clone())
}

fn one_group(args: &Args) -> anyhow::Result<&str> {
    match args.group.as_slice() {
        [group] => Ok(group),
        _ => bail!("Missing required argument \"[group]\""),
    }
}

fn list(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    let states = args.state.as_deref().unwrap_or_default().split(',').map(str::trim);
    let states: Vec<String> = states.filter(|state| !state.is_empty()).map(str::to_owned).collect();
    let groups = ask::list(cluster, &states)?;
    if args.json {
        let rows = groups
            .iter()
            .map(|(group, state)| json!({"group": group, "state": state}));
        println!("{}", json!(rows.collect::<Vec<_>>()));
        return Ok(());
    }
    if args.state.is_none() {
        groups.iter().for_each(|(group, _)| println!("{group}"));
        return Ok(());
    }
    let rows = groups.into_iter().map(|(group, state)| vec![group, state]);
    let table = lines(&["GROUP", "STATE"], rows.collect(), &[Width::Fit(15), Width::Open]);
    print!("{}", table.trim_start_matches('\n'));
    Ok(())
}

fn delete(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    let (mut deleted, mut failed) = (Vec::new(), Vec::new());
    let known = ask::list(cluster, &[])?;
    for group in groups(cluster, args)? {
        let state = known.get(&group).map(String::as_str);
        match state {
            None => failed.push((group.clone(), format!("Group '{group}' is not a share group."))),
            Some("Empty") => match delete_group(cluster, &group)? {
                ErrorCode::None => deleted.push(group),
                error => failed.push((group, reason(error))),
            },
            Some(_) => failed.push((group.clone(), format!("Share group '{group}' is not EMPTY."))),
        }
    }
    if args.json {
        let failed = failed
            .iter()
            .map(|(group, error)| json!({"group": group, "error": error}));
        println!("{}", json!({"deleted": deleted, "failed": failed.collect::<Vec<_>>()}));
        return Ok(());
    }
    let quoted: Vec<String> = deleted.iter().map(|group| format!("'{group}'")).collect();
    let quoted = quoted.join(", ");
    if failed.is_empty() {
        println!("Deletion of requested share groups ({quoted}) was successful.");
        return Ok(());
    }
    println!("\nError: Deletion of some share groups failed:");
    for (group, error) in &failed {
        println!("* Group '{group}' could not be deleted due to: {error}");
    }
    if !quoted.is_empty() {
        println!("\nThese share groups were deleted successfully: {quoted}");
    }
    Ok(())
}

fn delete_offsets(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    let group = one_group(args)?;
    if args.topic.is_empty() {
        bail!("Missing required argument \"[topic]\"");
    }
    let deleted = match ask::delete_offsets(cluster, group, &args.topic)? {
        Ok(deleted) => deleted,
        Err(error) => bail!(reason(error)),
    };
    let status = |error: ErrorCode| match error {
        ErrorCode::None => "Successful".to_owned(),
        error => format!("Error: {}", reason(error)),
    };
    if args.json {
        let rows = deleted
            .iter()
            .map(|(topic, error)| json!({"topic": topic, "error": (!error.is_none()).then(|| reason(*error))}));
        println!("{}", json!(rows.collect::<Vec<_>>()));
        return Ok(());
    }
    let rows = deleted.into_iter().map(|(topic, error)| vec![topic, status(error)]);
    print!(
        "{}",
        lines(&["TOPIC", "STATUS"], rows.collect(), &[Width::Fit(15), Width::Open])
    );
    Ok(())
}

fn reset_offsets(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    let group = one_group(args)?;
    if let Some(described) = ask::describe(cluster, group)?
        && !described.members.is_empty()
    {
        bail!("Share group '{group}' is not empty.");
    }
    let partitions: Vec<Named> = match args.topic.is_empty() {
        false => partitions(cluster, &args.topic)?,
        true => ask::offsets(cluster, group)?.into_iter().map(|row| row.named).collect(),
    };
    let mut plan = match &args.to_datetime {
        _ if args.to_earliest => offsets_at(cluster, partitions, EARLIEST)?,
        _ if args.to_latest => offsets_at(cluster, partitions, LATEST)?,
        Some(time) => {
            let Some(ms) = time_ms(time) else {
                bail!("--to-datetime {time}: not of the form 2026-11-26T12:00:00.000");
            };
            let mut plan = offsets_at(cluster, partitions.iter().cloned(), LATEST)?;
            plan.extend(offsets_at(cluster, partitions, ms)?);
            plan
        }
        None => bail!(
            "Option '[reset-offsets]' requires one of the following scenarios: [to-datetime], [to-earliest], [to-latest]"
        ),
    };
    plan.retain(|_, offset| *offset >= 0);
    if args.execute && !plan.is_empty() {
        ask::alter(cluster, group, &plan)?;
    }
    if args.json {
        let rows = plan.iter().map(
            |((topic, index), offset)| json!({"group": group, "topic": topic, "partition": index, "newOffset": offset}),
        );
        println!("{}", json!(rows.collect::<Vec<_>>()));
        return Ok(());
    }
    let rows = plan
        .into_iter()
        .map(|((topic, index), offset)| vec![group.to_owned(), topic, index.to_string(), offset.to_string()]);
    let widths = [Width::Fit(15), Width::Fit(15), Width::Fixed(10), Width::Open];
    print!(
        "{}",
        lines(&["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"], rows.collect(), &widths)
    );
    Ok(())
}

fn reason(error: ErrorCode) -> String {
    match error {
        ErrorCode::NonEmptyGroup => "The group is not empty.".to_owned(),
        ErrorCode::GroupIdNotFound => "The group id does not exist.".to_owned(),
        ErrorCode::UnknownTopicOrPartition => "This server does not host this topic-partition.".to_owned(),
        error => format!("{error:?}"),
    }
}
