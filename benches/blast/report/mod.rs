//! A run as pictures and as one page that needs nothing else: for people who do not read JSON.

mod charts;
mod page;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::suite::table::{rows, text_of};

use charts::{Axis, Bar, Corner, Group, Line, plain};

/// A picture with the name of its file.
pub struct Picture {
    name: String,
    svg: String,
}

/// Writes `report.html` and the pictures beside it. Returns the page's path.
pub fn write(run: &Value, out: &Path) -> anyhow::Result<PathBuf> {
    let pictures = pictures(run)?;
    for picture in &pictures {
        let path = out.join(format!("{}.svg", picture.name));
        fs::write(&path, &picture.svg).with_context(|| format!("write {}", path.display()))?;
    }
    let path = out.join("report.html");
    fs::write(&path, page::html(run, &pictures)).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

fn pictures(run: &Value) -> anyhow::Result<Vec<Picture>> {
    let brokers = names(run);
    let mut pictures = Vec::new();
    let mut add = |name: &str, svg: Option<String>| {
        if let Some(svg) = svg {
            pictures.push(Picture {
                name: name.to_owned(),
                svg,
            });
        }
    };
    add(
        "throughput",
        measure_bars(run, &brokers, "Throughput", &["produced", "consumed"], "MB/s")?,
    );
    add(
        "cpu",
        measure_bars(
            run,
            &brokers,
            "CPU of the broker per GB",
            &["broker CPU per GB"],
            "s/GB",
        )?,
    );
    add("load", latency_by_load(run, &brokers)?);
    for workload in rows(run, "workloads") {
        let load = text_of(&workload["name"]);
        let is_open = !workload["options"]["rate"].is_null();
        if is_open || rows(run, "workloads").count() == 1 {
            add(&format!("percentiles-{load}"), percentiles(run, &brokers, &load)?);
            add(&format!("seconds-{load}"), seconds(run, &brokers, &load)?);
        }
    }
    Ok(pictures)
}

fn names(run: &Value) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for slice in rows(run, "slices") {
        let name = broker_of(slice);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A run against one address does not name its broker in each slice.
fn broker_of(slice: &Value) -> String {
    slice["broker"].as_str().unwrap_or("broker").to_owned()
}

/// The closed loads: an open loop's throughput is what was asked for.
fn measure_bars(
    run: &Value,
    brokers: &[String],
    title: &str,
    measures: &[&str],
    unit: &str,
) -> anyhow::Result<Option<String>> {
    let mut groups = Vec::new();
    for workload in rows(run, "workloads").filter(|workload| workload["options"]["rate"].is_null()) {
        let about = text_of(&workload["about"]);
        let measure = if measures.len() == 1 { measures[0] } else { &about };
        let bar = |broker: &String| bar_of(run, &text_of(&workload["name"]), measure, broker);
        let bars: Vec<Option<Bar>> = brokers.iter().map(bar).collect();
        if bars.iter().any(Option::is_some) {
            groups.push(Group {
                name: text_of(&workload["name"]),
                bars,
            });
        }
    }
    if groups.is_empty() {
        Ok(None)
    } else {
        charts::bars(title, unit, brokers, &groups).map(Some)
    }
}

/// A broker stands on one side or the other of a ratio.
fn bar_of(run: &Value, load: &str, measure: &str, broker: &str) -> Option<Bar> {
    let row = rows(run, "ratios")
        .find(|row| row["load"] == load && row["measure"] == measure && (row["a"] == broker || row["b"] == broker))?;
    let value = if row["a"] == broker {
        &row["a_value"]
    } else {
        &row["b_value"]
    };
    Some(Bar {
        value: value["median"].as_f64()?,
        low: value["low"].as_f64()?,
        high: value["high"].as_f64()?,
    })
}

/// The hockey stick: where the tail leaves the floor.
fn latency_by_load(run: &Value, brokers: &[String]) -> anyhow::Result<Option<String>> {
    let offered: Vec<(String, f64)> = rows(run, "workloads")
        .filter(|workload| text_of(&workload["name"]).starts_with("open-"))
        .filter_map(|workload| {
            let bytes: f64 = workload["options"]["record_bytes"].as_str()?.parse().ok()?;
            Some((
                text_of(&workload["name"]),
                workload["options"]["rate"].as_f64()? * bytes / 1e6,
            ))
        })
        .collect();
    if offered.len() < 2 {
        return Ok(None);
    }
    let line = |broker: &String| Line {
        name: broker.clone(),
        points: offered
            .iter()
            .filter_map(|(load, mb_s)| Some((*mb_s, bar_of(run, load, "latency p99", broker)?.value / 1_000.0)))
            .collect(),
    };
    let lines: Vec<Line> = brokers.iter().map(line).collect();
    let x = Axis {
        title: "offered load, MB/s",
        log: false,
        label: plain,
    };
    charts::lines("p99 latency against offered load", &x, &MS, Corner::UpperLeft, &lines).map(Some)
}

const MS: Axis = Axis {
    title: "ms",
    log: true,
    label: plain,
};

fn percentiles(run: &Value, brokers: &[String], load: &str) -> anyhow::Result<Option<String>> {
    let mut lines = Vec::new();
    for broker in brokers {
        let curve = rows(run, "curves").find(|curve| curve["load"] == load && broker_of(curve) == *broker);
        let Some(points) = curve.and_then(|curve| curve["latency_us"].as_array()) else {
            continue;
        };
        let point = |point: &Value| Some((1.0 / (1.0 - point[0].as_f64()?), point[1].as_f64()? / 1_000.0));
        lines.push(Line {
            name: broker.clone(),
            points: points
                .iter()
                .filter_map(point)
                .filter(|point| point.0.is_finite())
                .collect(),
        });
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let x = Axis {
        title: "percentile",
        log: true,
        label: |odds| format!("{}", 100.0 - 100.0 / odds),
    };
    charts::lines(
        &format!("{load}: latency by percentile, from the intended time"),
        &x,
        &MS,
        Corner::LowerRight,
        &lines,
    )
    .map(Some)
}

/// The slices of a broker one after the other.
fn seconds(run: &Value, brokers: &[String], load: &str) -> anyhow::Result<Option<String>> {
    let line = |broker: &String| {
        let slices = rows(run, "slices")
            .filter(|slice| broker_of(slice) == *broker && (slice["load"].is_null() || slice["load"] == load));
        let values = slices.flat_map(|slice| slice["p99_us_per_second"].as_array().into_iter().flatten());
        Line {
            name: broker.clone(),
            points: values
                .enumerate()
                .map(|(second, us)| (second as f64, us.as_f64().unwrap_or(0.0) / 1_000.0))
                .collect(),
        }
    };
    let lines: Vec<Line> = brokers.iter().map(line).collect();
    if lines.iter().all(|line| line.points.len() < 2) {
        return Ok(None);
    }
    let x = Axis {
        title: "second of the measurement (slices one after the other)",
        log: false,
        label: plain,
    };
    charts::lines(
        &format!("{load}: p99 of each second"),
        &x,
        &MS,
        Corner::LowerLeft,
        &lines,
    )
    .map(Some)
}
