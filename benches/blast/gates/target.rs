//! The broker that is measured: one shard, so that nothing depends on which connection landed where.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use corelane::client::Cluster;

use crate::brokers::{Process, free_port, own_properties};
use crate::engine::workload::Workload;
use crate::engine::{self, Outcome};

/// Everything on one shard; and nothing that happens by the clock comes in between.
const SETTINGS: &[&str] = &["shard.count=1", "log.retention.check.interval.ms=3600000"];

pub struct Target {
    pub process: Process,
    pub bootstrap: String,
    dir: PathBuf,
}

/// What is put before the broker's command line, and around it.
#[derive(Default)]
pub struct Wrapping<'a> {
    pub before: Vec<String>,
    pub environment: Vec<(&'a str, PathBuf)>,
}

impl Target {
    pub fn start(binary: &Path, data: &Path, wrapping: &Wrapping<'_>) -> anyhow::Result<Target> {
        let dir = data.join("gates");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).context("make the broker's directory")?;
        let port = free_port();
        let settings: Vec<String> = SETTINGS.iter().map(|setting| (*setting).to_owned()).collect();
        let file = own_properties(&dir, port, &settings)?;
        let mut words = wrapping
            .before
            .iter()
            .map(String::as_str)
            .chain([binary.to_str().context("a plain path")?]);
        let mut command = Command::new(words.next().context("a program")?);
        command
            .args(words)
            .arg("start")
            .arg(&file)
            .envs(wrapping.environment.iter().map(|(name, value)| (name, value)));
        let bootstrap = format!("127.0.0.1:{port}");
        let is_ready = || Cluster::connect(&bootstrap, "corelane-bench").is_ok();
        let process = Process::start("corelane", &mut command, &dir, is_ready)?;
        Ok(Target {
            process,
            bootstrap,
            dir,
        })
    }

    pub fn run(&self, workload: &Workload) -> anyhow::Result<Outcome> {
        let outcome = engine::run(&self.bootstrap, workload, Some(self.process.pid()))?;
        anyhow::ensure!(outcome.errors.is_empty(), "requests were refused: {:?}", outcome.errors);
        anyhow::ensure!(
            outcome.unanswered == 0,
            "{} requests were not answered",
            outcome.unanswered
        );
        Ok(outcome)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.process.kill();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
