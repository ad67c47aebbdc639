//! THE table of what is compared between brokers, and between runs.

use serde_json::Value;

/// What is compared, where it stands in a slice, and whether more is better.
pub struct Measure {
    pub name: &'static str,
    pub path: &'static str,
    pub unit: &'static str,
    pub more_is_better: bool,
}

const fn measure(name: &'static str, path: &'static str, unit: &'static str, more_is_better: bool) -> Measure {
    Measure {
        name,
        path,
        unit,
        more_is_better,
    }
}

pub const MEASURES: &[Measure] = &[
    measure("produced", "produced.mb_s", "MB/s", true),
    measure("produced records", "produced.records_s", "/s", true),
    measure("consumed", "consumed.mb_s", "MB/s", true),
    measure("broker CPU per GB", "cpu.broker_s_per_gb", "s/GB", false),
    measure(
        "broker CPU per million records",
        "cpu.broker_s_per_million_records",
        "s",
        false,
    ),
    measure(
        "broker CPU per million batches",
        "cpu.broker_s_per_million_batches",
        "s",
        false,
    ),
    measure("latency p50", "latency_us.p50", "µs", false),
    measure("latency p99", "latency_us.p99", "µs", false),
    measure("latency p99.9", "latency_us.p999", "µs", false),
    measure("latency max", "latency_us.max", "µs", false),
    measure("end to end p50", "end_to_end_us.p50", "µs", false),
    measure("end to end p99", "end_to_end_us.p99", "µs", false),
    measure("end to end p99.9", "end_to_end_us.p999", "µs", false),
];

/// A number inside a slice, by a path with dots. Zero throughput is no number: nothing of the kind was asked for.
pub fn at(slice: &Value, path: &str) -> Option<f64> {
    let value = path.split('.').fold(slice, |value, name| &value[name]);
    value.as_f64().filter(|number| *number > 0.0)
}
