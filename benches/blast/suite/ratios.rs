//! From slices to ratios: each slice of the first broker against its neighbour in time of another one.

use serde_json::{Value, json};

use crate::stats::{self, Estimate};

use super::measures::{MEASURES, Measure, at};
use super::slices::Slice;

pub fn median_of(slices: &[Slice], broker: &str, load: &str, path: &str) -> Option<f64> {
    stats::median(&values(slices, broker, load, path))
}

fn values(slices: &[Slice], broker: &str, load: &str, path: &str) -> Vec<f64> {
    let of = |slice: &&Slice| slice.broker == broker && slice.load == load;
    slices
        .iter()
        .filter(of)
        .filter_map(|slice| at(&slice.json, path))
        .collect()
}

/// Every load, measure and pair of the first broker with another.
pub fn all(slices: &[Slice]) -> Vec<Value> {
    let brokers = in_order(slices.iter().map(|slice| slice.broker.as_str()));
    let loads = in_order(slices.iter().map(|slice| slice.load.as_str()));
    let Some((first, others)) = brokers.split_first() else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for load in loads {
        for other in others {
            rows.extend(
                MEASURES
                    .iter()
                    .filter_map(|measure| row(slices, load, measure, first, other)),
            );
        }
    }
    rows
}

fn row(slices: &[Slice], load: &str, measure: &Measure, a: &str, b: &str) -> Option<Value> {
    let pairs = pair_ratios(slices, load, measure.path, a, b);
    let Estimate {
        median,
        low,
        high,
        count,
    } = stats::estimate(&pairs)?;
    let of = |broker: &str| stats::estimate(&values(slices, broker, load, measure.path));
    let value =
        |estimate: Option<Estimate>| estimate.map(|e| json!({"median": e.median, "low": e.low, "high": e.high}));
    Some(json!({
        "load": load,
        "measure": measure.name,
        "unit": measure.unit,
        "more_is_better": measure.more_is_better,
        "a": a,
        "b": b,
        "a_value": value(of(a)),
        "b_value": value(of(b)),
        "median": median,
        "low": low,
        "high": high,
        "pairs": count,
        "noisy": slices.iter().filter(|slice| slice.load == load && slice.json["noise"]["noisy"] == true).count(),
    }))
}

fn pair_ratios(slices: &[Slice], load: &str, path: &str, a: &str, b: &str) -> Vec<f64> {
    let find = |broker: &str, round: usize| {
        let is = |slice: &&Slice| slice.load == load && slice.broker == broker && slice.round == round;
        slices.iter().find(is).and_then(|slice| at(&slice.json, path))
    };
    let rounds = slices.iter().map(|slice| slice.round + 1).max().unwrap_or(0);
    (0..rounds)
        .filter_map(|round| Some(find(a, round)? / find(b, round)?))
        .collect()
}

fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::recorder::Recorder;

    fn slice(broker: &str, round: usize, mb_s: f64) -> Slice {
        Slice {
            broker: broker.to_owned(),
            load: "l".to_owned(),
            round,
            json: json!({"produced": {"mb_s": mb_s}}),
            latency: Recorder::new(0),
            end_to_end: Recorder::new(0),
        }
    }

    /// The machine is twice as fast in the second round: the ratio of neighbours does not see it.
    #[test]
    fn neighbours_are_compared_not_averages() {
        let slices = [
            slice("a", 0, 200.0),
            slice("b", 0, 100.0),
            slice("b", 1, 200.0),
            slice("a", 1, 400.0),
        ];
        let rows = all(&slices);
        assert_eq!(rows.len(), 1);
        assert_eq!((&rows[0]["median"], &rows[0]["pairs"]), (&json!(2.0), &json!(2)));
    }
}
