//! Where a run took place: without it a number means nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

pub fn capture() -> Value {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    let device = output("df", &["--output=source", "."]).and_then(|text| text.lines().last().map(str::to_owned));
    let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    json!({
        "at": date(),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "cpu": field("/proc/cpuinfo", "model name"),
        "cpus": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": field("/proc/meminfo", "MemTotal"),
        "governor": governor.unwrap_or_else(|| "not shown".to_owned()),
        "clock": read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "load_average": read("/proc/loadavg"),
        "cpu_pressure": read("/proc/pressure/cpu"),
        "io_pressure": read("/proc/pressure/io"),
        "file_system": output("stat", &["-f", "-c", "%T", "."]),
        // Kafka maps its index files, and reads through the page cache.
        "read_ahead_kb": device.as_deref().and_then(read_ahead_kb),
        "device": device,
        "revision": revision(),
        "bench": env!("CARGO_PKG_VERSION"),
        "profile": if cfg!(debug_assertions) { "dev" } else { "release" },
    })
}

/// How far the kernel reads ahead on a block device, or on the disk that it is a part of.
fn read_ahead_kb(device: &str) -> Option<u64> {
    let name = Path::new(device).file_name()?;
    let block = fs::canonicalize(Path::new("/sys/class/block").join(name)).ok()?;
    let read = |dir: &Path| fs::read_to_string(dir.join("queue/read_ahead_kb")).ok();
    block.ancestors().take(2).find_map(read)?.trim().parse().ok()
}

/// The commit, and whether the tree differs from it.
fn revision() -> Option<String> {
    let commit = output("git", &["rev-parse", "--short", "HEAD"])?;
    let dirty = output("git", &["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
    Some(format!("{commit}{}", if dirty { " with changes" } else { "" }))
}

fn date() -> Option<String> {
    output("date", &["--utc", "+%Y-%m-%dT%H:%M:%SZ"])
}

pub fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}
