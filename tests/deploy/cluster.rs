//! The example of a cluster, `config/cluster`: nothing to warn of, and what its script starts is one, until it stops it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{corelane, out};
use crate::admin::get;
use crate::support::{answers_api_versions, free_port, root, scratch_dir, wait_until};

const FILES: [&str; 3] = ["1.properties", "2.properties", "3.properties"];

fn example(file: &str) -> PathBuf {
    root().join("config/cluster").join(file)
}

#[test]
fn the_example_of_a_cluster_has_nothing_to_warn_of() {
    for file in FILES {
        let path = example(file).display().to_string();
        let checked = corelane(&["config", "check", &path]).output().unwrap();
        assert!(checked.status.success(), "{}", out(&checked));
        assert!(!out(&checked).contains("warning"), "{}", out(&checked));
    }
}

/// The example with ports that are free here.
struct Example {
    dir: PathBuf,
    clients: Vec<String>,
    admins: Vec<String>,
}

impl Example {
    fn copy() -> Example {
        let dir = scratch_dir();
        fs::create_dir_all(dir.join("config/cluster")).unwrap();
        fs::copy(example("start"), dir.join("config/cluster/start")).unwrap();
        let printed = |first: u16| (first..first + 3).map(|port| port.to_string());
        let ports: Vec<(String, String)> = [9092, 9192, 9644]
            .into_iter()
            .flat_map(printed)
            .map(|printed| (printed, free_port().to_string()))
            .collect();
        for file in FILES {
            let mut text = fs::read_to_string(example(file)).unwrap();
            for (printed, free) in &ports {
                text = text.replace(&format!(":{printed}"), &format!(":{free}"));
            }
            fs::write(dir.join("config/cluster").join(file), text).unwrap();
        }
        let free = |from: usize| ports[from..from + 3].iter().map(|(_, free)| free.clone()).collect();
        Example {
            dir,
            clients: free(0),
            admins: free(6),
        }
    }

    fn start(&self) -> Script {
        let log = fs::File::create(self.dir.join("log")).unwrap();
        let child = Command::new(self.dir.join("config/cluster/start"))
            .arg(env!("CARGO_BIN_EXE_corelane"))
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Script(child)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap()
    }

    fn topics(&self, arguments: &str) -> String {
        let bootstrap = format!("127.0.0.1:{}", self.clients[0]);
        let asked = corelane(&["topics", "--bootstrap-server", &bootstrap])
            .args(arguments.split(' '))
            .output()
            .unwrap();
        assert!(asked.status.success(), "{}", out(&asked));
        out(&asked)
    }
}

/// The script that runs the brokers: it ends them when it is told to, however the test ends.
struct Script(Child);

impl Script {
    /// Not by SIGINT, which does the same: a shell in the background ignores it, and so do its children.
    fn terminate(&self) {
        let told = Command::new("kill").arg(self.0.id().to_string()).status();
        assert!(told.unwrap().success());
    }

    fn has_ended(&mut self) -> Option<std::process::ExitStatus> {
        self.0.try_wait().unwrap()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if self.has_ended().is_none() {
            self.terminate();
            let _ = self.0.wait();
        }
    }
}

#[test]
fn the_example_of_a_cluster_starts_and_stops_in_order() {
    let example = Example::copy();
    let mut script = example.start();
    let number = |port: &String| port.parse::<u16>().unwrap();
    wait_until("all brokers are ready", || {
        assert!(script.has_ended().is_none(), "{}", example.log());
        let is_ready = |port: u16| get(port, "/readyz", "localhost").0 == 200;
        let answers = |port: &String| answers_api_versions(&format!("127.0.0.1:{port}"));
        example.clients.iter().all(answers) && example.admins.iter().all(|port| is_ready(number(port)))
    });
    example.topics("--create --topic first");
    let described = example.topics("--describe --topic first");
    assert!(described.contains("ReplicationFactor: 3"), "{described}");
    check_data(&example.dir);

    script.terminate();
    let mut status = None;
    wait_until("the script ends", || {
        status = script.has_ended();
        status.is_some()
    });
    let log = example.log();
    assert!(status.unwrap().success(), "{log}");
    // By their own clock: what each broker prints takes its own way into the log.
    let time = |start: &str, what: &str| {
        let found = log.lines().find(|line| line.starts_with(start) && line.contains(what));
        let found = found.unwrap_or_else(|| panic!("{start} {what}: {log}"));
        found.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert!(!log.contains("{\""), "for people to read: {log}");
    assert!(time("1  ", "stopped") < time("2  ", "stopping"), "{log}");
    assert!(time("2  ", "stopped") < time("3  ", "stopping"), "{log}");
    time("3  ", "stopped");
    assert!(!log.contains("leaderships in time"), "nobody waited in vain: {log}");
}

/// Each broker has its own directory under ./data.
fn check_data(dir: &Path) {
    for number in ["1", "2", "3"] {
        let data = dir.join("data/cluster").join(number);
        assert!(data.join("meta.properties").exists(), "{}", data.display());
    }
}
