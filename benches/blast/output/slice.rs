//! One run as JSON: what the reports and comparisons read.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::engine::delivery::Delivery;
use crate::engine::probe::Used;
use crate::engine::workload::Workload;
use crate::engine::{Outcome, Side};

use super::hgrm::v2_base64;

/// From here on a slice is called noisy: CPU taken by the hypervisor, CPU used by others, waiting before the slice.
const STEAL_MAX: f64 = 0.05;
const OTHERS_MAX: f64 = 0.20;
const PRESSURE_MAX: f64 = 0.20;

/// How much others disturbed a slice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noise {
    /// PSI while neither broker nor client ran; `None` where that was not looked at.
    pub pressure_before: Option<f64>,
    pub steal: f64,
    /// The share of all CPUs that went to neither broker nor client. The kernel's work for them is in it.
    pub others: Option<f64>,
}

impl Noise {
    pub fn of(used: &Used, pressure_before: Option<f64>) -> Noise {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let others = |broker_s: f64| (used.busy_s - broker_s - used.client_s).max(0.0) / (cpus * used.wall_s);
        Noise {
            pressure_before,
            steal: used.steal_share,
            others: used.broker_s.map(others),
        }
    }

    pub fn is_noisy(&self) -> bool {
        self.steal > STEAL_MAX
            || self.others.is_some_and(|share| share > OTHERS_MAX)
            || self.pressure_before.is_some_and(|share| share > PRESSURE_MAX)
    }
}

/// The slice without the names that its caller knows (broker, load, round).
pub fn to_json(outcome: &Outcome, noise: &Noise) -> Value {
    let used = &outcome.used;
    let (latency, end_to_end) = (outcome.latency.total(), outcome.end_to_end.total());
    json!({
        "wall_s": used.wall_s,
        "topic": outcome.topology.topic,
        "versions": {"produce": outcome.topology.produce_version, "fetch": outcome.topology.fetch_version},
        "produced": side(&outcome.produced, used.wall_s),
        "consumed": side(&outcome.consumed, used.wall_s),
        "cpu": cpu(outcome),
        "latency_us": percentiles(&latency),
        "service_us": percentiles(&outcome.service),
        "end_to_end_us": percentiles(&end_to_end),
        "lateness_us": percentiles(&outcome.lateness),
        "p99_us_per_second": outcome.latency.seconds().iter().map(|second| second.value_at_quantile(0.99)).collect::<Vec<_>>(),
        "errors": outcome.errors.iter().map(|(code, count)| (code.to_string(), json!(count))).collect::<serde_json::Map<_, _>>(),
        "unanswered": outcome.unanswered,
        "delivery": outcome.delivery.as_ref().map(delivery),
        "saturated": outcome.saturated,
        "written_bytes": used.written_bytes,
        "noise": {
            "noisy": noise.is_noisy(),
            "steal": noise.steal,
            "others": noise.others,
            "pressure": used.pressure_share,
            "pressure_before": noise.pressure_before,
        },
        "hist_v2_base64": {"latency_us": v2_base64(&latency), "end_to_end_us": v2_base64(&end_to_end)},
    })
}

/// The flags, by their names.
pub fn workload_json(workload: &Workload) -> Value {
    json!({
        "partitions": workload.partitions,
        "producers": workload.producers,
        "record_bytes": workload.record_bytes.to_string(),
        "batch_records": workload.batch_records,
        "keyed": workload.keyed,
        "compression": workload.compression.name(),
        "acks": workload.acks,
        "rate": workload.rate,
        "arrival": workload.rate.map(|_| format!("{:?}", workload.arrival).to_lowercase()),
        "window": workload.window(),
        "burst": workload.burst,
        "fan_out": workload.fan_out,
        "reader_connections": workload.reader_connections,
        "catch_up": workload.catch_up,
        "idle_connections": workload.idle_connections,
        "topic_configs": workload.topic_configs,
        "warm_up_s": workload.warm_up.as_secs_f64(),
        "time_s": workload.time.as_secs_f64(),
        "count": workload.count,
        "threads": workload.threads,
        "seed": workload.seed,
    })
}

fn side(side: &Side, wall_s: f64) -> Value {
    let per_second = |count: u64| count as f64 / wall_s.max(1e-9);
    json!({
        "requests": side.requests,
        "batches": side.batches,
        "records": side.records,
        "bytes": side.bytes,
        "mb_s": per_second(side.bytes) / 1e6,
        "records_s": per_second(side.records),
        "batches_s": per_second(side.batches),
    })
}

/// Per unit: of what was produced, or, where nothing was, of what was consumed.
fn cpu(outcome: &Outcome) -> Value {
    let used = &outcome.used;
    let moved = if outcome.produced.bytes > 0 {
        &outcome.produced
    } else {
        &outcome.consumed
    };
    let per = |count: f64| used.broker_s.filter(|_| count > 0.0).map(|broker_s| broker_s / count);
    json!({
        "broker_s": used.broker_s,
        "client_s": used.client_s,
        "busy_s": used.busy_s,
        "broker_s_per_gb": per(moved.bytes as f64 / 1e9),
        "broker_s_per_million_records": per(moved.records as f64 / 1e6),
        "broker_s_per_million_batches": per(moved.batches as f64 / 1e6),
        "client_s_per_gb": (moved.bytes > 0).then(|| used.client_s / (moved.bytes as f64 / 1e9)),
    })
}

fn percentiles(histogram: &Histogram<u64>) -> Value {
    if histogram.is_empty() {
        return Value::Null;
    }
    let at = |quantile: f64| histogram.value_at_quantile(quantile);
    json!({
        "count": histogram.len(),
        "mean": histogram.mean(),
        "p50": at(0.5),
        "p90": at(0.9),
        "p99": at(0.99),
        "p999": at(0.999),
        "p9999": at(0.9999),
        "max": histogram.max(),
    })
}

fn delivery(delivery: &Delivery) -> Value {
    json!({
        "clean": delivery.is_clean(),
        "expected": delivery.expected,
        "received": delivery.received,
        "missing": delivery.missing,
        "skipped": delivery.skipped,
        "backwards": delivery.backwards,
        "offset_breaks": delivery.offset_breaks,
        "bad_checksums": delivery.bad_checksums,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(busy_s: f64, steal_share: f64) -> Used {
        Used {
            wall_s: 1.0,
            broker_s: Some(0.5),
            client_s: 0.5,
            busy_s,
            steal_share,
            ..Used::default()
        }
    }

    #[test]
    fn what_others_use_and_what_is_stolen_makes_a_slice_noisy() {
        let cpus = std::thread::available_parallelism().unwrap().get() as f64;
        assert!(!Noise::of(&used(1.0, 0.0), None).is_noisy());
        assert!(Noise::of(&used(1.0 + 0.3 * cpus, 0.0), None).is_noisy());
        assert!(Noise::of(&used(1.0, 0.06), None).is_noisy());
        assert!(Noise::of(&used(1.0, 0.0), Some(0.5)).is_noisy());
    }
}
