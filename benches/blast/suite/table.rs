//! The ratios as one table for people.

use std::fmt::Write;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use serde_json::Value;

use crate::output::summary::number;

pub fn text(run: &Value) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["load", "measure", "first", "second", "ratio [95 %]", "pairs", ""]);
    for row in rows(run, "ratios") {
        let unit = text_of(&row["unit"]);
        let side = |broker: &str, value: &str| {
            format!(
                "{} {} {unit}",
                text_of(&row[broker]),
                short(number(&row[value]["median"]))
            )
        };
        let figure = |name: &str| short(number(&row[name]));
        table.add_row([
            text_of(&row["load"]),
            text_of(&row["measure"]),
            side("a", "a_value"),
            side("b", "b_value"),
            format!("{} [{}, {}]", figure("median"), figure("low"), figure("high")),
            row["pairs"].to_string(),
            verdict_of(row).to_owned(),
        ]);
    }
    let mut text = table.to_string();
    for extra in rows(run, "extras") {
        let _ = write!(text, "\n{}: {}", text_of(&extra["measure"]), text_of(&extra["text"]));
    }
    let noisy = rows(run, "slices")
        .filter(|slice| slice["noise"]["noisy"] == true)
        .count();
    let _ = write!(text, "\n{noisy} of {} slices were noisy.", rows(run, "slices").count());
    text
}

/// With fewer pairs no interval of a median holds 95 %: all of five fall on one side of it once in sixteen times.
const PAIRS_MIN: u64 = 6;

/// Only an interval that does not hold 1 says anything.
pub fn verdict_of(row: &Value) -> &'static str {
    if row["pairs"].as_u64().unwrap_or(0) < PAIRS_MIN {
        return "few";
    }
    let more_is_better = row["more_is_better"] == true;
    match (number(&row["low"]) > 1.0, number(&row["high"]) < 1.0) {
        (false, false) => "open",
        (above, _) if above == more_is_better => "better",
        _ => "worse",
    }
}

pub fn rows<'a>(run: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    run[name].as_array().into_iter().flatten()
}

pub fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Three figures are all that such measurements carry.
pub fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}
