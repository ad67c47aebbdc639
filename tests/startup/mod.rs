//! Starts that must be refused: with the cause and the cure, the right exit code, and nothing written. And what a start
//! does with directories that belong to no topic.

mod strays;

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Broker, PATIENCE, answers_api_versions, free_port, root, scratch_dir};

/// The configuration cannot be used.
const CONFIG: i32 = 78;
/// The machine, or what lies on it, cannot.
const FAILED: i32 = 1;

/// A directory for one attempt to start, removed at the end unless the test fails.
struct Attempt {
    dir: PathBuf,
    properties: String,
    wrapper: Vec<OsString>,
}

impl Attempt {
    fn new() -> Attempt {
        let dir = scratch_dir();
        let properties = format!(
            "broker.id=0\nlisteners=PLAINTEXT://127.0.0.1:{}\nlog.dirs={}\n",
            free_port(),
            dir.join("data").display()
        );
        Attempt {
            dir,
            properties,
            wrapper: Vec::new(),
        }
    }

    fn with(mut self, line: &str) -> Attempt {
        self.properties.push_str(line);
        self.properties.push('\n');
        self
    }

    /// Runs the broker through a command that ends in an exec.
    fn through<const N: usize>(mut self, wrapper: [&str; N]) -> Attempt {
        self.wrapper = wrapper.iter().map(OsString::from).collect();
        self
    }

    /// Starts the broker, which must end by itself with this exit code and without a trace in `data`. Gives what it printed.
    fn expect_refused_at(self, code: i32, data: &Path) -> String {
        let file = self.dir.join("server.properties");
        fs::write(&file, format!("{}admin.listener=\n", self.properties)).unwrap();
        let before = listing(data);
        let mut words = self.wrapper.clone();
        words.extend([env!("CARGO_BIN_EXE_corelane").into(), "start".into(), file.into()]);
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        // Of no effect on one that has ended, as it should have.
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{printed}");
        assert_eq!(listing(data), before, "nothing is written: {printed}");
        let _ = fs::remove_dir_all(&self.dir);
        printed
    }

    fn expect_refused(self, code: i32) -> String {
        let data = self.dir.join("data");
        self.expect_refused_at(code, &data)
    }
}

