//! `kafka-reassign-partitions.sh`: propose, begin, watch, take back and list moves of partitions to other brokers; flags and
//! output as Kafka 4.3 has them.

mod dirs;
mod execute;
mod generate;
mod plan;
mod progress;
mod throttle;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::connect::{ConnectArgs, PlainConnectArgs};
use super::exit;

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("action").required(true).args(["generate", "execute", "verify", "cancel", "list"]))]
pub(super) struct Args {
    #[command(flatten)]
    connect: PlainConnectArgs,
    /// Propose where the partitions of topics could go; nothing is moved
    #[arg(long, requires_all = ["topics_to_move_json_file", "broker_list"])]
    generate: bool,
    /// Begin the moves of a file
    #[arg(long, requires = "reassignment_json_file")]
    execute: bool,
    /// Say how far the moves of a file are; once all are over, take throttles back
    #[arg(long, requires = "reassignment_json_file")]
    verify: bool,
    /// Take back the moves of a file that are not over
    #[arg(long, requires = "reassignment_json_file")]
    cancel: bool,
    /// List the moves that are not over
    #[arg(long)]
    list: bool,
    /// Moves, as --generate proposes them:
    /// {"version": 1, "partitions": [{"topic": "foo", "partition": 1, "replicas": [1, 2, 3]}, …]}
    #[arg(long, value_name = "FILE")]
    reassignment_json_file: Option<PathBuf>,
    /// With --generate: the topics, as {"version": 1, "topics": [{"topic": "foo"}, …]}
    #[arg(long, value_name = "FILE")]
    topics_to_move_json_file: Option<PathBuf>,
    /// With --generate: ids of the brokers to move to, as 1,2,3
    #[arg(long, value_name = "ID,…")]
    broker_list: Option<String>,
    /// With --generate: replicas of a partition may share a rack
    #[arg(long)]
    disable_rack_aware: bool,
    /// With --execute: also while other moves are not over
    #[arg(long)]
    additional: bool,
    /// With --execute: refuse what changes how many replicas a partition has
    #[arg(long)]
    disallow_replication_factor_change: bool,
    /// With --execute: bytes per second that each broker may send, and copy, for the moves; --verify takes the throttle back
    #[arg(long, value_name = "BYTES/S")]
    throttle: Option<i64>,
    /// Refused: these brokers do not move replicas between their log directories
    #[arg(long, value_name = "BYTES/S")]
    replica_alter_log_dirs_throttle: Option<i64>,
    /// For moves between log directories, which these brokers do not do: of no effect
    #[arg(long, value_name = "MS")]
    timeout: Option<i64>,
    /// With --verify and --cancel: leave throttles as they are
    #[arg(long)]
    preserve_throttles: bool,
    /// With --execute and --verify: wait until the moves are over; on a terminal, say how far they are
    #[arg(long)]
    wait: bool,
}

/// Which actions a flag goes with.
const PERMITTED: &[(&str, &[&str])] = &[
    ("reassignment-json-file", &["execute", "verify", "cancel"]),
    ("topics-to-move-json-file", &["generate"]),
    ("broker-list", &["generate"]),
    ("disable-rack-aware", &["generate"]),
    ("additional", &["execute"]),
    ("disallow-replication-factor-change", &["execute"]),
    ("throttle", &["execute"]),
    ("replica-alter-log-dirs-throttle", &["execute"]),
    ("timeout", &["execute", "cancel"]),
    ("preserve-throttles", &["verify", "cancel"]),
    ("wait", &["execute", "verify"]),
];

/// What is wrong, without the word that Kafka's tool puts before other errors.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Terse(String);

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(problem) = misplaced(&args) {
        eprintln!("{problem}");
        return Ok(exit::usage());
    }
    // Kafka's tool prints errors to its standard output, and exits with 1.
    Ok(match act(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            match problem.is::<Terse>() {
                true => println!("{problem}"),
                false => println!("Error: {problem:#}"),
            }
            ExitCode::FAILURE
        }
    })
}

fn act(args: &Args) -> anyhow::Result<()> {
    let file = || plan_file(args.reassignment_json_file.as_deref());
    let mut cluster = ConnectArgs::from(&args.connect).cluster("reassign-partitions-tool")?;
    match action(args) {
        "generate" => generate::run(&mut cluster, args),
        "execute" => execute::execute(&mut cluster, args, &file()?),
        "verify" => verify::run(&mut cluster, args, &file()?),
        "cancel" => execute::cancel(&mut cluster, args, &file()?),
        _ => execute::list(&mut cluster),
    }
}

fn plan_file(file: Option<&Path>) -> anyhow::Result<Vec<plan::Move>> {
    let file = file.context("Missing required argument \"[reassignment-json-file]\"")?;
    plan::moves(&super::json_file::read(file)?)
}

fn action(args: &Args) -> &'static str {
    let actions = [
        ("generate", args.generate),
        ("execute", args.execute),
        ("verify", args.verify),
        ("cancel", args.cancel),
    ];
    let asked = actions.into_iter().find(|(_, asked)| *asked);
    asked.map_or("list", |(name, _)| name)
}

/// A flag that does not go with the action.
fn misplaced(args: &Args) -> Option<String> {
    let given = |flag: &str| match flag {
        "reassignment-json-file" => args.reassignment_json_file.is_some(),
        "topics-to-move-json-file" => args.topics_to_move_json_file.is_some(),
        "broker-list" => args.broker_list.is_some(),
        "disable-rack-aware" => args.disable_rack_aware,
        "additional" => args.additional,
        "disallow-replication-factor-change" => args.disallow_replication_factor_change,
        "throttle" => args.throttle.is_some(),
        "replica-alter-log-dirs-throttle" => args.replica_alter_log_dirs_throttle.is_some(),
        "timeout" => args.timeout.is_some(),
        "preserve-throttles" => args.preserve_throttles,
        _ => args.wait,
    };
    let action = action(args);
    let wrong = PERMITTED
        .iter()
        .find(|(flag, actions)| given(flag) && !actions.contains(&action));
    wrong.map(|(flag, _)| format!("Option \"[{flag}]\" can't be used with action \"[{action}]\""))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Args, misplaced};

    #[derive(Parser)]
    struct Tool {
        #[command(flatten)]
        args: Args,
    }

    fn refusal(line: &str) -> Option<String> {
        let line = format!("tool --bootstrap-server a:1 {line}");
        misplaced(&Tool::try_parse_from(line.split(' ')).ok()?.args)
    }

    /// The sentence of Kafka 4.3.1's tool.
    #[test]
    fn each_flag_goes_with_its_actions_only() {
        assert_eq!(
            refusal("--list --preserve-throttles").as_deref(),
            Some("Option \"[preserve-throttles]\" can't be used with action \"[list]\"")
        );
        assert!(refusal("--generate --topics-to-move-json-file f --broker-list 1 --wait").is_some());
        assert_eq!(
            refusal("--verify --reassignment-json-file f --preserve-throttles"),
            None
        );
    }

    #[test]
    fn an_action_asks_for_its_file() {
        for line in [
            "--execute",
            "--verify",
            "--generate --broker-list 1",
            "--list --verify",
            "",
        ] {
            let line = format!("tool --bootstrap-server a:1 {line}");
            assert!(Tool::try_parse_from(line.trim().split(' ')).is_err(), "{line}");
        }
    }
}
