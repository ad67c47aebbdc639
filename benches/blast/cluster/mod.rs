//! What a cluster of three costs and how long its clients wait: for copies, for another leader after one was killed, and
//! for a leader that leaves in order. All brokers, and the client, share this machine.

mod copies;
mod outage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use crate::brokers::{self, Kind, Trio};
use crate::rows::Row;

#[derive(clap::Args)]
pub struct Args {
    #[arg(long, value_enum, value_delimiter = ',', default_value = "corelane,kafka")]
    brokers: Vec<Kind>,
    /// Only the measures whose names begin so: copies, stop, kill
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Seconds of each load of `copies`
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    #[arg(long, default_value = "target/bench-cluster")]
    data: PathBuf,
}

type Measure = fn(&mut Trio, Duration) -> anyhow::Result<Vec<Row>>;

const MEASURES: &[(&str, Measure)] = &[
    ("copies", copies::measure),
    ("stop", outage::leaves),
    ("kill", outage::dies),
];
/// The default of both brokers.
const SESSION: Duration = Duration::from_secs(9);

/// Fails where Corelane misses a goal.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(&args.data).with_context(|| format!("make {}", args.data.display()))?;
    let data = args.data.canonicalize()?;
    let mut missed = false;
    for kind in &args.brokers {
        if let Some(reason) = brokers::missing(*kind) {
            eprintln!("{kind:?} is left out: {reason}");
            continue;
        }
        let session = format!("broker.session.timeout.ms={}", SESSION.as_millis());
        let mut trio = Trio::start(*kind, &data, &[&session, "min.insync.replicas=2"])?;
        for (name, measure) in MEASURES {
            if !args.only.is_empty() && !args.only.iter().any(|wanted| name.starts_with(wanted.as_str())) {
                continue;
            }
            for row in measure(&mut trio, Duration::from_secs(args.seconds))? {
                missed |= row.print(&trio.name, trio.kind);
            }
        }
        trio.end();
    }
    std::fs::remove_dir_all(&data).context("remove the brokers' data")?;
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
