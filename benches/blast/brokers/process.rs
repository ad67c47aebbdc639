//! A broker as a child process on loopback: started, waited for, stopped for a while, ended.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long a broker may take to start, and to end after SIGTERM before it is killed.
const START_PATIENCE: Duration = Duration::from_secs(120);
const END_PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(5);

pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    stopped: bool,
}

impl Process {
    /// Starts the command with its output in `dir`, and waits until `is_ready`.
    pub fn start(
        name: &str,
        command: &mut Command,
        dir: &Path,
        is_ready: impl Fn() -> bool,
    ) -> anyhow::Result<Process> {
        let mut process = Process::spawn(name, command, dir)?;
        process.wait_until(is_ready)?;
        Ok(process)
    }

    /// Starts it and does not wait: it may need others first.
    pub fn spawn(name: &str, command: &mut Command, dir: &Path) -> anyhow::Result<Process> {
        let log = dir.join("output.log");
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .context("make a log")?;
        // SAFETY: one system call between fork and exec.
        unsafe { command.pre_exec(end_with_parent) };
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Process {
            name: name.to_owned(),
            child,
            log,
            stopped: false,
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Takes the process off the CPUs: a broker that is not measured burns nothing.
    pub fn pause(&mut self) {
        self.stopped = true;
        self.signal(libc::SIGSTOP);
    }

    pub fn resume(&mut self) {
        self.stopped = false;
        self.signal(libc::SIGCONT);
    }

    /// Asks it to end.
    pub fn terminate(&mut self) {
        if self.stopped {
            self.resume();
        }
        self.signal(libc::SIGTERM);
    }

    /// SIGTERM, and SIGKILL for what does not listen.
    pub fn end(&mut self) {
        self.terminate();
        let deadline = Instant::now() + END_PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(LOOK);
        }
        self.kill();
    }

    /// SIGKILL: nothing is flushed.
    pub fn kill(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Resident memory in bytes, shared pages by their share.
    pub fn memory_bytes(&self) -> Option<u64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid())).ok()?;
        let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib << 10)
    }

    pub fn wait_until(&mut self, is_ready: impl Fn() -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_PATIENCE;
        while !is_ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.name, self.last_words());
            }
            if Instant::now() > deadline {
                bail!(
                    "{} does not answer after {START_PATIENCE:?}:\n{}",
                    self.name,
                    self.last_words()
                );
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: takes no memory of ours; the child has not been waited for, so that its id is its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
    }
}

/// The child is killed when the thread that started it ends, also when this program is killed.
fn end_with_parent() -> std::io::Result<()> {
    // SAFETY: takes no memory of ours.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that was free a moment ago, below those from which the kernel gives clients theirs.
pub fn free_port() -> u16 {
    free_ports(1)[0]
}

/// So many of them, all different.
pub fn free_ports(count: usize) -> Vec<u16> {
    let first = 10_000 + (std::process::id() * 97 % 20_000) as u16;
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports: Vec<u16> = (first..32_000).filter(is_free).take(count).collect();
    assert_eq!(ports.len(), count, "some of many ports are free");
    ports
}
