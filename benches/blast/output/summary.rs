//! A slice in a few lines, for a terminal.

use std::fmt::Write;

use serde_json::Value;

pub fn text(slice: &Value) -> String {
    let mut text = String::new();
    for (name, what) in [("produced", "payload"), ("consumed", "batches")] {
        let side = &slice[name];
        if side["requests"].as_u64().unwrap_or(0) > 0 {
            let _ = writeln!(
                text,
                "{name:<12} {:9.1} MB/s ({what}) {:>12.0} records/s {:>10.0} batches/s",
                number(&side["mb_s"]),
                number(&side["records_s"]),
                number(&side["batches_s"]),
            );
        }
    }
    for (name, row) in [
        ("latency", "latency_us"),
        ("end to end", "end_to_end_us"),
        ("service", "service_us"),
    ] {
        if let Some(count) = slice[row]["count"].as_u64() {
            let at = |name: &str| number(&slice[row][name]) / 1_000.0;
            let _ = writeln!(
                text,
                "{name:<12} p50 {:.3}  p99 {:.3}  p99.9 {:.3}  p99.99 {:.3}  max {:.3} ms  (n={count})",
                at("p50"),
                at("p99"),
                at("p999"),
                at("p9999"),
                at("max"),
            );
        }
    }
    let cpu = &slice["cpu"];
    let _ = writeln!(
        text,
        "{:<12} broker {}  client {:.3} s/GB  of {:.1} s",
        "cpu",
        cpu["broker_s_per_gb"]
            .as_f64()
            .map_or("not watched".to_owned(), |per_gb| format!(
                "{per_gb:.3} s/GB, {:.3} s per million records",
                number(&cpu["broker_s_per_million_records"])
            )),
        number(&cpu["client_s_per_gb"]),
        number(&slice["wall_s"]),
    );
    text + &remarks(slice)
}

/// What makes the figures doubtful, or shows that they can be trusted.
fn remarks(slice: &Value) -> String {
    let mut text = String::new();
    if let Some(clean) = slice["delivery"]["clean"].as_bool() {
        let verdict = if clean {
            "every acknowledged batch arrived once and in order"
        } else {
            "NOT CLEAN"
        };
        let _ = writeln!(text, "{:<12} {verdict}: {}", "delivery", slice["delivery"]);
    }
    if slice["errors"].as_object().is_some_and(|errors| !errors.is_empty()) {
        let _ = writeln!(text, "{:<12} by Kafka's error code: {}", "ERRORS", slice["errors"]);
    }
    if slice["unanswered"].as_u64().unwrap_or(0) > 0 {
        let _ = writeln!(text, "{:<12} {} requests", "UNANSWERED", slice["unanswered"]);
    }
    if slice["saturated"] == true {
        let _ = writeln!(
            text,
            "{:<12} the client came too late to its own requests: {}",
            "SATURATED", slice["lateness_us"]
        );
    }
    if slice["noise"]["noisy"] == true {
        let _ = writeln!(text, "{:<12} {}", "NOISY", slice["noise"]);
    }
    text
}

pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}
