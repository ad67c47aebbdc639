//! `corelane doctor`: the configuration, this machine and the listeners, each line with its cause and its cure.
//!
//! It changes nothing and makes no directory. Exit codes as those of `tune`: 0 all well, 1 a warning, 2 a failure.

mod listeners;
mod machine;
mod quorum;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::configuration::{self, located, read_properties};
use crate::tuning::Status;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The server.properties of the broker on this machine
    #[arg(required_unless_present = "bootstrap_server")]
    file: Option<PathBuf>,
    /// Look at the listeners only, from here, as a client that was given these addresses
    #[arg(long, value_name = "HOST:PORT,…")]
    bootstrap_server: Option<String>,
    /// Do not measure the disks
    #[arg(long)]
    quick: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) status: Status,
    pub(super) area: &'static str,
    pub(super) what: String,
    /// Empty where nothing is to be done.
    pub(super) cure: String,
}

impl Line {
    fn new(status: Status, area: &'static str, what: impl Into<String>, cure: impl Into<String>) -> Line {
        Line {
            status,
            area,
            what: what.into(),
            cure: cure.into(),
        }
    }

    fn ok(area: &'static str, what: impl Into<String>) -> Line {
        Line::new(Status::Ok, area, what, "")
    }
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let lines = match (&args.bootstrap_server, &args.file) {
        (Some(bootstrap), _) => listeners::from_here(bootstrap),
        (None, file) => on_this_machine(file.clone().unwrap_or_default(), args.quick)?,
    };
    if args.json {
        println!("{:#}", as_json(&lines));
    } else {
        print(&lines);
    }
    Ok(exit_code(&lines))
}

/// Everything about the broker of one configuration.
pub(super) fn on_this_machine(file: PathBuf, quick: bool) -> anyhow::Result<Vec<Line>> {
    let name = file.display().to_string();
    let mut lines = Vec::new();
    let (config, problems) = match configuration::resolve(read_properties(&file)?, &[])? {
        Ok(resolved) => (Some(resolved.config), resolved.problems),
        Err(problems) => (None, problems),
    };
    for problem in &problems {
        let status = if problem.fatal { Status::Fail } else { Status::Warn };
        lines.push(Line::new(status, "config", located(&name, problem), ""));
    }
    let Some(config) = config else {
        return Ok(lines);
    };
    lines.push(Line::ok(
        "config",
        format!("{name} can be used, {} keys set", config.set.len()),
    ));
    lines.extend(machine::look(&config, quick));
    lines.extend(quorum::look(&config));
    lines.extend(listeners::of_broker(&config));
    Ok(lines)
}

fn print(lines: &[Line]) {
    for line in lines {
        println!("{:<5} {:<9} {}", line.status.name(), line.area, line.what);
        if !line.cure.is_empty() {
            println!("{:<15} -> {}", "", line.cure);
        }
    }
    let count = |status| lines.iter().filter(|line| line.status == status).count();
    println!(
        "\n{} OK, {} WARN, {} FAIL.",
        count(Status::Ok),
        count(Status::Warn),
        count(Status::Fail)
    );
}

pub(super) fn as_json(lines: &[Line]) -> serde_json::Value {
    let row = |line: &Line| {
        json!({
            "status": line.status.name(),
            "area": line.area,
            "what": line.what,
            "cure": (!line.cure.is_empty()).then_some(&line.cure),
        })
    };
    json!({ "lines": lines.iter().map(row).collect::<Vec<_>>() })
}

fn exit_code(lines: &[Line]) -> ExitCode {
    let has = |status| lines.iter().any(|line| line.status == status);
    match (has(Status::Fail), has(Status::Warn)) {
        (true, _) => ExitCode::from(2),
        (false, true) => ExitCode::from(1),
        (false, false) => ExitCode::SUCCESS,
    }
}
