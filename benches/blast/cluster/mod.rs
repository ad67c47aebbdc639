//! What a cluster of three costs and how long its clients wait: for copies, for another leader after one was killed, for a
//! leader that leaves in order, and beside a broker that catches up; and what very many partitions take. All brokers, and
//! the client, share this machine.

mod copies;
mod loads;
mod many;
mod outage;
mod returning;
mod waits;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::brokers::{Kind, Trio};
use crate::rows::{Measure, Rounds};

#[derive(clap::Args)]
pub struct Args {
    #[arg(long, value_enum, value_delimiter = ',', default_value = "corelane,kafka")]
    brokers: Vec<Kind>,
    /// Only the measures whose names begin so: copies, stop, kill, return, many, waits
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Seconds of each load of `copies` and `waits`
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    #[arg(long, default_value = "target/bench-cluster")]
    data: PathBuf,
}

const MEASURES: &[Measure<Trio>] = &[
    ("copies", copies::measure),
    ("stop", outage::leaves),
    ("kill", outage::dies),
    ("return", returning::measure),
    ("many", many::measure),
];
/// At so little load a host that changes its speed would decide.
const IN_TURNS: &[Measure<Trio>] = &[("waits", waits::measure)];
/// The default of both brokers.
const SESSION: Duration = Duration::from_secs(9);

/// Fails where Corelane misses a goal.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let rounds = Rounds {
        start,
        name: |trio| &trio.name,
        end: Trio::end,
        brokers: &args.brokers,
        only: &args.only,
        time: Duration::from_secs(args.seconds),
        data: &args.data,
        measures: MEASURES,
        in_turns: IN_TURNS,
    };
    rounds.run()
}

fn start(kind: Kind, data: &Path) -> anyhow::Result<Trio> {
    let session = format!("broker.session.timeout.ms={}", SESSION.as_millis());
    Trio::start(kind, data, &[&session, "min.insync.replicas=2"])
}
