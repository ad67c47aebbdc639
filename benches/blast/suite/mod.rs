//! Brokers side by side in one run: for each load slices in the order A B B A, the broker not under test stopped, and
//! ratios of neighbouring slices. Machines are noisy; neighbours share their noise.

mod extras;
pub mod loads;
pub mod measures;
mod merged;
mod neutral;
mod ratios;
mod slices;
pub mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::brokers::{self, Broker, Kind};
use crate::engine::workload::Workload;
use crate::output::{self, environment};

use loads::{About, Load};
use merged::{Merged, merged};
use slices::{Bench, Slice};

#[derive(clap::Args)]
pub struct Args {
    /// The short form: three loads
    #[arg(long)]
    short: bool,
    /// The brokers; the first is compared with each of the others
    #[arg(long, value_enum, value_delimiter = ',', default_value = "corelane,kafka")]
    brokers: Vec<Kind>,
    /// Only the loads whose names begin so
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Slices of each broker per load
    #[arg(long)]
    slices: Option<usize>,
    /// Seconds of a slice's measurement
    #[arg(long)]
    seconds: Option<f64>,
    /// Seconds of load before the first slice, for a JVM to compile what it will need
    #[arg(long, default_value_t = 60.0)]
    warm_up: f64,
    /// How often a noisy slice is taken again
    #[arg(long)]
    retries: Option<usize>,
    /// Further settings of our broker, as key=value
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Also memory, starts, catch-up beside producing, the machine's ceiling and Redis
    #[arg(long)]
    extras: bool,
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// The brokers' data: on the file system that is to be measured
    #[arg(long, default_value = "target/bench-data")]
    data: PathBuf,
}

/// What the short and the full form differ in.
struct Form {
    loads: &'static [Load],
    slices: usize,
    seconds: f64,
    retries: usize,
}

const SHORT_FORM: Form = Form {
    loads: loads::SHORT,
    slices: 6,
    seconds: 3.0,
    retries: 0,
};
const FULL_FORM: Form = Form {
    loads: loads::FULL,
    slices: 6,
    seconds: 4.0,
    retries: 1,
};
/// Before each slice's measurement: connections, topics and caches settle.
const SLICE_WARM_UP: Duration = Duration::from_millis(1_000);

pub fn run(args: &Args) -> anyhow::Result<()> {
    let form = if args.short { SHORT_FORM } else { FULL_FORM };
    let kinds = available(&args.brokers)?;
    std::fs::create_dir_all(&args.data).with_context(|| format!("make {}", args.data.display()))?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("make {}", args.out.display()))?;
    let data = args.data.canonicalize().context("find the data directory")?;
    let own: Vec<&str> = args.settings.iter().map(String::as_str).collect();
    let mut started = Vec::new();
    for kind in kinds {
        eprintln!("starting {kind:?}");
        started.push(Broker::start(kind, &data, settings(kind, &own))?);
    }
    let mut bench = Bench {
        brokers: started,
        seconds: args.seconds.unwrap_or(form.seconds),
        retries: args.retries.unwrap_or(form.retries),
    };
    bench.warm_up(&loads::workload(loads::WARM_UP), args.warm_up)?;
    let wanted =
        |load: &&Load| args.only.is_empty() || args.only.iter().any(|name| load.name.starts_with(name.as_str()));
    let mut results = Results::default();
    for load in form.loads.iter().filter(wanted) {
        eprintln!("{}: {}", load.name, load.title);
        match results.workload_of(load, form.loads, bench.seconds) {
            Ok(workload) => results.measure(&mut bench, load, &workload, args.slices.unwrap_or(form.slices))?,
            Err(reason) => eprintln!("  left out: {reason}"),
        }
    }
    if args.extras {
        results.extras = extras::measure(&mut bench, &data, &results)?;
    }
    let run = results.to_json(&bench);
    for merged in merged(&results.slices) {
        merged.write_histograms(&args.out)?;
    }
    for mut broker in bench.brokers {
        broker.process().end();
    }
    std::fs::remove_dir_all(&data).context("remove the brokers' data")?;
    finish(&run, args)
}

