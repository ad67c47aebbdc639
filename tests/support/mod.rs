//! What the end-to-end tests share: a broker process on a free port with its own data, and waiting with a deadline.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use corelane::metrics::METRICS;

/// How long anything may take before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A client's process; it does not outlive the test, however that ends.
pub struct Program(pub Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A broker process and its scratch directory; both go when this goes.
pub struct Broker {
    pub port: u16,
    pub dir: PathBuf,
    host: String,
    /// Its network, where that is not the test's own.
    namespace: Option<String>,
    child: Option<Child>,
}

impl Broker {
    /// Starts a broker on a free port of 127.0.0.1 with `settings` over the defaults of the tests.
    pub fn start(settings: &[(&str, &str)]) -> Broker {
        let mut broker = Broker::prepare(settings);
        broker.restart();
        broker
    }

    /// The same, not started yet.
    pub fn prepare(settings: &[(&str, &str)]) -> Broker {
        Broker::prepare_at("127.0.0.1", None, settings)
    }

    /// The same, at another address, in a network namespace.
    pub fn prepare_at(host: &str, namespace: Option<&str>, settings: &[(&str, &str)]) -> Broker {
        let dir = scratch_dir();
        let port = free_port();
        let mut text = format!(
            "broker.id=0\nlisteners=PLAINTEXT://{host}:{port}\nlog.dirs={}\nlog.dir.min.free.bytes=0\nadmin.listener=\n",
            dir.join("data").display()
        );
        // The brokers of all tests that run at a time have one user's 8 MiB of locked memory; root may lock what there is.
        if !is_root() {
            text.push_str("shard.io.memory.bytes=262144\n");
        }
        for (key, value) in settings {
            text.push_str(&format!("{key}={value}\n"));
        }
        fs::write(dir.join("server.properties"), text).unwrap();
        Broker {
            port,
            dir,
            host: host.to_owned(),
            namespace: namespace.map(str::to_owned),
            child: None,
        }
    }

    /// Adds lines to its file, for its next start.
    pub fn set(&self, settings: &[(&str, &str)]) {
        let path = self.dir.join("server.properties");
        let mut text = fs::read_to_string(&path).unwrap();
        for (key, value) in settings {
            text.push_str(&format!("{key}={value}\n"));
        }
        fs::write(path, text).unwrap();
    }

    /// Starts the process again on the same data and waits until it answers.
    pub fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// The same, with more in its environment.
    pub fn restart_with(&mut self, environment: &[(&str, &str)]) {
        self.spawn_with(environment);
        self.await_answer();
    }

    /// Starts the process, and does not wait: it may need others first.
    pub fn spawn(&mut self) {
        self.spawn_with(&[]);
    }

    fn spawn_with(&mut self, environment: &[(&str, &str)]) {
        assert!(self.child.is_none(), "stop it first");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        let mut command = match &self.namespace {
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, env!("CARGO_BIN_EXE_corelane")]);
                command
            }
            None => Command::new(env!("CARGO_BIN_EXE_corelane")),
        };
        let child = command
            .arg("start")
            .arg(self.dir.join("server.properties"))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Until it serves.
    pub fn await_answer(&mut self) {
        wait_until("the broker answers", || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "the broker ended with {ended:?}:\n{}", self.log());
            answers_api_versions(&self.bootstrap())
        });
    }

    pub fn bootstrap(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Resident memory of the process.
    pub fn rss_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Everything the broker has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// A metric's value now, summed over the shards, from what SIGUSR1 has the broker print.
    pub fn metric(&self, name: &str) -> i64 {
        let first = format!("# HELP {} ", METRICS[0].2);
        let last = format!("\n{}{{", METRICS[METRICS.len() - 1].2);
        let printed = self.log().matches(&last).count();
        let told = Command::new("kill")
            .args(["-USR1", &self.pid().to_string()])
            .status()
            .unwrap();
        assert!(told.success());
        let mut log = String::new();
        wait_until("the metrics are printed", || {
            log = self.log();
            log.matches(&last).count() > printed && log.ends_with('\n')
        });
        let newest = &log[log.rfind(&first).unwrap()..];
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let samples = newest.lines().filter(of_name);
        samples
            .map(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap())
            .sum()
    }

    /// What a subcommand of the binary prints, called with `arguments` (separated by blanks) and `input`; it must succeed.
    pub fn tool(&self, subcommand: &str, arguments: &str, input: &str) -> String {
        let mut child = Command::new(env!("CARGO_BIN_EXE_corelane"))
            .args([subcommand, "--bootstrap-server", &self.bootstrap()])
            .args(arguments.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{subcommand} {arguments} ended with {}",
            output.status
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// SIGKILL: nothing is flushed, nothing is said.
    pub fn kill_9(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and the exit status.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Until it has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let mut status = None;
        wait_until("the broker stops", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("broker.log")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("the broker's log:\n{}", tail(&self.log(), 60));
            eprintln!("its data stays in {}", self.dir.display());
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Waits for a condition, looking every 20 ms, and fails the test at the deadline.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A new directory under target/, which lies on a real file system (direct I/O does not work on tmpfs).
pub fn scratch_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let dir = target_dir().join("test-data").join(name);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Whether the shell finds it.
pub fn is_installed(program: &str) -> bool {
    let asked = Command::new("sh")
        .args(["-c", "command -v \"$0\"", program])
        .stdout(Stdio::null())
        .status();
    asked.unwrap().success()
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn target_dir() -> PathBuf {
    root().join("target")
}

/// A port that was free a moment ago, below the range from which the kernel gives clients theirs: a client that knocks while
/// the broker restarts would otherwise sooner or later be given, and take, the broker's own port.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    let candidates = std::iter::repeat_with(|| 10_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    candidates
        .map(|port| port as u16)
        .take(1_000)
        .find(is_free)
        .expect("one of a thousand ports is free")
}

/// Whether an ApiVersions v0 request is answered: the broker serves, not just listens.
pub fn answers_api_versions(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    let mut head = [0; 8];
    stream.write_all(&request).is_ok() && stream.read_exact(&mut head).is_ok() && head[4..] == [0, 0, 0, 7]
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
