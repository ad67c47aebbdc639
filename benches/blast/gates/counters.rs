//! Counters that are looked at from outside: the counted broker's file, the kernel's tracepoints, and its I/O accounting.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// What `corelane-counted` counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub allocations: f64,
    pub copied_bytes: f64,
}

const COUNTS_BYTES: usize = 32;

pub struct CountsFile(PathBuf);

impl CountsFile {
    pub fn create(dir: &Path) -> anyhow::Result<CountsFile> {
        let path = dir.join("counts");
        fs::write(&path, [0; COUNTS_BYTES]).with_context(|| format!("make {}", path.display()))?;
        Ok(CountsFile(path))
    }

    pub fn path(&self) -> PathBuf {
        self.0.clone()
    }

    pub fn read(&self) -> anyhow::Result<Counts> {
        let bytes = fs::read(&self.0).context("read the counts")?;
        let word = |at: usize| -> anyhow::Result<f64> {
            let bytes = bytes.get(at * 8..at * 8 + 8).context("the counts are cut short")?;
            Ok(u64::from_ne_bytes(bytes.try_into()?) as f64)
        };
        Ok(Counts {
            allocations: word(0)?,
            copied_bytes: word(3)?,
        })
    }
}

impl Counts {
    pub fn since(self, before: Counts) -> Counts {
        Counts {
            allocations: self.allocations - before.allocations,
            copied_bytes: self.copied_bytes - before.copied_bytes,
        }
    }
}

/// What the kernel counts while perf watches: system calls, and submissions that io_uring left to a worker thread.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    pub system_calls: f64,
    pub punts: f64,
}

const SYSTEM_CALLS: &str = "raw_syscalls:sys_enter";
const PUNTS: &str = "io_uring:io_uring_queue_async_work";
const PATIENCE: Duration = Duration::from_secs(10);

/// A perf that watches one process until it is asked.
pub struct Perf {
    child: Child,
    output: PathBuf,
}

impl Perf {
    pub fn watch(pid: u32, dir: &Path) -> anyhow::Result<Perf> {
        let output = dir.join("perf.csv");
        let _ = fs::remove_file(&output);
        let mut child = Command::new("perf")
            .args([
                "stat",
                "-x",
                ",",
                "-e",
                &format!("{SYSTEM_CALLS},{PUNTS}"),
                "-p",
                &pid.to_string(),
                "-o",
            ])
            .arg(&output)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start perf")?;
        // It makes its output file when it has opened its counters.
        let deadline = Instant::now() + PATIENCE;
        while !output.exists() {
            if let Some(status) = child.try_wait()? {
                bail!("perf ended with {status}");
            }
            if Instant::now() > deadline {
                bail!("perf does not begin");
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(Perf { child, output })
    }

    pub fn end(mut self) -> anyhow::Result<Kernel> {
        // SAFETY: takes no memory of ours; the child has not been waited for.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGINT) };
        self.child.wait().context("wait for perf")?;
        let text = fs::read_to_string(&self.output).context("read what perf has counted")?;
        let count = |event: &str| -> anyhow::Result<f64> {
            let line = text.lines().find(|line| line.contains(event));
            let count = line.and_then(|line| line.split(',').next()?.parse().ok());
            count.with_context(|| format!("perf counted no {event}: {text}"))
        };
        Ok(Kernel {
            system_calls: count(SYSTEM_CALLS)?,
            punts: count(PUNTS)?,
        })
    }
}

/// Why the tracepoints cannot be counted here, if they cannot.
pub fn perf_missing() -> Option<String> {
    let output = Command::new("perf")
        .args(["stat", "-e", &format!("{SYSTEM_CALLS},{PUNTS}"), "true"])
        .output();
    match output {
        Err(problem) => Some(format!("perf: {problem}")),
        Ok(output) if output.status.success() => None,
        Ok(_) => Some("perf may not see tracepoints: mount tracefs and run as root".to_owned()),
    }
}
