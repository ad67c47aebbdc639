//! What consumer groups cost: the time to a group's first record, of a rebalance, and what idle groups and commits take.
//! Each measure has its goal; brokers are measured one after the other, with the same settings.

mod commits;
mod first_record;
mod idle;
mod member;
mod rebalance;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use corelane::client::{Address, Cluster, Connection};
use corelane::rt::wall_ms;

use crate::brokers::{Broker, Kind};
use crate::rows::{Goal, Measure, Rounds, Row};

#[derive(clap::Args)]
pub struct Args {
    #[arg(long, value_enum, value_delimiter = ',', default_value = "corelane,kafka")]
    brokers: Vec<Kind>,
    /// Only the measures whose names begin so: first-record, rebalance, idle, commits
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Seconds of commits, and of watching idle groups
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    #[arg(long, default_value = "target/bench-groups")]
    data: PathBuf,
}

const MEASURES: &[Measure<Broker>] = &[
    ("first-record", first_record::measure),
    ("rebalance", rebalance::measure),
    ("idle", idle::measure),
    ("commits", commits::measure),
];
/// Of an empty group: short, because it is only waited for.
const INITIAL_DELAY: Duration = Duration::from_millis(500);

/// Fails where Corelane misses a goal.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let rounds = Rounds {
        start,
        name: |broker| &broker.name,
        end: |broker| broker.process().end(),
        brokers: &args.brokers,
        only: &args.only,
        time: Duration::from_secs(args.seconds),
        data: &args.data,
        measures: MEASURES,
        in_turns: &[],
    };
    rounds.run()
}

fn start(kind: Kind, data: &Path) -> anyhow::Result<Broker> {
    let delay = format!("group.initial.rebalance.delay.ms={}", INITIAL_DELAY.as_millis());
    let broker = Broker::start(kind, data, &[&delay])?;
    warm_up(&broker)?;
    Ok(broker)
}

/// The topic of committed offsets is made, and its coordinators load.
fn warm_up(broker: &Broker) -> anyhow::Result<()> {
    let mut connection = connect(broker)?;
    member::Member::join_all(std::slice::from_mut(&mut connection), |_| fresh("warm-up"), "none")?;
    Ok(())
}

fn connect(broker: &Broker) -> anyhow::Result<Connection> {
    let address: Address = broker.bootstrap.parse()?;
    Ok(Connection::open(&address, "corelane-bench")?)
}

fn cluster(broker: &Broker) -> anyhow::Result<Cluster> {
    Ok(Cluster::connect(&broker.bootstrap, "corelane-bench")?)
}

/// A name that no run before has used.
fn fresh(stem: &str) -> String {
    format!("{stem}-{:x}", wall_ms())
}

/// CPU seconds that the process has used so far.
fn cpu_s(broker: &Broker) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", broker.pid())).context("read the broker's CPU time")?;
    let behind_name = stat.rsplit(") ").next().unwrap_or_default();
    let mut fields = behind_name.split(' ').skip(11);
    let mut ticks = || fields.next().and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    // The kernel's USER_HZ is 100 wherever Linux runs us.
    Ok((ticks() + ticks()) / 100.0)
}

/// CPU seconds per second while `work` goes on.
fn cores_during(broker: &Broker, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let (begun, used) = (Instant::now(), cpu_s(broker)?);
    work()?;
    Ok((cpu_s(broker)? - used) / begun.elapsed().as_secs_f64())
}
