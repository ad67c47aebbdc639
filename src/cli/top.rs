//! `corelane top`: shards, topics, groups, clients and APIs by load, from a broker's admin port.

use std::io::{IsTerminal, Write, stdout};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use crate::rt::{blocking, tool};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The broker's admin port (its key admin.listener)
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9644")]
    admin: String,
    /// Print once, then end
    #[arg(long)]
    once: bool,
    /// Print what the admin port answers, as one JSON object per look
    #[arg(long)]
    json: bool,
    /// Seconds between two looks
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Rows per table
    #[arg(long, default_value_t = 10)]
    rows: usize,
}

/// How often Ctrl-C is looked for.
const INTERRUPT_POLL: Duration = Duration::from_millis(100);
/// A full look at the terminal, and back.
const OTHER_SCREEN: &str = "\x1b[?1049h\x1b[?25l";
const OWN_SCREEN: &str = "\x1b[?25h\x1b[?1049l";
const CLEAR: &str = "\x1b[H\x1b[J";

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let interrupted = tool::interrupted().context("catch Ctrl-C")?;
    let on_terminal = stdout().is_terminal() && !args.once && !args.json;
    let before = look(&args)?;
    if args.once && args.json {
        println!("{before}");
        return Ok(ExitCode::SUCCESS);
    }
    if on_terminal {
        print!("{OTHER_SCREEN}");
    }
    let outcome = show(&args, before, on_terminal, || interrupted.is_set());
    if on_terminal {
        print!("{OWN_SCREEN}");
        stdout().flush()?;
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Looks again and again, or once: a rate takes two looks.
fn show(args: &Args, mut before: Value, on_terminal: bool, is_over: impl Fn() -> bool) -> anyhow::Result<()> {
    loop {
        if sleep(Duration::from_secs(args.interval), &is_over) {
            return Ok(());
        }
        let now = look(args)?;
        let screen = if args.json {
            format!("{now}\n")
        } else {
            render(&before, &now, args.rows)
        };
        let clear = if on_terminal { CLEAR } else { "" };
        print!("{clear}{screen}");
        stdout().flush()?;
        if args.once {
            return Ok(());
        }
        before = now;
    }
}

/// True: it was interrupted.
fn sleep(duration: Duration, is_over: &impl Fn() -> bool) -> bool {
    let polls = duration.as_millis() / INTERRUPT_POLL.as_millis();
    (0..polls).any(|_| {
        tool::sleep(INTERRUPT_POLL);
        is_over()
    })
}

fn look(args: &Args) -> anyhow::Result<Value> {
    let status = get(&args.admin, "/v1/status")?;
    let connections = get(&args.admin, &format!("/v1/connections?limit={}", args.rows))?;
    Ok(json!({"status": status, "connections": connections}))
}

fn get(admin: &str, path: &str) -> anyhow::Result<Value> {
    let body = blocking::http_get(admin, path).with_context(|| {
        format!("cannot ask the admin port {admin}; is the broker running, and is this its admin.listener?")
    })?;
    let told = || format!("{admin}{path}: {}", String::from_utf8_lossy(&body).trim());
    serde_json::from_slice(&body).with_context(told)
}

/// Two looks as a screen.
fn render(before: &Value, now: &Value, rows: usize) -> String {
    let (was, is) = (&before["status"], &now["status"]);
    let seconds = (number(is, "uptime_ms") - number(was, "uptime_ms")) / 1e3;
    let span = Span {
        // A restart in between: rates since it.
        seconds: if seconds > 0.0 {
            seconds
        } else {
            (number(is, "uptime_ms") / 1e3).max(0.1)
        },
        is_new: seconds <= 0.0,
    };
    let mut screen = head(was, is, &span);
    screen += &brokers(is);
    screen += &shards(was, is, &span);
    screen += &topics(was, is, &span, rows);
    screen += &groups(was, is, &span, rows);
    screen += &clients(&before["connections"], &now["connections"], &span, rows);
    screen += &apis(was, is, &span, rows);
    screen
}

/// The time between two looks.
struct Span {
    seconds: f64,
    is_new: bool,
}

impl Span {
    fn rate(&self, before: Option<&Value>, now: &Value, field: &str) -> f64 {
        let before = before
            .filter(|_| !self.is_new)
            .map_or(0.0, |before| number(before, field));
        ((number(now, field) - before) / self.seconds).max(0.0)
    }
}

fn head(was: &Value, is: &Value, span: &Span) -> String {
    let state = match is["not_ready_because"].as_str() {
        None => "ready",
        Some(reason) => reason,
    };
    let rate = |field| span.rate(Some(was), is, field);
    let mut head = format!(
        "Corelane {} · broker {} · {state} · up {}\n",
        text(is, "version"),
        is["broker_id"],
        age(number(is, "uptime_ms") / 1e3),
    );
    head += &format!(
        "in {}/s · out {}/s · records {}/s · {} connections · {} partitions · {} of memory\n",
        bytes(rate("bytes_in")),
        bytes(rate("bytes_out")),
        short(rate("messages_in")),
        is["connections"],
        is["partitions"],
        bytes(number(is, "resident_bytes")),
    );
    for finding in list(is, "findings") {
        head += &format!(
            "{}: {}. {}\n",
            text(finding, "severity"),
            text(finding, "what"),
            text(finding, "cure")
        );
    }
    head
}

/// The others of a cluster, as this one sees them.
fn brokers(is: &Value) -> String {
    let brokers = list(is, "brokers");
    if brokers.len() < 2 {
        return String::new();
    }
    let rows = brokers.iter().map(|broker| {
        let address = list(broker, "endpoints").first();
        vec![
            broker["id"].to_string(),
            address.map_or_else(
                || "-".to_owned(),
                |one| format!("{}:{}", text(one, "host"), one["port"]),
            ),
            text(broker, "state").to_owned(),
            if broker["controller"] == true { "yes" } else { "" }.to_owned(),
            broker["leaders"].to_string(),
            broker["partitions"].to_string(),
        ]
    });
    table(
        &["BROKER", "ADDRESS", "STATE", "CONTROLLER", "LEADS", "PARTITIONS"],
        rows.collect(),
    )
}

const BAR: usize = 20;

fn shards(was: &Value, is: &Value, span: &Span) -> String {
    let rows = list(is, "shards").iter().map(|shard| {
        let before = find(list(was, "shards"), shard, &["shard"]);
        let busy = number(shard, "busy").clamp(0.0, 1.0);
        let full = (busy * BAR as f64).round() as usize;
        vec![
            shard["shard"].to_string(),
            format!("{}{} {:>3.0} %", "#".repeat(full), ".".repeat(BAR - full), busy * 100.0),
            short(span.rate(before, shard, "bytes_in")),
            short(span.rate(before, shard, "bytes_out")),
            short(span.rate(before, shard, "disk_write_bytes")),
            shard["partitions"].to_string(),
            shard["connections"].to_string(),
        ]
    });
    table(
        &["SHARD", "LOAD", "IN/S", "OUT/S", "DISK/S", "PARTITIONS", "CONNECTIONS"],
        rows.collect(),
    )
}

fn topics(was: &Value, is: &Value, span: &Span, limit: usize) -> String {
    let mut topics: Vec<(f64, &Value)> = list(is, "topics")
        .iter()
        .map(|topic| {
            let before = find(list(was, "topics"), topic, &["id"]).or(Some(topic).filter(|_| !span.is_new));
            (
                span.rate(before, topic, "bytes_in") + span.rate(before, topic, "bytes_out"),
                topic,
            )
        })
        .collect();
    topics.sort_by(|one, other| other.0.total_cmp(&one.0));
    let rows = topics.into_iter().take(limit).map(|(_, topic)| {
        let before = find(list(was, "topics"), topic, &["id"]).or(Some(topic).filter(|_| !span.is_new));
        vec![
            text(topic, "name").to_string(),
            short(span.rate(before, topic, "bytes_in")),
            short(span.rate(before, topic, "bytes_out")),
            short(span.rate(before, topic, "messages_in")),
            topic["partitions"].to_string(),
            short(number(topic, "size_bytes")),
        ]
    });
    table(
        &["TOPIC", "IN/S", "OUT/S", "RECORDS/S", "PARTITIONS", "SIZE"],
        rows.collect(),
    )
}

/// Those that are furthest behind first.
fn groups(was: &Value, is: &Value, span: &Span, limit: usize) -> String {
    let groups = list(is, "groups");
    if groups.is_empty() {
        return String::new();
    }
    let rows = groups.iter().take(limit).map(|group| {
        let before = find(list(was, "groups"), group, &["group"]).or(Some(group).filter(|_| !span.is_new));
        let state = group["wrong"].as_str().unwrap_or(text(group, "state"));
        vec![
            text(group, "group").to_string(),
            short(number(group, "lag")),
            short(span.rate(before, group, "committed")),
            group["members"].to_string(),
            group["partitions"].to_string(),
            state.to_string(),
        ]
    });
    table(
        &["GROUP", "LAG", "COMMITTED/S", "MEMBERS", "PARTITIONS", "STATE"],
        rows.collect(),
    )
}

fn clients(was: &Value, is: &Value, span: &Span, limit: usize) -> String {
    let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (was, mut rows) = (all(was), all(is));
    let load = |row: &Value| {
        let before = find(&was, row, &["shard", "number"]).or(Some(row));
        span.rate(before, row, "bytes_in") + span.rate(before, row, "bytes_out")
    };
    rows.sort_by(|one, other| load(other).total_cmp(&load(one)));
    let rows = rows.iter().take(limit).map(|row| {
        let before = find(&was, row, &["shard", "number"]).or(Some(row));
        vec![
            text(row, "client_id").to_string(),
            text(row, "peer").to_string(),
            row["shard"].to_string(),
            short(span.rate(before, row, "bytes_in")),
            short(span.rate(before, row, "bytes_out")),
            short(span.rate(before, row, "requests")),
        ]
    });
    table(
        &["CLIENT", "ADDRESS", "SHARD", "IN/S", "OUT/S", "REQUESTS/S"],
        rows.collect(),
    )
}

fn apis(was: &Value, is: &Value, span: &Span, limit: usize) -> String {
    let mut rows: Vec<(f64, Vec<String>)> = Vec::new();
    for api in list(is, "apis") {
        let before = find(list(was, "apis"), api, &["key"]).filter(|_| !span.is_new);
        let buckets = between(before, api);
        let rate = span.rate(before, api, "count");
        if rate > 0.0 {
            let cells = [0.5, 0.99, 0.999].map(|share| time(quantile(&buckets, share)));
            let row = [vec![text(api, "api").to_string(), short(rate)], cells.to_vec()].concat();
            rows.push((rate, row));
        }
    }
    rows.sort_by(|one, other| other.0.total_cmp(&one.0));
    let rows = rows.into_iter().take(limit).map(|(_, row)| row);
    table(&["API", "REQUESTS/S", "P50", "P99", "P99.9"], rows.collect())
}

/// What came into each bucket between two looks: (upper bound in nanoseconds, count).
fn between(before: Option<&Value>, now: &Value) -> Vec<(u64, u64)> {
    let pairs = |value: &Value| -> Vec<(u64, u64)> {
        let pair = |pair: &Value| Some((pair[0].as_u64()?, pair[1].as_u64()?));
        list(value, "buckets").iter().filter_map(pair).collect()
    };
    let before = before.map(pairs).unwrap_or_default();
    let had = |bound| {
        before
            .iter()
            .find(|(known, _)| *known == bound)
            .map_or(0, |(_, count)| *count)
    };
    pairs(now)
        .into_iter()
        .map(|(bound, count)| (bound, count.saturating_sub(had(bound))))
        .collect()
}

fn quantile(buckets: &[(u64, u64)], share: f64) -> u64 {
    let count: u64 = buckets.iter().map(|(_, count)| count).sum();
    let wanted = (count as f64 * share).ceil().max(1.0) as u64;
    let mut passed = 0;
    let reached = buckets.iter().find(|(_, count)| {
        passed += count;
        passed >= wanted
    });
    reached.map_or(0, |(bound, _)| *bound)
}

/// Columns as wide as their widest cell: the first one to the left, the others to the right.
fn table(names: &[&str], rows: Vec<Vec<String>>) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells.chain([names[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).enumerate().map(|(at, (cell, width))| match at {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    let mut text = "\n".to_string() + &line(&mut names.iter().copied());
    for row in &rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

/// The row of the earlier look that has the same names.
fn find<'a>(rows: &'a [Value], row: &Value, names: &[&str]) -> Option<&'a Value> {
    rows.iter()
        .find(|known| names.iter().all(|name| known[name] == row[name]))
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value, field: &str) -> f64 {
    value[field].as_f64().unwrap_or(0.0)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or("-")
}

/// 12.3 M
fn short(value: f64) -> String {
    let steps = ["", " k", " M", " G", " T"];
    let (mut value, mut step) = (value, 0);
    while value >= 999.5 && step < steps.len() - 1 {
        (value, step) = (value / 1000.0, step + 1);
    }
    let digits = usize::from(step > 0 && value < 99.95);
    format!("{value:.digits$}{}", steps[step])
}

/// 12.3 MB
fn bytes(value: f64) -> String {
    let short = short(value);
    let blank = if short.contains(' ') { "" } else { " " };
    format!("{short}{blank}B")
}

fn time(nanos: u64) -> String {
    match nanos {
        0..1_000_000 => format!("{:.0} us", nanos as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", nanos as f64 / 1e6),
        _ => format!("{:.1} s", nanos as f64 / 1e9),
    }
}

fn age(seconds: f64) -> String {
    let seconds = seconds as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(uptime_ms: u64, bytes: u64, requests: u64) -> Value {
        json!({
            "status": {
                "version": "0.1.0", "broker_id": 7, "uptime_ms": uptime_ms, "not_ready_because": null,
                "bytes_in": bytes, "bytes_out": 0, "messages_in": 0, "connections": 1, "partitions": 2,
                "resident_bytes": 20_000_000,
                "brokers": [
                    {"id": 7, "state": "active", "controller": true, "leaders": 2, "partitions": 3, "endpoints": [{"host": "h", "port": 9}]},
                    {"id": 8, "state": "fenced", "controller": false, "leaders": 0, "partitions": 3, "endpoints": [{"host": "i", "port": 9}]},
                ],
                "shards": [{"shard": 0, "busy": 0.5, "bytes_in": bytes, "partitions": 2, "connections": 1}],
                "topics": [
                    {"name": "idle", "id": "a", "bytes_in": 900, "partitions": 1, "size_bytes": 1},
                    {"name": "busy", "id": "b", "bytes_in": bytes, "partitions": 1, "size_bytes": 2},
                ],
                "groups": [
                    {"group": "slow", "state": "Stable", "members": 2, "partitions": 4, "committed": requests, "lag": 1_500, "wrong": null},
                    {"group": "gone", "state": "Empty", "members": 0, "partitions": 1, "committed": 3, "lag": 7, "wrong": "stands still"},
                ],
                "apis": [{"api": "Produce", "key": 0, "count": requests, "buckets": [[128_000, 10], [2_000_000, requests - 10]]}],
                "findings": [{"severity": "warning", "what": "a thing", "cure": "Mend it."}],
            },
            "connections": [{"client_id": "c", "peer": "p", "shard": 0, "number": 3, "bytes_in": bytes}],
        })
    }

    /// Rates and percentiles are those of the time between two looks; the busiest topic comes first.
    #[test]
    fn the_screen_shows_what_came_between() {
        let screen = render(&looked(10_000, 1_000, 20), &looked(12_000, 5_001_000, 40), 10);
        assert!(
            screen.starts_with("Corelane 0.1.0 · broker 7 · ready · up 12 s\nin 2.5 MB/s"),
            "{screen}"
        );
        assert!(screen.contains("warning: a thing. Mend it."));
        assert!(screen.contains("##########..........  50 %  2.5 M"));
        assert!(screen.find("\nbusy ").expect("shown") < screen.find("\nidle ").expect("shown"));
        let words = |start: &str| {
            let line = screen.lines().find(|line| line.starts_with(start)).expect("shown");
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words("7"), "7 h:9 active yes 2 3");
        assert_eq!(words("8"), "8 i:9 fenced 0 3");
        assert_eq!(words("slow"), "slow 1.5 k 10 2 4 Stable");
        assert_eq!(words("gone"), "gone 7 0 0 1 stands still");
        let api = screen.lines().find(|line| line.starts_with("Produce")).expect("shown");
        assert_eq!(
            api.split_whitespace().collect::<Vec<_>>(),
            ["Produce", "10", "2.0", "ms", "2.0", "ms", "2.0", "ms"]
        );
    }

    /// After a restart counters begin again: nothing is negative.
    #[test]
    fn a_restart_in_between_is_no_negative_rate() {
        let screen = render(&looked(90_000, 5_000_000, 40), &looked(1_000, 2_000, 20), 10);
        assert!(screen.contains("in 2.0 kB/s") && !screen.contains('-'), "{screen}");
    }

    #[test]
    fn amounts_are_short() {
        assert_eq!(
            [0.0, 950.0, 1_000.0, 123_456.0, 5e12].map(short),
            ["0", "950", "1.0 k", "123 k", "5.0 T"]
        );
        assert_eq!([900, 2_500_000, 3_000_000_000].map(time), ["1 us", "2.5 ms", "3.0 s"]);
        assert_eq!(
            [5.0, 90.0, 7_200.0, 90_000.0].map(age),
            ["5 s", "1 min", "2 h 0 min", "1 d 1 h"]
        );
    }
}
