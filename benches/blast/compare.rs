//! Two runs against each other, of yesterday and of today: the same broker and load, median against median.

use std::path::PathBuf;
use std::process::ExitCode;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use serde_json::Value;

use crate::output;
use crate::stats;
use crate::suite::measures::{MEASURES, Measure, at};
use crate::suite::table::{rows, short, text_of};

#[derive(clap::Args)]
pub struct Args {
    /// The run.json of before
    before: PathBuf,
    /// The run.json of after
    after: PathBuf,
    /// How much worse, in percent, throughput and CPU may become
    #[arg(long, default_value_t = 15.0)]
    worse: f64,
    /// How much worse, in percent, latency may become
    #[arg(long, default_value_t = 100.0)]
    worse_latency: f64,
}

/// Fails past the thresholds, and names what was passed.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (before, after) = (output::read_json(&args.before)?, output::read_json(&args.after)?);
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["broker", "load", "measure", "before", "after", "after / before", ""]);
    let mut worse = 0;
    for (broker, load) in pairs(&after) {
        for measure in MEASURES {
            let value = |run: &Value| median(run, &broker, &load, measure);
            let (Some(old), Some(new)) = (value(&before), value(&after)) else {
                continue;
            };
            let is_worse = is_worse(measure, new / old, args);
            worse += usize::from(is_worse);
            let mark = if is_worse { "WORSE" } else { "" };
            let figure = |value: f64| format!("{} {}", short(value), measure.unit);
            let cells = [
                &broker,
                &load,
                measure.name,
                &figure(old),
                &figure(new),
                &format!("{:.2}", new / old),
                mark,
            ];
            table.add_row(cells);
        }
    }
    println!("{table}");
    println!("{worse} measures are worse than allowed");
    Ok(if worse > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn is_worse(measure: &Measure, ratio: f64, args: &Args) -> bool {
    let percent = if measure.unit == "µs" {
        args.worse_latency
    } else {
        args.worse
    };
    let allowed = 1.0 + percent / 100.0;
    if measure.more_is_better {
        ratio < 1.0 / allowed
    } else {
        ratio > allowed
    }
}

fn pairs(run: &Value) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for slice in rows(run, "slices") {
        let pair = (text_of(&slice["broker"]), text_of(&slice["load"]));
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    pairs
}

fn median(run: &Value, broker: &str, load: &str, measure: &Measure) -> Option<f64> {
    let of = |slice: &&Value| text_of(&slice["broker"]) == broker && text_of(&slice["load"]) == load;
    let values: Vec<f64> = rows(run, "slices")
        .filter(of)
        .filter_map(|slice| at(slice, measure.path))
        .collect();
    stats::median(&values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_look_in_the_right_direction() {
        let args = Args {
            before: PathBuf::new(),
            after: PathBuf::new(),
            worse: 10.0,
            worse_latency: 100.0,
        };
        let named = |name: &str| MEASURES.iter().find(|measure| measure.name == name).unwrap();
        assert!(is_worse(named("produced"), 0.8, &args));
        assert!(!is_worse(named("produced"), 1.5, &args));
        assert!(is_worse(named("broker CPU per GB"), 1.2, &args));
        assert!(!is_worse(named("latency p99"), 1.9, &args));
        assert!(is_worse(named("latency p99"), 2.1, &args));
    }
}
