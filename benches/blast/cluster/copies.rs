//! The CPU of all three brokers for a produced gigabyte, with one replica and with three.
//!
//! In closed windows each goes as fast as it can, which with one replica is several times as fast; and the more batches come
//! at once, the less each costs. So what the copies cost is taken at one rate.

use std::time::Duration;

use super::loads::{run, warm_up, with_replicas};
use super::waits;
use crate::brokers::Trio;
use crate::engine::workload::Workload;
use crate::rows::{Goal, Row};

/// Part of its own throughput at which every broker is tried.
const HALF: f64 = 0.5;
/// What three copies may cost of one.
const RATIO_MAX: f64 = 3.3;
/// Of what they cost with Kafka.
const COPIES_MAX: Goal = Goal::OfKafka(1.0 / 3.0);

pub fn measure(trio: &mut Trio, time: Duration) -> anyhow::Result<Vec<Row>> {
    warm_up(trio)?;
    let one = load(trio, &with_replicas(1, time))?;
    let three = load(trio, &with_replicas(3, time))?;
    let mut rows = closed(&one, &three);
    let half = (HALF * three.mb_s * 1e6 / with_replicas(3, time).record_bytes.max as f64).floor();
    rows.extend(at_one_rate(trio, time, half)?);
    rows.extend(waits::at_rate(trio, time, half, ", half of its throughput", None)?);
    Ok(rows)
}

fn closed(one: &Figures, three: &Figures) -> Vec<Row> {
    let row = |what, value, unit, goal| Row {
        what,
        value,
        unit,
        goal,
        note: "16 × 1 KiB, 8 partitions, 4 connections, closed windows, acks=all".to_owned(),
    };
    let times = three.cpu_s_per_gb / one.cpu_s_per_gb;
    vec![
        row("produce with one replica", one.mb_s, "MB/s", None),
        row("CPU of a GB with one replica", one.cpu_s_per_gb, "s", None),
        row("produce with three replicas", three.mb_s, "MB/s", None),
        row(
            "CPU of a GB with three replicas",
            three.cpu_s_per_gb,
            "s",
            Some(COPIES_MAX),
        ),
        row(
            "CPU of three replicas by that of one, each as fast as it goes",
            times,
            "times",
            None,
        ),
    ]
}

/// In the order A B B A, so that a machine that changes its speed meanwhile changes neither more than the other.
fn at_one_rate(trio: &Trio, time: Duration, rate: f64) -> anyhow::Result<Vec<Row>> {
    let of = |count| -> anyhow::Result<f64> {
        let mut workload = with_replicas(count, time / 2);
        workload.rate = Some(rate);
        Ok(load(trio, &workload)?.cpu_s_per_gb)
    };
    let [first, second, third, fourth] = [of(1)?, of(3)?, of(3)?, of(1)?];
    let (one, three) = ((first + fourth) / 2.0, (second + third) / 2.0);
    let row = |what, value, unit, goal| Row {
        what,
        value,
        unit,
        goal,
        note: format!("{rate:.0} records of 1 KiB a second, half of its throughput, open loop, acks=all"),
    };
    Ok(vec![
        row("CPU of a GB with one replica", one, "s", None),
        row("CPU of a GB with three replicas", three, "s", None),
        row(
            "CPU of three replicas by that of one",
            three / one,
            "times",
            Some(Goal::AtMost(RATIO_MAX)),
        ),
    ])
}

struct Figures {
    mb_s: f64,
    cpu_s_per_gb: f64,
}

fn load(trio: &Trio, workload: &Workload) -> anyhow::Result<Figures> {
    let used = trio.cpu_s();
    let bytes = run(trio, workload)?.produced.bytes as f64;
    Ok(Figures {
        mb_s: bytes / 1e6 / workload.time.as_secs_f64(),
        cpu_s_per_gb: (trio.cpu_s() - used) / (bytes / 1e9),
    })
}