fn finish(run: &Value, args: &Args) -> anyhow::Result<()> {
    let path = args.out.join("run.json");
    output::write_json(&path, run)?;
    println!("{}", table::text(run));
    let report = crate::report::write(run, &args.out)?;
    println!("{} and {}", path.display(), report.display());
    Ok(())
}

fn settings<'a>(kind: Kind, own: &'a [&'a str]) -> &'a [&'a str] {
    match kind {
        Kind::Corelane => own,
        // Deleted topics leave the disk as soon as ours do.
        Kind::Kafka => &["log.segment.delete.delay.ms=1000"],
        Kind::Tansu => &["storage-engine=memory: nothing is durable"],
    }
}

/// The first broker must be there; a peer that is not installed is left out, and said so.
fn available(wanted: &[Kind]) -> anyhow::Result<Vec<Kind>> {
    let mut kinds = Vec::new();
    for kind in wanted {
        match brokers::missing(*kind) {
            None => kinds.push(*kind),
            Some(reason) if kinds.is_empty() => bail!(reason),
            Some(reason) => eprintln!("{kind:?} is left out: {reason}"),
        }
    }
    Ok(kinds)
}

/// Everything measured so far.
#[derive(Default)]
pub struct Results {
    slices: Vec<Slice>,
    workloads: Vec<Value>,
    extras: Vec<Value>,
}

impl Results {
    /// The workload of a load; an open loop's rate follows from what was measured before.
    fn workload_of(&self, load: &Load, table: &[Load], seconds: f64) -> Result<Workload, String> {
        let mut workload = loads::workload(load.flags);
        workload.warm_up = SLICE_WARM_UP;
        workload.time = Duration::from_secs_f64(seconds);
        if let Some((share, of)) = load.share_of {
            let of = table.iter().find(|other| other.name == of).ok_or("no such load")?;
            let bytes_s = self
                .slowest_bytes_per_second(of)
                .ok_or(format!("{} was not measured", of.name))?;
            workload.rate = Some((share * bytes_s / workload.record_bytes.max as f64).floor().max(1.0));
        }
        Ok(workload)
    }

    /// The lowest of the brokers' medians of one load.
    fn slowest_bytes_per_second(&self, load: &Load) -> Option<f64> {
        let of = |broker: &str| ratios::median_of(&self.slices, broker, load.name, "produced.mb_s");
        let names: Vec<&str> = self.slices.iter().map(|slice| slice.broker.as_str()).collect();
        names
            .iter()
            .filter_map(|broker| of(broker))
            .map(|mb_s| mb_s * 1e6)
            .min_by(f64::total_cmp)
    }

    fn measure(&mut self, bench: &mut Bench, load: &Load, workload: &Workload, count: usize) -> anyhow::Result<()> {
        self.workloads.push(json!({
            "name": load.name,
            "title": load.title,
            "about": if load.about == About::Consuming { "consumed" } else { "produced" },
            "share_of": load.share_of.map(|(share, of)| json!([share, of])),
            "options": output::slice::workload_json(workload),
        }));
        let slices = bench.rotation(load, workload, count)?;
        self.slices.extend(slices);
        Ok(())
    }

    fn to_json(&self, bench: &Bench) -> Value {
        json!({
            "schema": output::SCHEMA,
            "env": environment::capture(),
            "brokers": bench.brokers.iter().map(Broker::to_json).collect::<Vec<_>>(),
            "workloads": self.workloads,
            "slices": self.slices.iter().map(|slice| &slice.json).collect::<Vec<_>>(),
            "ratios": ratios::all(&self.slices),
            "curves": merged(&self.slices).iter().map(Merged::curve).collect::<Vec<_>>(),
            "extras": self.extras,
        })
    }
}
