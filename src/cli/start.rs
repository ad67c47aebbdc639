//! `corelane start` and `corelane config check`: from a server.properties to a running broker.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::configuration::{self, Resolved, located, read_properties};
use super::exit;
use crate::broker;
use crate::config::{BrokerConfig, ConfigProblem, Properties};
use crate::logging;
use crate::rt::{blocking, tool};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The server.properties; without it: a single node on 127.0.0.1:9092 with its data under ./data
    file: Option<PathBuf>,
    /// Set a key over the file, as key=value; may be given several times
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Go to the background; the log goes to $LOG_DIR or ./logs, into kafkaServer.out
    #[arg(long)]
    daemon: bool,
}

#[derive(clap::Args)]
pub(super) struct CheckArgs {
    /// The server.properties
    file: PathBuf,
    /// Set a key over the file, as key=value; may be given several times
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.daemon {
        return start_in_background(&args);
    }
    logging::start();
    let name = match &args.file {
        Some(file) => file.display().to_string(),
        None => "the embedded default".to_owned(),
    };
    let resolved = match resolve(&args)? {
        Ok(resolved) => resolved,
        Err(problems) => return Ok(refuse(&name, &problems)),
    };
    logging::configure(&resolved.config.log_levels);
    let of_environment = crate::config::environment_problems(configuration::environment());
    for problem in resolved.problems.iter().chain(&of_environment) {
        tracing::warn!("{}", located(&name, problem));
    }
    if !resolved.from_environment.is_empty() {
        tracing::info!(keys = resolved.from_environment.join(","), "set by the environment");
    }
    tracing::info!(config = %name, version = env!("CARGO_PKG_VERSION"), "starting");
    broker::run(resolved.config, Box::new(move || reread(&args, &name)))
}

fn resolve(args: &Args) -> anyhow::Result<Result<Resolved, Vec<ConfigProblem>>> {
    let properties = match &args.file {
        Some(file) => read_properties(file)?,
        None => Properties::parse(EMBEDDED),
    };
    configuration::resolve(properties, &args.overrides)
}

/// The configuration as it is now, or in the log why it cannot be used.
fn reread(args: &Args, name: &str) -> Option<BrokerConfig> {
    match resolve(args) {
        Ok(Ok(resolved)) => {
            for problem in &resolved.problems {
                tracing::warn!("{}", located(name, problem));
            }
            Some(resolved.config)
        }
        Ok(Err(problems)) => {
            for problem in problems.iter().filter(|problem| problem.fatal) {
                tracing::error!("{}", located(name, problem));
            }
            None
        }
        Err(problem) => {
            tracing::error!("{problem:#}");
            None
        }
    }
}

/// A single node for trying things out, on loopback, with its data beside it.
const EMBEDDED: &str = "broker.id=0\nlisteners=PLAINTEXT://127.0.0.1:9092\nlog.dirs=./data\n";

fn start_in_background(args: &Args) -> anyhow::Result<ExitCode> {
    let logs = PathBuf::from(std::env::var_os("LOG_DIR").unwrap_or_else(|| "logs".into()));
    blocking::create_dir_all(&logs).with_context(|| format!("create {}", logs.display()))?;
    let log = logs.join("kafkaServer.out");
    let mut arguments = vec!["start".to_owned()];
    arguments.extend(args.file.iter().map(|file| file.display().to_string()));
    arguments.extend(
        args.overrides
            .iter()
            .flat_map(|setting| ["--override".to_owned(), setting.clone()]),
    );
    let pid = tool::start_in_background(&arguments, &log).context("start in the background")?;
    println!("process {pid}, log in {}", log.display());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let name = args.file.display().to_string();
    let Resolved { config, problems, .. } = match configuration::resolve(read_properties(&args.file)?, &args.overrides)?
    {
        Ok(resolved) => resolved,
        Err(problems) => return Ok(refuse(&name, &problems)),
    };
    for problem in &problems {
        println!("warning: {}", located(&name, problem));
    }
    println!("{name}: ok, {} keys set", config.set.len());
    Ok(ExitCode::SUCCESS)
}

/// Prints why a configuration cannot be used, every reason.
pub(super) fn refuse(name: &str, problems: &[ConfigProblem]) -> ExitCode {
    for problem in problems {
        let kind = if problem.fatal { "error" } else { "warning" };
        eprintln!("{kind}: {}", located(name, problem));
    }
    exit::config()
}
