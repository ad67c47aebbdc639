//! Redis streams: another protocol, driven by its own redis-benchmark. A bar to compare with, not a peer of every measure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::process::{Process, free_port};
use super::root;

pub struct Redis {
    pub process: Process,
    pub version: String,
    port: u16,
}

fn program(name: &str) -> PathBuf {
    root().join("target/clients/redis").join(name)
}

/// Why it cannot be measured, if it cannot.
pub fn missing() -> Option<String> {
    let server = program("redis-server");
    (!server.exists()).then(|| format!("{} is not there: sh benches/install.sh redis", server.display()))
}

impl Redis {
    /// `fsync`: everysec (as a broker without a flush per write) or always.
    pub fn start(data: &Path, fsync: &str) -> anyhow::Result<Redis> {
        let dir = data.join("redis");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).context("make redis' directory")?;
        let port = free_port();
        let mut command = Command::new(program("redis-server"));
        command
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--appendonly",
                "yes",
                "--save",
                "",
            ])
            .args(["--appendfsync", fsync, "--dir"])
            .arg(&dir);
        let is_ready = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        Ok(Redis {
            process: Process::start("redis", &mut command, &dir, is_ready)?,
            version: version(),
            port,
        })
    }

    /// XADD of `bytes` bytes, 4 connections with 8 in flight each: appended entries per second.
    pub fn append(&self, bytes: usize, count: u64) -> anyhow::Result<f64> {
        let filling = "x".repeat(bytes);
        let output = Command::new(program("redis-benchmark"))
            .args(["-p", &self.port.to_string(), "-c", "4", "-P", "8", "-r", "8", "--csv"])
            .args(["-n", &count.to_string(), "XADD", "s:__rand_int__", "*", "f", &filling])
            .output()
            .context("start redis-benchmark")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let row = text.lines().last().context("redis-benchmark said nothing")?;
        // "the command","requests per second",…
        let rate = row.split("\",\"").nth(1);
        rate.and_then(|field| field.parse().ok())
            .with_context(|| format!("redis-benchmark said {row}"))
    }
}

fn version() -> String {
    let text = crate::output::environment::output(&program("redis-server").to_string_lossy(), &["--version"]);
    let text = text.unwrap_or_default();
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
    version.unwrap_or_default().to_owned()
}
