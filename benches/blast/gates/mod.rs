//! The deterministic gates: what a batch costs the broker, counted, against committed limits. Times do not come in here.

mod counters;
mod instructions;
mod limits;
mod loads;
mod target;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::engine::Outcome;
use crate::engine::probe::written_bytes;
use crate::engine::workload::Workload;

use counters::{Counts, CountsFile, Kernel, Perf};
use limits::Verdict;
use target::{Target, Wrapping};

#[derive(clap::Args)]
pub struct Args {
    /// The committed limits
    #[arg(long, default_value = "benches/limits.tsv")]
    limits: PathBuf,
    /// Write what was measured into the table
    #[arg(long)]
    update: bool,
    /// The directory of the broker (corelane) and of the counted one (examples/corelane-counted)
    #[arg(long, default_value = "target/release")]
    binaries: PathBuf,
    #[arg(long, default_value = "target/bench-data")]
    data: PathBuf,
}

type Figures = BTreeMap<String, f64>;

/// Batches of one measurement; each is taken as the difference of a double and a single load.
const ONCE: u64 = 2_000;
/// Each load is counted so often, and the least is taken: whatever else happens on the machine only adds.
const TRIES: usize = 3;

fn least(mut count: impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<f64> {
    let tries = (0..TRIES).map(|_| count()).collect::<anyhow::Result<Vec<f64>>>()?;
    tries.into_iter().min_by(f64::total_cmp).context("there were tries")
}

/// What `count` makes of a load of N and of one of 2N batches; the cost of connecting and of asking for the topic drops
/// out of the difference. Per batch.
fn per_batch(batches: u64, mut count: impl FnMut(u64) -> anyhow::Result<f64>) -> anyhow::Result<f64> {
    let once = least(|| count(batches))?;
    let twice = least(|| count(2 * batches))?;
    Ok((twice - once) / batches as f64)
}

/// What a load cost, and how long it took.
struct Spent {
    count: f64,
    seconds: f64,
}

/// How much slower the slow load is to be, and how much it has to be.
const SLOWER: f64 = 5.0;
const SLOWER_MIN: f64 = 2.0;

/// As [`per_batch`], with one small batch in flight, and without what the clock adds: a shard that is awake ticks a hundred
/// times a second, so a machine half as fast has twice as many ticks per batch. What a second of them costs is seen where
/// the same batches come slowly.
fn per_batch_alone(batches: u64, mut spend: impl FnMut(Workload) -> anyhow::Result<Spent>) -> anyhow::Result<f64> {
    let mut least_of = |load: &dyn Fn() -> Workload| -> anyhow::Result<Spent> {
        let tries = (0..TRIES)
            .map(|_| spend(load()))
            .collect::<anyhow::Result<Vec<Spent>>>()?;
        let least = tries.into_iter().min_by(|a, b| a.count.total_cmp(&b.count));
        least.context("there were tries")
    };
    let once = least_of(&|| loads::produce_small(1, batches))?;
    let twice = least_of(&|| loads::produce_small(1, 2 * batches))?;
    let slowly = least_of(&|| loads::produce_small_slowly(batches, SLOWER * once.seconds))?;
    ensure!(
        slowly.seconds >= SLOWER_MIN * once.seconds,
        "the slow load took {:.1} s, and the quick one {:.1} s",
        slowly.seconds,
        once.seconds
    );
    Ok(without_clock(&once, &twice, &slowly) / batches as f64)
}

/// The cost of what `twice` has more than `once`.
fn without_clock(once: &Spent, twice: &Spent, slowly: &Spent) -> f64 {
    let of_a_second = (slowly.count - once.count) / (slowly.seconds - once.seconds);
    (twice.count - once.count) - of_a_second * (twice.seconds - once.seconds)
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(&args.data).with_context(|| format!("make {}", args.data.display()))?;
    let data = args.data.canonicalize().context("find the data directory")?;
    let (plain, counted) = (
        args.binaries.join("corelane"),
        args.binaries.join("examples/corelane-counted"),
    );
    let mut figures = Figures::new();
    let counted = Counted::start(&counted, &data)?;
    allocations(&counted, &mut figures)?;
    copies(&counted, &mut figures)?;
    drop(counted);
    disk(&plain, &data, &mut figures)?;
    match counters::perf_missing() {
        None => kernel(&plain, &data, &mut figures)?,
        Some(reason) => println!("system calls and punts are not looked at: {reason}"),
    }
    match instructions::missing() {
        None => {
            let instructions = instructions::measure(&plain, &data)?;
            figures.insert(
                "instructions-per-batch-produced".to_owned(),
                instructions.per_batch_produced,
            );
            figures.insert(
                "instructions-per-batch-fetched".to_owned(),
                instructions.per_batch_fetched,
            );
        }
        Some(reason) => println!("instructions are not looked at: {reason}"),
    }
    judge(args, &figures)
}

fn judge(args: &Args, figures: &Figures) -> anyhow::Result<ExitCode> {
    let limits = limits::read(&args.limits)?;
    for name in figures.keys() {
        ensure!(
            limits.iter().any(|limit| limit.name == *name),
            "{name} has no row in {}",
            args.limits.display()
        );
    }
    let mut worse = Vec::new();
    for limit in &limits {
        let Some(measured) = figures.get(&limit.name) else {
            println!("skipped  {:<44} ({})", limit.name, limit.what);
            continue;
        };
        let word = match limit.judge(*measured) {
            Verdict::Held => "held",
            Verdict::Better => "better",
            Verdict::Worse => "WORSE",
        };
        let goal = limit.goal.map_or(String::new(), |goal| format!(", goal {goal}"));
        println!(
            "{word:<8} {:<44} {measured:>12.3}  limit {} ± {} %{goal}  ({})",
            limit.name, limit.value, limit.tolerance, limit.what
        );
        if limit.judge(*measured) == Verdict::Worse {
            worse.push(limit.name.clone());
        }
    }
    if args.update {
        let head = limits::head(&std::fs::read_to_string(&args.limits).context("read the limits")?);
        std::fs::write(&args.limits, limits::print(&head, &limits, figures)).context("write the limits")?;
        return Ok(ExitCode::SUCCESS);
    }
    if worse.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("a batch costs more than it may: {}", worse.join(", "));
    Ok(ExitCode::FAILURE)
}

/// The broker with counters in it. One batch in flight: how many meet in a pass must not matter.
struct Counted {
    file: CountsFile,
    target: Target,
    /// With a batch in each partition.
    topic: String,
}

impl Counted {
    fn start(binary: &Path, data: &Path) -> anyhow::Result<Counted> {
        let file = CountsFile::create(data)?;
        let wrapping = Wrapping {
            environment: vec![("CORELANE_COUNTS", file.path())],
            ..Wrapping::default()
        };
        let target = Target::start(binary, data, &wrapping)?;
        let topic = target.run(&loads::produce(1, 100))?.topology.topic;
        Ok(Counted { file, target, topic })
    }

    fn run(&self, workload: &Workload) -> anyhow::Result<(Counts, Outcome)> {
        let before = self.file.read()?;
        let outcome = self.target.run(workload)?;
        Ok((self.file.read()?.since(before), outcome))
    }

    /// Of a batch of a load, given the number of its batches.
    fn per_batch(&self, load: fn(u64) -> Workload, what: fn(Counts) -> f64) -> anyhow::Result<f64> {
        per_batch(ONCE, |count| {
            Ok(what(self.run(&loads::onto(load(count), &self.topic))?.0))
        })
    }

    /// Reads back what is in the cache still: what was counted, and what was read.
    fn read_back(&self) -> anyhow::Result<(Counts, Outcome)> {
        let cached = self.target.run(&loads::produce(16, ONCE / 4))?.topology.topic;
        self.target.run(&loads::read(&cached))?;
        self.run(&loads::read(&cached))
    }
}

/// Alike in every build.
fn allocations(counted: &Counted, figures: &mut Figures) -> anyhow::Result<()> {
    let of = |load| counted.per_batch(load, |counts| counts.allocations);
    let (of_one, of_hundred) = (
        of(|count| loads::produce_cut(1, count))?,
        of(|count| loads::produce_cut(100, count))?,
    );
    let (reading, outcome) = counted.read_back()?;
    figures.extend(
        [
            ("allocations-per-batch-produced", of(|count| loads::produce(1, count))?),
            (
                "allocations-per-record-produced",
                ((of_hundred - of_one) / 99.0).max(0.0),
            ),
            (
                "allocations-per-batch-fetched",
                reading.allocations / outcome.consumed.batches as f64,
            ),
        ]
        .map(|(name, figure)| (name.to_owned(), figure)),
    );
    Ok(())
}

/// A compiler that optimises leaves out copies.
fn copies(counted: &Counted, figures: &mut Figures) -> anyhow::Result<()> {
    let copied = counted.per_batch(|count| loads::produce(1, count), |counts| counts.copied_bytes)?;
    figures.insert("copied-per-byte-produced".to_owned(), copied / loads::PAYLOAD_BYTES);
    let (reading, outcome) = counted.read_back()?;
    figures.insert(
        "copied-per-byte-fetched".to_owned(),
        reading.copied_bytes / outcome.consumed.bytes as f64,
    );
    Ok(())
}

fn disk(binary: &Path, data: &Path, figures: &mut Figures) -> anyhow::Result<()> {
    let target = Target::start(binary, data, &Wrapping::default())?;
    let topic = target.run(&loads::produce(16, 100))?.topology.topic;
    let before = written_bytes(target.process.pid()).context("read what was written")?;
    let outcome = target.run(&loads::onto(loads::produce(16, 2 * ONCE), &topic))?;
    let after = written_bytes(target.process.pid()).context("read what was written")?;
    let per_byte = (after - before) as f64 / outcome.produced.bytes as f64;
    figures.insert("written-per-byte-produced".to_owned(), per_byte);
    Ok(())
}

/// System calls at several depths, and what io_uring could not do without a worker.
fn kernel(binary: &Path, data: &Path, figures: &mut Figures) -> anyhow::Result<()> {
    let target = Target::start(binary, data, &Wrapping::default())?;
    let topic = target.run(&loads::produce_small(16, 100))?.topology.topic;
    let watch = |load: Workload| -> anyhow::Result<(Kernel, f64)> {
        let perf = Perf::watch(target.process.pid(), data)?;
        let start = Instant::now();
        target.run(&loads::onto(load, &topic))?;
        let seconds = start.elapsed().as_secs_f64();
        Ok((perf.end()?, seconds))
    };
    let calls = |load: Workload| -> anyhow::Result<Spent> {
        let (seen, seconds) = watch(load)?;
        let count = seen.system_calls;
        Ok(Spent { count, seconds })
    };
    for window in [1, 16, 64] {
        let per_batch = match window {
            1 => per_batch_alone(ONCE, calls)?,
            _ => per_batch(ONCE, |count| Ok(calls(loads::produce_small(window, count))?.count))?,
        };
        figures.insert(format!("system-calls-per-batch-{window}-in-flight"), per_batch);
        let (seen, _) = watch(loads::produce_small(window, ONCE))?;
        figures.insert(format!("punts-per-batch-{window}-in-flight"), seen.punts / ONCE as f64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beside other tests a shard falls asleep more often, and each pass of its loop allocates.
    const LENIENCE: f64 = 3.0;

    /// 70 a batch, 1,000 a second, and 500 for connecting.
    #[test]
    fn what_the_clock_adds_is_not_the_batches() {
        let spent = |batches: f64, seconds: f64| Spent {
            count: 70.0 * batches + 1000.0 * seconds + 500.0,
            seconds,
        };
        let alone = without_clock(&spent(400.0, 0.9), &spent(800.0, 1.5), &spent(400.0, 5.0));
        assert!((alone - 70.0 * 400.0).abs() < 1e-6, "{alone}");
    }

    /// The gate that every run of the tests passes, whatever the build.
    #[test]
    fn a_batch_costs_no_more_than_its_limit() {
        let beside_us = std::env::current_exe().expect("a test has a file");
        let counted = beside_us.with_file_name("corelane-counted");
        assert!(
            counted.exists(),
            "cargo test builds {}, unless it is told which target",
            counted.display()
        );
        let data = tempfile::tempdir_in(counted.parent().expect("it lies in a directory")).expect("a directory");
        let mut figures = Figures::new();
        let broker = Counted::start(&counted, data.path()).expect("the counted broker starts");
        allocations(&broker, &mut figures).expect("allocations are counted");
        drop(broker);
        disk(&counted, data.path(), &mut figures).expect("written bytes are counted");
        let limits = limits::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/limits.tsv")).expect("limits");
        for (name, figure) in &figures {
            let mut limit = limits.iter().find(|limit| limit.name == *name).expect("a row").clone();
            limit.tolerance *= LENIENCE;
            if limit.tolerance == 0.0 {
                limit.value *= LENIENCE;
            }
            assert_ne!(limit.judge(*figure), Verdict::Worse, "{name} is {figure}: {limit:?}");
        }
        assert_eq!(figures.len(), 4);
    }
}
