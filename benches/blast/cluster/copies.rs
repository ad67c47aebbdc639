//! The CPU of all three brokers for a produced gigabyte, with one replica and with three, and what acks=all waits for.

use std::time::Duration;

use anyhow::ensure;
use hdrhistogram::Histogram;

use crate::brokers::Trio;
use crate::engine;
use crate::engine::workload::Workload;
use crate::rows::Row;
use crate::suite::loads::workload;

/// A JVM compiles what it needs.
const WARM_UP: Duration = Duration::from_secs(20);
/// Records a second of the load at which latency is taken: well below what our brokers can do.
pub const RATE: f64 = 20_000.0;
/// About half of what Kafka carries on two cores: for comparison.
const EASY_RATE: f64 = 2_500.0;
/// Part of its own throughput at which every broker is tried.
const HALF: f64 = 0.5;
/// What three copies may cost of one.
const RATIO_MAX: f64 = 3.3;

pub fn measure(trio: &mut Trio, time: Duration) -> anyhow::Result<Vec<Row>> {
    load(trio, &with_replicas(3, WARM_UP))?;
    let one = load(trio, &with_replicas(1, time))?;
    let three = load(trio, &with_replicas(3, time))?;
    let note = "16 × 1 KiB, 8 partitions, 4 connections, closed windows, acks=all";
    let row = |what, value, unit| Row {
        what,
        value,
        unit,
        goal: None,
        note: note.to_owned(),
    };
    let mut rows = vec![
        row("produce with one replica", one.mb_s, "MB/s"),
        row("CPU of a GB with one replica", one.cpu_s_per_gb, "s"),
        row("produce with three replicas", three.mb_s, "MB/s"),
        row("CPU of a GB with three replicas", three.cpu_s_per_gb, "s"),
        Row {
            goal: Some(RATIO_MAX),
            ..row(
                "CPU of three replicas by that of one",
                three.cpu_s_per_gb / one.cpu_s_per_gb,
                "times",
            )
        },
    ];
    let half = (HALF * three.mb_s * 1e6 / with_replicas(3, time).record_bytes.max as f64).floor();
    for (rate, which) in [(EASY_RATE, ""), (RATE, ""), (half, ", half of its throughput")] {
        rows.extend(latency(trio, time, rate, which)?);
    }
    Ok(rows)
}

struct Figures {
    mb_s: f64,
    cpu_s_per_gb: f64,
}

fn load(trio: &Trio, workload: &Workload) -> anyhow::Result<Figures> {
    let used = trio.cpu_s();
    let outcome = engine::run(&trio.bootstrap(), workload, None)?;
    ensure!(outcome.errors.is_empty(), "produce failed: {:?}", outcome.errors);
    let bytes = outcome.produced.bytes as f64;
    Ok(Figures {
        mb_s: bytes / 1e6 / workload.time.as_secs_f64(),
        cpu_s_per_gb: (trio.cpu_s() - used) / (bytes / 1e9),
    })
}

pub fn with_replicas(count: i16, time: Duration) -> Workload {
    let mut workload = workload(&format!("--replication-factor {count} --acks -1"));
    // The CPU is taken of the whole run.
    workload.warm_up = Duration::ZERO;
    workload.time = time;
    workload
}

/// How long the answers took, in microseconds, at so many records a second with three replicas.
pub fn open_loop(trio: &Trio, time: Duration, rate: f64) -> anyhow::Result<Histogram<u64>> {
    let mut workload = with_replicas(3, time);
    workload.warm_up = Duration::from_secs(2);
    workload.rate = Some(rate);
    let outcome = engine::run(&trio.bootstrap(), &workload, None)?;
    ensure!(outcome.errors.is_empty(), "produce failed: {:?}", outcome.errors);
    Ok(outcome.latency.total())
}

fn latency(trio: &Trio, time: Duration, rate: f64, which: &str) -> anyhow::Result<Vec<Row>> {
    let total = open_loop(trio, time, rate)?;
    let at = |what, quantile: f64| Row {
        what,
        value: total.value_at_quantile(quantile) as f64 / 1_000.0,
        unit: "ms",
        goal: None,
        note: format!("{rate:.0} records of 1 KiB a second{which}, open loop, three replicas, acks=all"),
    };
    Ok(vec![
        at("half of the answers within", 0.5),
        at("99 % of the answers within", 0.99),
    ])
}
