//! What is left of a run: JSON, histogram files, and what a person reads.

pub mod environment;
pub mod hgrm;
pub mod slice;
pub mod summary;

use std::fs;
use std::path::Path;

use anyhow::Context;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::engine::recorder::Recorder;

/// The version of the JSON's shape.
pub const SCHEMA: u32 = 1;

pub fn write_json(path: &Path, value: &Value) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("print JSON")?;
    fs::write(path, text + "\n").with_context(|| format!("write {}", path.display()))
}

pub fn read_json(path: &Path) -> anyhow::Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))
}

/// `NAME.hgrm` for the plotter and `NAME.hlog`, one histogram a second; nothing where nothing was recorded.
pub fn write_histograms(dir: &Path, name: &str, recorder: &Recorder) -> anyhow::Result<()> {
    let total = recorder.total();
    if total.is_empty() {
        return Ok(());
    }
    for (end, text) in [
        ("hgrm", hgrm::hgrm(&total)),
        ("hlog", hgrm::interval_log(recorder.seconds())),
    ] {
        let path = dir.join(format!("{name}.{end}"));
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// The curve of latency by percentile: [quantile, µs].
pub fn curve(histogram: &Histogram<u64>) -> Value {
    const TICKS_PER_HALF: u32 = 5;
    let steps = histogram.iter_quantiles(TICKS_PER_HALF);
    steps
        .map(|step| json!([step.quantile_iterated_to(), step.value_iterated_to()]))
        .collect()
}
