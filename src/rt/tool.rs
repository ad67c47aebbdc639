//! What command-line tools need of the process and its machine; never used on a shard.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Blocks this thread.
pub fn sleep(duration: Duration) {
    thread::sleep(duration);
}

/// Whether Ctrl-C (SIGINT) or SIGTERM has been sent to this process.
#[derive(Clone)]
pub struct Interrupted(Arc<AtomicBool>);

impl Interrupted {
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// From now on the first SIGINT or SIGTERM sets a flag; the second one ends the process as usual.
pub fn interrupted() -> io::Result<Interrupted> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&flag))?;
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    Ok(Interrupted(flag))
}

/// Starts this program again in the background, in a session of its own, with its output appended to `log`.
pub fn start_in_background(arguments: &[String], log: &Path) -> io::Result<u32> {
    let out = fs::File::options().create(true).append(true).open(log)?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out);
    // A group of its own: Ctrl-C in the shell that started it does not reach it.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    Ok(command.spawn()?.id())
}

/// The processes of this machine whose command line begins so: a program (by its file name), then these arguments.
pub fn processes(command: &[&str]) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        // A process may end while we look at it, or belong to somebody else.
        let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else {
            continue;
        };
        let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let named = words.iter().map(|word| word.rsplit('/').next().unwrap_or_default());
        if words.len() >= command.len() && named.zip(command).all(|(word, wanted)| word == *wanted) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// What a program of this machine prints; `NotFound` where it is not installed.
pub fn output_of(program: &str, arguments: &[&str]) -> io::Result<Vec<u8>> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    Ok([output.stdout, output.stderr].concat())
}

/// Asks a process to end cleanly (SIGTERM).
pub fn terminate(pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: kill takes two integers and touches no memory of ours.
    match unsafe { libc::kill(pid, libc::SIGTERM) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
