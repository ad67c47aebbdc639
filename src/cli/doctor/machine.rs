//! The machine: what a broker needs, what would be better, the disks' speed, the clock.

use std::path::Path;

use super::Line;
use crate::config::BrokerConfig;
use crate::preflight;
use crate::rt::{blocking, gauge, host};
use crate::tuning::Status;

/// A disk slower than this holds a broker up: MiB/s of direct writes, microseconds of a synced one.
const SLOW_MIB_PER_S: f64 = 50.0;
const SLOW_SYNC_US: f64 = 20_000.0;
const MIB: u64 = 1 << 20;

pub(super) fn look(config: &BrokerConfig, quick: bool) -> Vec<Line> {
    if !config.is_broker() {
        let enough = "what a controller only needs is there";
        return vec![required("limits", preflight::check_controller(config), enough), clock()];
    }
    let shards = preflight::cores_of_shards(config).len() as u64;
    let mut lines = vec![
        required(
            "io_uring",
            preflight::io_uring(),
            "the kernel takes io_uring and every operation that is used",
        ),
        required(
            "limits",
            preflight::locked_memory(config, shards).map(|_| ()),
            "locked memory is enough for the shards",
        ),
        required(
            "limits",
            preflight::descriptors(config),
            "open files are enough to start",
        ),
    ];
    for dir in &config.log_dirs {
        lines.extend(log_dir(config, dir, quick));
    }
    lines.extend(settings(config));
    lines.push(clock());
    lines
}

fn required(area: &'static str, result: anyhow::Result<()>, well: &str) -> Line {
    match result {
        Ok(()) => Line::ok(area, well),
        // The sentence of a refused start has its cure in it.
        Err(problem) => Line::new(Status::Fail, area, format!("{problem:#}"), ""),
    }
}

fn log_dir(config: &BrokerConfig, dir: &Path, quick: bool) -> Vec<Line> {
    let shown = dir.display();
    if !host::exists(dir) {
        let what = format!("{shown} is not there yet: the first start makes it");
        return vec![Line::new(Status::Info, "disk", what, "")];
    }
    let mut lines = vec![required(
        "disk",
        preflight::log_dir(config, dir),
        &format!("{shown} takes direct I/O"),
    )];
    if lines.iter().any(|line| line.status != Status::Ok) {
        return lines;
    }
    lines.extend(space(config, dir));
    if !quick {
        lines.extend(speed(dir));
    }
    lines
}

fn space(config: &BrokerConfig, dir: &Path) -> Option<Line> {
    let (free, total) = blocking::space(dir).ok()?;
    let what = format!("{}: {} of {} MiB free", dir.display(), free / MIB, total / MIB);
    let reserve = config.log_dir_min_free_bytes;
    Some(if free < reserve {
        let cure = "shorten retention, delete topics or add space; or lower log.dir.min.free.bytes: produce is refused till then";
        Line::new(Status::Fail, "disk", what, cure)
    } else if free < reserve.saturating_mul(2) {
        let cure = "below log.dir.min.free.bytes produce will be refused: shorten retention or add space";
        Line::new(Status::Warn, "disk", what, cure)
    } else {
        Line::ok("disk", what)
    })
}

fn speed(dir: &Path) -> Option<Line> {
    let gauges = gauge::disk(dir).ok()?;
    let figures: Vec<_> = gauges
        .iter()
        .map(|gauge| format!("{} {:.0} {}", gauge.name, gauge.value, gauge.unit))
        .collect();
    let what = format!("{}: {}", dir.display(), figures.join("; "));
    let is_slow = gauges.iter().any(|gauge| match gauge.higher_is_better {
        true => gauge.value < SLOW_MIB_PER_S,
        false => gauge.name.ends_with("p50") && gauge.value > SLOW_SYNC_US,
    });
    Some(match is_slow {
        true => Line::new(
            Status::Warn,
            "disk",
            what,
            "slow for a log: is the disk shared, throttled or failing (iostat -x, dmesg, smartctl)?",
        ),
        false => Line::ok("disk", what),
    })
}

fn settings(config: &BrokerConfig) -> Vec<Line> {
    let findings = preflight::advice(config);
    let well = findings.iter().filter(|finding| finding.status == Status::Ok).count();
    let mut lines = vec![Line::ok("tuning", format!("{well} settings are as they should be"))];
    for finding in findings.iter().filter(|finding| finding.is_wrong()) {
        let what = format!(
            "{} is {}, better {}: {}",
            finding.id, finding.current, finding.wanted, finding.knob.why
        );
        lines.push(Line::new(finding.status, "tuning", what, finding.cure()));
    }
    lines
}

fn clock() -> Line {
    match host::is_clock_synchronized() {
        Some(true) => Line::ok("clock", "the kernel's clock is kept in time"),
        Some(false) => Line::new(
            Status::Warn,
            "clock",
            "nobody keeps the kernel's clock in time: retention and record times go wrong with it",
            "systemctl enable --now systemd-timesyncd (or chrony)",
        ),
        None => Line::new(Status::Skip, "clock", "the kernel does not tell", ""),
    }
}
