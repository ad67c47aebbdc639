//! `corelane debug bundle`: what somebody needs who was not there, in one archive, without secrets.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;

use super::archive::Archive;
use super::configuration::{self, located, read_properties};
use super::doctor;
use crate::config::{BrokerConfig, Properties, broker_key};
use crate::preflight;
use crate::rt::{self, blocking, tool};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The server.properties of the broker on this machine
    file: PathBuf,
    /// Where the archive goes
    #[arg(long, default_value = "corelane-debug.tar.gz", value_name = "FILE")]
    out: PathBuf,
    /// A log file to take along, its last 4 MiB; may be given several times (the journal is asked besides)
    #[arg(long = "log", value_name = "FILE")]
    logs: Vec<PathBuf>,
}

const LOG_BYTES_MAX: usize = 4 << 20;
const JOURNAL_LINES: &str = "20000";
const HIDDEN: &str = "(hidden)";
/// What a key's name holds whose value is nobody else's business, also when the key is not known here.
const SECRET_WORDS: [&str; 6] = ["password", "secret", "jaas", "credential", "token", "private"];
const FILES_OF_THE_KERNEL: [&str; 9] = [
    "/proc/version",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/mounts",
    "/proc/swaps",
    "/proc/interrupts",
    "/proc/pressure/cpu",
    "/proc/pressure/io",
    "/proc/diskstats",
];

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let properties = read_properties(&args.file)?;
    let mut archive = Archive::new((rt::wall_ms() / 1000).max(0) as u64);
    let mut names = Vec::new();
    for (name, content) in collect(&args, &properties)? {
        archive.add(&format!("corelane-debug/{name}"), &content)?;
        names.push(name);
    }
    let packed = archive.finish()?;
    blocking::write_file_atomic(&args.out, &packed).with_context(|| format!("write {}", args.out.display()))?;
    println!(
        "{}: {} files, {} KiB",
        args.out.display(),
        names.len(),
        packed.len() / 1024
    );
    for name in names {
        println!("  {name}");
    }
    println!("Values of passwords are left out; look through the logs before you send it to anybody.");
    Ok(ExitCode::SUCCESS)
}

fn collect(args: &Args, properties: &Properties) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut files = vec![
        ("versions.json".to_owned(), versions()),
        ("server.properties".to_owned(), without_secrets(properties).into_bytes()),
    ];
    let lines = doctor::on_this_machine(args.file.clone(), true)?;
    files.push(("doctor.json".to_owned(), pretty(&doctor::as_json(&lines))));
    match configuration::resolve(properties.clone(), &[])? {
        Ok(resolved) => {
            files.push(("tuning.json".to_owned(), tuning(&resolved.config)));
            files.extend(of_admin_port(&resolved.config));
        }
        Err(problems) => {
            let said: Vec<_> = problems
                .iter()
                .map(|problem| located("server.properties", problem))
                .collect();
            files.push(("config-problems.txt".to_owned(), said.join("\n").into_bytes()));
        }
    }
    for path in FILES_OF_THE_KERNEL {
        if let Ok(content) = blocking::read_file(Path::new(path)) {
            files.push((
                format!("kernel{}", path.replace('/', "-").replace("-proc", "")),
                content,
            ));
        }
    }
    files.extend(logs(args)?);
    Ok(files)
}

fn pretty(value: &serde_json::Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

fn versions() -> Vec<u8> {
    let line = |path: &str| {
        let content = blocking::read_file(Path::new(path)).unwrap_or_default();
        String::from_utf8_lossy(&content).trim().to_owned()
    };
    pretty(&json!({
        "corelane": env!("CARGO_PKG_VERSION"),
        "kernel": line("/proc/sys/kernel/osrelease"),
        "system": line("/etc/os-release").lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")),
        "taken_at_ms": rt::wall_ms(),
    }))
}

/// The file's keys in its order, the values of secrets replaced; comments are left out, since they may hold secrets too.
fn without_secrets(properties: &Properties) -> String {
    let shown = |(key, value, _): &(String, String, usize)| {
        let value = if is_secret(key) { HIDDEN } else { value.as_str() };
        format!("{key}={value}\n")
    };
    properties.entries.iter().map(shown).collect()
}

fn is_secret(key: &str) -> bool {
    let name = key.to_ascii_lowercase();
    broker_key(key).is_some_and(|key| key.is_sensitive()) || SECRET_WORDS.iter().any(|word| name.contains(word))
}

fn tuning(config: &BrokerConfig) -> Vec<u8> {
    let row = |finding: &crate::tuning::Finding| {
        json!({
            "id": finding.id,
            "status": finding.status.name(),
            "current": finding.current,
            "wanted": finding.wanted,
        })
    };
    pretty(&json!(preflight::advice(config).iter().map(row).collect::<Vec<_>>()))
}

/// What the broker says of itself, where it runs and has its admin port open.
fn of_admin_port(config: &BrokerConfig) -> Vec<(String, Vec<u8>)> {
    let Some((host, port)) = &config.admin_listener else {
        return Vec::new();
    };
    let address = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let get = |path: &str| match blocking::http_get(&address, path) {
        Ok(body) => body,
        Err(problem) => format!("http://{address}{path}: {problem}\n").into_bytes(),
    };
    vec![
        ("metrics.txt".to_owned(), get("/metrics")),
        ("readyz.txt".to_owned(), get("/readyz?verbose")),
    ]
}

fn logs(args: &Args) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for (at, path) in args.logs.iter().enumerate() {
        let content = blocking::read_file(path).with_context(|| format!("read the log {}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((format!("log-{at}-{name}"), tail(content)));
    }
    let asked = [
        "--unit",
        "corelane",
        "--no-pager",
        "--output",
        "short-iso",
        "--lines",
        JOURNAL_LINES,
    ];
    // Without systemd there is no journal, and --log is the way.
    if let Ok(journal) = tool::output_of("journalctl", &asked) {
        files.push(("journal.txt".to_owned(), tail(journal)));
    }
    Ok(files)
}

fn tail(mut content: Vec<u8>) -> Vec<u8> {
    content.drain(..content.len().saturating_sub(LOG_BYTES_MAX));
    content
}

#[cfg(test)]
mod tests {
    use super::{HIDDEN, Properties, tail, without_secrets};

    #[test]
    fn secrets_stay_at_home() {
        let text = "ssl.keystore.password=pw1\nlistener.name.x.plain.sasl.jaas.config=pw2\nmy.api.token=pw3\n# pw4\nlog.dirs=/d\n";
        let shown = without_secrets(&Properties::parse(text));
        assert!(!shown.contains("pw"), "{shown}");
        assert_eq!(shown.matches(HIDDEN).count(), 3);
        assert!(shown.contains("log.dirs=/d\n"));
    }

    #[test]
    fn a_long_log_is_cut_at_its_front() {
        assert_eq!(tail(b"short".to_vec()), b"short");
        assert_eq!(tail(vec![0; super::LOG_BYTES_MAX + 1]).len(), super::LOG_BYTES_MAX);
    }
}
