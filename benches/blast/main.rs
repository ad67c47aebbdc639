//! `corelane-bench`: the load generator, the comparison with other brokers, the reports and the gates.

mod brokers;
mod cluster;
mod compare;
mod engine;
mod gates;
mod groups;
mod output;
mod report;
mod rows;
mod stats;
mod suite;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use anyhow::Context;
use serde_json::json;

use engine::workload::Workload;
use output::slice::{self, Noise};

#[derive(Parser)]
#[command(name = "corelane-bench", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One load against a broker that is there
    Run(Run),
    /// Brokers side by side, started and stopped by this program
    Suite(suite::Args),
    /// What consumer groups cost, against their goals and beside Kafka
    Groups(groups::Args),
    /// What replication costs, and how long clients wait when a broker dies or leaves, of three brokers beside Kafka's
    Cluster(cluster::Args),
    /// What a batch costs the broker, counted, against the committed limits
    Gates(gates::Args),
    /// Pictures and page of a run.json, beside it
    Report { run: PathBuf },
    /// Two run.json against each other; fails where the second is worse than allowed
    Compare(compare::Args),
}

#[derive(clap::Args)]
struct Run {
    #[arg(long, default_value = "127.0.0.1:9092")]
    bootstrap: String,
    /// The broker's process, for CPU and I/O
    #[arg(long)]
    pid: Option<u32>,
    /// Where run.json, the .hgrm and the .hlog files go; without it only a summary is printed
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    workload: Workload,
}

fn main() -> ExitCode {
    match act(Cli::parse().command) {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("corelane-bench: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run(&args),
        Command::Suite(args) => suite::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Groups(args) => groups::run(&args),
        Command::Cluster(args) => cluster::run(&args),
        Command::Gates(args) => gates::run(&args),
        Command::Report { run } => {
            let beside = run.parent().context("a file has a directory")?;
            println!("{}", report::write(&output::read_json(&run)?, beside)?.display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Compare(args) => compare::run(&args),
    }
}

fn run(args: &Run) -> anyhow::Result<ExitCode> {
    let outcome = engine::run(&args.bootstrap, &args.workload, args.pid)?;
    let slice = slice::to_json(&outcome, &Noise::of(&outcome.used, None));
    print!("{}", output::summary::text(&slice));
    if let Some(dir) = &args.out {
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let run = json!({
            "schema": output::SCHEMA,
            "env": output::environment::capture(),
            "brokers": [{"name": args.bootstrap, "pid": args.pid}],
            "workloads": [{"name": "run", "options": slice::workload_json(&args.workload)}],
            "slices": [slice],
            "ratios": [],
            "curves": [{"load": "run", "latency_us": output::curve(&outcome.latency.total())}],
        });
        output::write_json(&dir.join("run.json"), &run)?;
        output::write_histograms(dir, "latency", &outcome.latency)?;
        output::write_histograms(dir, "end-to-end", &outcome.end_to_end)?;
        println!("written to {}", dir.display());
    }
    let failed = !outcome.errors.is_empty() || outcome.delivery.is_some_and(|delivery| !delivery.is_clean());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