/// Every file with its content; empty where there is no directory.
fn listing(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let entries = fs::read_dir(dir).into_iter().flatten();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.push((path.clone(), Vec::new()));
            found.extend(listing(&path));
        } else {
            found.push((path.clone(), fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

fn assert_says(printed: &str, parts: &[&str]) {
    for part in parts {
        assert!(printed.contains(part), "{part:?} is not in: {printed}");
    }
}

#[test]
fn io_uring_forbidden_by_a_seccomp_profile() {
    let filter = root().join("tests/startup/no_io_uring.py");
    let printed = Attempt::new()
        .through(["python3", filter.to_str().unwrap()])
        .expect_refused(FAILED);
    assert_says(
        &printed,
        &["io_uring is needed", "forbidden", "seccomp", "allow io_uring_setup"],
    );
}

#[test]
fn too_little_locked_memory() {
    let printed = Attempt::new()
        .through(["prlimit", "--memlock=65536:65536"])
        .expect_refused(FAILED);
    assert_says(
        &printed,
        &[
            "locked memory is 65536 bytes",
            "LimitMEMLOCK=infinity",
            "ulimit -l unlimited",
        ],
    );
}

#[test]
fn a_log_directory_in_memory() {
    let shm = Path::new("/dev/shm");
    if !fs::read_to_string("/proc/mounts").unwrap().contains(" /dev/shm tmpfs ") {
        eprintln!("skipped: there is no tmpfs on /dev/shm");
        return;
    }
    let data = shm.join(format!("corelane-{}", std::process::id()));
    let line = format!("log.dirs={}", data.display());
    let printed = Attempt::new().with(&line).expect_refused_at(FAILED, &data);
    assert_says(
        &printed,
        &[
            data.to_str().unwrap(),
            "in memory",
            "a reboot loses it",
            "log.dir.volatile.enable=true",
        ],
    );
    assert!(!data.exists());
}

#[test]
fn a_log_directory_in_use() {
    let broker = Broker::start(&[]);
    let line = format!("log.dirs={}", broker.data_dir().display());
    let printed = Attempt::new().with(&line).expect_refused(FAILED);
    let pid = format!("in use by process {}", broker.pid());
    assert_says(
        &printed,
        &[broker.data_dir().to_str().unwrap(), &pid, "log.dirs of its own"],
    );
    assert!(answers_api_versions(&broker.bootstrap()));
}

#[test]
fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let printed = Attempt::new()
        .with(&format!("listeners=PLAINTEXT://{address}"))
        .expect_refused(FAILED);
    assert_says(
        &printed,
        &["listener PLAINTEXT", &address.to_string(), "another port in listeners"],
    );
}

#[test]
fn a_misspelt_key() {
    let printed = Attempt::new()
        .with("log.retention.hour=24")
        .with("log.rention.bytes=5")
        .expect_refused(CONFIG);
    assert_says(
        &printed,
        &[
            "server.properties:4: unknown key log.retention.hour: one letter short of log.retention.hours",
            "server.properties:5: unknown key log.rention.bytes: the nearest is log.retention.bytes",
        ],
    );
}

#[test]
fn three_hosts_in_one_listeners_line() {
    let printed = Attempt::new()
        .with("listeners=PLAINTEXT://node01:9092,PLAINTEXT://node02:9092,PLAINTEXT://node03:9092")
        .expect_refused(CONFIG);
    assert_says(
        &printed,
        &[
            "server.properties:4:",
            "each listener must have a different name",
            "PLAINTEXT://node01:9092,PLAINTEXT://node02:9092",
            "give each broker one listener, such as listeners=PLAINTEXT://node01:9092 on node01",
        ],
    );
}

#[test]
fn a_log_directory_of_another_broker_or_cluster() {
    let of_another = |line: &str| {
        let attempt = Attempt::new();
        let data = attempt.dir.join("data");
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("meta.properties"), format!("version=1\n{line}\n")).unwrap();
        attempt
    };
    let printed = of_another("node.id=7").expect_refused(FAILED);
    assert_says(
        &printed,
        &["belongs to broker 7", "this is broker 0", "correct node.id"],
    );

    let attempt = of_another("cluster.id=AAAAAAAAAAAAAAAAAAAAAQ");
    let second = attempt.dir.join("second");
    fs::create_dir_all(&second).unwrap();
    fs::write(
        second.join("meta.properties"),
        "version=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAg\n",
    )
    .unwrap();
    let line = format!("log.dirs={},{}", attempt.dir.join("data").display(), second.display());
    let printed = attempt.with(&line).expect_refused(FAILED);
    assert_says(
        &printed,
        &[
            "belongs to cluster AAAAAAAAAAAAAAAAAAAAAg",
            "cluster AAAAAAAAAAAAAAAAAAAAAQ",
            "out of log.dirs",
        ],
    );
}

/// The topics' names and ids are lost with the metadata: to go on without would set every partition aside.
#[test]
fn partitions_without_metadata() {
    let mut broker = Broker::start(&[]);
    broker.tool("topics", "--create --topic precious --partitions 2", "");
    assert!(broker.terminate().success());
    let metadata = broker.data_dir().join("corelane-metadata");
    let aside = broker.data_dir().join("saved");
    fs::rename(&metadata, &aside).unwrap();

    let line = format!("log.dirs={}", broker.data_dir().display());
    let printed = Attempt::new().with(&line).expect_refused_at(FAILED, &broker.data_dir());
    let says = [
        "no metadata in",
        "2 partition directories",
        "Restore the metadata directory",
        "to begin anew",
    ];
    assert_says(&printed, &says);

    fs::rename(&aside, &metadata).unwrap();
    broker.restart();
    assert!(
        broker
            .tool("topics", "--describe --topic precious", "")
            .contains("PartitionCount: 2")
    );
}

#[test]
fn options_for_a_jvm_are_noticed_once() {
    let mut broker = Broker::start(&[]);
    assert!(broker.terminate().success());
    broker.restart_with(&[
        ("KAFKA_HEAP_OPTS", "-Xmx6g -Xms6g"),
        ("KAFKA_JVM_PERFORMANCE_OPTS", "-server -XX:+UseG1GC"),
    ]);
    let log = broker.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("KAFKA_HEAP_OPTS")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert_says(
        lines[0],
        &[
            "WARN",
            "KAFKA_HEAP_OPTS, KAFKA_JVM_PERFORMANCE_OPTS: ignored",
            "shard.*.bytes",
        ],
    );
}
