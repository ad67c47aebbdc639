//! `corelane start` and `corelane config check`: from a server.properties to a running broker.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::{exit, logging};
use crate::broker;
use crate::config::{BrokerConfig, ConfigProblem, Properties};
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
    let (properties, name) = match &args.file {
        Some(file) => (read_properties(file)?, file.display().to_string()),
        None => (Properties::parse(EMBEDDED), "the embedded default".to_owned()),
    };
    let Some((config, problems)) = resolve(properties, &args.overrides, &name)? else {
        return Ok(exit::config());
    };
    for problem in problems
        .iter()
        .chain(&crate::config::environment_problems(std::env::vars()))
    {
        tracing::warn!("{}", located(&name, problem));
    }
    tracing::info!(config = %name, version = env!("CARGO_PKG_VERSION"), "starting");
    broker::run(config)
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
    let Some((config, problems)) = resolve(read_properties(&args.file)?, &args.overrides, &name)? else {
        return Ok(exit::config());
    };
    for problem in &problems {
        println!("warning: {}", located(&name, problem));
    }
    println!("{name}: ok, {} keys set", config.set.len());
    Ok(ExitCode::SUCCESS)
}

fn read_properties(file: &Path) -> anyhow::Result<Properties> {
    let bytes = blocking::read_file(file).with_context(|| format!("read {}", file.display()))?;
    Ok(Properties::parse(&String::from_utf8_lossy(&bytes)))
}

type Resolved = (BrokerConfig, Vec<ConfigProblem>);

/// None when the configuration cannot be used; every reason has been printed.
fn resolve(mut properties: Properties, overrides: &[String], name: &str) -> anyhow::Result<Option<Resolved>> {
    for setting in overrides {
        let (key, value) = setting
            .split_once('=')
            .with_context(|| format!("--override {setting}: not key=value"))?;
        properties.set(key.trim(), value.trim());
    }
    match BrokerConfig::resolve(&properties) {
        Ok(resolved) => Ok(Some(resolved)),
        Err(problems) => {
            for problem in problems {
                let kind = if problem.fatal { "error" } else { "warning" };
                eprintln!("{kind}: {}", located(name, &problem));
            }
            Ok(None)
        }
    }
}

fn located(name: &str, problem: &ConfigProblem) -> String {
    match problem.line {
        Some(line) => format!("{name}:{line}: {}", problem.message),
        None => problem.message.clone(),
    }
}
