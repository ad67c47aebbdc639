//! All slices of one broker and load as one: histograms are added, never averaged.

use std::path::Path;

use serde_json::{Value, json};

use crate::engine::recorder::Recorder;
use crate::output;

use super::slices::Slice;

pub struct Merged {
    broker: String,
    load: String,
    latency: Recorder,
    end_to_end: Recorder,
}

pub fn merged(slices: &[Slice]) -> Vec<Merged> {
    let mut all: Vec<Merged> = Vec::new();
    for slice in slices {
        match all
            .iter_mut()
            .find(|merged| merged.broker == slice.broker && merged.load == slice.load)
        {
            Some(merged) => {
                merged.latency.merge(&slice.latency);
                merged.end_to_end.merge(&slice.end_to_end);
            }
            None => all.push(Merged {
                broker: slice.broker.clone(),
                load: slice.load.clone(),
                latency: slice.latency.clone(),
                end_to_end: slice.end_to_end.clone(),
            }),
        }
    }
    all
}

impl Merged {
    /// The curve of latency by percentile: [quantile, µs].
    pub fn curve(&self) -> Value {
        json!({"broker": self.broker, "load": self.load, "latency_us": output::curve(&self.latency.total())})
    }

    pub fn write_histograms(&self, out: &Path) -> anyhow::Result<()> {
        output::write_histograms(out, &format!("{}-{}-latency", self.load, self.broker), &self.latency)?;
        output::write_histograms(
            out,
            &format!("{}-{}-end-to-end", self.load, self.broker),
            &self.end_to_end,
        )
    }
}
